//! Limits of API keys and virtual keys: rates, budgets, calls at the same time. The same rules
//! hold for the configuration and for the command line.

use loomgate_domain::limit::{
    Allowance, LEAST_CREDIT, PeriodicReset, RateKind, RateLimit, RateUnit, UsageKind, UsageLimit,
};

use super::{
    error::ConfigError,
    raw::{RawRateLimit, RawUsageLimit},
};

/// The most rate limits of one key: more are a mistake, and each is looked at in every call.
const MOST_RATES: usize = 16;
/// The longest period in days.
const LONGEST_PERIOD: u16 = 365;

const RATE_KINDS: [(&str, RateKind); 2] = [
    ("requests", RateKind::Requests),
    ("tokens", RateKind::Tokens),
];
const RATE_UNITS: [(&str, RateUnit); 5] = [
    ("rps", RateUnit::Rps),
    ("rpm", RateUnit::Rpm),
    ("rph", RateUnit::Rph),
    ("rpd", RateUnit::Rpd),
    ("rpw", RateUnit::Rpw),
];
const USAGE_KINDS: [(&str, UsageKind); 2] =
    [("cost", UsageKind::Cost), ("tokens", UsageKind::Tokens)];
const RESETS: [(&str, PeriodicReset); 2] = [
    ("monthly", PeriodicReset::Monthly),
    ("weekly", PeriodicReset::Weekly),
];

/// The limits of one key as they stand in the configuration.
pub(super) struct RawAllowance<'a> {
    pub(super) rate_limits: &'a [RawRateLimit],
    pub(super) usage_limits: Option<&'a RawUsageLimit>,
    pub(super) concurrency: Option<u32>,
}

/// `at` says where an option stands.
pub(super) fn check(
    raw: &RawAllowance<'_>,
    at: &dyn Fn(&str) -> String,
) -> Result<Allowance, ConfigError> {
    if raw.rate_limits.len() > MOST_RATES {
        let option = at("rate_limits");
        return Err(ConfigError::new(format!(
            "`{option}`: at most {MOST_RATES}"
        )));
    }
    let mut rate_limits = Vec::new();
    for (index, raw) in raw.rate_limits.iter().enumerate() {
        let at = at(&format!("rate_limits.{index}"));
        rate_limits.push(rate(raw, &|option| format!("{at}.{option}"))?);
    }
    let usage_at = at("usage_limits");
    let usage = |raw| usage(raw, &|option| format!("{usage_at}.{option}"));
    if raw.concurrency == Some(0) {
        return Err(ConfigError::at_least_one(&at("concurrency")));
    }
    Ok(Allowance {
        rate_limits,
        usage_limits: raw.usage_limits.map(usage).transpose()?,
        concurrency: raw.concurrency,
    })
}

fn rate(raw: &RawRateLimit, at: &dyn Fn(&str) -> String) -> Result<RateLimit, ConfigError> {
    let kind = named(raw.r#type.as_deref(), &RATE_KINDS, &at("type"))?;
    let unit = named(raw.unit.as_deref(), &RATE_UNITS, &at("unit"))?;
    match raw.value {
        Some(0) => Err(ConfigError::at_least_one(&at("value"))),
        Some(value) => Ok(RateLimit { kind, unit, value }),
        None => Err(ConfigError::missing(&at("value"))),
    }
}

fn usage(raw: &RawUsageLimit, at: &dyn Fn(&str) -> String) -> Result<UsageLimit, ConfigError> {
    let kind = named(raw.r#type.as_deref(), &USAGE_KINDS, &at("type"))?;
    let Some(credit_limit) = raw.credit_limit else {
        return Err(ConfigError::missing(&at("credit_limit")));
    };
    if !credit_limit.is_finite() || credit_limit < LEAST_CREDIT {
        let option = at("credit_limit");
        return Err(ConfigError::new(format!(
            "`{option}` has to be a number of at least {LEAST_CREDIT}"
        )));
    }
    let alert = raw.alert_threshold;
    if alert.is_some_and(|alert| !(alert > 0.0 && alert <= credit_limit)) {
        return Err(ConfigError::new(format!(
            "`{}` has to be more than 0 and at most the credit limit",
            at("alert_threshold")
        )));
    }
    let reset = raw.periodic_reset.as_deref();
    let reset = reset.map(|name| named(Some(name), &RESETS, &at("periodic_reset")));
    let days = raw.periodic_reset_days;
    if reset.is_some() && days.is_some() {
        return Err(ConfigError::new(format!(
            "`{}` and `{}` are both set: one of them is enough",
            at("periodic_reset"),
            at("periodic_reset_days")
        )));
    }
    if days.is_some_and(|days| !(1..=LONGEST_PERIOD).contains(&days)) {
        return Err(ConfigError::new(format!(
            "`{}` has to be 1 to {LONGEST_PERIOD}",
            at("periodic_reset_days")
        )));
    }
    Ok(UsageLimit {
        kind,
        credit_limit,
        alert_threshold: alert,
        periodic_reset: reset.transpose()?,
        periodic_reset_days: days,
    })
}

fn named<T: Copy>(name: Option<&str>, known: &[(&str, T)], option: &str) -> Result<T, ConfigError> {
    let name = name.ok_or_else(|| ConfigError::missing(option))?;
    let found = known.iter().find(|(known, _)| *known == name);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let known: Vec<_> = known.iter().map(|(known, _)| *known).collect();
        ConfigError::unknown_value(option, name, &known)
    })
}

