//! The program's own answers.

use std::{fmt::Write as _, path::Path};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    JUDGED, Judgement,
    set::{Chunk, Set},
};
use crate::{file_search::client::Client, server::Server};

/// What is asked.
pub(super) struct Place<'a> {
    pub(super) binary: &'a Path,
    /// A database of PostgreSQL; otherwise SQLite.
    pub(super) database: Option<&'a str>,
    /// The folder of the encoder; otherwise words alone.
    pub(super) model: Option<&'a Path>,
}

/// Has all documents indexed in chunks of this size and overlap, and asks all questions.
pub(super) async fn ask(
    place: &Place<'_>,
    set: &Set,
    (size, overlap): (usize, usize),
) -> anyhow::Result<Judgement> {
    let folder = tempfile::tempdir()?;
    let mut config = String::new();
    if let Some(database) = place.database {
        writeln!(config, "database = \"{database}\"")?;
    }
    if let Some(model) = place.model {
        let model = model.canonicalize()?;
        writeln!(
            config,
            "[file_search]\nembeddings = \"local:{}\"",
            model.display()
        )?;
    }
    let server = Server::start(place.binary, folder.path(), &config, None).await?;
    let mut client = Client::of(&server).await?;
    let mut files = Vec::new();
    for (name, text) in &set.files {
        files.push(client.upload(name, text).await?);
    }
    let store = client.store().await?;
    let sizes = json!({"max_chunk_size_tokens": size, "chunk_overlap_tokens": overlap});
    let chunking = json!({"type": "static", "static": sizes});
    client.index(&store, &files, &chunking).await?;
    let mut judgement = Judgement::default();
    for question in &set.questions {
        let found = client.search(&store, &question.text, JUDGED).await?;
        let found = found.iter().map(|result| Ok(set.place(&chunk(result)?)));
        let ranking: Vec<_> = found.collect::<anyhow::Result<_>>()?;
        judgement.add(&ranking, &question.relevant);
    }
    server.process.kill().await?;
    Ok(judgement)
}

fn chunk(result: &Value) -> anyhow::Result<Chunk> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(Chunk {
        file: text(&result["filename"]).context("no filename")?,
        text: text(&result["content"][0]["text"]).context("no text")?,
    })
}
