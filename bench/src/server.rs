//! The program under test, as a process of its own.

use std::{net::SocketAddr, path::Path, process::Stdio};

use anyhow::{Context, bail};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
};

/// A running `loomgate serve`. Ended when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    _child: Child,
}

/// The key that the configuration below sets.
pub(crate) const API_KEY: &str = "lg-bench-key-0000000000000000000000000000";

impl Server {
    /// Starts it on a free port, with its production defaults, in a folder that is new.
    pub(crate) async fn start(binary: &Path, folder: &Path) -> anyhow::Result<Self> {
        let config = folder.join("bench.toml");
        let text = format!(
            "[[api_keys]]\nname = \"bench\"\nkey = \"{API_KEY}\"\n\n[virtual_keys.echo]\nprovider = \"echo\"\n"
        );
        std::fs::write(&config, text)?;
        let mut child = Command::new(binary)
            .args(["serve", "--listen", "127.0.0.1:0", "--config"])
            .arg(&config)
            .arg("--data-dir")
            .arg(folder.join("data"))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {}", binary.display()))?;
        let stdout = child.stdout.take().context("no stdout")?;
        let mut lines = BufReader::new(stdout).lines();
        let Some(first) = lines.next_line().await? else {
            bail!("the server ended before it was ready");
        };
        let address = first
            .rsplit("http://")
            .next()
            .and_then(|address| address.trim().parse().ok())
            .with_context(|| format!("no address in {first:?}"))?;
        Ok(Self {
            address,
            _child: child,
        })
    }
}
