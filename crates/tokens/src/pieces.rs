//! A text's pieces, as a vocabulary's expression splits them.

use std::sync::LazyLock;

use regex::Regex;

/// The longest piece.
pub const PIECE_BYTES: usize = 256;
/// How far the expression looks for a piece's end: further than the longest piece, so that an end before
/// [`PIECE_BYTES`] is always the piece's own.
const LOOK_BYTES: usize = 2 * PIECE_BYTES;
/// The longest word that is found without the expression.
const WORD_BYTES: usize = 24;

/// How a vocabulary splits.
#[derive(Debug)]
pub(crate) struct Splitting {
    /// The vocabulary's expression, anchored, without its `\s+(?!\S)`: see [`shortened`].
    expression: LazyLock<Option<Regex>>,
    /// Whether letters of both cases are one piece, and nothing is added to them.
    has_plain_words: bool,
}

pub(crate) static CL100K_BASE: Splitting = Splitting {
    expression: LazyLock::new(|| {
        Regex::new(concat!(
            r"^(?:(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
            r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+)"
        ))
        .ok()
    }),
    has_plain_words: true,
};

pub(crate) static O200K_BASE: Splitting = Splitting {
    expression: LazyLock::new(|| {
        Regex::new(concat!(
            r"^(?:[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
            r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+)"
        ))
        .ok()
    }),
    has_plain_words: false,
};

/// The pieces of a text, in order.
#[derive(Debug, Clone)]
pub struct Pieces<'text> {
    splitting: &'static Splitting,
    rest: &'text str,
}

impl<'text> Pieces<'text> {
    pub(crate) fn new(splitting: &'static Splitting, text: &'text str) -> Self {
        Self {
            splitting,
            rest: text,
        }
    }
}

impl<'text> Iterator for Pieces<'text> {
    type Item = &'text str;

    fn next(&mut self) -> Option<&'text str> {
        if self.rest.is_empty() {
            return None;
        }
        let (piece, rest) = self.rest.split_at(self.splitting.length(self.rest));
        self.rest = rest;
        Some(piece)
    }
}

impl Splitting {
    /// Bytes of the first piece of a text that is not empty.
    fn length(&self, text: &str) -> usize {
        if self.has_plain_words
            && let Some(length) = ascii_word(text.as_bytes())
        {
            return length;
        }
        let look = &text[..text.floor_char_boundary(LOOK_BYTES)];
        let found = self.expression.as_ref().and_then(|it| it.find(look));
        // Every character belongs to one of the expression's classes; were one left out, it would be a piece.
        let piece = match found {
            Some(found) if !found.is_empty() => found.as_str(),
            _ => return text.ceil_char_boundary(1),
        };
        if piece.len() > PIECE_BYTES {
            piece.floor_char_boundary(PIECE_BYTES)
        } else {
            shortened(piece, &text[piece.len()..])
        }
    }
}

/// The most frequent piece, found without the expression: a space perhaps, letters, and no letter behind them.
fn ascii_word(text: &[u8]) -> Option<usize> {
    let start = usize::from(text.first() == Some(&b' '));
    let letters = text.get(start..)?.iter().take(WORD_BYTES + 1);
    let length = letters
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let end = start + length;
    let behind = text.get(end).is_none_or(u8::is_ascii);
    (length > 0 && length <= WORD_BYTES && behind).then_some(end)
}

/// White space without a line's end, before a word, leaves its last character to the word: `\s+(?!\S)`.
fn shortened(piece: &str, behind: &str) -> usize {
    let mut characters = piece.chars();
    let last = characters
        .next_back()
        .filter(|last| last.is_whitespace() && !matches!(last, '\n' | '\r'));
    let word_follows = behind
        .chars()
        .next()
        .is_some_and(|next| !next.is_whitespace());
    match last {
        Some(last) if word_follows && !characters.as_str().is_empty() => {
            piece.len() - last.len_utf8()
        }
        _ => piece.len(),
    }
}
