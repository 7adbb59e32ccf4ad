//! Chunks on their way in and out, with their vectors and their words.

use loomgate_domain::WorkspaceId;

use super::{
    NewChunk,
    lexical::{plain, postgres_mark, sqlite_mark},
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
    INSERT_TERMS = "INSERT INTO chunk_terms (rowid, scope, terms) VALUES ($1, $2, $3)";
    DELETE_TERMS = "DELETE FROM chunk_terms WHERE rowid = $1";
}

postgres_statements! {
    // Parameters: the chunk, the mark of its store, its words.
    INSERT_TERMS_STEMMED = "INSERT INTO chunk_terms (seq, terms) SELECT $1::bigint, \
        ($2::text || ' ' || COALESCE(string_agg('''' || stem || ''':' || place, ' '), ''))::tsvector \
        FROM (SELECT COALESCE((ts_lexize('english_stem', word))[1], word) AS stem, \
            LEAST(place, 16383) AS place \
            FROM regexp_split_to_table($3, ' ') WITH ORDINALITY AS words (word, place) \
            WHERE word <> '') AS stems";
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
    let vectors: Vec<_> = numbers
        .iter()
        .zip(chunks)
        .filter_map(|(seq, chunk)| {
            let vector = chunk.vector.as_ref()?;
            Some(values![*seq, &vector.bytes[..], &vector.digest[..]].to_vec())
        })
        .collect();
    tx.execute_all(INSERT_VECTOR, &vectors)?;
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
    let (sql, mark): (_, fn(i64) -> String) = match tx.dialect() {
        Dialect::Sqlite => (INSERT_TERMS, sqlite_mark),
        Dialect::Postgres => (INSERT_TERMS_STEMMED, postgres_mark),
    };
    let rows: Vec<_> = chunks
        .map(|(seq, scope, words)| {
            let words: Vec<&str> = words.split(' ').filter_map(plain).collect();
            values![seq, mark(scope), words.join(" ")].to_vec()
        })
        .collect();
    tx.execute_all(sql, &rows)?;
    Ok(())
}

/// The same of rows that were copied: `seq`, workspace, `entry`, and the text at the end, whose words
/// `words_of` knows. Those of a file that is gone have no store any more, and are about to go
/// themselves.
pub(crate) fn index_copied(
    tx: &mut dyn Tx,
    rows: &[Vec<Value<'_>>],
    words_of: fn(&str) -> String,
) -> Result<(), Error> {
    let mut chunks = Vec::with_capacity(rows.len());
    let mut known: Option<(i64, Option<i64>)> = None;
    for row in rows {
        let [
            Value::Integer(seq),
            ws,
            Value::Integer(entry),
            ..,
            Value::Text(text),
        ] = &row[..]
        else {
            return Err(Error::corrupt("a chunk of another form"));
        };
        let scope = match known {
            Some((of, scope)) if of == *entry => scope,
            _ => {
                let values = [Value::Integer(*entry), ws.clone()];
                tx.row(SCOPE_OF_ENTRY, &values, |row| row.integer(0))?
            }
        };
        known = Some((*entry, scope));
        chunks.extend(scope.map(|scope| (*seq, scope, words_of(text))));
    }
    let chunks = chunks.iter();
    index(
        tx,
        chunks.map(|(seq, scope, words)| (*seq, *scope, words.as_str())),
    )
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
        tx.execute_all(DELETE_TERMS, &rows)?;
    }
    tx.execute_all(DELETE, &rows)?;
    Ok(numbers.len())
}
