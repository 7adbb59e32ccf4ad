//! Streams of runs: what they add to the model's own stream, which comes through the bare relay: to the first token
//! of many streams at an even pace, to each token, and to the rate of one stream flat out.

use std::{
    io::Write,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use loomgate_bench::{
    process::Process,
    statistics::{count, median},
};
use serde_json::Value;

use crate::{
    bare,
    events::{Events, field, string_at},
    frame::{
        NO_KEY, Options, SERVER_CORE,
        cell::{AGAIN, Arm, Cell, Datum, Figure, LOOMGATE},
        load::{self, Caller, Load, Spent},
        report::{Goal, Report},
        turns::{self, Stage},
    },
    http::{Connection, encode},
    model::{self, Answer, Question},
    raw::RawStore,
    runs::client,
    server::Server,
};

const BARE: Arm = "bare relay";
const RAW: Arm = "raw store";
/// Streams at the same time, one after the other on each connection.
const STREAMS: u32 = 100;
/// Of a stream at a pace: 50 in a second.
const GAP: Duration = Duration::from_millis(20);
const TOKENS: usize = 50;
/// How many such streams begin in a second, so that one follows the other after a second.
const STARTS: u32 = 100;
/// Of a stream flat out.
const TOKENS_FLAT_OUT: usize = 5_000;
/// A percentile of 99 wants so many samples.
const SAMPLES: usize = 10_000;

/// What was seen of streams, by arm.
#[derive(Debug, Default)]
struct Seen {
    first: Vec<f64>,
    delays: Vec<f64>,
}

type Shared = Arc<Mutex<Seen>>;

struct Bench {
    server: Server,
    bare: Process,
    raw: RawStore,
    assistant: String,
    /// Streams so far.
    asked: u64,
    length: Duration,
    /// Of all blocks at a pace: of the bare relay, of Loomgate.
    delays: [Vec<f64>; 2],
}

/// Streams of one client in a block, at most.
const NUMBERS: u64 = 10_000;

pub(crate) async fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let model = model::start().await?;
    let upstream = model.address.to_string();
    let core = Some(SERVER_CORE);
    let config = model::config(model.address, "");
    let server = Server::start(&options.binary, folder.path(), &config, core).await?;
    let mut bench = Bench {
        assistant: client::assistant(&server).await?,
        server,
        bare: bare::start(&["bare-relay", "--upstream", &upstream]).await?,
        raw: RawStore::open(folder.path().join("raw").join("raw.db")).await?,
        asked: 0,
        length: options.length(),
        delays: Default::default(),
    };
    let mut cells = [
        Cell::new(
            format!("{STREAMS} streams, 50 tokens/s each"),
            &[RAW, BARE, LOOMGATE, AGAIN],
            Figure::FirstToken,
        ),
        Cell::new(
            format!("1 stream flat out, {TOKENS_FLAT_OUT} tokens"),
            &[BARE, LOOMGATE, AGAIN],
            Figure::PerSecond,
        ),
    ];
    let mut dice = options.dice();
    turns::take(&mut bench, &mut cells, options, &mut dice).await?;
    compare(Report::new("streams", options, cells.into()), bench.delays).finish(out)
}

