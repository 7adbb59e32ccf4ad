//! Rates and places.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

#[test]
fn no_limits_no_account() {
    let meter = Meter::new();
    let free = limited(Allowance::default());
    for _ in 0..1000 {
        assert!(meter.admit(&free, START).is_ok());
        assert!(meter.check(&free, START).is_ok());
        meter.charge(&free, tokens(1_000_000), START, true);
    }
    assert_eq!(meter.drain(), []);
    assert!(meter.remaining(&free, START).is_empty());
    assert_eq!(meter.budget_left(&free, START), None);
    assert!(meter.shards.iter().all(|it| it.lock().accounts.is_empty()));
}

#[test]
fn requests_are_refused_beyond_the_limit_and_refusals_do_not_count() {
    let meter = Meter::new();
    let key = requests(RateUnit::Rpm, 3);
    for _ in 0..3 {
        assert!(meter.admit(&key, START).is_ok());
    }
    let refusal = meter.admit(&key, START + 500).unwrap_err();
    assert_eq!(refusal.status(), 429);
    assert_eq!(refusal.whose, "API key");
    let kind = RateKind::Requests;
    let unit = RateUnit::Rpm;
    assert_eq!(
        refusal.kind,
        RefusalKind::Rate {
            kind,
            unit,
            limit: 3
        }
    );
    // All three weigh 3 until the minute is over and a millisecond of it has left the span.
    assert_eq!(refusal.retry_after, Some(Duration::from_millis(59_501)));
    for _ in 0..100 {
        assert!(meter.admit(&key, START + 60_000).is_err());
    }
    assert!(meter.admit(&key, START + 60_001).is_ok());
    assert!(meter.admit(&key, START + 60_001).is_err());
}

#[test]
fn other_subjects_have_counters_of_their_own() {
    let meter = Meter::new();
    let key = requests(RateUnit::Rpm, 1);
    let other = Limited {
        subject: "key:key_other".into(),
        ..key.clone()
    };
    assert!(meter.admit(&key, START).is_ok());
    assert!(meter.admit(&key, START).is_err());
    assert!(meter.admit(&other, START).is_ok());
}

#[test]
fn tokens_are_counted_when_spent_and_refuse_from_the_limit_on() {
    let meter = Meter::new();
    let key = rates(&[rate(RateKind::Tokens, RateUnit::Rpm, 100)]);
    for _ in 0..5 {
        assert!(meter.admit(&key, START).is_ok());
    }
    meter.charge(&key, tokens(99), START, true);
    assert!(meter.admit(&key, START).is_ok());
    meter.charge(&key, tokens(101), START, true);
    let refusal = meter.admit(&key, START).unwrap_err();
    // 200 tokens weigh less than 100 once more than half of the minute has left the span.
    assert_eq!(refusal.retry_after, Some(Duration::from_millis(90_001)));
    assert_eq!(meter.check(&key, START).unwrap_err(), refusal);
}

#[test]
fn a_run_s_model_calls_are_held_to_tokens_but_not_to_requests() {
    let meter = Meter::new();
    let key = rates(&[
        rate(RateKind::Requests, RateUnit::Rpm, 1),
        rate(RateKind::Tokens, RateUnit::Rph, 10),
    ]);
    assert!(meter.admit(&key, START).is_ok());
    assert!(meter.admit(&key, START).is_err());
    for _ in 0..10 {
        assert!(meter.check(&key, START).is_ok());
    }
    meter.charge(&key, tokens(10), START, true);
    assert!(meter.check(&key, START).is_err());
}

#[test]
fn the_rate_that_lasts_longest_is_named() {
    let meter = Meter::new();
    let key = rates(&[
        rate(RateKind::Requests, RateUnit::Rps, 2),
        rate(RateKind::Requests, RateUnit::Rph, 2),
        rate(RateKind::Requests, RateUnit::Rpm, 2),
    ]);
    assert!(meter.admit(&key, START).is_ok());
    assert!(meter.admit(&key, START).is_ok());
    let refusal = meter.admit(&key, START).unwrap_err();
    let kind = RateKind::Requests;
    let unit = RateUnit::Rph;
    assert_eq!(
        refusal.kind,
        RefusalKind::Rate {
            kind,
            unit,
            limit: 2
        }
    );
    assert_eq!(refusal.retry_after, Some(Duration::from_millis(3_600_001)));
}

#[test]
fn two_limits_of_one_span_count_once_and_the_lower_holds() {
    let meter = Meter::new();
    let key = rates(&[
        rate(RateKind::Requests, RateUnit::Rpm, 5),
        rate(RateKind::Requests, RateUnit::Rpm, 2),
    ]);
    assert!(meter.admit(&key, START).is_ok());
    assert!(meter.admit(&key, START).is_ok());
    let refusal = meter.admit(&key, START).unwrap_err();
    assert!(matches!(refusal.kind, RefusalKind::Rate { limit: 2, .. }));
    let left: Vec<u64> = meter
        .remaining(&key, START)
        .iter()
        .map(|it| it.remaining)
        .collect();
    assert_eq!(left, [3, 0]);
}

