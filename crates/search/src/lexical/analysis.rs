//! From text to words.

use unicode_general_category::{GeneralCategory as Category, get_general_category};
use unicode_normalization::UnicodeNormalization;

use super::MAX_TERM;

/// Hands out the words of a text, in order: folded, and cut up into what is looked for.
pub(super) fn each_word(text: &str, mut found: impl FnMut(&str)) {
    let mut word = Word::default();
    for character in text.chars() {
        if character == '_' || is_word(character) {
            word.push(character);
        } else {
            word.end(&mut found);
        }
    }
    word.end(&mut found);
}

/// Whether a character is part of a word: letters, digits, and the marks that belong to letters.
pub(super) fn is_word(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_alphanumeric();
    }
    character.is_alphanumeric()
        || matches!(
            get_general_category(character),
            Category::NonspacingMark | Category::SpacingMark
        )
}

/// A run of letters, digits and underscores.
#[derive(Default)]
struct Word {
    /// As it is written, cut where it is long: hostile texts are one word.
    written: String,
    characters: usize,
}

impl Word {
    fn push(&mut self, character: char) {
        // Runs of scripts without spaces are long, and lose nothing.
        if self.characters < MAX_TERM || is_unspaced(character) {
            self.written.push(character);
        }
        self.characters += 1;
    }

    fn end(&mut self, found: &mut impl FnMut(&str)) {
        if self.written.is_ascii() {
            name(&self.written, found);
        } else {
            let folded = folded(&self.written);
            for part in parts_by_script(&folded) {
                if part.starts_with(is_unspaced) {
                    pairs(part, found);
                } else {
                    name(part, found);
                }
            }
        }
        self.written.clear();
        self.characters = 0;
    }
}

/// A word as a name in code: its parts, and the whole if there are several.
fn name(word: &str, found: &mut impl FnMut(&str)) {
    let mut parts = 0;
    let mut whole = String::new();
    for part in word
        .split('_')
        .flat_map(camel_parts)
        .filter(|part| part.chars().any(char::is_alphanumeric))
    {
        let part: String = part
            .chars()
            .flat_map(char::to_lowercase)
            .take(MAX_TERM)
            .collect();
        found(&part);
        whole.push_str(&part);
        parts += 1;
    }
    if parts > 1 {
        let end = whole
            .char_indices()
            .nth(MAX_TERM)
            .map_or(whole.len(), |(end, _)| end);
        found(&whole[..end]);
    }
}

/// Where a small letter or a digit is followed by a capital, and before the last of several capitals that a small letter
/// follows: `HTTPServerV2` is `HTTP`, `Server`, `V2`.
fn camel_parts(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut characters = rest.char_indices().peekable();
        let (_, mut before) = characters.next()?;
        let mut end = rest.len();
        while let Some((at, character)) = characters.next() {
            let small_follows = characters
                .peek()
                .is_some_and(|(_, next)| next.is_lowercase());
            if character.is_uppercase() && (!before.is_uppercase() || small_follows) {
                end = at;
                break;
            }
            before = character;
        }
        let (part, behind) = rest.split_at(end);
        rest = behind;
        Some(part)
    })
}

/// Compatibility forms, without the accents of Latin, Greek and Cyrillic, composed again.
fn folded(word: &str) -> String {
    let plain = word
        .nfkd()
        .filter(|character| !('\u{300}'..='\u{36f}').contains(character));
    plain
        .nfc()
        .flat_map(|character| {
            let (first, second) = match character {
                'ß' => ('s', Some('s')),
                'ẞ' => ('S', Some('S')),
                'ø' => ('o', None),
                'Ø' => ('O', None),
                'ł' => ('l', None),
                'Ł' => ('L', None),
                'ı' => ('i', None),
                other => (other, None),
            };
            [Some(first), second].into_iter().flatten()
        })
        // Compatibility forms may bring spaces and signs.
        .filter(|&character| character == '_' || is_word(character))
        .collect()
}

/// Runs of a word that are of scripts with or without spaces.
fn parts_by_script(word: &str) -> impl Iterator<Item = &str> {
    let mut rest = word;
    std::iter::from_fn(move || {
        let unspaced = is_unspaced(rest.chars().next()?);
        let end = rest
            .find(|character| is_unspaced(character) != unspaced)
            .unwrap_or(rest.len());
        let (part, behind) = rest.split_at(end);
        rest = behind;
        Some(part)
    })
}

/// Overlapping pairs of characters, marks staying with theirs.
fn pairs(run: &str, found: &mut impl FnMut(&str)) {
    let is_mark = |character: char| {
        matches!(
            get_general_category(character),
            Category::NonspacingMark | Category::SpacingMark
        )
    };
    let starts: Vec<usize> = run
        .char_indices()
        .filter(|&(at, character)| at == 0 || !is_mark(character))
        .map(|(at, _)| at)
        .collect();
    let ends = starts.iter().skip(2).copied().chain([run.len()]);
    for (&start, end) in starts.iter().zip(ends) {
        found(&run[start..end]);
    }
}

/// Scripts that are written without spaces between words, and hangul.
fn is_unspaced(character: char) -> bool {
    matches!(u32::from(character),
        0xe00..=0xeff // Thai, Lao
        | 0x1000..=0x109f | 0x1780..=0x17ff // Myanmar, Khmer
        | 0x1100..=0x11ff | 0xac00..=0xd7ff // Hangul
        | 0x3005..=0x3007 | 0x3040..=0x30ff | 0x31f0..=0x31ff // Kana
        | 0x3400..=0x4dbf | 0x4e00..=0x9fff | 0xf900..=0xfaff | 0x2_0000..=0x3_ffff) // Ideographs
}