/// A rate limit as the command line takes it: `requests:rpm:60`.
pub(crate) fn rate_of_text(text: &str) -> Result<RateLimit, ConfigError> {
    let parts: Vec<_> = text.split(':').collect();
    let [kind, unit, value] = parts[..] else {
        return Err(ConfigError::new("`--rate-limit`: not TYPE:UNIT:VALUE")
            .help("for example requests:rpm:60 or tokens:rpd:100000"));
    };
    let value = value.parse().map_err(|_| {
        ConfigError::new("`--rate-limit.value`: expected a whole number, got something else")
    })?;
    let raw = RawRateLimit {
        r#type: Some(kind.to_owned()),
        unit: Some(unit.to_owned()),
        value: Some(value),
    };
    rate(&raw, &|option| format!("--rate-limit.{option}"))
}

/// A budget as the command line takes it: `cost:10`, `cost:10:monthly`, `tokens:1000000:30` (days).
pub(crate) fn budget_of_text(text: &str) -> Result<UsageLimit, ConfigError> {
    let parts: Vec<_> = text.split(':').collect();
    let (kind, limit, reset) = match parts[..] {
        [kind, limit] => (kind, limit, None),
        [kind, limit, reset] => (kind, limit, Some(reset)),
        _ => {
            return Err(
                ConfigError::new("`--budget`: not TYPE:LIMIT or TYPE:LIMIT:RESET")
                    .help("for example cost:10:monthly (US dollars) or tokens:1000000:30 (days)"),
            );
        }
    };
    let credit_limit = limit.parse().map_err(|_| {
        ConfigError::new("`--budget.credit_limit`: expected a number, got something else")
    })?;
    let days = reset.and_then(|reset| reset.parse().ok());
    let raw = RawUsageLimit {
        r#type: Some(kind.to_owned()),
        credit_limit: Some(credit_limit),
        alert_threshold: None,
        periodic_reset: reset.filter(|_| days.is_none()).map(str::to_owned),
        periodic_reset_days: days,
    };
    usage(&raw, &|option| format!("--budget.{option}"))
}

/// Limits in a few words: `60 requests/rpm, $10 monthly, 4 at once`; `-` for none.
pub(crate) fn words(allowance: &Allowance) -> String {
    let name = |known: Option<&str>| known.unwrap_or("?").to_owned();
    let mut words = Vec::new();
    for limit in &allowance.rate_limits {
        let kind = name(name_of(&RATE_KINDS, limit.kind));
        let unit = name(name_of(&RATE_UNITS, limit.unit));
        words.push(format!("{} {kind} {unit}", limit.value));
    }
    if let Some(limit) = &allowance.usage_limits {
        let most = match limit.kind {
            UsageKind::Cost => format!("${}", limit.credit_limit),
            UsageKind::Tokens => format!("{} tokens", limit.credit_limit),
        };
        let reset = match (limit.periodic_reset, limit.periodic_reset_days) {
            (Some(reset), _) => name(name_of(&RESETS, reset)),
            (None, Some(days)) => format!("every {days} days"),
            (None, None) => "in all".to_owned(),
        };
        words.push(format!("{most} {reset}"));
    }
    if let Some(most) = allowance.concurrency {
        words.push(format!("{most} at once"));
    }
    if words.is_empty() {
        "-".to_owned()
    } else {
        words.join(", ")
    }
}

fn name_of<T: Copy + PartialEq>(known: &[(&'static str, T)], value: T) -> Option<&'static str> {
    let found = known.iter().find(|(_, known)| *known == value);
    found.map(|(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_takes_limits_in_one_word() {
        let allowance = Allowance {
            rate_limits: vec![
                rate_of_text("requests:rpm:60").unwrap(),
                rate_of_text("tokens:rpd:100000").unwrap(),
            ],
            usage_limits: Some(budget_of_text("cost:2.5:monthly").unwrap()),
            concurrency: Some(4),
        };
        let text = "60 requests rpm, 100000 tokens rpd, $2.5 monthly, 4 at once";
        assert_eq!(words(&allowance), text);
        for (budget, text) in [
            ("tokens:1000000:30", "1000000 tokens every 30 days"),
            ("cost:10", "$10 in all"),
            ("cost:10:weekly", "$10 weekly"),
        ] {
            let allowance = Allowance {
                usage_limits: Some(budget_of_text(budget).unwrap()),
                ..Allowance::default()
            };
            assert_eq!(words(&allowance), text);
        }
        assert_eq!(words(&Allowance::default()), "-");
    }

    #[test]
    fn words_that_are_no_limit_are_refused_with_the_part_that_is_wrong() {
        for (text, told) in [
            ("requests:rpm", "not TYPE:UNIT:VALUE"),
            ("requests:rpm:60:1", "not TYPE:UNIT:VALUE"),
            (
                "calls:rpm:60",
                "`--rate-limit.type`: unknown value \"calls\"",
            ),
            ("requests:minute:60", "`--rate-limit.unit`"),
            (
                "requests:rpm:0",
                "`--rate-limit.value` has to be at least 1",
            ),
            ("requests:rpm:-1", "`--rate-limit.value`: expected"),
        ] {
            let error = rate_of_text(text).unwrap_err().message;
            assert!(error.contains(told), "{text}: {error}");
        }
        for (text, told) in [
            ("cost", "not TYPE:LIMIT"),
            ("cost:1:2:3", "not TYPE:LIMIT"),
            ("money:1", "`--budget.type`"),
            ("cost:much", "`--budget.credit_limit`: expected a number"),
            ("cost:0", "a number of at least 0.000000001"),
            ("cost:0.0000000009", "at least 0.000000001"),
            ("cost:NaN", "at least"),
            ("cost:inf", "at least"),
            ("cost:1:daily", "`--budget.periodic_reset`"),
            ("cost:1:366", "has to be 1 to 365"),
            ("cost:1:0", "has to be 1 to 365"),
        ] {
            let error = budget_of_text(text).unwrap_err().message;
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
