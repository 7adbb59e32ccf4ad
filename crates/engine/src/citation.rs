//! The marks with which a model cites search results, on their way into a message (contract section
//! 7.5): `【4:0†source】` becomes `【4:0†file name】` with an annotation, told as one piece.
//!
//! A model's words come in pieces of any size, so that a mark may be cut anywhere. What may become one
//! is held back until it is known; brackets that are none are words like all others.
//!
//! Invariant: nothing is cited that was not found: a mark for anything else is left out of the text.
//! Invariant: apart from that, the words are those of the model, none held back at the end.

use std::collections::HashMap;

use loomgate_domain::{
    RunStep,
    message::{Annotation, FileRef},
    run::{FileSearchCall, StepDetails, ToolCall},
};

/// The longest mark, in characters: what is longer is none.
const LONGEST: usize = 300;

/// What searches of a run have found, by the numbers that marks name.
#[derive(Debug, Default)]
pub(crate) struct Sources(HashMap<(u32, u32), Source>);

/// A file that can be cited.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Source {
    file_id: String,
    label: String,
}

impl Sources {
    /// The results of the searches in these steps.
    pub(crate) fn of(steps: &[RunStep]) -> Self {
        let mut sources = HashMap::new();
        for step in steps {
            let StepDetails::ToolCalls { tool_calls } = &step.details else {
                continue;
            };
            for call in tool_calls {
                if let ToolCall::FileSearch { file_search, .. } = call {
                    add(&mut sources, file_search);
                }
            }
        }
        Self(sources)
    }
}

fn add(sources: &mut HashMap<(u32, u32), Source>, search: &FileSearchCall) {
    let results = search.results.iter().flatten();
    for (number, result) in (0..).zip(results) {
        let source = Source {
            file_id: result.file_id.to_string(),
            label: label(&result.file_name),
        };
        sources.insert((search.block, number), source);
    }
}

/// A file's name as it may stand in a mark.
pub(crate) fn label(file_name: &str) -> String {
    let plain = |c: char| {
        if "【】†".contains(c) || c.is_control() {
            '_'
        } else {
            c
        }
    };
    file_name.chars().map(plain).take(LONGEST / 2).collect()
}

/// The mark of a result: number `number` of the results in `block`.
pub(crate) fn mark(block: u32, number: u32, label: &str) -> String {
    format!("【{block}:{number}†{label}】")
}

/// A part of a message's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Words of the model.
    Words(String),
    /// A mark, with what it points to.
    Cited(Annotation),
}

/// Reads the marks out of a text that comes in pieces.
#[derive(Debug)]
pub(crate) struct Citations {
    sources: Sources,
    /// What may be the beginning of a mark.
    held: String,
    /// Code points of the text so far, `held` apart.
    told: u32,
}

impl Citations {
    /// For a text that has not begun.
    pub(crate) fn new(sources: Sources) -> Self {
        Self {
            sources,
            held: String::new(),
            told: 0,
        }
    }

    /// Takes the next words.
    pub(crate) fn take(&mut self, words: &str) -> Vec<Piece> {
        if self.held.is_empty() && !words.contains('【') {
            self.told += characters(words);
            return vec![Piece::Words(words.to_owned())];
        }
        let mut pieces = Vec::new();
        let mut plain = String::new();
        for character in words.chars() {
            if self.held.is_empty() {
                if character == '【' {
                    self.held.push(character);
                } else {
                    plain.push(character);
                }
                continue;
            }
            self.held.push(character);
            match read(&self.held) {
                Reading::More => {}
                Reading::Mark { block, number } => {
                    self.held.clear();
                    if let Some(source) = self.sources.0.get(&(block, number)).cloned() {
                        self.words(&mut plain, &mut pieces);
                        pieces.push(self.cite(block, number, source));
                    }
                }
                // A bracket in it may begin another.
                Reading::None if character == '【' => {
                    self.held.pop();
                    plain.push_str(&self.held);
                    self.held.clear();
                    self.held.push(character);
                }
                Reading::None => {
                    plain.push_str(&self.held);
                    self.held.clear();
                }
            }
        }
        self.words(&mut plain, &mut pieces);
        pieces
    }

    /// What was held back, at the text's end.
    pub(crate) fn finish(&mut self) -> Option<String> {
        (!self.held.is_empty()).then(|| std::mem::take(&mut self.held))
    }

    fn words(&mut self, plain: &mut String, pieces: &mut Vec<Piece>) {
        if !plain.is_empty() {
            self.told += characters(plain);
            pieces.push(Piece::Words(std::mem::take(plain)));
        }
    }

    fn cite(&mut self, block: u32, number: u32, source: Source) -> Piece {
        let text = mark(block, number, &source.label);
        let start_index = self.told;
        self.told += characters(&text);
        Piece::Cited(Annotation::FileCitation {
            text,
            start_index,
            end_index: self.told,
            file_citation: FileRef {
                file_id: source.file_id,
            },
        })
    }
}

fn characters(text: &str) -> u32 {
    u32::try_from(text.chars().count()).unwrap_or(u32::MAX)
}

