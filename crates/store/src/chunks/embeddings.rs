//! Vectors as PostgreSQL's extension pgvector knows them, in a table of their own beside `chunk_vectors`.
//! It is there where the extension is (`postgres/pgvector.rs`), and written in the transactions that
//! write vectors. There is no index on it: whoever asks for the nearest gets the nearest.
//!
//! A row is of the vector with the same digest. So rows that are missing, or of a vector that was replaced
//! since, are found, whoever wrote that: a process may not have known of the table. [`Chunks::fill_embeddings`]
//! makes them, and until then a search is told that the table will not do.

use std::fmt::Write as _;

use loomgate_domain::{VectorStoreId, WorkspaceId, vector_store::ChunkId};

use super::{Chunks, vectors::version_of};
use crate::{
    Error,
    tx::{Tx, Value, postgres_statements, values},
};

/// Vectors that are looked at in one go when missing ones are filled in, and the most that are written.
const LOOKED_AT: i64 = 2048;
const FILLED: usize = 64;
/// A cosine of 1, as the database tells it: it is read as a whole number.
const ONE: f64 = 1e9;

/// From the files of a store to the chunks that are searched.
macro_rules! chunks_of_files {
    () => {
        " JOIN chunks ON chunks.workspace_id = vector_store_files.workspace_id \
         AND chunks.entry = vector_store_files.seq \
         AND chunks.generation = vector_store_files.shown "
    };
}

postgres_statements! {
    KEEP = "INSERT INTO chunk_embeddings (seq, digest, dimensions, embedding) \
        VALUES ($1, $2, $3, $4::text::vector) ON CONFLICT (seq) DO UPDATE SET \
        digest = excluded.digest, dimensions = excluded.dimensions, embedding = excluded.embedding";
    LOOK = "SELECT it.seq, CASE WHEN chunk_embeddings.seq IS NULL THEN 1 ELSE 0 END FROM \
        (SELECT seq, digest FROM chunk_vectors WHERE seq > $1 ORDER BY seq LIMIT $2) AS it \
        LEFT JOIN chunk_embeddings ON chunk_embeddings.seq = it.seq \
        AND chunk_embeddings.digest IS NOT DISTINCT FROM it.digest ORDER BY it.seq";
    // The chunk first, as whoever deletes it locks them.
    VECTOR = "SELECT chunk_vectors.vector, chunk_vectors.digest FROM chunks \
        JOIN chunk_vectors ON chunk_vectors.seq = chunks.seq WHERE chunks.seq = $1";
    // Names the table, so that it is locked before the function is called.
    PLACE = "SELECT pg_relation_filenode('chunk_embeddings')::bigint, \
        (SELECT MIN(seq) FROM chunk_embeddings)";
    // All are counted: of the first one alone the planner thinks that it is found at once, in whatever
    // order it looks, also through the vectors of all stores.
    MISSING = concat!("WITH held AS MATERIALIZED (SELECT chunks.seq FROM vector_store_files",
        chunks_of_files!(), "WHERE vector_store_files.workspace_id = $1 \
        AND vector_store_files.store_id = $2 AND vector_store_files.embedding = $3 \
        AND vector_store_files.shown IS NOT NULL) \
        SELECT COUNT(*) FROM held JOIN chunk_vectors ON chunk_vectors.seq = held.seq \
        LEFT JOIN chunk_embeddings ON chunk_embeddings.seq = held.seq \
        AND chunk_embeddings.digest IS NOT DISTINCT FROM chunk_vectors.digest \
        WHERE chunk_embeddings.seq IS NULL");
    // The question is read once, and not once for each row, because it is asked for by a SELECT.
    NEAREST = concat!("SELECT chunks.seq, chunks.entry, \
        ((1 - (chunk_embeddings.embedding <=> (SELECT $1::text::vector))) * 1000000000)::bigint \
        FROM unnest($2::text::bigint[]) AS wanted (entry) \
        JOIN vector_store_files ON vector_store_files.seq = wanted.entry", chunks_of_files!(),
        "JOIN chunk_embeddings ON chunk_embeddings.seq = chunks.seq \
        WHERE vector_store_files.workspace_id = $3 AND vector_store_files.store_id = $4 \
        AND vector_store_files.embedding = $5 AND chunk_embeddings.dimensions = $6 \
        ORDER BY 3 DESC, 1 LIMIT $7");
}

