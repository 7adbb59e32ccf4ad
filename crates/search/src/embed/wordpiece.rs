//! The tokeniser of BERT: words in lower case without accents, then the longest known pieces of each word.
//!
//! What looks like a mark of the model's own in a text (`[SEP]`) is text.

use std::path::Path;

use foldhash::HashMap;
use serde_json::Value;
use unicode_general_category::{GeneralCategory as Category, get_general_category};
use unicode_normalization::UnicodeNormalization;

use super::{
    ModelError,
    config::{self, Config},
};

/// A longer word is an unknown one.
const WORD_CHARACTERS: usize = 100;

pub(super) struct WordPiece {
    /// Pieces that begin a word.
    pub(super) first: HashMap<String, u32>,
    /// Pieces that go on with one, without their `##`.
    pub(super) next: HashMap<String, u32>,
    /// Bytes of the longest piece.
    longest: usize,
    unknown: u32,
    begin: u32,
    end: u32,
    lowercase: bool,
    strip_accents: bool,
    split_chinese: bool,
}

impl WordPiece {
    pub(super) fn read(folder: &Path, config: &Config) -> Result<Self, ModelError> {
        let plain = folder.join("vocab.txt");
        let (path, tokens) = if plain.exists() {
            let tokens = lines(&config::read(&plain)?);
            (plain, tokens)
        } else {
            let path = folder.join("tokenizer.json");
            let tokens = json_vocabulary(&config::read(&path)?);
            (path, tokens)
        };
        let tokens = tokens.ok_or_else(|| config::unfit(&path, "this is no WordPiece vocabulary. Download the file again, or use a model of the BERT family"))?;
        Self::new(tokens, config).map_err(|problem| config::unfit(&path, &problem))
    }

    fn new(tokens: Vec<(String, u32)>, config: &Config) -> Result<Self, String> {
        let most = tokens.iter().map(|(_, id)| *id as usize).max().unwrap_or(0);
        if most >= config.vocabulary {
            return Err(format!(
                "the vocabulary has {} tokens, config.json says {}",
                most + 1,
                config.vocabulary
            ));
        }
        let longest = tokens
            .iter()
            .map(|(token, _)| token.len())
            .max()
            .unwrap_or(0);
        let (mut first, mut next) = (HashMap::default(), HashMap::default());
        for (token, id) in tokens {
            match token.strip_prefix("##") {
                Some(rest) if !rest.is_empty() => next.insert(rest.to_owned(), id),
                _ => first.insert(token, id),
            };
        }
        let mark = |name: &str| {
            first
                .get(name)
                .copied()
                .ok_or_else(|| format!("the vocabulary has no {name}"))
        };
        let (unknown, begin, end) = (mark("[UNK]")?, mark("[CLS]")?, mark("[SEP]")?);
        let (lowercase, strip_accents, split_chinese) =
            (config.lowercase, config.strip_accents, config.split_chinese);
        Ok(Self {
            first,
            next,
            longest,
            unknown,
            begin,
            end,
            lowercase,
            strip_accents,
            split_chinese,
        })
    }

    /// A text's tokens as inputs of at most `max_tokens`, with their marks, of about equal length. No word is
    /// split between two, unless it alone is longer.
    pub(super) fn windows(&self, text: &str, max_tokens: usize) -> Vec<Vec<u32>> {
        let mut tokens = Vec::new();
        // Where words begin.
        let mut words = Vec::new();
        self.each_word(text, |word| {
            words.push(tokens.len());
            self.pieces(word, &mut tokens);
        });
        let room = max_tokens - 2;
        let mut windows = Vec::new();
        let mut start = 0;
        while start < tokens.len() || windows.is_empty() {
            let rest = tokens.len() - start;
            let fair = rest.div_ceil(rest.div_ceil(room).max(1));
            // A window ends before the word that does not fit any more.
            let fits = words.partition_point(|&word| word <= start + fair);
            let end = match words.get(fits.wrapping_sub(1)) {
                _ if rest <= room => tokens.len(),
                Some(&word) if word > start => word,
                _ => start + fair,
            };
            let inside = tokens[start..end].iter().copied();
            windows.push(
                [self.begin]
                    .into_iter()
                    .chain(inside)
                    .chain([self.end])
                    .collect(),
            );
            start = end;
        }
        windows
    }

