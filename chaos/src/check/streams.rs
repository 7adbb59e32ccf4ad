//! A stream that was read over breaks, kills and restarts has no gap and no repeat, its words are
//! those of its messages, and reading it once more gives the same.

use std::collections::HashMap;

use serde_json::Value;

use super::{Found, Rule};
use crate::{
    events::{Event, EventId},
    history::{Facts, History, Op, text},
};

pub(super) fn check(history: &History, facts: &Facts, found: &mut Found) {
    for (_, op) in &history.entries {
        let Op::Read { run, events } = op else {
            continue;
        };
        continuity(run, events, found);
        words(run, events, found);
        let replays = facts.replays.iter().filter(|(of, ..)| of == run);
        for (_, after, replay) in replays {
            // A run may have several legs.
            if events.iter().any(|event| event.id == Some(*after)) {
                equality(run, (events, *after, replay), found);
            }
        }
    }
}

/// Within an attempt numbers count on by one; a new attempt counts on from what was stored.
fn continuity(run: &str, events: &[Event], found: &mut Found) {
    let ids: Vec<_> = events.iter().filter_map(|event| event.id).collect();
    for pair in ids.windows(2) {
        let [before, after] = [pair[0], pair[1]];
        let follows = if before.attempt == after.attempt {
            after.number == before.number + 1
        } else {
            before.attempt < after.attempt && after.number <= before.number + 1
        };
        found.expect(Rule::Streams, follows, || {
            format!("{run}: {after} was told behind {before}")
        });
    }
}

/// The deltas of a finished message make up its text, and nothing is said of it before or after.
fn words(run: &str, events: &[Event], found: &mut Found) {
    let mut open: HashMap<String, String> = HashMap::new();
    for event in events {
        let data: Value = serde_json::from_str(&event.data).unwrap_or_default();
        let id = text(&data["id"]);
        match &*event.name {
            "thread.message.created" => {
                open.insert(id, String::new());
            }
            "thread.message.delta" => {
                let parts = data["delta"]["content"].as_array().into_iter().flatten();
                let said: String = parts
                    .filter_map(|part| part["text"]["value"].as_str())
                    .collect();
                match open.get_mut(&id) {
                    Some(words) => words.push_str(&said),
                    None => found.expect(Rule::Streams, false, || {
                        format!("{run}: {said:?} was said in {id}, which is not open")
                    }),
                }
            }
            "thread.message.completed" => {
                let said = open.remove(&id);
                let whole = text(&data["content"][0]["text"]["value"]);
                found.expect(Rule::Streams, said.as_ref() == Some(&whole), || {
                    format!("{run}: {id} was told as {said:?}, and is {whole:?}")
                });
            }
            "thread.message.incomplete" => {
                open.remove(&id);
            }
            _ => {}
        }
    }
}

/// What was seen behind an event, and what is told behind it now.
fn equality(run: &str, (events, after, replay): (&[Event], EventId, &[Event]), found: &mut Found) {
    continuity(run, replay, found);
    let seen: Vec<_> = events
        .iter()
        .filter(|event| event.id > Some(after))
        .collect();
    let known: HashMap<_, _> = seen.iter().map(|event| (event.id, *event)).collect();
    for event in replay {
        let before = known.get(&event.id).copied();
        found.expect(Rule::Streams, before == Some(event), || {
            format!("{run} behind {after}: {event:?} was seen as {before:?}")
        });
    }
    for event in seen {
        if replay.iter().any(|told| told.id == event.id) {
            continue;
        }
        // Told and not stored: only words, and the next attempt counts on from before them.
        let next = replay.iter().find(|told| told.id > event.id);
        let is_lost_tail = match (event.id, next.and_then(|next| next.id)) {
            (Some(seen), Some(next)) => next.attempt > seen.attempt && next.number <= seen.number,
            _ => false,
        };
        found.expect(Rule::Streams, is_lost_tail && event.is_delta(), || {
            format!("{run} behind {after}: {event:?} is not told again")
        });
    }
}
