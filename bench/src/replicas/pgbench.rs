//! `pgbench`: PostgreSQL by its own load generator, which makes the statement of a Modify Run, prepared, each client on
//! a run of its own.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use loomgate_bench::{
    cluster::{Cluster, output},
    statistics::count,
};

use crate::frame::{
    cell::Datum,
    load::{Done, Spent},
};

/// The most clients that it has.
const CLIENTS: u32 = 64;
/// What its clients change. `seq` is a primary key that nobody else comes to.
const ROWS: &str = "INSERT INTO threads SELECT (jsonb_populate_record(it, jsonb_build_object( \
    'id', 'thread_raw_' || n, 'seq', 1000000000 + n))).* \
    FROM threads AS it, generate_series(0, 63) AS n WHERE it.seq = (SELECT MIN(seq) FROM threads); \
    INSERT INTO runs SELECT (jsonb_populate_record(it, jsonb_build_object('id', 'run_raw_' || n, \
    'thread_id', 'thread_raw_' || n, 'seq', 1000000000 + n, 'lease_until', NULL, 'expires_at', NULL))).* \
    FROM runs AS it, generate_series(0, 63) AS n WHERE it.seq = (SELECT MIN(seq) FROM runs)";
/// As the store has it.
const SCRIPT: &str = "\\set n random(1, 1000000000)\n\
    UPDATE runs SET metadata = concat('{\"client\":\"', CAST(:client_id AS int), '\",\"n\":\"', CAST(:n AS int), '\"}') \
    WHERE workspace_id = :workspace AND id = concat('run_raw_', CAST(:client_id AS int)) AND thread_id = concat('thread_raw_', CAST(:client_id AS int)) \
    RETURNING *;\n";

/// A database that `pgbench` works on.
pub(super) struct Pgbench {
    url: String,
    workspace: String,
    folder: PathBuf,
    /// Transactions of a client in a block, by the number of clients: as many as the last block had
    /// time for.
    share: [u64; CLIENTS as usize + 1],
}

impl Pgbench {
    /// In a database with a run.
    pub(super) async fn on(cluster: &Cluster, url: &str) -> anyhow::Result<Self> {
        cluster.query(url, ROWS).await?;
        let workspace = "SELECT workspace_id FROM runs WHERE id = 'run_raw_0'";
        let workspace = cluster.query(url, workspace).await?;
        let data = cluster.data();
        let folder = data.parent().context("a folder has a parent")?;
        std::fs::write(folder.join("modify-run.sql"), SCRIPT)?;
        Ok(Self {
            url: url.to_owned(),
            workspace,
            folder: folder.to_owned(),
            share: [20; CLIENTS as usize + 1],
        })
    }

    /// So many clients, for about so long.
    pub(super) async fn block(
        &mut self,
        cluster: &Cluster,
        clients: u32,
        seconds: f64,
    ) -> anyhow::Result<Datum> {
        let share = &mut self.share[clients as usize];
        let log = self.folder.join("transactions");
        let mut pgbench = cluster.program("pgbench");
        pgbench.args(["--no-vacuum", "--protocol=prepared", "--log"]);
        pgbench.arg(format!("--log-prefix={}", log.display()));
        pgbench.arg(format!("--define=workspace={}", self.workspace));
        pgbench.arg(format!("--client={clients}"));
        pgbench.arg(format!("--transactions={share}"));
        pgbench.arg(format!(
            "--file={}",
            self.folder.join("modify-run.sql").display()
        ));
        let said = output(pgbench.arg(&self.url)).await?;
        let rate = rate(&said)?;
        let latencies = latencies(&self.folder)?;
        let whole = *share * u64::from(clients);
        ensure!(
            latencies.len() as u64 == whole,
            "{} transactions of {whole}",
            latencies.len()
        );
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a positive number of some thousands"
        )]
        let next = (rate * seconds / f64::from(clients)) as u64;
        *share = next.max(5);
        let done = Done {
            seconds: count(whole) / rate,
            calls: whole,
            latencies,
        };
        Ok(done.datum(Spent {
            commits: Some(whole),
            statements: Some(whole),
            ..Spent::default()
        }))
    }
}

/// Transactions in a second, without the time in which connections came about.
fn rate(said: &str) -> anyhow::Result<f64> {
    let line = said.lines().find_map(|line| line.strip_prefix("tps = "));
    let number = line.and_then(|line| line.split(' ').next()?.parse().ok());
    number.with_context(|| format!("pgbench tells no rate: {said}"))
}

/// Of each transaction, in seconds. Its log goes with that.
fn latencies(folder: &Path) -> anyhow::Result<Vec<f64>> {
    let mut latencies = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        if !name.is_some_and(|name| name.starts_with("transactions.")) {
            continue;
        }
        for line in std::fs::read_to_string(&path)?.lines() {
            // client, number, microseconds, ..
            let time = line.split(' ').nth(2).and_then(|time| time.parse().ok());
            let micros: u32 = time.with_context(|| format!("no time in {line:?}"))?;
            latencies.push(f64::from(micros) / 1e6);
        }
        std::fs::remove_file(path)?;
    }
    Ok(latencies)
}
