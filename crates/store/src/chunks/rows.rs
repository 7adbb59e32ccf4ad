//! Chunks on their way in and out, with their vectors and their words.

use loomgate_domain::WorkspaceId;

use super::{
    NewChunk, NewVector, embeddings,
    lexical::{plain, postgres_mark},
    postings,
};
use crate::{
    Error,
    tx::{Dialect, Tx, Value, postgres_statements, sqlite_statements, statements, values},
};

statements! {
    INSERT = "INSERT INTO chunks (workspace_id, entry, generation, position, start, tokens, text) \
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    INSERT_VECTOR = "INSERT INTO chunk_vectors (seq, vector, digest) VALUES ($1, $2, $3)";
    NUMBERS = "SELECT seq FROM chunks WHERE workspace_id = $1 AND entry = $2 AND generation = $3 \
        AND position >= $4 ORDER BY position";
    OLDEST = "SELECT seq FROM chunks WHERE workspace_id = $1 AND entry = $2 AND generation = $3 \
        ORDER BY position LIMIT $4";
    DELETE = "DELETE FROM chunks WHERE seq = $1";
    SCOPE_OF_ENTRY = "SELECT vector_stores.seq FROM vector_store_files \
        JOIN vector_stores ON vector_stores.workspace_id = vector_store_files.workspace_id \
        AND vector_stores.id = vector_store_files.store_id \
        WHERE vector_store_files.seq = $1 AND vector_store_files.workspace_id = $2";
}

sqlite_statements! {
    INSERT_TOKENS = "INSERT INTO chunk_terms (rowid, terms) VALUES ($1, $2)";
    DELETE_TOKENS = "DELETE FROM chunk_terms WHERE rowid = $1";
}

postgres_statements! {
    // Parameters: the chunk, the mark of its store, its words.
    INSERT_TERMS = "INSERT INTO chunk_terms (seq, terms) SELECT $1::bigint, \
        ($2::text || ' ' || COALESCE(string_agg('''' || word || ''':' || \
            LEAST(place, 16383), ' '), ''))::tsvector \
        FROM regexp_split_to_table($3, ' ') WITH ORDINALITY AS words (word, place) \
        WHERE word <> ''";
    DELETE_TERMS = "DELETE FROM chunk_terms WHERE seq = $1";
}

/// Where chunks belong.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'p> {
    pub(crate) ws: &'p WorkspaceId,
    /// `seq` of the file in its store.
    pub(crate) entry: i64,
    pub(crate) generation: i64,
    /// `seq` of the store.
    pub(crate) scope: i64,
    /// Of the first of them.
    pub(crate) position: i64,
}

/// Writes chunks that follow each other.
pub(crate) fn write(tx: &mut dyn Tx, place: Place<'_>, chunks: &[NewChunk]) -> Result<(), Error> {
    let Place {
        ws,
        entry,
        generation,
        position: first,
        ..
    } = place;
    let rows: Vec<Vec<Value<'_>>> = (first..)
        .zip(chunks)
        .map(|(position, chunk)| {
            let start = i64::try_from(chunk.start).unwrap_or(i64::MAX);
            let tokens = i64::from(chunk.tokens);
            values![ws, entry, generation, position, start, tokens, &chunk.text].to_vec()
        })
        .collect();
    tx.execute_all(INSERT, &rows)?;
    let written = values![ws, entry, generation, first];
    let numbers = tx.rows(NUMBERS, written, |row| row.integer(0))?;
    let vectors = numbers.iter().zip(chunks);
    let vectors: Vec<_> = vectors
        .filter_map(|(seq, chunk)| Some((*seq, chunk.vector.as_ref()?)))
        .collect();
    let rows: Vec<_> = vectors
        .iter()
        .map(|(seq, vector)| values![*seq, &vector.bytes[..], &vector.digest[..]].to_vec())
        .collect();
    tx.execute_all(INSERT_VECTOR, &rows)?;
    embeddings::keep(tx, vectors.into_iter().map(NewVector::of_chunk))?;
    let texts = numbers.iter().zip(chunks);
    index(
        tx,
        texts.map(|(seq, chunk)| (*seq, place.scope, chunk.words.as_str())),
    )
}

