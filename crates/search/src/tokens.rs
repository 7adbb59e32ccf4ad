//! Tokens of `cl100k_base`, the vocabulary of the original's embedding models, where a text may be cut: the
//! tokens of short pieces, of which a text has few different ones, are remembered.

use std::collections::VecDeque;

use foldhash::HashMap;
use loomgate_tokens::{Pieces, cl100k_base};

/// A piece of more tokens is handed out token by token, so that a chunk may be cut inside it.
const ATOM_TOKENS: usize = 8;
/// Pieces up to this length are remembered, and so many of them: about 3 MB.
const REMEMBERED_BYTES: usize = 24;
const REMEMBERED_PIECES: usize = 32 * 1024;

/// The smallest part of a text that a chunk may end behind: a piece, or a part of a long one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Atom {
    pub(crate) bytes: usize,
    pub(crate) tokens: usize,
}

/// The atoms of a text, in order. Together they are the whole text.
pub(crate) struct Atoms<'text> {
    pieces: Pieces<'text>,
    /// Atoms of the piece that was cut last.
    ready: VecDeque<Atom>,
    remembered: HashMap<&'text str, usize>,
}

impl<'text> Atoms<'text> {
    pub(crate) fn new(text: &'text str) -> Self {
        Self {
            pieces: cl100k_base().pieces(text),
            ready: VecDeque::new(),
            remembered: HashMap::default(),
        }
    }

    fn first_atom(&mut self, piece: &'text str) -> Atom {
        let bytes = piece.len();
        if let Some(&tokens) = self.remembered.get(piece) {
            return Atom { bytes, tokens };
        }
        let lengths = cl100k_base().lengths(piece);
        let tokens = lengths.len();
        if tokens > ATOM_TOKENS {
            self.ready.extend(parts(piece, lengths.into_iter()));
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
        let piece = self.pieces.next()?;
        Some(self.first_atom(piece))
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

    proptest! {
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
