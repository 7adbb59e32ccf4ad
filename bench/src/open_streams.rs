//! Streams that are open and say nothing: memory of each, beside a server that only holds them; what is left when
//! all are closed and their runs have ended; and a reader that does not read.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use loomgate_bench::{process::Process, statistics::count};
use serde_json::Value;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    api::{Api, id, text},
    bare,
    events::{Events, field},
    frame::{
        Options, SERVER_CORE,
        cell::LOOMGATE,
        report::{Goal, Report},
    },
    http::{Connection, encode},
    model::{self, HELD, Question},
    runs::client,
    server::Server,
};

/// Streams that are opened at the same time.
const OPENERS: usize = 32;
/// Runs that share all streams, in the second form.
const SHARED: usize = 100;
/// The most memory of a stream, and what may be left of it all.
const MOST: Goal = Goal::AtMost(24.0);
const BACK: Goal = Goal::AtMost(1.1);
/// Readers that do not read.
const READERS: usize = 50;
/// More memory of a reader that stalls when the stream is twice as long; KB.
const GROWS: Goal = Goal::AtMost(64.0);
/// The longest that memory may take to come back.
const PATIENCE: Duration = Duration::from_secs(15);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Open streams.
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    streams: Vec<usize>,
    /// Tokens of a stream that readers stall at; then twice as many.
    #[arg(long, default_value_t = 60_000)]
    tokens: usize,
    /// Memory that is the same for so long has settled; milliseconds.
    #[arg(long, default_value_t = 2_000)]
    pause_ms: u64,
}

pub(crate) async fn run(arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<()> {
    let options = &arguments.options;
    let pause = Duration::from_millis(arguments.pause_ms);
    let files = open_files()?;
    let mut report = Report::new("open-streams", options, Vec::new());
    report.block_is("all streams");
    for streams in &arguments.streams {
        // Each is a file of the client, and again one of the model, and of the server twice.
        let together = (*streams).min(files.saturating_sub(streams + 200));
        ensure!(
            together > 0,
            "{streams} streams want more open files than {files}"
        );
        let mut figures = [const { Vec::new() }; 3];
        for _ in 0..options.blocks {
            figures[0].push(held(*streams, pause).await?);
            figures[1].push(
                Host::set(options, together)
                    .await?
                    .own(*streams, pause)
                    .await?,
            );
            figures[2].push(
                Host::set(options, SHARED)
                    .await?
                    .shared(*streams, pause)
                    .await?,
            );
        }
        let names = [
            "bare hold server".to_owned(),
            format!("{LOOMGATE}, a run each, {together} of them with their model"),
            format!("{LOOMGATE}, streams of {SHARED} runs"),
        ];
        for (place, (name, figures)) in names.into_iter().zip(figures).enumerate() {
            let goal = |goal| (place > 0).then_some(goal);
            let each = figures.iter().map(|it| it.each).collect();
            let what = format!("{streams} streams, {name}: memory of each");
            report.compare(what, "KB", each, goal(MOST));
            let back = figures.iter().map(|it| it.back).collect();
            let what = format!("{streams} streams, {name}: memory after the end, to that before");
            report.compare(what, "", back, goal(BACK));
            let again = figures.iter().filter_map(|it| it.again).collect();
            let what =
                format!("{streams} streams, {name}: and again: after the end, to that before");
            report.compare(what, "", again, goal(BACK));
        }
    }
    let mut stalled = Vec::new();
    for tokens in [arguments.tokens, 2 * arguments.tokens] {
        let alone = Host::set(options, SHARED).await?.readers(tokens, 0).await?;
        let all = Host::set(options, SHARED).await?;
        let all = all.readers(tokens, READERS).await?;
        let each = (all - alone) / count(READERS as u64);
        let what = format!("a reader that stalls, of {tokens} tokens: memory of each");
        report.compare(what, "KB", vec![each], None);
        stalled.push(each);
    }
    let what = "a reader that stalls: more memory when the stream is twice as long";
    report.compare(what, "KB", vec![stalled[1] - stalled[0]], Some(GROWS));
    report.note(format!("Processes here may have {files} files open."));
    report.finish(out)
}

/// How many files a process may have open.
fn open_files() -> anyhow::Result<usize> {
    let limits = std::fs::read_to_string("/proc/self/limits")?;
    let line = limits
        .lines()
        .find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next());
    Ok(soft.context("no limit of open files")?.parse()?)
}

