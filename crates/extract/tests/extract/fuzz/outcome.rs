//! What became of mutants, and whether it may.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    sync::Once,
    thread,
    time::Duration,
};

use loomgate_extract::{Code, Format, Refusal, Text, extract};
use serde_json::json;

use super::{Read, limits};

/// Refusals by a piece of their message, and what they are counted as. One that stands here under no name is a
/// defect, as are those that [`DEFECTS`] names.
const REASONS: &[(&str, &str)] = &[
    ("protected by a password", "protected by a password"),
    ("damaged archive", "a damaged archive"),
    ("of the file is damaged", "a part that does not unpack"),
    ("is packed in a way", "a part that does not unpack"),
    ("is no valid XML", "XML that is not well formed"),
    ("of the file was cut off", "XML that is not well formed"),
    ("declares a document type", "a document type in XML"),
    ("elements nested more than", "elements nested too deeply"),
    ("lacks the part", "a part that is missing"),
    ("over the limit", "unpacks to too much"),
    ("which is the limit", "more of something than the limit"),
    ("; the limit is", "more of something than the limit"),
    ("holds no text", "no text"),
    ("is empty", "no text"),
    ("pictures of pages only", "no text"),
    ("is not valid UTF-8", "characters that do not decode"),
    ("not valid UTF-16", "characters that do not decode"),
    ("is in UTF-16 but", "characters that do not decode"),
    ("is in UTF-32", "characters that do not decode"),
    (
        "is not text: there is a zero",
        "characters that do not decode",
    ),
    ("is no text in UTF-8", "characters that do not decode"),
    ("is named as", "another type than its name says"),
    (
        "the binary form of before 2007",
        "a binary file of before 2007",
    ),
    ("The PDF has no pages", "a PDF without pages"),
    (
        "its structure cannot be read",
        "a PDF whose structure is lost",
    ),
    ("encrypted in a way", "a PDF with an unknown encryption"),
    (
        "fonts of the PDF do not say",
        "a PDF whose fonts have no characters",
    ),
    (
        "A font of the PDF has widths",
        "a PDF font of too many widths",
    ),
    ("could not get past", "a panic of a library, caught"),
];

/// What the kernel had to end, by a piece of the message.
const DEFECTS: &[&str] = &[
    "processor time",
    "MB of memory",
    "nested too deeply or damaged",
    "without end",
    "nonsense",
];

/// What became of a document.
#[derive(Debug)]
pub(super) enum Outcome {
    Text(Text),
    Refused(&'static str, Refusal),
    /// It passed a limit, or its end is not clear.
    Defect(String),
}

impl Outcome {
    pub(super) fn of(read: Result<Text, Refusal>, format: Format, document: &[u8]) -> Self {
        let refusal = match read {
            Ok(text) if text.text.trim().is_empty() => {
                return Self::Defect("a text of nothing".to_owned());
            }
            Ok(text) => return Self::Text(text),
            Err(refusal) => refusal,
        };
        let message = &refusal.message;
        let known = REASONS.iter().find(|(piece, _)| message.contains(piece));
        let ended = DEFECTS.iter().any(|piece| message.contains(piece));
        match known {
            Some((_, reason)) if !ended && refusal.code != Code::ServerError => {
                if message.contains("could not get past") {
                    Self::panicked(reason, &refusal, format, document)
                } else {
                    Self::Refused(reason, refusal)
                }
            }
            _ => Self::Defect(format!("{:?}: {message}", refusal.code)),
        }
    }

    /// A panic of a library is damage that it does not know; one of ours is a defect.
    fn panicked(reason: &'static str, refusal: &Refusal, format: Format, document: &[u8]) -> Self {
        match place_of_panic(format, document) {
            Some(place) if !place.contains("crates/extract") => {
                let message = format!("{} ({place})", refusal.message);
                Self::Refused(
                    reason,
                    Refusal {
                        message,
                        code: refusal.code,
                    },
                )
            }
            place => Self::Defect(format!("a panic at {place:?}")),
        }
    }

    pub(super) fn message(&self) -> &str {
        match self {
            Self::Text(text) => &text.text,
            Self::Refused(_, refusal) => &refusal.message,
            Self::Defect(what) => what,
        }
    }

    pub(super) fn is_a_defect(&self) -> bool {
        matches!(self, Self::Defect(_))
    }

    pub(super) fn text(self) -> Option<Text> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }
}

thread_local! {
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Reads a document again, in this process, to learn where its reader panics.
fn place_of_panic(format: Format, document: &[u8]) -> Option<String> {
    const NAME: &str = "to learn where a reader panics";
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |panic| {
            if thread::current().name() == Some(NAME) {
                PLACE.set(panic.location().map(ToString::to_string));
            } else {
                before(panic);
            }
        }));
    });
    thread::scope(|scope| {
        let reader = thread::Builder::new()
            .name(NAME.to_owned())
            .stack_size(64 << 20);
        let reader = reader.spawn_scoped(scope, || {
            let read = || extract(format, document, &limits());
            drop(panic::catch_unwind(AssertUnwindSafe(read)));
            PLACE.take()
        });
        reader.unwrap().join().unwrap()
    })
}

/// The outcomes of one type.
#[derive(Default)]
pub(super) struct Tally {
    read: usize,
    refused: BTreeMap<&'static str, usize>,
    defects: Vec<String>,
    /// The longest that one took, and its seed.
    longest: (Duration, u64),
}

impl Tally {
    pub(super) fn add(&mut self, seed: u64, read: Read) {
        self.longest = self.longest.max((read.took, seed));
        match read.outcome {
            Outcome::Text(_) => self.read += 1,
            Outcome::Refused(reason, _) => *self.refused.entry(reason).or_default() += 1,
            Outcome::Defect(what) => self.defects.push(format!("seed {seed}: {what}")),
        }
    }

    pub(super) fn defects(&self) -> &[String] {
        &self.defects
    }

    pub(super) fn figures(&self, kind: &str) -> serde_json::Value {
        json!({
            "type": kind,
            "read": self.read,
            "refused": self.refused,
            "beyond_limits": self.defects.len(),
            "longest_ms": self.longest.0.as_millis(),
            "longest_seed": self.longest.1,
        })
    }

    /// Mutants of which none is read, or none refused, try little; nor do archives that nothing gets out of.
    pub(super) fn check_that_both_happened(&self, kind: &str) {
        let refused: usize = self.refused.values().sum();
        assert!(self.read > 0 && refused > 0, "{kind}: {:?}", self.refused);
        let unopened = ["a damaged archive", "a part that does not unpack"];
        let unopened: usize = unopened
            .iter()
            .filter_map(|reason| self.refused.get(reason))
            .sum();
        assert!(
            unopened * 5 < self.read + refused,
            "{kind}: {:?}",
            self.refused
        );
    }
}
