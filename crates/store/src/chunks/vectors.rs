//! Vectors, for whoever keeps them in memory and scans them there.
//!
//! What a vector is made of is the business of whoever writes it; that the first
//! `4 + (length - 4) / 5` bytes are its code, which is enough for a scan, is known here.

use std::{collections::BTreeSet, ops::ControlFlow};

use loomgate_domain::{
    VectorStoreId, WorkspaceId,
    vector_store::{Attributes, ChunkId},
};

use super::{AT_ONCE, Chunks, at_once, named, searched, small};
use crate::{
    Error,
    tx::{Tx, statements, values},
};

statements! {
    VERSION = "SELECT version FROM vector_stores \
        WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL";
    EMBEDDED = "SELECT seq, shown, shown_chunks FROM vector_store_files \
        WHERE workspace_id = $1 AND store_id = $2 AND embedding = $3 AND shown IS NOT NULL \
        ORDER BY seq";
    ATTRIBUTES = "SELECT seq, attributes FROM vector_store_files \
        WHERE workspace_id = $1 AND store_id = $2 AND shown IS NOT NULL ORDER BY seq";
    CODES = "SELECT chunks.seq, chunks.position, \
        substr(chunk_vectors.vector, 1, 4 + (length(chunk_vectors.vector) - 4) / 5) FROM chunks \
        JOIN chunk_vectors ON chunk_vectors.seq = chunks.seq \
        WHERE chunks.workspace_id = $1 AND chunks.entry = $2 AND chunks.generation = $3 \
        AND chunks.position >= $4 ORDER BY chunks.position LIMIT $5";
    VECTORS = concat!("SELECT chunks.seq, chunk_vectors.vector FROM chunks ",
        searched!(), " JOIN chunk_vectors ON chunk_vectors.seq = chunks.seq \
        WHERE chunks.workspace_id = $1 AND chunks.seq IN ", at_once!(),
        " AND vector_store_files.embedding = $34");
    VECTORS_ALONE = "SELECT seq, vector FROM chunk_vectors WHERE seq IN \
        ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
        $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30, $31, $32)";
    TEXTS_OF_CHUNKS = "SELECT seq, position, text FROM chunks WHERE workspace_id = $1 AND entry = $2 \
        AND generation = $3 AND position >= $4 ORDER BY position LIMIT $5";
    // By the digest first: a join may as well begin with all chunks of the workspace.
    KNOWN = "SELECT vector FROM chunk_vectors WHERE digest = $1 AND (SELECT workspace_id \
        FROM chunks WHERE chunks.seq = chunk_vectors.seq) = $2 LIMIT 1";
}

/// What a vector is of: a digest of the text and of what embedded it.
pub type Digest = [u8; 32];

/// A vector to write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewVector {
    /// What it is of.
    pub digest: Digest,
    /// In the form that whoever searches reads.
    pub bytes: Vec<u8>,
}

impl NewVector {
    /// A chunk's number, the vector, and what it is of.
    pub(crate) fn of_chunk((seq, vector): (i64, &Self)) -> (i64, &[u8], Option<&[u8]>) {
        (seq, &vector.bytes, Some(&vector.digest))
    }
}

/// The files of a store that are searched by vectors of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Embedded {
    /// The store's version: another one if other chunks are searched.
    pub version: i64,
    /// The files.
    pub files: Vec<EmbeddedFile>,
}

/// A file in a store, as far as its vectors go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddedFile {
    /// Its number, which no other file in any store has.
    pub entry: i64,
    /// Another one once it has been indexed anew.
    pub generation: i64,
    /// How many chunks it has.
    pub chunks: u64,
}

/// The text of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredText {
    /// The chunk.
    pub chunk: ChunkId,
    /// Its place among the chunks of its file, from 0.
    pub position: u32,
    /// The text.
    pub text: String,
}

/// The code of a chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredCode {
    /// The chunk.
    pub chunk: ChunkId,
    /// Its place among the chunks of its file, from 0.
    pub position: u32,
    /// The beginning of its vector.
    pub code: Vec<u8>,
}

