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
use loomgate_bench::{
    document,
    statistics::{Dice, any_number},
};
use tokio::{task::JoinSet, time::timeout};

use crate::{
    api::Api,
    audit,
    client::{self, Client},
    cluster,
    database::Database,
    disturb::{Bounds, Disturber, Tally},
    ground::{Ground, Shared},
    history::History,
    model::{Pace, Proxy, StandIn},
    report::{OnPostgres, Report, Storm},
    stage::{self, Setup, Stage},
    verdict::{Seen, Verdict},
};

/// How often is told how far it is.
const PROGRESS: Duration = Duration::from_secs(5);
/// How long clients may take to come to the end of what they are doing.
const LAST_ROUND: Duration = Duration::from_mins(5);
/// From so many kills on, runs have to have been cut in every phase.
const FULL: u64 = 200;

/// A model that has to hurry; leases that are lost soon, and what is heard of that. A few runs at a
/// time, so that others wait in the queue.
const CONFIG: &str = "first_byte_s = 2\nidle_s = 2\n\
    [log]\nlevel = \"info,loomgate_engine=debug\"\n\
    [postgres]\nstatement_timeout_s = 5\nwait_s = 5\n[worker]\nlease_s = 2\n";
const LEASE: Duration = Duration::from_secs(2);
/// Runs at a time, over all servers.
const CONCURRENCY: usize = 15;
/// So many freezes that outlast a lease have somebody write without one.
const TELLING: u64 = 5;

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
    #[command(flatten)]
    pub(crate) ground: Ground,
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
    let seed = options.seed.unwrap_or_else(|| any_number() % 1_000_000);
    writeln!(
        out,
        "chaos: seed {seed}; the same choices again: --seed {seed} --cuts {} --clients {}{}",
        options.cuts,
        options.clients,
        options.ground.words()
    )?;
    let mut scene = Scene::set(options, folder, seed).await?;
    let shared = Arc::new(client::Shared {
        began: Instant::now(),
        is_over: AtomicBool::new(false),
        ended: AtomicU64::new(0),
    });
    let clients = scene.clients(&shared).await?;
    let (tally, kills) = scene.disturb(&shared, out).await?;
    shared.is_over.store(true, Ordering::Relaxed);
    scene.calm();
    let time = shared.began.elapsed();
    writeln!(
        out,
        "chaos: calm after {:.0} s; every thread is looked at",
        time.as_secs_f64()
    )?;
    let worked = timeout(LAST_ROUND, clients.join_all()).await;
    let worked = worked.context("clients do not come to an end")?;
    let looked = scene.look(worked).await;
    scene.stage.close().await?;
    let log = scene.stage.log()?;
    let database = Database::open(&scene.stage.records()).await?;
    let mut report = Report::new(Storm {
        seed,
        time,
        kills,
        tally,
        faults: scene.proxy.kinds(),
        shared: scene.on_postgres(&database, &log).await?,
    });
    let has_failed = |number| scene.proxy.faults_of(number) > 0;
    let verdict = Verdict::of(&looked, (&database, &log), &has_failed, &mut report).await?;
    let text = report.text(&stage::measured(&options.binary));
    out.write_all(text.as_bytes())?;
    verdict.tell(out)?;
    if verdict.is_good() {
        has_shown(&report)?;
        if let Some(path) = &options.document {
            document::replace(path, options.ground.section(), &text)?;
        }
    }
    Ok(verdict.is_good())
}

/// Whether a storm was one: what did not happen proves nothing.
fn has_shown(report: &Report) -> anyhow::Result<()> {
    let missing = report.storm.tally.cut.missing();
    let is_full = report.storm.kills >= FULL;
    ensure!(
        !is_full || missing.is_empty(),
        "no run was cut while it was {missing:?}"
    );
    let untaken = report.untaken();
    ensure!(
        !is_full || untaken.is_empty(),
        "nothing was taken on a thread that was locked, of what wanted {untaken:?}"
    );
    ensure!(
        report.storm.tally.long_freezes < TELLING || report.refused() != Some(0),
        "servers were frozen for longer than their leases, and none was refused a write"
    );
    Ok(())
}