fn compare(mut report: Report<'_>, mut delays: [Vec<f64>; 2]) -> Report<'_> {
    let added = report.cells()[0].each(|block| {
        let first = |arm| block.get(arm, Figure::FirstToken);
        (first(LOOMGATE) - first(BARE) - block.get(RAW, Figure::P50)) * 1e3
    });
    let what = "added to the first token at p50, above one commit of the raw store";
    report.compare(what, "ms", added, Some(Goal::AtMost(1.0)));
    let samples = delays.each_ref().map(Vec::len);
    for (what, percent, goal) in [("p50", 50, None), ("p99", 99, Some(Goal::AtMost(2.0)))] {
        let [bare, ours] = delays.each_mut().map(|delays| at(delays, percent) * 1e3);
        let what = format!("added to a token at {what}, of all blocks");
        report.compare(what, "ms", vec![ours - bare], goal);
    }
    let rates = report.cells()[1].each(|block| block.ratio([LOOMGATE, BARE], Figure::PerSecond));
    let what = "flat out, tokens/s: to the bare relay";
    report.compare(what, "", rates, Some(Goal::AtLeast(0.3)));
    for arm in [BARE, LOOMGATE] {
        let tokens = report.cells()[1]
            .each(|block| block.get(arm, Figure::PerSecond) * count(TOKENS_FLAT_OUT as u64));
        report.compare(format!("flat out: {arm}"), "tokens/s", tokens, None);
    }
    report.note(format!(
        "Samples of a token's time: {} of the bare relay, {} of Loomgate.",
        samples[0], samples[1]
    ));
    report
}

/// A percentile; none of too few samples.
fn at(samples: &mut [f64], percent: usize) -> f64 {
    if samples.is_empty() || percent > 50 && samples.len() < SAMPLES {
        return f64::NAN;
    }
    samples.sort_by(f64::total_cmp);
    samples[samples.len() * percent / 100]
}

impl Stage for Bench {
    async fn block(&mut self, cell: usize, arm: Arm) -> anyhow::Result<Datum> {
        let is_paced = cell == 0;
        let load = Load {
            pace: is_paced.then_some(STARTS),
            warm_up: 0,
            // What is flat out wants less time to be even.
            length: if is_paced && arm != RAW {
                self.length
            } else {
                self.length / 4
            },
            sleeps: false,
        };
        if arm == RAW {
            return self.raw.block(1, Load { pace: None, ..load }).await;
        }
        let process = match arm {
            BARE => &self.bare,
            _ => &self.server.process,
        };
        let seen = Shared::default();
        let mut callers = Vec::new();
        for client in 0..if is_paced { STREAMS } else { 1 } {
            self.asked += NUMBERS;
            callers.push(Client {
                connection: Connection::open(process.address).await?,
                assistant: (arm != BARE).then(|| self.assistant.clone()),
                key: match arm {
                    BARE => NO_KEY.to_owned(),
                    _ => self.server.key.clone(),
                },
                question: Question {
                    number: self.asked + u64::from(client),
                    calls: 0,
                    tokens: if is_paced { TOKENS } else { TOKENS_FLAT_OUT },
                    gap: if is_paced { GAP } else { Duration::ZERO },
                },
                seen: Arc::clone(&seen),
            });
        }
        let mut datum = if arm == BARE {
            let before = process.cpu()?;
            let done = load::run(callers, load).await?;
            done.datum(Spent::cpu(process.cpu()?.saturating_sub(before)))
        } else {
            let before = self.server.spent().await?;
            let done = load::run(callers, load).await?;
            self.server.settle().await?;
            done.datum(self.server.spent().await?.since(before))
        };
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        if is_paced {
            datum.insert(Figure::FirstToken, median(&mut seen.first));
            match arm {
                BARE => self.delays[0].append(&mut seen.delays),
                LOOMGATE => self.delays[1].append(&mut seen.delays),
                _ => {}
            }
        }
        Ok(datum)
    }
}

/// One stream after the other.
struct Client {
    connection: Connection,
    /// None: the model is asked.
    assistant: Option<String>,
    key: String,
    question: Question,
    seen: Shared,
}

impl Caller for Client {
    async fn call(&mut self) -> anyhow::Result<()> {
        self.question.number += 1;
        let mut answer = Answer::to(self.question);
        let (path, body) = match &self.assistant {
            Some(assistant) => {
                let body = client::body(assistant, self.question, true);
                ("/v1/threads/runs", body.to_string())
            }
            None => ("/v1/chat/completions", self.question.chat()),
        };
        let request = encode("POST", path, &self.key, &body);
        let began = Instant::now();
        let mut first = None;
        let mut completed = None;
        let mut events = Events::open(&mut self.connection, &request).await?;
        while let Some(event) = events.next().await? {
            let name = field(event, "event: ");
            if name.is_none_or(|name| name == b"thread.message.delta") {
                let key = match name {
                    Some(_) => r#""value":""#,
                    None => r#""content":""#,
                };
                if let Some(text) = string_at(event, key) {
                    first.get_or_insert_with(|| began.elapsed());
                    answer.push(text)?;
                }
            } else if name == Some(b"thread.message.completed") {
                completed = Some(serde_json::from_slice::<Value>(
                    field(event, "data: ").context("no data")?,
                )?);
            }
        }
        answer.is_whole()?;
        if self.assistant.is_some() {
            let message = completed.context("no message")?;
            let is_told = message["content"][0]["text"]["value"] == *answer.text;
            ensure!(is_told, "a message that was not told");
        }
        let first = first.context("no token")?.as_secs_f64();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.first.push(first);
        seen.delays.append(&mut answer.delays);
        Ok(())
    }
}
