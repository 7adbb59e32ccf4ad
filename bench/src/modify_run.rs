//! Modify Run: requests per second over HTTP, beside the raw store.

use std::{
    io::Write,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use loomgate_bench::document;
use loomgate_domain::{
    AssistantId, Metadata, Run, RunId, Thread, ThreadId, Timestamp, Usage, WorkspaceId,
    run::{Route, RunSettings, RunState},
    tool::{ResponseFormat, ToolChoice, ToolResources, Truncation},
};
use loomgate_store::{IfLocked, NewRun, NewRunThread, Store, ThreadStores};
use serde_json::Value;

use crate::{
    http::{Connection, encode},
    server::Server,
};

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The program to measure; a release build.
    #[arg(long, default_value = "target/release/loomgate")]
    binary: PathBuf,
    /// Blocks of each arm; the arms take turns.
    #[arg(long, default_value_t = 7)]
    blocks: usize,
    /// Length of a block, in milliseconds.
    #[arg(long, default_value_t = 1500)]
    block_ms: u64,
    /// Write the table into this document, between its markers.
    #[arg(long)]
    document: Option<PathBuf>,
}

/// Runs that are modified are made with the built-in model.
const CONFIG: &str = "[virtual_keys.echo]\nprovider = \"echo\"\n";
/// Commits of the server since its start.
const COMMITS: &str = "loomgate_store_commits_total";

/// One arm of the measurement.
#[derive(Clone, Copy)]
struct Arm {
    name: &'static str,
    over_http: bool,
    clients: usize,
}

const ARMS: [Arm; 4] = [
    Arm {
        name: "raw store, 1 client (one commit a request)",
        over_http: false,
        clients: 1,
    },
    Arm {
        name: "raw store, 64 clients (group commit)",
        over_http: false,
        clients: 64,
    },
    Arm {
        name: "over HTTP, 1 connection (one commit a request)",
        over_http: true,
        clients: 1,
    },
    Arm {
        name: "over HTTP, 64 connections (group commit)",
        over_http: true,
        clients: 64,
    },
];

/// What an arm did in one block.
struct Block {
    per_second: f64,
    commits_per_request: f64,
}

pub(crate) async fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let server = Server::start(&options.binary, folder.path(), CONFIG, None).await?;
    let path = prepare(&server).await?;
    let raw = RawStore::open(folder.path().join("raw.db")).await?;
    let length = Duration::from_millis(options.block_ms);

    let mut blocks: Vec<Vec<Block>> = ARMS.iter().map(|_| Vec::new()).collect();
    for round in 0..options.blocks {
        for offset in 0..ARMS.len() {
            let n = (round + offset) % ARMS.len();
            let arm = ARMS[n];
            let block = if arm.over_http {
                http_block(&server, &path, arm.clients, length).await?
            } else {
                raw.block(arm.clients, length).await?
            };
            blocks[n].push(block);
        }
    }
    let mut text = Vec::new();
    report(&blocks, &mut text)?;
    let text = String::from_utf8(text)?;
    out.write_all(text.as_bytes())?;
    if let Some(path) = &options.document {
        document::replace(path, "modify-run", &text)?;
    }
    Ok(())
}

fn report(blocks: &[Vec<Block>], out: &mut impl Write) -> anyhow::Result<()> {
    writeln!(out, "Measured on {}.\n", document::machine())?;
    writeln!(
        out,
        "| arm | requests/s, median | min | max | commits a request |"
    )?;
    writeln!(out, "| --- | ---: | ---: | ---: | ---: |")?;
    for (arm, blocks) in ARMS.iter().zip(blocks) {
        let rates = sorted(blocks.iter().map(|block| block.per_second));
        let commits = sorted(blocks.iter().map(|block| block.commits_per_request));
        writeln!(
            out,
            "| {} | {:.0} | {:.0} | {:.0} | {:.3} |",
            arm.name,
            median(&rates),
            rates[0],
            rates[rates.len() - 1],
            median(&commits),
        )?;
    }
    let ratio = |above: usize, below: usize| {
        let pairs = blocks[above].iter().zip(&blocks[below]);
        median(&sorted(pairs.map(|(a, b)| a.per_second / b.per_second)))
    };
    writeln!(out)?;
    writeln!(out, "Median of the ratios within a round:\n")?;
    let ratios = [
        (
            "64 connections over HTTP, to 1 connection (one commit a request)",
            ratio(3, 2),
        ),
        (
            "64 connections over HTTP, to the raw store at 1 client",
            ratio(3, 0),
        ),
        (
            "64 connections over HTTP, to the raw store at 64 clients",
            ratio(3, 1),
        ),
        (
            "1 connection over HTTP, to the raw store at 1 client",
            ratio(2, 0),
        ),
    ];
    for (what, ratio) in ratios {
        writeln!(out, "* {what}: {ratio:.2}")?;
    }
    Ok(())
}

fn sorted(values: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    values
}

fn median(sorted: &[f64]) -> f64 {
    sorted[sorted.len() / 2]
}

