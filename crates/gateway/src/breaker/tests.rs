use proptest::prelude::*;

use super::*;

const START: i64 = 1_800_000_000_000;
const COOLDOWN: i64 = 30_000;

fn rule() -> BreakerRule {
    BreakerRule {
        failure_threshold: Some(3),
        failure_threshold_percentage: None,
        minimum_requests: None,
        cooldown: Duration::from_secs(30),
        failure_status_codes: None,
    }
}

fn percentage(percentage: f64, minimum_requests: Option<u32>) -> BreakerRule {
    BreakerRule {
        failure_threshold: None,
        failure_threshold_percentage: Some(percentage),
        minimum_requests,
        ..rule()
    }
}

fn record(breakers: &Breakers, rule: &BreakerRule, statuses: &[u16], now: i64) {
    for status in statuses {
        breakers.record("config.targets[0]", rule, *status, now);
    }
}

fn is_open(breakers: &Breakers, rule: &BreakerRule, now: i64) -> bool {
    breakers.is_open("config.targets[0]", rule, now)
}

#[test]
fn enough_failures_open_a_target_and_no_other() {
    let breakers = Breakers::new();
    record(&breakers, &rule(), &[503, 200, 503], START);
    assert!(!is_open(&breakers, &rule(), START));
    record(&breakers, &rule(), &[502], START);
    assert!(is_open(&breakers, &rule(), START));
    assert!(!breakers.is_open("config.targets[1]", &rule(), START));
}

#[test]
fn failures_older_than_a_minute_do_not_count() {
    let breakers = Breakers::new();
    record(&breakers, &rule(), &[503, 503], START);
    record(&breakers, &rule(), &[503], START + 60_000);
    assert!(!is_open(&breakers, &rule(), START + 60_000));
    record(&breakers, &rule(), &[503], START + 100_000);
    assert!(!is_open(&breakers, &rule(), START + 100_000));
    record(&breakers, &rule(), &[503], START + 109_999);
    assert!(is_open(&breakers, &rule(), START + 109_999));
}

#[test]
fn what_a_failure_is() {
    let opens = |codes: Option<&[u16]>, status| {
        let rule = BreakerRule {
            failure_threshold: Some(1),
            failure_status_codes: codes.map(<[u16]>::to_vec),
            ..rule()
        };
        let breakers = Breakers::new();
        record(&breakers, &rule, &[status], START);
        is_open(&breakers, &rule, START)
    };
    let table = [
        (None, 200, false),
        (None, 429, false),
        (None, 500, false),
        (None, 501, true),
        (None, 529, true),
        (None, 0, true),
        (None, 599, true),
        (Some(&[401, 429, 500][..]), 429, true),
        (Some(&[401, 429, 500][..]), 500, true),
        (Some(&[401, 429, 500][..]), 503, false),
        (Some(&[401, 429, 500][..]), 0, true),
        (Some(&[401, 429, 500][..]), 599, true),
    ];
    for (codes, status, expected) in table {
        assert_eq!(opens(codes, status), expected, "{codes:?} {status}");
    }
}

#[test]
fn a_share_of_failures_counts_from_the_minimum_on() {
    let twenty = percentage(20.0, Some(10));
    let breakers = Breakers::new();
    record(
        &breakers,
        &twenty,
        &[503, 503, 200, 200, 200, 200, 200, 200, 200],
        START,
    );
    assert!(!is_open(&breakers, &twenty, START), "nine calls");
    record(&breakers, &twenty, &[200], START);
    assert!(is_open(&breakers, &twenty, START), "two of ten");

    let breakers = Breakers::new();
    record(&breakers, &twenty, &[200; 20], START);
    record(&breakers, &twenty, &[503; 4], START);
    assert!(!is_open(&breakers, &twenty, START), "four of 24");
    record(&breakers, &twenty, &[503], START);
    assert!(is_open(&breakers, &twenty, START), "five of 25");

    let any = percentage(0.0, None);
    let breakers = Breakers::new();
    record(&breakers, &any, &[200; 50], START);
    assert!(!is_open(&breakers, &any, START), "nothing has failed");
    record(&breakers, &any, &[503], START);
    assert!(is_open(&breakers, &any, START));
}

