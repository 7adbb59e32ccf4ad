//! What happens to the servers: kills, kills while they start, freezes, deploys; and to the
//! PostgreSQL that they share, if they do.

mod act;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use loomgate_bench::statistics::Dice;
use tokio::time::sleep;

use self::act::Act;
use crate::{
    audit,
    cluster::{Cluster, Stop},
    database::Database,
    model::StandIn,
    phase::Cut,
    stage::{Role, Stage},
};

/// A database is looked through wholly at each of so many kills; it takes its time.
const WHOLE_LOOK: u64 = 10;
/// How often a server that does not come up, because its line to the database breaks, is started
/// once more.
const STARTS: u32 = 50;

/// When to stop.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Kills.
    pub(crate) cuts: u64,
    pub(crate) time: Duration,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) kills_at_start: u64,
    /// Times at which all servers were killed at once; each counts as so many kills.
    pub(crate) kills_of_all: u64,
    pub(crate) freezes: u64,
    /// Freezes that lasted longer than a lease.
    pub(crate) long_freezes: u64,
    pub(crate) deploys: u64,
    /// Times at which PostgreSQL was started again in good order.
    pub(crate) restarts: u64,
    /// Times at which it had to recover.
    pub(crate) crashes: u64,
    /// Servers that ended while they started, since the database was not to be had.
    pub(crate) failed_starts: u64,
    pub(crate) cut: Cut,
    /// Of starts after a kill.
    pub(crate) ready: Vec<Duration>,
    /// What was wrong with the database right after a kill.
    pub(crate) faults: Vec<String>,
}

/// Disturbs what is there.
pub(crate) struct Disturber<'a> {
    pub(crate) stage: &'a mut Stage,
    /// None: servers have an embedded database.
    pub(crate) cluster: Option<&'a mut Cluster>,
    pub(crate) lease: Duration,
    pub(crate) model: &'a StandIn,
    pub(crate) dice: Dice,
    pub(crate) tally: &'a mut Tally,
    pub(crate) kills: &'a AtomicU64,
    /// The server that is frozen, and when it may go on.
    pub(crate) frozen: Option<(usize, Instant)>,
}