/// Of which chunks the nearest are wanted.
#[derive(Debug, Clone)]
pub struct Near {
    /// What their vectors were made by.
    pub embedding: String,
    /// The numbers of their files.
    pub entries: Vec<i64>,
    /// What they are to be near to; nothing is near to `None`, or to a vector of length 0.
    pub questions: Vec<Option<Vec<f32>>>,
    /// The most for each question.
    pub most: u32,
}

/// A chunk near to a question.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Neighbour {
    /// The chunk.
    pub chunk: ChunkId,
    /// The number of its file.
    pub entry: i64,
    /// The cosine of its vector and the question.
    pub cosine: f64,
}

/// Says that the table had all vectors of a store: at a version of the store, in a place of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Complete {
    version: i64,
    place: i64,
}

/// What came of filling in vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Filled {
    /// How many were written.
    pub written: usize,
    /// Behind which number there may be more that are missing; none: there are no more.
    pub after: Option<i64>,
}

impl Chunks<'_> {
    /// The nearest chunks to each question, best first, by all vectors of a store. `None`: the database
    /// can not tell, because it has no pgvector, or not all of these vectors in its table.
    ///
    /// What comes along with an answer spares the next one the looking for missing vectors.
    pub async fn nearest(
        &self,
        ws: &WorkspaceId,
        store: &VectorStoreId,
        near: Near,
        known: Option<Complete>,
    ) -> Result<Option<(Complete, Vec<Vec<Neighbour>>)>, Error> {
        let (ws, store) = (ws.clone(), store.clone());
        self.0
            .read(move |tx| {
                if !tx.uses_pgvector() {
                    return Ok(None);
                }
                let Some(complete) = complete(tx, (&ws, &store), &near.embedding, known)? else {
                    return Ok(None);
                };
                let entries = near.entries.iter().map(ToString::to_string);
                let entries = format!("{{{}}}", entries.collect::<Vec<_>>().join(","));
                let most = i64::from(near.most);
                let mut lists = Vec::with_capacity(near.questions.len());
                for question in &near.questions {
                    let literal = question.as_ref().and_then(|it| literal(it.iter().copied()));
                    let Some((dimensions, question)) = literal else {
                        lists.push(Vec::new());
                        continue;
                    };
                    let embedding = &near.embedding;
                    let values =
                        values![question, &entries, &ws, &store, embedding, dimensions, most];
                    lists.push(tx.rows(NEAREST, values, |row| {
                        #[expect(
                            clippy::cast_precision_loss,
                            reason = "between -1 and 1, times a power of 10 that fits"
                        )]
                        let cosine = row.integer(2)? as f64 / ONE;
                        Ok(Neighbour {
                            chunk: ChunkId(row.integer(0)?),
                            entry: row.integer(1)?,
                            cosine,
                        })
                    })?);
                }
                Ok(Some((complete, lists)))
            })
            .await
    }

    /// Puts some vectors into the table that are missing there, of those behind a number: some dozens at the
    /// most. Without a table, none are.
    pub async fn fill_embeddings(&self, after: i64) -> Result<Filled, Error> {
        self.0
            .write(move |tx| {
                if !tx.uses_pgvector() {
                    return Ok(Filled::default());
                }
                let looked = tx.rows(LOOK, values![after, LOOKED_AT], |row| {
                    Ok((row.integer(0)?, row.integer(1)? != 0))
                })?;
                let missing = looked.iter().filter(|(_, is_missing)| *is_missing);
                let missing: Vec<i64> = missing.map(|(seq, _)| *seq).take(FILLED).collect();
                let after = if missing.len() == FILLED {
                    missing.last().copied()
                } else {
                    looked.last().map(|(seq, _)| *seq)
                };
                let mut rows = Vec::with_capacity(missing.len());
                for seq in missing {
                    rows.extend(tx.lock(VECTOR, values![seq], |row| {
                        let digest = row.optional_bytes(1)?.map(<[u8]>::to_vec);
                        Ok((seq, row.bytes(0)?.to_vec(), digest))
                    })?);
                }
                let rows = rows
                    .iter()
                    .map(|(seq, vector, digest)| (*seq, &vector[..], digest.as_deref()));
                let written = keep(tx, rows)?;
                Ok(Filled { written, after })
            })
            .await
    }
}

