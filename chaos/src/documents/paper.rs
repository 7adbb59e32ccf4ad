//! What authors write: texts that are known by their number, and what has to become of each.

use std::fmt::Write as _;

use loomgate_bench::statistics::Dice;
use serde_json::{Value, json};

/// Words that all texts have in common.
const WORDS: [&str; 8] = [
    "river", "mountain", "harbour", "lantern", "orchard", "meadow", "window", "bridge",
];

/// How long a text is, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Some KB; one chunk or a few.
    Note,
    /// Some 100 KB in chunks as small as may be, so that they are written in several transactions.
    Book,
    /// Some MB that nobody indexes.
    Picture,
}

impl Kind {
    fn words(self) -> u32 {
        match self {
            Self::Note => 400,
            Self::Book => 12_000,
            Self::Picture => 400_000,
        }
    }

    pub(super) fn purpose(self) -> &'static str {
        match self {
            Self::Note | Self::Book => "assistants",
            Self::Picture => "vision",
        }
    }

    /// `chunking_strategy` of its file in a store.
    pub(super) fn chunking(self) -> Value {
        match self {
            Self::Note | Self::Picture => json!({"type": "auto"}),
            Self::Book => json!({
                "type": "static",
                "static": {"max_chunk_size_tokens": 100, "chunk_overlap_tokens": 0},
            }),
        }
    }
}

/// A text, by author and number, which alone decide what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    pub(super) author: u32,
    pub(super) number: u32,
    pub(super) kind: Kind,
}

impl Text {
    /// The word that it begins with, which no other text has.
    pub(super) fn first(self) -> String {
        format!("alpha{}x{}", self.author, self.number)
    }

    /// The word that it ends with.
    pub(super) fn last(self) -> String {
        format!("omega{}x{}", self.author, self.number)
    }

    pub(super) fn whole(self) -> String {
        let seed = (u64::from(self.author) << 32) | u64::from(self.number);
        let mut dice = Dice::new(seed);
        let mut text = self.first();
        for number in 0..self.kind.words() {
            let end = if number % 12 == 11 { ".\n" } else { "" };
            // Writing to a String can not fail.
            let _ = write!(text, " {}{end}", WORDS[dice.below(WORDS.len())]);
        }
        text + " " + &self.last()
    }
}

/// A text that was uploaded, and what was acknowledged of it.
#[derive(Debug, Clone)]
pub(super) struct Paper {
    pub(super) text: Text,
    pub(super) file: String,
    pub(super) is_deleted: bool,
    pub(super) place: Option<Place>,
}

/// The vector store that it was put into.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) store: String,
    /// Its batch was.
    pub(super) is_cancelled: bool,
    /// It was taken out, or the store is gone.
    pub(super) is_gone: bool,
}

/// What is there of a paper in the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Facts {
    /// Its content, if the file is there: whether it is the right one.
    pub(super) content: Option<bool>,
    /// Its status in the store.
    pub(super) status: Option<String>,
    /// Whether that has its text, all of it.
    pub(super) is_read: bool,
    /// Whether it is found by its first and its last word.
    pub(super) found: [bool; 2],
}

