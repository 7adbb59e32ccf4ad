//! The storm over documents: servers are killed while files are uploaded, at once and in parts, indexed,
//! searched and deleted. Then every file is looked at through the API, and objects on the disk are
//! held against their rows: nothing is found by halves, nothing is lost that was acknowledged, and
//! the sweeper leaves nothing that nobody refers to.

mod author;
mod objects;
mod paper;
mod remains;
mod table;

use std::{
    collections::BTreeSet,
    io::Write,
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use loomgate_bench::{
    document,
    statistics::{Dice, any_number},
};
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use self::{
    author::{Author, Shared, Written, look},
    objects::Objects,
    table::{Table, Violations},
};
use crate::{
    api::Api,
    database::{Database, columns},
    ground::Engine,
    model::{Pace, StandIn},
    stage::{self, Role, Setup, Stage},
    storm,
};

/// How long authors may take to come to an end, and files to be indexed.
const LAST_ROUND: Duration = Duration::from_mins(5);
/// From so many kills on, each kind of request has to have been cut.
const FULL: u64 = 100;
/// The database is looked through wholly at each of so many kills.
const WHOLE_LOOK: u64 = 10;
/// How often a file is tried (`crates/engine/src/indexing/worker.rs`): the process that takes it once
/// more gives it up.
const ATTEMPTS: u32 = 4;

const CONFIG: &str = "[worker]\nlease_s = 1\n[indexing]\nconcurrency = 3\n\
    [file_search]\nembeddings = \"model/embedder\"\n";

/// What was in progress when a server was killed: files whose chunks are written, files that
/// somebody only reads, chunks that are removed.
const CUT: [&str; 3] = [
    "vector_store_files WHERE lease_owner IS NOT NULL AND written > 0",
    "vector_store_files WHERE lease_owner IS NOT NULL AND written = 0",
    "chunk_garbage",
];
/// Objects that were not finished. Their rows stay for an hour.
const UNFINISHED: &str = "blobs WHERE state = 'pending'";

#[derive(clap::Args)]
pub(crate) struct Options {
    /// Kills after which it is over.
    #[arg(long, default_value_t = 200)]
    cuts: u64,
    /// Seconds after which it is over, whatever was reached.
    #[arg(long, default_value_t = 900)]
    seconds: u64,
    /// Authors at the same time.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=99))]
    authors: u32,
    /// What all choices are drawn from. Without one it is any.
    #[arg(long)]
    seed: Option<u64>,
    /// Keep objects in this bucket, `http://HOST:PORT/BUCKET`, which scripts/test-s3.sh starts; it asks
    /// nobody who they are. Needs PostgreSQL, which can be looked at while servers run.
    #[arg(long, env = "LOOMGATE_TEST_S3")]
    bucket: Option<String>,
}

/// Whether all went as it should.
pub(crate) async fn run(
    options: &Options,
    storm: &storm::Options,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let folder = tempfile::tempdir()?;
    let outcome = Box::pin(blow(options, storm, folder.path(), out)).await;
    if !matches!(outcome, Ok(true)) {
        let kept = folder.keep();
        writeln!(out, "documents: all is kept in {}", kept.display())?;
    }
    outcome
}

async fn blow(
    options: &Options,
    storm: &storm::Options,
    folder: &Path,
    out: &mut impl Write,
) -> anyhow::Result<bool> {
    let seed = options.seed.unwrap_or_else(|| any_number() % 1_000_000);
    writeln!(
        out,
        "documents: seed {seed}; the same choices again: --seed {seed} --cuts {} --authors {}",
        options.cuts, options.authors
    )?;
    // Its lines do not break: that is the other storm's.
    let database = storm.ground.prepare(folder, seed).await?;
    let model = StandIn::start(Pace::Lively).await?;
    let mut stage = Stage::set(Setup {
        binary: &storm.binary,
        folder,
        model: model.address,
        config: CONFIG,
        postgres: database.as_ref().map(crate::ground::Shared::postgres),
        replicas: usize::from(storm.ground.replicas),
    })?;
    let objects = match &options.bucket {
        Some(url) => Objects::Bucket {
            url: url.clone(),
            prefix: format!("documents-{}", any_number()),
        },
        None => Objects::Folder(stage.data().join("files")),
    };
    let is_seen = options.bucket.is_none() || database.is_some();
    ensure!(is_seen, "--bucket needs --database postgres");
    let all = ("LOOMGATE_FILES_DOWNLOAD", "all".to_owned());
    stage.environment.push(all);
    stage.environment.extend(objects.environment()?);
    stage.open().await?;

    let began = Instant::now();
    let shared = Arc::new(Shared::default());
    let mut authors = JoinSet::new();
    for number in 0..options.authors {
        let api = stage.api(stage::KEYS[0].secret, number as usize);
        authors.spawn(Author::new(&shared, api, (seed, number)).work());
    }
    let mut table = Table::default();
    let mut killer = Killer {
        stage: &mut stage,
        objects: &objects,
        shared: &shared,
        dice: Dice::new(seed ^ 0xd0c),
        table: &mut table,
    };
    killer.kill_until(options).await?;
    shared.is_over.store(true, Ordering::Relaxed);
    table.time = began.elapsed();
    let written = timeout(LAST_ROUND, authors.join_all()).await;
    let written = written.context("authors do not come to an end")?;
    table.acknowledged = shared.acknowledged.load(Ordering::Relaxed);
    table.lost = shared.lost.load(Ordering::Relaxed);

    let given_up = calm(&mut stage).await?;
    let mut violations = Violations::default();
    violations
        .requests
        .extend(written.iter().flat_map(|it| it.wrong.clone()));
    judge(&written, &given_up, &mut table, &mut violations).await?;
    stage.close().await?;
    let log = stage.log()?;
    let panics = log.lines().filter(|line| line.contains("panicked"));
    violations.requests.extend(panics.map(str::to_owned));
    violations
        .bytes
        .extend(remains::differences(&stage, &objects).await?);
    violations.orphans = remains::swept(&mut stage, &objects).await?;
    let database = Database::open(&stage.records()).await?;
    table.faults.extend(database.faults().await?);
    violations.database.append(&mut table.faults);

    let mut text = stage::measured(&storm.binary);
    let is_in_bucket = options.bucket.is_some();
    table.write(
        &mut text,
        (seed, stage.replicas(), is_in_bucket),
        &violations,
    )?;
    out.write_all(text.as_bytes())?;
    violations.tell(out)?;
    if violations.is_none() {
        let missing = table.missing();
        let is_full = table.kills >= FULL;
        ensure!(
            !is_full || missing.is_empty(),
            "none was cut of {missing:?}"
        );
        if let Some(path) = &storm.document {
            let section = match storm.ground.database {
                Engine::Sqlite => "documents",
                Engine::Postgres => "documents-postgres",
            };
            document::replace(path, section, &text)?;
        }
    }
    Ok(violations.is_none())
}

/// Waits until no file is on its way; those that were given up, since too many processes were killed
/// over them. All servers serve before and after.
async fn calm(stage: &mut Stage) -> anyhow::Result<BTreeSet<String>> {
    const UNDER_WAY: &str = "SELECT 1 FROM vector_store_files WHERE status = 'in_progress'";
    let given_up = format!(
        "SELECT file_id FROM vector_store_files WHERE status = 'failed' AND attempt > {ATTEMPTS}"
    );
    let began = Instant::now();
    loop {
        // An embedded database is looked at while nobody writes.
        stage.close().await?;
        let database = Database::open(&stage.records()).await?;
        let under_way = database.rows(UNDER_WAY).await?.len();
        let given_up = database.rows(&given_up).await?;
        drop(database);
        stage.open().await?;
        if under_way == 0 {
            return Ok(given_up.into_iter().flatten().flatten().collect());
        }
        ensure!(
            began.elapsed() < LAST_ROUND,
            "{under_way} files do not come to their end"
        );
        sleep(Duration::from_secs(3)).await;
    }
}

/// Looks at every paper, and for files that nobody was told of.
async fn judge(
    written: &[Written],
    given_up: &BTreeSet<String>,
    table: &mut Table,
    violations: &mut Violations,
) -> anyhow::Result<()> {
    let mut there = BTreeSet::new();
    for Written { api, papers, .. } in written {
        for paper in papers {
            let facts = look(api, paper, true).await?;
            let was_given_up = given_up.contains(&paper.file);
            violations.papers.extend(paper.judge(&facts, was_given_up));
            table.count(paper, &facts);
            if !paper.is_deleted {
                there.insert(paper.file.clone());
            }
        }
    }
    if let Some(Written { api, .. }) = written.first() {
        let listed = files(api).await?;
        for file in listed.symmetric_difference(&there) {
            violations
                .papers
                .push(format!("{file} was made twice, or is not listed"));
        }
    }
    Ok(())
}

/// The ids of all files.
async fn files(api: &Api) -> anyhow::Result<BTreeSet<String>> {
    let page = api.read("/files?limit=10000").await?;
    ensure!(page["has_more"] == false, "more files than a page has");
    let list = page["data"].as_array().context("no list")?;
    Ok(list
        .iter()
        .map(|file| crate::history::text(&file["id"]))
        .collect())
}

/// Kills servers, and looks at what they leave.
struct Killer<'a> {
    stage: &'a mut Stage,
    objects: &'a Objects,
    shared: &'a Shared,
    dice: Dice,
    table: &'a mut Table,
}

