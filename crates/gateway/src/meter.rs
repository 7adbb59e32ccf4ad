//! Counts what keys use, and says no when it is too much.
//!
//! What it is: sliding-window counters for rates, sums for budgets, places for calls at the same
//! time; all in memory and exact for this process. Time is an argument. What has to outlive the
//! process (windows of an hour and longer, budgets) waits in [`crate::Gateway::owed`] for whoever
//! knows the database, and comes back through [`Meter::load`]. Where several processes share the
//! limits, all rates and budgets are written at once ([`Meter::wanted`]), and what all have used
//! comes back through [`Meter::refresh`], for who waits in [`Meter::catch_up`]. Places are each process's own.
//!
//! The estimate of a rate is the current window (aligned to multiples of the span in unix time)
//! and the part of the previous one that the span still covers. A call is admitted while every
//! estimate is below its limit, so a rate of tokens may be overshot by the calls under way.
//!
//! Invariant: a rate of requests admits at most its value in any aligned window, hence at most
//! twice its value in any span. (A clock that is set back by more than a span begins anew.)
//! Invariant: a call that is refused counts nowhere.
//! Invariant: a refusal by a rate says exactly when the rate admits again.
//! Invariant: drained charges, loaded into a new meter, give the same counts.

mod account;
mod counter;
mod refusal;
mod shard;
mod sharing;
mod terms;
mod window;

