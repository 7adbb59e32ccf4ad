//! What servers leave: objects against their rows, chunks against the files that show
//! them; at once, and when everything that is swept was.

use std::{
    collections::BTreeMap,
    fs::File,
    time::{Duration, UNIX_EPOCH},
};

use anyhow::Context as _;
use tokio::time::timeout;

use super::objects::Objects;
use crate::{
    database::{Database, columns},
    stage::Stage,
};

/// Lets the time of everything that is swept be over.
const AGE: [&str; 4] = [
    "UPDATE uploads SET expires_at = 1 WHERE status = 'pending'",
    "UPDATE blobs SET due_at = 1 WHERE due_at IS NOT NULL",
    "DELETE FROM leases WHERE name = 'unfinished objects'",
    "DELETE FROM leases WHERE name = 'objects without row'",
];
/// What a sweep takes last; and no other server is still at the objects that it took.
const SWEPT: &str = "SELECT name FROM leases WHERE name = 'objects without row' \
     AND NOT EXISTS (SELECT 1 FROM blobs WHERE state <> 'ready')";
const BLOBS: &str = "SELECT workspace_id, id, state, bytes, \
     (SELECT COUNT(*) FROM file_blobs WHERE file_blobs.workspace_id = blobs.workspace_id \
      AND file_blobs.blob_id = blobs.id) + \
     (SELECT COUNT(*) FROM upload_parts WHERE upload_parts.workspace_id = blobs.workspace_id \
      AND upload_parts.blob_id = blobs.id) FROM blobs";
/// What there is none of once all was swept, in one column.
const ORPHANS: [(&str, &str); 5] = [
    (
        "chunks that nobody shows",
        "SELECT seq FROM chunks WHERE NOT EXISTS (SELECT 1 FROM vector_store_files WHERE \
         vector_store_files.seq = chunks.entry AND shown = chunks.generation)",
    ),
    (
        "vectors without a chunk",
        "SELECT seq FROM chunk_vectors WHERE seq NOT IN (SELECT seq FROM chunks)",
    ),
    ("chunks to be removed", "SELECT entry FROM chunk_garbage"),
    (
        "stores to be removed",
        "SELECT id FROM vector_stores WHERE deleted_at IS NOT NULL",
    ),
    (
        "files in a store that is not there",
        "SELECT file_id FROM vector_store_files WHERE NOT EXISTS (SELECT 1 FROM vector_stores \
         WHERE vector_stores.workspace_id = vector_store_files.workspace_id \
         AND vector_stores.id = vector_store_files.store_id)",
    ),
];
/// How often servers are started to sweep. Each removes some of what was left of stores.
const ROUNDS: usize = 30;
/// How long a sweep may take.
const PATIENCE: Duration = Duration::from_mins(1);
/// The name of an unfinished object of nobody: when it is gone, a server has swept.
const CANARY: &str = "ws_chaos.canary";

/// The row of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Blob {
    state: String,
    bytes: u64,
    uses: u64,
}

/// What is wrong with what a kill, or an end, has left. No server may write meanwhile.
pub(super) async fn differences(stage: &Stage, objects: &Objects) -> anyhow::Result<Vec<String>> {
    let database = Database::open(&stage.records()).await?;
    let (objects, rows) = (objects.all().await?, rows(&database).await?);
    Ok(compare(&objects, &rows, false))
}

