//! Cuts a text into overlapping chunks by tokens (`contract/behaviour.md` 11.5).
//!
//! The rule:
//! * A chunk holds at most `max_chunk_size_tokens` tokens. It ends within the last fifth of that, at the
//!   strongest place there: end of a paragraph, of a sentence, of a line, of a word, of a token; of equals, the last.
//! * The next chunk begins inside the one before, with at most `chunk_overlap_tokens` tokens in common and
//!   at least four fifths of that, again at the strongest place there; of equals, the first.
//! * No code point is split. No grapheme is split, unless a single one fills a fifth of a chunk.
//! * Together the chunks are the whole text. A chunk of white space alone is left out.
//!
//! Tokens are those of `cl100k_base` (`loomgate-tokens`); of a chunk that is cut inside a long word, one or two more than it has alone. Time is linear in the text, memory is that of one chunk's token ends.

mod place;

use std::{collections::VecDeque, ops::Range};

use thiserror::Error;

use self::place::Place;
use crate::tokens::Atoms;

/// Tokens that a file may have by default, as with the original.
pub const DEFAULT_TOKEN_LIMIT: usize = 2_000_000;

/// How a text is cut up. The default is what `{"type":"auto"}` stands for: 800 tokens, 400 of them shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkingStrategy {
    size: usize,
    overlap: usize,
}

/// A strategy outside the contract's limits.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum StrategyError {
    /// `max_chunk_size_tokens` is not within 100 and 4096.
    #[error("max_chunk_size_tokens must be between 100 and 4096, not {0}")]
    Size(usize),
    /// `chunk_overlap_tokens` is more than half of `max_chunk_size_tokens`.
    #[error(
        "chunk_overlap_tokens must be at most half of max_chunk_size_tokens, {most}, not {overlap}"
    )]
    Overlap {
        /// What was asked for.
        overlap: usize,
        /// What is allowed.
        most: usize,
    },
}

impl ChunkingStrategy {
    /// What `max_chunk_size_tokens` may be.
    pub const SIZES: std::ops::RangeInclusive<usize> = 100..=4096;

    /// A static strategy: `max_chunk_size_tokens` and `chunk_overlap_tokens`.
    pub fn new(size: usize, overlap: usize) -> Result<Self, StrategyError> {
        if !Self::SIZES.contains(&size) {
            return Err(StrategyError::Size(size));
        }
        if overlap > size / 2 {
            return Err(StrategyError::Overlap {
                overlap,
                most: size / 2,
            });
        }
        Ok(Self { size, overlap })
    }

    /// `max_chunk_size_tokens`.
    pub fn size(self) -> usize {
        self.size
    }

    /// `chunk_overlap_tokens`.
    pub fn overlap(self) -> usize {
        self.overlap
    }
}

impl Default for ChunkingStrategy {
    fn default() -> Self {
        Self {
            size: 800,
            overlap: 400,
        }
    }
}

/// A part of a text. Offsets count from the text's beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk<'text> {
    /// The part itself, white space at its ends included.
    pub text: &'text str,
    /// Where it stands, in bytes.
    pub bytes: Range<usize>,
    /// Where it stands, in code points.
    pub characters: Range<usize>,
    /// How many tokens it has.
    pub tokens: usize,
}

/// A text has more tokens than a file may have.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("the text has more than {limit} tokens, the most that a file may have")]
pub struct TooManyTokens {
    /// The limit that was passed.
    pub limit: usize,
}

/// Cuts a text up. The iterator ends with an error once more than `limit` tokens were seen, so that a caller
/// who takes all chunks or none takes none.
pub fn chunks(text: &str, strategy: ChunkingStrategy, limit: usize) -> Chunks<'_> {
    Chunks {
        text,
        strategy,
        limit,
        atoms: Atoms::new(text),
        ends: VecDeque::from([End { at: 0, tokens: 0 }]),
        characters: 0,
        state: State::Reading,
    }
}

/// The chunks of a text, see [`chunks`].
pub struct Chunks<'text> {
    text: &'text str,
    strategy: ChunkingStrategy,
    limit: usize,
    atoms: Atoms<'text>,
    /// Where the next chunk begins, then every place behind it that it may end at.
    ends: VecDeque<End>,
    /// Code points before the next chunk.
    characters: usize,
    state: State,
}

