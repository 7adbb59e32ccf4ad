use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;
/// A multiple of every span.
const START: i64 = 604_800_000 * 2_900;

fn window(previous: u64, current: u64) -> Window {
    Window {
        span: MINUTE,
        start: START,
        current,
        previous,
    }
}

#[test]
fn the_former_window_fades_out() {
    let half = window(60, 10);
    // (elapsed, limit, remaining): the estimate is 10 + 60 * (60 s - elapsed) / 60 s.
    let table = [
        (0, 70, 0),
        (0, 71, 1),
        (1, 70, 1),
        (1_000, 70, 1),
        (1_001, 70, 2),
        (30_000, 70, 30),
        (59_999, 70, 60),
        (59_999, 10, 0),
    ];
    for (elapsed, limit, remaining) in table {
        assert_eq!(
            half.remaining(limit, START + elapsed),
            remaining,
            "{elapsed} {limit}"
        );
    }
}

#[test]
fn windows_move_on_and_old_counts_go() {
    let mut moved = window(60, 10);
    moved.advance(START + MINUTE - 1);
    assert_eq!(moved, window(60, 10));
    moved.advance(START + MINUTE);
    assert_eq!((moved.previous, moved.current), (10, 0));
    assert_eq!(moved.start, START + MINUTE);
    moved.advance(START + 3 * MINUTE);
    assert_eq!((moved.previous, moved.current), (0, 0));
}

#[test]
fn a_clock_that_lags_counts_on_and_one_that_was_set_back_begins_anew() {
    let mut lagging = window(60, 10);
    lagging.advance(START - 1);
    assert_eq!(lagging, window(60, 10));
    lagging.advance(START - MINUTE);
    assert_eq!(lagging, window(60, 10));
    lagging.advance(START - MINUTE - 1);
    assert_eq!((lagging.previous, lagging.current), (0, 0));
    assert_eq!(lagging.start, START - 2 * MINUTE);
}

#[test]
fn the_end_of_a_full_rate_is_told_to_the_millisecond() {
    // (previous, current, limit, elapsed at which it admits)
    let table = [
        (0, 0, 1, Some(0)),
        (60, 0, 60, Some(1)),
        (60, 0, 30, Some(30_001)),
        (60, 29, 30, Some(59_001)),
        (0, 60, 60, Some(MINUTE + 1)),
        (0, 120, 60, Some(MINUTE + 30_001)),
        (0, 59, 60, Some(0)),
        (1_000_000, 60, 61, Some(MINUTE)),
        // Tokens may overshoot by so much that even the last millisecond weighs too much.
        (0, 60_000, 1, Some(2 * MINUTE)),
        (0, 59_999, 1, Some(2 * MINUTE - 1)),
        (0, u64::MAX, u64::MAX, Some(MINUTE + 1)),
        (5, 5, 0, None),
    ];
    for (previous, current, limit, elapsed) in table {
        let at = window(previous, current).admits_at(limit, START);
        let expected = elapsed.map(|elapsed| START + elapsed);
        assert_eq!(at, expected, "{previous} {current} {limit}");
    }
}

#[test]
fn stored_rows_are_read_in_any_order() {
    let second = START / 1000;
    let rows = [(second - 3_600, 5), (second, 7), (second - 7_200, 9)];
    let read = Window::stored(RateUnit::Rph, rows.into_iter());
    assert_eq!((read.start, read.current, read.previous), (START, 7, 5));
    let none = Window::stored(RateUnit::Rph, [].into_iter());
    assert_eq!((none.current, none.previous), (0, 0));
    let hostile = [(i64::MAX, u64::MAX), (i64::MIN, 1), (i64::MAX, 1)];
    let mut read = Window::stored(RateUnit::Rpw, hostile.into_iter());
    assert_eq!(read.current, u64::MAX);
    read.advance(START);
    assert_eq!((read.current, read.previous), (0, 0));
}

proptest! {
    /// Whatever was counted, the window itself agrees with what it foretells.
    #[test]
    fn what_is_foretold_comes_true(
        previous in prop_oneof![0_u64..200, any::<u64>()],
        current in prop_oneof![0_u64..200, any::<u64>()],
        limit in prop_oneof![1_u64..200, 1..u64::MAX],
        elapsed in 0..MINUTE,
    ) {
        let now = START + elapsed;
        let admits = |at: i64| {
            let mut later = window(previous, current);
            later.advance(at);
            later.remaining(limit, at) > 0
        };
        let at = window(previous, current).admits_at(limit, now).unwrap();
        prop_assert!(at >= now);
        prop_assert!(admits(at), "not admitted at {}", at - START);
        prop_assert!(at == now || !admits(at - 1), "admitted before {}", at - START);

        let mut empty = window(previous, current);
        let end = now + i64::try_from(empty.empties_in(now)).unwrap();
        empty.advance(end);
        prop_assert_eq!(empty.remaining(limit, end), limit);
    }

    /// No time and no stored row makes it panic.
    #[test]
    fn no_time_is_too_odd(times in prop::collection::vec((any::<i64>(), any::<u64>()), 1..20)) {
        let mut odd = Window::stored(RateUnit::Rpw, times.iter().copied());
        for (now, amount) in times {
            odd.advance(now);
            odd.add(amount);
            odd.remaining(amount, now);
            odd.admits_at(amount, now);
            odd.empties_in(now);
        }
    }
}
