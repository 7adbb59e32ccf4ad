//! The server under test: started, killed, stopped and continued, on a folder that outlives it.

use std::{
    fmt::Write as _,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use loomgate_bench::{
    document,
    process::{Process, Starting},
};
use serde_json::json;
use tokio::{process::Command, sync::watch};

use crate::{
    api::{Answer, Api},
    database::Records,
    history::text,
};

/// How long requests and streams may go on at a deploy, in seconds.
const DRAIN: u64 = 1;

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

/// Where the server under test runs.
pub(crate) struct Stage {
    binary: PathBuf,
    folder: PathBuf,
    door: watch::Sender<Option<SocketAddr>>,
    process: Option<Process>,
}

impl Stage {
    /// Sets it up in an empty folder. `model` is where runs call their model, `more` what the
    /// configuration says besides. Nothing runs yet.
    pub(crate) fn set(
        binary: &Path,
        folder: &Path,
        model: SocketAddr,
        more: &str,
    ) -> anyhow::Result<Self> {
        ensure!(binary.exists(), "there is no {}", binary.display());
        let mut config = format!(
            "default_virtual_key = \"model\"\n[http]\ndrain_s = {DRAIN}\n\
             [logs]\nrecord = \"off\"\n[virtual_keys.model]\nprovider = \"openai\"\n\
             base_url = \"http://{model}/v1\"\napi_key = \"sk-stand-in-000000000000000000\"\n"
        );
        config.push_str(more);
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
            door: watch::Sender::new(None),
            process: None,
        })
    }

    /// Calls to whoever serves.
    pub(crate) fn api(&self, key: &str) -> Api {
        Api::new(self.door.subscribe(), key)
    }

    /// Where the server keeps its records.
    pub(crate) fn records(&self) -> Records {
        Records::Sqlite(self.data())
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What all servers have logged so far.
    pub(crate) fn log(&self) -> anyhow::Result<String> {
        let log = std::fs::read(self.folder.join("log"))?;
        Ok(String::from_utf8_lossy(&log).into_owned())
    }

    /// Starts a server, and lets clients in. How long that took.
    pub(crate) async fn start(&mut self) -> anyhow::Result<Duration> {
        let began = Instant::now();
        let process = self.begin()?.listening().await;
        let process = process.context("the server does not start; see its log")?;
        let took = began.elapsed();
        self.door.send_replace(Some(process.address));
        self.process = Some(process);
        Ok(took)
    }

    /// Starts a server that nobody hears of, and kills it after a while, wherever it is by then.
    pub(crate) async fn kill_at_start(&self, after: Duration) -> anyhow::Result<()> {
        let starting = self.begin()?;
        tokio::time::sleep(after).await;
        starting.kill().await
    }

    fn begin(&self) -> anyhow::Result<Starting> {
        let log = self.folder.join("log");
        let log = File::options().create(true).append(true).open(log)?;
        let mut command = Command::new(&self.binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(self.folder.join("loomgate.toml"))
            .arg("--data-dir")
            .arg(self.data())
            .stderr(log);
        Starting::spawn(command)
    }

    /// SIGKILL.
    pub(crate) async fn kill(&mut self) -> anyhow::Result<()> {
        self.door.send_replace(None);
        self.running()?.kill().await
    }

    /// SIGTERM, and the server's own end, which has to be a good one.
    pub(crate) async fn terminate(&mut self) -> anyhow::Result<()> {
        self.door.send_replace(None);
        let process = self.running()?;
        process.signal("TERM").await?;
        let status = process.ended().await?;
        ensure!(
            status.success(),
            "after SIGTERM the server ended with {status}"
        );
        Ok(())
    }

    /// SIGSTOP for a while, then SIGCONT.
    pub(crate) async fn freeze(&mut self, time: Duration) -> anyhow::Result<()> {
        let process = self.process.as_ref().context("nothing runs")?;
        process.signal("STOP").await?;
        tokio::time::sleep(time).await;
        process.signal("CONT").await
    }

    fn running(&mut self) -> anyhow::Result<Process> {
        self.process.take().context("nothing runs")
    }
}

/// What figures were measured on, with which build, as a paragraph.
pub(crate) fn measured(binary: &Path) -> String {
    let build = binary.parent().and_then(Path::file_name);
    let build = build.map_or_else(|| "unknown".into(), |build| build.to_string_lossy());
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
