//! What keys may use, with what they have used before.

use std::sync::Arc;

use loomgate_domain::{Timestamp, limit::Allowance};
use loomgate_gateway::{
    Gateway,
    meter::{Limited, Subject},
};
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
    let subject: Subject = subject.into();
    let meter = gateway.meter();
    if !meter.knows(&subject) {
        let stored = store.counters().load(&subject).await?;
        meter.load(&subject, stored);
    }
    Ok(Some(Limited {
        subject,
        whose,
        allowance: Arc::new(allowance.clone()),
        since,
    }))
}
