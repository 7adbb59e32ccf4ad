//! File search: how fast files are indexed, how long searches of 100,000 chunks take beside the bare scan of as many
//! vectors, and what the server needs for it.

pub(crate) mod client;
mod corpus;
mod embeddings;
pub(crate) mod pgvector;
mod report;
mod scan;

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use loomgate_bench::document;
use loomgate_search::ChunkingStrategy;
use serde_json::{Value, json};

use self::{
    client::Client,
    corpus::Corpus,
    report::Figures,
    scan::{Scan, WANTED},
};
use crate::server::Server;

/// Objects of a page.
const PAGE: usize = 20;
/// How often each page is read.
const READS: usize = 200;
/// Questions whose nearest chunks are compared with those of an exact search.
const QUESTIONS: usize = 100;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The program to measure; a release build.
    #[arg(long, default_value = "target/release/loomgate")]
    binary: PathBuf,
    /// Chunks that are searched, at least.
    #[arg(long, default_value_t = 100_000)]
    chunks: u32,
    /// Bytes of a file.
    #[arg(long, default_value_t = 50_000)]
    file_bytes: usize,
    /// Tokens of a chunk; none are shared.
    #[arg(long, default_value_t = 300)]
    chunk_tokens: usize,
    /// Searches that are measured.
    #[arg(long, default_value_t = 300)]
    searches: usize,
    /// Starts after a kill that are measured.
    #[arg(long, default_value_t = 7)]
    starts: usize,
    /// Seconds without a call before the searches; after twelve the index of words is in one piece.
    #[arg(long, default_value_t = 12)]
    quiet_s: u64,
    /// Write the page here.
    #[arg(long)]
    document: Option<PathBuf>,
}

pub(crate) async fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let stand_in = embeddings::start().await?;
    let config = config(stand_in.address);
    let (texts, mut corpus, size) =
        texts(options.chunks, options.file_bytes, options.chunk_tokens)?;
    let mut figures = Figures {
        chunk_tokens: options.chunk_tokens,
        chunks: size.chunks,
        bytes: size.bytes,
        files: texts.len(),
        ..Figures::default()
    };
    writeln!(
        out,
        "file-search: {} files, {} chunks",
        figures.files, figures.chunks
    )?;
    let server = start(options, folder.path(), &config).await?;
    let store = ingest(&server, &texts, &mut figures).await?;
    let scan = Scan::new(&texts, ChunkingStrategy::new(options.chunk_tokens, 0)?)?;
    drop(texts);
    writeln!(
        out,
        "file-search: indexed in {:.0} s",
        figures.indexing.as_secs_f64()
    )?;
    // The server puts its index of words together when nothing is being indexed.
    tokio::time::sleep(Duration::from_secs(options.quiet_s)).await;
    search(
        &server,
        (&store, &scan),
        options,
        (&mut corpus, &mut figures),
    )
    .await?;
    figures.recall = recall(&server, (&store, &scan)).await?;
    list(&server, &store, &mut figures).await?;
    restart(
        server,
        folder.path(),
        &config,
        options,
        (&store, &mut corpus, &mut figures),
    )
    .await?;

    let build = document::build(&options.binary);
    let text = figures.write(&document::machine(), &build)?;
    out.write_all(text.as_bytes())?;
    if let Some(path) = &options.document {
        std::fs::write(path, &text)?;
    }
    Ok(())
}

/// A configuration whose embeddings come from a provider there. Its last section is `file_search`.
fn config(provider: SocketAddr) -> String {
    format!(
        "default_virtual_key = \"model\"\n[virtual_keys.model]\nprovider = \"openai\"\n\
         base_url = \"http://{provider}/v1\"\napi_key = \"sk-stand-in-000000\"\n\
         [file_search]\nembeddings = \"model/stand-in\"\n"
    )
}

async fn start(options: &Options, folder: &Path, config: &str) -> anyhow::Result<Server> {
    Server::start(&options.binary, folder, config, None).await
}

/// How much there is.
#[derive(Debug, Default)]
struct Size {
    chunks: u32,
    bytes: usize,
}

/// Texts of so many bytes that have so many chunks of so many tokens.
fn texts(
    chunks: u32,
    file_bytes: usize,
    chunk_tokens: usize,
) -> anyhow::Result<(Arc<[String]>, Corpus, Size)> {
    let mut corpus = Corpus::new(7);
    let strategy = ChunkingStrategy::new(chunk_tokens, 0)?;
    let (mut texts, mut size) = (Vec::new(), Size::default());
    while size.chunks < chunks {
        let text = corpus.text(file_bytes);
        for chunk in loomgate_search::chunks(&text, strategy, usize::MAX) {
            chunk?;
            size.chunks += 1;
        }
        size.bytes += text.len();
        texts.push(text);
    }
    Ok((texts.into(), corpus, size))
}

