mod budgets;
mod kept;
mod rates;
mod shared;

use loomgate_domain::{
    Timestamp,
    limit::{Nanodollars, PeriodicReset, RateLimit, RateUnit},
};

use super::{
    shard::{HELD, IDLE_MS},
    *,
};

/// A multiple of every span: a Thursday, 2025-07-31 00:00 UTC.
const START: i64 = 604_800_000 * 2_900;

fn limited(allowance: Allowance) -> Limited {
    Limited {
        subject: "key:key_abc".into(),
        whose: "API key",
        allowance: Arc::new(allowance),
        since: Timestamp(START / 1000),
    }
}

fn rate(kind: RateKind, unit: RateUnit, value: u64) -> RateLimit {
    RateLimit { kind, unit, value }
}

fn requests(unit: RateUnit, value: u64) -> Limited {
    rates(&[rate(RateKind::Requests, unit, value)])
}

fn rates(limits: &[RateLimit]) -> Limited {
    limited(Allowance {
        rate_limits: limits.to_vec(),
        ..Allowance::default()
    })
}

fn budget(kind: UsageKind, credit_limit: f64, reset: Option<PeriodicReset>) -> Limited {
    limited(Allowance {
        usage_limits: Some(UsageLimit {
            kind,
            credit_limit,
            alert_threshold: None,
            periodic_reset: reset,
            periodic_reset_days: None,
        }),
        ..Allowance::default()
    })
}

fn tokens(tokens: u64) -> Spent {
    Spent { tokens, cost: None }
}

fn cost(nanodollars: u64) -> Spent {
    Spent {
        tokens: 0,
        cost: Some(Nanodollars(nanodollars)),
    }
}
