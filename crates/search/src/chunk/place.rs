//! How good a place is to cut a text at.

use unicode_segmentation::GraphemeCursor;

/// How far around a place is looked. Graphemes of real texts are far shorter; a run of a thousand combining
/// marks may be cut.
const LOOK_BYTES: usize = 512;

/// What ends at a place between two characters, weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Grapheme,
    Word,
    Line,
    Sentence,
    Paragraph,
}

impl Place {
    pub(super) const STRONGEST: Self = Self::Paragraph;

    /// What ends at byte `at` of a text; nothing does inside a grapheme.
    pub(super) fn at(text: &str, at: usize) -> Option<Self> {
        let before = &text[text.ceil_char_boundary(at.saturating_sub(LOOK_BYTES))..at];
        let behind = &text[at..text.floor_char_boundary(at + LOOK_BYTES)];
        let whole = &text[at - before.len()..at + behind.len()];
        let mut cursor = GraphemeCursor::new(before.len(), whole.len(), true);
        if !cursor.is_boundary(whole, 0).unwrap_or(true) {
            return None;
        }
        let words = before.trim_end();
        let space = &before[words.len()..];
        // White space goes to what it follows: a place inside it is as good as none.
        if behind.starts_with(['\n', '\r']) {
            return Some(Self::Grapheme);
        }
        let spaced =
            !space.is_empty() || behind.is_empty() || behind.starts_with(char::is_whitespace);
        let place = if space.matches('\n').count() > 1 {
            Self::Paragraph
        } else if ends_sentence(words, spaced) {
            Self::Sentence
        } else if space.contains('\n') {
            Self::Line
        } else if spaced {
            Self::Word
        } else {
            Self::Grapheme
        };
        Some(place)
    }
}

/// Whether words end a sentence: with its mark, perhaps closed by quotes and brackets. The marks of scripts
/// that put no space between sentences need none.
fn ends_sentence(words: &str, spaced: bool) -> bool {
    let open = words.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '」', '』', '）', '】']);
    open.ends_with(['。', '！', '？', '．', '｡'])
        || spaced && open.ends_with(['.', '!', '?', '…', '।', '॥', '؟', '۔', '։', '።', '៕'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let at = |before: &str, behind: &str| Place::at(&format!("{before}{behind}"), before.len());
        assert_eq!(at("End.\n\n", "Next"), Some(Place::Paragraph));
        assert_eq!(at("End\n  \n", "Next"), Some(Place::Paragraph));
        assert_eq!(at("End.", " Next"), Some(Place::Sentence));
        assert_eq!(at("(He said \"no!\")\n", "Next"), Some(Place::Sentence));
        assert_eq!(at("終わり。", "次"), Some(Place::Sentence));
        assert_eq!(at("let x = 1\n", "let y"), Some(Place::Line));
        assert_eq!(at("some", " words"), Some(Place::Word));
        assert_eq!(at("3.", "14"), Some(Place::Grapheme));
        assert_eq!(at("漢", "字"), Some(Place::Grapheme));
        assert_eq!(at("End.\n", "\nNext"), Some(Place::Grapheme));
        assert_eq!(at("e", "\u{301}"), None);
        assert_eq!(at("👩\u{200d}", "👧"), None);
        assert_eq!(at("🇩🇪🇫", "🇷"), None);
        assert_eq!(at("🇩🇪", "🇫🇷"), Some(Place::Grapheme));
    }
}