impl Chunks<'_> {
    /// A store's version, which is another one whenever other chunks are searched than before.
    /// `None`: there is no such store.
    pub async fn version(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
    ) -> Result<Option<i64>, Error> {
        let (ws, store) = (ws.clone(), store.clone());
        self.0.read_one(move |tx| version_of(tx, &ws, &store)).await
    }

    /// The files of a store whose vectors were made by `embedding`. `None`: there is no such store.
    pub async fn embedded(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
        embedding: &str,
    ) -> Result<Option<Embedded>, Error> {
        let (ws, store, embedding) = (ws.clone(), store.clone(), embedding.to_owned());
        self.0
            .read(move |tx| {
                // First: what changes in between is then looked at once more.
                let Some(version) = version_of(tx, &ws, &store)? else {
                    return Ok(None);
                };
                let files = tx.rows(EMBEDDED, values![&ws, &store, &embedding], |row| {
                    Ok(EmbeddedFile {
                        entry: row.integer(0)?,
                        generation: row.integer(1)?,
                        chunks: super::unsigned(row, 2)?,
                    })
                })?;
                Ok(Some(Embedded { version, files }))
            })
            .await
    }

    /// The numbers of a store's files that `accept` takes by their attributes.
    pub async fn accepted(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
        accept: impl Fn(&Attributes) -> bool + Send + 'static,
    ) -> Result<BTreeSet<i64>, Error> {
        let (ws, store) = (ws.clone(), store.clone());
        self.0
            .read(move |tx| {
                let mut accepted = BTreeSet::new();
                tx.visit(ATTRIBUTES, values![&ws, &store], &mut |row| {
                    if accept(&row.json(1)?) {
                        accepted.insert(row.integer(0)?);
                    }
                    Ok(ControlFlow::Continue(()))
                })?;
                Ok(accepted)
            })
            .await
    }

    /// The codes of a file, of one generation, from a position on, `most` at the most.
    pub async fn codes(
        &self,
        ws: &WorkspaceId,
        (entry, generation): (i64, i64),
        from: u32,
        most: u32,
    ) -> Result<Vec<StoredCode>, Error> {
        let ws = ws.clone();
        self.0
            .read(move |tx| {
                let (from, most) = (i64::from(from), i64::from(most));
                tx.rows(CODES, values![&ws, entry, generation, from, most], |row| {
                    Ok(StoredCode {
                        chunk: ChunkId(row.integer(0)?),
                        position: small(row, 1)?,
                        code: row.bytes(2)?.to_vec(),
                    })
                })
            })
            .await
    }

    /// The texts of a file's chunks, of one generation, from a position on, `most` at the most.
    pub async fn texts(
        &self,
        ws: &WorkspaceId,
        (entry, generation): (i64, i64),
        from: u32,
        most: u32,
    ) -> Result<Vec<StoredText>, Error> {
        let ws = ws.clone();
        self.0
            .read(move |tx| {
                let (from, most) = (i64::from(from), i64::from(most));
                let values = values![&ws, entry, generation, from, most];
                tx.rows(TEXTS_OF_CHUNKS, values, |row| {
                    Ok(StoredText {
                        chunk: ChunkId(row.integer(0)?),
                        position: small(row, 1)?,
                        text: row.text(2)?.to_owned(),
                    })
                })
            })
            .await
    }

    /// The vectors of chunks, in no order; those that are not searched any more, or have no vector that
    /// `embedding` made, are left out.
    ///
    /// `seen`: the stores that they were found in, each with its version then. While these are the stores' versions
    /// still, that is known without a look at the chunks, which takes half the time. None: it is not.
    pub async fn vectors(
        &self,
        ws: &WorkspaceId,
        ids: Vec<ChunkId>,
        embedding: &str,
        seen: Vec<(VectorStoreId, i64)>,
    ) -> Result<Vec<(ChunkId, Vec<u8>)>, Error> {
        let (ws, embedding) = (ws.clone(), embedding.to_owned());
        self.0
            .read(move |tx| {
                let mut found = Vec::with_capacity(ids.len());
                let is_same = !seen.is_empty() && are_current(tx, &ws, &seen)?;
                for some in ids.chunks(AT_ONCE) {
                    let mut values = named(&ws, some);
                    let (sql, values) = if is_same {
                        (VECTORS_ALONE, &values[1..])
                    } else {
                        values.extend_from_slice(values![&embedding]);
                        (VECTORS, &values[..])
                    };
                    let more = tx.rows(sql, values, |row| {
                        Ok((ChunkId(row.integer(0)?), row.bytes(1)?.to_vec()))
                    })?;
                    found.extend(more);
                }
                Ok(found)
            })
            .await
    }

    /// Vectors that the workspace has already, in any store and of any file, in the order of the
    /// digests.
    pub async fn known_vectors(
        &self,
        ws: &WorkspaceId,
        digests: Vec<Digest>,
    ) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let ws = ws.clone();
        self.0
            .read(move |tx| {
                let known = digests.iter().map(|digest| {
                    let values = values![&digest[..], &ws];
                    tx.row(KNOWN, values, |row| Ok(row.bytes(0)?.to_vec()))
                });
                known.collect()
            })
            .await
    }
}

/// Whether stores have these versions.
fn are_current(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    seen: &[(VectorStoreId, i64)],
) -> Result<bool, Error> {
    for (store, version) in seen {
        if version_of(tx, ws, store)? != Some(*version) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A store's version. `None`: there is no such store.
pub(super) fn version_of(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    store: &VectorStoreId,
) -> Result<Option<i64>, Error> {
    tx.row(VERSION, values![ws, store], |row| row.integer(0))
}
