//! What happens to the server: kills, kills while it starts, freezes, deploys.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use loomgate_bench::statistics::Dice;
use tokio::time::sleep;

use crate::{database::Database, model::StandIn, phase::Cut, stage::Stage};

/// A database is looked through wholly at each of so many kills; it takes its time.
const WHOLE_LOOK: u64 = 10;

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
    pub(crate) freezes: u64,
    pub(crate) deploys: u64,
    pub(crate) cut: Cut,
    /// Of starts after a kill.
    pub(crate) ready: Vec<Duration>,
    /// What was wrong with the database right after a kill.
    pub(crate) faults: Vec<String>,
}

/// Disturbs the server until a bound is reached; it serves then.
pub(crate) async fn disturb(
    stage: &mut Stage,
    model: &StandIn,
    (mut dice, bounds): (Dice, Bounds),
    (tally, kills): (&mut Tally, &AtomicU64),
) -> anyhow::Result<()> {
    let began = Instant::now();
    while kills.load(Ordering::Relaxed) < bounds.cuts && began.elapsed() < bounds.time {
        sleep(millis(&mut dice, 50, 900)).await;
        match dice.below(20) {
            0..13 => kill(stage, model, tally, kills).await?,
            13..16 => {
                kill(stage, model, tally, kills).await?;
                tally.kills_at_start += 1;
                stage.kill_at_start(millis(&mut dice, 0, 200)).await?;
                let database = Database::open(&stage.records()).await?;
                inspect(&database, tally, kills).await?;
            }
            16..18 => {
                tally.freezes += 1;
                stage.freeze(millis(&mut dice, 20, 1_500)).await?;
                continue;
            }
            _ => {
                tally.deploys += 1;
                stage.terminate().await?;
            }
        }
        tally.ready.push(stage.start().await?);
    }
    Ok(())
}

/// Kills the server, and looks at what it left.
async fn kill(
    stage: &mut Stage,
    model: &StandIn,
    tally: &mut Tally,
    kills: &AtomicU64,
) -> anyhow::Result<()> {
    let live = model.live();
    stage.kill().await?;
    let database = Database::open(&stage.records()).await?;
    for run in database.active().await? {
        tally.cut.count(&run, live.get(&run.number).copied());
    }
    inspect(&database, tally, kills).await
}

/// Counts a kill, and looks for what no kill may leave.
async fn inspect(database: &Database, tally: &mut Tally, kills: &AtomicU64) -> anyhow::Result<()> {
    let number = kills.fetch_add(1, Ordering::Relaxed) + 1;
    let mut faults = Vec::new();
    if number.is_multiple_of(WHOLE_LOOK) {
        faults = database.faults().await?;
    }
    for thread in database.locked_twice().await? {
        faults.push(format!("several active runs in {thread}"));
    }
    for run in database.locked_wrongly().await? {
        faults.push(format!("{run} locks its thread wrongly"));
    }
    for fault in faults {
        tally.faults.push(format!("after kill {number}: {fault}"));
    }
    Ok(())
}

fn millis(dice: &mut Dice, least: u64, more: usize) -> Duration {
    Duration::from_millis(least + dice.below(more) as u64)
}
