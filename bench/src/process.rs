//! Other programs: started on a core of their own, and asked what they use.

use std::{net::SocketAddr, path::Path, process::Stdio, time::Duration};

use anyhow::{Context, bail, ensure};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A clock tick of `/proc/PID/stat`; Linux shows the same to every program, whatever it counts in.
const TICK: Duration = Duration::from_millis(10);

/// A program that listens. Ended when dropped.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    pid: u32,
    _child: Child,
}

impl Process {
    /// Starts a program, and waits for its first line, which ends with `http://HOST:PORT`. With a
    /// core it runs on that one alone.
    pub(crate) async fn start(
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
        let mut child = command
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", program.display()))?;
        let pid = child.id().context("it ended at once")?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let Some(first) = lines.next_line().await? else {
            bail!("{} ended before it was ready", program.display());
        };
        let address = first
            .rsplit("http://")
            .next()
            .and_then(|address| address.trim().parse().ok())
            .with_context(|| format!("no address in {first:?}"))?;
        Ok(Self {
            address,
            pid,
            _child: child,
        })
    }

    /// Time on a processor so far, in user and in system mode, of all its threads.
    pub(crate) fn cpu(&self) -> anyhow::Result<Duration> {
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
    pub(crate) fn resident(&self) -> anyhow::Result<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:"))
            .context("no VmRSS")?;
        let kibibytes: u64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kibibytes * 1024)
    }
}

/// Keeps this process to one core.
pub(crate) fn keep_to(core: usize) -> anyhow::Result<()> {
    let done = std::process::Command::new("taskset")
        .args(["--cpu-list", "--pid", &core.to_string()])
        .arg(std::process::id().to_string())
        .stdout(Stdio::null())
        .status()
        .context("taskset (util-linux) is needed")?;
    ensure!(done.success(), "no core {core}: two are needed");
    Ok(())
}
