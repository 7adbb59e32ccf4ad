//! What one subject has used.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use loomgate_domain::{
    Timestamp,
    limit::{Allowance, Charge, Period, RateKind, RateLimit, RateUnit, UsageKind, UsageLimit},
};

use super::{RefusalKind, Remaining, Spent, counter::Counter, window::Window};

/// Rows of one budget that are kept: that of now, and those of former periods.
const BUDGET_ROWS: usize = 64;

/// All counters of one subject.
#[derive(Debug)]
pub(super) struct Account {
    rates: Vec<Rate>,
    budgets: Vec<Budget>,
    /// What the database does not have yet.
    pending: Vec<Addition>,
    places: Arc<AtomicU32>,
    /// Whether other processes count, too.
    is_shared: bool,
    /// Whether what the database had is in here.
    pub(super) loaded: bool,
    /// When it was last asked or charged.
    pub(super) used_ms: i64,
}

#[derive(Debug)]
struct Rate {
    kind: RateKind,
    unit: RateUnit,
    window: Window,
}

#[derive(Debug)]
struct Budget {
    kind: UsageKind,
    /// First second of its period.
    start: i64,
    /// Billionths of a US dollar, or tokens.
    used: u64,
}

#[derive(Debug, Clone, Copy)]
struct Addition {
    counter: Counter,
    start: i64,
    amount: u64,
}

/// Use of a budget before and after a charge, in its unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Growth {
    pub(super) before: u64,
    pub(super) after: u64,
}

impl Account {
    pub(super) fn new(now_ms: i64, is_shared: bool) -> Self {
        Self {
            rates: Vec::new(),
            budgets: Vec::new(),
            pending: Vec::new(),
            places: Arc::default(),
            is_shared,
            loaded: false,
            used_ms: now_ms,
        }
    }

    /// Whether the budget has something left.
    pub(super) fn check_budget(&self, limit: &UsageLimit, period: Period) -> Result<(), Refused> {
        let most = units(limit.kind, limit.credit_limit);
        if self.used(limit.kind, period) < most {
            return Ok(());
        }
        let kind = RefusalKind::Budget {
            kind: limit.kind,
            limit: most,
            resets_at: period.end,
        };
        Err((kind, None))
    }

    /// Whether every rate has room; of those that have none the one that lasts longest. `only`
    /// leaves the rates of the other kind out.
    pub(super) fn check_rates(
        &mut self,
        limits: &[RateLimit],
        only: Option<RateKind>,
        now_ms: i64,
    ) -> Result<(), Refused> {
        let mut longest: Option<(RateLimit, Option<i64>)> = None;
        for limit in limits {
            if only.is_some_and(|only| only != limit.kind) {
                continue;
            }
            let window = self.window(limit.kind, limit.unit, now_ms);
            if window.remaining(limit.value, now_ms) > 0 {
                continue;
            }
            let at = window.admits_at(limit.value, now_ms);
            // Never is longer than any time.
            let key = |at: Option<i64>| at.unwrap_or(i64::MAX);
            if longest.is_none_or(|(_, other)| key(at) > key(other)) {
                longest = Some((*limit, at));
            }
        }
        let Some((limit, at)) = longest else {
            return Ok(());
        };
        let kind = RefusalKind::Rate {
            kind: limit.kind,
            unit: limit.unit,
            limit: limit.value,
        };
        let wait = at.map(|at| {
            let milliseconds = at.saturating_sub(now_ms);
            Duration::from_millis(u64::try_from(milliseconds).unwrap_or(0))
        });
        Err((kind, wait))
    }

    /// Takes a place for a call. Places are only taken under the lock of the account.
    pub(super) fn take_place(&self, limit: u32) -> Result<Arc<AtomicU32>, Refused> {
        if self.places.load(Ordering::Relaxed) >= limit {
            return Err((RefusalKind::Concurrency { limit }, None));
        }
        self.places.fetch_add(1, Ordering::Relaxed);
        Ok(Arc::clone(&self.places))
    }

    /// Counts a request in every rate of requests.
    pub(super) fn count_request(&mut self, limits: &[RateLimit], now_ms: i64) {
        self.count_rates(limits, RateKind::Requests, 1, now_ms, true);
    }

    /// Counts what a call has used. Returns the growth of the budget, if there is one.
    pub(super) fn charge(
        &mut self,
        allowance: &Allowance,
        period: Option<Period>,
        spent: Spent,
        now_ms: i64,
        durable: bool,
    ) -> Option<Growth> {
        let limits = &allowance.rate_limits;
        self.count_rates(limits, RateKind::Tokens, spent.tokens, now_ms, durable);
        let kind = allowance.usage_limits.as_ref()?.kind;
        let start = period?.start.0;
        let amount = spent.of(kind);
        let growth = self.budget(kind, start, amount);
        if durable {
            self.owe(Counter::Budget(kind), start, amount);
        }
        Some(growth)
    }

    /// What is used of a budget's period.
    pub(super) fn used(&self, kind: UsageKind, period: Period) -> u64 {
        let row = |row: &&Budget| row.kind == kind && row.start == period.start.0;
        self.budgets.iter().find(row).map_or(0, |row| row.used)
    }

    /// Every rate and what is left of it.
    pub(super) fn remaining(&mut self, limits: &[RateLimit], now_ms: i64) -> Vec<Remaining> {
        let remaining = |limit: &RateLimit| {
            let window = self.window(limit.kind, limit.unit, now_ms);
            Remaining {
                kind: limit.kind,
                unit: limit.unit,
                limit: limit.value,
                remaining: window.remaining(limit.value, now_ms),
                reset_ms: window.empties_in(now_ms),
            }
        };
        limits.iter().map(remaining).collect()
    }