#[test]
fn a_rate_of_nothing_admits_nothing_ever() {
    let refusal = Meter::new()
        .admit(&requests(RateUnit::Rpm, 0), START)
        .unwrap_err();
    assert_eq!(refusal.retry_after, None);
}

#[test]
fn headers_say_what_is_left_and_when_all_of_it_is() {
    let meter = Meter::new();
    let key = requests(RateUnit::Rpm, 4);
    let full = Remaining {
        kind: RateKind::Requests,
        unit: RateUnit::Rpm,
        limit: 4,
        remaining: 4,
        reset_ms: 0,
    };
    assert_eq!(meter.remaining(&key, START), [full]);
    assert!(meter.admit(&key, START + 1_000).is_ok());
    let one = Remaining {
        remaining: 3,
        reset_ms: 119_000,
        ..full
    };
    assert_eq!(meter.remaining(&key, START + 1_000), [one]);
    let faded = Remaining {
        remaining: 4,
        reset_ms: 59_000,
        ..full
    };
    assert_eq!(meter.remaining(&key, START + 61_000), [faded]);
}

#[test]
fn places_are_given_back_when_the_call_ends() {
    let meter = Meter::new();
    let key = limited(Allowance {
        concurrency: Some(2),
        rate_limits: vec![rate(RateKind::Requests, RateUnit::Rpm, 3)],
        ..Allowance::default()
    });
    let first = meter.admit(&key, START).unwrap();
    let second = meter.admit(&key, START).unwrap();
    let refusal = meter.admit(&key, START).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Concurrency { limit: 2 });
    assert_eq!((refusal.status(), refusal.retry_after), (429, None));
    drop(first);
    // The refused call took nothing of the rate: a third is admitted, a fourth is not.
    let third = meter.admit(&key, START).unwrap();
    drop((second, third));
    let refusal = meter.admit(&key, START).unwrap_err();
    assert!(matches!(refusal.kind, RefusalKind::Rate { .. }));
    // Nor did a call that its rate refused take a place.
    let again: Vec<_> = (0..2)
        .map(|_| meter.admit(&key, START + 180_000).unwrap())
        .collect();
    assert_eq!(again.len(), 2);
}

#[test]
fn places_hold_among_threads() {
    let meter = Meter::new();
    let key = limited(Allowance {
        concurrency: Some(3),
        ..Allowance::default()
    });
    let inside = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..500 {
                    if let Ok(place) = meter.admit(&key, START) {
                        assert!(inside.fetch_add(1, Ordering::SeqCst) < 3);
                        std::thread::yield_now();
                        inside.fetch_sub(1, Ordering::SeqCst);
                        drop(place);
                    }
                }
            });
        }
    });
    let places: Vec<_> = (0..3).map(|_| meter.admit(&key, START)).collect();
    assert!(places.iter().all(Result::is_ok));
    assert!(meter.admit(&key, START).is_err());
}

proptest! {
    /// The guarantee of the module, and that refusals tell the truth.
    #[test]
    fn rates_hold_and_refusals_are_honest(
        value in 1_u64..12,
        waits in prop::collection::vec(prop_oneof![Just(0_i64), 0_i64..300, 0_i64..2_500], 1..200),
    ) {
        let meter = Meter::new();
        let key = requests(RateUnit::Rps, value);
        let mut now = START + 317;
        let mut admitted: Vec<i64> = Vec::new();
        for wait in waits {
            now += wait;
            let left = meter.remaining(&key, now)[0].remaining;
            match meter.admit(&key, now) {
                Ok(_) => {
                    prop_assert!(left > 0);
                    admitted.push(now);
                }
                Err(refusal) => {
                    prop_assert_eq!(left, 0);
                    let wait = i64::try_from(refusal.retry_after.unwrap().as_millis()).unwrap();
                    prop_assert!(wait >= 1);
                    prop_assert!(meter.admit(&key, now + wait - 1).is_err());
                    now += wait;
                    prop_assert!(meter.admit(&key, now).is_ok());
                    admitted.push(now);
                }
            }
        }
        let within = |from: i64| {
            admitted.iter().filter(|at| (from..from + 1000).contains(*at)).count() as u64
        };
        for at in &admitted {
            prop_assert!(within(at - at.rem_euclid(1000)) <= value, "aligned window");
            prop_assert!(within(*at) <= 2 * value, "any span");
        }
    }

    /// `remaining` is what is admitted at once.
    #[test]
    fn what_remains_is_admitted(value in 1_u64..40, used in 0_usize..60, later in 0_i64..3_000) {
        let meter = Meter::new();
        let key = requests(RateUnit::Rps, value);
        let before = (0..used).filter(|_| meter.admit(&key, START).is_ok()).count();
        prop_assert!(before as u64 <= value);
        let now = START + later;
        let left = meter.remaining(&key, now)[0].remaining;
        let admitted = (0..100).filter(|_| meter.admit(&key, now).is_ok()).count();
        prop_assert_eq!(admitted as u64, left);
    }
}
