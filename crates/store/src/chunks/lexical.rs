//! Search by words. Each engine has a way of its own.
//!
//! What is a word, and which are forms of one, is decided by whoever writes chunks and asks for them, so that
//! both engines find the same. A chunk's words stand in the index together with its store's mark, so that a search
//! reads none of another store's.
//!
//! SQLite ranks by BM25 (`postings.rs`). What PostgreSQL has in its place knows no rarity of words: each word's
//! rank, which levels off with how often it occurs and falls with the length of the chunk, is
//! weighted by it as BM25 does.

use std::{collections::BTreeSet, ops::ControlFlow};

use loomgate_domain::{
    VectorStoreId, WorkspaceId,
    vector_store::{Attributes, ChunkId},
};

use super::{
    AT_ONCE, LexicalHit, at_once, named,
    postings::{self, RankedChunk},
    searched,
};
use crate::{
    Error,
    tx::{Dialect, Tx, postgres_statements, statements, values},
};

/// The most words of a search: a bit for each tells whether a chunk has it.
const WORDS: usize = 64;

statements! {
    SCOPE = "SELECT seq, chunks FROM vector_stores \
        WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL";
    SEARCHED = concat!("SELECT chunks.seq, vector_store_files.attributes FROM chunks ", searched!(),
        " WHERE chunks.workspace_id = $1 AND chunks.seq IN ", at_once!());
}

postgres_statements! {
    // Parameters: the words, the marks of the stores, how many chunks these have, the workspace. The
    // best are looked up one after the other until there are enough, whatever the server takes the
    // tables' sizes for: it would as soon go through all chunks, and through all that is ranked for each.
    SEARCH_WEIGHTED = "WITH word AS (SELECT '''' || word || '''' AS word, \
            MIN(place)::int - 1 AS place \
            FROM regexp_split_to_table($1, ' ') WITH ORDINALITY AS words (word, place) \
            WHERE word <> '' GROUP BY 1), \
        hit AS (SELECT chunk_terms.seq, word.word, word.place, \
            ts_rank(chunk_terms.terms, word.word::tsquery, 1) AS rank FROM word \
            JOIN chunk_terms ON chunk_terms.terms @@ ($2::text || ' & ' || word.word)::tsquery), \
        rarity AS (SELECT word, \
            ln(1 + GREATEST($3::bigint - COUNT(*) + 0.5, 0.5) / (COUNT(*) + 0.5)) AS rarity \
            FROM hit GROUP BY word), \
        ranked AS (SELECT hit.seq, SUM(hit.rank * rarity.rarity) AS score, \
            BIT_OR(1::bigint << hit.place) AS held FROM hit \
            JOIN rarity ON rarity.word = hit.word GROUP BY hit.seq) \
        SELECT chunk.seq, chunk.attributes, CEIL(best.score * 1000000)::bigint, best.held \
        FROM (SELECT seq, score, held FROM ranked ORDER BY score DESC, seq OFFSET 0) AS best \
        CROSS JOIN LATERAL (SELECT chunks.seq, file.attributes FROM chunks \
            CROSS JOIN LATERAL (SELECT workspace_id, shown, attributes FROM vector_store_files \
                WHERE seq = chunks.entry OFFSET 0) AS file \
            WHERE chunks.seq = best.seq AND chunks.workspace_id = $4 \
            AND file.workspace_id = $4 AND file.shown = chunks.generation OFFSET 0) AS chunk \
        ORDER BY best.score DESC, best.seq LIMIT $5 OFFSET $6";
}

/// Finds the chunks that fit best.
pub(super) fn search(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    stores: &[VectorStoreId],
    (words, most): (&[String], u32),
    accept: &dyn Fn(&Attributes) -> bool,
) -> Result<Vec<LexicalHit>, Error> {
    let mut scopes = Vec::with_capacity(stores.len());
    let mut chunks = 0;
    for store in stores {
        let scope = tx.row(SCOPE, values![ws, store], |row| {
            Ok((row.integer(0)?, row.integer(1)?))
        })?;
        if let Some((seq, count)) = scope {
            scopes.push(seq);
            chunks += count;
        }
    }
    let words = (0..).zip(words).take(WORDS);
    let words: Vec<_> = words
        .filter_map(|(place, word)| Some((place, plain(word)?)))
        .collect();
    if scopes.is_empty() || words.is_empty() || most == 0 {
        return Ok(Vec::new());
    }
    let wanted = Wanted {
        scopes: &scopes,
        chunks,
        words: &words,
        most: most as usize,
        accept,
    };
    match tx.dialect() {
        Dialect::Sqlite => sqlite(tx, ws, &wanted),
        Dialect::Postgres => postgres(tx, ws, &wanted),
    }
}

