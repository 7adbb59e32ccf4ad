//! The servers under test: started, killed, stopped and continued, on records that outlive them.

use std::{
    fmt::Write as _,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::ExitStatus,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use loomgate_bench::{
    document,
    process::{Process, Starting},
};
use serde_json::json;
use tokio::{process::Command, time::timeout};

use crate::{
    api::{Answer, Api},
    database::Records,
    doors::Doors,
    history::text,
};

/// How long requests and streams may go on at a deploy, in seconds.
const DRAIN: u64 = 1;
/// By then a server that was asked to end has ended.
const PATIENCE: Duration = Duration::from_mins(1);

/// An API key of the server, and whether those who have it cancel runs. Where nobody does, what
/// the key has used is known to the token.
pub(crate) struct Key {
    pub(crate) name: &'static str,
    pub(crate) secret: &'static str,
    pub(crate) may_cancel: bool,
}

/// Clients take turns with them.
pub(crate) const KEYS: [Key; 2] = [
    Key {
        name: "steady",
        secret: "lg-chaos-steady-000000000000000000000000",
        may_cancel: false,
    },
    Key {
        name: "cancelling",
        secret: "lg-chaos-cancelling-00000000000000000000",
        may_cancel: true,
    },
];

/// The key of a client.
pub(crate) fn key_of(index: u32) -> &'static Key {
    &KEYS[index as usize % KEYS.len()]
}

/// Whether a client cancels runs.
pub(crate) fn may_cancel(index: u32) -> bool {
    key_of(index).may_cancel
}

/// What servers are set up with.
pub(crate) struct Setup<'a> {
    pub(crate) binary: &'a Path,
    /// Empty.
    pub(crate) folder: &'a Path,
    /// Where runs call their model.
    pub(crate) model: SocketAddr,
    /// What the configuration says besides.
    pub(crate) config: &'a str,
    /// None: one server has an embedded database.
    pub(crate) postgres: Option<Postgres>,
    pub(crate) replicas: usize,
}

/// The PostgreSQL that servers share.
pub(crate) struct Postgres {
    /// As servers reach it: a URL with parameters.
    pub(crate) url: String,
    /// As the checker does.
    pub(crate) records: Records,
}

/// What a server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    All,
    Api,
    Worker,
}

impl Role {
    fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Api => "api",
            Self::Worker => "worker",
        }
    }
}

/// Where the servers under test run.
pub(crate) struct Stage {
    binary: PathBuf,
    folder: PathBuf,
    postgres: Option<Postgres>,
    doors: Doors,
    servers: Vec<Option<Server>>,
    /// How many processes there were.
    lives: AtomicU32,
    /// Variables of what is started from now on.
    pub(crate) environment: Vec<(&'static str, String)>,
}

/// A process, and what PostgreSQL knows it by, which no other one was.
struct Server {
    process: Process,
    name: String,
}

impl Stage {
    /// Nothing runs yet.
    pub(crate) fn set(setup: Setup<'_>) -> anyhow::Result<Self> {
        let Setup {
            binary,
            folder,
            model,
            ..
        } = setup;
        ensure!(binary.exists(), "there is no {}", binary.display());
        let mut config = format!(
            "default_virtual_key = \"model\"\n[http]\ndrain_s = {DRAIN}\n\
             [logs]\nrecord = \"off\"\n[virtual_keys.model]\nprovider = \"openai\"\n\
             base_url = \"http://{model}/v1\"\napi_key = \"sk-stand-in-000000000000000000\"\n"
        );
        config.push_str(setup.config);
        for Key { name, secret, .. } in &KEYS {
            write!(
                config,
                "[[api_keys]]\nname = \"{name}\"\nkey = \"{secret}\"\n\
                 usage_limits = {{ type = \"tokens\", credit_limit = 1000000000000.0 }}\n"
            )?;
        }
        std::fs::write(folder.join("loomgate.toml"), config)?;
        Ok(Self {
            binary: binary.to_owned(),
            folder: folder.to_owned(),
            postgres: setup.postgres,
            doors: Doors::new(setup.replicas),
            servers: (0..setup.replicas).map(|_| None).collect(),
            lives: AtomicU32::new(0),
            environment: Vec::new(),
        })
    }

    /// How many servers there may be.
    pub(crate) fn replicas(&self) -> usize {
        self.servers.len()
    }

    /// Calls with a key to whoever serves, first of all to one of them.
    pub(crate) fn api(&self, key: &str, preferred: usize) -> Api {
        Api::new(self.doors.way(preferred), key)
    }

    /// Where servers keep their records.
    pub(crate) fn records(&self) -> Records {
        match &self.postgres {
            Some(postgres) => postgres.records.clone(),
            None => Records::Sqlite(self.data()),
        }
    }

    /// What servers keep in files, of which an embedded database is one.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn log_of(&self, replica: usize) -> PathBuf {
        self.folder.join(format!("log-{replica}"))
    }