impl Paper {
    /// What is not as it has to be. `was_given_up`: so many processes were killed over it that the
    /// server has let it be.
    pub(super) fn judge(&self, facts: &Facts, was_given_up: bool) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut expect = |holds: bool, what: &str| {
            if !holds {
                wrong.push(format!("{what}: {self:?} is {facts:?}"));
            }
        };
        match facts.content {
            None => expect(self.is_deleted, "a file is lost"),
            Some(_) if self.is_deleted => expect(false, "a file that was deleted is there"),
            Some(is_right) => expect(is_right, "a file has other bytes"),
        }
        let place = self.place.as_ref();
        let place = place.filter(|place| !place.is_gone && !self.is_deleted);
        let is_indexed = match (place, facts.status.as_deref()) {
            (None, status) => {
                expect(status.is_none(), "a file is in a store that it is not in");
                false
            }
            (Some(_), Some("completed")) => true,
            (Some(place), Some("cancelled")) => {
                expect(place.is_cancelled, "nobody has cancelled it");
                false
            }
            (Some(_), Some("failed")) => {
                expect(was_given_up, "a file has failed that can be read");
                false
            }
            (Some(_), Some(_)) => {
                expect(false, "a file does not come to its end");
                false
            }
            (Some(_), None) => {
                expect(false, "a file is no more in its store");
                false
            }
        };
        let [first, last] = facts.found;
        expect(first == last, "a file is found by halves");
        if is_indexed {
            expect(first && last, "a file that was indexed is not found");
            expect(facts.is_read, "a file has another text in its store");
        } else {
            expect(!first && !last, "a file is found that is not indexed");
        }
        wrong
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paper() -> Paper {
        Paper {
            text: Text {
                author: 1,
                number: 2,
                kind: Kind::Note,
            },
            file: "file-1".into(),
            is_deleted: false,
            place: Some(Place {
                store: "vs_1".into(),
                is_cancelled: false,
                is_gone: false,
            }),
        }
    }

    fn good() -> Facts {
        Facts {
            content: Some(true),
            status: Some("completed".into()),
            is_read: true,
            found: [true, true],
        }
    }

    fn without(status: Option<&str>) -> Facts {
        Facts {
            content: Some(true),
            status: status.map(str::to_owned),
            is_read: false,
            found: [false, false],
        }
    }

    #[test]
    fn what_is_as_it_has_to_be_is_not_told() {
        assert_eq!(paper().judge(&good(), false), [""; 0]);
        assert_eq!(
            paper().judge(&without(Some("failed")), true),
            [""; 0],
            "after so many kills"
        );
        let mut deleted = paper();
        deleted.is_deleted = true;
        let gone = Facts {
            content: None,
            ..without(None)
        };
        assert_eq!(deleted.judge(&gone, false), [""; 0]);
        let mut cancelled = paper();
        cancelled.place.as_mut().unwrap().is_cancelled = true;
        assert_eq!(cancelled.judge(&without(Some("cancelled")), false), [""; 0]);
    }

    #[test]
    fn each_thing_that_is_wrong_is_told() {
        let lost = Facts {
            content: None,
            ..good()
        };
        let other = Facts {
            content: Some(false),
            ..good()
        };
        let halves = Facts {
            found: [true, false],
            ..good()
        };
        let cut = Facts {
            is_read: false,
            ..good()
        };
        let early = Facts {
            found: [true, true],
            ..without(Some("failed"))
        };
        let mut deleted = paper();
        deleted.is_deleted = true;
        let mut taken_out = paper();
        taken_out.place.as_mut().unwrap().is_gone = true;
        for (paper, facts, told) in [
            (paper(), lost, "lost"),
            (paper(), other, "other bytes"),
            (paper(), halves, "by halves"),
            (paper(), cut, "another text"),
            (paper(), early, "not indexed"),
            (paper(), without(Some("failed")), "can be read"),
            (paper(), without(Some("cancelled")), "nobody"),
            (paper(), without(Some("in_progress")), "its end"),
            (paper(), without(None), "no more"),
            (deleted, good(), "was deleted"),
            (taken_out, good(), "not in"),
        ] {
            let wrong = paper.judge(&facts, false);
            assert!(
                wrong.iter().any(|wrong| wrong.contains(told)),
                "{told}: {wrong:?}"
            );
        }
    }

    #[test]
    fn texts_differ_and_are_known_by_their_words() {
        let text = paper().text;
        let whole = text.whole();
        assert_eq!(whole, text.whole());
        assert!(whole.starts_with(&text.first()) && whole.ends_with(&text.last()));
        let next = Text { number: 3, ..text };
        assert_ne!(whole, next.whole());
    }
}
