//! What is counted, and the names of it in the counters table.

use loomgate_domain::limit::{RateKind, RateUnit, UsageKind};

/// One kind of counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Counter {
    /// A sliding window.
    Rate(RateKind, RateUnit),
    /// The sum of a budget's period.
    Budget(UsageKind),
}

impl Counter {
    /// Its name in the counters table.
    pub(super) fn as_str(self) -> &'static str {
        use RateUnit::{Rpd, Rph, Rpm, Rps, Rpw};
        match self {
            Self::Rate(RateKind::Requests, Rps) => "requests:rps",
            Self::Rate(RateKind::Requests, Rpm) => "requests:rpm",
            Self::Rate(RateKind::Requests, Rph) => "requests:rph",
            Self::Rate(RateKind::Requests, Rpd) => "requests:rpd",
            Self::Rate(RateKind::Requests, Rpw) => "requests:rpw",
            Self::Rate(RateKind::Tokens, Rps) => "tokens:rps",
            Self::Rate(RateKind::Tokens, Rpm) => "tokens:rpm",
            Self::Rate(RateKind::Tokens, Rph) => "tokens:rph",
            Self::Rate(RateKind::Tokens, Rpd) => "tokens:rpd",
            Self::Rate(RateKind::Tokens, Rpw) => "tokens:rpw",
            Self::Budget(UsageKind::Cost) => "budget:cost",
            Self::Budget(UsageKind::Tokens) => "budget:tokens",
        }
    }

    /// The counter of a name.
    pub(super) fn parse(name: &str) -> Option<Self> {
        let (kind, unit) = name.split_once(':')?;
        let kind = match (kind, unit) {
            ("budget", "cost") => return Some(Self::Budget(UsageKind::Cost)),
            ("budget", "tokens") => return Some(Self::Budget(UsageKind::Tokens)),
            ("requests", _) => RateKind::Requests,
            ("tokens", _) => RateKind::Tokens,
            _ => return None,
        };
        let unit = match unit {
            "rps" => RateUnit::Rps,
            "rpm" => RateUnit::Rpm,
            "rph" => RateUnit::Rph,
            "rpd" => RateUnit::Rpd,
            "rpw" => RateUnit::Rpw,
            _ => return None,
        };
        Some(Self::Rate(kind, unit))
    }

    /// Whether it is written down: what has to outlive the process, or is shared with others.
    /// Windows shorter than an hour do not outlive it.
    pub(super) fn is_stored(self, is_shared: bool) -> bool {
        match self {
            Self::Rate(_, RateUnit::Rps | RateUnit::Rpm) => is_shared,
            Self::Rate(_, RateUnit::Rph | RateUnit::Rpd | RateUnit::Rpw) | Self::Budget(_) => true,
        }
    }
}

/// The length of a rate's span in milliseconds.
pub(super) fn span_ms(unit: RateUnit) -> i64 {
    i64::try_from(unit.seconds()).unwrap_or(i64::MAX / 1000) * 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_counters_are_read_back_and_no_others() {
        use RateUnit::{Rpd, Rph, Rpm, Rps, Rpw};
        let mut all = vec![
            Counter::Budget(UsageKind::Cost),
            Counter::Budget(UsageKind::Tokens),
        ];
        for unit in [Rps, Rpm, Rph, Rpd, Rpw] {
            all.push(Counter::Rate(RateKind::Requests, unit));
            all.push(Counter::Rate(RateKind::Tokens, unit));
        }
        for counter in all {
            assert_eq!(Counter::parse(counter.as_str()), Some(counter));
            assert!(counter.is_stored(true), "{counter:?}");
        }
        for name in ["", "budget", "budget:", "requests:", "budget:rph", "x:rph"] {
            assert_eq!(Counter::parse(name), None, "{name}");
        }
    }
}