/// The end of an atom: bytes and tokens before it.
#[derive(Clone, Copy)]
struct End {
    at: usize,
    tokens: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    /// The text's end is among `ends`.
    Read,
    Done,
}

impl<'text> Iterator for Chunks<'text> {
    type Item = Result<Chunk<'text>, TooManyTokens>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.state != State::Done {
            if let Err(error) = self.read() {
                self.state = State::Done;
                return Some(Err(error));
            }
            let end = self.end();
            let chunk = self.chunk(end);
            if end + 1 == self.ends.len() && self.state == State::Read {
                self.state = State::Done;
            } else {
                self.advance(end);
            }
            if !chunk.text.trim().is_empty() {
                return Some(Ok(chunk));
            }
        }
        None
    }
}

impl<'text> Chunks<'text> {
    /// Reads until the ends known are more than fit into the next chunk.
    fn read(&mut self) -> Result<(), TooManyTokens> {
        let mut last = self
            .ends
            .back()
            .copied()
            .unwrap_or(End { at: 0, tokens: 0 });
        while self.state == State::Reading && self.tokens(self.ends.len() - 1) <= self.strategy.size
        {
            let Some(atom) = self.atoms.next() else {
                self.state = State::Read;
                break;
            };
            last = End {
                at: last.at + atom.bytes,
                tokens: last.tokens + atom.tokens,
            };
            if last.tokens > self.limit {
                return Err(TooManyTokens { limit: self.limit });
            }
            self.ends.push_back(last);
        }
        Ok(())
    }

    /// Tokens from the next chunk's beginning to an end.
    fn tokens(&self, end: usize) -> usize {
        self.ends[end].tokens - self.ends[0].tokens
    }

    /// Which end the next chunk has.
    fn end(&self) -> usize {
        let last = self.ends.len() - 1;
        if self.tokens(last) <= self.strategy.size {
            return last;
        }
        let most = self
            .ends
            .partition_point(|end| end.tokens <= self.ends[0].tokens + self.strategy.size)
            - 1;
        let enough = self.strategy.size - self.strategy.size / 5;
        let places = (1..=most)
            .rev()
            .take_while(|&end| self.tokens(end) >= enough);
        self.strongest(places).unwrap_or(most.max(1))
    }

    /// Where the chunk after the one that ends at `end` begins.
    fn start(&self, end: usize) -> usize {
        let overlap = self.strategy.overlap;
        let shared = |start: usize| self.ends[end].tokens - self.ends[start].tokens;
        let first = self
            .ends
            .partition_point(|start| start.tokens + overlap < self.ends[end].tokens)
            .clamp(1, end);
        let places = (first..=end).take_while(|&start| shared(start) >= overlap - overlap / 5);
        self.strongest(places).unwrap_or(end)
    }

    /// The strongest of some places, the first of equals; none if all are inside graphemes.
    fn strongest(&self, places: impl Iterator<Item = usize>) -> Option<usize> {
        let mut best = None;
        for end in places {
            let Some(place) = Place::at(self.text, self.ends[end].at) else {
                continue;
            };
            if best.is_none_or(|(strongest, _)| place > strongest) {
                best = Some((place, end));
            }
            if place == Place::STRONGEST {
                break;
            }
        }
        best.map(|(_, end)| end)
    }

    fn chunk(&self, end: usize) -> Chunk<'text> {
        let bytes = self.ends[0].at..self.ends[end].at;
        let text = &self.text[bytes.clone()];
        let characters = self.characters..self.characters + text.chars().count();
        Chunk {
            text,
            bytes,
            characters,
            tokens: self.tokens(end),
        }
    }

    /// Goes on to the chunk behind the one that ends at `end`.
    fn advance(&mut self, end: usize) {
        let start = self.start(end);
        self.characters += self.text[self.ends[0].at..self.ends[start].at]
            .chars()
            .count();
        self.ends.drain(..start);
    }
}

#[cfg(test)]
mod tests;
