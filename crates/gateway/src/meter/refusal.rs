//! What a caller is told that has used too much.

use std::time::Duration;

use loomgate_domain::{
    Timestamp,
    limit::{RateKind, RateUnit, UsageKind},
};

/// Why a call was not admitted. Nothing was counted for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The limit that was reached; of several rates the one that lasts longest.
    pub kind: RefusalKind,
    /// For rates: after exactly that time the call is admitted if nothing else is counted
    /// meanwhile. `None` for budgets, places, and rates that admit nothing at all.
    pub retry_after: Option<Duration>,
    /// Whose limit: "API key", "virtual key".
    pub whose: &'static str,
}

/// The limit that was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// So many requests or tokens in a span of time.
    Rate {
        /// What is counted.
        kind: RateKind,
        /// The span.
        unit: RateUnit,
        /// How many.
        limit: u64,
    },
    /// A budget is used up.
    Budget {
        /// What is counted.
        kind: UsageKind,
        /// Billionths of a US dollar, or tokens.
        limit: u64,
        /// When it is renewed, if ever.
        resets_at: Option<Timestamp>,
    },
    /// Calls at the same time.
    Concurrency {
        /// How many.
        limit: u32,
    },
}

impl Refusal {
    /// The HTTP status: 412 for a budget, 429 otherwise (`contract/portkey.md` section 7).
    pub fn status(&self) -> u16 {
        match self.kind {
            RefusalKind::Budget { .. } => 412,
            RefusalKind::Rate { .. } | RefusalKind::Concurrency { .. } => 429,
        }
    }

    /// The headers of such an answer: when to come back, and, of a rate, what is left of it.
    /// `retry-after` is in whole seconds, rounded up; the rates have OpenAI's names and units.
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers = Vec::new();
        if let Some(wait) = self.retry_after {
            let milliseconds = wait.as_millis().max(1);
            headers.push(("retry-after", milliseconds.div_ceil(1000).to_string()));
            headers.push(("retry-after-ms", milliseconds.to_string()));
        }
        if let RefusalKind::Rate { kind, limit, .. } = self.kind {
            let [limited, left, renewed] = match kind {
                RateKind::Requests => [
                    "x-ratelimit-limit-requests",
                    "x-ratelimit-remaining-requests",
                    "x-ratelimit-reset-requests",
                ],
                RateKind::Tokens => [
                    "x-ratelimit-limit-tokens",
                    "x-ratelimit-remaining-tokens",
                    "x-ratelimit-reset-tokens",
                ],
            };
            headers.push((limited, limit.to_string()));
            headers.push((left, "0".to_owned()));
            let wait = self.retry_after.map(|wait| wait.as_millis());
            headers.extend(wait.map(|wait| (renewed, format!("{wait}ms"))));
        }
        headers
    }

    /// What happened and what to do, for the caller.
    pub fn message(&self) -> String {
        let whose = self.whose;
        match self.kind {
            RefusalKind::Rate { kind, unit, limit } => {
                let what = match kind {
                    RateKind::Requests => counted(limit, "request"),
                    RateKind::Tokens => counted(limit, "token"),
                };
                let wait = match self.retry_after {
                    Some(wait) => format!("Try again in {}, or ask", duration(wait)),
                    None => "Ask".to_owned(),
                };
                format!(
                    "The {whose} has reached its limit of {what} per {}. {wait} whoever manages \
                     the {whose} for a higher limit.",
                    span(unit)
                )
            }
            RefusalKind::Budget {
                kind,
                limit,
                resets_at,
            } => {
                let what = match kind {
                    UsageKind::Cost => dollars(limit),
                    UsageKind::Tokens => counted(limit, "token"),
                };
                let when = match resets_at.and_then(date) {
                    Some(date) => format!("It is renewed on {date}"),
                    None => "It is not renewed by itself".to_owned(),
                };
                format!(
                    "The {whose} has used up its budget of {what}. {when}. Ask whoever manages \
                     the {whose} to raise or reset the budget."
                )
            }
            RefusalKind::Concurrency { limit } => format!(
                "The {whose} has reached its limit of {} at the same time. Try again when one of \
                 them has ended.",
                counted(u64::from(limit), "call")
            ),
        }
    }
}

fn span(unit: RateUnit) -> &'static str {
    match unit {
        RateUnit::Rps => "second",
        RateUnit::Rpm => "minute",
        RateUnit::Rph => "hour",
        RateUnit::Rpd => "day",
        RateUnit::Rpw => "week",
    }
}

fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Two digits of cents, more where they are there.
fn dollars(nanodollars: u64) -> String {
    let (whole, rest) = (nanodollars / 1_000_000_000, nanodollars % 1_000_000_000);
    let digits = format!("{rest:09}");
    let kept = digits.trim_end_matches('0').len().max(2);
    format!("${whole}.{}", &digits[..kept])
}

/// The two largest units, rounded up, so that nobody comes back too early.
fn duration(wait: Duration) -> String {
    let milliseconds = wait.as_millis();
    if milliseconds < 1000 {
        let milliseconds = u64::try_from(milliseconds).unwrap_or(u64::MAX);
        return counted(milliseconds, "millisecond");
    }
    let seconds = u64::try_from(milliseconds.div_ceil(1000)).unwrap_or(u64::MAX);
    let (large, small, per, nouns) = if seconds < 60 {
        (seconds, 0, 1, ["second", ""])
    } else if seconds < 3_600 {
        (seconds / 60, seconds % 60, 1, ["minute", "second"])
    } else if seconds < 86_400 {
        (seconds / 3_600, seconds % 3_600, 60, ["hour", "minute"])
    } else {
        (seconds / 86_400, seconds % 86_400, 3_600, ["day", "hour"])
    };
    let small = small.div_ceil(per);
    if small == 0 {
        counted(large, nouns[0])
    } else {
        format!(
            "{} and {}",
            counted(large, nouns[0]),
            counted(small, nouns[1])
        )
    }
}

/// `2026-12-01 00:00 UTC`. `None` for times beyond the calendar.
fn date(at: Timestamp) -> Option<String> {
    let at = time::OffsetDateTime::from_unix_timestamp(at.0).ok()?;
    Some(format!(
        "{:04}-{:02}-{:02} {:02}:{:02} UTC",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn says(kind: RefusalKind, retry_after_ms: Option<u64>, status: u16, message: &str) {
        let refusal = Refusal {
            kind,
            retry_after: retry_after_ms.map(Duration::from_millis),
            whose: "API key",
        };
        assert_eq!(refusal.message(), message);
        assert_eq!(refusal.status(), status);
    }

    #[test]
    fn a_refusal_names_the_limit_and_the_way_on() {
        let rate = |kind, unit, limit| RefusalKind::Rate { kind, unit, limit };
        says(
            rate(RateKind::Requests, RateUnit::Rpm, 60),
            Some(12_001),
            429,
            "The API key has reached its limit of 60 requests per minute. Try again in 13 \
             seconds, or ask whoever manages the API key for a higher limit.",
        );
        says(
            rate(RateKind::Tokens, RateUnit::Rpd, 1),
            Some(5_401_000),
            429,
            "The API key has reached its limit of 1 token per day. Try again in 1 hour and 31 \
             minutes, or ask whoever manages the API key for a higher limit.",
        );
        says(
            rate(RateKind::Requests, RateUnit::Rps, 0),
            None,
            429,
            "The API key has reached its limit of 0 requests per second. Ask whoever manages the \
             API key for a higher limit.",
        );
        says(
            RefusalKind::Concurrency { limit: 4 },
            None,
            429,
            "The API key has reached its limit of 4 calls at the same time. Try again when one \
             of them has ended.",
        );
    }

    #[test]
    fn a_budget_says_when_it_is_renewed() {
        let budget = |kind, limit, resets_at: Option<i64>| RefusalKind::Budget {
            kind,
            limit,
            resets_at: resets_at.map(Timestamp),
        };
        says(
            budget(UsageKind::Cost, 10_500_000_000, Some(1_796_083_200)),
            None,
            412,
            "The API key has used up its budget of $10.50. It is renewed on 2026-12-01 00:00 \
             UTC. Ask whoever manages the API key to raise or reset the budget.",
        );
        says(
            budget(UsageKind::Tokens, 1_000, None),
            None,
            412,
            "The API key has used up its budget of 1000 tokens. It is not renewed by itself. Ask \
             whoever manages the API key to raise or reset the budget.",
        );
    }

    #[test]
    fn amounts_and_times_read_well() {
        let amounts = [
            (0, "$0.00"),
            (5_000_000, "$0.005"),
            (1_000_000_000, "$1.00"),
            (1_100_000_001, "$1.100000001"),
        ];
        for (amount, text) in amounts {
            assert_eq!(dollars(amount), text);
        }
        let times = [
            (1, "1 millisecond"),
            (999, "999 milliseconds"),
            (1_000, "1 second"),
            (59_001, "1 minute"),
            (61_000, "1 minute and 1 second"),
            (3_600_000, "1 hour"),
            (86_400_000, "1 day"),
            (90_000_000, "1 day and 1 hour"),
        ];
        for (milliseconds, text) in times {
            assert_eq!(duration(Duration::from_millis(milliseconds)), text);
        }
    }
}