#[test]
fn a_rule_without_thresholds_opens_nothing() {
    let none = BreakerRule {
        failure_threshold: None,
        ..rule()
    };
    let breakers = Breakers::new();
    record(&breakers, &none, &[503; 100], START);
    assert!(!is_open(&breakers, &none, START));
    assert!(
        !is_open(&opened(), &none, START),
        "not even what another rule opened"
    );
}

fn opened() -> Breakers {
    let breakers = Breakers::new();
    record(&breakers, &rule(), &[503; 3], START);
    assert!(is_open(&breakers, &rule(), START + COOLDOWN - 1));
    breakers
}

#[test]
fn after_the_cooldown_one_call_decides() {
    let half = START + COOLDOWN;
    let well = opened();
    assert!(!is_open(&well, &rule(), half), "the trial");
    assert!(is_open(&well, &rule(), half), "nobody else meanwhile");
    record(&well, &rule(), &[200], half + 100);
    assert!(!is_open(&well, &rule(), half + 100));
    record(&well, &rule(), &[503, 503], half + 200);
    assert!(!is_open(&well, &rule(), half + 200), "counted from nothing");

    let ill = opened();
    assert!(!is_open(&ill, &rule(), half));
    record(&ill, &rule(), &[503], half + 100);
    assert!(
        is_open(&ill, &rule(), half + 100 + COOLDOWN - 1),
        "one failure is enough"
    );
    assert!(!is_open(&ill, &rule(), half + 100 + COOLDOWN));
}

#[test]
fn a_trial_that_never_ends_is_followed_by_another() {
    let breakers = opened();
    let half = START + COOLDOWN;
    assert!(!is_open(&breakers, &rule(), half));
    assert!(is_open(&breakers, &rule(), half + TRIAL_MS - 1));
    assert!(!is_open(&breakers, &rule(), half + TRIAL_MS));
    assert!(is_open(&breakers, &rule(), half + TRIAL_MS));
}

#[test]
fn calls_that_end_while_a_target_is_open_change_nothing() {
    let breakers = opened();
    record(&breakers, &rule(), &[200], START + 1_000);
    assert!(is_open(&breakers, &rule(), START + 1_000));
    record(&breakers, &rule(), &[503], START + 1_000);
    assert!(
        !is_open(&breakers, &rule(), START + COOLDOWN),
        "not prolonged"
    );
}

#[test]
fn only_what_may_open_is_held_and_not_too_much_of_it() {
    let breakers = Breakers::new();
    let held = || breakers.targets.lock().by_key.len();
    record(&breakers, &rule(), &[200; 10], START);
    assert_eq!(held(), 0);
    for number in 0..HELD + 500 {
        breakers.record(&number.to_string(), &rule(), 503, START);
    }
    assert_eq!(held(), HELD);
    // A minute later all of it is over.
    breakers.record("new", &rule(), 503, START + 60_000);
    assert_eq!(held(), 1);
}

proptest! {
    /// No order of calls and no time makes it panic, and an open target stays open for its cooldown.
    #[test]
    fn it_stays_open_for_its_cooldown(
        calls in prop::collection::vec((0_i64..40_000, prop_oneof![Just(200_u16), Just(503)]), 1..100),
    ) {
        let breakers = Breakers::new();
        let mut now = START;
        let mut open_until = 0;
        for (wait, status) in calls {
            now += wait;
            let open = is_open(&breakers, &rule(), now);
            prop_assert!(open || now >= open_until);
            if !open {
                record(&breakers, &rule(), &[status], now);
                if is_open(&breakers, &rule(), now) {
                    prop_assert_eq!(status, 503);
                    open_until = now + COOLDOWN;
                }
            }
        }
        record(&breakers, &rule(), &[503], i64::MIN);
        record(&breakers, &rule(), &[503], i64::MAX);
        is_open(&breakers, &rule(), i64::MAX);
    }
}
