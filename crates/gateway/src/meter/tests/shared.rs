//! Limits that several processes share, with a table in the test's hands.

use std::collections::BTreeMap;

use super::*;

/// What the database is, for meters that share it.
#[derive(Default)]
struct Table(BTreeMap<(Subject, String, i64), u64>);

impl Table {
    /// One transaction of a process: what it owes, and what everybody asked for.
    fn balance(&mut self, meter: &Meter) {
        let round = meter.round().unwrap();
        for charge in meter.drain() {
            let key = (charge.subject, charge.meter.into_owned(), charge.start);
            *self.0.entry(key).or_default() += charge.amount;
        }
        for subject in round.subjects() {
            let of = |(key, _): &(&(Subject, String, i64), &u64)| key.0 == subject;
            let stored = self.0.iter().filter(of).map(|(key, amount)| Charge {
                subject: Arc::clone(&key.0),
                meter: key.1.clone().into(),
                start: key.2,
                amount: *amount,
            });
            meter.refresh(&subject, &stored.collect::<Vec<_>>());
        }
    }
}

/// Asks what all have used; `answer` is what the process's loop does meanwhile.
async fn caught_up(table: &mut Table, meter: &Meter, limited: &Limited) {
    let answer = async {
        meter.wanted().await;
        table.balance(meter);
    };
    tokio::join!(meter.catch_up(&limited.subject), answer);
}

#[tokio::test]
async fn a_rate_holds_for_all_together() {
    for unit in [RateUnit::Rps, RateUnit::Rpm, RateUnit::Rpd] {
        let (mut table, key) = (Table::default(), requests(unit, 3));
        let meters = [Meter::shared(), Meter::shared()];
        for (index, admits) in [true, true, true, false, false].into_iter().enumerate() {
            let meter = &meters[index % 2];
            caught_up(&mut table, meter, &key).await;
            assert_eq!(
                meter.admit(&key, START + 5).is_ok(),
                admits,
                "{unit:?} {index}"
            );
            table.balance(meter);
        }
    }
}

#[tokio::test]
async fn a_budget_counts_what_others_have_used() {
    let (mut table, key) = (Table::default(), budget(UsageKind::Tokens, 10.0, None));
    let (one, other) = (Meter::shared(), Meter::shared());
    let spent = Spent {
        tokens: 10,
        cost: None,
    };
    one.charge(&key, spent, START, true);
    assert!(other.check(&key, START).is_ok(), "nobody has told it");
    table.balance(&one);
    caught_up(&mut table, &other, &key).await;
    assert!(other.check(&key, START).is_err());
    // What a run's own commit has written is in the table, and counts once.
    let (mut table, other_key) = (Table::default(), budget(UsageKind::Tokens, 20.0, None));
    let third = Meter::shared();
    for charge in third.charges(&other_key, spent, START) {
        table.0.insert(
            (charge.subject, charge.meter.into(), charge.start),
            charge.amount,
        );
    }
    third.charge(&other_key, spent, START, false);
    caught_up(&mut table, &third, &other_key).await;
    assert_eq!(third.budget_left(&other_key, START).unwrap().used, 10);
}

#[tokio::test]
async fn what_was_counted_since_is_added() {
    let (mut table, key) = (Table::default(), requests(RateUnit::Rpm, 10));
    let meter = Meter::shared();
    assert!(meter.admit(&key, START).is_ok());
    table.balance(&meter);
    assert!(meter.admit(&key, START).is_ok());
    // Of the two, one is in the table.
    let stored = [Charge {
        subject: Arc::clone(&key.subject),
        meter: "requests:rpm".into(),
        start: START / 1000,
        amount: 5,
    }];
    meter.refresh(&key.subject, &stored);
    assert_eq!(meter.remaining(&key, START)[0].remaining, 4);
}

#[tokio::test]
async fn nobody_waits_for_a_process_that_answers_no_more() {
    let (meter, key) = (Meter::shared(), requests(RateUnit::Rpm, 1));
    meter.close();
    meter.catch_up(&key.subject).await;
    assert!(meter.admit(&key, START).is_ok());
    assert!(meter.admit(&key, START).is_err());
    // And one whose limits are its own has nothing to wait for.
    Meter::new().catch_up(&key.subject).await;
}

#[tokio::test]
async fn what_is_counted_is_published() {
    let (mut table, key) = (Table::default(), requests(RateUnit::Rpd, 3));
    let meter = Meter::shared();
    meter.publish().await;
    assert!(meter.admit(&key, START).is_ok());
    let answer = async {
        meter.wanted().await;
        table.balance(&meter);
    };
    tokio::join!(meter.publish(), answer);
    assert_eq!(table.0.values().sum::<u64>(), 1);
    // Nothing is new: nobody has to answer.
    meter.publish().await;
    // A round that is under way has it in its hands, but not in the table.
    let round = meter.round();
    let end = async {
        drop(round);
        meter.wanted().await;
        drop(meter.round());
    };
    tokio::join!(meter.publish(), end);
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_without_a_database_that_does_not_answer() {
    let (meter, key) = (Meter::shared(), requests(RateUnit::Rpd, 1));
    meter.catch_up(&key.subject).await;
    assert!(meter.admit(&key, START).is_ok());
    meter.publish().await;
    // By what is known here.
    assert!(meter.admit(&key, START).is_err());
}