impl Killer<'_> {
    async fn kill_until(&mut self, options: &Options) -> anyhow::Result<()> {
        let (began, time) = (Instant::now(), Duration::from_secs(options.seconds));
        while self.table.kills < options.cuts && began.elapsed() < time {
            self.pause(30, 900).await;
            let replica = self.dice.below(self.stage.replicas());
            for (sum, count) in self.table.cut.iter_mut().zip(self.shared.under_way()) {
                *sum += count;
            }
            self.stage.kill(replica).await?;
            self.look().await?;
            if self.dice.below(6) == 0 {
                let after = Duration::from_millis(self.dice.below(300) as u64);
                self.stage.kill_at_start(replica, after).await?;
                self.look().await?;
            }
            let ready = self.stage.start(replica, Role::All).await?;
            self.table.ready.push(ready);
        }
        Ok(())
    }

    async fn pause(&mut self, least: usize, more: usize) {
        let millis = least + self.dice.below(more);
        sleep(Duration::from_millis(millis as u64)).await;
    }

    /// Counts a kill, and looks for what none may leave.
    async fn look(&mut self) -> anyhow::Result<()> {
        self.table.kills += 1;
        let kills = self.table.kills;
        let faults = &mut self.table.faults;
        if self.stage.replicas() == 1 {
            let wrong = remains::differences(self.stage, self.objects).await?;
            faults.extend(
                wrong
                    .into_iter()
                    .map(|wrong| format!("after kill {kills}: {wrong}")),
            );
        }
        let database = Database::open(&self.stage.records()).await?;
        for file in database.half_searchable().await? {
            faults.push(format!(
                "after kill {kills}: {file} is searchable by halves"
            ));
        }
        for file in database.half_embedded().await? {
            faults.push(format!(
                "after kill {kills}: {file} has some of its vectors"
            ));
        }
        for store in database.counted_wrongly().await? {
            faults.push(format!("after kill {kills}: {store} counts other files"));
        }
        if kills.is_multiple_of(WHOLE_LOOK) {
            faults.extend(database.faults().await?);
        }
        for (what, sum) in CUT.iter().zip(&mut self.table.in_rows) {
            *sum += count(&database, what).await?;
        }
        self.table.unfinished = count(&database, UNFINISHED).await?;
        Ok(())
    }
}

/// How many rows there are.
async fn count(database: &Database, what: &str) -> anyhow::Result<u64> {
    let rows = database
        .rows(&format!("SELECT COUNT(*) FROM {what}"))
        .await?;
    let [count] = columns(rows.into_iter().next().context("no count")?)?;
    Ok(count.unwrap_or_default().parse()?)
}