    fn pieces(&self, word: &str, tokens: &mut Vec<u32>) {
        let start = tokens.len();
        let mut rest = word;
        if word.chars().count() > WORD_CHARACTERS {
            tokens.push(self.unknown);
            return;
        }
        while !rest.is_empty() {
            let pieces = if rest.len() == word.len() {
                &self.first
            } else {
                &self.next
            };
            let ends = (1..=rest.floor_char_boundary(self.longest))
                .rev()
                .filter(|&end| rest.is_char_boundary(end));
            let found = ends
                .into_iter()
                .find_map(|end| Some((end, *pieces.get(&rest[..end])?)));
            let Some((end, id)) = found else {
                tokens.truncate(start);
                tokens.push(self.unknown);
                return;
            };
            tokens.push(id);
            rest = &rest[end..];
        }
    }

    /// Hands out the words of a text: between white space, each sign and each Chinese character by itself.
    fn each_word(&self, text: &str, mut found: impl FnMut(&str)) {
        let mut word = String::new();
        let mut end = |word: &mut String| {
            if !word.is_empty() {
                found(word);
                word.clear();
            }
        };
        // Normalised in parts: a whole text at once would stand in memory three times.
        for part in text.split_inclusive(char::is_whitespace) {
            for character in self.normalised(part).chars() {
                if character.is_whitespace() {
                    end(&mut word);
                } else if is_sign(character) || self.split_chinese && is_chinese(character) {
                    end(&mut word);
                    word.push(character);
                    end(&mut word);
                } else {
                    word.push(character);
                }
            }
        }
        end(&mut word);
    }

    fn normalised(&self, part: &str) -> String {
        if part.is_ascii() && !part.bytes().any(|byte| byte.is_ascii_control()) {
            return if self.lowercase {
                part.to_ascii_lowercase()
            } else {
                part.to_owned()
            };
        }
        let cleaned = part.chars().filter(|&character| !is_removed(character));
        let mut text: String = cleaned
            .map(|character| {
                if character.is_whitespace() {
                    ' '
                } else {
                    character
                }
            })
            .collect();
        if self.strip_accents {
            text = text
                .nfd()
                .filter(|&character| get_general_category(character) != Category::NonspacingMark)
                .collect();
        }
        if self.lowercase {
            text.chars().flat_map(char::to_lowercase).collect()
        } else {
            text
        }
    }
}

fn lines(bytes: &[u8]) -> Option<Vec<(String, u32)>> {
    let text = std::str::from_utf8(bytes).ok()?;
    text.lines()
        .zip(0..)
        .map(|(line, id)| Some((line.trim_end().to_owned(), id)))
        .collect()
}

fn json_vocabulary(bytes: &[u8]) -> Option<Vec<(String, u32)>> {
    let json: Value = serde_json::from_slice(bytes).ok()?;
    let model = json
        .get("model")
        .filter(|model| model["type"] == "WordPiece")?;
    let entries = model["vocab"].as_object()?.iter();
    entries
        .map(|(token, id)| Some((token.clone(), u32::try_from(id.as_u64()?).ok()?)))
        .collect()
}

/// What cleaning takes out: controls, formats, and what no character is assigned to. Tabs and line ends are spaces.
fn is_removed(character: char) -> bool {
    if matches!(character, '\t' | '\n' | '\r') {
        return false;
    }
    let other = [
        Category::Control,
        Category::Format,
        Category::Unassigned,
        Category::PrivateUse,
        Category::Surrogate,
    ];
    character == '\u{fffd}'
        || !(' '..='~').contains(&character) && other.contains(&get_general_category(character))
}

fn is_sign(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_punctuation();
    }
    matches!(
        get_general_category(character),
        Category::ConnectorPunctuation
            | Category::DashPunctuation
            | Category::OpenPunctuation
            | Category::ClosePunctuation
            | Category::InitialPunctuation
            | Category::FinalPunctuation
            | Category::OtherPunctuation
    )
}

/// The blocks that the original tokeniser names: ideographs, neither kana nor hangul.
fn is_chinese(character: char) -> bool {
    matches!(u32::from(character),
        0x4e00..=0x9fff | 0x3400..=0x4dbf | 0x2_0000..=0x2_a6df | 0x2_a700..=0x2_b73f
        | 0x2_b740..=0x2_b81f | 0x2_b920..=0x2_ceaf | 0xf900..=0xfaff | 0x2_f800..=0x2_fa1f)
}
