//! When a failed attempt is followed by another at the same target.

use std::time::Duration;

use http::{HeaderMap, StatusCode};

use crate::{config::RetryRule, retry_after};

/// Statuses after which the same call may succeed.
const TRANSIENT: [u16; 7] = [408, 429, 500, 502, 503, 504, 529];

/// What the operator says about attempts (`[gateway]`). It holds for the model calls of runs; a
/// relayed call is only repeated where its config has a `retry`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPolicy {
    /// Attempts after the first.
    pub retries: u32,
    /// Pause before the first retry; it doubles each time.
    pub base_delay: Duration,
    /// Longest pause that is our own choice.
    pub max_delay: Duration,
    /// Longest pause that a provider may ask for (`retry-after-ms`, `x-ms-retry-after-ms`,
    /// `retry-after`). One that asks for more gets no further attempt.
    pub max_retry_after: Duration,
    /// No attempt begins later than this after the first.
    pub total: Duration,
}

impl Default for AttemptPolicy {
    fn default() -> Self {
        Self {
            retries: 2,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(8),
            max_retry_after: Duration::from_secs(20),
            total: Duration::from_mins(5),
        }
    }
}

/// What the pauses that a provider asks for stay below, all together, under a config's
/// `use_retry_after_header` (`contract/portkey.md` section 4.2).
const MOST_RETRY_AFTER: Duration = Duration::from_mins(1);

/// What holds for one call at one target.
#[derive(Debug)]
pub(crate) struct Retries<'a> {
    policy: &'a AttemptPolicy,
    rule: Option<&'a RetryRule>,
    most: u32,
    /// The pauses so far that the provider asked for.
    asked: Duration,
}

/// How an attempt went, as far as the next one goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// The status that the caller would see.
    pub(crate) status: u16,
    /// Whether this is a fault that may pass, where the config names no statuses.
    pub(crate) transient: bool,
    /// Whether it may be tried again at all: not when the account is empty, or when the request
    /// could not even be made.
    pub(crate) repeatable: bool,
    /// How long the provider wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

impl Verdict {
    /// Nothing to repeat.
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        Self {
            status,
            transient: is_transient(status),
            repeatable: true,
            retry_after,
        }
    }

    /// Of a provider's answer.
    pub(crate) fn of_answer(status: StatusCode, headers: &HeaderMap) -> Self {
        // Whoever succeeded is not asked again.
        let retry_after = (!status.is_success()).then(|| retry_after::of(headers));
        Self::of_status(status.as_u16(), retry_after.flatten())
    }

    pub(crate) fn is_success(self) -> bool {
        (200..300).contains(&self.status)
    }
}

pub(crate) fn is_transient(status: u16) -> bool {
    TRANSIENT.contains(&status)
}

impl<'a> Retries<'a> {
    /// For a relayed call.
    pub(crate) fn of_relay(policy: &'a AttemptPolicy, rule: Option<&'a RetryRule>) -> Self {
        Self {
            policy,
            rule,
            most: rule.map_or(0, |rule| rule.attempts),
            asked: Duration::ZERO,
        }
    }

    /// For a model call of a run.
    pub(crate) fn of_run(policy: &'a AttemptPolicy, rule: Option<&'a RetryRule>) -> Self {
        Self {
            policy,
            rule,
            most: rule.map_or(policy.retries, |rule| rule.attempts),
            asked: Duration::ZERO,
        }
    }

    /// Whether an outcome calls for another attempt, were there one left.
    fn wants(&self, verdict: Verdict) -> bool {
        verdict.repeatable
            && match self.rule {
                Some(rule) => rule.on_status_codes.contains(&verdict.status),
                None => verdict.transient,
            }
    }

    /// What is to be done after attempt number `attempts`, `elapsed` after the first began;
    /// `jitter` is any random byte.
    pub(crate) fn next(
        &mut self,
        verdict: Verdict,
        attempts: u32,
        elapsed: Duration,
        jitter: u8,
    ) -> Next {
        if verdict.is_success() || !self.wants(verdict) {
            return Next::Done;
        }
        if attempts > self.most {
            return if self.most == 0 {
                Next::Done
            } else {
                Next::GiveUp
            };
        }
        let asked = verdict.retry_after;
        let pause = match (asked, self.rule) {
            (Some(asked), None) if asked > self.policy.max_retry_after => return Next::GiveUp,
            (Some(asked), None) => asked,
            (Some(asked), Some(rule)) if rule.use_retry_after_header && verdict.status == 429 => {
                self.asked = self.asked.saturating_add(asked);
                if self.asked >= MOST_RETRY_AFTER {
                    return Next::GiveUp;
                }
                asked
            }
            _ => self.backoff(attempts, jitter),
        };
        if elapsed.saturating_add(pause) <= self.policy.total {
            Next::After(pause)
        } else {
            Next::GiveUp
        }
    }

