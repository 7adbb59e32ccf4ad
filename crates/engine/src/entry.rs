//! Stream events as data: what the journal keeps of them, and how they are put into words.
//!
//! A run is told of by its state and usage alone: everything else about it never changes, except
//! for its metadata, which the store keeps with the events. Deltas that follow each other are one
//! entry with several pieces, each an event of its own.

use bytes::Bytes;
use loomgate_domain::{
    CallId, Message, MessageId, Run, RunStep, StepId, Thread, Usage,
    message::{Annotation, Content, Text},
    run::{
        EventId, FileSearchCall, FunctionToolCall, MessageEvent, RunEvent, RunState, StepDetails,
        StepEvent, ToolCall,
    },
    tool::RankingOptions,
};
use loomgate_store::{Error, EventRow, StoredEvents};
use loomgate_wire::event;
use serde::{Deserialize, Serialize};

/// Events that follow each other: one, or deltas of the same part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Entry {
    /// `thread.created`
    Thread(Thread),
    /// `thread.run.*`
    Run {
        event: RunEvent,
        state: RunState,
        usage: Usage,
    },
    /// `thread.run.step.*`
    Step { event: StepEvent, step: RunStep },
    /// `thread.message.*`
    Message {
        event: MessageEvent,
        message: Message,
    },
    /// More words of a text part.
    Text {
        message: MessageId,
        index: usize,
        /// Whether the part begins with them.
        begins: bool,
        pieces: Vec<String>,
    },
    /// More words of a refusal part.
    Refusal {
        message: MessageId,
        index: usize,
        pieces: Vec<String>,
    },
    /// A function call begins.
    Call {
        step: StepId,
        index: usize,
        id: CallId,
        name: String,
    },
    /// More of a call's arguments.
    Arguments {
        step: StepId,
        index: usize,
        pieces: Vec<String>,
    },
    /// A search begins.
    Search {
        step: StepId,
        index: usize,
        id: CallId,
        ranking_options: RankingOptions,
    },
    /// A mark in a text part, and what it points to.
    Cited {
        message: MessageId,
        index: usize,
        /// Which annotation of the part.
        number: usize,
        annotation: Annotation,
    },
    /// The leg has ended.
    Done,
}

/// An event as a reader gets it.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) id: EventId,
    pub(crate) frame: Bytes,
    pub(crate) ends_leg: bool,
}

impl Entry {
    /// How many events these are.
    pub(crate) fn count(&self) -> i64 {
        match self {
            Self::Text { pieces, .. }
            | Self::Refusal { pieces, .. }
            | Self::Arguments { pieces, .. } => i64::try_from(pieces.len()).unwrap_or(i64::MAX),
            Self::Thread(_)
            | Self::Run { .. }
            | Self::Step { .. }
            | Self::Message { .. }
            | Self::Call { .. }
            | Self::Search { .. }
            | Self::Cited { .. }
            | Self::Done => 1,
        }
    }

    /// How many bytes of a model's text they hold.
    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::Text { pieces, .. }
            | Self::Refusal { pieces, .. }
            | Self::Arguments { pieces, .. } => pieces.iter().map(String::len).sum(),
            _ => 0,
        }
    }

    /// Adds deltas of the same part. Gives back what is about something else.
    pub(crate) fn join(&mut self, next: Self) -> Option<Self> {
        let (pieces, more) = match (self, next) {
            (
                Self::Text {
                    message,
                    index,
                    pieces,
                    ..
                },
                Self::Text {
                    message: same,
                    index: at,
                    begins: false,
                    pieces: more,
                },
            ) if *message == same && *index == at => (pieces, more),
            (
                Self::Refusal {
                    message,
                    index,
                    pieces,
                },
                Self::Refusal {
                    message: same,
                    index: at,
                    pieces: more,
                },
            ) if *message == same && *index == at => (pieces, more),
            (
                Self::Arguments {
                    step,
                    index,
                    pieces,
                },
                Self::Arguments {
                    step: same,
                    index: at,
                    pieces: more,
                },
            ) if *step == same && *index == at => (pieces, more),
            (_, other) => return Some(other),
        };
        pieces.extend(more);
        None
    }

    /// Puts the events into words, the first of them with this id. `run` is theirs; its state and
    /// its usage become what they were.
    fn frames(&self, first: EventId, run: &mut Run, tell: &mut impl FnMut(Slot)) {
        let mut id = first;
        let mut each = |frame: Bytes| {
            tell(Slot {
                id,
                frame: event::identified(id, &frame),
                ends_leg: matches!(self, Self::Done),
            });
            id = id.later(1);
        };
        match self {
            Self::Thread(thread) => each(event::thread_created(thread)),
            Self::Run {
                event,
                state,
                usage,
            } => {
                run.state = state.clone();
                run.usage = *usage;
                each(event::run(*event, run));
            }
            Self::Step { event, step } => {
                each(event::step(*event, step, run.settings.include_results));
            }
            Self::Message { event, message } => each(event::message(*event, message)),
            Self::Text {
                message,
                index,
                begins,
                pieces,
            } => {
                for (n, words) in pieces.iter().enumerate() {
                    each(event::text_delta(message, *index, words, *begins && n == 0));
                }
            }
            Self::Refusal {
                message,
                index,
                pieces,
            } => {
                for words in pieces {
                    each(event::refusal_delta(message, *index, words));
                }
            }
            Self::Call {
                step,
                index,
                id,
                name,
            } => each(event::call_started(step, *index, id, name)),
            Self::Arguments {
                step,
                index,
                pieces,
            } => {
                for text in pieces {
                    each(event::call_arguments(step, *index, text));
                }
            }
            Self::Search {
                step,
                index,
                id,
                ranking_options,
            } => each(event::search_started(step, *index, id, ranking_options)),
            Self::Cited {
                message,
                index,
                number,
                annotation,
            } => each(event::citation(message, *index, *number, annotation)),
            Self::Done => each(event::done()),
        }
    }
}

