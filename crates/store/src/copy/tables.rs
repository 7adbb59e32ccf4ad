//! What a copy takes along: every table, in an order in which no row refers to one that is not there
//! yet. A test holds this list against the tables that the migrations make.

use serde::{Deserialize, Serialize};

use crate::{
    Error, chunks,
    tx::{Tx, Value},
};

/// A table as a copy sees it.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    /// The columns of its key, which the copy goes along. A text is never empty, an integer never
    /// the lowest of all.
    pub(super) key: &'static [Key],
    /// All columns, those of the key first.
    pub(super) columns: &'static [&'static str],
    /// What follows from rows and is no table that is copied: made with them.
    pub(super) derive: Option<Derive>,
}

/// Makes what follows from rows that were just written.
pub(super) type Derive =
    fn(&mut dyn Tx, &[Vec<Value<'_>>], words_of: fn(&str) -> String) -> Result<(), Error>;

/// What kind of value a column of a key holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Integer,
    Text,
}

/// A part of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Part {
    Integer(i64),
    Text(String),
}

impl Part {
    pub(super) fn value(&self) -> Value<'_> {
        match self {
            Self::Integer(integer) => (*integer).into(),
            Self::Text(text) => text.into(),
        }
    }
}

/// The statements live as long as the process: a copy is the only thing that it does.
impl Table {
    /// Before all rows.
    pub(super) fn start(&self) -> Vec<Part> {
        let before = |key: &Key| match key {
            Key::Integer => Part::Integer(i64::MIN),
            Key::Text => Part::Text(String::new()),
        };
        self.key.iter().map(before).collect()
    }

    /// Where a row stands.
    pub(super) fn place(&self, row: &[Value<'_>]) -> Vec<Part> {
        let parts = row.iter().zip(self.key).map(|(value, _)| match value {
            Value::Integer(integer) => Part::Integer(*integer),
            Value::Text(text) => Part::Text(text.clone().into_owned()),
            // Keys are neither null nor bytes.
            Value::Null | Value::Bytes(_) => Part::Text(String::new()),
        });
        parts.collect()
    }

    /// Rows behind a place; parameters: the parts of its key, and how many.
    pub(super) fn read(&self) -> &'static str {
        let (columns, name) = (self.columns.join(", "), self.name);
        let key = self
            .columns
            .get(..self.key.len())
            .unwrap_or_default()
            .join(", ");
        let count = self.key.len();
        let behind = placeholders(count);
        let most = count + 1;
        let sql = format!(
            "SELECT {columns} FROM {name} WHERE ({key}) > ({behind}) ORDER BY {key} LIMIT ${most}"
        );
        sql.leak()
    }

    /// A new row; parameters: its columns.
    pub(super) fn write(&self) -> &'static str {
        let (columns, name) = (self.columns.join(", "), self.name);
        let values = placeholders(self.columns.len());
        format!("INSERT INTO {name} ({columns}) VALUES ({values})").leak()
    }

    /// How many rows there are.
    pub(super) fn count(&self) -> &'static str {
        format!("SELECT COUNT(*) FROM {}", self.name).leak()
    }

    /// Any row.
    pub(super) fn any(&self) -> &'static str {
        format!("SELECT 1 FROM {} LIMIT 1", self.name).leak()
    }

    /// Lets the numbers of new rows begin behind those that are there, on PostgreSQL.
    pub(super) fn renumber(&self) -> Option<&'static str> {
        let name = self.name;
        let sql = format!(
            "SELECT setval(pg_get_serial_sequence('{name}', 'seq'), MAX(seq)) FROM {name} \
             HAVING MAX(seq) IS NOT NULL"
        );
        // Those of vectors are those of their chunks.
        let is_numbered = self.key == SEQ && name != "chunk_vectors";
        is_numbered.then(|| &*sql.leak())
    }
}

/// `$1, $2, ..`
fn placeholders(count: usize) -> String {
    let all: Vec<_> = (1..=count).map(|n| format!("${n}")).collect();
    all.join(", ")
}

const SEQ: &[Key] = &[Key::Integer];
const TEXT: &[Key] = &[Key::Text];
const TEXTS: &[Key] = &[Key::Text, Key::Text];
/// A receipt, with the records and with the logs.
const RECEIPT: &[&str] = &[
    "workspace_id",
    "idempotency_key",
    "fingerprint",
    "request_id",
    "answer",
    "created_at",
];

const fn table(name: &'static str, key: &'static [Key], columns: &'static [&'static str]) -> Table {
    Table {
        name,
        key,
        columns,
        derive: None,
    }
}

