//! Figures of Loomgate, measured beside what limits them, in one run on one machine.
//!
//! Each command measures one workload, prints tables with a goal beside each figure, and writes them
//! between their markers in `docs/performance.md` and, block by block, into one JSON file. `loomgate-bench
//! file-search` writes a page of its own, `docs/file-search-figures.md`.
//!
//! Start at [`frame`] for the method, then at any workload.
//!
//! Invariant: every answer is checked, and a wrong one ends the run.

mod bare;
mod file_search;
mod frame;
mod http;
mod modify_run;
mod raw;
mod relay;
mod server;
mod stand_in;
mod start;

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
    /// Starts, memory when nothing is asked, size of the program.
    Start(start::Arguments),
    /// Modify Run over HTTP and in the raw store, in interleaved blocks.
    ModifyRun(frame::Options),
    /// Relayed calls: direct, through a bare relay, through Loomgate, in interleaved blocks.
    Relay(relay::Arguments),
    /// Ingestion, searches of 100,000 chunks beside the bare scan, memory, starts, lists.
    FileSearch(file_search::Options),
    /// Passes everything on to an address, without a thought.
    #[command(hide = true)]
    BareRelay(bare::relay::Options),
    /// Answers with what it was sent.
    #[command(hide = true)]
    BareEcho,
}

impl What {
    /// Whether this process is the load, which has a core of its own.
    fn is_load(&self) -> bool {
        matches!(self, Self::ModifyRun(_) | Self::Relay(_))
    }
}

fn main() -> anyhow::Result<()> {
    let what = Arguments::parse().what;
    if what.is_load() {
        // Before the runtime counts the cores for its threads.
        process::keep_to(frame::LOAD_CORE)?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let out = &mut std::io::stdout();
    runtime.block_on(async {
        match &what {
            What::Start(arguments) => start::run(arguments, out).await,
            What::ModifyRun(options) => modify_run::run(options, out).await,
            What::Relay(arguments) => relay::run(arguments, out).await,
            What::FileSearch(options) => file_search::run(options, out).await,
            What::BareRelay(options) => bare::relay::serve(options, out).await,
            What::BareEcho => bare::echo::serve(out).await,
        }
    })
}
