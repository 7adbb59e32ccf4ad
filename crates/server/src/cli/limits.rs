//! Limits as flags, and how they stand.

use clap::Args;
use loomgate_domain::{Clock as _, limit::Allowance};
use loomgate_gateway::meter::{BudgetState, Limited, Meter};
use loomgate_store::Store;
use serde_json::{Map, Value};

use crate::{
    clock::SystemClock,
    config::{ConfigError, allowance},
    http::admin::allowance::Holder,
};

#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// So much in a span of time, TYPE:UNIT:VALUE: type requests or tokens, unit rps, rpm, rph,
    /// rpd or rpw; may be given several times
    #[arg(long, value_name = "LIMIT")]
    rate_limit: Vec<String>,
    /// A budget, TYPE:LIMIT[:RESET]: type cost (US dollars) or tokens, reset monthly, weekly or a
    /// number of days; without a reset it is never renewed
    #[arg(long, value_name = "BUDGET")]
    budget: Option<String>,
    /// So many calls at the same time
    #[arg(long, value_name = "CALLS", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    concurrency: Option<u32>,
}

impl LimitArgs {
    pub(super) fn allowance(&self) -> Result<Allowance, ConfigError> {
        let rates = self.rate_limit.iter();
        let budget = self.budget.as_deref();
        Ok(Allowance {
            rate_limits: rates
                .map(|text| allowance::rate_of_text(text))
                .collect::<Result<_, _>>()?,
            usage_limits: budget.map(allowance::budget_of_text).transpose()?,
            concurrency: self.concurrency,
        })
    }
}

/// `valid`, `expired ...` or `budget exhausted`.
pub(super) async fn state(
    store: &Store,
    holder: &Holder<'_>,
) -> Result<String, loomgate_store::Error> {
    let now = SystemClock.now();
    if let Some(end) = holder.expires_at.filter(|end| *end <= now) {
        return Ok(format!("expired {}", super::table::moment(end)));
    }
    Ok(match budget(store, holder).await? {
        Some(budget) if budget.exhausted => "budget exhausted".to_owned(),
        Some(budget) => {
            let percent = budget.used.saturating_mul(100) / budget.limit.max(1);
            format!("valid, {percent} % of budget used")
        }
        None => "valid".to_owned(),
    })
}

/// Adds to an object what its holder may use, and how that stands.
pub(super) async fn add(
    store: &Store,
    holder: &Holder<'_>,
    object: &mut Map<String, Value>,
) -> Result<(), loomgate_store::Error> {
    let budget = budget(store, holder).await?;
    holder.add(budget, SystemClock.now(), object);
    Ok(())
}

/// As servers have written it, which they do every few seconds.
async fn budget(
    store: &Store,
    holder: &Holder<'_>,
) -> Result<Option<BudgetState>, loomgate_store::Error> {
    if holder.allowance.usage_limits.is_none() {
        return Ok(None);
    }
    let meter = Meter::new();
    let limited = Limited {
        subject: holder.subject.as_str().into(),
        whose: holder.whose,
        allowance: holder.allowance.clone().into(),
        since: holder.since,
    };
    let stored = store.counters().load(&holder.subject).await?;
    meter.load(&limited.subject, stored);
    Ok(meter.budget_left(&limited, SystemClock.now_ms()))
}
