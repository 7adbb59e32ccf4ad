//! How many transactions a run takes, by the servers' own count and by PostgreSQL's.

use std::{
    fmt::Write as _,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use loomgate_bench::document;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::{
    api::{Answer, Api, Next, Opened},
    client, cluster,
    database::{Database, Records},
    history::{is_active, text},
    model::{Pace, StandIn},
    question::Question,
    stage::{self, KEYS, Postgres, Role, Setup, Stage},
    storm,
};

/// Where the operator may look at counters.
const CONFIG: &str = "[[api_keys]]\nname = \"operator\"\nscopes = [\"admin\"]\n\
    key = \"lg-chaos-operator-0000000000000000000000\"\n";
const OPERATOR: &str = "lg-chaos-operator-0000000000000000000000";
const COUNTERS: [&str; 2] = ["loomgate_store_jobs_total", "loomgate_store_commits_total"];
/// A transaction that writes takes a number.
const NUMBERS: &str = "SELECT pg_snapshot_xmax(pg_current_snapshot())";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Runs of each type.
    #[arg(long, default_value_t = 64)]
    runs: u32,
    /// Runs at the same time, in the second half of the table.
    #[arg(long, default_value_t = 16)]
    together: u32,
}

/// A type of run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Polled,
    WithOutputs,
    Streamed,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Polled, Self::WithOutputs, Self::Streamed];

    fn words(self) -> &'static str {
        match self {
            Self::Polled => "polled",
            Self::WithOutputs => "polled, outputs handed in once",
            Self::Streamed => "streamed",
        }
    }
}

pub(crate) async fn run(
    options: &Options,
    storm: &storm::Options,
    out: &mut impl Write,
) -> anyhow::Result<()> {
    let folders = [tempfile::tempdir()?, tempfile::tempdir()?];
    let cluster = storm.ground.cluster(folders[1].path()).await?;
    let postgres = Postgres {
        url: cluster.url(None),
        records: cluster::records(&cluster),
    };
    let mut embedded = Bench::set(storm, folders[0].path(), None).await?;
    let mut shared = Bench::set(storm, folders[1].path(), Some(postgres)).await?;
    tokio::try_join!(embedded.watch_idle(), shared.watch_idle())?;
    let mut text = stage::measured(&storm.binary);
    text.push_str(
        "| runs | at a time | SQLite: transactions | commits to disk | PostgreSQL: transactions | at most 4 |\n\
         | --- | ---: | ---: | ---: | ---: | --- |\n",
    );
    for together in [1, options.together] {
        for kind in Kind::ALL {
            let [jobs, commits, _] = embedded.measure(options.runs, together, kind).await?;
            let [_, _, numbers] = shared.measure(options.runs, together, kind).await?;
            writeln!(
                text,
                "| {} | {together} | {jobs:.2} | {commits:.2} | {numbers:.2} | {} |",
                kind.words(),
                verdict(jobs, numbers),
            )?;
        }
    }
    out.write_all(text.as_bytes())?;
    if let Some(path) = &storm.document {
        document::replace(path, "transactions", &text)?;
    }
    Ok(())
}

/// A server that nothing disturbs.
struct Bench {
    stage: Stage,
    model: StandIn,
    assistant: String,
    /// Questions that were asked.
    asked: u32,
    /// What is counted in a second without any run: the looks for work.
    idle: [f64; 3],
}

/// How long a server that has nothing to do is watched: its rarer looks come every ten seconds.
const IDLE: Duration = Duration::from_secs(30);
/// The most transactions of a run.
const GOAL: f64 = 4.0;

impl Bench {
    async fn set(
        storm: &storm::Options,
        folder: &Path,
        postgres: Option<Postgres>,
    ) -> anyhow::Result<Self> {
        let model = StandIn::start(Pace::Lively).await?;
        let mut stage = Stage::set(Setup {
            binary: &storm.binary,
            folder,
            model: model.address,
            config: CONFIG,
            postgres,
            replicas: 1,
        })?;
        stage.start(0, Role::All).await?;
        let assistant = stage::assistant(&stage.api(KEYS[0].secret, 0)).await?;
        Ok(Self {
            stage,
            model,
            assistant,
            asked: 0,
            idle: [0.0; 3],
        })
    }

    async fn watch_idle(&mut self) -> anyhow::Result<()> {
        let before = self.counts().await?;
        tokio::time::sleep(IDLE).await;
        let after = self.counts().await?;
        self.idle = gained(before, after)?.map(|count| count / IDLE.as_secs_f64());
        Ok(())
    }