/// Has servers sweep until there is nothing more to sweep; what is wrong then. None of them runs,
/// before and after.
pub(super) async fn swept(stage: &mut Stage, objects: &Objects) -> anyhow::Result<Vec<String>> {
    let mut wrong = Vec::new();
    for _ in 0..ROUNDS {
        let database = Database::open(&stage.records()).await?;
        for age in AGE {
            database.rows(age).await?;
        }
        drop(database);
        if let Objects::Folder(folder) = objects {
            File::create(folder.join("unfinished").join(CANARY))?;
        }
        for path in objects.unfinished()? {
            let file = File::options().append(true).open(path)?;
            file.set_modified(UNIX_EPOCH + Duration::from_hours(24))?;
        }
        stage.open().await?;
        let sweep = async {
            while !has_swept(stage, objects).await? {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            anyhow::Ok(())
        };
        let sweep = timeout(PATIENCE, sweep).await;
        sweep.context("no server sweeps")??;
        stage.close().await?;
        wrong = orphans(stage, objects).await?;
        if wrong.is_empty() {
            break;
        }
    }
    Ok(wrong)
}

/// An embedded database is not looked at while a server has it: the folder tells, too.
async fn has_swept(stage: &Stage, objects: &Objects) -> anyhow::Result<bool> {
    if let Objects::Folder(folder) = objects {
        return Ok(!folder.join("unfinished").join(CANARY).exists());
    }
    let database = Database::open(&stage.records()).await?;
    Ok(!database.rows(SWEPT).await?.is_empty())
}

async fn orphans(stage: &Stage, objects: &Objects) -> anyhow::Result<Vec<String>> {
    let database = Database::open(&stage.records()).await?;
    let rows = rows(&database).await?;
    let mut wrong = compare(&objects.all().await?, &rows, true);
    for path in objects.unfinished()? {
        wrong.push(format!("{} is left", path.display()));
    }
    for (what, sql) in ORPHANS {
        let found = database.rows(sql).await?.len();
        if found > 0 {
            wrong.push(format!("{found} {what}"));
        }
    }
    let indexed = match &database {
        Database::Sqlite(_) => {
            "SELECT (SELECT COUNT(*) FROM chunk_terms_docsize), COUNT(*) FROM chunks"
        }
        Database::Postgres(_) => "SELECT (SELECT COUNT(*) FROM chunk_terms), COUNT(*) FROM chunks",
    };
    for row in database.rows(indexed).await? {
        let [terms, chunks] = columns(row)?;
        if terms != chunks {
            wrong.push(format!(
                "{chunks:?} chunks, {terms:?} in the full text index"
            ));
        }
    }
    Ok(wrong)
}

/// What is wrong with objects and their rows. `is_swept`: none is left that nobody refers to.
fn compare(
    objects: &BTreeMap<String, u64>,
    rows: &BTreeMap<String, Blob>,
    is_swept: bool,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, bytes) in objects {
        if !rows.contains_key(key) {
            wrong.push(format!("object {key} of {bytes} bytes has no row"));
        }
    }
    for (key, blob) in rows {
        let Blob { state, bytes, uses } = blob;
        let object = objects.get(key);
        let is_ready = state == "ready";
        if is_ready && object != Some(bytes) {
            wrong.push(format!(
                "{key} has to have {bytes} bytes, and has {object:?}"
            ));
        }
        if is_ready && *uses == 0 || !is_ready && *uses > 0 || state == "damaged" {
            wrong.push(format!("{key} is {blob:?}"));
        }
        if is_swept && !is_ready {
            wrong.push(format!("{key} was not swept: {blob:?}"));
        }
    }
    wrong
}

async fn rows(database: &Database) -> anyhow::Result<BTreeMap<String, Blob>> {
    let mut rows = BTreeMap::new();
    for row in database.rows(BLOBS).await? {
        let [workspace, id, state, bytes, uses] = columns(row)?.map(Option::unwrap_or_default);
        let blob = Blob {
            state,
            bytes: bytes.parse()?,
            uses: uses.parse()?,
        };
        rows.insert(format!("{workspace}/{id}"), blob);
    }
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(state: &str, uses: u64) -> Blob {
        Blob {
            state: state.into(),
            bytes: 3,
            uses,
        }
    }

    #[test]
    fn objects_and_rows_that_do_not_fit_are_told() {
        let object = |bytes| BTreeMap::from([("w/a".to_owned(), bytes)]);
        let row = |blob| BTreeMap::from([("w/a".to_owned(), blob)]);
        let none = BTreeMap::new();
        let good = [("ready", 1), ("doomed", 0), ("pending", 0)];
        for (state, uses) in good {
            assert_eq!(compare(&object(3), &row(blob(state, uses)), false), [""; 0]);
        }
        assert_eq!(compare(&none, &row(blob("pending", 0)), false), [""; 0]);
        for (objects, rows, is_swept) in [
            (object(3), BTreeMap::new(), false),
            (none.clone(), row(blob("ready", 1)), false),
            (object(2), row(blob("ready", 1)), false),
            (object(3), row(blob("ready", 0)), false),
            (object(3), row(blob("doomed", 1)), false),
            (object(3), row(blob("damaged", 1)), false),
            (object(3), row(blob("doomed", 0)), true),
            (none, row(blob("pending", 0)), true),
        ] {
            assert_eq!(compare(&objects, &rows, is_swept).len(), 1, "{rows:?}");
        }
    }
}
