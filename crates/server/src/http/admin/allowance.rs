//! Rates and budgets in bodies and answers (contract portkey.md section 7).

use loomgate_domain::{
    Patch, Timestamp,
    limit::{
        Allowance, LEAST_CREDIT, Nanodollars, PeriodicReset, RateKind, RateLimit, RateUnit,
        UsageKind, UsageLimit,
    },
};
use loomgate_gateway::meter::BudgetState;
use serde_json::{Map, Value, json};

use super::{fields::Fields, moment};
use crate::{
    app::Services,
    error::{AdminError, ApiError},
    limits,
};

/// The most rates of one key.
const RATES: usize = 10;
/// The largest value of a rate or a budget; a double holds it exactly.
const MOST: i64 = 1 << 53;

const RATE_KINDS: [(&str, RateKind); 2] = [
    ("requests", RateKind::Requests),
    ("tokens", RateKind::Tokens),
];
const RATE_UNITS: [(&str, RateUnit); 5] = [
    ("rps", RateUnit::Rps),
    ("rpm", RateUnit::Rpm),
    ("rph", RateUnit::Rph),
    ("rpd", RateUnit::Rpd),
    ("rpw", RateUnit::Rpw),
];
const USAGE_KINDS: [(&str, UsageKind); 2] =
    [("cost", UsageKind::Cost), ("tokens", UsageKind::Tokens)];
const RESETS: [(&str, PeriodicReset); 2] = [
    ("monthly", PeriodicReset::Monthly),
    ("weekly", PeriodicReset::Weekly),
];

/// Applies `rate_limits`, `usage_limits` and `concurrency` of a body.
pub(super) fn apply(body: &mut Fields, allowance: &mut Allowance) -> Result<(), AdminError> {
    match body.objects("rate_limits", RATES)? {
        Patch::Absent => {}
        Patch::Null => allowance.rate_limits.clear(),
        Patch::Set(limits) => {
            let limits = limits.into_iter().map(rate);
            let limits: Vec<_> = limits.collect::<Result<_, _>>()?;
            let twice = limits.iter().enumerate().any(|(index, limit)| {
                let before = limits.iter().take(index);
                before
                    .clone()
                    .any(|other| (other.kind, other.unit) == (limit.kind, limit.unit))
            });
            if twice {
                let message = "Invalid 'rate_limits': two of them are of the same type and unit.";
                return Err(body.refuse("rate_limits", message));
            }
            allowance.rate_limits = limits;
        }
    }
    match body.object("usage_limits")? {
        Patch::Absent => {}
        Patch::Null => allowance.usage_limits = None,
        Patch::Set(limit) => allowance.usage_limits = Some(budget(limit)?),
    }
    match body.whole("concurrency", 1..=1_000_000)? {
        Patch::Absent => {}
        Patch::Null => allowance.concurrency = None,
        Patch::Set(most) => allowance.concurrency = u32::try_from(most).ok(),
    }
    Ok(())
}

fn rate(mut limit: Fields) -> Result<RateLimit, AdminError> {
    let kind = limit.word("type", &RATE_KINDS)?.into_option();
    let unit = limit.word("unit", &RATE_UNITS)?.into_option();
    let value = limit.whole("value", 1..=MOST)?.into_option();
    let rate = RateLimit {
        kind: kind.ok_or_else(|| limit.missing("type"))?,
        unit: unit.ok_or_else(|| limit.missing("unit"))?,
        value: value.ok_or_else(|| limit.missing("value"))?.unsigned_abs(),
    };
    limit.finish()?;
    Ok(rate)
}

fn budget(mut limit: Fields) -> Result<UsageLimit, AdminError> {
    #[expect(clippy::cast_precision_loss, reason = "a power of two")]
    let most = MOST as f64;
    let kind = limit.word("type", &USAGE_KINDS)?.into_option();
    let credit_limit = limit.number("credit_limit", LEAST_CREDIT..=most)?;
    let credit_limit = credit_limit
        .into_option()
        .ok_or_else(|| limit.missing("credit_limit"))?;
    let alert_threshold = limit.number("alert_threshold", 0.0..=most)?.into_option();
    if alert_threshold.is_some_and(|alert| alert > credit_limit) {
        let message = "Invalid 'usage_limits.alert_threshold': it is more than 'credit_limit'.";
        return Err(limit.refuse("alert_threshold", message));
    }
    let periodic_reset = limit.word("periodic_reset", &RESETS)?.into_option();
    let days = limit.whole("periodic_reset_days", 1..=365)?.into_option();
    if periodic_reset.is_some() && days.is_some() {
        let message = "Send either 'periodic_reset' or 'periodic_reset_days', not both.";
        return Err(limit.refuse("periodic_reset_days", message));
    }
    limit.finish()?;
    Ok(UsageLimit {
        kind: kind.unwrap_or(UsageKind::Cost),
        credit_limit,
        alert_threshold,
        periodic_reset,
        periodic_reset_days: days.and_then(|days| u16::try_from(days).ok()),
    })
}

