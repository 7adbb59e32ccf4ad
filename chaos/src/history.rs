//! What a client did with a thread and was told, in order; and what it finds there in the end.

use std::{collections::HashMap, fmt};

use serde_json::Value;

use crate::{
    client::WhenLocked,
    events::{Event, EventId},
    question::{Question, Usage},
};

/// One thread's history.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    pub(crate) thread: String,
    /// Milliseconds since the beginning, and what happened.
    pub(crate) entries: Vec<(u64, Op)>,
}

/// How a change was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Acknowledged.
    Done,
    /// Refused, so not done: why.
    Refused(String),
    /// Nobody knows.
    Lost,
}

/// Something that a client did, or saw.
#[derive(Debug, Clone)]
pub(crate) enum Op {
    /// A message was posted; no other has its text.
    Posted {
        text: String,
        outcome: Outcome,
    },
    /// A run was asked for. `name` stands in its metadata, and no other has it; `text` is a message
    /// that comes with it.
    Asked {
        name: String,
        text: Option<String>,
        outcome: Outcome,
    },
    /// A run is there, and what it has to answer: its creation was acknowledged, or it was found.
    Known {
        run: String,
        name: String,
        question: Question,
    },
    /// A run was in this status.
    Saw {
        run: String,
        status: String,
    },
    /// Outputs were handed in: call and output.
    Submitted {
        run: String,
        outputs: Vec<(String, String)>,
        outcome: Outcome,
    },
    Cancelled {
        run: String,
        outcome: Outcome,
    },
    /// A message or a run was asked for on a thread that is locked, which may have ended other runs.
    Beside {
        when: WhenLocked,
        outcome: Outcome,
    },
    /// The run's metadata was set to a number that only grows.
    Modified {
        run: String,
        number: u32,
        outcome: Outcome,
    },
    /// The ids of all finished messages, in their order.
    Listed {
        messages: Vec<String>,
    },
    /// A leg was read to its end, over all breaks.
    Read {
        run: String,
        events: Vec<Event>,
    },
    /// What can not be.
    Wrong {
        what: String,
    },
}

/// What stands in a thread in the end.
#[derive(Debug, Clone, Default)]
pub(crate) struct Facts {
    /// Oldest first.
    pub(crate) messages: Vec<Message>,
    pub(crate) runs: Vec<Run>,
    /// Legs, read once more behind an event: of which run, behind which, what came.
    pub(crate) replays: Vec<(String, EventId, Vec<Event>)>,
    /// What a message to the thread was refused with, once its runs had ended.
    pub(crate) locked: Option<String>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) is_finished: bool,
    pub(crate) is_of_assistant: bool,
    pub(crate) run: Option<String>,
    pub(crate) text: String,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Run {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) status: String,
    pub(crate) number: u32,
    pub(crate) usage: Usage,
    pub(crate) steps: Vec<Step>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Step {
    pub(crate) usage: Usage,
    /// Calls with their outputs.
    pub(crate) outputs: Vec<(String, Option<String>)>,
}

/// Whether a run with this status locks its thread.
pub(crate) fn is_active(status: &str) -> bool {
    ["queued", "in_progress", "requires_action", "cancelling"].contains(&status)
}

impl History {
    /// All runs that a client knows, with what they have to answer.
    pub(crate) fn known(&self) -> HashMap<&str, (&str, Question)> {
        let known = self.entries.iter().filter_map(|(_, op)| match op {
            Op::Known {
                run,
                name,
                question,
            } => Some((&**run, (&**name, *question))),
            _ => None,
        });
        known.collect()
    }
}

impl Message {
    pub(crate) fn of(json: &Value) -> Self {
        let parts = json["content"].as_array().into_iter().flatten();
        Self {
            id: text(&json["id"]),
            is_finished: json["status"].is_null() || json["status"] == "completed",
            is_of_assistant: json["role"] == "assistant",
            run: json["run_id"].as_str().map(str::to_owned),
            text: parts
                .filter_map(|part| part["text"]["value"].as_str())
                .collect(),
        }
    }
}

impl Run {
    pub(crate) fn of(json: &Value) -> Self {
        Self {
            id: text(&json["id"]),
            name: text(&json["metadata"]["name"]),
            status: text(&json["status"]),
            number: text(&json["metadata"]["number"]).parse().unwrap_or(0),
            usage: Usage::of(&json["usage"]).unwrap_or_default(),
            steps: Vec::new(),
        }
    }
}

impl Step {
    pub(crate) fn of(json: &Value) -> Self {
        let calls = json["step_details"]["tool_calls"].as_array();
        let output = |call: &Value| {
            let output = call["function"]["output"].as_str().map(str::to_owned);
            (text(&call["id"]), output)
        };
        Self {
            usage: Usage::of(&json["usage"]).unwrap_or_default(),
            outputs: calls.into_iter().flatten().map(output).collect(),
        }
    }
}

/// A string; of anything else the empty one.
pub(crate) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "history of {}:", self.thread)?;
        for (at_ms, op) in &self.entries {
            match op {
                Op::Read { run, events } => {
                    writeln!(f, "  {at_ms:>7} ms  read a leg of {run}:")?;
                    for Event { id, name, data } in events {
                        let id = id.map(|id| id.to_string()).unwrap_or_default();
                        let data: String = data.chars().take(160).collect();
                        writeln!(f, "              {id:>8} {name} {data}")?;
                    }
                }
                op => writeln!(f, "  {at_ms:>7} ms  {op:?}")?,
            }
        }
        Ok(())
    }
}
