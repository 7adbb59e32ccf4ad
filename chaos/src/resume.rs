//! How long it takes after a kill until the server is ready, and until all runs that were in flight
//! have been taken up again: until the model was asked for each of them once more.

use std::{
    fmt::Write as _,
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::ensure;
use loomgate_bench::{document, statistics::median};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    api::{Answer, Api},
    model::{Pace, StandIn},
    question::Question,
    stage::{self, KEYS, Stage},
};

/// How long all of it may take.
const LONGEST: Duration = Duration::from_mins(2);
/// As many runs as are measured may be carried out at a time.
const CONFIG: &str = "[worker]\nconcurrency = 1024\n";
/// Goals, in milliseconds: ready; and resumed, for each run that much more.
const READY: f64 = 300.0;
const RESUMED: (f64, f64) = (1_000.0, 1.0);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs in flight.
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    runs: Vec<u32>,
    /// Kills for each number of runs.
    #[arg(long, default_value_t = 7)]
    kills: usize,
}

pub(crate) async fn run(
    options: &Options,
    binary: &Path,
    document: Option<&PathBuf>,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut text = stage::measured(binary);
    text.push_str(
        "| runs in flight | ready, median | ready, most | goal | resumed, median | resumed, most | goal |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for runs in &options.runs {
        let times = measure(binary, *runs, options.kills).await?;
        let [ready, resumed] = times.map(|mut times| {
            let median = median(&mut times);
            (median, times.last().copied().unwrap_or(median))
        });
        let goal = RESUMED.0 + RESUMED.1 * f64::from(*runs);
        writeln!(
            text,
            "| {runs} | {:.0} ms | {:.0} ms | {READY:.0} ms | {:.0} ms | {:.0} ms | {goal:.0} ms |",
            ready.0, ready.1, resumed.0, resumed.1
        )?;
        writeln!(
            out,
            "chaos: {runs} runs: ready {ready:?}, resumed {resumed:?} ms"
        )?;
    }
    out.write_all(text.as_bytes())?;
    if let Some(path) = document {
        document::replace(path, "resume", &text)?;
    }
    Ok(())
}

/// Milliseconds until it was ready, and until all runs were resumed, kill by kill.
async fn measure(binary: &Path, runs: u32, kills: usize) -> anyhow::Result<[Vec<f64>; 2]> {
    let folder = tempfile::tempdir()?;
    let model = StandIn::start(Pace::Never).await?;
    let mut stage = Stage::set(binary, folder.path(), model.address, CONFIG)?;
    stage.start().await?;
    let api = stage.api(KEYS[0].secret);
    let assistant = stage::assistant(&api).await?;
    let mut asks = JoinSet::new();
    for number in 1..=runs {
        asks.spawn(begin(api.clone(), assistant.clone(), number));
    }
    for done in asks.join_all().await {
        done?;
    }
    all_asked(&model, runs).await?;
    let [mut ready, mut resumed] = [Vec::new(), Vec::new()];
    for _ in 0..kills {
        stage.kill().await?;
        model.forget();
        let began = Instant::now();
        stage.start().await?;
        ensure!(api.is_ready().await, "it listens, and is not ready");
        ready.push(began.elapsed().as_secs_f64() * 1e3);
        all_asked(&model, runs).await?;
        resumed.push(began.elapsed().as_secs_f64() * 1e3);
    }
    stage.kill().await?;
    Ok([ready, resumed])
}

async fn begin(api: Api, assistant: String, number: u32) -> anyhow::Result<()> {
    let question = Question { number, rounds: 0 };
    let message = json!({"role": "user", "content": question.text(1)});
    let body = json!({"assistant_id": assistant, "thread": {"messages": [message]}});
    match api.post("/threads/runs", &body).await {
        Answer::Done(_) => Ok(()),
        other => anyhow::bail!("POST /threads/runs: {other:?}"),
    }
}

/// Waits until the model was asked so many questions.
async fn all_asked(model: &StandIn, runs: u32) -> anyhow::Result<()> {
    let began = Instant::now();
    while model.asked() < runs as usize {
        ensure!(
            began.elapsed() < LONGEST,
            "{} of {runs} runs go on",
            model.asked()
        );
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}