    /// What all servers have logged so far.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        let mut all = String::new();
        for replica in 0..self.replicas() {
            let log = std::fs::read(self.log_of(replica))?;
            all.push_str(&String::from_utf8_lossy(&log));
        }
        Ok(all)
    }

    /// Starts a server, and lets clients in if it serves any. How long that took.
    pub(crate) async fn start(&mut self, replica: usize, role: Role) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let (starting, name) = self.begin(replica, role)?;
        let process = starting.listening().await;
        let process = process.context("the server does not start; see its log")?;
        let took = began.elapsed();
        if role != Role::Worker {
            self.doors.set(replica, Some(process.address));
        }
        self.servers[replica] = Some(Server { process, name });
        Ok(took)
    }

    /// Starts all servers.
    pub(crate) async fn open(&mut self) -> anyhow::Result<()> {
        for replica in 0..self.replicas() {
            self.start(replica, Role::All).await?;
        }
        Ok(())
    }

    /// Ends them in good order.
    pub(crate) async fn close(&mut self) -> anyhow::Result<()> {
        for replica in 0..self.replicas() {
            self.terminate(replica).await?;
        }
        Ok(())
    }

    /// Starts a server that nobody hears of, and kills it after a while, wherever it is by then.
    pub(crate) async fn kill_at_start(
        &self,
        replica: usize,
        after: Duration,
    ) -> anyhow::Result<()> {
        let (starting, _) = self.begin(replica, Role::All)?;
        tokio::time::sleep(after).await;
        starting.kill().await
    }

    fn begin(&self, replica: usize, role: Role) -> anyhow::Result<(Starting, String)> {
        let life = self.lives.fetch_add(1, Ordering::Relaxed);
        let name = format!("replica-{replica}-life-{life}");
        let mut command = self.command(replica, &["serve", "--listen", "127.0.0.1:0"])?;
        self.at_home(&mut command, &name);
        if self.postgres.is_some() {
            command.args(["--role", role.name()]);
        }
        Ok((Starting::spawn(command)?, name))
    }

    /// The program with these arguments. It logs as a server does.
    pub(crate) fn command(&self, replica: usize, arguments: &[&str]) -> anyhow::Result<Command> {
        let log = self.log_of(replica);
        let log = File::options().create(true).append(true).open(log)?;
        let environment = self.environment.iter().map(|(name, value)| (name, value));
        let mut command = Command::new(&self.binary);
        command.args(arguments).envs(environment).stderr(log);
        Ok(command)
    }

    /// Tells it where the servers' configuration and their records are.
    pub(crate) fn at_home(&self, command: &mut Command, name: &str) {
        let config = self.folder.join("loomgate.toml");
        command.arg("--config").arg(config);
        command.arg("--data-dir").arg(self.data());
        if let Some(Postgres { url, .. }) = &self.postgres {
            let url = format!("{url}&application_name={name}");
            command.env("LOOMGATE_DATABASE", url);
        }
    }

    /// Waits until a server is gone, by whatever. Nobody is let in then.
    pub(crate) async fn exited(&mut self, replica: usize) -> anyhow::Result<ExitStatus> {
        let server = self.servers[replica].as_mut().context("nothing runs")?;
        let status = server.process.exited().await?;
        self.take(replica)?;
        Ok(status)
    }

    /// SIGKILL. What PostgreSQL knew it by.
    pub(crate) async fn kill(&mut self, replica: usize) -> anyhow::Result<String> {
        let Server { process, name } = self.take(replica)?;
        process.kill().await?;
        Ok(name)
    }

    /// SIGTERM, and the server's own end, which has to be a good one.
    pub(crate) async fn terminate(&mut self, replica: usize) -> anyhow::Result<()> {
        let status = self.stop(replica).await?;
        ensure!(
            status.success(),
            "after SIGTERM server {replica} ended with {status}"
        );
        Ok(())
    }

    /// The same, whatever its end is.
    pub(crate) async fn stop(&mut self, replica: usize) -> anyhow::Result<ExitStatus> {
        let Server { process, name } = self.take(replica)?;
        process.signal("TERM").await?;
        let ended = timeout(PATIENCE, process.ended()).await;
        ended.with_context(|| format!("after SIGTERM {name} goes on"))?
    }

    /// Sends a signal: `STOP`, `CONT`. Clients do not hear of it.
    pub(crate) async fn signal(&self, replica: usize, signal: &str) -> anyhow::Result<()> {
        let server = self.servers[replica].as_ref().context("nothing runs")?;
        server.process.signal(signal).await
    }

    fn take(&mut self, replica: usize) -> anyhow::Result<Server> {
        self.doors.set(replica, None);
        self.servers[replica].take().context("nothing runs")
    }
}

/// What figures were measured on, with which build, as a paragraph.
pub(crate) fn measured(binary: &Path) -> String {
    let build = document::build(binary);
    format!("Measured on {}; `{build}` build.\n\n", document::machine())
}

/// Makes an assistant with a function.
pub(crate) async fn assistant(api: &Api) -> anyhow::Result<String> {
    let function = json!({"name": "look_up", "parameters": {"type": "object"}});
    let body = json!({"model": "m", "tools": [{"type": "function", "function": function}]});
    match api.post("/assistants", &body).await {
        Answer::Done(assistant) => Ok(text(&assistant["id"])),
        other => anyhow::bail!("POST /assistants: {other:?}"),
    }
}