    /// Puts what the database had under what it does not have yet.
    pub(super) fn load(&mut self, stored: &[Charge]) {
        let read = |charge: &Charge| {
            Some(Addition {
                counter: Counter::parse(&charge.meter)?,
                start: charge.start,
                amount: charge.amount,
            })
        };
        let rows: Vec<Addition> = stored
            .iter()
            .filter_map(read)
            .chain(self.pending.iter().copied())
            .collect();
        let is_shared = self.is_shared;
        self.rates
            .retain(|rate| !Counter::Rate(rate.kind, rate.unit).is_stored(is_shared));
        self.budgets.clear();
        for row in &rows {
            match row.counter {
                Counter::Budget(kind) => {
                    self.budget(kind, row.start, row.amount);
                }
                Counter::Rate(kind, unit) => {
                    if self.rate_index(kind, unit).is_none() {
                        let same = rows.iter().filter(|other| other.counter == row.counter);
                        let same = same.map(|row| (row.start, row.amount));
                        let window = Window::stored(unit, same);
                        self.rates.push(Rate { kind, unit, window });
                    }
                }
            }
        }
        self.loaded = true;
    }

    /// Forgets what was used of budgets.
    pub(super) fn reset_budgets(&mut self) {
        self.budgets.clear();
        self.pending
            .retain(|addition| !matches!(addition.counter, Counter::Budget(_)));
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_written(&self) -> bool {
        self.pending.is_empty()
    }

    /// Hands out what waits to be written.
    pub(super) fn drain(&mut self, subject: &Arc<str>, into: &mut Vec<Charge>) {
        into.extend(self.pending.drain(..).map(|addition| Charge {
            subject: Arc::clone(subject),
            meter: addition.counter.as_str().into(),
            start: addition.start,
            amount: addition.amount,
        }));
    }

    /// Adds to what waits to be written; it is counted already.
    pub(super) fn owe(&mut self, counter: Counter, start: i64, amount: u64) {
        if amount == 0 {
            return;
        }
        let same = |other: &&mut Addition| other.counter == counter && other.start == start;
        match self.pending.iter_mut().find(same) {
            Some(addition) => addition.amount = addition.amount.saturating_add(amount),
            None => self.pending.push(Addition {
                counter,
                start,
                amount,
            }),
        }
    }

    /// Whether it may be forgotten: nothing waits, nobody holds a place, and it was not used for
    /// `idle_ms`.
    pub(super) fn is_idle(&self, idle_ms: i64, now_ms: i64) -> bool {
        self.pending.is_empty()
            && Arc::strong_count(&self.places) == 1
            && now_ms.saturating_sub(self.used_ms) >= idle_ms
    }

    fn count_rates(
        &mut self,
        limits: &[RateLimit],
        kind: RateKind,
        amount: u64,
        now_ms: i64,
        durable: bool,
    ) {
        for (index, limit) in limits.iter().enumerate() {
            // Two limits of one span share a counter.
            let same = |other: &RateLimit| other.kind == kind && other.unit == limit.unit;
            if limit.kind != kind || limits[..index].iter().any(same) {
                continue;
            }
            let counter = Counter::Rate(kind, limit.unit);
            let is_stored = counter.is_stored(self.is_shared);
            let window = self.window(kind, limit.unit, now_ms);
            window.add(amount);
            let start = window.start_seconds();
            if durable && is_stored {
                self.owe(counter, start, amount);
            }
        }
    }

    /// The window of a rate, at `now_ms`.
    fn window(&mut self, kind: RateKind, unit: RateUnit, now_ms: i64) -> &mut Window {
        let index = self.rate_index(kind, unit).unwrap_or_else(|| {
            let window = Window::new(unit, now_ms);
            self.rates.push(Rate { kind, unit, window });
            self.rates.len() - 1
        });
        let window = &mut self.rates[index].window;
        window.advance(now_ms);
        window
    }

    fn rate_index(&self, kind: RateKind, unit: RateUnit) -> Option<usize> {
        self.rates
            .iter()
            .position(|rate| rate.kind == kind && rate.unit == unit)
    }

    fn budget(&mut self, kind: UsageKind, start: i64, amount: u64) -> Growth {
        let same = |row: &&mut Budget| row.kind == kind && row.start == start;
        if let Some(row) = self.budgets.iter_mut().find(same) {
            let before = row.used;
            row.used = before.saturating_add(amount);
            let after = row.used;
            return Growth { before, after };
        }
        if self.budgets.len() >= BUDGET_ROWS {
            let oldest = (0..self.budgets.len()).min_by_key(|index| self.budgets[*index].start);
            oldest.map(|index| self.budgets.swap_remove(index));
        }
        self.budgets.push(Budget {
            kind,
            start,
            used: amount,
        });
        Growth {
            before: 0,
            after: amount,
        }
    }
}

/// Why not, and after what time it is.
pub(super) type Refused = (RefusalKind, Option<Duration>);

impl Spent {
    /// The part of it that a budget counts.
    pub(super) fn of(self, kind: UsageKind) -> u64 {
        match kind {
            UsageKind::Cost => self.cost.map_or(0, |cost| cost.0),
            UsageKind::Tokens => self.tokens,
        }
    }
}

/// US dollars in billionths, or tokens rounded up, so that a budget ends where it says.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a cast of a float saturates: below 0 and no number are 0, too much is the most"
)]
pub(super) fn units(kind: UsageKind, amount: f64) -> u64 {
    match kind {
        UsageKind::Cost => (amount * 1e9).round() as u64,
        UsageKind::Tokens => amount.ceil() as u64,
    }
}

/// The period of a budget at a time.
pub(super) fn period(limit: &UsageLimit, since: Timestamp, now_ms: i64) -> Period {
    limit.period(since, Timestamp(now_ms.div_euclid(1000)))
}
