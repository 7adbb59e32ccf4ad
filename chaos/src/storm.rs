//! The storm: clients at work, a model that breaks, a server that is killed; then calm, and every
//! thread and the database are checked.

use std::{
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use loomgate_bench::{document, statistics::Dice};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    api::Api,
    client::{self, Client},
    database::Database,
    disturb::{self, Bounds, Tally},
    history::History,
    model::{Pace, Proxy, StandIn},
    report::{Report, Storm},
    stage::{self, KEYS, Stage},
    verdict::{Seen, Verdict},
};

/// How often is told how far it is.
const PROGRESS: Duration = Duration::from_secs(5);
/// How long clients may take to come to the end of what they are doing.
const LAST_ROUND: Duration = Duration::from_mins(5);
/// From so many kills on, runs have to have been cut in every phase.
const FULL: u64 = 200;

/// A few runs at a time, so that others wait in the queue; a model that has to hurry.
const CONFIG: &str = "first_byte_s = 1\nidle_s = 1\n[worker]\nconcurrency = 12\n";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The program to break.
    #[arg(long, default_value = "target/debug/loomgate", global = true)]
    pub(crate) binary: PathBuf,
    /// Kills after which it is over.
    #[arg(long, default_value_t = 200)]
    cuts: u64,
    /// Seconds after which it is over, whatever was reached.
    #[arg(long, default_value_t = 1_800)]
    seconds: u64,
    /// Clients at the same time.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=999))]
    clients: u32,
    /// What all choices are drawn from. Without one it is any.
    #[arg(long)]
    seed: Option<u64>,
    /// Write the tables into this document, between its markers.
    #[arg(long, global = true)]
    pub(crate) document: Option<PathBuf>,
    /// Not built yet: the storm runs on the embedded database.
    #[arg(long)]
    postgres: Option<String>,
}

/// Whether all went as it should.
pub(crate) async fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    let outcome = blow(options, folder.path(), out).await;
    if !matches!(outcome, Ok(true)) {
        let kept = folder.keep();
        writeln!(
            out,
            "chaos: log and database are kept in {}",
            kept.display()
        )?;
    }
    outcome
}

async fn blow(options: &Options, folder: &Path, out: &mut impl Write) -> anyhow::Result<bool> {
    ensure!(options.postgres.is_none(), "--postgres is not built yet");
    let seed = options.seed.unwrap_or_else(any_seed);
    writeln!(
        out,
        "chaos: seed {seed}; the same choices again: --seed {seed} --cuts {} --clients {}",
        options.cuts, options.clients
    )?;
    let model = StandIn::start(Pace::Lively).await?;
    let proxy = Proxy::start(model.address, seed).await?;
    let mut stage = Stage::set(&options.binary, folder, proxy.address, CONFIG)?;
    stage.start().await?;
    let began = Instant::now();
    let shared = Arc::new(client::Shared {
        began,
        is_over: AtomicBool::new(false),
        ended: AtomicU64::new(0),
    });
    let assistant = stage::assistant(&stage.api(KEYS[0].secret)).await?;
    let mut clients = JoinSet::new();
    for index in 0..options.clients {
        let api = stage.api(stage::key_of(index).secret);
        let client = Client::new(&shared, api, &assistant, (seed, index));
        clients.spawn(async move { (index, client.work().await) });
    }
    let bounds = Bounds {
        cuts: options.cuts,
        time: Duration::from_secs(options.seconds),
    };
    let (mut tally, kills) = (Tally::default(), AtomicU64::new(0));
    {
        let dice = Dice::new(seed ^ 0xd157);
        let storm = disturb::disturb(&mut stage, &model, (dice, bounds), (&mut tally, &kills));
        tokio::pin!(storm);
        loop {
            tokio::select! {
                done = &mut storm => break done?,
                () = tokio::time::sleep(PROGRESS) => writeln!(
                    out,
                    "chaos: {:.0} s, {} of {} kills, {} runs have ended",
                    began.elapsed().as_secs_f64(),
                    kills.load(Ordering::Relaxed),
                    bounds.cuts,
                    shared.ended.load(Ordering::Relaxed),
                )?,
            }
        }
    }
    shared.is_over.store(true, Ordering::Relaxed);
    proxy.calm();
    let time = began.elapsed();
    writeln!(
        out,
        "chaos: calm after {:.0} s; every thread is looked at",
        time.as_secs_f64()
    )?;
    let worked = timeout(LAST_ROUND, clients.join_all()).await;
    let worked = worked.context("clients do not come to an end")?;
    let mut looks = JoinSet::new();
    for (client, histories) in worked {
        let api = stage.api(stage::key_of(client).secret);
        let dice = Dice::new(seed ^ (u64::from(client) << 16));
        looks.spawn(look(api, client, histories, dice));
    }
    let threads = looks.join_all().await;
    let log = stage.log()?;
    stage.terminate().await?;
    let mut report = Report::new(Storm {
        seed,
        time,
        kills: kills.into_inner(),
        tally,
        faults: proxy.kinds(),
    });
    let database = Database::open(&stage.records()).await?;
    let has_failed = |number| proxy.faults_of(number) > 0;
    let verdict = Verdict::of(&threads, (&database, &log), &has_failed, &mut report).await?;
    let text = report.text(&stage::measured(&options.binary));
    out.write_all(text.as_bytes())?;
    verdict.tell(out)?;
    if verdict.is_good() {
        let missing = report.storm.tally.cut.missing();
        let is_full = report.storm.kills >= FULL;
        ensure!(
            !is_full || missing.is_empty(),
            "no run was cut while it was {missing:?}"
        );
        if let Some(path) = &options.document {
            document::replace(path, "storm", &text)?;
        }
    }
    Ok(verdict.is_good())
}

/// Looks at all threads of a client.
async fn look(api: Api, client: u32, histories: Vec<History>, mut dice: Dice) -> Seen {
    let mut threads = Vec::new();
    for history in histories {
        let facts = client::look(&api, &history, &mut dice).await;
        threads.push((history, facts));
    }
    Seen { client, threads }
}

/// Some seed, another one each time.
fn any_seed() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(()) % 1_000_000
}