async fn ingest(
    server: &Server,
    texts: &Arc<[String]>,
    figures: &mut Figures,
) -> anyhow::Result<String> {
    let process = &server.process;
    figures.resident[0] = process.resident()?;
    let began = Instant::now();
    let files = client::upload_all(server, texts).await?;
    figures.upload = began.elapsed();
    let mut client = Client::of(server).await?;
    let store = client.store().await?;
    let sizes = json!({"max_chunk_size_tokens": figures.chunk_tokens, "chunk_overlap_tokens": 0});
    let chunking = json!({"type": "static", "static": sizes});
    let (began, cpu) = (Instant::now(), process.cpu()?);
    client.index(&store, &files, &chunking).await?;
    figures.indexing = began.elapsed();
    figures.indexing_cpu = process.cpu()?.saturating_sub(cpu);
    figures.resident[1] = process.resident()?;
    Ok(store)
}

/// Searches, in turns with the bare scan.
async fn search(
    server: &Server,
    (store, scan): (&str, &Scan),
    options: &Options,
    (corpus, figures): (&mut Corpus, &mut Figures),
) -> anyhow::Result<()> {
    figures.scan_bytes = scan.bytes();
    let mut client = Client::of(server).await?;
    // The first ones find nothing in any cache.
    for _ in 0..20 {
        let question = corpus.question();
        ask(&mut client, store, &question).await?;
        scan.time(&question)?;
    }
    for _ in 0..options.searches {
        let question = corpus.question();
        let (began, cpu) = (Instant::now(), server.process.cpu()?);
        ask(&mut client, store, &question).await?;
        figures.searches.push(began.elapsed());
        figures.search_cpu += server.process.cpu()?.saturating_sub(cpu);
        figures.scans.push(scan.time(&question)?);
    }
    figures.resident[2] = server.process.resident()?;
    Ok(())
}

/// A search that has to bring as much as is wanted.
async fn ask(client: &mut Client, store: &str, question: &str) -> anyhow::Result<Vec<Value>> {
    let results = client.search(store, question, WANTED).await?;
    ensure!(
        results.len() == WANTED,
        "{question}: {} results",
        results.len()
    );
    Ok(results)
}

/// Of the ten nearest of an exact search, the part that the server finds, over some questions. No chunk has a
/// word of these, so that vectors alone decide.
async fn recall(server: &Server, (store, scan): (&str, &Scan)) -> anyhow::Result<f64> {
    let mut client = Client::of(server).await?;
    let (mut wanted, mut both) = (0, 0);
    for number in 0..QUESTIONS {
        let question = format!("{number}00{number}");
        let results = ask(&mut client, store, &question).await?;
        let texts = results
            .iter()
            .filter_map(|result| result["content"][0]["text"].as_str());
        let found: Vec<_> = texts.map(embeddings::key).collect();
        let exact = scan.exact(&question)?;
        wanted += exact.len();
        both += exact.iter().filter(|key| found.contains(key)).count();
    }
    ensure!(wanted > 0, "nothing was asked");
    #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
    let part = both as f64 / wanted as f64;
    Ok(part)
}

/// Reads pages at the beginning, in the middle and at the end.
async fn list(server: &Server, store: &str, figures: &mut Figures) -> anyhow::Result<()> {
    let mut client = Client::of(server).await?;
    let in_store = format!("{store}/files");
    for (name, list) in [("files of a store", &*in_store), ("all files", "/v1/files")] {
        let first = format!("{list}?limit={PAGE}&order=asc");
        let mut starts = vec![first.clone()];
        loop {
            let page = client.get(&starts[starts.len() - 1]).await?;
            if page["has_more"] != true {
                break;
            }
            let last = page["last_id"].as_str().context("no last_id")?;
            starts.push(format!("{first}&after={last}"));
        }
        // The last page may be a short one.
        let last = starts.len().saturating_sub(2);
        let mut times = [const { Vec::new() }; 3];
        for _ in 0..READS {
            for (page, times) in [0, last / 2, last].into_iter().zip(&mut times) {
                let began = Instant::now();
                client.get(&starts[page]).await?;
                times.push(began.elapsed());
            }
        }
        figures.pages.push((name, times));
    }
    Ok(())
}

/// Kills the server and starts it again, a few times.
async fn restart(
    mut server: Server,
    folder: &Path,
    config: &str,
    options: &Options,
    (store, corpus, figures): (&str, &mut Corpus, &mut Figures),
) -> anyhow::Result<()> {
    for _ in 0..options.starts {
        server.process.kill().await?;
        let began = Instant::now();
        server = start(options, folder, config).await?;
        let listening = began.elapsed();
        let mut client = Client::of(&server).await?;
        ask(&mut client, store, &corpus.question()).await?;
        let answered: Duration = began.elapsed();
        figures.ready.push([listening, answered]);
        figures.resident[3] = server.process.resident()?;
    }
    Ok(())
}
