//! Which records of a workspace are meant.

use std::collections::BTreeMap;

use loomgate_domain::{
    ApiKeyId, LogId, RunId, ThreadId, WorkspaceId,
    log::{RecordKind, log_id_prefix},
};

use super::{all_ids, row::kind_name};
use crate::{
    Error,
    tx::{Value, from_json, values},
};

/// The condition of a [`LogFilter`]; parameters as in [`LogFilter::values`]. What is not asked for
/// is null. The casts tell PostgreSQL what is compared; SQLite evaluates them once.
macro_rules! filter {
    () => {
        "workspace_id = $1 AND id > $2 AND id < $3 \
         AND (CAST($4 AS TEXT) IS NULL OR api_key = $4) \
         AND (CAST($5 AS TEXT) IS NULL OR virtual_key = $5) \
         AND (CAST($6 AS TEXT) IS NULL OR config = $6) \
         AND (CAST($7 AS TEXT) IS NULL OR provider = $7) \
         AND (CAST($8 AS TEXT) IS NULL OR model = $8 OR served_model = $8) \
         AND status >= $9 AND status <= $10 AND failed >= $11 \
         AND (CAST($12 AS TEXT) IS NULL OR trace_id = $12) \
         AND (CAST($13 AS TEXT) IS NULL OR run_id = $13) \
         AND (CAST($14 AS TEXT) IS NULL OR thread_id = $14) \
         AND (CAST($15 AS TEXT) IS NULL OR cache = $15) \
         AND (CAST($16 AS TEXT) IS NULL OR kind = $16)"
    };
}
pub(super) use filter;

/// What to look for. All that is said has to be true of a record; the default says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogFilter {
    /// It began then or later; milliseconds.
    pub from_ms: Option<i64>,
    /// It began earlier; milliseconds.
    pub to_ms: Option<i64>,
    /// What it is about.
    pub kind: Option<RecordKind>,
    /// Who called.
    pub api_key: Option<ApiKeyId>,
    /// The virtual key that served.
    pub virtual_key: Option<String>,
    /// The slug of the config.
    pub config: Option<String>,
    /// Who served.
    pub provider: Option<String>,
    /// The model, as the caller or as the provider named it.
    pub model: Option<String>,
    /// The lowest status.
    pub status_min: Option<u16>,
    /// The highest status.
    pub status_max: Option<u16>,
    /// The trace.
    pub trace_id: Option<String>,
    /// The run.
    pub run: Option<RunId>,
    /// The thread.
    pub thread: Option<ThreadId>,
    /// A pair among the caller's.
    pub metadata: Option<(String, String)>,
    /// Whether only those count that failed.
    pub errors_only: bool,
    /// `HIT`, `MISS`, `REFRESH`, `DISABLED`
    pub cache: Option<String>,
}

/// A stretch of ids, without its ends.
#[derive(Debug)]
pub(super) struct Window {
    low: String,
    high: String,
}

impl Window {
    /// Leaves out what is not between two ids.
    pub(super) fn narrow(&mut self, low: Option<&LogId>, high: Option<&LogId>) {
        if let Some(low) = low.filter(|low| low.as_str() > &*self.low) {
            self.low = low.to_string();
        }
        if let Some(high) = high.filter(|high| high.as_str() < &*self.high) {
            self.high = high.to_string();
        }
    }
}

impl LogFilter {
    /// The ids of the span of time. An id is longer than the prefix that stands for its time, and
    /// so lies behind it.
    pub(super) fn window(&self) -> Window {
        let (low, high) = all_ids();
        Window {
            low: self.from_ms.map_or(low, log_id_prefix),
            high: self.to_ms.map_or(high, log_id_prefix),
        }
    }

    /// The same filter, of a span of time that lies within its own.
    pub(super) fn within(mut self, from_ms: i64, to_ms: i64) -> Self {
        self.from_ms = Some(self.from_ms.map_or(from_ms, |own| own.max(from_ms)));
        self.to_ms = Some(self.to_ms.map_or(to_ms, |own| own.min(to_ms)));
        self
    }

    pub(super) fn values<'v>(&'v self, ws: &'v WorkspaceId, window: &'v Window) -> Vec<Value<'v>> {
        let values: &[Value<'v>] = values![
            ws,
            &window.low,
            &window.high,
            self.api_key.as_ref(),
            self.virtual_key.as_ref(),
            self.config.as_ref(),
            self.provider.as_ref(),
            self.model.as_ref(),
            i64::from(self.status_min.unwrap_or(u16::MIN)),
            i64::from(self.status_max.unwrap_or(u16::MAX)),
            i64::from(self.errors_only),
            self.trace_id.as_ref(),
            self.run.as_ref(),
            self.thread.as_ref(),
            self.cache.as_ref(),
            self.kind.map(kind_name),
        ];
        values.to_vec()
    }

    /// Whether a record's metadata is that of the filter: the one thing that SQL does not check,
    /// since the two engines read JSON in different words.
    pub(super) fn matches(&self, metadata: &str) -> Result<bool, Error> {
        let Some((key, value)) = &self.metadata else {
            return Ok(true);
        };
        let pairs: BTreeMap<String, String> = from_json(metadata)?;
        Ok(pairs.get(key) == Some(value))
    }
}
