//! The program under test, as a process of its own.

use std::{path::Path, str, time::Duration};

use anyhow::{Context as _, ensure};
use loomgate_bench::process::Process;
use tokio::time::sleep;

use crate::{
    frame::load::Spent,
    http::{Connection, encode},
};

/// The longest that the logbook waits for more records.
const FLUSH: Duration = Duration::from_millis(220);
/// Within it the next records are written, if there are any.
const PAUSE: Duration = Duration::from_millis(20);

/// A running `loomgate serve`. Ended when dropped.
pub(crate) struct Server {
    pub(crate) process: Process,
    /// The key that it made at its first start: for everything.
    pub(crate) key: String,
}

impl Server {
    /// Starts it on a free port, in a folder that is new, with its production defaults but for
    /// what `config` says, on a core of its own if there is one for it.
    pub(crate) async fn start(
        binary: &Path,
        folder: &Path,
        config: &str,
        core: Option<usize>,
    ) -> anyhow::Result<Self> {
        let file = folder.join("bench.toml");
        std::fs::write(&file, config)?;
        let data = folder.join("data");
        let (file, data) = (file.to_string_lossy(), data.to_string_lossy());
        let arguments = [
            "serve",
            "--listen",
            "127.0.0.1:0",
            "--config",
            &file,
            "--data-dir",
            &data,
        ];
        let process = Process::start(binary, &arguments, core).await?;
        let key = std::fs::read_to_string(folder.join("data").join("api-key"))?;
        Ok(Self {
            process,
            key: key.trim().to_owned(),
        })
    }

    /// Its metrics, as they are now.
    pub(crate) async fn metrics(&self) -> anyhow::Result<Metrics> {
        let mut connection = Connection::open(self.process.address).await?;
        let request = encode("GET", "/metrics", &self.key, "");
        let text = str::from_utf8(connection.send(&request).await?)?;
        Ok(Metrics(text.to_owned()))
    }

    /// Waits until every call so far has its log record: writing them is part of what a call costs, and is to
    /// burden nobody else. How many records there are.
    pub(crate) async fn settle(&self) -> anyhow::Result<u64> {
        sleep(FLUSH).await;
        let mut before = None;
        loop {
            let metrics = self.metrics().await?;
            let written = metrics.number("loomgate_log_records_written_total")?;
            let dropped = metrics.number("loomgate_log_records_dropped_total")?;
            ensure!(dropped == 0, "{dropped} log records were dropped");
            if before == Some(written) {
                return Ok(written);
            }
            before = Some(written);
            sleep(PAUSE).await;
        }
    }

    /// What it spent so far.
    pub(crate) async fn spent(&self) -> anyhow::Result<Spent> {
        let metrics = self.metrics().await?;
        Ok(Spent {
            cpu: Some(self.process.cpu()?),
            commits: Some(metrics.number("loomgate_store_commits_total")?),
            statements: Some(metrics.number("loomgate_store_statements_total")?),
        })
    }
}

/// What a server tells of itself.
pub(crate) struct Metrics(String);

impl Metrics {
    /// A number without labels; 0 while it was never counted.
    pub(crate) fn number(&self, name: &str) -> anyhow::Result<u64> {
        let mut lines = self.0.lines();
        let number = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let number = number.map(str::parse).transpose();
        Ok(number
            .with_context(|| format!("{name} is no number"))?
            .unwrap_or(0))
    }
}
