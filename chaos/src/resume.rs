//! How long it takes after a kill until the server is ready, and until all runs that were in flight
//! have been taken up again: until the model was asked for each of them once more. By the server
//! itself, on its embedded database; and by another one that shares a PostgreSQL with it.

use std::{
    fmt::Write as _,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::ensure;
use loomgate_bench::{document, statistics::median};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{
    api::{Answer, Api},
    cluster,
    model::{Pace, StandIn},
    question::Question,
    stage::{self, KEYS, Postgres, Role, Setup, Stage},
    storm,
};

/// How long all of it may take.
const LONGEST: Duration = Duration::from_mins(2);
/// Goals, in milliseconds: ready; and resumed, for each run that much more.
const READY: f64 = 300.0;
const RESUMED: (f64, f64) = (1_000.0, 1.0);
/// The same for another server: in leases.
const TAKEN_OVER: f64 = 1.5;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs in flight.
    #[arg(long, value_delimiter = ',', default_value = "1,100,1000")]
    runs: Vec<u32>,
    /// Kills for each number of runs.
    #[arg(long, default_value_t = 7)]
    kills: usize,
    /// How long a lease lasts where another server takes runs over, in seconds.
    #[arg(long, default_value_t = 4)]
    lease: u32,
}

pub(crate) async fn run(
    options: &Options,
    storm: &storm::Options,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let mut text = stage::measured(&storm.binary);
    text.push_str(
        "| runs in flight | ready, median | ready, most | goal | resumed, median | resumed, most | goal |\n\
         | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
    );
    for runs in &options.runs {
        let folder = tempfile::tempdir()?;
        let mut flight = Flight::begin(options, storm, (folder.path(), None), *runs).await?;
        let (mut ready, mut resumed) = (Vec::new(), Vec::new());
        for _ in 0..options.kills {
            let times = flight.again().await?;
            ready.push(times[0]);
            resumed.push(times[1]);
        }
        let goal = RESUMED.0 + RESUMED.1 * f64::from(*runs);
        let (ready, resumed) = (middle_and_most(ready), middle_and_most(resumed));
        writeln!(
            text,
            "| {runs} | {ready} | {READY:.0} ms | {resumed} | {goal:.0} ms |"
        )?;
        writeln!(out, "chaos: {runs} runs: ready {ready}, resumed {resumed}")?;
    }
    let lease_ms = f64::from(options.lease) * 1e3;
    writeln!(
        text,
        "\nTwo servers on PostgreSQL, leases of {lease_ms:.0} ms; the one that has the runs is killed.\n\n\
         | runs in flight | taken over, median | taken over, most | goal |\n\
         | ---: | ---: | ---: | ---: |"
    )?;
    for runs in &options.runs {
        let folder = tempfile::tempdir()?;
        let cluster = storm.ground.cluster(folder.path()).await?;
        let postgres = Postgres {
            url: cluster.url(None),
            records: cluster::records(&cluster),
        };
        let place = (folder.path(), Some(postgres));
        let mut flight = Flight::begin(options, storm, place, *runs).await?;
        let mut taken_over = Vec::new();
        for kill in 0..options.kills {
            taken_over.push(flight.hand_over(kill % 2).await?);
        }
        let (times, goal) = (middle_and_most(taken_over), TAKEN_OVER * lease_ms);
        writeln!(text, "| {runs} | {times} | {goal:.0} ms |")?;
        writeln!(out, "chaos: {runs} runs: taken over {times}")?;
    }
    out.write_all(text.as_bytes())?;
    if let Some(path) = &storm.document {
        document::replace(path, "resume", &text)?;
    }
    Ok(())
}

/// Of milliseconds, as two cells of a table.
fn middle_and_most(mut times: Vec<f64>) -> String {
    let median = median(&mut times);
    let most = times.last().copied().unwrap_or(median);
    format!("{median:.0} ms | {most:.0} ms")
}

/// Runs that wait for a model that never answers.
struct Flight {
    stage: Stage,
    model: StandIn,
    api: Api,
    runs: u32,
}

impl Flight {
    /// Begins them at the first of as many servers as there may be.
    async fn begin(
        options: &Options,
        storm: &storm::Options,
        (folder, postgres): (&Path, Option<Postgres>),
        runs: u32,
    ) -> anyhow::Result<Self> {
        let model = StandIn::start(Pace::Never).await?;
        let mut stage = Stage::set(Setup {
            binary: &storm.binary,
            folder,
            model: model.address,
            // As many runs as are measured may be carried out at a time.
            config: &format!(
                "[worker]\nconcurrency = 1024\nlease_s = {}\n",
                options.lease
            ),
            replicas: if postgres.is_some() { 2 } else { 1 },
            postgres,
        })?;
        stage.start(0, Role::All).await?;
        let api = stage.api(KEYS[0].secret, 0);
        let assistant = stage::assistant(&api).await?;
        let mut asks = JoinSet::new();
        for number in 1..=runs {
            asks.spawn(begin(api.clone(), assistant.clone(), number));
        }
        for done in asks.join_all().await {
            done?;
        }
        all_asked(&model, runs).await?;
        Ok(Self {
            stage,
            model,
            api,
            runs,
        })
    }

    /// Kills the server and starts it again. Milliseconds until it was ready, and until all runs
    /// were resumed.
    async fn again(&mut self) -> anyhow::Result<[f64; 2]> {
        self.stage.kill(0).await?;
        self.model.forget();
        let began = Instant::now();
        self.stage.start(0, Role::All).await?;
        ensure!(self.api.is_ready().await, "it listens, and is not ready");
        let ready = began.elapsed().as_secs_f64() * 1e3;
        all_asked(&self.model, self.runs).await?;
        Ok([ready, began.elapsed().as_secs_f64() * 1e3])
    }

    /// Starts the other server, and kills the one that has the runs, which is `holder`.
    /// Milliseconds from the kill until all runs were resumed.
    async fn hand_over(&mut self, holder: usize) -> anyhow::Result<f64> {
        self.stage.start(1 - holder, Role::All).await?;
        let began = Instant::now();
        self.stage.kill(holder).await?;
        self.model.forget();
        all_asked(&self.model, self.runs).await?;
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }
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
