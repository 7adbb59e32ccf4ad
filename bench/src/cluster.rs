//! A PostgreSQL of its own, in a folder, that can be stopped and started. It listens on a socket in
//! that folder alone.
//!
//! What `pg_ctl` would do is done by its signals, so that the server is a child of this process and
//! goes with it.

use std::{
    fs::{File, Permissions},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use tokio::process::{Child, Command};

use crate::statistics::any_number;

/// The longest wait for a start or a stop.
const PATIENCE: Duration = Duration::from_mins(1);
/// There is only one in its folder, so that any number does.
const PORT: u16 = 5432;
/// Who it runs as where this process may not be: PostgreSQL refuses to be root.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// What always differs from the defaults.
const SETTINGS: &str = "listen_addresses = ''\nmax_connections = 200\nlog_min_messages = warning\n";

/// How it is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stop {
    /// Transactions are undone, sessions ended, everything is written.
    Fast,
    /// Nothing is; the next start recovers.
    Immediate,
}

/// Killed when dropped.
pub struct Cluster {
    programs: PathBuf,
    folder: PathBuf,
    password: String,
    core: Option<usize>,
    user: Option<(u32, u32)>,
    server: Option<Child>,
}

impl Cluster {
    /// Makes one in `folder`, which is there, with the programs of `bin` and more lines of
    /// `postgresql.conf`, and starts it; with a core it runs on that one alone.
    pub async fn start(
        bin: &Path,
        folder: &Path,
        settings: &str,
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        let initdb = bin.join("initdb");
        ensure!(initdb.exists(), "there is no {}", initdb.display());
        let is_root = folder.metadata()?.uid() == 0;
        let folder = folder.join("postgres");
        std::fs::create_dir(&folder)?;
        let mut cluster = Self {
            programs: bin.to_owned(),
            password: format!("{:x}", any_number()),
            core,
            user: is_root.then(|| unprivileged(&USERS)).transpose()?,
            folder,
            server: None,
        };
        if let Some((user, group)) = cluster.user {
            chown(&cluster.folder, Some(user), Some(group))?;
            // It has to come through to its own.
            let above = cluster.folder.parent().context("a folder has a parent")?;
            std::fs::set_permissions(above, Permissions::from_mode(0o711))?;
        }
        cluster.make(settings).await?;
        cluster.begin().await?;
        Ok(cluster)
    }

    async fn make(&self, settings: &str) -> anyhow::Result<()> {
        let password = self.folder.join("password");
        std::fs::write(&password, &self.password)?;
        let log = File::create(self.folder.join("initdb.log"))?;
        let made = self
            .program("initdb")
            .args(["--username=postgres", "--auth=scram-sha-256"])
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .arg(format!("--pwfile={}", password.display()))
            .arg(self.data())
            .stdout(log.try_clone()?)
            .stderr(log)
            .status()
            .await?;
        ensure!(made.success(), "initdb failed; see its log");
        let conf = self.data().join("postgresql.conf");
        let folder = self.folder.display();
        let settings = format!("{SETTINGS}{settings}\nunix_socket_directories = '{folder}'\n");
        let before = std::fs::read_to_string(&conf)?;
        std::fs::write(&conf, before + &settings)?;
        Ok(())
    }

    /// Starts the server that was stopped, and waits until it lets somebody in.
    pub async fn begin(&mut self) -> anyhow::Result<()> {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.folder.join("log"))?;
        let mut server = match self.core {
            Some(core) => {
                let mut taskset = self.at_home(Command::new("taskset"));
                taskset.args(["--cpu-list", &core.to_string()]);
                taskset.arg(self.programs.join("postgres"));
                taskset
            }
            None => self.program("postgres"),
        };
        let mut server = server
            .arg("-D")
            .arg(self.data())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        let began = Instant::now();
        while !self.lets_in().await? {
            if let Some(ended) = server.try_wait()? {
                bail!("PostgreSQL ended with {ended}; see its log");
            }
            ensure!(began.elapsed() < PATIENCE, "PostgreSQL lets nobody in");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.server = Some(server);
        Ok(())
    }

    /// Stops the server, and waits until it is gone.
    pub async fn stop(&mut self, how: Stop) -> anyhow::Result<()> {
        let mut server = self.server.take().context("PostgreSQL does not run")?;
        let pid = server.id().context("PostgreSQL has ended")?;
        // As `pg_ctl stop -m` does.
        let signal = match how {
            Stop::Fast => "-INT",
            Stop::Immediate => "-QUIT",
        };
        let sent = Command::new("kill")
            .args([signal, &pid.to_string()])
            .status()
            .await?;
        ensure!(sent.success(), "SIG{signal} could not be sent");
        let ended = tokio::time::timeout(PATIENCE, server.wait()).await;
        ended.context("PostgreSQL does not stop")??;
        Ok(())
    }

    /// Whether it takes statements.
    async fn lets_in(&self) -> anyhow::Result<bool> {
        let mut psql = self.program("psql");
        psql.args([&self.url(None), "--no-psqlrc", "--command=SELECT 1"]);
        psql.stdout(Stdio::null()).stderr(Stdio::null());
        Ok(psql.status().await?.success())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.folder.join(format!(".s.PGSQL.{PORT}"))
    }

    /// The URL of its one database, as its superuser; with the port of a proxy, through that.
    pub fn url(&self, proxy: Option<u16>) -> String {
        let password = &self.password;
        let at = proxy.map_or_else(
            || {
                let folder = self.folder.display().to_string();
                format!("{}:{PORT}", folder.replace('/', "%2F"))
            },
            |port| format!("127.0.0.1:{port}"),
        );
        format!("postgres://postgres:{password}@{at}/postgres?sslmode=disable")
    }

    /// Makes a database. Its URL.
    pub async fn database(&self, name: &str) -> anyhow::Result<String> {
        let url = self.url(None);
        self.query(&url, &format!("CREATE DATABASE {name}")).await?;
        Ok(url.replace("/postgres?", &format!("/{name}?")))
    }

    /// Carries statements out in a database. What they tell, without heads; several fields stand
    /// between bars.
    pub async fn query(&self, url: &str, sql: &str) -> anyhow::Result<String> {
        let mut psql = self.program("psql");
        psql.args([url, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align"]);
        psql.args(["--set=ON_ERROR_STOP=1", "--command", sql]);
        output(&mut psql).await
    }

    /// Where its files are.
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// One of its programs, as the user that it runs as.
    pub fn program(&self, name: &str) -> Command {
        self.at_home(Command::new(self.programs.join(name)))
    }

    fn at_home(&self, mut command: Command) -> Command {
        // It has to be one that its user may enter.
        command.current_dir("/").stdin(Stdio::null());
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

/// What a program prints. Error: it failed, and what it said.
pub async fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command.kill_on_drop(true).output().await?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{command:?}: {said}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// User and group of the first of these names that the machine knows.
fn unprivileged(names: &[&str]) -> anyhow::Result<(u32, u32)> {
    let known = std::fs::read_to_string("/etc/passwd")?;
    let ids = |name: &&str| {
        let mut fields = known.lines().map(|line| line.split(':'));
        let mut fields = fields.find(|fields| fields.clone().next() == Some(name))?;
        let user = fields.nth(2)?.parse().ok()?;
        Some((user, fields.next()?.parse().ok()?))
    };
    let found = names.iter().find_map(ids);
    found.with_context(|| format!("PostgreSQL may not be root, and there is none of {names:?}"))
}
