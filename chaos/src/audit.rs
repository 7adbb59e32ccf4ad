//! Leases, as PostgreSQL saw them: triggers of the checker's own write down in the servers'
//! transactions who got which one, and what was written by somebody who had none (`audit.sql`).

use anyhow::Context as _;

use crate::database::{Database, columns};

/// What a worker logs, at level `debug`, when a write of its was refused, since it has lost its
/// lease. The next line of a log is another's.
const REFUSED: &str = "run is no longer ours";

/// What became of leases.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Leases {
    /// Given out.
    pub(crate) claims: u64,
    /// Of them, of runs that another lease had been given out for and that had not ended under it.
    pub(crate) taken_over: u64,
    /// Of them, of runs whose lease went on.
    pub(crate) double: Vec<String>,
    /// Whatever else only a holder may do and somebody else did.
    pub(crate) stray: Vec<String>,
    /// Workers that went on after they had lost their lease, and were refused.
    pub(crate) refused: u64,
}

/// Begins to write down; tables have to be there, clients not yet.
pub(crate) async fn begin(database: &Database) -> anyhow::Result<()> {
    database.rows(include_str!("audit.sql")).await?;
    Ok(())
}

/// The workers that a process was, by its name.
pub(crate) async fn workers(database: &Database, process: &str) -> anyhow::Result<Vec<String>> {
    let sql = format!("SELECT DISTINCT worker FROM chaos_claims WHERE process = '{process}'");
    let rows = database.rows(&sql).await?.into_iter();
    Ok(rows.flatten().flatten().collect())
}

/// What was written down, and what servers have logged.
pub(crate) async fn end(database: &Database, log: &str) -> anyhow::Result<Leases> {
    let counts = "SELECT COUNT(*), COUNT(*) FILTER (WHERE took_over) FROM chaos_claims";
    let counts = database.rows(counts).await?.into_iter().next();
    let [claims, taken_over] = columns(counts.context("no counts")?)?;
    let count = |text: Option<String>| text.unwrap_or_default().parse();
    let wrong = async |of: &str| -> anyhow::Result<Vec<String>> {
        let sql = format!("SELECT what FROM chaos_wrong WHERE {of}");
        let rows = database.rows(&sql).await?.into_iter();
        Ok(rows.flatten().flatten().collect())
    };
    Ok(Leases {
        claims: count(claims)?,
        taken_over: count(taken_over)?,
        double: wrong("is_claim").await?,
        stray: wrong("NOT is_claim").await?,
        refused: log.lines().filter(|line| line.contains(REFUSED)).count() as u64,
    })
}

#[cfg(test)]
mod tests {
    use loomgate_testkit::postgres;

    use super::*;
    use crate::database::Records;

    const TABLES: &str = "CREATE TABLE runs (workspace_id TEXT, id TEXT, status TEXT, \
        version BIGINT, fence BIGINT, attempt BIGINT, lease_owner TEXT, lease_until BIGINT); \
        CREATE TABLE run_events (workspace_id TEXT, run_id TEXT, attempt BIGINT, metadata TEXT); \
        INSERT INTO runs VALUES ('w', 'r', 'queued', 0, 0, 0, NULL, 0)";
    /// Far from now, in milliseconds.
    const FAR: u64 = 9_000_000_000_000;

    struct Bench(Database);

    impl Bench {
        async fn set() -> Self {
            let url = postgres::Database::new().url().to_owned();
            let database = Database::open(&Records::Postgres(url)).await.unwrap();
            database.rows(TABLES).await.unwrap();
            begin(&database).await.unwrap();
            Self(database)
        }

        async fn say(&self, process: &str, sql: &str) {
            let sql = format!("SET application_name = '{process}'; {sql}");
            self.0.rows(&sql).await.unwrap();
        }

        /// As a claim does: the lease, then what becomes of the run.
        async fn claim(&self, process: &str, until: u64) {
            let sql = format!(
                "UPDATE runs SET fence = fence + 1, attempt = attempt + 1, \
                 lease_owner = 'worker of {process}', lease_until = {until}; \
                 UPDATE runs SET version = version + 1, status = 'in_progress'"
            );
            self.say(process, &sql).await;
        }