use std::{
    hash::BuildHasher,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

use foldhash::fast::RandomState;
use loomgate_domain::limit::{Allowance, Charge, RateKind, UsageKind, UsageLimit};
use parking_lot::Mutex;

use self::{
    account::{Account, Growth, Refused, period, units},
    counter::Counter,
    shard::Shard,
    sharing::Sharing,
    window::Window,
};
pub use self::{
    refusal::{Refusal, RefusalKind},
    sharing::Round,
    terms::{BudgetState, Limited, Remaining, Spent, Subject},
};

/// Parts of the meter with a lock of their own.
const SHARDS: usize = 64;

/// A call that was admitted. It holds its place among the calls at the same time until dropped.
#[derive(Debug)]
#[must_use = "the call's place is given back when this is dropped"]
pub struct Admitted(Option<Arc<AtomicU32>>);

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(places) = &self.0 {
            places.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// The counters of this process.
#[derive(Debug)]
pub struct Meter {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
    shared: Option<Sharing>,
}

impl Default for Meter {
    fn default() -> Self {
        Self::new()
    }
}

impl Meter {
    /// One that has counted nothing.
    pub fn new() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: RandomState::default(),
            shared: None,
        }
    }

    /// One whose limits hold for all processes that share a database.
    pub fn shared() -> Self {
        Self {
            shared: Some(Sharing::default()),
            ..Self::new()
        }
    }

    /// Waits until it is known what all processes have used of a subject: by now, or later. At once
    /// where the limits are this process's own.
    pub async fn catch_up(&self, subject: &Subject) {
        if let Some(sharing) = &self.shared {
            sharing.ask(Some(Arc::clone(subject))).await;
        }
    }

    /// Waits until other processes can know what was counted here so far. At once where they need
    /// not, or do.
    pub async fn publish(&self) {
        if let Some(sharing) = &self.shared
            && !sharing.is_written()
        {
            sharing.ask(None).await;
        }
    }

    /// Where limits are shared, waits until there is a reason for a [`Round`].
    pub async fn wanted(&self) {
        match &self.shared {
            Some(sharing) => sharing.wanted().await,
            None => std::future::pending().await,
        }
    }

    /// Whether other processes count, too.
    pub fn is_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Where limits are shared, begins to exchange them with the database: whoever does writes all that
    /// is owed, calls [`Meter::refresh`] for the round's subjects, and drops it.
    pub fn round(&self) -> Option<Round<'_>> {
        self.shared.as_ref().map(Sharing::begin)
    }

    /// There are no rounds any more, and nobody waits for one.
    pub fn close(&self) {
        if let Some(sharing) = &self.shared {
            sharing.close();
        }
    }

    /// Counts a request and takes a place among the calls at the same time, or refuses: first for
    /// the budget, then for rates, then for places. Nothing is counted when refused.
    pub fn admit(&self, limited: &Limited, now_ms: i64) -> Result<Admitted, Refusal> {
        let allowance = &*limited.allowance;
        if is_unlimited(allowance) {
            return Ok(Admitted(None));
        }
        let admitted = self.with_account(limited, now_ms, |account| {
            check(account, limited, None, now_ms)?;
            let place = match allowance.concurrency {
                Some(limit) => Some(account.take_place(limit)?),
                None => None,
            };
            account.count_request(&allowance.rate_limits, now_ms);
            Ok(Admitted(place))
        });
        admitted.map_err(|refused| refusal(limited, refused))
    }

    /// Whether the budget and the rates of tokens have room: for the model calls of a run, whose
    /// requests are not its key's. Counts nothing.
    pub fn check(&self, limited: &Limited, now_ms: i64) -> Result<(), Refusal> {
        if is_unlimited(&limited.allowance) {
            return Ok(());
        }
        self.with_account(limited, now_ms, |account| {
            check(account, limited, Some(RateKind::Tokens), now_ms)
        })
        .map_err(|refused| refusal(limited, refused))
    }

    /// Counts what a call has used. `durable`: whether it still has to be written; a caller that
    /// commits [`Meter::charges`] in a transaction of its own says `false`, after the commit.
    ///
    /// A budget that reaches its alert threshold, or its end, is logged: once a period, because
    /// use only grows.
    pub fn charge(&self, limited: &Limited, spent: Spent, now_ms: i64, durable: bool) {
        let allowance = &*limited.allowance;
        if is_unlimited(allowance) || spent == Spent::default() {
            return;
        }
        let limit = allowance.usage_limits.as_ref();
        let period = limit.map(|limit| period(limit, limited.since, now_ms));
        let growth = self.with_account(limited, now_ms, |account| {
            account.charge(allowance, period, spent, now_ms, durable)
        });
        if let (Some(limit), Some(growth)) = (limit, growth) {
            log_budget(&limited.subject, limit, growth);
        }
    }

    /// What [`Meter::charge`] would write, for callers that commit it in a transaction of their
    /// own. Nothing is counted.
    pub fn charges(&self, limited: &Limited, spent: Spent, now_ms: i64) -> Vec<Charge> {
        let mut charges = Vec::new();
        let mut push = |counter: Counter, start: i64, amount: u64| {
            let meter = counter.as_str();
            let is_new = charges.iter().all(|other: &Charge| other.meter != meter);
            if amount > 0 && is_new {
                charges.push(Charge {
                    subject: Arc::clone(&limited.subject),
                    meter: meter.into(),
                    start,
                    amount,
                });
            }
        };
        for limit in &limited.allowance.rate_limits {
            let counter = Counter::Rate(limit.kind, limit.unit);
            if limit.kind == RateKind::Tokens && counter.is_stored(self.shared.is_some()) {
                let start = Window::new(limit.unit, now_ms).start_seconds();
                push(counter, start, spent.tokens);
            }
        }
        if let Some(limit) = &limited.allowance.usage_limits {
            let start = period(limit, limited.since, now_ms).start.0;
            push(Counter::Budget(limit.kind), start, spent.of(limit.kind));
        }
        charges
    }

    /// Hands out all that has to be written, summed by row. What could not be written is to be
    /// given back to [`Meter::restore`].
    pub(crate) fn drain(&self) -> Vec<Charge> {
        let mut charges = Vec::new();
        for shard in &self.shards {
            let shard = &mut *shard.lock();
            for subject in shard.dirty.drain(..) {
                if let Some(account) = shard.accounts.get_mut(&subject) {
                    account.drain(&subject, &mut charges);
                }
            }
        }
        charges
    }

    /// Takes back drained charges that could not be written, for the next drain.
    pub(crate) fn restore(&self, charges: Vec<Charge>) {
        for charge in charges {
            let Some(counter) = Counter::parse(&charge.meter) else {
                continue;
            };
            self.with_subject(&charge.subject, None, |account| {
                account.owe(counter, charge.start, charge.amount);
            });
        }
    }

    /// Whether [`Meter::load`] was called for a subject, and it was not forgotten since.
    pub fn knows(&self, subject: &str) -> bool {
        let shard = self.shard(subject).lock();
        shard.accounts.get(subject).is_some_and(|it| it.loaded)
    }

    /// Brings what the database has of a subject, before its first use. What was counted meanwhile
    /// and waits to be written is added to it. Does nothing for a subject that is known, so that
    /// several callers may load at once. (What was drained from an unknown subject and is just
    /// being written is missed by a load that reads too early, until the next start.)
    #[expect(
        clippy::needless_pass_by_value,
        reason = "as the store hands it out; nobody needs it afterwards"
    )]
    pub fn load(&self, subject: &Subject, stored: Vec<Charge>) {
        self.with_subject(subject, None, |account| {
            if !account.loaded {
                account.load(&stored);
            }
        });
    }

    /// Replaces what is known of a subject by what the database has of it, all processes together.
    /// What was counted since the last drain is added. Nothing drained may be on its way into the
    /// database meanwhile.
    pub fn refresh(&self, subject: &Subject, stored: &[Charge]) {
        self.with_subject(subject, None, |account| account.load(stored));
    }

    /// Forgets what a subject used of its budgets, written or not: somebody has reset it.
    pub fn reset(&self, subject: &Subject) {
        let mut shard = self.shard(subject).lock();
        if let Some(account) = shard.accounts.get_mut(subject) {
            account.reset_budgets();
        }
    }

    /// How the subject's budget stands; `None`: it has none.
    pub fn budget_left(&self, limited: &Limited, now_ms: i64) -> Option<BudgetState> {
        let limit = limited.allowance.usage_limits.as_ref()?;
        let period = period(limit, limited.since, now_ms);
        let shard = self.shard(&limited.subject).lock();
        let used = shard
            .accounts
            .get(&limited.subject)
            .map_or(0, |account| account.used(limit.kind, period));
        let most = units(limit.kind, limit.credit_limit);
        Some(BudgetState {
            kind: limit.kind,
            used,
            limit: most,
            exhausted: used >= most,
            resets_at: period.end,
        })
    }

    /// How the subject's rates stand, in the order of its allowance.
    pub fn remaining(&self, limited: &Limited, now_ms: i64) -> Vec<Remaining> {
        let limits = &limited.allowance.rate_limits;
        if limits.is_empty() {
            return Vec::new();
        }
        self.with_account(limited, now_ms, |account| account.remaining(limits, now_ms))
    }

    fn with_account<T>(
        &self,
        limited: &Limited,
        now_ms: i64,
        act: impl FnOnce(&mut Account) -> T,
    ) -> T {
        self.with_subject(&limited.subject, Some(now_ms), act)
    }

    /// Acts on a subject's account under its lock; there is one afterwards. Without a time it is
    /// the latest that anybody told.
    fn with_subject<T>(
        &self,
        subject: &Subject,
        now_ms: Option<i64>,
        act: impl FnOnce(&mut Account) -> T,
    ) -> T {
        let shard = &mut *self.shard(subject).lock();
        if let Some(now_ms) = now_ms {
            shard.now_ms = now_ms;
        }
        if !shard.accounts.contains_key(subject) {
            shard.make_room();
        }
        let now_ms = shard.now_ms;
        let account = shard
            .accounts
            .entry(Arc::clone(subject))
            .or_insert_with(|| Account::new(now_ms, self.shared.is_some()));
        account.used_ms = now_ms;
        let was_written = account.is_written();
        let result = act(account);
        if was_written && !account.is_written() {
            shard.dirty.push(Arc::clone(subject));
            if let Some(sharing) = &self.shared {
                sharing.count();
            }
        }
        result
    }

    fn shard(&self, subject: &str) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one(subject);
        // The remainder is below 64.
        let index = usize::try_from(hash % SHARDS as u64).unwrap_or(0);
        &self.shards[index]
    }
}