/// Everything that takes part.
struct Scene<'a> {
    options: &'a Options,
    seed: u64,
    database: Option<Shared>,
    model: StandIn,
    proxy: Proxy,
    stage: Stage,
}

impl<'a> Scene<'a> {
    /// All servers serve.
    async fn set(options: &'a Options, folder: &Path, seed: u64) -> anyhow::Result<Self> {
        let database = options.ground.prepare(folder, seed).await?;
        let model = StandIn::start(Pace::Lively).await?;
        let proxy = Proxy::start(model.address, seed).await?;
        let replicas = usize::from(options.ground.replicas);
        let mut stage = Stage::set(Setup {
            binary: &options.binary,
            folder,
            model: proxy.address,
            config: &format!("{CONFIG}concurrency = {}\n", CONCURRENCY.div_ceil(replicas)),
            postgres: database.as_ref().map(Shared::postgres),
            replicas,
        })?;
        stage.open().await?;
        if let Some(shared) = &database {
            audit::begin(&Database::open(&cluster::records(&shared.cluster)).await?).await?;
        }
        Ok(Self {
            options,
            seed,
            database,
            model,
            proxy,
            stage,
        })
    }

    /// Clients, at work.
    async fn clients(
        &self,
        shared: &Arc<client::Shared>,
    ) -> anyhow::Result<JoinSet<(u32, Vec<History>)>> {
        let assistant = stage::assistant(&self.api(0)).await?;
        let mut clients = JoinSet::new();
        for index in 0..self.options.clients {
            let client = Client::new(shared, self.api(index), &assistant, (self.seed, index));
            clients.spawn(async move { (index, client.work().await) });
        }
        Ok(clients)
    }

    /// As a client calls it.
    fn api(&self, client: u32) -> Api {
        self.stage
            .api(stage::key_of(client).secret, client as usize)
    }

    /// What was done, and the number of kills.
    async fn disturb(
        &mut self,
        shared: &client::Shared,
        out: &mut impl Write,
    ) -> anyhow::Result<(Tally, u64)> {
        if let Some(shared) = &self.database {
            shared.lines.storm();
        }
        let bounds = Bounds {
            cuts: self.options.cuts,
            time: Duration::from_secs(self.options.seconds),
        };
        let (mut tally, kills) = (Tally::default(), AtomicU64::new(0));
        let disturber = Disturber {
            stage: &mut self.stage,
            cluster: self.database.as_mut().map(|shared| &mut shared.cluster),
            lease: LEASE,
            model: &self.model,
            dice: Dice::new(self.seed ^ 0xd157),
            tally: &mut tally,
            kills: &kills,
            frozen: None,
        };
        let mut storm = Box::pin(disturber.disturb(bounds));
        loop {
            tokio::select! {
                done = &mut storm => break done?,
                () = tokio::time::sleep(PROGRESS) => writeln!(
                    out,
                    "chaos: {:.0} s, {} of {} kills, {} runs have ended",
                    shared.began.elapsed().as_secs_f64(),
                    kills.load(Ordering::Relaxed),
                    bounds.cuts,
                    shared.ended.load(Ordering::Relaxed),
                )?,
            }
        }
        drop(storm);
        Ok((tally, kills.into_inner()))
    }

    fn calm(&self) {
        self.proxy.calm();
        if let Some(shared) = &self.database {
            shared.lines.calm();
        }
    }

    /// Looks at the threads of all clients.
    async fn look(&self, worked: Vec<(u32, Vec<History>)>) -> Vec<Seen> {
        let mut looks = JoinSet::new();
        for (client, histories) in worked {
            let dice = Dice::new(self.seed ^ (u64::from(client) << 16));
            looks.spawn(look(self.api(client), client, histories, dice));
        }
        looks.join_all().await
    }

    async fn on_postgres(
        &self,
        database: &Database,
        log: &str,
    ) -> anyhow::Result<Option<OnPostgres>> {
        let Some(shared) = &self.database else {
            return Ok(None);
        };
        Ok(Some(OnPostgres {
            replicas: self.stage.replicas(),
            connections: shared.lines.connections(),
            faults: shared.lines.kinds(),
            leases: audit::end(database, log).await?,
        }))
    }
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
