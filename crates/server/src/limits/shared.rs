//! Limits that several processes share: before a call is admitted, what all have used comes out of
//! the database; before it is answered, what it counts for is in there.
//!
//! One transaction at a time does both, for everybody who waits: under load it serves many calls.
//! Nothing that was counted is on its way while the sums are read, so that nothing counts twice or
//! not at all.

use std::time::Duration;

use loomgate_domain::{Clock, Timestamp};
use loomgate_gateway::Gateway;
use loomgate_store::Store;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// How long a database is left alone that did not answer.
const PAUSE: Duration = Duration::from_millis(200);
/// How often one looks which runs at providers other processes have seen open.
const LOOK: Duration = Duration::from_secs(1);

/// Works until `stop`; whoever asks later goes by what this process knows.
pub(crate) async fn run(
    (store, gateway): (&Store, &Gateway),
    clock: &dyn Clock,
    stop: &CancellationToken,
) {
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !stop.is_cancelled() {
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            // Before what may always be there.
            _ = looks.tick() => look(store, gateway).await,
            () = gateway.meter().wanted() => {
                if !balance((store, gateway), clock.now()).await {
                    // What waits is wanted again at once.
                    let _ = timeout(PAUSE, stop.cancelled()).await;
                }
            }
        }
    }
    gateway.meter().close();
    balance((store, gateway), clock.now()).await;
}

/// Writes what is owed, and answers who has asked. Whether the database took part.
async fn balance((store, gateway): (&Store, &Gateway), now: Timestamp) -> bool {
    let meter = gateway.meter();
    let Some(round) = meter.round() else {
        return true;
    };
    let (subjects, owed) = (round.subjects(), gateway.owed());
    if subjects.is_empty() && owed.is_empty() {
        return true;
    }
    let counters = store.counters();
    match counters.balance(owed.clone(), subjects.clone(), now).await {
        Ok(all) => {
            for (subject, stored) in subjects.iter().zip(&all) {
                meter.refresh(subject, stored);
            }
            true
        }
        Err(error) => {
            tracing::error!(%error, "what keys have used was not shared, and will be tried again");
            gateway.restore(owed);
            false
        }
    }
}

async fn look(store: &Store, gateway: &Gateway) {
    match store.counters().open_runs().await {
        Ok(runs) => gateway.load_open_runs(runs),
        Err(error) => tracing::error!(%error, "runs at providers were not looked up"),
    }
}
