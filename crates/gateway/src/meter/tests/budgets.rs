//! Budgets, and what is logged of them.

use std::sync::atomic::AtomicUsize;

use tracing::{Event, Metadata, Subscriber, span};

use super::*;

const DAY: i64 = 86_400_000;

#[test]
fn a_budget_of_money_refuses_when_it_is_used_up() {
    let meter = Meter::new();
    let key = budget(UsageKind::Cost, 1.5, None);
    meter.charge(&key, cost(1_499_999_999), START, true);
    assert!(meter.admit(&key, START).is_ok());
    // Calls without a price, and tokens, count nothing.
    meter.charge(&key, tokens(1_000_000), START, true);
    assert!(meter.check(&key, START).is_ok());
    meter.charge(&key, cost(1), START, true);
    let refusal = meter.admit(&key, START).unwrap_err();
    assert_eq!(refusal.status(), 412);
    assert_eq!(
        refusal.kind,
        RefusalKind::Budget {
            kind: UsageKind::Cost,
            limit: 1_500_000_000,
            resets_at: None,
        }
    );
    assert_eq!(meter.check(&key, START + 900 * DAY).unwrap_err(), refusal);
}

#[test]
fn a_budget_of_tokens_is_renewed_with_its_period() {
    let meter = Meter::new();
    let key = budget(UsageKind::Tokens, 100.0, Some(PeriodicReset::Weekly));
    // START is a Thursday: the week ends three days later.
    let sunday = START + 3 * DAY;
    meter.charge(&key, tokens(130), START, true);
    let state = BudgetState {
        kind: UsageKind::Tokens,
        used: 130,
        limit: 100,
        exhausted: true,
        resets_at: Some(Timestamp(sunday / 1000)),
    };
    assert_eq!(meter.budget_left(&key, sunday - 1), Some(state));
    assert!(meter.admit(&key, sunday - 1).is_err());
    assert!(meter.admit(&key, sunday).is_ok());
    let renewed = meter.budget_left(&key, sunday).unwrap();
    assert_eq!((renewed.used, renewed.exhausted), (0, false));
}

#[test]
fn a_budget_goes_before_rates_and_places() {
    let meter = Meter::new();
    let mut allowance = (*budget(UsageKind::Tokens, 1.0, None).allowance).clone();
    allowance.rate_limits = vec![rate(RateKind::Requests, RateUnit::Rpm, 0)];
    allowance.concurrency = Some(0);
    let key = limited(allowance);
    meter.charge(&key, tokens(1), START, true);
    assert_eq!(meter.admit(&key, START).unwrap_err().status(), 412);
}

#[test]
fn a_reset_gives_the_budget_back_and_leaves_rates_alone() {
    let meter = Meter::new();
    let mut allowance = (*budget(UsageKind::Tokens, 10.0, None).allowance).clone();
    allowance.rate_limits = vec![rate(RateKind::Requests, RateUnit::Rph, 1)];
    let key = limited(allowance);
    assert!(meter.admit(&key, START).is_ok());
    meter.charge(&key, tokens(10), START, true);
    assert_eq!(meter.admit(&key, START).unwrap_err().status(), 412);
    meter.reset(&key.subject);
    assert_eq!(meter.admit(&key, START).unwrap_err().status(), 429);
    let meters: Vec<_> = meter.drain().into_iter().map(|it| it.meter).collect();
    assert_eq!(meters, ["requests:rph"]);
}

#[test]
fn odd_amounts_become_units_that_end_where_they_say() {
    let cost = |amount| units(UsageKind::Cost, amount);
    assert_eq!(cost(0.3), 300_000_000);
    assert_eq!(cost(1.1), 1_100_000_000);
    assert_eq!((cost(-1.0), cost(f64::NAN)), (0, 0));
    assert_eq!(cost(f64::INFINITY), u64::MAX);
    let tokens = |amount| units(UsageKind::Tokens, amount);
    assert_eq!((tokens(100.0), tokens(100.5)), (100, 101));
}

/// Counts warnings.
#[derive(Default)]
struct Warnings(Arc<AtomicUsize>);

impl Subscriber for Warnings {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn thresholds_are_logged_once_a_period() {
    let meter = Meter::new();
    let mut allowance =
        (*budget(UsageKind::Cost, 1.0, Some(PeriodicReset::Weekly)).allowance).clone();
    if let Some(limit) = &mut allowance.usage_limits {
        limit.alert_threshold = Some(0.5);
    }
    let key = limited(allowance);
    let count = Arc::new(AtomicUsize::new(0));
    let warned = || count.load(Ordering::SeqCst);
    tracing::subscriber::with_default(Warnings(Arc::clone(&count)), || {
        let charge = |now| meter.charge(&key, cost(100_000_000), now, true);
        (0..4).for_each(|_| charge(START));
        assert_eq!(warned(), 0, "0.4 of 0.5");
        charge(START);
        assert_eq!(warned(), 1, "the threshold");
        (0..4).for_each(|_| charge(START));
        assert_eq!(warned(), 1, "0.9");
        charge(START);
        assert_eq!(warned(), 2, "the end");
        (0..4).for_each(|_| charge(START));
        assert_eq!(warned(), 2, "beyond");
        (0..5).for_each(|_| charge(START + 7 * DAY));
        assert_eq!(warned(), 3, "the threshold of another week");
    });
}