/// Memory of a process with streams.
struct Figures {
    /// Per stream, in KB.
    each: f64,
    /// Once they are closed, as a multiple of before.
    back: f64,
    /// Once as many others were closed, as a multiple of that.
    again: Option<f64>,
}

async fn held(streams: usize, pause: Duration) -> anyhow::Result<Figures> {
    let process = bare::start(&["bare-hold"]).await?;
    let requests = vec![encode("GET", "/", "", ""); streams];
    // As with ours, what is needed once is not counted.
    drop(open(&process, requests[..1].to_vec()).await?);
    let first = figures(&process, requests.clone(), pause).await?;
    let again = figures(&process, requests, pause).await?.back;
    Ok(Figures {
        again: Some(again),
        ..first
    })
}

/// A server whose runs wait for their model.
struct Host {
    server: Server,
    assistant: String,
    _model: crate::stand_in::StandIn,
    _folder: tempfile::TempDir,
}

impl Host {
    async fn set(options: &Options, together: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let model = model::start().await?;
        model::hold(true);
        let besides = format!(
            "[http]\nmax_requests_per_key = 16384\nmax_requests_per_workspace = 16384\n\
             [worker]\nconcurrency = {together}\n"
        );
        let config = model::config(model.address, &besides);
        let core = Some(SERVER_CORE);
        let server = Server::start(&options.binary, folder.path(), &config, core).await?;
        let host = Self {
            assistant: client::assistant(&server).await?,
            server,
            _model: model,
            _folder: folder,
        };
        // What is needed once is not counted.
        let request = host.request(question(0, 1, Duration::ZERO));
        let mut connection = Connection::open(host.server.process.address).await?;
        let mut events = Events::open(&mut connection, &request).await?;
        while events.next().await?.is_some() {}
        host.server.settle().await?;
        Ok(host)
    }

    /// Makes a thread and a run, and follows it.
    fn request(&self, question: Question) -> Vec<u8> {
        let body = client::body(&self.assistant, question, true).to_string();
        encode("POST", "/v1/threads/runs", &self.server.key, &body)
    }

    /// Streams of a run each.
    async fn own(self, streams: usize, pause: Duration) -> anyhow::Result<Figures> {
        let process = &self.server.process;
        let round = async || {
            model::hold(true);
            let numbers = (1..).take(streams);
            let requests = numbers.map(|number| self.request(question(number, 1, HELD)));
            figures(process, requests.collect(), pause).await
        };
        let first = round().await?;
        let again = round().await?.back;
        Ok(Figures {
            again: Some(again),
            ..first
        })
    }

    /// Streams of some runs, which were there before.
    async fn shared(self, streams: usize, pause: Duration) -> anyhow::Result<Figures> {
        let mut paths = Vec::new();
        for number in (1..).take(SHARED) {
            paths.push(self.begin(question(number, 1, HELD)).await?);
        }
        let process = &self.server.process;
        let key = &self.server.key;
        let requests = paths.iter().cycle().take(streams);
        let requests = requests.map(|path| encode("GET", path, key, ""));
        figures(process, requests.collect(), pause).await
    }

    /// Begins a run; the path of its stream.
    async fn begin(&self, question: Question) -> anyhow::Result<String> {
        let mut api = Api::of(&self.server).await?;
        let body = client::body(&self.assistant, question, false);
        stream_of(&api.post("/v1/threads/runs", &body).await?)
    }

