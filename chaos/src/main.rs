//! Breaks a running Loomgate, and checks that nothing was lost.
//!
//! `loomgate-chaos` puts real `loomgate serve` processes under the load of clients that write down
//! what was acknowledged, kills, freezes and restarts them, lets their model break in many ways, and
//! then holds what the API and the database say against what was written down. `loomgate-chaos
//! resume` measures how long runs take to go on after a kill, `loomgate-chaos documents` does the same as the storm over files
//! and vector stores. All print tables that `docs/reliability.md` holds.
//!
//! What it is not: part of the product. It shares no code with the server.
//!
//! Start at [`storm`] for what happens, at [`check`] for what has to hold.
//!
//! Invariant: every choice follows from the seed; time and the scheduler alone do not.
//! Invariant: every rule has a test with a history that breaks it (`check/tests.rs`).

mod api;
mod audit;
mod check;
mod client;
mod cluster;
mod database;
mod disturb;
mod documents;
mod doors;
mod events;
mod failpoints;
mod form;
mod ground;
mod history;
mod line;
mod model;
mod phase;
mod question;
mod report;
mod resume;
mod stage;
mod storm;
mod transactions;
mod verdict;

use std::process::ExitCode;

use anyhow::bail;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};

#[derive(Parser)]
#[command(about = "Breaks a running Loomgate, and checks that nothing was lost")]
struct Arguments {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    storm: storm::Options,
}

#[derive(Subcommand)]
enum What {
    /// Measures how long runs take to go on after a kill.
    Resume(resume::Options),
    /// Counts the transactions that a run takes.
    Transactions(transactions::Options),
    /// Aborts the server at every commit, and checks what is left.
    Failpoints(failpoints::Options),
    /// Kills servers while files are uploaded, indexed and deleted, and checks rows and bytes.
    Documents(documents::Options),
}

fn main() -> anyhow::Result<ExitCode> {
    let Arguments { what, storm } = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let out = &mut std::io::stdout();
    let work = async {
        match what {
            None => storm::run(&storm, out).await,
            Some(What::Resume(options)) => {
                resume::run(&options, &storm, out).await?;
                Ok(true)
            }
            Some(What::Transactions(options)) => {
                transactions::run(&options, &storm, out).await?;
                Ok(true)
            }
            Some(What::Failpoints(options)) => failpoints::run(&options, &storm, out).await,
            Some(What::Documents(options)) => documents::run(&options, &storm, out).await,
        }
    };
    let is_good = runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        // Whatever was started goes with what is dropped.
        tokio::select! {
            is_good = Box::pin(work) => is_good,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminated.recv() => bail!("terminated"),
        }
    })?;
    Ok(if is_good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
