//! Chunks of indexed files. The queue (`vector_stores/queue.rs`) writes them; here they are found.
//!
//! A chunk is searched while the file that it is from shows its generation; what is written under
//! another is seen by nobody.

use std::{collections::HashMap, ops::ControlFlow};

use loomgate_domain::{
    FileId, Timestamp, VectorStoreId, WorkspaceId,
    vector_store::{Attributes, Chunk, ChunkId, chunk::whole_text},
};

use crate::{
    Error,
    files::expires,
    pool::Pool,
    tx::{Row, Tx, Value, statements, values},
};

mod embeddings;
mod lexical;
mod merging;
mod postings;
mod renewal;
mod rows;
mod vectors;

pub use embeddings::{Complete, Filled, Near, Neighbour};
pub(crate) use embeddings::{keep as keep_embeddings, keep_copied as keep_copied_embeddings};
pub(crate) use merging::merge;
pub(crate) use rows::{Place, index_copied, remove, write};
pub use vectors::{Digest, Embedded, EmbeddedFile, NewVector, StoredCode, StoredText};

#[cfg(test)]
pub(crate) use {
    embeddings::POSTGRES_STATEMENTS as EMBEDDING_POSTGRES_STATEMENTS,
    lexical::POSTGRES_STATEMENTS as LEXICAL_POSTGRES_STATEMENTS,
    lexical::STATEMENTS as LEXICAL_STATEMENTS,
    merging::SQLITE_STATEMENTS as MERGING_SQLITE_STATEMENTS,
    postings::SQLITE_STATEMENTS as POSTING_SQLITE_STATEMENTS,
    renewal::STATEMENTS as RENEWAL_STATEMENTS,
    rows::POSTGRES_STATEMENTS as ROW_POSTGRES_STATEMENTS,
    rows::SQLITE_STATEMENTS as ROW_SQLITE_STATEMENTS, rows::STATEMENTS as ROW_STATEMENTS,
    vectors::STATEMENTS as VECTOR_STATEMENTS,
};

/// From a chunk to the place of its file in the store, unless it is none that is searched.
macro_rules! searched {
    () => {
        "JOIN vector_store_files ON vector_store_files.seq = chunks.entry \
         AND vector_store_files.workspace_id = chunks.workspace_id \
         AND vector_store_files.shown = chunks.generation"
    };
}
use searched;

/// How many chunks one statement asks for.
const AT_ONCE: usize = 32;

/// As many parameters as [`AT_ONCE`], behind that of the workspace.
macro_rules! at_once {
    () => {
        "($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
         $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32, $33)"
    };
}
use at_once;

statements! {
    GET = concat!("SELECT chunks.seq, vector_store_files.store_id, vector_store_files.file_id, \
        files.filename, vector_store_files.attributes, chunks.position, chunks.start, chunks.tokens, \
        chunks.text FROM chunks ", searched!(), " JOIN files ON files.workspace_id = vector_store_files.workspace_id \
        AND files.id = vector_store_files.file_id WHERE chunks.workspace_id = $1 AND chunks.seq IN ", at_once!(),
        " AND ", expires!(), " > $34");
    SHOWN = "SELECT seq, shown FROM vector_store_files \
        WHERE workspace_id = $1 AND store_id = $2 AND file_id = $3 AND shown IS NOT NULL";
    TEXTS = "SELECT start, text FROM chunks \
        WHERE workspace_id = $1 AND entry = $2 AND generation = $3 ORDER BY position";
}

/// A chunk to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewChunk {
    /// Where in the file's text it begins, in bytes.
    pub start: u64,
    /// Its size in tokens.
    pub tokens: u32,
    /// Its text.
    pub text: String,
    /// The words that it is found by, in the form that all their forms share, with spaces between them.
    pub words: String,
    /// Its vector, if it has one.
    pub vector: Option<NewVector>,
}

/// A chunk that has words of a query.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LexicalHit {
    /// The chunk.
    pub chunk: ChunkId,
    /// How well it fits: above 0, the higher the better, and only to be compared with others of the
    /// same answer.
    pub score: f64,
    /// Which of the words it has: bit `n` is that of word `n`, counted from 0.
    pub held: u64,
}

/// The chunks of a [`crate::Store`].
#[derive(Debug)]
pub struct Chunks<'s>(pub(crate) &'s Pool);

