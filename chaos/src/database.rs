//! What servers have written, read without their code: from the file of the embedded database, or
//! from a PostgreSQL.

mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf};

use anyhow::Context as _;
use serde_json::Value;

/// Where servers keep their records.
#[derive(Debug, Clone)]
pub(crate) enum Records {
    /// The folder (`data_dir`) of an embedded database.
    Sqlite(PathBuf),
    /// The URL of a PostgreSQL, without TLS; of a superuser, for [`Database::faults`].
    Postgres(String),
}

/// A database that is looked at.
pub(crate) enum Database {
    Sqlite(sqlite::File),
    Postgres(postgres::Session),
}

/// A row of a result, each value as a text; none: null.
pub(crate) type Row = Vec<Option<String>>;

/// A run that has not ended.
#[derive(Debug, Clone, Default)]
pub(crate) struct Active {
    /// Of its question.
    pub(crate) number: u32,
    pub(crate) status: String,
    /// The worker that has it.
    pub(crate) owner: Option<String>,
    /// A worker had it before.
    pub(crate) was_begun: bool,
    /// Its stream is kept.
    pub(crate) is_streamed: bool,
}

impl Database {
    /// Looking at an embedded database leaves it as it is, so its server has to be gone; a
    /// PostgreSQL may have servers.
    pub(crate) async fn open(records: &Records) -> anyhow::Result<Self> {
        Ok(match records {
            Records::Sqlite(data) => Self::Sqlite(sqlite::File::open(data)?),
            Records::Postgres(url) => Self::Postgres(postgres::Session::open(url).await?),
        })
    }

    /// What a statement finds. It has to be one that both engines understand, if it is for both.
    pub(crate) async fn rows(&self, sql: &str) -> anyhow::Result<Vec<Row>> {
        match self {
            Self::Sqlite(file) => file.rows(sql),
            Self::Postgres(session) => session.rows(sql).await,
        }
    }

    /// What the engine itself finds wrong with what it keeps.
    pub(crate) async fn faults(&self) -> anyhow::Result<Vec<String>> {
        match self {
            Self::Sqlite(file) => file.faults(),
            Self::Postgres(session) => session.faults().await,
        }
    }

    /// Threads with more than one active run.
    pub(crate) async fn locked_twice(&self) -> anyhow::Result<Vec<String>> {
        self.texts(
            "SELECT thread_id FROM runs WHERE expires_at IS NOT NULL \
             OR status IN ('in_progress', 'requires_action') \
             GROUP BY workspace_id, thread_id HAVING COUNT(*) > 1",
        )
        .await
    }

    /// Runs whose status and whose lock say different things, and what waits for a thread that nobody
    /// locks. A run that was cancelled while it waited locks none.
    pub(crate) async fn locked_wrongly(&self) -> anyhow::Result<Vec<String>> {
        self.texts(
            "SELECT id FROM runs WHERE CASE \
             WHEN status IN ('in_progress', 'requires_action') THEN expires_at IS NULL \
             WHEN status = 'queued' THEN (expires_at IS NULL) <> EXISTS (SELECT 1 FROM waiting \
             WHERE waiting.workspace_id = runs.workspace_id AND waiting.id = runs.id) \
             WHEN status = 'cancelling' \
             THEN expires_at IS NULL AND state NOT LIKE '%\"started_at\":null%' \
             ELSE expires_at IS NOT NULL END \
             UNION ALL SELECT id FROM waiting WHERE NOT EXISTS (SELECT 1 FROM runs \
             WHERE runs.workspace_id = waiting.workspace_id \
             AND runs.thread_id = waiting.thread_id AND runs.expires_at IS NOT NULL)",
        )
        .await
    }

    /// Files that are found in a vector store, but not with all their chunks.
    pub(crate) async fn half_searchable(&self) -> anyhow::Result<Vec<String>> {
        self.texts(
            "SELECT file_id FROM vector_store_files WHERE shown IS NOT NULL AND shown_chunks <> \
             (SELECT COUNT(*) FROM chunks WHERE chunks.entry = vector_store_files.seq \
             AND chunks.generation = vector_store_files.shown)",
        )
        .await
    }

    /// Files that are said to have vectors of a model, and whose chunks have not all one.
    pub(crate) async fn half_embedded(&self) -> anyhow::Result<Vec<String>> {
        self.texts(
            "SELECT file_id FROM vector_store_files WHERE embedding IS NOT NULL AND shown IS NOT NULL \
             AND shown_chunks <> (SELECT COUNT(*) FROM chunks \
             JOIN chunk_vectors ON chunk_vectors.seq = chunks.seq \
             WHERE chunks.entry = vector_store_files.seq \
             AND chunks.generation = vector_store_files.shown)",
        )
        .await
    }

    /// Vector stores whose counts are not those of their files.
    pub(crate) async fn counted_wrongly(&self) -> anyhow::Result<Vec<String>> {
        let count = |status| {
            format!(
                "vector_stores.{status} <> (SELECT COUNT(*) FROM vector_store_files WHERE \
                 vector_store_files.workspace_id = vector_stores.workspace_id AND \
                 vector_store_files.store_id = vector_stores.id AND status = '{status}')"
            )
        };
        let differs = ["in_progress", "completed", "failed", "cancelled"].map(count);
        let differs = differs.join(" OR ");
        let stores =
            format!("SELECT id FROM vector_stores WHERE deleted_at IS NULL AND ({differs})");
        self.texts(&stores).await
    }

    /// The runs that have not ended.
    pub(crate) async fn active(&self) -> anyhow::Result<Vec<Active>> {
        let rows = self.rows(
            "SELECT metadata, status, CASE WHEN lease_until > 0 THEN lease_owner END, attempt, \
             CASE WHEN journal IS NULL THEN 0 ELSE 1 END FROM runs WHERE expires_at IS NOT NULL",
        );
        let active = rows.await?.into_iter().map(|row| {
            let [metadata, status, owner, attempt, is_streamed] = columns(row)?;
            let metadata: Value = serde_json::from_str(&metadata.unwrap_or_default())?;
            let name = metadata["name"].as_str().unwrap_or_default();
            let number = name.split('-').next().unwrap_or_default();
            Ok(Active {
                number: number.parse().unwrap_or(0),
                status: status.unwrap_or_default(),
                owner,
                was_begun: attempt.as_deref() != Some("0"),
                is_streamed: is_streamed.as_deref() == Some("1"),
            })
        });
        active.collect()
    }

    /// The tokens that each API key of the configuration has used, by its name.
    pub(crate) async fn used(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let rows = self.rows(
            "SELECT replace(subject, 'key:key_config_', ''), SUM(amount) FROM counters \
             WHERE meter = 'budget:tokens' AND subject LIKE 'key:%' GROUP BY 1",
        );
        let used = rows.await?.into_iter().map(|row| {
            let [name, amount] = columns(row)?;
            Ok((
                name.unwrap_or_default(),
                amount.unwrap_or_default().parse()?,
            ))
        });
        used.collect()
    }

    /// The first column of what a statement finds.
    async fn texts(&self, sql: &str) -> anyhow::Result<Vec<String>> {
        let rows = self.rows(sql).await?.into_iter();
        Ok(rows.filter_map(|row| row.into_iter().next()?).collect())
    }
}

/// The columns of a row of which there are so many.
pub(crate) fn columns<const N: usize>(row: Row) -> anyhow::Result<[Option<String>; N]> {
    row.try_into().ok().context("another number of columns")
}
