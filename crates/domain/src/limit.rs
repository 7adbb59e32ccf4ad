//! What an API key or a virtual key may use: rates and budgets (`docs/gateway.md`, "Limits").

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Timestamp, WorkspaceId};

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const WEEK: i64 = 7 * DAY;

/// Money in billionths of a US dollar: a token of a cheap model costs about 20 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Nanodollars(pub u64);

/// An addition to a counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Charge {
    /// Who is charged.
    pub subject: Arc<str>,
    /// What is counted: `budget:cost`, `requests:rph`.
    pub meter: Cow<'static, str>,
    /// When the window begins in which it counts; unix seconds.
    pub start: i64,
    /// How much.
    pub amount: u64,
}

/// A run that is carried out at a provider, and that was seen before its end: it is counted when its
/// end is seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct OpenRun {
    /// Whose calls have seen it.
    pub workspace: WorkspaceId,
    /// The account that it lives in.
    pub account: Arc<str>,
    /// Its id there.
    pub run: Arc<str>,
    /// From then on nobody waits for its end any more.
    pub until: Timestamp,
}

/// A run at a provider that is waited for no more. Of all who see its end, the first to write it down
/// is who counts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedRun {
    /// Which.
    pub run: OpenRun,
    /// What it has used; nothing where its end was not seen.
    pub charges: Vec<Charge>,
}

/// What is counted in memory and waits to be written, all of it at once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Owed {
    /// What keys have used.
    pub charges: Vec<Charge>,
    /// Runs that were seen before their end.
    pub opened: Vec<OpenRun>,
    /// Runs that were counted, or are not waited for any more.
    pub closed: Vec<ClosedRun>,
}

impl Owed {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.charges.is_empty() && self.opened.is_empty() && self.closed.is_empty()
    }
}

/// Everything that limits one key. Empty: nothing does.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Allowance {
    /// How much in a span of time; each holds on its own.
    pub rate_limits: Vec<RateLimit>,
    /// How much until the budget is renewed, if ever.
    pub usage_limits: Option<UsageLimit>,
    /// Calls at the same time.
    pub concurrency: Option<u32>,
}

/// So many requests or tokens in a span of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// What is counted.
    #[serde(rename = "type")]
    pub kind: RateKind,
    /// The span.
    pub unit: RateUnit,
    /// How many; at least 1.
    pub value: u64,
}

/// What a rate limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateKind {
    /// Calls, however they end.
    Requests,
    /// Tokens of prompts and answers, once an answer has ended.
    Tokens,
}

/// The span of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RateUnit {
    /// A second.
    Rps,
    /// A minute.
    Rpm,
    /// An hour.
    Rph,
    /// A day.
    Rpd,
    /// A week.
    Rpw,
}

impl RateUnit {
    /// Its length in seconds.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Rps => 1,
            Self::Rpm => 60,
            Self::Rph => 3_600,
            Self::Rpd => 86_400,
            Self::Rpw => 604_800,
        }
    }
}

/// The smallest credit limit: a billionth of a US dollar, which is the smallest cost. (Of tokens it
/// is rounded up to one.)
pub const LEAST_CREDIT: f64 = 1e-9;

/// A budget.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UsageLimit {
    /// What is counted.
    #[serde(rename = "type")]
    pub kind: UsageKind,
    /// US dollars or tokens; at least [`LEAST_CREDIT`].
    pub credit_limit: f64,
    /// US dollars or tokens from which on an alert is logged.
    #[serde(default)]
    pub alert_threshold: Option<f64>,
    /// When the budget is renewed; at most one of this and `periodic_reset_days` is set.
    #[serde(default)]
    pub periodic_reset: Option<PeriodicReset>,
    /// Renewed every so many days after the key was made: 1 to 365.
    #[serde(default)]
    pub periodic_reset_days: Option<u16>,
}

/// What a budget counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageKind {
    /// US dollars, by the table of prices. Calls whose model has no price count nothing.
    Cost,
    /// Tokens of prompts and answers.
    Tokens,
}

/// A calendar's renewal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodicReset {
    /// On the first of a month, 00:00 UTC.
    Monthly,
    /// On Sunday, 00:00 UTC.
    Weekly,
}

