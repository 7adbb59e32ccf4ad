//! Counts tokens as OpenAI's models do, in linear time.
//!
//! A vocabulary first splits a text into pieces (words with the space before them, numbers of up to three
//! digits, runs of signs, white space), then each piece into tokens. Pieces are found without the
//! backtracking of the vocabulary's own expression (`pieces`); a piece is split by merging what stands side
//! by side, lowest rank first (`merge`). The tables come from the crate tiktoken-rs when this one is built,
//! and are unpacked when they are first asked for (`table`).
//!
//! The cost of tokens grows with the square of a piece's length, so that a piece ends after
//! [`PIECE_BYTES`] at the latest.
//!
//! Invariant: texts without longer pieces are counted exactly as tiktoken counts them.

mod merge;
mod pieces;
mod table;

use std::sync::LazyLock;

pub use self::pieces::{PIECE_BYTES, Pieces};
use self::{merge::merge, pieces::Splitting, table::Table};

/// Of one family of models: what their tokens are, and how a text is split into them.
#[derive(Debug)]
pub struct Vocabulary {
    table: Table,
    splitting: &'static Splitting,
}

static CL100K_BASE: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary {
    table: Table::unpack(include_bytes!(concat!(env!("OUT_DIR"), "/cl100k_base"))),
    splitting: &pieces::CL100K_BASE,
});

static O200K_BASE: LazyLock<Vocabulary> = LazyLock::new(|| Vocabulary {
    table: Table::unpack(include_bytes!(concat!(env!("OUT_DIR"), "/o200k_base"))),
    splitting: &pieces::O200K_BASE,
});

/// That of the embedding models, and of GPT-4 and GPT-3.5.
pub fn cl100k_base() -> &'static Vocabulary {
    &CL100K_BASE
}

/// That of GPT-4o and what came after it.
pub fn o200k_base() -> &'static Vocabulary {
    &O200K_BASE
}

impl Vocabulary {
    /// The pieces of a text, in order. Together they are the whole text.
    pub fn pieces<'text>(&self, text: &'text str) -> Pieces<'text> {
        Pieces::new(self.splitting, text)
    }

    /// The lengths of a piece's tokens, in bytes.
    pub fn lengths(&self, piece: &str) -> Vec<usize> {
        merge(piece.as_bytes(), |token| self.table.rank(token))
    }

    /// Tokens of a text.
    pub fn count(&self, text: &str) -> usize {
        let tokens = |piece| self.lengths(piece).len();
        self.pieces(text).map(tokens).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};

    use super::*;

    fn pairs() -> [(&'static Vocabulary, &'static CoreBPE); 2] {
        [
            (cl100k_base(), cl100k_base_singleton()),
            (o200k_base(), o200k_base_singleton()),
        ]
    }

    /// The lengths of all tokens, both ways.
    fn both(ours: &Vocabulary, theirs: &CoreBPE, text: &str) -> [Vec<usize>; 2] {
        let tokens = theirs.encode_ordinary(text);
        let theirs = theirs._decode_native_and_split(tokens);
        let ours = ours.pieces(text).flat_map(|piece| ours.lengths(piece));
        [ours.collect(), theirs.map(|token| token.len()).collect()]
    }

    #[test]
    fn texts_have_the_tokens_that_tiktoken_finds() {
        for text in [
            "",
            "Hello, world!",
            "  indented\n\n\tcode: fn main() { println!(\"{}\", 12345.678); }\r\n",
            "It's they'RE I'ſ 'tis x's don'tDO",
            "Übergrößenträger 漢字かな交じり文、日本語。 👩‍👩‍👧 🇩🇪🇫🇷 हिन्दी नमस्ते",
            "trailing space   ",
            " \u{a0}\u{3000} x \u{2028} y ½ Ⅷ ٣",
            "MixedCase_snake_case-kebab/path.rs::Type<'a> HTMLParser iOS //\r\n/ǅ",
        ] {
            for (ours, theirs) in pairs() {
                let [found, expected] = both(ours, theirs, text);
                assert_eq!(found, expected, "{text:?}");
            }
        }
    }

    #[test]
    fn one_long_word_takes_linear_time_and_is_covered() {
        for text in [
            "a".repeat(50_000),
            "é ".repeat(15_000),
            " ".repeat(50_000),
            "!".repeat(25_000),
        ] {
            for (ours, _) in pairs() {
                let pieces = ours.pieces(&text);
                let bytes: usize = pieces
                    .map(|piece| ours.lengths(piece).iter().sum::<usize>())
                    .sum();
                assert_eq!(bytes, text.len());
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_has_the_tokens_that_tiktoken_finds(
            text in "([ a-zA-Z0-9'.,/\\r\\n\\t\\PC\u{301}\u{a0}]|'[stmdSTMD]|'[rvlRVL][elEL]){0,160}"
        ) {
            for (ours, theirs) in pairs() {
                let [found, expected] = both(ours, theirs, &text);
                prop_assert_eq!(found, expected);
            }
        }
    }
}