/// Makes a run that has ended, and returns the path to modify it.
async fn prepare(server: &Server) -> anyhow::Result<String> {
    let mut connection = Connection::open(server.process.address).await?;
    let mut post = async |path: &str, body: &str| -> anyhow::Result<Value> {
        let request = encode("POST", path, &server.key, body);
        Ok(serde_json::from_slice(connection.send(&request).await?)?)
    };
    let text = |value: &Value, key: &str| {
        let text = value[key].as_str().map(str::to_owned);
        text.with_context(|| format!("no {key} in {value}"))
    };
    let assistant = text(&post("/v1/assistants", r#"{"model":"echo"}"#).await?, "id")?;
    let run = post(
        "/v1/threads/runs",
        &format!(
            r#"{{"assistant_id":"{assistant}","thread":{{"messages":[{{"role":"user","content":"hello"}}]}}}}"#
        ),
    )
    .await?;
    let (thread, run) = (text(&run, "thread_id")?, text(&run, "id")?);
    Ok(format!("/v1/threads/{thread}/runs/{run}"))
}

async fn http_block(
    server: &Server,
    path: &str,
    clients: usize,
    length: Duration,
) -> anyhow::Result<Block> {
    let done = Arc::new(AtomicU64::new(0));
    let before = server.metrics().await?.number(COMMITS)?;
    let until = Instant::now() + length;
    let mut tasks = tokio::task::JoinSet::new();
    for client in 0..clients {
        let (path, done) = (path.to_owned(), Arc::clone(&done));
        let (address, key) = (server.process.address, server.key.clone());
        tasks.spawn(async move {
            let mut connection = Connection::open(address).await?;
            let mut n = 0_u64;
            while Instant::now() < until {
                n += 1;
                let body = format!(r#"{{"metadata":{{"client":"{client}","n":"{n}"}}}}"#);
                let request = encode("POST", &path, &key, &body);
                let answer = connection.send(&request).await?;
                let own = format!(r#""n":"{n}""#);
                let right = answer
                    .windows(own.len())
                    .any(|window| window == own.as_bytes());
                ensure!(right, "a wrong answer: {}", String::from_utf8_lossy(answer));
                done.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        });
    }
    let begun = Instant::now();
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let per_second = rate(&done, begun);
    let commits = server.metrics().await?.number(COMMITS)? - before;
    Ok(Block {
        per_second,
        commits_per_request: to_f64(commits) / to_f64(done.load(Ordering::Relaxed).max(1)),
    })
}

fn rate(done: &AtomicU64, begun: Instant) -> f64 {
    let done = u32::try_from(done.load(Ordering::Relaxed)).unwrap_or(u32::MAX);
    f64::from(done) / begun.elapsed().as_secs_f64()
}

/// The store without anything around it.
struct RawStore {
    store: Store,
    workspace: WorkspaceId,
    thread: ThreadId,
    run: RunId,
}

impl RawStore {
    async fn open(path: PathBuf) -> anyhow::Result<Self> {
        let store = Store::open(loomgate_store::Options::file(path))?;
        let workspace = store.workspaces().ensure("default").await?;
        let (thread, run) = (ThreadId::trusted("thread_raw"), RunId::trusted("run_raw"));
        let new = NewRun {
            thread: NewRunThread::New {
                thread: Thread {
                    id: thread.clone(),
                    created_at: Timestamp(0),
                    metadata: Metadata::default(),
                    tool_resources: ToolResources::default(),
                },
                messages: Vec::new(),
            },
            run: record(thread.clone(), run.clone()),
            sealed: None,
            events: None,
            at_ms: 0,
            if_locked: IfLocked::Refuse,
            stores: ThreadStores::default(),
            receipt: None,
        };
        store.runs().create(&workspace, new).await?;
        Ok(Self {
            store,
            workspace,
            thread,
            run,
        })
    }

    async fn block(&self, clients: usize, length: Duration) -> anyhow::Result<Block> {
        let done = Arc::new(AtomicU64::new(0));
        let before = self.store.stats().commits;
        let until = Instant::now() + length;
        let mut tasks = tokio::task::JoinSet::new();
        for client in 0..clients {
            let store = self.store.clone();
            let ids = (
                self.workspace.clone(),
                self.thread.clone(),
                self.run.clone(),
            );
            let done = Arc::clone(&done);
            tasks.spawn(async move {
                let (workspace, thread, run) = ids;
                let mut n = 0_u64;
                while Instant::now() < until {
                    n += 1;
                    let pairs = [
                        ("client".to_owned(), client.to_string()),
                        ("n".to_owned(), n.to_string()),
                    ];
                    let metadata = Metadata::new(pairs)?;
                    let runs = store.runs();
                    let run = runs.set_metadata(&workspace, &thread, &run, metadata.clone());
                    let run = run.await?.context("no run")?;
                    ensure!(run.metadata == metadata, "a wrong answer");
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            });
        }
        let begun = Instant::now();
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        let per_second = rate(&done, begun);
        let commits = self.store.stats().commits - before;
        let requests = done.load(Ordering::Relaxed).max(1);
        Ok(Block {
            per_second,
            commits_per_request: to_f64(commits) / to_f64(requests),
        })
    }
}

fn to_f64(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn record(thread_id: ThreadId, id: RunId) -> Run {
    Run {
        id,
        thread_id,
        assistant_id: AssistantId::trusted("asst_raw"),
        created_at: Timestamp(0),
        settings: RunSettings {
            model: "echo".to_owned(),
            instructions: String::new(),
            tools: Vec::new(),
            tool_resources: ToolResources::default(),
            temperature: None,
            top_p: None,
            reasoning_effort: None,
            max_prompt_tokens: None,
            max_completion_tokens: None,
            truncation: Truncation::Auto,
            response_format: ResponseFormat::Auto,
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            expires_at: Timestamp(600),
            stream: false,
            include_results: false,
            vector_stores: Vec::new(),
            route: Route::VirtualKey("echo".to_owned()),
            origin: None,
        },
        metadata: Metadata::default(),
        state: RunState::Completed {
            started_at: Timestamp(0),
            completed_at: Timestamp(0),
        },
        usage: Usage::default(),
    }
}