impl Chunks<'_> {
    /// The chunks with any of these words, best first and `most` at the most; only those from files
    /// that `accept` takes by their attributes. Stores that are not there have none.
    ///
    /// Words are like those of [`NewChunk::words`], each once. The first 64 count.
    pub async fn lexical(
        &self,
        ws: &WorkspaceId,
        stores: &[VectorStoreId],
        (words, most): (Vec<String>, u32),
        accept: impl Fn(&Attributes) -> bool + Send + 'static,
    ) -> Result<Vec<LexicalHit>, Error> {
        let (ws, stores) = (ws.clone(), stores.to_vec());
        self.0
            .read(move |tx| lexical::search(tx, &ws, &stores, (&words, most), &accept))
            .await
    }

    /// Chunks by their ids, in the order of these; those that are not searched any more are left out, and
    /// so are those of files whose time is over, which wait for the sweeper.
    pub async fn get(
        &self,
        ws: &WorkspaceId,
        ids: Vec<ChunkId>,
        now: Timestamp,
    ) -> Result<Vec<Chunk>, Error> {
        let ws = ws.clone();
        self.0
            .read(move |tx| {
                let mut found = get(tx, &ws, &ids, now)?;
                Ok(ids.iter().filter_map(|id| found.remove(id)).collect())
            })
            .await
    }

    /// The text of a file in a store, put together from its chunks; empty where it is not indexed.
    pub async fn text(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
        file: &FileId,
    ) -> Result<String, Error> {
        let (ws, store, file) = (ws.clone(), store.clone(), file.clone());
        let chunks = self.0.read(move |tx| {
            let Some((entry, generation)) = shown_of(tx, &ws, (&store, &file))? else {
                return Ok(Vec::new());
            };
            tx.rows(TEXTS, values![&ws, entry, generation], |row| {
                Ok((unsigned(row, 0)?, row.text(1)?.to_owned()))
            })
        });
        Ok(whole_text(chunks.await?))
    }
}

/// Chunks by their ids, as far as they are searched.
fn get(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    ids: &[ChunkId],
    now: Timestamp,
) -> Result<HashMap<ChunkId, Chunk>, Error> {
    let mut found = HashMap::with_capacity(ids.len());
    for some in ids.chunks(AT_ONCE) {
        let mut values = named(ws, some);
        values.extend_from_slice(values![now]);
        tx.visit(GET, &values, &mut |row| {
            let chunk = read(row)?;
            found.insert(chunk.id, chunk);
            Ok(ControlFlow::Continue(()))
        })?;
    }
    Ok(found)
}

/// The values of `at_once!`, behind the workspace.
fn named<'v>(ws: &'v WorkspaceId, ids: &[ChunkId]) -> Vec<Value<'v>> {
    let mut values = values![ws].to_vec();
    values.extend(ids.iter().map(|id| Value::Integer(id.0)));
    // No chunk has this number.
    values.resize(1 + AT_ONCE, Value::Integer(0));
    values
}

/// What chunks of a file are searched: `seq` of the file in its store, and the generation.
fn shown_of(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    (store, file): (&VectorStoreId, &FileId),
) -> Result<Option<(i64, i64)>, Error> {
    tx.row(SHOWN, values![ws, store, file], |row| {
        Ok((row.integer(0)?, row.integer(1)?))
    })
}

/// A chunk from [`GET`].
fn read(row: &dyn Row) -> Result<Chunk, Error> {
    Ok(Chunk {
        id: ChunkId(row.integer(0)?),
        vector_store_id: row.id(1)?,
        file_id: row.id(2)?,
        filename: row.text(3)?.to_owned(),
        attributes: row.json(4)?,
        position: small(row, 5)?,
        start: unsigned(row, 6)?,
        tokens: small(row, 7)?,
        text: row.text(8)?.to_owned(),
    })
}

/// A number that is never negative.
pub(crate) fn unsigned(row: &dyn Row, column: usize) -> Result<u64, Error> {
    let number = row.integer(column)?;
    u64::try_from(number).map_err(|_| Error::corrupt(format!("column {column} is {number}")))
}

/// One that fits 32 bits.
pub(crate) fn small(row: &dyn Row, column: usize) -> Result<u32, Error> {
    let number = row.integer(column)?;
    u32::try_from(number).map_err(|_| Error::corrupt(format!("column {column} is {number}")))
}
