//! How providers are called, and what is recorded of it.

use std::{collections::BTreeSet, time::Duration};

use loomgate_gateway::{AttemptPolicy, egress::Exceptions, preset::preset, price::PriceEntry};

use super::{
    ConfigError, GatewayConfig, Logs, Recording,
    raw::{RawEgress, RawGateway, RawLogs},
};

const MEBIBYTE: u64 = 1024 * 1024;
const KIBIBYTE: usize = 1024;
const DAY_S: u64 = 24 * 60 * 60;
/// The most retries: pauses double, and beyond that a call has been given up for long.
const MOST_RETRIES: u32 = 10;
/// The most KiB of a body in a log record: what a record may hold in memory while it waits.
const MOST_BODY_KB: u32 = 1024;
/// The longest that records are kept: a hundred years.
const MOST_DAYS: u32 = 36_500;
/// The most records that wait to be written.
const MOST_QUEUED: usize = 1_000_000;

pub(super) fn check(
    raw: &RawGateway,
    egress: &RawEgress,
    prices: Vec<PriceEntry>,
) -> Result<GatewayConfig, ConfigError> {
    let default = AttemptPolicy::default();
    let retries = raw.retries.unwrap_or(default.retries);
    if retries > MOST_RETRIES {
        return Err(at_most("gateway.retries", MOST_RETRIES));
    }
    let connect_s = raw.connect_s.unwrap_or(10);
    if connect_s == 0 {
        return Err(ConfigError::at_least_one("gateway.connect_s"));
    }
    let exceptions = Exceptions::parse(&egress.allow)
        .map_err(|error| ConfigError::new(format!("`egress.allow`: {error}")))?;
    Ok(GatewayConfig {
        attempts: AttemptPolicy { retries, ..default },
        connect_timeout: Duration::from_secs(connect_s),
        exceptions,
        cache_bytes: u64::from(raw.cache_mb.unwrap_or(64)) * MEBIBYTE,
        prices: priced(prices)?,
    })
}

/// Providers under the names that calls are counted by.
fn priced(mut prices: Vec<PriceEntry>) -> Result<Vec<PriceEntry>, ConfigError> {
    let mut seen = BTreeSet::new();
    for (index, entry) in prices.iter_mut().enumerate() {
        let wrong = |text: String| ConfigError::new(format!("`prices.{index}`: {text}"));
        entry.check().map_err(wrong)?;
        if let Some(preset) = preset(&entry.provider) {
            preset.name.clone_into(&mut entry.provider);
        }
        if !seen.insert((entry.provider.clone(), entry.model.clone())) {
            let PriceEntry {
                provider, model, ..
            } = entry;
            return Err(wrong(format!("{provider}/{model} has a price already")));
        }
    }
    Ok(prices)
}

pub(super) fn logs(raw: &RawLogs) -> Result<Logs, ConfigError> {
    let record = match raw.record.as_deref() {
        None | Some("all") => Recording::All,
        Some("relayed") => Recording::Relayed,
        Some("off") => Recording::Off,
        Some(other) => {
            let known = ["all", "relayed", "off"];
            return Err(ConfigError::unknown_value("logs.record", other, &known));
        }
    };
    let body_kb = between("logs.body_kb", raw.body_kb, 16, MOST_BODY_KB)?;
    let days = between("logs.retention_days", raw.retention_days, 30, MOST_DAYS)?;
    let queue = raw.queue.unwrap_or(10_000);
    if queue == 0 {
        return Err(ConfigError::at_least_one("logs.queue"));
    }
    if queue > MOST_QUEUED {
        return Err(at_most("logs.queue", MOST_QUEUED));
    }
    Ok(Logs {
        record,
        bodies: raw.bodies.unwrap_or(false),
        body_bytes: usize::try_from(body_kb).unwrap_or(usize::MAX / KIBIBYTE) * KIBIBYTE,
        retention: Duration::from_secs(u64::from(days) * DAY_S),
        queue,
    })
}

fn between(option: &str, value: Option<u32>, default: u32, most: u32) -> Result<u32, ConfigError> {
    match value.unwrap_or(default) {
        0 => Err(ConfigError::at_least_one(option)),
        value if value > most => Err(at_most(option, most)),
        value => Ok(value),
    }
}

fn at_most(option: &str, most: impl std::fmt::Display) -> ConfigError {
    ConfigError::new(format!("`{option}` has to be at most {most}"))
}