/// What a text that begins with a bracket is.
#[derive(Debug, PartialEq, Eq)]
enum Reading {
    /// It may become a mark.
    More,
    /// It is one.
    Mark { block: u32, number: u32 },
    /// It is none.
    None,
}

/// Reads `【4:0†label】` or `【4:0】`, as far as it is there.
fn read(held: &str) -> Reading {
    if held.chars().count() > LONGEST {
        return Reading::None;
    }
    let Some(rest) = held.strip_prefix('【') else {
        return Reading::None;
    };
    let (block, rest) = digits(rest);
    let Some(rest) = rest.strip_prefix(':') else {
        return if rest.is_empty() && block.len() <= 9 {
            Reading::More
        } else {
            Reading::None
        };
    };
    let (number, rest) = digits(rest);
    let numbers = (block.parse().ok(), number.parse().ok());
    let is_whole = rest == "】" || rest.starts_with('†') && rest.ends_with('】');
    match (numbers, is_whole) {
        ((Some(block), Some(number)), true) => Reading::Mark { block, number },
        ((Some(_), None), _) if number.is_empty() && rest.is_empty() => Reading::More,
        ((Some(_), Some(_)), false) if rest.is_empty() || rest.starts_with('†') => Reading::More,
        _ => Reading::None,
    }
}

/// Digits at the beginning, and what follows them.
fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit());
    text.split_at(end.unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Sources {
        let source = |id: &str, label: &str| Source {
            file_id: id.to_owned(),
            label: label.to_owned(),
        };
        Sources(
            [
                ((4, 0), source("file-a", "foods.txt")),
                ((4, 12), source("file-b", "b.pdf")),
            ]
            .into(),
        )
    }

    /// The text and its citations, of words that come in these pieces.
    fn read_all(words: &[&str]) -> (String, Vec<(String, u32, u32, String)>) {
        read_with(sources(), words)
    }

    fn read_with(sources: Sources, words: &[&str]) -> (String, Vec<(String, u32, u32, String)>) {
        let mut citations = Citations::new(sources);
        let (mut text, mut cited) = (String::new(), Vec::new());
        for piece in words.iter().flat_map(|words| citations.take(words)) {
            match piece {
                Piece::Words(words) => text.push_str(&words),
                Piece::Cited(Annotation::FileCitation {
                    text: mark,
                    start_index,
                    end_index,
                    file_citation,
                }) => {
                    text.push_str(&mark);
                    cited.push((mark, start_index, end_index, file_citation.file_id));
                }
                Piece::Cited(other) => panic!("{other:?}"),
            }
        }
        text.extend(citations.finish());
        for (mark, start, end, _) in &cited {
            let place = text.chars().skip(*start as usize);
            let found: String = place.take((end - start) as usize).collect();
            assert_eq!(found, *mark);
        }
        (text, cited)
    }

    #[test]
    fn a_mark_gets_the_name_of_its_file_and_is_cited() {
        let (text, cited) = read_all(&["Größe 👩: pizza【4:0†source】 and【4:12】."]);
        assert_eq!(text, "Größe 👩: pizza【4:0†foods.txt】 and【4:12†b.pdf】.");
        let ids: Vec<_> = cited
            .iter()
            .map(|(_, start, _, id)| (*start, id.as_str()))
            .collect();
        assert_eq!(ids, [(14, "file-a"), (33, "file-b")]);
    }

    #[test]
    fn a_mark_that_comes_letter_by_letter_is_one_piece() {
        let whole = "a【4:0†source】b【注意】c【4:0";
        let letters: Vec<String> = whole.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        let (text, cited) = read_all(&letters);
        assert_eq!(text, "a【4:0†foods.txt】b【注意】c【4:0");
        assert_eq!(cited.len(), 1);
    }

    #[test]
    fn what_was_not_found_is_not_cited() {
        let (text, cited) = read_all(&["a【4:1†source】b【9:0†foods.txt】c"]);
        assert_eq!((text.as_str(), cited.len()), ("abc", 0));
    }

    #[test]
    fn brackets_that_are_no_marks_are_words() {
        let long = format!("【4:0†{}】", "x".repeat(LONGEST));
        for words in [
            "【】",
            "【a】",
            "【4】",
            "【4:】",
            "【4:0 x】",
            "【:0†x】",
            "【1234567890:0†x】",
            "【4:99999999999†x】",
            &long,
            "【【4】",
            "end【",
        ] {
            assert_eq!(read_all(&[words]), (words.to_owned(), vec![]), "{words}");
        }
        let (text, cited) = read_all(&["【【4:0†x】"]);
        assert_eq!((text.as_str(), cited.len()), ("【【4:0†foods.txt】", 1));
    }

    #[test]
    fn where_nothing_was_found_nothing_is_cited() {
        let words = ["No.【4:0†so", "urce】 【注意】", "【4:0】", " 【4:0"];
        let (text, cited) = read_with(Sources::default(), &words);
        assert_eq!((text.as_str(), cited.len()), ("No. 【注意】 【4:0", 0));
    }

    #[test]
    fn names_can_not_end_a_mark() {
        assert_eq!(label("a【b】†\n.txt"), "a_b___.txt");
    }
}
