//! Targets that keep failing are left alone for a while (`contract/portkey.md` section 4.2,
//! "circuit breaker").
//!
//! What it is: for each target a count of calls and failures of the last minute (in steps of ten
//! seconds), and whether it is open: not to be called. A target opens when its failures reach the
//! rule's number, or their share of the calls reaches the rule's percentage. After the cooldown it
//! is half open: one caller is let through, and the first call that ends decides. Time is an
//! argument.
//!
//! What it is not: it does not choose targets. When all of them are open, the caller ignores it.
//!
//! Invariant: an open target lets nobody through before its cooldown has passed, and then one
//! caller in ten seconds until a call has ended.
//! Invariant: a target without failures takes no memory unless its rule is a percentage.

use std::time::Duration;

use foldhash::HashMap;
use parking_lot::Mutex;

/// One step of the minute that is counted.
const STEP_MS: i64 = 10_000;
/// Steps that are counted: a minute.
const STEPS: i64 = 6;
/// A call that was let through to try a half-open target and has not ended by then is given up on,
/// and another is let through: the caller may have gone, or chosen another target.
const TRIAL_MS: i64 = 10_000;
/// Targets that are held. Beyond it those that nothing is known of any more are forgotten; when
/// there are none, new ones are not counted.
const HELD: usize = 10_000;

/// When a target is left alone, and for how long. Without a threshold it never is.
#[derive(Debug, Clone, PartialEq)]
pub struct BreakerRule {
    /// So many failures in a minute.
    pub failure_threshold: Option<u32>,
    /// So many percent of the calls of a minute, 0 to 100.
    pub failure_threshold_percentage: Option<f64>,
    /// The percentage counts from so many calls on; 1 without it.
    pub minimum_requests: Option<u32>,
    /// For how long.
    pub cooldown: Duration,
    /// What is a failure, besides no answer at all; above 500 without it.
    pub failure_status_codes: Option<Vec<u16>>,
}

impl BreakerRule {
    /// Whether an answer is a failure; 0 and 599 stand for no answer.
    fn is_failure(&self, status: u16) -> bool {
        matches!(status, 0 | 599)
            || match &self.failure_status_codes {
                Some(codes) => codes.contains(&status),
                None => status > 500,
            }
    }

    fn has_threshold(&self) -> bool {
        self.failure_threshold.is_some() || self.failure_threshold_percentage.is_some()
    }

    fn is_reached(&self, count: Count) -> bool {
        let number = self
            .failure_threshold
            .is_some_and(|threshold| count.failures >= threshold.max(1));
        let share = self.failure_threshold_percentage.is_some_and(|percentage| {
            count.calls >= self.minimum_requests.unwrap_or(1)
                && f64::from(count.failures) * 100.0 >= percentage * f64::from(count.calls)
        });
        count.failures > 0 && (number || share)
    }

    fn cooldown_ms(&self) -> i64 {
        i64::try_from(self.cooldown.as_millis()).unwrap_or(i64::MAX)
    }
}

/// All targets of this process.
#[derive(Debug, Default)]
pub struct Breakers {
    targets: Mutex<Targets>,
}

#[derive(Debug, Default)]
struct Targets {
    by_key: HashMap<Box<str>, State>,
    /// No look for targets to forget before then.
    next_look_ms: i64,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// Called as usual.
    Closed(Recent),
    /// Left alone until then.
    Open { until_ms: i64 },
    /// Somebody was let through; until then nobody else is.
    HalfOpen { until_ms: i64 },
}

/// Calls and failures of the last minute.
#[derive(Debug, Clone, Copy)]
struct Recent {
    /// The step that is counted in now: milliseconds since 1970 by the length of a step.
    step: i64,
    /// By step, modulo their number.
    steps: [Count; 6],
}

#[derive(Debug, Clone, Copy, Default)]
struct Count {
    calls: u32,
    failures: u32,
}