    /// The most memory while a long stream is read by one, and so many others have it open and read nothing; in KB
    /// more than before.
    async fn readers(self, tokens: usize, stalled: usize) -> anyhow::Result<f64> {
        let process = &self.server.process;
        let before = process.resident()?;
        let mut most = before;
        let request = self.request(question(1, tokens, Duration::ZERO));
        let mut connection = Connection::open(process.address).await?;
        let mut events = Events::open(&mut connection, &request).await?;
        let (mut others, mut told) = (Vec::new(), 0);
        while let Some(event) = events.next().await? {
            match field(event, "event: ") {
                Some(b"thread.run.created") => {
                    let data = field(event, "data: ").context("no data")?;
                    let path = stream_of(&serde_json::from_slice(data)?)?;
                    let request = encode("GET", &path, &self.server.key, "");
                    for _ in 0..stalled {
                        let mut other = Connection::open(process.address).await?;
                        other.begin(&request).await?;
                        others.push(other);
                    }
                }
                Some(b"thread.message.delta") => {
                    told += 1;
                    if told % 1_000 == 0 {
                        most = most.max(process.resident()?);
                    }
                }
                _ => {}
            }
        }
        ensure!(told > 0, "nothing was told");
        most = most.max(process.resident()?);
        Ok(count(most - before) / 1024.0)
    }
}

/// The path of a run's stream.
fn stream_of(run: &Value) -> anyhow::Result<String> {
    let thread = text(run, "thread_id")?;
    Ok(format!("/v1/threads/{thread}/runs/{}/stream", id(run)?))
}

fn question(number: u64, tokens: usize, gap: Duration) -> Question {
    // A model that is held keeps a token back.
    let tokens = tokens + usize::from(gap == HELD);
    Question {
        number,
        calls: 0,
        tokens,
        gap,
    }
}

/// Opens a stream with each request, and reads what it says at first.
async fn open(process: &Process, requests: Vec<Vec<u8>>) -> anyhow::Result<Vec<Connection>> {
    let (address, streams) = (process.address, requests.len());
    let mut shares: Vec<Vec<Vec<u8>>> = vec![Vec::new(); OPENERS];
    for (place, request) in requests.into_iter().enumerate() {
        shares[place % OPENERS].push(request);
    }
    let mut openers = JoinSet::new();
    for share in shares {
        openers.spawn(async move {
            let mut open = Vec::new();
            for request in share {
                let mut connection = Connection::open(address).await?;
                let mut events = Events::open(&mut connection, &request).await?;
                ensure!(events.next().await?.is_some(), "a stream ended");
                connection.forget();
                open.push(connection);
            }
            Ok(open)
        });
    }
    let mut open = Vec::with_capacity(streams);
    while let Some(opened) = openers.join_next().await {
        open.extend(opened??);
    }
    Ok(open)
}

/// Opens streams, waits until memory is at rest, and closes them.
async fn figures(
    process: &Process,
    requests: Vec<Vec<u8>>,
    pause: Duration,
) -> anyhow::Result<Figures> {
    let before = process.resident()?;
    let open = open(process, requests).await?;
    let streams = count(open.len() as u64);
    let most = settled(process, pause).await?;
    drop(open);
    model::hold(false);
    let after = settled(process, pause).await?;
    Ok(Figures {
        each: count(most.saturating_sub(before)) / 1024.0 / streams,
        back: count(after) / count(before),
        again: None,
    })
}

/// Memory, when it does not change any more.
async fn settled(process: &Process, pause: Duration) -> anyhow::Result<u64> {
    let until = Instant::now() + PATIENCE;
    let mut last = process.resident()?;
    loop {
        sleep(pause).await;
        let now = process.resident()?;
        if now.abs_diff(last) < 256 * 1024 || Instant::now() > until {
            return Ok(now);
        }
        last = now;
    }
}
