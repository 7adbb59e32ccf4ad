//! Pieces of a file's text.

use super::Attributes;
use crate::{FileId, VectorStoreId};

/// A chunk, by the number under which it is kept. Nobody outside sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId(pub i64);

/// A stored chunk that is searched, with what answers tell of its file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Which one.
    pub id: ChunkId,
    /// The store that it belongs to.
    pub vector_store_id: VectorStoreId,
    /// The file that it is from.
    pub file_id: FileId,
    /// The file's name.
    pub filename: String,
    /// What the client said of the file.
    pub attributes: Attributes,
    /// Its place among the chunks of the file, from 0.
    pub position: u32,
    /// Where in the file's text it begins, in bytes.
    pub start: u64,
    /// Its size in tokens.
    pub tokens: u32,
    /// Its text.
    pub text: String,
}

/// Puts the text of a file together: chunks in their order, each with where it begins, in bytes.
/// What two of them share comes once; where something was left out between two, a line ends.
pub fn whole_text(chunks: impl IntoIterator<Item = (u64, String)>) -> String {
    let mut whole = String::new();
    // How far the file's own text is told.
    let mut end = 0;
    for (start, text) in chunks {
        if start > end && !whole.is_empty() {
            whole.push('\n');
        }
        let told = usize::try_from(end.saturating_sub(start)).unwrap_or(usize::MAX);
        // A place within a character: a chunk from elsewhere. It is told whole.
        let rest = match text.get(told..) {
            Some(rest) => rest,
            None if told >= text.len() => "",
            None => &text,
        };
        whole.push_str(rest);
        end = end.max(start + text.len() as u64);
    }
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(chunks: &[(u64, &str)]) -> String {
        let owned = chunks.iter().map(|(start, text)| (*start, (*text).into()));
        whole_text(owned)
    }

    #[test]
    fn what_chunks_share_is_told_once() {
        assert_eq!(
            whole(&[(0, "one two"), (4, "two three"), (8, "three")]),
            "one two three"
        );
        assert_eq!(whole(&[]), "");
    }

    #[test]
    fn what_was_left_out_is_a_line_end() {
        assert_eq!(whole(&[(2, "one"), (8, "two")]), "one\ntwo");
    }

    #[test]
    fn a_place_within_a_character_loses_nothing() {
        assert_eq!(whole(&[(0, "ab"), (1, "é")]), "abé");
    }
}
