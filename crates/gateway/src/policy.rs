//! When a failed attempt is followed by another.

use std::time::Duration;

use crate::error::Failure;

/// What is tried again: faults before the first event that may pass (the provider could not be
/// reached or gave no answer in time; statuses 408, 429, 500, 502, 503, 504, 529; an answer that
/// broke off before it began). Everything else is returned at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptPolicy {
    /// Attempts after the first.
    pub retries: u32,
    /// Pause before the first retry; it doubles each time.
    pub base_delay: Duration,
    /// Longest pause that is our own choice.
    pub max_delay: Duration,
    /// Longest pause that a provider may ask for (`retry-after-ms`, `retry-after`). One that asks
    /// for more gets no further attempt.
    pub max_retry_after: Duration,
    /// No attempt begins later than this after the first.
    pub total: Duration,
    /// Time to connect, for all targets.
    pub connect_timeout: Duration,
}

impl Default for AttemptPolicy {
    fn default() -> Self {
        Self {
            retries: 2,
            base_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(8),
            max_retry_after: Duration::from_secs(20),
            total: Duration::from_mins(5),
            connect_timeout: Duration::from_secs(10),
        }
    }
}

impl AttemptPolicy {
    /// How long to wait before another attempt, or `None` when there is none. `attempts` have been
    /// made in `elapsed`; `jitter` is any random byte.
    pub(crate) fn pause(
        &self,
        failure: &Failure,
        attempts: u32,
        elapsed: Duration,
        jitter: u8,
    ) -> Option<Duration> {
        if !failure.error.retryable || attempts > self.retries {
            return None;
        }
        let pause = match failure.retry_after {
            Some(asked) if asked > self.max_retry_after => return None,
            Some(asked) => asked,
            None => self.backoff(attempts, jitter),
        };
        (elapsed.saturating_add(pause) <= self.total).then_some(pause)
    }

    /// Doubling pauses, each cut by up to half so that clients do not return in step.
    fn backoff(&self, attempts: u32, jitter: u8) -> Duration {
        let doublings = attempts.saturating_sub(1).min(16);
        let full = self
            .base_delay
            .saturating_mul(1 << doublings)
            .min(self.max_delay);
        full.saturating_sub(full / 512 * u32::from(jitter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Error, Who};

    fn failure(status: u16, retry_after: Option<u64>) -> Failure {
        Failure {
            error: Error::status(status, "no"),
            retry_after: retry_after.map(Duration::from_secs),
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_jitter_halves_them_at_most() {
        let policy = AttemptPolicy {
            retries: 9,
            ..AttemptPolicy::default()
        };
        let pause = |attempts, jitter| {
            policy
                .pause(&failure(500, None), attempts, Duration::ZERO, jitter)
                .unwrap()
                .as_millis()
        };
        assert_eq!(pause(1, 0), 500);
        assert_eq!(pause(2, 0), 1_000);
        assert_eq!(pause(9, 0), 8_000);
        assert!((250..300).contains(&pause(1, 255)), "{}", pause(1, 255));
    }

    #[test]
    fn attempts_end_by_number_by_time_and_by_kind() {
        let policy = AttemptPolicy::default();
        let pause = |failure: &Failure, attempts, elapsed| {
            policy.pause(failure, attempts, Duration::from_secs(elapsed), 0)
        };
        assert!(pause(&failure(503, None), 2, 0).is_some());
        assert_eq!(pause(&failure(503, None), 3, 0), None);
        assert_eq!(pause(&failure(503, None), 1, 300), None);
        assert_eq!(pause(&failure(400, None), 1, 0), None);
        let local = Failure::from(Error::new(Who::Local, false, "no"));
        assert_eq!(pause(&local, 1, 0), None);
    }

    #[test]
    fn a_provider_is_given_the_time_it_asks_for_within_reason() {
        let policy = AttemptPolicy::default();
        let pause = |asked| policy.pause(&failure(429, Some(asked)), 1, Duration::ZERO, 77);
        assert_eq!(pause(3), Some(Duration::from_secs(3)));
        assert_eq!(pause(20), Some(Duration::from_secs(20)));
        assert_eq!(pause(21), None);
    }
}
