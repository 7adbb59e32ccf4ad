//! Scenes of documents: what is put into vector stores and indexed.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use hyper::Method;
use serde_json::{Value, json};

use super::{case::crossed, pen::Pen, place::Place, records::of};
use crate::{api::Answer, history::text};

/// Chunks as small as they may be, so that a file has many.
pub(super) fn small_chunks() -> Value {
    json!({"type": "static", "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0}})
}

/// What a file is of which nobody can read the bytes any more.
const LOST: &str = "bytes that the disk has lost";

/// Files that a server left in the middle.
pub(super) const HALF_DONE: &str =
    "SELECT file_id FROM vector_store_files WHERE status = 'in_progress' AND written > 0";

/// Stores, files in them and batches are made, changed, searched, cancelled and deleted.
pub(super) async fn vector_stores(pen: &mut Pen) -> anyhow::Result<()> {
    let refunds = document(pen, "refunds.txt", "Refunds take fourteen days.").await?;
    let broken = document(pen, "broken.pdf", "This is no PDF at all.").await?;
    let long = document(pen, "long.txt", &long_text(70_000)).await?;

    let body = json!({"name": "made", "file_ids": [refunds]});
    let store = of("/vector_stores", &pen.create("/vector_stores", body).await?);
    let change = json!({"name": "changed"});
    pen.change(Method::POST, &store, change.clone()).await?;
    let files = format!("{store}/files");
    pen.becomes(&format!("{files}/{refunds}"), "completed")
        .await?;
    let body = json!({"file_id": long, "chunking_strategy": small_chunks()});
    pen.create(&files, body).await?;
    pen.becomes(&format!("{files}/{long}"), "completed").await?;
    let attributes = json!({"attributes": {"lang": "en"}});
    let path = format!("{files}/{refunds}");
    pen.change(Method::POST, &path, attributes.clone()).await?;
    pen.ledger.has(path, attributes);
    search(pen, &store, &refunds).await?;

    let batches = format!("{store}/file_batches");
    let body = json!({"file_ids": [broken]});
    let batch = of(&batches, &pen.create(&batches, body).await?);
    pen.becomes(&batch, "completed").await?;
    let counts = json!({"file_counts": {"failed": 1, "in_progress": 0, "total": 1}});
    pen.ledger.has(batch, counts);
    pen.remove(&format!("{files}/{long}")).await?;
    let body = json!({"file_ids": [long], "chunking_strategy": small_chunks()});
    let batch = of(&batches, &pen.create(&batches, body).await?);
    cancel(pen, &batch).await?;
    // There were two ends of it, and it has one.
    let batch = pen.api.read(&batch).await?;
    let counts = match &*text(&batch["status"]) {
        "cancelled" => json!({"failed": 1, "completed": 1, "in_progress": 0, "cancelled": 1}),
        _ => json!({"failed": 1, "completed": 2, "in_progress": 0, "cancelled": 0}),
    };
    pen.ledger
        .has(&*store, json!({"name": "changed", "file_counts": counts}));
    // It is there once more.
    pen.ledger.has(
        format!("{files}/{long}"),
        json!({"status": batch["status"]}),
    );

    let gone = pen.create("/vector_stores", json!({})).await?;
    pen.remove(&of("/vector_stores", &gone)).await?;
    pen.ledger.counts("/vector_stores", 1);
    pen.ledger.rows("files", 3);
    pen.ledger.rows("vector_store_files", 3);
    pen.ledger.rows("receipts", pen.creations());
    Ok(())
}

/// Leaves a file some of whose chunks are written, and one that can not be read just now.
pub(super) async fn leave_half_done(pen: &mut Pen, place: &Place) -> anyhow::Result<()> {
    let lost = document(pen, "lost.txt", LOST).await?;
    let object = holder(&place.data(), LOST)?.context("the file has no object")?;
    std::fs::remove_file(object)?;
    let long = document(pen, "long.txt", &long_text(70_000)).await?;
    let store = pen.create("/vector_stores", json!({})).await?;
    let files = format!("{}/files", of("/vector_stores", &store));
    pen.create(&files, json!({"file_id": lost})).await?;
    let body = json!({"file_id": long, "chunking_strategy": small_chunks()});
    pen.create(&files, body).await?;
    let begun = [
        "vector_stores::queue::Indexing::retry",
        "vector_stores::queue::Indexing::write",
    ];
    crossed(&place.trace_file(), &begun).await
}

/// Asks for what stands in a file, until the store was used in a later second than it was made.
async fn search(pen: &mut Pen, store: &str, file: &str) -> anyhow::Result<()> {
    let path = format!("{store}/search");
    let filter = json!({"type": "eq", "key": "lang", "value": "en"});
    let body = json!({"query": "refunds", "filters": filter});
    let before = pen.api.read(store).await?;
    loop {
        let found = pen.change(Method::POST, &path, body.clone()).await?;
        anyhow::ensure!(found["data"][0]["file_id"] == *file, "{found}");
        let now = pen.api.read(store).await?;
        if now["last_active_at"] != before["last_active_at"] {
            return Ok(());
        }
        pen.api.pause().await;
    }
}

/// Cancels a batch, which may be repeated.
async fn cancel(pen: &Pen, batch: &str) -> anyhow::Result<()> {
    let path = format!("{batch}/cancel");
    loop {
        match pen.api.post(&path, &json!({})).await {
            Answer::Done(_) => return Ok(()),
            Answer::Refused(status, why) => anyhow::bail!("POST {path}: {status} {why}"),
            Answer::Lost => pen.api.pause().await,
        }
    }
}

/// The id of a file of this text.
pub(super) async fn document(pen: &mut Pen, name: &str, content: &str) -> anyhow::Result<String> {
    let fields = [
        ("purpose", None, "assistants"),
        ("file", Some(name), content),
    ];
    let made = pen.send_form("/files", &fields).await?;
    let made = made.map_err(|status| anyhow::anyhow!("a file was refused: {status}"))?;
    Ok(text(&made["id"]))
}

/// A text of about so many words.
pub(super) fn long_text(words: u32) -> String {
    let mut text = String::new();
    for number in 0..words / 2 {
        // Writing to a String can not fail.
        let _ = write!(
            text,
            "word {number}{}",
            if number % 12 == 0 { ".\n" } else { " " }
        );
    }
    text
}

/// The file with just this content, in a folder and those in it.
fn holder(folder: &Path, content: &str) -> anyhow::Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if let Some(found) = holder(&path, content)? {
                return Ok(Some(found));
            }
        } else if entry.metadata()?.len() == content.len() as u64
            && std::fs::read(&path)? == content.as_bytes()
        {
            return Ok(Some(path));
        }
    }
    Ok(None)
}
