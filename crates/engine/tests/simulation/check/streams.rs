//! A stream has no gap and no repeat, and is told again as it was told first.

use std::collections::BTreeMap;

use loomgate_domain::{RunId, run::EventId};

use super::may_be_deleted;
use crate::{
    client::short,
    history::{Frame, From, Heard, Reader},
    trace::{Rule, Violation, holds},
    world::World,
};

/// Streams that are opened again for each seed, at most.
const REPLAYS: usize = 6;

/// What is kept of a run's events.
struct Kept {
    ids: Vec<EventId>,
    /// Those that end a leg.
    ends: Vec<EventId>,
}

pub(super) fn check(world: &mut World) -> Result<(), Violation> {
    let mut told: BTreeMap<(RunId, EventId), String> = BTreeMap::new();
    let mut journals = BTreeMap::new();
    let runs: Vec<_> = world.observer.runs.keys().cloned().collect();
    for run in &runs {
        let seen = &world.observer.runs[run];
        if world.is_gone(&seen.run.thread_id) {
            continue;
        }
        let rows = world.observer.journal(run);
        let seen = &world.observer.runs[run];
        holds(Rule::Fence, rows == seen.journal, || {
            format!(
                "{}: the journal was {:?}, and is {rows:?}",
                short(run),
                seen.journal
            )
        })?;
        let mut kept = Kept {
            ids: Vec::new(),
            ends: Vec::new(),
        };
        for row in &rows {
            kept.ids
                .extend((0..row.count).rev().map(|back| row.last.later(-back)));
            kept.ends.extend(row.ends_leg.then_some(row.last));
        }
        journals.insert(run.clone(), kept);
    }
    for reader in &world.readers {
        let heard = reader.heard.lock();
        same(&reader.run, &heard.frames, &mut told)?;
        if let Some(kept) = journals.get(&reader.run) {
            let may_be_gone = may_be_deleted(world, &reader.thread);
            continuity(reader, &heard, kept, may_be_gone)?;
        }
    }
    replays(world, &journals, &mut told)
}

/// An event is told in the same words every time.
fn same(
    run: &RunId,
    frames: &[Frame],
    told: &mut BTreeMap<(RunId, EventId), String>,
) -> Result<(), Violation> {
    for frame in frames {
        let Some(id) = frame.id else { continue };
        let before = told
            .entry((run.clone(), id))
            .or_insert_with(|| frame.text.clone());
        holds(Rule::Streams, *before == frame.text, || {
            format!(
                "{} {id} was told as {before} and as {}",
                short(run),
                frame.text
            )
        })?;
    }
    Ok(())
}

/// A reader was told all events that are kept from its beginning on, and besides them only what a
/// worker that was lost had told and not stored.
fn continuity(
    reader: &Reader,
    heard: &Heard,
    kept: &Kept,
    may_be_gone: bool,
) -> Result<(), Violation> {
    let name = format!("request {}: {}", reader.op, short(&reader.run));
    let ids: Vec<_> = heard.frames.iter().filter_map(|frame| frame.id).collect();
    let is_pure = ids.is_empty() || ids.len() == heard.frames.len() || may_be_gone;
    holds(Rule::Streams, is_pure, || {
        format!("{name}: told without ids: {:?}", heard.frames)
    })?;
    let Some(first) = ids.first() else {
        return Ok(());
    };
    // Where the next event that is kept stands.
    let mut next = match reader.from {
        From::Creation => 0,
        From::After(event) => kept.ids.partition_point(|id| *id <= event),
        From::Leg => {
            let at = kept.ids.partition_point(|id| id < first);
            let begins = at == 0 || kept.ends.contains(&kept.ids[at - 1]);
            holds(Rule::Streams, begins, || {
                format!("{name}: {first} begins no leg")
            })?;
            at
        }
    };
    let mut last = None;
    for frame in &heard.frames {
        let Some(id) = frame.id else { continue };
        holds(Rule::Streams, last < Some(id), || {
            format!("{name}: {id} was told behind {last:?}")
        })?;
        last = Some(id);
        if kept.ids.get(next) == Some(&id) {
            next += 1;
            continue;
        }
        let is_kept = kept.ids.binary_search(&id).is_ok();
        holds(Rule::Streams, !is_kept, || {
            format!(
                "{name}: {id} was told, and not {:?} before it",
                kept.ids.get(next)
            )
        })?;
        // A tail of a lost worker: nothing of its attempt is kept behind it.
        let behind = kept.ids[next..]
            .first()
            .is_none_or(|it| it.attempt > id.attempt);
        let before = next
            .checked_sub(1)
            .is_none_or(|at| kept.ids[at].number < id.number);
        let is_tail = behind && before && frame.is_delta();
        holds(Rule::Streams, is_tail, || {
            format!("{name}: {id} is not kept: {}", frame.text)
        })?;
    }
    if heard.end == Some(true) && !may_be_gone {
        let ends = last.is_some_and(|last| kept.ends.contains(&last));
        holds(Rule::Streams, ends, || {
            format!("{name} ended with {last:?}")
        })?;
    }
    Ok(())
}