/// A time from which on something can not be used: RFC 3339. It has to lie ahead.
pub(super) fn apply_expiry(
    body: &mut Fields,
    expires_at: &mut Option<Timestamp>,
    now: Timestamp,
) -> Result<(), AdminError> {
    match body.text("expires_at", 40)? {
        Patch::Absent => {}
        Patch::Null => *expires_at = None,
        Patch::Set(text) => {
            let at = moment::parse(&text);
            let at = at.ok_or_else(|| {
                let expected = "a time such as '2027-01-31T12:00:00Z'";
                body.wrong("expires_at", expected, format!("'{text}'"))
            })?;
            // What is sent back as it was read may have passed.
            if at <= now && Some(at) != *expires_at {
                let message = "Invalid 'expires_at': it has to lie in the future.";
                return Err(body.refuse("expires_at", message));
            }
            *expires_at = Some(at);
        }
    }
    Ok(())
}

/// Whose allowance it is, for the meter.
pub(crate) struct Holder<'a> {
    /// `vk:ws_default/main`, `key:key_abc`
    pub(crate) subject: String,
    /// "virtual key", "API key"
    pub(crate) whose: &'static str,
    /// What it may use.
    pub(crate) allowance: &'a Allowance,
    /// Since when its budget counts.
    pub(crate) since: Timestamp,
    /// From then on it can not be used.
    pub(crate) expires_at: Option<Timestamp>,
}

impl Holder<'_> {
    /// Adds to an answer what it may use, and how that stands ([`Holder::add`]).
    pub(super) async fn show(
        self,
        services: &Services,
        answer: &mut Map<String, Value>,
    ) -> Result<(), AdminError> {
        let budget = self.budget(services).await?;
        self.add(budget, services.clock.now(), answer);
        Ok(())
    }

    /// Adds `status`, `usage`, `rate_limits`, `usage_limits`, `concurrency` and `expires_at` to an
    /// answer. Amounts are US dollars or tokens.
    pub(crate) fn add(
        &self,
        budget: Option<BudgetState>,
        now: Timestamp,
        answer: &mut Map<String, Value>,
    ) {
        let status = if self.expires_at.is_some_and(|end| end <= now) {
            "expired"
        } else if budget.as_ref().is_some_and(|budget| budget.exhausted) {
            "exhausted"
        } else {
            "active"
        };
        let usage = budget.map(|budget| {
            let amount = |amount| match budget.kind {
                UsageKind::Cost => json!(dollars(Nanodollars(amount))),
                UsageKind::Tokens => json!(amount),
            };
            json!({
                "used": amount(budget.used),
                "limit": amount(budget.limit),
                "exhausted": budget.exhausted,
                "resets_at": budget.resets_at.map(moment::text),
            })
        });
        let fields = json!({
            "status": status,
            "usage": usage,
            "rate_limits": self.allowance.rate_limits,
            "usage_limits": self.allowance.usage_limits,
            "concurrency": self.allowance.concurrency,
            "reset_usage": 0,
            "expires_at": self.expires_at.map(moment::text),
        });
        if let Value::Object(fields) = fields {
            answer.extend(fields);
        }
    }

    async fn budget(&self, services: &Services) -> Result<Option<BudgetState>, AdminError> {
        let limited = limits::limited(
            (&services.store, &services.gateway),
            self.subject.clone(),
            self.whose,
            (self.allowance, self.since),
        );
        let limited = limited.await.map_err(ApiError::from)?;
        let now_ms = services.clock.now_ms();
        Ok(limited.and_then(|limited| services.gateway.meter().budget_left(&limited, now_ms)))
    }
}

/// Forgets what a subject has used of its budgets.
pub(super) async fn reset(services: &Services, subject: &str) -> Result<(), AdminError> {
    services.store.counters().reset(subject).await?;
    services.gateway.meter().reset(&subject.into());
    Ok(())
}

/// US dollars.
#[expect(
    clippy::cast_precision_loss,
    reason = "sums of money far below 2^53 billionths"
)]
pub(super) fn dollars(amount: Nanodollars) -> f64 {
    amount.0 as f64 / 1e9
}
