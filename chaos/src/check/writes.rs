//! What was acknowledged is there; messages keep their order.

use std::collections::HashMap;

use super::{Found, Rule};
use crate::history::{Facts, History, Op, Outcome};

pub(super) fn check(history: &History, facts: &Facts, found: &mut Found) {
    let mut texts = HashMap::new();
    for message in &facts.messages {
        if !message.is_of_assistant {
            *texts.entry(&*message.text).or_insert(0) += 1;
        }
    }
    let mut runs = HashMap::new();
    for run in &facts.runs {
        *runs.entry(&*run.name).or_insert(0) += 1;
    }
    let count =
        |counted: &HashMap<&str, usize>, name: &str| counted.get(name).copied().unwrap_or(0);
    for (_, op) in &history.entries {
        match op {
            Op::Posted { text, outcome } => {
                let times = count(&texts, text);
                found.expect(Rule::Writes, fits(outcome, times), || {
                    format!("message {text:?} is there {times} times: {outcome:?}")
                });
            }
            Op::Asked {
                name,
                text,
                outcome,
            } => {
                let times = count(&runs, name);
                found.expect(Rule::Writes, fits(outcome, times), || {
                    format!("run {name} is there {times} times: {outcome:?}")
                });
                if let Some(text) = text {
                    let messages = count(&texts, text);
                    found.expect(Rule::Writes, messages == times, || {
                        format!("run {name} is there {times} times, its message {messages} times")
                    });
                }
            }
            Op::Known { run, .. } => {
                let is_there = facts.runs.iter().any(|there| there.id == *run);
                found.expect(Rule::Writes, is_there, || format!("{run} is gone"));
            }
            Op::Wrong { what } => found.expect(Rule::Requests, false, || what.clone()),
            _ => {}
        }
    }
    numbers(history, facts, found);
    order(history, facts, found);
    found.expect(Rule::Lock, facts.locked.is_none(), || {
        format!("the thread takes no message: {:?}", facts.locked)
    });
}

/// Whether something may be there so many times.
fn fits(outcome: &Outcome, times: usize) -> bool {
    match outcome {
        Outcome::Done => times == 1,
        Outcome::Refused(_) => times == 0,
        Outcome::Lost => times <= 1,
    }
}

/// So long a write may go on whose server is gone: what PostgreSQL was told, it does. In
/// milliseconds.
const LATE: u64 = 6_000;

/// The number in a run's metadata is the last acknowledged one, or one that was lost after it, or
/// shortly before.
fn numbers(history: &History, facts: &Facts, found: &mut Found) {
    for run in &facts.runs {
        let (mut legal, mut lost) = (vec![0], Vec::new());
        for (at_ms, op) in &history.entries {
            if let Op::Modified {
                run: of,
                number,
                outcome,
            } = op
                && *of == run.id
            {
                match outcome {
                    Outcome::Done => {
                        let late = lost.iter().filter(|(lost_ms, _)| at_ms - lost_ms < LATE);
                        legal = late.map(|(_, number)| *number).chain([*number]).collect();
                    }
                    Outcome::Lost => {
                        legal.push(*number);
                        lost.push((*at_ms, *number));
                    }
                    Outcome::Refused(why) => found.expect(Rule::Requests, false, || {
                        format!("the metadata of {of} was refused: {why}")
                    }),
                }
            }
        }
        found.expect(Rule::Writes, legal.contains(&run.number), || {
            format!("{} has number {}, not one of {legal:?}", run.id, run.number)
        });
    }
}

fn order(history: &History, facts: &Facts, found: &mut Found) {
    let places: HashMap<_, _> = (facts.messages.iter().enumerate())
        .map(|(place, message)| (&*message.id, place))
        .collect();
    let mut posted = Vec::new();
    for (_, op) in &history.entries {
        match op {
            Op::Listed { messages } => {
                let now: Vec<_> = messages.iter().map(|id| places.get(&**id)).collect();
                found.expect(Rule::Writes, now.iter().all(Option::is_some), || {
                    format!("a message that was listed is gone: {messages:?}")
                });
                found.expect(Rule::Order, now.is_sorted(), || {
                    format!("messages were listed as {messages:?}, now they are at {now:?}")
                });
            }
            Op::Posted {
                text,
                outcome: Outcome::Done,
            }
            | Op::Asked {
                text: Some(text),
                outcome: Outcome::Done,
                ..
            } => {
                let mut messages = facts.messages.iter();
                posted.extend(messages.position(|message| message.text == *text));
            }
            _ => {}
        }
    }
    found.expect(Rule::Order, posted.is_sorted(), || {
        format!("messages were acknowledged in the order of their places {posted:?}")
    });
}
