//! The extension `vector` (pgvector), which a database has or has not, and the table of vectors as it
//! knows them, which stands beside those of the migrations (`chunks/embeddings.rs` fills it).
//!
//! Invariant: nothing fails because the extension or its table went away: jobs are run again without.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use tokio_postgres::{Client, error::SqlState};

use super::{
    Session, Target, fault,
    migrate::{LOCK, SETUP},
};
use crate::Error;

/// The table; what names it, is about it.
const TABLE: &str = "chunk_embeddings";

/// Where the extension is, and whether its type, the table as it should be, and a right to it are at hand.
/// `DROP EXTENSION .. CASCADE` takes a column from the table and leaves the rest.
const LOOK: &str = "SELECT extnamespace::regnamespace::text, to_regtype('vector') IS NOT NULL, \
    EXISTS (SELECT FROM pg_attribute WHERE attrelid = to_regclass('chunk_embeddings') \
    AND attname = 'embedding' AND atttypid = to_regtype('vector')), \
    COALESCE(has_table_privilege(to_regclass('chunk_embeddings')::oid, 'SELECT') \
    AND has_table_privilege(to_regclass('chunk_embeddings')::oid, 'INSERT') \
    AND has_table_privilege(to_regclass('chunk_embeddings')::oid, 'UPDATE'), FALSE) \
    FROM pg_extension WHERE extname = 'vector'";

/// Vectors stay in their row as long as it fits a page: from there they are read several times as fast.
const CREATE: &str = "DROP TABLE IF EXISTS chunk_embeddings;
    CREATE TABLE chunk_embeddings (
        seq BIGINT PRIMARY KEY REFERENCES chunks (seq) ON DELETE CASCADE,
        -- Of that in chunk_vectors which this one is of.
        digest BYTEA,
        dimensions INTEGER NOT NULL,
        -- Made 1 long.
        embedding vector NOT NULL
    );
    ALTER TABLE chunk_embeddings ALTER COLUMN embedding SET STORAGE MAIN";

/// Whether a process uses the extension. Once it does not, it never does again.
#[derive(Debug, Default)]
pub(crate) struct Pgvector(AtomicBool);

impl Pgvector {
    /// Whether vectors are kept in its table and looked for there.
    pub(crate) fn is_used(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Whether an error of a statement means that the extension is of no use any more, and the job may
    /// be run again without.
    pub(super) fn is_lost(&self, sql: &str, error: &tokio_postgres::Error) -> bool {
        let is_about_it = error.code().is_some_and(refuses) && sql.contains(TABLE);
        if is_about_it && self.0.swap(false, Ordering::Relaxed) {
            tracing::warn!(
                error = fault::text(error),
                "pgvector is not used any more until the next start: vectors are read page by page",
            );
        }
        is_about_it
    }
}

/// There is no such table, type, operator or right; the library of the extension is missing or fails;
/// it takes no such vector.
fn refuses(code: &SqlState) -> bool {
    ["42", "58", "XX", "0A", "22"]
        .iter()
        .any(|class| code.code().starts_with(class))
}

/// Uses the extension from now on, if the database has it; makes its table, where that is missing.
///
/// Errors: [`Error::Connect`]. What the database refuses is told in the log: it does without.
pub(crate) fn look_for(target: &Arc<Target>) -> Result<(), Error> {
    let looked = Arc::clone(target);
    // Not on this thread, which may belong to a runtime.
    let work = thread::Builder::new().name("store-pgvector".to_owned());
    let work = work.spawn(move || {
        let session = Session::open(&looked, SETUP, Some(looked.patience()))?;
        let found = session.run(async |client| found(client).await);
        session.close();
        Ok::<_, Error>(found)
    })?;
    let ended = work.join();
    let ended = ended.unwrap_or(Err(Error::Unavailable("looking for pgvector panicked")));
    match ended? {
        Ok(is_there) => target.pgvector.0.store(is_there, Ordering::Relaxed),
        Err(error) => {
            tracing::warn!(
                error = fault::text(&error),
                "pgvector is not used: the database refuses it, or its table; `loomgate migrate` makes \
                 that, as the owner of the others",
            );
        }
    }
    Ok(())
}

/// What there is.
struct Found {
    schema: String,
    is_visible: bool,
    is_made: bool,
    may_use: bool,
}

async fn found(client: &Client) -> Result<bool, tokio_postgres::Error> {
    let Some(mut found) = look(client).await? else {
        return Ok(false);
    };
    if !found.is_visible {
        tracing::warn!(
            schema = found.schema,
            "pgvector is not used: its schema is not in the search_path of this user",
        );
        return Ok(false);
    }
    if !found.is_made {
        // Should any of it fail, the connection ends, and the transaction with it.
        client.batch_execute(&format!("BEGIN; {LOCK}")).await?;
        if look(client).await?.is_some_and(|found| !found.is_made) {
            client.batch_execute(CREATE).await?;
        }
        client.batch_execute("COMMIT").await?;
        match look(client).await? {
            Some(made) => found = made,
            None => return Ok(false),
        }
    }
    if !found.may_use {
        tracing::warn!(
            table = TABLE,
            "pgvector is not used: this user has no right to its table",
        );
    }
    Ok(found.may_use)
}

/// `None`: there is no extension.
async fn look(client: &Client) -> Result<Option<Found>, tokio_postgres::Error> {
    let Some(row) = client.query_opt(LOOK, &[]).await? else {
        return Ok(None);
    };
    Ok(Some(Found {
        schema: row.try_get(0)?,
        is_visible: row.try_get(1)?,
        is_made: row.try_get(2)?,
        may_use: row.try_get(3)?,
    }))
}