fn is_unlimited(allowance: &Allowance) -> bool {
    allowance.rate_limits.is_empty()
        && allowance.usage_limits.is_none()
        && allowance.concurrency.is_none()
}

fn check(
    account: &mut Account,
    limited: &Limited,
    only: Option<RateKind>,
    now_ms: i64,
) -> Result<(), Refused> {
    if let Some(limit) = &limited.allowance.usage_limits {
        account.check_budget(limit, period(limit, limited.since, now_ms))?;
    }
    account.check_rates(&limited.allowance.rate_limits, only, now_ms)
}

fn refusal(limited: &Limited, (kind, retry_after): Refused) -> Refusal {
    Refusal {
        kind,
        retry_after,
        whose: limited.whose,
    }
}

/// Logs a budget that has just reached its alert threshold, or its end.
fn log_budget(subject: &str, limit: &UsageLimit, growth: Growth) {
    let reached = |at: u64| growth.before < at && growth.after >= at;
    let most = units(limit.kind, limit.credit_limit);
    let unit = match limit.kind {
        UsageKind::Cost => "nanodollars",
        UsageKind::Tokens => "tokens",
    };
    if reached(most) {
        tracing::warn!(
            subject,
            used = growth.after,
            limit = most,
            unit,
            "budget used up"
        );
    } else if limit
        .alert_threshold
        .is_some_and(|threshold| reached(units(limit.kind, threshold)))
    {
        tracing::warn!(
            subject,
            used = growth.after,
            limit = most,
            unit,
            "budget reached its alert threshold"
        );
    }
}

#[cfg(test)]
mod tests;
