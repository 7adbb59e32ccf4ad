//! The arithmetic of a sliding-window counter, exact and without a clock.
//!
//! Two aligned windows are kept. The estimate of what was counted in the span that ends now is the
//! whole current window and the part of the previous one that the span still covers:
//! `current + previous * (span - elapsed) / span`. Without additions it never grows.

use super::counter::span_ms;
use loomgate_domain::limit::RateUnit;

/// Counts of the current window and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Length in milliseconds.
    span: i64,
    /// First millisecond of the current window; a multiple of the span.
    start: i64,
    current: u64,
    previous: u64,
}

impl Window {
    /// An empty one, the current window being that of `now_ms`.
    pub(super) fn new(unit: RateUnit, now_ms: i64) -> Self {
        let span = span_ms(unit);
        Self {
            span,
            start: aligned(now_ms, span),
            current: 0,
            previous: 0,
        }
    }

    /// From counts by the first second of their window, in any order: the newest and the one right
    /// before it count.
    pub(super) fn stored(unit: RateUnit, rows: impl Iterator<Item = (i64, u64)> + Clone) -> Self {
        let newest = rows.clone().map(|(start, _)| start).max().unwrap_or(0);
        let mut window = Self::new(unit, newest.saturating_mul(1000));
        for (start, amount) in rows {
            let start = aligned(start.saturating_mul(1000), window.span);
            if start == window.start {
                window.current = window.current.saturating_add(amount);
            } else if start == window.start.saturating_sub(window.span) {
                window.previous = window.previous.saturating_add(amount);
            }
        }
        window
    }

    /// Moves on to the window of `now_ms`. A clock that is behind by less than a window counts in
    /// the window that has begun already; one that was set back further begins anew, so that a
    /// clock put right does not shut anybody out.
    pub(super) fn advance(&mut self, now_ms: i64) {
        let start = aligned(now_ms, self.span);
        let passed = start.saturating_sub(self.start);
        if passed == 0 || passed == -self.span {
            return;
        }
        self.previous = if passed == self.span { self.current } else { 0 };
        self.current = 0;
        self.start = start;
    }

    /// Counts, after [`Window::advance`].
    pub(super) fn add(&mut self, amount: u64) {
        self.current = self.current.saturating_add(amount);
    }

    /// First second of the current window.
    pub(super) fn start_seconds(&self) -> i64 {
        self.start.div_euclid(1000)
    }

    /// How much more may be counted at once, after [`Window::advance`]: a request is admitted while
    /// the estimate is below `limit`.
    pub(super) fn remaining(&self, limit: u64, now_ms: i64) -> u64 {
        let span = wide(self.span);
        let used = u128::from(self.current) * span + self.weighted(now_ms);
        let left = (u128::from(limit) * span).saturating_sub(used);
        u64::try_from(left.div_ceil(span)).unwrap_or(u64::MAX)
    }

    /// The first millisecond from `now_ms` on at which the estimate is below `limit` if nothing
    /// else is counted, after [`Window::advance`]. `None`: never, for the limit is 0.
    pub(super) fn admits_at(&self, limit: u64, now_ms: i64) -> Option<i64> {
        if limit == 0 {
            return None;
        }
        if self.remaining(limit, now_ms) > 0 {
            return Some(now_ms);
        }
        let within = (self.current < limit)
            .then(|| self.below(self.previous, limit - self.current))
            .filter(|elapsed| *elapsed < self.span);
        let elapsed = within.unwrap_or_else(|| {
            // In the next window the current one is the previous.
            self.span.saturating_add(self.below(self.current, limit))
        });
        Some(self.start.saturating_add(elapsed).max(now_ms))
    }

    /// Milliseconds until nothing is left of what was counted, if nothing else is.
    pub(super) fn empties_in(&self, now_ms: i64) -> u64 {
        let windows = match (self.current, self.previous) {
            (0, 0) => return 0,
            (0, _) => 1,
            _ => 2,
        };
        let end = self.start.saturating_add(self.span * windows);
        u64::try_from(end.saturating_sub(now_ms)).unwrap_or(0)
    }

    /// The previous window's count times the milliseconds of it that the span still covers.
    fn weighted(&self, now_ms: i64) -> u128 {
        let elapsed = now_ms.saturating_sub(self.start).clamp(0, self.span);
        u128::from(self.previous) * wide(self.span - elapsed)
    }

    /// Milliseconds into a window (0 to the whole span) from which on `former`, the count of the
    /// window before it, weighs less than `room`, which is at least 1.
    fn below(&self, former: u64, room: u64) -> i64 {
        if former == 0 {
            return 0;
        }
        let covered = (u128::from(room) * wide(self.span) - 1) / u128::from(former);
        let covered = i64::try_from(covered).unwrap_or(i64::MAX);
        self.span - covered.min(self.span)
    }
}

fn aligned(now_ms: i64, span: i64) -> i64 {
    now_ms.saturating_sub(now_ms.rem_euclid(span))
}

/// Spans and parts of them are never negative.
fn wide(milliseconds: i64) -> u128 {
    u128::from(milliseconds.unsigned_abs())
}

#[cfg(test)]
mod tests;