impl Disturber<'_> {
    /// Disturbs until a bound is reached; all servers serve then.
    pub(crate) async fn disturb(mut self, bounds: Bounds) -> anyhow::Result<()> {
        let began = Instant::now();
        while self.kills.load(Ordering::Relaxed) < bounds.cuts && began.elapsed() < bounds.time {
            sleep(self.millis(50, 900)).await;
            self.thaw_in_time().await?;
            let act = Act::draw(&mut self.dice, self.cluster.is_some());
            // One is frozen at a time, so that somebody is left to take its runs.
            let act = if self.frozen.is_some() && act.is_of_all() {
                Act::Kill
            } else {
                act
            };
            self.act(act).await?;
        }
        self.thaw().await
    }

    async fn act(&mut self, act: Act) -> anyhow::Result<()> {
        let Some(replica) = self.any_awake() else {
            return self.thaw().await;
        };
        match act {
            Act::Kill => {
                self.kill(&[replica]).await?;
                self.start(replica).await
            }
            Act::KillAtStart => {
                self.kill(&[replica]).await?;
                self.tally.kills_at_start += 1;
                let after = self.millis(0, 200);
                self.stage.kill_at_start(replica, after).await?;
                self.inspect(1).await?;
                self.start(replica).await
            }
            Act::KillAll => {
                self.tally.kills_of_all += 1;
                let all: Vec<_> = (0..self.stage.replicas()).collect();
                self.kill(&all).await?;
                self.start_all(all).await
            }
            Act::Freeze => {
                self.tally.freezes += 1;
                self.stage.signal(replica, "STOP").await?;
                sleep(self.millis(20, 1_500)).await;
                self.stage.signal(replica, "CONT").await
            }
            Act::FreezeLong => {
                self.tally.long_freezes += 1;
                self.stage.signal(replica, "STOP").await?;
                let more = self.millis(0, 1_500);
                self.frozen = Some((replica, Instant::now() + self.lease + more));
                Ok(())
            }
            Act::Deploy => self.deploy(replica).await,
            Act::Roll => {
                for replica in 0..self.stage.replicas() {
                    self.deploy(replica).await?;
                }
                Ok(())
            }
            Act::Restart => {
                self.tally.restarts += 1;
                self.restart(Stop::Fast).await
            }
            Act::Crash => {
                self.tally.crashes += 1;
                self.restart(Stop::Immediate).await
            }
        }
    }

    /// A server that is not frozen, if there is one.
    fn any_awake(&mut self) -> Option<usize> {
        let frozen = self.frozen.map(|(replica, _)| replica);
        let awake = (0..self.stage.replicas()).filter(|replica| Some(*replica) != frozen);
        let awake: Vec<_> = awake.collect();
        (!awake.is_empty()).then(|| awake[self.dice.below(awake.len())])
    }

    /// Lets the server that is frozen go on, if its time has come.
    async fn thaw_in_time(&mut self) -> anyhow::Result<()> {
        match self.frozen {
            Some((_, until)) if until < Instant::now() => self.thaw().await,
            _ => Ok(()),
        }
    }

    /// Lets the server that is frozen go on, when its time has come.
    async fn thaw(&mut self) -> anyhow::Result<()> {
        let Some((replica, until)) = self.frozen.take() else {
            return Ok(());
        };
        sleep(until.saturating_duration_since(Instant::now())).await;
        self.stage.signal(replica, "CONT").await
    }

    /// Kills servers at once, and looks at what they left.
    async fn kill(&mut self, replicas: &[usize]) -> anyhow::Result<()> {
        let live = self.model.live();
        let mut names = Vec::new();
        for replica in replicas {
            names.push(self.stage.kill(*replica).await?);
        }
        let database = Database::open(&self.stage.records()).await?;
        let mut workers = Vec::new();
        for name in names.iter().filter(|_| self.cluster.is_some()) {
            workers.extend(audit::workers(&database, name).await?);
        }
        for run in database.active().await? {
            let is_cut = match &run.owner {
                Some(owner) => self.cluster.is_none() || workers.contains(owner),
                None => true,
            };
            // Others still carry theirs out.
            if is_cut {
                let stage = live.get(&run.number).copied();
                self.tally.cut.count(&run, stage);
            }
        }
        self.inspect(replicas.len() as u64).await
    }

    /// Counts kills, and looks for what no kill may leave.
    async fn inspect(&mut self, kills: u64) -> anyhow::Result<()> {
        let before = self.kills.fetch_add(kills, Ordering::Relaxed);
        let number = before + kills;
        let database = Database::open(&self.stage.records()).await?;
        let mut faults = Vec::new();
        if before / WHOLE_LOOK < number / WHOLE_LOOK {
            faults = database.faults().await?;
        }
        for thread in database.locked_twice().await? {
            faults.push(format!("several active runs in {thread}"));
        }
        for run in database.locked_wrongly().await? {
            faults.push(format!("{run} locks its thread wrongly"));
        }
        for fault in faults {
            self.tally
                .faults
                .push(format!("after kill {number}: {fault}"));
        }
        Ok(())
    }

    async fn deploy(&mut self, replica: usize) -> anyhow::Result<()> {
        self.tally.deploys += 1;
        self.stage.terminate(replica).await?;
        self.start(replica).await
    }

    async fn start_all(&mut self, replicas: Vec<usize>) -> anyhow::Result<()> {
        for replica in replicas {
            self.start(replica).await?;
        }
        Ok(())
    }

    /// Starts a server. The first one does everything, so that somebody always does.
    async fn start(&mut self, replica: usize) -> anyhow::Result<()> {
        let role = match (replica, self.dice.below(6)) {
            (1.., 0) => Role::Api,
            (1.., 1) => Role::Worker,
            _ => Role::All,
        };
        let mut failed = 0;
        let took = loop {
            match self.stage.start(replica, role).await {
                Ok(took) => break took,
                // Whoever looks after servers starts them again.
                Err(error) if self.cluster.is_none() || failed == STARTS => return Err(error),
                Err(_) => failed += 1,
            }
            sleep(Duration::from_millis(100)).await;
            self.thaw_in_time().await?;
        };
        self.tally.failed_starts += u64::from(failed);
        self.tally.ready.push(took);
        Ok(())
    }

    async fn restart(&mut self, how: Stop) -> anyhow::Result<()> {
        let pause = self.millis(0, 400);
        let cluster = self.cluster.as_mut().context("there is no PostgreSQL")?;
        cluster.stop(how).await?;
        sleep(pause).await;
        cluster.begin().await
    }

    fn millis(&mut self, least: u64, more: usize) -> Duration {
        Duration::from_millis(least + self.dice.below(more) as u64)
    }
}
