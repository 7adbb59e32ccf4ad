//! How files are made searchable.

use std::{path::PathBuf, time::Duration};

use loomgate_extract::{Confinement, Limits};

use super::{ConfigError, raw::RawIndexing};

/// What the config says of indexing.
#[derive(Debug, Clone)]
pub struct Indexing {
    /// Files that are worked on at the same time.
    pub concurrency: usize,
    /// The most tokens of a file.
    pub tokens: usize,
    /// What a document may hold.
    pub limits: Limits,
    /// What the process that reads one may use.
    pub confinement: Confinement,
    /// The program that reads documents when it is called with
    /// [`READER`](crate::documents::READER); none: this one.
    pub reader: Option<PathBuf>,
}

impl Indexing {
    pub(super) fn check(raw: &RawIndexing, file_bytes: u64) -> Result<Self, ConfigError> {
        let at_least_one = |option: &str, value: Option<u64>, default: u64| match value {
            Some(0) => Err(ConfigError::at_least_one(option)),
            value => Ok(value.unwrap_or(default)),
        };
        let count = |value: u64| usize::try_from(value).unwrap_or(usize::MAX);
        let concurrency = count(at_least_one("indexing.concurrency", raw.concurrency, 2)?);
        let confinement = Confinement::default();
        let memory_mb = confinement.memory_bytes >> 20;
        let (cpu_s, time_s) = (confinement.cpu_seconds, confinement.wall_clock.as_secs());
        Ok(Self {
            concurrency,
            tokens: count(at_least_one("indexing.tokens", raw.tokens, 2_000_000)?),
            limits: Limits {
                input_bytes: file_bytes,
                ..Limits::default()
            },
            confinement: Confinement {
                memory_bytes: at_least_one("indexing.memory_mb", raw.memory_mb, memory_mb)? << 20,
                cpu_seconds: at_least_one("indexing.cpu_s", raw.cpu_s, cpu_s)?,
                wall_clock: Duration::from_secs(at_least_one(
                    "indexing.time_s",
                    raw.time_s,
                    time_s,
                )?),
                at_once: concurrency,
            },
            reader: None,
        })
    }
}