    /// Doubling pauses, each cut by up to half so that clients do not return in step.
    fn backoff(&self, attempts: u32, jitter: u8) -> Duration {
        let doublings = attempts.saturating_sub(1).min(16);
        let full = self
            .policy
            .base_delay
            .saturating_mul(1 << doublings)
            .min(self.policy.max_delay);
        full.saturating_sub(full / 512 * u32::from(jitter))
    }
}

/// What follows an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It was the last, because nothing speaks for another.
    Done,
    /// Another would have been due, but all are used up or the wait is too long.
    GiveUp,
    /// Another, after this pause.
    After(Duration),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(attempts: u32, codes: &[u16], use_retry_after_header: bool) -> RetryRule {
        RetryRule {
            attempts,
            on_status_codes: codes.to_vec(),
            use_retry_after_header,
        }
    }

    fn failed(status: u16, retry_after: Option<u64>) -> Verdict {
        Verdict::of_status(status, retry_after.map(Duration::from_secs))
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_jitter_halves_them_at_most() {
        let policy = AttemptPolicy {
            retries: 9,
            ..AttemptPolicy::default()
        };
        let mut retries = Retries::of_run(&policy, None);
        let mut pause = |attempts, jitter| match retries.next(
            failed(500, None),
            attempts,
            Duration::ZERO,
            jitter,
        ) {
            Next::After(pause) => pause.as_millis(),
            next => panic!("{next:?}"),
        };
        assert_eq!(pause(1, 0), 500);
        assert_eq!(pause(2, 0), 1_000);
        assert_eq!(pause(9, 0), 8_000);
        assert!((250..300).contains(&pause(1, 255)), "{}", pause(1, 255));
    }

    #[test]
    fn attempts_of_a_run_end_by_number_by_time_and_by_kind() {
        let policy = AttemptPolicy::default();
        let mut retries = Retries::of_run(&policy, None);
        let mut next = |verdict, attempts, seconds| {
            retries.next(verdict, attempts, Duration::from_secs(seconds), 0)
        };
        let half_a_second = Next::After(Duration::from_millis(500));
        assert_eq!(next(failed(503, None), 1, 0), half_a_second);
        assert_eq!(next(failed(503, None), 3, 0), Next::GiveUp);
        assert_eq!(next(failed(503, None), 1, 300), Next::GiveUp);
        assert_eq!(next(failed(400, None), 1, 0), Next::Done);
        let empty = Verdict {
            repeatable: false,
            ..failed(429, None)
        };
        assert_eq!(next(empty, 1, 0), Next::Done);
        // A provider is given the time it asks for, within reason.
        assert_eq!(
            next(failed(429, Some(7)), 1, 0),
            Next::After(Duration::from_secs(7))
        );
        assert_eq!(next(failed(429, Some(3600)), 1, 0), Next::GiveUp);
    }

    #[test]
    fn a_relayed_call_is_repeated_only_where_its_config_says_so() {
        let policy = AttemptPolicy::default();
        let next = |rule: Option<&RetryRule>, verdict, attempts| {
            Retries::of_relay(&policy, rule).next(verdict, attempts, Duration::ZERO, 0)
        };
        assert_eq!(next(None, failed(500, None), 1), Next::Done);
        let on_418 = rule(2, &[418], false);
        assert_eq!(next(Some(&on_418), failed(500, None), 1), Next::Done);
        let pause = Next::After(Duration::from_millis(500));
        assert_eq!(next(Some(&on_418), failed(418, Some(50)), 1), pause);
        assert_eq!(next(Some(&on_418), failed(418, None), 3), Next::GiveUp);
    }

    #[test]
    fn pauses_that_are_asked_for_stay_below_a_minute_together() {
        let policy = AttemptPolicy::default();
        let heeding = rule(5, &[429], true);
        let mut retries = Retries::of_relay(&policy, Some(&heeding));
        let mut next = |seconds, attempts| {
            let verdict = failed(429, Some(seconds));
            retries.next(verdict, attempts, Duration::ZERO, 0)
        };
        let after = |seconds| Next::After(Duration::from_secs(seconds));
        assert_eq!(next(25, 1), after(25));
        assert_eq!(next(34, 2), after(34));
        assert_eq!(next(1, 3), Next::GiveUp);
    }

    #[test]
    fn retry_after_is_heeded_for_429_up_to_a_minute() {
        let policy = AttemptPolicy::default();
        let heeding = rule(5, &[429, 503], true);
        let next = |verdict| {
            Retries::of_relay(&policy, Some(&heeding)).next(verdict, 1, Duration::ZERO, 0)
        };
        assert_eq!(
            next(failed(429, Some(59))),
            Next::After(Duration::from_secs(59))
        );
        assert_eq!(next(failed(429, Some(60))), Next::GiveUp);
        assert_eq!(
            next(failed(503, Some(61))),
            Next::After(Duration::from_millis(500))
        );
    }
}
