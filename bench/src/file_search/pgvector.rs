//! Searches of a store that does not fit the memory, on a PostgreSQL: page by page, by pgvector, and in memory for
//! comparison.

use std::{
    fmt::Write as _,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use loomgate_bench::{cluster::Cluster, document, statistics::median};
use serde_json::json;
use tokio::time::sleep;

use super::{
    ask,
    client::{self, Client},
    config,
    corpus::Corpus,
    embeddings, texts,
};
use crate::server::Server;

/// Beside the defaults.
const SETTINGS: &str = "shared_buffers = 256MB";
/// Vectors in pgvector's table, and vectors in all.
const FILLED: &str =
    "SELECT (SELECT COUNT(*) FROM chunk_embeddings) || ' ' || (SELECT COUNT(*) FROM chunk_vectors)";
/// Tokens of a chunk.
const TOKENS: usize = 300;
/// The longest wait until the table has all of them.
const PATIENCE: Duration = Duration::from_mins(5);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The program to measure; a release build.
    #[arg(long, default_value = "target/release/loomgate")]
    binary: PathBuf,
    /// The folder of the programs of a PostgreSQL with pgvector; scripts/ensure-pgvector.sh prints it.
    #[arg(long)]
    postgres_bin: PathBuf,
    /// Chunks that are searched, at least.
    #[arg(long, default_value_t = 20_000)]
    chunks: u32,
    /// Searches that are measured.
    #[arg(long, default_value_t = 50)]
    searches: usize,
    /// Write the table into this document, between its markers.
    #[arg(long)]
    document: Option<PathBuf>,
}

/// How a store is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Pages,
    Pgvector,
    Memory,
}

impl Way {
    fn words(self) -> &'static str {
        match self {
            Self::Pages => "page by page",
            Self::Pgvector => "by pgvector",
            Self::Memory => "in memory, for comparison",
        }
    }

    /// What the server may keep in memory, in MB.
    fn memory_mb(self) -> u32 {
        match self {
            Self::Pages | Self::Pgvector => 1,
            Self::Memory => 256,
        }
    }
}

struct Bench<'a> {
    options: &'a Options,
    folder: &'a Path,
    database: String,
    provider: String,
}

pub(crate) async fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(&options.postgres_bin, folder.path(), SETTINGS, None).await?;
    let stand_in = embeddings::start().await?;
    let bench = Bench {
        options,
        folder: folder.path(),
        database: cluster.database("searched").await?,
        provider: config(stand_in.address),
    };
    let (texts, mut corpus, size) = texts(options.chunks, 50_000, TOKENS)?;
    let codes = size.chunks as usize * embeddings::DIMENSIONS;
    ensure!(codes > 1 << 20, "{codes} bytes fit the memory: --chunks");
    let server = bench.start(Way::Pages).await?;
    let files = client::upload_all(&server, &texts).await?;
    let mut client = Client::of(&server).await?;
    let store = client.store().await?;
    let sizes = json!({"max_chunk_size_tokens": TOKENS, "chunk_overlap_tokens": 0});
    let chunking = json!({"type": "static", "static": sizes});
    client.index(&store, &files, &chunking).await?;
    let mut table = format!(
        "Measured on {}; `{}` build; {}.\n\n| a search of {} chunks of {} dimensions | median of {} | worst |\n\
         | --- | ---: | ---: |\n",
        document::machine(),
        document::build(&options.binary),
        cluster
            .query(&bench.database, "SELECT split_part(version(), ' on ', 1)")
            .await?,
        size.chunks,
        embeddings::DIMENSIONS,
        options.searches,
    );
    let mut row = |way: Way, mut times: Vec<f64>| {
        let worst = times.iter().copied().fold(0.0, f64::max);
        let median = median(&mut times);
        let (name, median, worst) = (way.words(), median * 1e3, worst * 1e3);
        writeln!(table, "| {name} | {median:.1} ms | {worst:.1} ms |")
    };
    row(
        Way::Pages,
        bench.search(&server, &store, &mut corpus).await?,
    )?;
    server.process.kill().await?;

    cluster
        .query(&bench.database, "CREATE EXTENSION vector")
        .await?;
    let server = bench.start(Way::Pgvector).await?;
    let filled = filled(&cluster, &bench.database).await?;
    row(
        Way::Pgvector,
        bench.search(&server, &store, &mut corpus).await?,
    )?;
    server.process.kill().await?;
    let server = bench.start(Way::Memory).await?;
    row(
        Way::Memory,
        bench.search(&server, &store, &mut corpus).await?,
    )?;

    let version = "SELECT extversion FROM pg_extension WHERE extname = 'vector'";
    let version = cluster.query(&bench.database, version).await?;
    let seconds = filled.as_secs_f64();
    writeln!(
        table,
        "\npgvector {version}, its table filled {seconds:.1} s after the start."
    )?;
    out.write_all(table.as_bytes())?;
    if let Some(path) = &options.document {
        document::replace(path, "pgvector", &table)?;
    }
    Ok(())
}

impl Bench<'_> {
    async fn start(&self, way: Way) -> anyhow::Result<Server> {
        let config = format!(
            "database = \"{}\"\n{}memory_mb = {}\n",
            self.database,
            self.provider,
            way.memory_mb()
        );
        Server::start(&self.options.binary, self.folder, &config, None).await
    }

    /// How long searches take, in seconds; the first ones do not count.
    async fn search(
        &self,
        server: &Server,
        store: &str,
        corpus: &mut Corpus,
    ) -> anyhow::Result<Vec<f64>> {
        let mut client = Client::of(server).await?;
        let mut times = Vec::new();
        for number in 0..self.options.searches + 3 {
            let question = corpus.question();
            let began = Instant::now();
            ask(&mut client, store, &question).await?;
            if number >= 3 {
                times.push(began.elapsed().as_secs_f64());
            }
        }
        Ok(times)
    }
}

/// Waits until pgvector's table has all vectors. How long that took.
async fn filled(cluster: &Cluster, database: &str) -> anyhow::Result<Duration> {
    let began = Instant::now();
    loop {
        let counts = cluster.query(database, FILLED).await?;
        let (there, all) = counts.split_once(' ').context("no counts")?;
        if there == all && all != "0" {
            cluster.query(database, "ANALYZE").await?;
            return Ok(began.elapsed());
        }
        ensure!(began.elapsed() < PATIENCE, "the table has {there} of {all}");
        sleep(Duration::from_millis(100)).await;
    }
}