        async fn leases(&self) -> Leases {
            end(&self.0, "x run is no longer ours\ny\n").await.unwrap()
        }

        /// What was found so far: double claims, and the rest.
        async fn found(&self) -> [Vec<String>; 2] {
            let Leases { double, stray, .. } = self.leases().await;
            [double, stray]
        }

        async fn breaks(&self, process: &str, sql: &str, word: &str) {
            let before = self.found().await.map(|found| found.len());
            self.say(process, sql).await;
            let [double, stray] = self.found().await;
            let new = [&double[before[0]..], &stray[before[1]..]].concat();
            assert_eq!(new.len(), 1, "{sql}: {new:?}");
            assert!(new[0].contains(word), "{new:?}");
            assert_eq!(double.len() - before[0], usize::from(word == "claimed"));
        }
    }

    const VOID: &str = "UPDATE runs SET lease_until = 0";
    const COMMIT: &str = "UPDATE runs SET version = version + 1, status = 'completed'";
    const DELTAS: &str = "INSERT INTO run_events VALUES ('w', 'r', 1, NULL)";

    #[tokio::test]
    async fn a_holder_may_do_everything_and_others_may_cancel() {
        let bench = Bench::set().await;
        bench.claim("a", 5).await;
        bench.say("a", "UPDATE runs SET lease_until = 6").await;
        bench.say("a", DELTAS).await;
        // The lease has ended long ago.
        bench.say("b", VOID).await;
        bench.claim("b", FAR).await;
        let cancelling = "UPDATE runs SET version = version + 1, status = 'cancelling'";
        bench.say("a", cancelling).await;
        bench.say("b", VOID).await;
        bench.claim("b", FAR).await;
        bench.say("b", COMMIT).await;
        let expected = Leases {
            claims: 3,
            taken_over: 2,
            double: Vec::new(),
            stray: Vec::new(),
            refused: 1,
        };
        assert_eq!(bench.leases().await, expected);
        let workers = workers(&bench.0, "b").await.unwrap();
        assert_eq!(workers, ["worker of b"]);
    }

    #[tokio::test]
    async fn a_run_that_is_taken_up_where_it_becomes_free_is_claimed() {
        let bench = Bench::set().await;
        let born = "DELETE FROM runs; \
            INSERT INTO runs VALUES ('w', 'r', 'in_progress', 1, 1, 1, 'worker of a', 5)";
        bench.say("a", born).await;
        bench.say("a", DELTAS).await;
        bench.breaks("b", DELTAS, "stored deltas").await;
        let paused = "UPDATE runs SET version = version + 1, status = 'requires_action', \
            lease_owner = NULL, lease_until = NULL";
        bench.say("a", paused).await;
        bench.claim("b", FAR).await;
        bench.breaks("a", COMMIT, "completed").await;
        let leases = bench.leases().await;
        assert_eq!((leases.claims, leases.taken_over), (2, 0));
        assert_eq!(leases.double, Vec::<String>::new());
    }

    #[tokio::test]
    async fn whatever_only_a_holder_may_do_is_found_where_another_does_it() {
        let bench = Bench::set().await;
        bench.claim("a", FAR).await;
        bench.breaks("b", DELTAS, "stored deltas").await;
        let longer = format!("UPDATE runs SET lease_until = {FAR} + 1");
        bench.breaks("b", &longer, "prolonged").await;
        let telling = "UPDATE runs SET version = version + 1";
        bench.breaks("b", telling, "in_progress").await;
        let claim = "UPDATE runs SET attempt = attempt + 1, fence = fence + 1";
        bench.breaks("b", claim, "claimed").await;
        // Now it is b's.
        bench.breaks("a", DELTAS, "under lease 2").await;
        bench.breaks("a", VOID, "took its lease").await;
        bench.breaks("a", COMMIT, "completed").await;
    }
}
