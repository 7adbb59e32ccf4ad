//! Servers without any logic, out of the same library as ours: what serving costs at the least. Each is a
//! process of its own, which prints its address and serves until it is ended.

pub(crate) mod echo;
pub(crate) mod hold;
pub(crate) mod relay;

use std::{io::Write, path::Path};

use loomgate_bench::process::Process;
use tokio::net::TcpListener;

use crate::frame::SERVER_CORE;

/// Starts one of them on the server's core.
pub(crate) async fn start(arguments: &[&str]) -> anyhow::Result<Process> {
    start_at(arguments, Some(SERVER_CORE)).await
}

/// The same on that core, or any.
pub(crate) async fn start_at(arguments: &[&str], core: Option<usize>) -> anyhow::Result<Process> {
    let own = std::env::current_exe()?;
    Process::start(Path::new(&own), arguments, core).await
}

/// Listens on a free port, and prints where.
async fn listen(out: &mut impl Write) -> anyhow::Result<TcpListener> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    writeln!(out, "http://{}", listener.local_addr()?)?;
    out.flush()?;
    Ok(listener)
}
