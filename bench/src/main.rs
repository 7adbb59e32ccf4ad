//! Figures of Loomgate, measured beside what limits them, in one run on one machine.
//!
//! `loomgate-bench modify-run` measures Modify Run over HTTP at 1 and 64 connections beside the
//! raw store doing the same transaction. `loomgate-bench relay` measures relayed calls beside the
//! upstream called directly and beside a relay without logic. Both print tables that
//! `docs/performance.md` holds. `loomgate-bench file-search` measures ingestion and searches, and writes
//! `docs/file-search-figures.md`.

mod file_search;
mod http;
mod modify_run;
mod relay;
mod server;
mod stand_in;

use clap::{Parser, Subcommand};
use loomgate_bench::process;

/// The same allocator as the server's, so that the bare relay is no worse off.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

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
    /// Relayed calls: direct, through a bare relay, through Loomgate, in interleaved blocks.
    Relay(relay::Options),
    /// Ingestion, searches of 100,000 chunks beside the bare scan, memory, starts, lists.
    FileSearch(file_search::Options),
    /// What `relay` starts: passes everything on to an address, without a thought.
    #[command(hide = true)]
    BareRelay(relay::bare::Options),
}

fn main() -> anyhow::Result<()> {
    let what = Arguments::parse().what;
    if let What::Relay(_) = &what {
        // Before the runtime counts the cores for its threads.
        process::keep_to(relay::LOAD_CORE)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let out = &mut std::io::stdout();
    runtime.block_on(async {
        match &what {
            What::ModifyRun(options) => modify_run::run(options, out).await,
            What::Relay(options) => relay::run(options, out).await,
            What::FileSearch(options) => file_search::run(options, out).await,
            What::BareRelay(options) => relay::bare::serve(options, out).await,
        }
    })
}