/// Makes the words of chunks known: of each its number, its store's, and the words.
fn index<'c>(
    tx: &mut dyn Tx,
    chunks: impl Iterator<Item = (i64, i64, &'c str)>,
) -> Result<(), Error> {
    let dialect = tx.dialect();
    let rows: Vec<_> = chunks
        .map(|(seq, scope, words)| {
            let words = words.split(' ').filter_map(plain);
            match dialect {
                Dialect::Sqlite => values![seq, postings::tokens(scope, words)].to_vec(),
                Dialect::Postgres => {
                    let words = words.collect::<Vec<_>>().join(" ");
                    values![seq, postgres_mark(scope), words].to_vec()
                }
            }
        })
        .collect();
    let sql = match dialect {
        Dialect::Sqlite => INSERT_TOKENS,
        Dialect::Postgres => INSERT_TERMS,
    };
    tx.execute_all(sql, &rows)?;
    Ok(())
}

/// A chunk whose words are to be made known: its number, its workspace, `entry`, and its text.
pub(super) type Text<'t> = (i64, Value<'t>, i64, &'t str);

/// The same of chunks that are there, whose words `words_of` knows. Those of a file that is gone have no
/// store any more, and are about to go themselves.
pub(super) fn index_texts<'t>(
    tx: &mut dyn Tx,
    texts: impl Iterator<Item = Text<'t>>,
    words_of: fn(&str) -> String,
) -> Result<(), Error> {
    let mut chunks = Vec::new();
    let mut known: Option<(i64, Option<i64>)> = None;
    for (seq, ws, entry, text) in texts {
        let scope = match known {
            Some((of, scope)) if of == entry => scope,
            _ => tx.row(SCOPE_OF_ENTRY, &[Value::Integer(entry), ws], |row| {
                row.integer(0)
            })?,
        };
        known = Some((entry, scope));
        chunks.extend(scope.map(|scope| (seq, scope, words_of(text))));
    }
    let chunks = chunks.iter();
    index(
        tx,
        chunks.map(|(seq, scope, words)| (*seq, *scope, words.as_str())),
    )
}

/// The same of rows that were copied, whose text stands at the end.
pub(crate) fn index_copied(
    tx: &mut dyn Tx,
    rows: &[Vec<Value<'_>>],
    words_of: fn(&str) -> String,
) -> Result<(), Error> {
    let texts = rows.iter().map(|row| match &row[..] {
        [
            Value::Integer(seq),
            ws,
            Value::Integer(entry),
            ..,
            Value::Text(text),
        ] => Ok((*seq, ws.clone(), *entry, &**text)),
        _ => Err(Error::corrupt("a chunk of another form")),
    });
    let texts: Vec<Text<'_>> = texts.collect::<Result<_, _>>()?;
    index_texts(tx, texts.into_iter(), words_of)
}

/// Forgets the words of chunks.
pub(super) fn forget(tx: &mut dyn Tx, numbers: &[i64]) -> Result<(), Error> {
    let rows: Vec<_> = numbers.iter().map(|seq| values![*seq].to_vec()).collect();
    let sql = match tx.dialect() {
        Dialect::Sqlite => DELETE_TOKENS,
        Dialect::Postgres => DELETE_TERMS,
    };
    tx.execute_all(sql, &rows)?;
    Ok(())
}

/// Removes the first chunks of a generation, `most` of them; returns how many there were.
pub(crate) fn remove(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    (entry, generation): (i64, i64),
    most: u32,
) -> Result<usize, Error> {
    let values = values![ws, entry, generation, i64::from(most)];
    let numbers = tx.rows(OLDEST, values, |row| row.integer(0))?;
    let rows: Vec<_> = numbers.iter().map(|seq| values![*seq].to_vec()).collect();
    if tx.dialect() == Dialect::Sqlite {
        // On PostgreSQL they go with their chunk.
        forget(tx, &numbers)?;
    }
    tx.execute_all(DELETE, &rows)?;
    Ok(numbers.len())
}