impl Breakers {
    /// All closed.
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether the target of a key (a config and a path in it) is not to be called. To ask takes
    /// the one trial of a half-open target, so ask when about to call it.
    pub fn is_open(&self, key: &str, rule: &BreakerRule, now_ms: i64) -> bool {
        if !rule.has_threshold() {
            // Nor does it matter what a former rule of the same key has opened.
            return false;
        }
        let mut targets = self.targets.lock();
        match targets.by_key.get_mut(key) {
            None | Some(State::Closed(_)) => false,
            Some(State::Open { until_ms } | State::HalfOpen { until_ms }) if now_ms < *until_ms => {
                true
            }
            Some(state) => {
                let until_ms = now_ms.saturating_add(TRIAL_MS);
                *state = State::HalfOpen { until_ms };
                false
            }
        }
    }

    /// Counts the end of a call: its status, or 0 or 599 when there was no answer.
    pub fn record(&self, key: &str, rule: &BreakerRule, status: u16, now_ms: i64) {
        let is_failure = rule.is_failure(status);
        let mut targets = self.targets.lock();
        let Some(state) = targets.by_key.get_mut(key) else {
            if is_failure || rule.failure_threshold_percentage.is_some() {
                targets.begin(key, rule, is_failure, now_ms);
            }
            return;
        };
        *state = state.after(rule, is_failure, now_ms);
    }
}

impl Targets {
    fn begin(&mut self, key: &str, rule: &BreakerRule, is_failure: bool, now_ms: i64) {
        if self.by_key.len() >= HELD {
            if now_ms < self.next_look_ms {
                return;
            }
            self.next_look_ms = now_ms.saturating_add(STEP_MS);
            self.by_key.retain(|_, state| !state.is_over(now_ms));
            if self.by_key.len() >= HELD {
                return;
            }
        }
        let state = State::Closed(Recent::new(now_ms)).after(rule, is_failure, now_ms);
        self.by_key.insert(key.into(), state);
    }
}

impl State {
    /// The state once a call has ended.
    fn after(self, rule: &BreakerRule, is_failure: bool, now_ms: i64) -> Self {
        let open = Self::Open {
            until_ms: now_ms.saturating_add(rule.cooldown_ms()),
        };
        match self {
            Self::Closed(mut recent) => {
                recent.add(is_failure, now_ms);
                if rule.is_reached(recent.sum()) {
                    open
                } else {
                    Self::Closed(recent)
                }
            }
            // A call from before it opened, or from a caller to whom all targets were open.
            Self::Open { until_ms } if now_ms < until_ms => self,
            Self::Open { .. } | Self::HalfOpen { .. } if is_failure => open,
            Self::Open { .. } | Self::HalfOpen { .. } => Self::Closed(Recent::new(now_ms)),
        }
    }

    /// Whether nothing would change if it were forgotten, or nobody has asked for a long time.
    fn is_over(&self, now_ms: i64) -> bool {
        match self {
            Self::Closed(recent) => now_ms.div_euclid(STEP_MS).saturating_sub(recent.step) >= STEPS,
            Self::Open { until_ms } | Self::HalfOpen { until_ms } => {
                now_ms.saturating_sub(*until_ms) >= 60 * STEP_MS
            }
        }
    }
}

impl Recent {
    fn new(now_ms: i64) -> Self {
        Self {
            step: now_ms.div_euclid(STEP_MS),
            steps: [Count::default(); 6],
        }
    }

    fn add(&mut self, is_failure: bool, now_ms: i64) {
        let step = now_ms.div_euclid(STEP_MS);
        let passed = step.saturating_sub(self.step);
        if !(-1..STEPS).contains(&passed) {
            // A minute without calls; or a clock that was set back.
            *self = Self::new(now_ms);
        } else if passed > 0 {
            for gone in self.step + 1..=step {
                self.steps[index(gone)] = Count::default();
            }
            self.step = step;
        }
        let count = &mut self.steps[index(self.step)];
        count.calls = count.calls.saturating_add(1);
        count.failures = count.failures.saturating_add(u32::from(is_failure));
    }

    fn sum(&self) -> Count {
        self.steps
            .iter()
            .fold(Count::default(), |sum, count| Count {
                calls: sum.calls.saturating_add(count.calls),
                failures: sum.failures.saturating_add(count.failures),
            })
    }
}

/// Where a step is counted.
fn index(step: i64) -> usize {
    usize::try_from(step.rem_euclid(STEPS)).unwrap_or(0)
}

#[cfg(test)]
mod tests;