/// The tables of the records.
pub(super) static RECORDS: &[Table] = &[
    table("workspaces", SEQ, &["seq", "id", "name"]),
    table(
        "api_keys",
        SEQ,
        &[
            "seq",
            "id",
            "workspace_id",
            "name",
            "hash",
            "hint",
            "previous_hash",
            "previous_until",
            "settings",
            "created_at",
            "updated_at",
            "revoked_at",
        ],
    ),
    table("assistants", SEQ, &["seq", "workspace_id", "id", "record"]),
    table(
        "threads",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "id",
            "created_at",
            "metadata",
            "tool_resources",
        ],
    ),
    table(
        "messages",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "id",
            "thread_id",
            "run_id",
            "assistant_id",
            "created_at",
            "role",
            "status",
            "state",
            "metadata",
            "attachments",
            "content",
        ],
    ),
    table(
        "runs",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "id",
            "thread_id",
            "assistant_id",
            "created_at",
            "status",
            "expires_at",
            "version",
            "fence",
            "attempt",
            "lease_owner",
            "lease_until",
            "state",
            "usage",
            "metadata",
            "settings",
            "sealed",
            "journal",
            "journal_ended_at",
        ],
    ),
    table(
        "run_events",
        &[Key::Text, Key::Text, Key::Integer, Key::Integer],
        &[
            "workspace_id",
            "run_id",
            "attempt",
            "number",
            "events",
            "ends_leg",
            "metadata",
            "body",
            "created_at",
        ],
    ),
    table("receipts", TEXTS, RECEIPT),
    table("marks", TEXT, &["name", "mark"]),
    table(
        "waiting",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "id",
            "thread_id",
            "message",
            "expires_at",
        ],
    ),
    table(
        "steps",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "id",
            "thread_id",
            "run_id",
            "assistant_id",
            "created_at",
            "expires_at",
            "status",
            "state",
            "usage",
            "details",
        ],
    ),
    table(
        "virtual_keys",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "slug",
            "name",
            "provider",
            "sealed_key",
            "masked_key",
            "settings",
            "created_at",
            "updated_at",
        ],
    ),
    table(
        "configs",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "slug",
            "name",
            "version_id",
            "created_at",
            "updated_at",
        ],
    ),
    table(
        "config_versions",
        SEQ,
        &["seq", "workspace_id", "slug", "id", "config", "created_at"],
    ),
    table(
        "counters",
        &[Key::Text, Key::Text, Key::Integer],
        &["subject", "meter", "start", "amount"],
    ),
    table(
        "open_runs",
        &[Key::Text, Key::Text, Key::Text],
        &["workspace_id", "account", "run_id", "until"],
    ),
    table("affinity", TEXTS, &["workspace_id", "object_id", "target"]),
    table(
        "files",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "id",
            "created_at",
            "filename",
            "purpose",
            "bytes",
            "expires_at",
            "status",
        ],
    ),
    table(
        "blobs",
        TEXTS,
        &["workspace_id", "id", "state", "hash", "bytes", "due_at"],
    ),
    table(
        "file_blobs",
        &[Key::Text, Key::Text, Key::Integer],
        &["workspace_id", "file_id", "number", "blob_id"],
    ),
    table(
        "file_users",
        &[Key::Text, Key::Text, Key::Text],
        &["workspace_id", "file_id", "user_id"],
    ),
    table(
        "uploads",
        TEXTS,
        &[
            "workspace_id",
            "id",
            "created_at",
            "expires_at",
            "filename",
            "purpose",
            "mime_type",
            "bytes",
            "file_expires_after",
            "status",
            "file_id",
            "completion",
        ],
    ),
    table(
        "upload_parts",
        &[Key::Text, Key::Text, Key::Text],
        &[
            "workspace_id",
            "upload_id",
            "id",
            "created_at",
            "blob_id",
            "bytes",
        ],
    ),
    table("leases", TEXT, &["name", "lease_until"]),
    table(
        "vector_stores",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "id",
            "created_at",
            "name",
            "description",
            "metadata",
            "expires_after_days",
            "last_active_at",
            "in_progress",
            "completed",
            "failed",
            "cancelled",
            "usage_bytes",
            "chunks",
            "deleted_at",
            "version",
        ],
    ),
    table(
        "vector_store_batches",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "id",
            "store_id",
            "created_at",
            "is_cancelled",
            "in_progress",
            "completed",
            "failed",
            "cancelled",
        ],
    ),
    table(
        "vector_store_files",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "store_id",
            "file_id",
            "batch_id",
            "created_at",
            "status",
            "error",
            "chunk_tokens",
            "overlap_tokens",
            "attributes",
            "usage_bytes",
            "generation",
            "written",
            "shown",
            "shown_chunks",
            "embedding",
            "fence",
            "attempt",
            "lease_owner",
            "lease_until",
        ],
    ),
    table(
        "chunk_garbage",
        &[Key::Text, Key::Integer, Key::Integer],
        &["workspace_id", "entry", "generation"],
    ),
    Table {
        derive: Some(chunks::index_copied),
        ..table(
            "chunks",
            SEQ,
            &[
                "seq",
                "workspace_id",
                "entry",
                "generation",
                "position",
                "start",
                "tokens",
                "text",
            ],
        )
    },
    Table {
        derive: Some(chunks::keep_copied_embeddings),
        ..table("chunk_vectors", SEQ, &["seq", "vector", "digest"])
    },
];

/// Those of the logs.
pub(super) static LOGS: &[Table] = &[
    table(
        "logs",
        TEXTS,
        &[
            "workspace_id",
            "id",
            "created_at_ms",
            "kind",
            "status",
            "failed",
            "attempts",
            "cache",
            "prompt_tokens",
            "completion_tokens",
            "cached_tokens",
            "reasoning_tokens",
            "cost",
            "total_us",
            "first_byte_us",
            "overhead_us",
            "api_key",
            "virtual_key",
            "config",
            "provider",
            "model",
            "served_model",
            "trace_id",
            "run_id",
            "thread_id",
            "metadata",
            "details",
        ],
    ),
    table(
        "log_bodies",
        TEXTS,
        &["workspace_id", "id", "request_body", "response_body"],
    ),
    table(
        "feedback",
        SEQ,
        &[
            "seq",
            "workspace_id",
            "id",
            "trace_id",
            "created_at",
            "record",
        ],
    ),
    table("log_exports", SEQ, &["seq", "workspace_id", "id", "record"]),
    table("log_receipts", TEXTS, RECEIPT),
];

#[cfg(test)]
mod tests;
