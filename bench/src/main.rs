//! Figures of Loomgate, measured beside what limits them, in one run on one machine.
//!
//! Each command measures one workload, prints tables with a goal beside each figure, and writes them
//! between their markers in `docs/performance.md` and, block by block, into one JSON file. `loomgate-bench
//! file-search` writes a page of its own, `docs/file-search-figures.md`.
//!
//! Start at [`frame`] for the method, then at any workload.
//!
//! Invariant: every answer is checked, and a wrong one ends the run.

mod api;
mod bare;
mod events;
mod file_search;
mod frame;
mod http;
mod model;
mod modify_run;
mod open_streams;
mod paging;
mod raw;
mod relay;
mod replicas;
mod runs;
mod search_quality;
mod server;
mod stand_in;
mod start;
mod streams;

use anyhow::bail;
use clap::{Parser, Subcommand};
use loomgate_bench::process;
use tokio::signal::unix::{SignalKind, signal};

/// The same allocator as the server's, so that the bare relay is no worse off.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

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
    /// Runs from their creation to the answer, beside the commits that they need.
    Runs(frame::Options),
    /// Modify Run and runs on PostgreSQL, by one, two and three processes, beside pgbench.
    Replicas(replicas::Arguments),
    /// Streams of runs beside the model's own, through the bare relay.
    Streams(frame::Options),
    /// Memory of streams that are open and say nothing.
    OpenStreams(open_streams::Arguments),
    /// First and deep pages of a long thread, over HTTP and from the raw store.
    Paging(paging::Arguments),
    /// Ingestion, searches of 100,000 chunks beside the bare scan, memory, starts, lists.
    FileSearch(file_search::Options),
    /// Searches of a large store on a PostgreSQL: page by page, by pgvector, in memory.
    Pgvector(file_search::pgvector::Options),
    /// How well written questions find their passages, on both databases.
    SearchQuality(search_quality::Options),
    /// Passes everything on to an address, without a thought.
    #[command(hide = true)]
    BareRelay(bare::relay::Options),
    /// Answers with what it was sent.
    #[command(hide = true)]
    BareEcho,
    /// Answers with one event, and holds the stream.
    #[command(hide = true)]
    BareHold,
}

impl What {
    /// Whether this process is the load, which has a core of its own.
    fn is_load(&self) -> bool {
        !matches!(
            self,
            Self::Start(_)
                | Self::FileSearch(_)
                | Self::Pgvector(_)
                | Self::SearchQuality(_)
                | Self::BareRelay(_)
                | Self::BareEcho
                | Self::BareHold
        )
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
    let work = async {
        match &what {
            What::Start(arguments) => start::run(arguments, out).await,
            What::ModifyRun(options) => modify_run::run(options, out).await,
            What::Relay(arguments) => relay::run(arguments, out).await,
            What::Paging(arguments) => paging::run(arguments, out).await,
            What::Runs(options) => runs::run(options, out).await,
            What::Replicas(arguments) => replicas::run(arguments, out).await,
            What::Streams(options) => streams::run(options, out).await,
            What::OpenStreams(arguments) => open_streams::run(arguments, out).await,
            What::FileSearch(options) => file_search::run(options, out).await,
            What::Pgvector(options) => file_search::pgvector::run(options, out).await,
            What::SearchQuality(options) => search_quality::run(options, out).await,
            What::BareRelay(options) => bare::relay::serve(options, out).await,
            What::BareHold => bare::hold::serve(out).await,
            What::BareEcho => bare::echo::serve(out).await,
        }
    };
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        // Whatever was started goes with what is dropped.
        tokio::select! {
            done = Box::pin(work) => done,
            _ = tokio::signal::ctrl_c() => bail!("interrupted"),
            _ = terminated.recv() => bail!("terminated"),
        }
    })
}