/// Puts events into words, the first of them with this id. `run` is theirs, with the metadata that
/// it had.
pub(crate) fn slots(entries: &[Entry], first: EventId, run: &mut Run) -> Vec<Slot> {
    let now = (run.state.clone(), run.usage);
    let mut slots = Vec::with_capacity(entries.len());
    let mut id = first;
    for entry in entries {
        entry.frames(id, run, &mut |slot| slots.push(slot));
        id = id.later(entry.count());
    }
    (run.state, run.usage) = now;
    slots
}

/// What the journal is to keep of events, the first of which has this id. `None`: there are none.
pub(crate) fn row(entries: &[Entry], first: EventId) -> Option<EventRow> {
    let count: i64 = entries.iter().map(Entry::count).sum();
    if count == 0 {
        return None;
    }
    Some(EventRow {
        last: first.later(count - 1),
        count,
        ends_leg: matches!(entries.last(), Some(Entry::Done)),
        // Nothing here fails to serialise: keys are strings and numbers finite.
        body: serde_json::to_string(entries).unwrap_or_default(),
    })
}

/// What the journal has kept, put into words. `run` is theirs; its metadata becomes what it was.
/// Error: they can not be read.
pub(crate) fn stored(events: &StoredEvents, run: &mut Run) -> Result<Vec<Slot>, Error> {
    let row = &events.row;
    let entries = entries(row)?;
    if let Some(metadata) = &events.metadata {
        run.metadata = metadata.clone();
    }
    let first = row.last.later(1 - row.count);
    Ok(slots(&entries, first, run))
}

/// Whether the journal says there that this step is completed. Error: it can not be read.
pub(crate) fn completes(events: &StoredEvents, of: &StepId) -> Result<bool, Error> {
    let completed = |entry: &Entry| matches!(entry, Entry::Step { event: StepEvent::Completed, step } if step.id == *of);
    Ok(entries(&events.row)?.iter().any(completed))
}

fn entries(row: &EventRow) -> Result<Vec<Entry>, Error> {
    serde_json::from_str(&row.body).map_err(|error| Error::Corrupt {
        what: format!("run_events.body: {error}"),
    })
}

/// What streams were told of a message or step that was not written to its end.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct HalfTold {
    /// The parts of the latest message.
    pub(crate) content: Vec<Content>,
    /// The calls of the latest step.
    pub(crate) calls: Vec<ToolCall>,
    /// The message that ended where they began.
    pub(crate) words: Option<MessageId>,
}

impl HalfTold {
    /// Puts it together from what the journal has kept. What it can not read, it leaves out.
    pub(crate) fn of(events: &[StoredEvents]) -> Self {
        let mut half = Self::default();
        for stored in events {
            let entries: Vec<Entry> = serde_json::from_str(&stored.row.body).unwrap_or_default();
            for entry in entries {
                half.hear(entry);
            }
        }
        half
    }