/// Whether the table has all vectors of a store that `embedding` made.
fn complete(
    tx: &mut dyn Tx,
    (ws, store): (&WorkspaceId, &VectorStoreId),
    embedding: &str,
    known: Option<Complete>,
) -> Result<Option<Complete>, Error> {
    let version = version_of(tx, ws, store)?;
    let place = tx.row(PLACE, &[], |row| row.integer(0))?;
    let (Some(version), Some(place)) = (version, place) else {
        return Ok(None);
    };
    let now = Complete { version, place };
    if known == Some(now) {
        return Ok(known);
    }
    let missing = tx.row(MISSING, values![ws, store, embedding], |row| row.integer(0))?;
    Ok((missing == Some(0)).then_some(now))
}

/// Keeps vectors in the table, if there is one: of each the number of its chunk, itself, and its digest.
/// Returns how many. What is no vector is left out.
pub(crate) fn keep<'v>(
    tx: &mut dyn Tx,
    vectors: impl Iterator<Item = (i64, &'v [u8], Option<&'v [u8]>)>,
) -> Result<usize, Error> {
    if !tx.uses_pgvector() {
        return Ok(0);
    }
    let rows: Vec<Vec<Value<'_>>> = vectors
        .filter_map(|(seq, stored, digest)| {
            let (dimensions, literal) = literal(numbers(stored)?)?;
            Some(values![seq, digest, dimensions, literal].to_vec())
        })
        .collect();
    tx.execute_all(KEEP, &rows)?;
    Ok(rows.len())
}

/// The same of rows that were copied: `seq`, vector, digest.
pub(crate) fn keep_copied(
    tx: &mut dyn Tx,
    rows: &[Vec<Value<'_>>],
    _words_of: fn(&str) -> String,
) -> Result<(), Error> {
    let mut vectors = Vec::with_capacity(rows.len());
    for row in rows {
        let [Value::Integer(seq), Value::Bytes(vector), digest] = &row[..] else {
            return Err(Error::corrupt("a vector of another form"));
        };
        let digest = match digest {
            Value::Bytes(digest) => Some(&**digest),
            _ => None,
        };
        vectors.push((*seq, &**vector, digest));
    }
    keep(tx, vectors.into_iter()).map(|_| ())
}

/// The numbers of a vector, which follow its code: of `n` numbers, 4 bytes and one for each, then four
/// for each, little endian.
fn numbers(stored: &[u8]) -> Option<impl Iterator<Item = f32> + Clone> {
    let rest = stored.len().checked_sub(4)?;
    let numbers = stored.get(4 + rest / 5..)?;
    let (numbers, []) = numbers.as_chunks::<4>() else {
        return None;
    };
    let is_vector = numbers.len() * 5 == rest;
    is_vector.then(|| numbers.iter().copied().map(f32::from_le_bytes))
}

/// A vector as text, made 1 long, so that no sum over it is too large for a number; and how many numbers
/// it has. `None`: it has no direction.
fn literal(numbers: impl Iterator<Item = f32> + Clone) -> Option<(i64, String)> {
    let squares = numbers.clone().map(|number| f64::from(number).powi(2));
    let length = squares.sum::<f64>().sqrt();
    if !length.is_finite() || length == 0.0 {
        return None;
    }
    let (mut dimensions, mut text) = (0, String::from("["));
    for number in numbers {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "to the numbers of the extension"
        )]
        let number = (f64::from(number) / length) as f32;
        let comma = if dimensions == 0 { "" } else { "," };
        let _ = write!(text, "{comma}{number}");
        dimensions += 1;
    }
    text.push(']');
    Some((dimensions, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_becomes_a_text_of_length_1() {
        let stored = |numbers: &[f32]| {
            let code = vec![1; 4 + numbers.len()];
            let numbers = numbers.iter().flat_map(|it| it.to_le_bytes());
            code.into_iter().chain(numbers).collect::<Vec<u8>>()
        };
        let text = |vector: &[u8]| numbers(vector).and_then(literal);
        let expected = Some((2, "[0.6,-0.8]".to_owned()));
        assert_eq!(text(&stored(&[3.0, -4.0])), expected);
        for scale in [2_f32.powi(100), 2_f32.powi(-100)] {
            assert_eq!(text(&stored(&[3.0 * scale, -4.0 * scale])), expected);
        }
        assert_eq!(text(&stored(&[0.0, 0.0])), None);
        assert_eq!(text(&stored(&[f32::NAN, 1.0])), None);
        let whole = stored(&[1.0, 2.0, 3.0]);
        assert_eq!(whole.len(), 4 + 3 + 12);
        for length in 0..whole.len() {
            let rest = length.saturating_sub(4);
            let is_shorter_one = length > 4 && rest % 5 == 0;
            assert_eq!(text(&whole[..length]).is_some(), is_shorter_one, "{length}");
        }
    }
}
