//! What keys may use, with what they have used before.

pub(crate) mod shared;

use std::sync::Arc;

use loomgate_domain::{Timestamp, limit::Allowance};
use loomgate_gateway::{Gateway, meter::Limited};
use loomgate_store::Store;

/// A key's limits as the meter takes them; `None` where nothing limits it. What was used before
/// this process began is loaded first.
pub(crate) async fn limited(
    (store, gateway): (&Store, &Gateway),
    subject: String,
    whose: &'static str,
    (allowance, since): (&Allowance, Timestamp),
) -> Result<Option<Limited>, loomgate_store::Error> {
    if *allowance == Allowance::default() {
        return Ok(None);
    }
    let limited = Limited {
        subject: subject.into(),
        whose,
        allowance: Arc::new(allowance.clone()),
        since,
    };
    recall((store, gateway), &limited).await?;
    Ok(Some(limited))
}

/// Waits until it is known what all processes have used, where they share what limits a key.
pub(crate) async fn caught_up(gateway: &Gateway, limited: Option<&Limited>) {
    if let Some(limited) = limited {
        gateway.meter().catch_up(&limited.subject).await;
    }
}

/// Brings back what was used before, where the meter does not know it: it forgets who was idle when
/// there are very many.
pub(crate) async fn recall(
    (store, gateway): (&Store, &Gateway),
    limited: &Limited,
) -> Result<(), loomgate_store::Error> {
    let meter = gateway.meter();
    if !meter.knows(&limited.subject) {
        let stored = store.counters().load(&limited.subject).await?;
        meter.load(&limited.subject, stored);
    }
    Ok(())
}
