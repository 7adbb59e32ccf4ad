//! What is written, loaded again, and forgotten.

use proptest::prelude::*;

use super::*;

fn everything() -> Limited {
    let mut allowance =
        (*budget(UsageKind::Cost, 1.0, Some(PeriodicReset::Monthly)).allowance).clone();
    allowance.rate_limits = vec![
        rate(RateKind::Requests, RateUnit::Rpm, 100),
        rate(RateKind::Requests, RateUnit::Rph, 100),
        rate(RateKind::Tokens, RateUnit::Rpd, 100),
        rate(RateKind::Tokens, RateUnit::Rpd, 200),
    ];
    limited(allowance)
}

fn spent() -> Spent {
    Spent {
        tokens: 7,
        cost: Some(Nanodollars(11)),
    }
}

fn row(meter: &'static str, start: i64, amount: u64) -> Charge {
    Charge {
        subject: "key:key_abc".into(),
        meter: meter.into(),
        start,
        amount,
    }
}

/// 2025-07-01 00:00 UTC, the month of `START`.
const JULY: i64 = 1_751_328_000;

#[test]
fn what_outlives_the_process_is_handed_out_once_and_summed() {
    let meter = Meter::new();
    let key = everything();
    for _ in 0..3 {
        assert!(meter.admit(&key, START + 5).is_ok());
        meter.charge(&key, spent(), START + 5, true);
    }
    let hour = START / 1000;
    let expected = [
        row("requests:rph", hour, 3),
        row("tokens:rpd", hour, 21),
        row("budget:cost", JULY, 33),
    ];
    assert_eq!(meter.drain(), expected);
    assert_eq!(meter.drain(), []);
    assert!(meter.admit(&key, START + 6).is_ok());
    assert_eq!(meter.drain(), [row("requests:rph", hour, 1)]);
}

#[test]
fn charges_of_another_transaction_are_told_and_not_written_again() {
    let meter = Meter::new();
    let key = everything();
    let now = START + 90_000_000;
    let expected = [
        row("tokens:rpd", START / 1000 + 86_400, 7),
        row("budget:cost", 1_754_006_400, 11),
    ];
    assert_eq!(meter.charges(&key, spent(), now), expected);
    assert_eq!(meter.charges(&key, Spent::default(), now), []);
    meter.charge(&key, spent(), now, false);
    assert_eq!(meter.drain(), []);
    assert_eq!(meter.budget_left(&key, now).unwrap().used, 11);
    assert_eq!(meter.remaining(&key, now)[2].remaining, 93);
}

#[test]
fn what_could_not_be_written_waits_and_is_not_counted_twice() {
    let meter = Meter::new();
    let key = everything();
    meter.charge(&key, spent(), START, true);
    let failed = meter.drain();
    meter.charge(&key, spent(), START, true);
    meter.restore(failed);
    assert_eq!(meter.budget_left(&key, START).unwrap().used, 22);
    let hour = START / 1000;
    let expected = [row("tokens:rpd", hour, 14), row("budget:cost", JULY, 22)];
    assert_eq!(meter.drain(), expected);
}

#[test]
fn what_was_counted_before_loading_is_kept_and_loading_happens_once() {
    let meter = Meter::new();
    let key = everything();
    meter.charge(&key, spent(), START, true);
    assert!(!meter.knows(&key.subject));
    let stored = vec![
        row("budget:cost", JULY, 100),
        row("budget:cost", 5, 1_000),
        row("tokens:rpd", START / 1000, 50),
        row("of another version", 5, 1_000),
    ];
    meter.load(&key.subject, stored.clone());
    assert!(meter.knows(&key.subject));
    meter.load(&key.subject, stored);
    assert_eq!(meter.budget_left(&key, START).unwrap().used, 111);
    assert_eq!(meter.remaining(&key, START)[2].remaining, 43);
    let hour = START / 1000;
    let expected = [row("tokens:rpd", hour, 7), row("budget:cost", JULY, 11)];
    assert_eq!(meter.drain(), expected, "only what the database lacks");
}