/// Legs are told once more, from an event on.
fn replays(
    world: &mut World,
    journals: &BTreeMap<RunId, Kept>,
    told: &mut BTreeMap<(RunId, EventId), String>,
) -> Result<(), Violation> {
    let legs: Vec<_> = journals
        .iter()
        .flat_map(|(run, kept)| {
            let legs = kept.ids.split_inclusive(|id| kept.ends.contains(id));
            legs.map(move |leg| (run, leg))
        })
        .collect();
    for _ in 0..REPLAYS.min(legs.len()) {
        let (run, leg) = legs[world.random.below(legs.len())];
        let at = world.random.below(leg.len());
        let from = if at == 0 { 0 } else { world.random.below(at) };
        let thread = world.observer.runs[run].run.thread_id.clone();
        let heard = world.replay((&thread, run), Some(leg[from]))?;
        let ids: Vec<_> = heard.frames.iter().map(|frame| frame.id).collect();
        let right: Vec<_> = leg[from + 1..].iter().map(|id| Some(*id)).collect();
        let is_right = ids == right && heard.end == Some(true);
        holds(Rule::Streams, is_right, || {
            format!(
                "{} after {}: {heard:?}, not {right:?}",
                short(run),
                leg[from]
            )
        })?;
        same(run, &heard.frames, told)?;
        if from == 0 {
            spoken(run, &heard.frames)?;
        }
    }
    Ok(())
}

/// The deltas of a message make up its text, and nothing is said of it before or after.
fn spoken(run: &RunId, frames: &[Frame]) -> Result<(), Violation> {
    let mut open: BTreeMap<String, String> = BTreeMap::new();
    for frame in frames {
        let data = frame.data();
        let id = data["id"].as_str().unwrap_or_default().to_owned();
        let parts = |parts: &serde_json::Value| {
            let parts = parts.as_array().cloned().unwrap_or_default();
            let words = parts.iter().map(|part| {
                let text = part["text"]["value"].as_str().or(part["refusal"].as_str());
                text.unwrap_or_default().to_owned()
            });
            words.collect::<String>()
        };
        match frame.name() {
            "thread.message.created" => {
                open.insert(id, String::new());
            }
            "thread.message.delta" => {
                let said = parts(&data["delta"]["content"]);
                let words = open.get_mut(&id);
                holds(Rule::Streams, words.is_some(), || {
                    format!(
                        "{}: {said:?} was said in {id}, which is not open",
                        short(run)
                    )
                })?;
                if let Some(words) = words {
                    words.push_str(&said);
                }
            }
            "thread.message.completed" | "thread.message.incomplete" => {
                let said = open.remove(&id);
                let whole = parts(&data["content"]);
                holds(Rule::Streams, said.as_ref() == Some(&whole), || {
                    format!(
                        "{}: {id} was told as {said:?}, and is {whole:?}",
                        short(run)
                    )
                })?;
            }
            _ => {}
        }
    }
    Ok(())
}
