//! Figures of Loomgate, measured beside what limits them, in one run on one machine.
//!
//! `loomgate-bench modify-run` measures Modify Run over HTTP at 1 and 64 connections beside the
//! raw store doing the same transaction, and prints a table that `docs/performance.md` holds.

mod document;
mod http;
mod modify_run;
mod server;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(about = "Measures Loomgate beside what limits it")]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Modify Run over HTTP and in the raw store, in interleaved blocks.
    ModifyRun(modify_run::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    match Arguments::parse().what {
        What::ModifyRun(options) => modify_run::run(&options, &mut std::io::stdout()).await,
    }
}