    /// For each run: transactions that write, commits, and the numbers that PostgreSQL gave out.
    async fn measure(&mut self, runs: u32, together: u32, kind: Kind) -> anyhow::Result<[f64; 3]> {
        let api = self.stage.api(KEYS[0].secret, 0);
        let mut threads = Vec::new();
        for number in self.asked..self.asked + runs {
            let rounds = u32::from(kind == Kind::WithOutputs);
            let question = Question { number, rounds };
            let message = json!({"role": "user", "content": question.text(1)});
            match api.post("/threads", &json!({"messages": [message]})).await {
                Answer::Done(thread) => threads.push(text(&thread["id"])),
                other => anyhow::bail!("POST /threads: {other:?}"),
            }
        }
        self.asked += runs;
        let before = self.counts().await?;
        let begun = Instant::now();
        let mut work = JoinSet::new();
        for thread in threads {
            if work.len() >= together as usize {
                work.join_next().await.context("nobody works")???;
            }
            work.spawn(carry_out(api.clone(), self.assistant.clone(), thread, kind));
        }
        for done in work.join_all().await {
            done?;
        }
        let after = self.counts().await?;
        ensure!(
            self.model.asked() >= runs as usize,
            "the model was not asked"
        );
        let seconds = begun.elapsed().as_secs_f64();
        let mut each = gained(before, after)?;
        for (count, idle) in each.iter_mut().zip(self.idle) {
            *count = (*count - idle * seconds) / f64::from(runs);
        }
        Ok(each)
    }

    async fn counts(&self) -> anyhow::Result<[u64; 3]> {
        let metrics = self.stage.api(OPERATOR, 0).metrics().await?;
        let count = |name: &str| {
            let mut lines = metrics.lines();
            let found = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            found
                .with_context(|| format!("no {name}"))?
                .trim()
                .parse()
                .context("no number")
        };
        let [jobs, commits] = COUNTERS.map(count);
        let records = self.stage.records();
        if let Records::Sqlite(_) = records {
            return Ok([jobs?, commits?, 0]);
        }
        let database = Database::open(&records).await?;
        let numbers = database
            .rows(NUMBERS)
            .await?
            .into_iter()
            .flatten()
            .flatten()
            .next();
        Ok([jobs?, commits?, numbers.context("no number")?.parse()?])
    }
}

/// Whether the goal is met, to a tenth of a transaction, on SQLite and on PostgreSQL.
fn verdict(embedded: f64, shared: f64) -> &'static str {
    let is_met = |transactions: f64| transactions < GOAL + 0.1;
    match (is_met(embedded), is_met(shared)) {
        (true, true) => "met",
        (true, false) => "**not met** on PostgreSQL",
        (false, true) => "**not met** on SQLite",
        (false, false) => "**not met**",
    }
}

fn gained(before: [u64; 3], after: [u64; 3]) -> anyhow::Result<[f64; 3]> {
    let mut gained = [0.0; 3];
    for ((gained, before), after) in gained.iter_mut().zip(before).zip(after) {
        *gained = f64::from(u32::try_from(after - before)?);
    }
    Ok(gained)
}

/// One run, to its end.
async fn carry_out(api: Api, assistant: String, thread: String, kind: Kind) -> anyhow::Result<()> {
    let runs = format!("/threads/{thread}/runs");
    let body = json!({"assistant_id": assistant, "stream": kind == Kind::Streamed});
    if kind == Kind::Streamed {
        let Opened::Stream(mut stream) = api.open(&runs, Some(&body), None).await else {
            anyhow::bail!("no stream");
        };
        while let Next::Event(_) = stream.next().await {}
        return Ok(());
    }
    let Answer::Done(run) = api.post(&runs, &body).await else {
        anyhow::bail!("no run");
    };
    let path = format!("{runs}/{}", text(&run["id"]));
    loop {
        let run: Value = api.read(&path).await?;
        let status = run["status"].as_str().unwrap_or_default();
        if status == "requires_action" {
            let outputs = client::right_outputs(&run);
            let submitted = api
                .post(&format!("{path}/submit_tool_outputs"), &outputs)
                .await;
            ensure!(
                matches!(submitted, Answer::Done(_)),
                "outputs were not taken"
            );
        }
        if !is_active(status) {
            ensure!(status == "completed", "a run is {status}");
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