#[test]
fn charges_that_come_back_for_a_forgotten_subject_are_loaded_with_it() {
    let meter = Meter::new();
    let key = everything();
    meter.restore(vec![row("budget:cost", JULY, 5), row("no such", 0, 1)]);
    assert!(!meter.knows(&key.subject));
    meter.load(&key.subject, vec![row("budget:cost", JULY, 100)]);
    assert_eq!(meter.budget_left(&key, START).unwrap().used, 105);
    assert_eq!(meter.drain(), [row("budget:cost", JULY, 5)]);
}

#[test]
fn idle_subjects_are_forgotten_when_there_are_too_many() {
    let meter = Meter::new();
    let subject = |number: usize| Limited {
        subject: format!("key:{number}").into(),
        ..requests(RateUnit::Rph, 5)
    };
    let held = || {
        let counts = meter.shards.iter().map(|it| it.lock().accounts.len());
        counts.sum::<usize>()
    };
    let busy = limited(Allowance {
        concurrency: Some(1),
        ..Allowance::default()
    });
    let place = meter.admit(&busy, START).unwrap();
    for number in 0..HELD {
        assert!(meter.admit(&subject(number), START).is_ok());
    }
    // Nothing is written and nothing is idle: nobody may be forgotten.
    let later = START + IDLE_MS;
    let mut next = HELD;
    for _ in 0..1000 {
        assert!(meter.admit(&subject(next), later - 1).is_ok());
        next += 1;
    }
    assert_eq!(held(), HELD + 1000 + 1);
    assert_eq!(meter.drain().len(), HELD + 1000);
    for _ in 0..HELD / 2 {
        assert!(meter.admit(&subject(next), later).is_ok());
        next += 1;
    }
    assert!(held() < HELD, "{}", held());
    assert!(
        meter.admit(&busy, later).is_err(),
        "who holds a place is kept"
    );
    drop(place);
    assert!(meter.admit(&busy, later).is_ok());
}

proptest! {
    /// A restart keeps what lasts: drained charges, loaded into a new meter, give the same counts.
    #[test]
    fn a_restart_keeps_the_counts(
        steps in prop::collection::vec((0_i64..40_000_000, 0_u64..50, 0_u64..1_000), 1..40),
        later in 0_i64..100_000_000,
    ) {
        let mut allowance = (*everything().allowance).clone();
        allowance.rate_limits.remove(0);
        let key = limited(allowance);
        let meter = Meter::new();
        let mut database = Vec::new();
        let mut now = START;
        for (index, (wait, tokens, nanodollars)) in steps.into_iter().enumerate() {
            now += wait;
            let spent = Spent { tokens, cost: Some(Nanodollars(nanodollars)) };
            let durable = index % 3 > 0;
            if !durable {
                database.extend(meter.charges(&key, spent, now));
            }
            let admitted = meter.admit(&key, now).is_ok();
            meter.charge(&key, spent, now, durable);
            if index % 5 == 0 && admitted {
                database.extend(meter.drain());
            }
        }
        database.extend(meter.drain());
        // As the database does: rows are sums.
        let mut rows: Vec<Charge> = Vec::new();
        for charge in database {
            let same = |row: &&mut Charge| row.meter == charge.meter && row.start == charge.start;
            match rows.iter_mut().find(same) {
                Some(row) => row.amount += charge.amount,
                None => rows.insert(0, charge),
            }
        }
        let restarted = Meter::new();
        restarted.load(&key.subject, rows);
        now += later;
        prop_assert_eq!(restarted.remaining(&key, now), meter.remaining(&key, now));
        prop_assert_eq!(restarted.budget_left(&key, now), meter.budget_left(&key, now));
        prop_assert_eq!(restarted.admit(&key, now).err(), meter.admit(&key, now).err());
    }
}
