//! Other programs: started on a core of their own, and asked what they use.

use std::{
    net::SocketAddr,
    path::Path,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A clock tick of `/proc/PID/stat`; Linux shows the same to every program, whatever it counts in.
const TICK: Duration = Duration::from_millis(10);

/// A program that listens. Ended when dropped.
pub struct Process {
    /// Where it listens.
    pub address: SocketAddr,
    pid: u32,
    child: Child,
}

/// A program that may not listen yet. Ended when dropped.
pub struct Starting(Child);

impl Starting {
    /// Starts a command whose first line ends with `http://HOST:PORT`.
    pub fn spawn(mut command: Command) -> anyhow::Result<Self> {
        command.stdout(Stdio::piped()).kill_on_drop(true);
        Ok(Self(command.spawn()?))
    }

    /// Waits for that line.
    pub async fn listening(self) -> anyhow::Result<Process> {
        let Self(mut child) = self;
        let pid = child.id().context("it ended at once")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let Some(first) = lines.next_line().await? else {
            bail!("it ended before it was ready");
        };
        let address = first
            .rsplit("http://")
            .next()
            .and_then(|address| address.trim().parse().ok())
            .with_context(|| format!("no address in {first:?}"))?;
        Ok(Process {
            address,
            pid,
            child,
        })
    }

    /// Ends it at once (SIGKILL), and waits until it is gone.
    pub async fn kill(self) -> anyhow::Result<()> {
        let Self(mut child) = self;
        Ok(child.kill().await?)
    }
}

impl Process {
    /// Starts a program without its stderr, and waits for its first line, which ends with `http://HOST:PORT`. With a
    /// core it runs on that one alone.
    pub async fn start(
        program: &Path,
        arguments: &[&str],
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        let mut command = match core {
            Some(core) => {
                let mut command = Command::new("taskset");
                command.args(["--cpu-list", &core.to_string()]).arg(program);
                command
            }
            None => Command::new(program),
        };
        command.args(arguments).stderr(Stdio::null());
        Self::spawn(command)
            .await
            .with_context(|| format!("starting {}", program.display()))
    }

    /// Starts a command whose first line ends with `http://HOST:PORT`, and waits for that line.
    pub async fn spawn(command: Command) -> anyhow::Result<Self> {
        Starting::spawn(command)?.listening().await
    }

    /// Ends it at once (SIGKILL), and waits until it is gone.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        Ok(self.child.kill().await?)
    }

    /// Sends it a signal: `STOP`, `CONT`, `TERM`.
    pub async fn signal(&self, name: &str) -> anyhow::Result<()> {
        let sent = Command::new("kill")
            .args([&format!("-{name}"), &self.pid.to_string()])
            .status()
            .await?;
        ensure!(sent.success(), "SIG{name} could not be sent");
        Ok(())
    }

    /// Waits for its end, however it comes. May be given up and asked again.
    pub async fn exited(&mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Waits for its end.
    pub async fn ended(mut self) -> anyhow::Result<ExitStatus> {
        Ok(self.child.wait().await?)
    }

    /// Time on a processor so far, in user and in system mode, of all its threads.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid))?;
        // The program's name stands in parentheses and may hold anything; fields count from there.
        let (_, fields) = stat.rsplit_once(") ").context("no fields")?;
        let mut fields = fields.split(' ').skip(11);
        let mut ticks = || -> anyhow::Result<u32> {
            let field = fields.next().context("too few fields")?;
            Ok(field.parse()?)
        };
        Ok(TICK * (ticks()? + ticks()?))
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }
}

/// Keeps this thread to one core, and those that it starts from now on.
pub fn keep_to(core: usize) -> anyhow::Result<()> {
    let thread = std::fs::read_link("/proc/thread-self")?;
    let thread = thread.file_name().context("no thread")?;
    let done = std::process::Command::new("taskset")
        .args(["--cpu-list", "--pid", &core.to_string()])
        .arg(thread)
        .stdout(Stdio::null())
        .status()
        .context("taskset (util-linux) is needed")?;
    ensure!(done.success(), "no core {core}: two are needed");
    Ok(())
}