    fn hear(&mut self, entry: Entry) {
        match entry {
            Entry::Step {
                event: StepEvent::Created,
                step,
            } => {
                let words = self.words.take();
                *self = Self::default();
                if let StepDetails::ToolCalls { .. } = step.details {
                    self.words = words;
                }
            }
            // The turn came to nothing; what follows is another one.
            Entry::Step {
                event: StepEvent::Failed,
                ..
            } => *self = Self::default(),
            Entry::Message {
                event: MessageEvent::Completed,
                message,
            } => self.words = Some(message.id),
            Entry::Text { index, pieces, .. } => match self.content.get_mut(index) {
                Some(Content::Text {
                    text: Text { value, .. },
                }) => value.extend(pieces),
                _ => self.content.push(Content::text(pieces.concat())),
            },
            Entry::Refusal { index, pieces, .. } => match self.content.get_mut(index) {
                Some(Content::Refusal { refusal }) => refusal.extend(pieces),
                _ => self.content.push(Content::Refusal {
                    refusal: pieces.concat(),
                }),
            },
            Entry::Cited {
                index, annotation, ..
            } => {
                let words = annotation.text().to_owned();
                if self.content.len() <= index {
                    self.content.push(Content::text(""));
                }
                if let Some(Content::Text { text }) = self.content.get_mut(index) {
                    text.value.push_str(&words);
                    text.annotations.push(annotation);
                }
            }
            Entry::Call { id, name, .. } => self.calls.push(ToolCall::Function {
                id,
                function: FunctionToolCall {
                    name,
                    arguments: String::new(),
                    output: None,
                },
                signature: None,
            }),
            Entry::Arguments { index, pieces, .. } => {
                if let Some(ToolCall::Function { function, .. }) = self.calls.get_mut(index) {
                    function.arguments.extend(pieces);
                }
            }
            Entry::Search {
                id,
                ranking_options,
                ..
            } => self.calls.push(ToolCall::FileSearch {
                id,
                file_search: FileSearchCall {
                    block: 0,
                    queries: Vec::new(),
                    ranking_options,
                    results: None,
                },
                signature: None,
            }),
            Entry::Thread(_)
            | Entry::Run { .. }
            | Entry::Step { .. }
            | Entry::Message { .. }
            | Entry::Done => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(message: &str, index: usize, begins: bool, pieces: &[&str]) -> Entry {
        Entry::Text {
            message: MessageId::trusted(message),
            index,
            begins,
            pieces: pieces.iter().map(|piece| (*piece).to_owned()).collect(),
        }
    }

    #[test]
    fn only_deltas_of_the_same_part_are_joined() {
        let mut first = text("msg_1", 0, true, &["a"]);
        assert_eq!(first.join(text("msg_1", 0, false, &["b", "c"])), None);
        assert_eq!(first, text("msg_1", 0, true, &["a", "b", "c"]));
        assert_eq!(first.count(), 3);
        for other in [
            text("msg_1", 1, false, &["x"]),
            text("msg_2", 0, false, &["x"]),
            text("msg_1", 0, true, &["x"]),
            Entry::Refusal {
                message: MessageId::trusted("msg_1"),
                index: 0,
                pieces: vec!["x".to_owned()],
            },
            Entry::Done,
        ] {
            assert_eq!(first.join(other.clone()), Some(other));
        }
    }

    #[test]
    fn a_row_names_its_last_event() {
        let entries = [text("msg_1", 0, true, &["a", "b"]), Entry::Done];
        let row = row(&entries, EventId::START.later(5)).unwrap();
        assert_eq!(
            (row.last, row.count, row.ends_leg),
            (EventId::START.later(7), 3, true)
        );
        assert_eq!(super::row(&[], EventId::START), None);
        // This is what lies in databases.
        assert_eq!(
            row.body,
            r#"[{"text":{"message":"msg_1","index":0,"begins":true,"pieces":["a","b"]}},"done"]"#
        );
        assert_eq!(
            serde_json::from_str::<Vec<Entry>>(&row.body).unwrap(),
            entries
        );
    }

    #[test]
    fn what_was_half_told_is_put_together() {
        let step = StepId::trusted("step_1");
        let mut half = HalfTold::default();
        for entry in [
            text("msg_1", 0, true, &["Let me", " see"]),
            text("msg_1", 0, false, &["."]),
            Entry::Refusal {
                message: MessageId::trusted("msg_1"),
                index: 1,
                pieces: vec!["No".to_owned(), ".".to_owned()],
            },
            Entry::Call {
                step: step.clone(),
                index: 0,
                id: CallId::trusted("call_1"),
                name: "f".to_owned(),
            },
            Entry::Arguments {
                step,
                index: 0,
                pieces: vec!["{".to_owned(), "}".to_owned()],
            },
        ] {
            half.hear(entry);
        }
        let refusal = "No.".to_owned();
        assert_eq!(
            half.content,
            [Content::text("Let me see."), Content::Refusal { refusal }]
        );
        let ToolCall::Function { function, .. } = &half.calls[0] else {
            panic!("{:?}", half.calls);
        };
        assert_eq!(function.arguments, "{}");
    }
}
