//! Counts tokens of `cl100k_base`, the vocabulary of the original's embedding models, in linear time.
//!
//! The vocabulary first splits a text into pieces (words with the space before them, numbers of up to three
//! digits, runs of signs, white space), then each piece into tokens. The split is done here, without the
//! backtracking of the vocabulary's own expression; the tokens of a piece are tiktoken's, and are
//! remembered for short pieces, of which a text has few different ones.
//!
//! The cost of tokens grows with the square of a piece's length, so that a piece ends after [`PIECE_BYTES`]
//! at the latest. Texts without longer pieces are counted exactly as tiktoken counts them.

use std::{collections::VecDeque, sync::LazyLock};

use foldhash::HashMap;
use regex::Regex;

/// The longest piece that is split into tokens as one.
const PIECE_BYTES: usize = 256;
/// How far the expression looks for a piece's end: further than the longest piece, so that an end before
/// [`PIECE_BYTES`] is always the piece's own.
const LOOK_BYTES: usize = 2 * PIECE_BYTES;
/// A piece of more tokens is handed out token by token, so that a chunk may be cut inside it.
const ATOM_TOKENS: usize = 8;
/// Pieces up to this length are remembered, and so many of them: about 3 MB.
const REMEMBERED_BYTES: usize = 24;
const REMEMBERED_PIECES: usize = 32 * 1024;

/// The split of `cl100k_base`, anchored, without its `\s+(?!\S)`: see [`shortened`].
static PIECE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^(?:(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}",
        r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+)"
    ))
    .ok()
});

/// The smallest part of a text that a chunk may end behind: a piece, or a part of a long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Atom {
    pub(crate) bytes: usize,
    pub(crate) tokens: usize,
}

/// The atoms of a text, in order. Together they are the whole text.
pub(crate) struct Atoms<'text> {
    rest: &'text str,
    /// Atoms of the piece that was cut last.
    ready: VecDeque<Atom>,
    remembered: HashMap<&'text str, usize>,
}

impl<'text> Atoms<'text> {
    pub(crate) fn new(text: &'text str) -> Self {
        Self {
            rest: text,
            ready: VecDeque::new(),
            remembered: HashMap::default(),
        }
    }

    fn first_atom(&mut self, piece: &'text str) -> Atom {
        let bytes = piece.len();
        if let Some(&tokens) = self.remembered.get(piece) {
            return Atom { bytes, tokens };
        }
        let bpe = tiktoken_rs::cl100k_base_singleton();
        let encoded = bpe.encode_ordinary(piece);
        let tokens = encoded.len();
        if tokens > ATOM_TOKENS {
            let lengths = bpe
                ._decode_native_and_split(encoded)
                .map(|token| token.len());
            self.ready.extend(parts(piece, lengths));
        } else {
            if bytes <= REMEMBERED_BYTES {
                if self.remembered.len() >= REMEMBERED_PIECES {
                    self.remembered.clear();
                }
                self.remembered.insert(piece, tokens);
            }
            self.ready.push_back(Atom { bytes, tokens });
        }
        self.ready.pop_front().unwrap_or(Atom { bytes, tokens })
    }
}

impl Iterator for Atoms<'_> {
    type Item = Atom;

    fn next(&mut self) -> Option<Atom> {
        if let Some(atom) = self.ready.pop_front() {
            return Some(atom);
        }
        if self.rest.is_empty() {
            return None;
        }
        let (piece, rest) = self.rest.split_at(piece_length(self.rest));
        self.rest = rest;
        Some(self.first_atom(piece))
    }
}

/// Tokens of a text: what `cl100k_base` makes of it.
pub fn count_tokens(text: &str) -> usize {
    Atoms::new(text).map(|atom| atom.tokens).sum()
}

/// Bytes of the first piece of a text that is not empty.
fn piece_length(text: &str) -> usize {
    if let Some(length) = ascii_word(text.as_bytes()) {
        return length;
    }
    let look = &text[..text.floor_char_boundary(LOOK_BYTES)];
    let found = PIECE.as_ref().and_then(|piece| piece.find(look));
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

/// The most frequent piece, found without the expression: a space perhaps, letters, and no letter behind them.
fn ascii_word(text: &[u8]) -> Option<usize> {
    let start = usize::from(text.first() == Some(&b' '));
    let letters = text.get(start..)?.iter().take(REMEMBERED_BYTES + 1);
    let length = letters
        .take_while(|byte| byte.is_ascii_alphabetic())
        .count();
    let end = start + length;
    let behind = text.get(end).is_none_or(u8::is_ascii);
    (length > 0 && length <= REMEMBERED_BYTES && behind).then_some(end)
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

/// A piece's tokens as atoms; tokens that share a character stay together.
fn parts(piece: &str, lengths: impl Iterator<Item = usize>) -> impl Iterator<Item = Atom> {
    let mut end = 0;
    let mut open = Atom {
        bytes: 0,
        tokens: 0,
    };
    lengths.filter_map(move |length| {
        end += length;
        open.bytes += length;
        open.tokens += 1;
        piece.is_char_boundary(end).then(|| {
            std::mem::replace(
                &mut open,
                Atom {
                    bytes: 0,
                    tokens: 0,
                },
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tiktoken(text: &str) -> usize {
        tiktoken_rs::cl100k_base_singleton()
            .encode_ordinary(text)
            .len()
    }

    #[test]
    fn texts_are_counted_as_tiktoken_counts_them() {
        for text in [
            "",
            "Hello, world!",
            "  indented\n\n\tcode: fn main() { println!(\"{}\", 12345.678); }\r\n",
            "It's they'RE I'ſ 'tis x's",
            "Übergrößenträger 漢字かな交じり文、日本語。 👩‍👩‍👧 🇩🇪🇫🇷 हिन्दी नमस्ते",
            "trailing space   ",
            " \u{a0}\u{3000} x \u{2028} y ½ Ⅷ ٣",
            "MixedCase_snake_case-kebab/path.rs::Type<'a>",
        ] {
            assert_eq!(count_tokens(text), tiktoken(text), "{text:?}");
        }
    }

    #[test]
    fn one_long_word_takes_linear_time_and_is_covered() {
        for text in [
            "a".repeat(1_000_000),
            "é ".repeat(300_000),
            " ".repeat(1_000_000),
            "!".repeat(500_000),
        ] {
            let bytes: usize = Atoms::new(&text).map(|atom| atom.bytes).sum();
            assert_eq!(bytes, text.len());
        }
    }

    proptest! {
        #[test]
        fn any_text_is_counted_as_tiktoken_counts_it(text in "[ a-zA-Z0-9'.,\\r\\n\\t\\PC\u{301}\u{a0}]{0,200}") {
            prop_assert_eq!(count_tokens(&text), tiktoken(&text));
        }

        #[test]
        fn atoms_are_the_text_end_at_characters_and_are_small(text in "(\\PC|[a-z ]{1,4}|\\s){0,120}") {
            let mut end = 0;
            for atom in Atoms::new(&text) {
                end += atom.bytes;
                prop_assert!(atom.bytes > 0 && text.is_char_boundary(end));
                prop_assert!(atom.tokens <= ATOM_TOKENS);
            }
            prop_assert_eq!(end, text.len());
        }
    }
}
