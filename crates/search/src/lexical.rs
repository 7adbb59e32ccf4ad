//! Words: what the full text index is given, and what a query asks it.
//!
//! Both engines are given text that is already analysed, so that they find the same: [`index_text`] puts a space
//! between a chunk's terms, [`terms`] makes the same terms of a query, and [`fts5_match`] and [`tsquery`] ask for
//! any of them. Terms consist of letters and digits alone: nothing in a query can be taken for syntax.
//!
//! * Letters lose their accents and their case (`Übergröße`, `UBERGROSSE` and `ubergröße` are one word, as far as
//!   Unicode's compatibility forms and case folding go).
//! * A name in code is found whole and by its parts: `getUserById`, `get_user_by_id` and `GET-USER-BY-ID` share `get`, `user`,
//!   `by`, `id`; the first two also `getuserbyid`.
//! * Scripts that put no space between words (Chinese, Japanese, Thai, Lao, Khmer, Myanmar), and Korean, whose words have endings,
//!   become overlapping pairs of characters: `東京都` is `東京 京都`. A single character is itself.
//! * Stems are the engine's: FTS5's `porter`, PostgreSQL's `english`.
//! * Stop words are indexed, and left out of a query that has other words.

mod analysis;

use foldhash::HashSet;

pub use self::analysis::index_text;

/// The longest term, in characters: of a longer word only the beginning counts. PostgreSQL takes 2046 bytes.
pub const MAX_TERM: usize = 100;
/// Terms of a query that are searched for.
pub const MAX_TERMS: usize = 64;

/// What little weight the words alone have, against the same number as a cosine: a chunk with all words of a query has
/// evidence of this. See [`crate::fuse`].
pub const LEXICAL_EVIDENCE: f32 = 0.7;

/// English words that say little about what a question is about.
const STOP_WORDS: &[&str] = &[
    "a", "about", "am", "an", "and", "any", "are", "as", "at", "be", "been", "being", "but", "by",
    "can", "could", "did", "do", "does", "doing", "for", "from", "had", "has", "have", "having",
    "he", "her", "hers", "him", "his", "how", "i", "if", "in", "into", "is", "it", "its", "itself",
    "me", "my", "no", "nor", "of", "on", "or", "our", "ours", "s", "she", "should", "so", "some",
    "such", "t", "than", "that", "the", "their", "theirs", "them", "then", "there", "these",
    "they", "this", "those", "to", "was", "we", "were", "what", "when", "where", "which", "while",
    "who", "whom", "why", "will", "with", "would", "you", "your", "yours",
];

/// The terms of a query, each once, in order: without stop words, unless there is nothing else.
pub fn terms(query: &str) -> Vec<String> {
    let mut seen = HashSet::default();
    let mut all = Vec::new();
    analysis::each_term(query, |term| {
        if all.len() < 4 * MAX_TERMS && seen.insert(term.to_owned()) {
            all.push(term.to_owned());
        }
    });
    let mut telling: Vec<String> = all
        .iter()
        .filter(|term| !is_stop_word(term))
        .cloned()
        .collect();
    if telling.is_empty() {
        telling = all;
    }
    telling.truncate(MAX_TERMS);
    telling
}

/// The text of an FTS5 `MATCH` for chunks with any of the terms; nothing if there are none.
pub fn fts5_match(terms: &[String]) -> Option<String> {
    joined(terms, '"', " OR ")
}

/// The text for PostgreSQL's `to_tsquery` for chunks with any of the terms; nothing if there are none.
pub fn tsquery(terms: &[String]) -> Option<String> {
    joined(terms, '\'', " | ")
}

fn joined(terms: &[String], quote: char, or: &str) -> Option<String> {
    // Terms that did not come from `terms` must not become syntax either.
    let clean = terms.iter().map(|term| {
        term.chars()
            .filter(|&character| analysis::is_word(character))
            .collect::<String>()
    });
    let quoted: Vec<String> = clean
        .filter(|term| !term.is_empty())
        .map(|term| format!("{quote}{term}{quote}"))
        .collect();
    (!quoted.is_empty()).then(|| quoted.join(or))
}

/// The part of a query's terms that a text holds, 0 to 1, longer words counting more: the evidence that a lexical
/// ranking brings to [`crate::fuse`], once it is multiplied with [`LEXICAL_EVIDENCE`]. A word counts as held in
/// another form too (`refund`, `refunds`, `refunded`).
pub fn coverage(terms: &[String], text: &str) -> f32 {
    let mut held: HashSet<String> = HashSet::default();
    analysis::each_term(text, |term| {
        held.insert(stem(term).to_owned());
    });
    let (mut found, mut all) = (0.0, 0.0);
    for term in terms {
        #[expect(clippy::cast_precision_loss, reason = "at most a hundred")]
        let weight = term.chars().count().min(12) as f32;
        all += weight;
        if held.contains(stem(term)) {
            found += weight;
        }
    }
    if all > 0.0 { found / all } else { 0.0 }
}

fn is_stop_word(term: &str) -> bool {
    STOP_WORDS.binary_search(&term).is_ok()
}

/// A word without its commonest English ending: enough to tell that two forms are one word, no linguistics.
fn stem(term: &str) -> &str {
    let endings = ["ings", "ing", "ies", "ied", "ed", "es", "s", "y", "e"];
    let stems = endings
        .iter()
        .filter_map(|ending| term.strip_suffix(ending));
    let mut long = stems.filter(|stem| stem.len() >= 3);
    long.next().unwrap_or(term)
}

#[cfg(test)]
mod tests;
