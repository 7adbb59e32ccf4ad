//! An acknowledged write is there, once and in its place; a refused one is not.

use std::collections::BTreeMap;

use loomgate_domain::{Message, Metadata, ThreadId, WhenLocked, message::Role};

use super::may_be_deleted;
use crate::{
    client::{asked_by, marked_by, words},
    history::{Answer, Op, What},
    trace::{Rule, Violation, holds},
    world::World,
};

pub(super) fn check(world: &World) -> Result<(), Violation> {
    let mut texts: BTreeMap<String, (&ThreadId, usize)> = BTreeMap::new();
    for (thread, seen) in &world.observer.threads {
        if seen.is_gone {
            continue;
        }
        for (at, message) in users(&seen.messages).enumerate() {
            let twice = texts.insert(words(&message.content), (thread, at));
            holds(Rule::Writes, twice.is_none(), || {
                format!("{message:?} is there twice")
            })?;
        }
    }
    for op in &world.ops {
        message(world, op, &texts)?;
        run(world, op)?;
        deletion(world, op)?;
    }
    order(world, &texts)?;
    metadata(world)
}

pub(super) fn users(messages: &[Message]) -> impl Iterator<Item = &Message> {
    messages.iter().filter(|message| message.role == Role::User)
}

/// What a request adds to its thread.
pub(super) fn texts(op: &Op) -> &[String] {
    match &op.what {
        What::CreateThread { texts, .. } | What::CreateRun { texts, .. } => texts,
        What::PostMessage { text, .. } => std::slice::from_ref(text),
        _ => &[],
    }
}

/// The thread of a request, as far as its client knows.
fn thread(op: &Op) -> Option<&ThreadId> {
    match (&op.what, &op.answer) {
        (What::CreateRun { thread: None, .. }, Some((_, Answer::Run(run)))) => Some(&run.thread_id),
        (what, _) => what.thread(),
    }
}

/// Whether what a request adds to its thread may still wait for a run to end.
fn may_wait(world: &World, op: &Op) -> bool {
    !world.is_over && op.when_locked() == WhenLocked::Enqueue
}

fn message(
    world: &World,
    op: &Op,
    there: &BTreeMap<String, (&ThreadId, usize)>,
) -> Result<(), Violation> {
    let is_there = op.is_done()
        && !may_wait(world, op)
        && thread(op).is_some_and(|it| !may_be_deleted(world, it));
    for text in texts(op) {
        let found = there.contains_key(text);
        holds(Rule::Writes, found || !is_there, || {
            format!("{text} was acknowledged, and is not there: {op:?}")
        })?;
        holds(Rule::Writes, !found || !op.is_refused(), || {
            format!("{text} was refused, and is there: {op:?}")
        })?;
    }
    Ok(())
}

fn run(world: &World, op: &Op) -> Result<(), Violation> {
    let What::CreateRun { .. } = op.what else {
        return Ok(());
    };
    let made = world.observer.runs.values();
    let made = made
        .filter(|seen| asked_by(&seen.run) == Some(op.number))
        .count();
    let may_be_gone = thread(op).is_none_or(|it| may_be_deleted(world, it));
    let is_right = match &op.answer {
        Some((_, Answer::Run(_))) => made == 1 || may_be_gone,
        Some(_) if op.is_refused() => made == 0,
        _ => made <= 1,
    };
    holds(Rule::Writes, is_right, || {
        format!("{made} runs were made for {op:?}")
    })
}

fn deletion(world: &World, op: &Op) -> Result<(), Violation> {
    let What::DeleteThread { thread } = &op.what else {
        return Ok(());
    };
    let seen = world.observer.threads.get(thread);
    let is_there = seen.is_some_and(|it| it.is_there);
    holds(Rule::Writes, !op.is_done() || !is_there, || {
        format!("{thread} was deleted, and is there")
    })
}

/// What was acknowledged before something else was asked for stands before it.
fn order(world: &World, there: &BTreeMap<String, (&ThreadId, usize)>) -> Result<(), Violation> {
    for (op, later) in world
        .ops
        .iter()
        .flat_map(|op| world.ops.iter().map(move |it| (op, it)))
    {
        if !op.is_before(later) {
            continue;
        }
        for (text, next) in texts(op)
            .iter()
            .flat_map(|it| texts(later).iter().map(move |n| (it, n)))
        {
            let places = there.get(text).zip(there.get(next));
            let is_right = places.is_none_or(|(it, next)| it.0 != next.0 || it.1 < next.1);
            holds(Rule::Order, is_right, || {
                format!("{text} stands behind {next}")
            })?;
        }
    }
    Ok(())
}

/// A list that a client was shown.
pub(super) fn listed(world: &World, op: &Op, texts_of_list: &[String]) -> Result<(), Violation> {
    for before in &world.ops {
        let is_ours = before.what.thread() == op.what.thread() && before.is_done();
        if !is_ours || !before.is_before(op) {
            continue;
        }
        for text in texts(before) {
            let count = texts_of_list.iter().filter(|it| *it == text).count();
            let is_right = count == 1 || count == 0 && may_wait(world, before);
            holds(Rule::Writes, is_right, || {
                format!("{text} was acknowledged, and is there {count} times: {op:?}")
            })?;
        }
    }
    Ok(())
}

/// Metadata is what one of the last requests has made it.
fn metadata(world: &World) -> Result<(), Violation> {
    for (id, seen) in &world.observer.runs {
        if world.is_gone(&seen.run.thread_id) {
            continue;
        }
        let of = |op: &Op| match &op.what {
            What::ModifyRun { run, .. } => run == id,
            What::CreateRun { .. } => asked_by(&seen.run) == Some(op.number),
            _ => false,
        };
        latest(world, &seen.run.metadata, of)?;
    }
    for message in world
        .observer
        .threads
        .values()
        .filter(|it| !it.is_gone)
        .flat_map(|it| &it.messages)
    {
        let of = |op: &Op| match &op.what {
            What::ModifyMessage { message: it, .. } => *it == message.id,
            _ => false,
        };
        latest(world, &message.metadata, of)?;
    }
    Ok(())
}

fn latest(world: &World, metadata: &Metadata, of: impl Fn(&Op) -> bool) -> Result<(), Violation> {
    let marks = marked_by(metadata);
    let by = marks.map(|op| &world.ops[op]);
    holds(
        Rule::Writes,
        by.is_none_or(|op| of(op) && !op.is_refused()),
        || format!("nobody asked for {metadata:?}: {by:?}"),
    )?;
    let mut later = world.ops.iter().filter(|op| of(op) && op.is_done());
    let overwritten = later.find(|op| by.is_none_or(|by| by.is_before(op)));
    holds(Rule::Writes, overwritten.is_none(), || {
        format!("{overwritten:?} was acknowledged behind {by:?}, and is not there")
    })
}