/// The time in which a budget holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Its first second.
    pub start: Timestamp,
    /// The first second of the next; `None`: it never ends.
    pub end: Option<Timestamp>,
}

impl UsageLimit {
    /// The period that `now` lies in, for a key that was made (or reset) at `since`.
    pub fn period(&self, since: Timestamp, now: Timestamp) -> Period {
        match (self.periodic_reset, self.periodic_reset_days) {
            (Some(PeriodicReset::Weekly), _) => {
                // 1970-01-04 was the first Sunday.
                let start = (now.0 - 3 * DAY).div_euclid(WEEK) * WEEK + 3 * DAY;
                spanning(start, WEEK)
            }
            (Some(PeriodicReset::Monthly), _) => month(now),
            (None, Some(days)) => {
                let length = i64::from(days.max(1)) * DAY;
                let passed = (now.0 - since.0).max(0).div_euclid(length);
                spanning(since.0 + passed * length, length)
            }
            (None, None) => Period {
                start: since,
                end: None,
            },
        }
    }
}

fn spanning(start: i64, length: i64) -> Period {
    Period {
        start: Timestamp(start),
        end: Some(Timestamp(start + length)),
    }
}

/// The calendar month of a time, UTC. Days are counted from 1 March of year 0, which puts leap days
/// at the end of a year (the well-known "days from civil" reckoning).
fn month(now: Timestamp) -> Period {
    let (year, month) = civil(now.0.div_euclid(DAY));
    let (next_year, next_month) = if month == 12 {
        (year + 1, 1)
    } else {
        (year, month + 1)
    };
    Period {
        start: Timestamp(first_day(year, month) * DAY),
        end: Some(Timestamp(first_day(next_year, next_month) * DAY)),
    }
}

/// Year and month of a day since 1970.
fn civil(day: i64) -> (i64, i64) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month)
}

/// Days from 1970 to the first day of a month.
fn first_day(year: i64, month: i64) -> i64 {
    let shifted_year = if month <= 2 { year - 1 } else { year };
    let era = shifted_year.div_euclid(400);
    let year_of_era = shifted_year.rem_euclid(400);
    let shifted_month = if month > 2 { month - 3 } else { month + 9 };
    let day_of_year = (153 * shifted_month + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(reset: Option<PeriodicReset>, days: Option<u16>) -> UsageLimit {
        UsageLimit {
            kind: UsageKind::Cost,
            credit_limit: 1.0,
            alert_threshold: None,
            periodic_reset: reset,
            periodic_reset_days: days,
        }
    }

    #[track_caller]
    fn expect(limit: &UsageLimit, since: i64, now: i64, start: i64, end: Option<i64>) {
        let period = limit.period(Timestamp(since), Timestamp(now));
        assert_eq!((period.start.0, period.end.map(|end| end.0)), (start, end));
    }

    #[test]
    fn weeks_begin_on_sunday() {
        let weekly = limit(Some(PeriodicReset::Weekly), None);
        // 2026-11-22 was a Sunday; 1795305600 is its midnight.
        let sunday = 1_795_305_600;
        expect(&weekly, 0, sunday, sunday, Some(sunday + WEEK));
        expect(&weekly, 0, sunday - 1, sunday - WEEK, Some(sunday));
        expect(&weekly, 0, sunday + WEEK - 1, sunday, Some(sunday + WEEK));
    }

    #[test]
    fn months_begin_on_the_first() {
        let monthly = limit(Some(PeriodicReset::Monthly), None);
        // 2024-02-29 12:00 lies in a month of 29 days; 2026-12 is followed by 2027-01.
        expect(
            &monthly,
            0,
            1_709_208_000,
            1_706_745_600,
            Some(1_709_251_200),
        );
        expect(
            &monthly,
            0,
            1_797_000_000,
            1_796_083_200,
            Some(1_798_761_600),
        );
        expect(&monthly, 0, 0, 0, Some(31 * DAY));
    }

    #[test]
    fn days_are_counted_from_the_making_of_the_key() {
        let days = limit(None, Some(10));
        expect(
            &days,
            1_000,
            1_000 + 25 * DAY,
            1_000 + 20 * DAY,
            Some(1_000 + 30 * DAY),
        );
        let never = limit(None, None);
        expect(&never, 1_000, 1_000 + 25 * DAY, 1_000, None);
    }
}
