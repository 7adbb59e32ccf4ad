//! Words: what the full text index is given, and what a query asks it.
//!
//! Both engines are given terms that are ready, so that they find the same: [`index_text`] puts a space between a chunk's
//! terms, [`terms`] makes the same terms of a query. Terms consist of letters and digits alone: nothing in a query can be
//! taken for syntax.
//!
//! * Letters lose their accents and their case (`Übergröße`, `UBERGROSSE` and `ubergröße` are one word, as far as
//!   Unicode's compatibility forms and case folding go).
//! * A name in code is found whole and by its parts: `getUserById`, `get_user_by_id` and `GET-USER-BY-ID` share `get`, `user`,
//!   `by`, `id`; the first two also `getuserbyid`.
//! * English words are brought to their stem (Snowball's): `policy` and `policies` are `polici`. Words with letters beyond
//!   ASCII are not English.
//! * Scripts that put no space between words (Chinese, Japanese, Thai, Lao, Khmer, Myanmar), and Korean, whose words have endings,
//!   become overlapping pairs of characters: `東京都` is `東京 京都`. A single character is itself.
//! * Stop words are indexed, and left out of a query that has other words.

mod analysis;

use std::borrow::Cow;

use rust_stemmers::{Algorithm, Stemmer};

/// The longest term, in characters: of a longer word only the beginning counts. PostgreSQL takes 2046 bytes.
pub const MAX_TERM: usize = 100;
/// Terms of a query that are searched for: as many as there are bits to tell which were found.
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

/// A text's terms with spaces between them: what a full text index is given.
pub fn index_text(text: &str) -> String {
    let stemmer = Stemmer::create(Algorithm::English);
    let mut indexed = String::with_capacity(text.len() + text.len() / 4);
    analysis::each_word(text, |word| {
        if !indexed.is_empty() {
            indexed.push(' ');
        }
        indexed.push_str(&stem(&stemmer, word));
    });
    indexed
}

/// The terms of a query, each once, in order: without stop words, unless there is nothing else.
pub fn terms(query: &str) -> Vec<String> {
    let stemmer = Stemmer::create(Algorithm::English);
    let (mut telling, mut all): (Vec<String>, Vec<String>) = Default::default();
    analysis::each_word(query, |word| {
        let term = stem(&stemmer, word);
        for terms in [
            Some(&mut all),
            (!is_stop_word(word)).then_some(&mut telling),
        ] {
            if let Some(terms) = terms.filter(|terms| terms.len() < MAX_TERMS)
                && !terms.iter().any(|known| *known == term)
            {
                terms.push(term.to_string());
            }
        }
    });
    if telling.is_empty() { all } else { telling }
}

/// The part of a query's terms that a text holds, 0 to 1, longer words counting more: the evidence that a lexical
/// ranking brings to [`crate::fuse`], once it is multiplied with [`LEXICAL_EVIDENCE`]. Bit `n` of `held`: it holds
/// term `n`.
pub fn coverage(terms: &[String], held: u64) -> f32 {
    let (mut found, mut all) = (0.0, 0.0);
    for (place, term) in (0..MAX_TERMS).zip(terms) {
        #[expect(clippy::cast_precision_loss, reason = "at most a hundred")]
        let weight = term.chars().count().min(12) as f32;
        all += weight;
        if held >> place & 1 == 1 {
            found += weight;
        }
    }
    if all > 0.0 { found / all } else { 0.0 }
}

/// What is left of a word in all its forms.
fn stem<'w>(stemmer: &Stemmer, word: &'w str) -> Cow<'w, str> {
    if word.is_ascii() {
        stemmer.stem(word)
    } else {
        word.into()
    }
}

fn is_stop_word(term: &str) -> bool {
    STOP_WORDS.binary_search(&term).is_ok()
}

#[cfg(test)]
mod tests;
