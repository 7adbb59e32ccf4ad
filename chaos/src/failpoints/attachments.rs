//! The scene of vector stores that come along with something else, and of files that messages attach:
//! whatever is there names a store that is there, with all of its files.

use serde_json::{Value, json};

use super::{
    documents::document,
    pen::Pen,
    records::{CALLING, PLAIN, begin, of, run_of, submit},
};
use crate::history::text;

/// Stores are made along with an assistant and with threads, and for messages: of a new thread, alone,
/// of a run, and of one that waits for its thread.
pub(super) async fn attachments(pen: &mut Pen) -> anyhow::Result<()> {
    let one = document(pen, "one.txt", "Refunds take fourteen days.").await?;
    let two = document(pen, "two.txt", "Parcels take three days.").await?;

    let run = begin(pen, CALLING, &json!({}), &[]).await?;
    let (run, thread) = (
        run_of(&run),
        format!("/threads/{}", text(&run["thread_id"])),
    );
    let waiting = pen.becomes(&run, "requires_action").await?;
    let enqueued = [("x-loomgate-when-locked", "enqueue")];
    let messages = format!("{thread}/messages");
    pen.create_with(&messages, attaching("later", &[&one]), &enqueued)
        .await?;
    submit(pen, &run, &waiting).await?;
    pen.becomes(&run, "completed").await?;
    pen.ledger.counts(messages, 3);
    has_store(pen, &thread, 1).await?;

    let helper = json!({"file_search": {"vector_stores": [{"file_ids": [one]}]}});
    let body = json!({
        "model": "m", "tools": [{"type": "file_search"}], "tool_resources": helper,
    });
    let assistant = pen.create("/assistants", body).await?;
    has_store(pen, &of("/assistants", &assistant), 1).await?;
    let body = json!({"tool_resources": helper, "messages": [attaching("now", &[&two])]});
    let thread = pen.create("/threads", body).await?;
    has_store(pen, &of("/threads", &thread), 2).await?;

    let thread = of("/threads", &pen.create("/threads", json!({})).await?);
    let messages = format!("{thread}/messages");
    pen.create(&messages, attaching("one", &[&one])).await?;
    pen.create(&messages, attaching("two", &[&one, &two]))
        .await?;
    has_store(pen, &thread, 2).await?;

    let body = json!({
        "assistant_id": assistant["id"],
        "thread": {"messages": [attaching(&PLAIN.text(1), &[&two])]},
    });
    let run = pen.create("/threads/runs", body).await?;
    pen.becomes(&run_of(&run), "completed").await?;
    has_store(pen, &format!("/threads/{}", text(&run["thread_id"])), 1).await?;

    for (table, rows) in [
        ("assistants", 2),
        ("threads", 4),
        ("runs", 2),
        ("vector_stores", 5),
        ("vector_store_files", 7),
    ] {
        pen.ledger.rows(table, rows);
    }
    pen.ledger.rows("receipts", pen.creations());
    Ok(())
}

/// A message with files for search.
fn attaching(words: &str, files: &[&str]) -> Value {
    let tools = json!([{"type": "file_search"}]);
    let attachment = |file: &&str| json!({"file_id": file, "tools": tools});
    let attachments: Vec<Value> = files.iter().map(attachment).collect();
    json!({"role": "user", "content": words, "attachments": attachments})
}

/// What is at this path names a store that has so many files, all of which will be indexed.
async fn has_store(pen: &mut Pen, path: &str, files: usize) -> anyhow::Result<()> {
    let thing = pen.api.read(path).await?;
    let resources = thing["tool_resources"].clone();
    let store = text(&resources["file_search"]["vector_store_ids"][0]);
    anyhow::ensure!(!store.is_empty(), "{path} names no store: {thing}");
    let store = format!("/vector_stores/{store}");
    pen.becomes(&store, "completed").await?;
    pen.ledger.has(path, json!({"tool_resources": resources}));
    let counts = json!({"completed": files, "total": files});
    pen.ledger.has(store, json!({"file_counts": counts}));
    Ok(())
}
