//! Search by words. Each engine has a text of its own.
//!
//! What is a word is decided by whoever writes chunks and asks for them, so that both engines find the
//! same; they only bring English words to their stem.
//!
//! SQLite ranks by BM25. What PostgreSQL has in its place knows no rarity of words: each word's rank,
//! which levels off with how often it occurs and falls with the length of the chunk, is weighted by
//! it as BM25 does.
//!
//! A chunk's words stand in the index together with its store's mark, so that a search reads none
//! of another store's.

use std::ops::ControlFlow;

use loomgate_domain::{VectorStoreId, WorkspaceId, vector_store::Attributes};

use super::{COLUMNS, LexicalHit, columns, read, shown};
use crate::{
    Error,
    tx::{Dialect, Tx, postgres_statements, sqlite_statements, statements, values},
};

statements! {
    SCOPE = "SELECT seq, chunks FROM vector_stores \
        WHERE workspace_id = $1 AND id = $2 AND deleted_at IS NULL";
}

sqlite_statements! {
    SEARCH = concat!("SELECT ", columns!(), ", \
        CAST(chunk_terms.rank * -1000000 AS INTEGER) FROM chunk_terms \
        CROSS JOIN chunks ON chunks.seq = chunk_terms.rowid ", shown!("CROSS JOIN"), " \
        WHERE chunk_terms MATCH $1 AND chunks.workspace_id = $2 ORDER BY chunk_terms.rank \
        LIMIT $3 OFFSET $4");
}

postgres_statements! {
    // Parameters: the words, the marks of the stores, how many chunks these have, the workspace.
    SEARCH_WEIGHTED = concat!("WITH word AS (SELECT DISTINCT '''' || \
            COALESCE((ts_lexize('english_stem', word))[1], word) || '''' AS word \
            FROM regexp_split_to_table($1, ' ') AS word), \
        hit AS (SELECT chunk_terms.seq, word.word, \
            ts_rank(chunk_terms.terms, word.word::tsquery, 1) AS rank FROM word \
            JOIN chunk_terms ON chunk_terms.terms @@ ($2::text || ' & ' || word.word)::tsquery), \
        rarity AS (SELECT word, \
            ln(1 + GREATEST($3::bigint - COUNT(*) + 0.5, 0.5) / (COUNT(*) + 0.5)) AS rarity \
            FROM hit GROUP BY word), \
        ranked AS (SELECT hit.seq, SUM(hit.rank * rarity.rarity) AS score FROM hit \
            JOIN rarity ON rarity.word = hit.word GROUP BY hit.seq) \
        SELECT ", columns!(), ", CEIL(ranked.score * 1000000)::bigint FROM ranked \
        JOIN chunks ON chunks.seq = ranked.seq ", shown!("JOIN"), " \
        WHERE chunks.workspace_id = $4 ORDER BY ranked.score DESC, chunks.seq LIMIT $5 OFFSET $6");
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
    let words: Vec<&str> = words.iter().filter_map(|word| plain(word)).collect();
    if scopes.is_empty() || words.is_empty() || most == 0 {
        return Ok(Vec::new());
    }
    let (sql, values, mut window) = match tx.dialect() {
        // Makes rows as they are looked at.
        Dialect::Sqlite => {
            let values = values![sqlite_query(&scopes, &words), ws].to_vec();
            (SEARCH, values, i64::MAX)
        }
        // Makes and sends all that it was asked for.
        Dialect::Postgres => {
            let values = values![words.join(" "), postgres_scope(&scopes), chunks, ws].to_vec();
            (SEARCH_WEIGHTED, values, i64::from(most))
        }
    };
    let (mut hits, mut offset) = (Vec::new(), 0);
    loop {
        let mut seen = 0;
        let mut values = values.clone();
        values.extend_from_slice(values![window, offset]);
        tx.visit(sql, &values, &mut |row| {
            seen += 1;
            let chunk = read(row)?;
            if accept(&chunk.attributes) {
                let score = score(row.integer(COLUMNS)?);
                hits.push(LexicalHit { chunk, score });
            }
            Ok(if hits.len() < most as usize {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        if hits.len() >= most as usize || seen < window {
            return Ok(hits);
        }
        // Few are taken: more at a time.
        offset += window;
        window = window.saturating_mul(4);
    }
}

/// The mark of a store, in SQLite's index.
pub(super) fn sqlite_mark(scope: i64) -> String {
    format!("s{scope}")
}

/// In PostgreSQL's, where it stands among the words: none of them has a slash.
pub(super) fn postgres_mark(scope: i64) -> String {
    format!("'/s{scope}'")
}

/// A word, unless something in it could be taken for more than a letter: those are no words.
pub(super) fn plain(word: &str) -> Option<&str> {
    let is_plain = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric();
    Some(word).filter(|word| !word.is_empty() && word.chars().all(is_plain))
}

fn sqlite_query(scopes: &[i64], words: &[&str]) -> String {
    let any = |of: Vec<String>| of.join(" OR ");
    let scopes = scopes.iter().map(|scope| sqlite_mark(*scope)).collect();
    let words = words.iter().map(|word| format!("\"{word}\"")).collect();
    format!("scope : ({}) AND terms : ({})", any(scopes), any(words))
}

fn postgres_scope(scopes: &[i64]) -> String {
    let marks: Vec<String> = scopes.iter().map(|scope| postgres_mark(*scope)).collect();
    format!("({})", marks.join(" | "))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ranks are small numbers, and only compared"
)]
fn score(millionths: i64) -> f64 {
    millionths.max(1) as f64 / 1e6
}