/// What is searched for.
struct Wanted<'w> {
    /// The marks of the stores.
    scopes: &'w [i64],
    /// How many chunks these have.
    chunks: i64,
    /// With their places.
    words: &'w [(u32, &'w str)],
    most: usize,
    accept: &'w dyn Fn(&Attributes) -> bool,
}

fn sqlite(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    wanted: &Wanted<'_>,
) -> Result<Vec<LexicalHit>, Error> {
    let mut ranked = postings::rank(tx, (wanted.scopes, wanted.chunks), wanted.words)?;
    let mut hits = Vec::new();
    // Nearly all of them are accepted, or few are.
    let mut at_once = wanted.most.min(AT_ONCE);
    while hits.len() < wanted.most {
        let some: Vec<_> = ranked.by_ref().take(at_once).collect();
        if some.is_empty() {
            break;
        }
        let ids: Vec<_> = some.iter().map(|chunk| chunk.id).collect();
        // One that is not searched any more, or not yet, is not there.
        let mut accepted = BTreeSet::new();
        tx.visit(SEARCHED, &named(ws, &ids), &mut |row| {
            if (wanted.accept)(&row.json(1)?) {
                accepted.insert(ChunkId(row.integer(0)?));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        at_once = if accepted.len() == some.len() {
            wanted
                .most
                .saturating_sub(hits.len() + some.len())
                .min(AT_ONCE)
        } else {
            AT_ONCE
        };
        let some = some.into_iter().filter(|it| accepted.contains(&it.id));
        hits.extend(some.map(|RankedChunk { id, score, held }| LexicalHit {
            chunk: id,
            score: millionths(score),
            held,
        }));
    }
    hits.truncate(wanted.most);
    Ok(hits)
}

/// Asks for a page of what it has found, and for larger ones while few of that are taken.
fn postgres(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    wanted: &Wanted<'_>,
) -> Result<Vec<LexicalHit>, Error> {
    // What is no word keeps its place.
    let mut words = vec![""; WORDS];
    for (place, word) in wanted.words {
        words[*place as usize] = word;
    }
    let words = words.join(" ");
    let marks: Vec<String> = wanted.scopes.iter().copied().map(postgres_mark).collect();
    let marks = format!("({})", marks.join(" | "));
    let mut hits = Vec::new();
    let (mut offset, mut window) = (0, i64::try_from(wanted.most).unwrap_or(i64::MAX));
    loop {
        let mut seen = 0;
        let values = values![&words, &marks, wanted.chunks, ws, window, offset];
        tx.visit(SEARCH_WEIGHTED, values, &mut |row| {
            seen += 1;
            if (wanted.accept)(&row.json(1)?) {
                hits.push(LexicalHit {
                    chunk: ChunkId(row.integer(0)?),
                    score: millionths(row.integer(2)?),
                    held: row.integer(3)?.cast_unsigned(),
                });
            }
            Ok(if hits.len() < wanted.most {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        if hits.len() >= wanted.most || seen < window {
            return Ok(hits);
        }
        offset += window;
        window = window.saturating_mul(4);
    }
}

/// The mark of a store in PostgreSQL's index, where it stands among the words: none of them has a slash.
pub(super) fn postgres_mark(scope: i64) -> String {
    format!("'/s{scope}'")
}

/// A word, unless something in it could be taken for more than a letter: those are no words.
pub(super) fn plain(word: &str) -> Option<&str> {
    let is_plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric();
    Some(word).filter(|word| !word.is_empty() && word.chars().all(is_plain))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ranks are small numbers, and only compared"
)]
fn millionths(score: i64) -> f64 {
    score.max(1) as f64 / 1e6
}
