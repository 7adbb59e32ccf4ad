//! What clients were told, what the model said, and what is there, held against each other.

mod runs;
mod streams;
mod writes;

use loomgate_domain::ThreadId;

use crate::{
    history::{Answer, What},
    trace::{Rule, Violation, holds},
    world::World,
};

/// Everything, once all has come to its end.
pub(crate) fn in_the_end(world: &mut World) -> Result<(), Violation> {
    writes::check(world)?;
    runs::check(world)?;
    streams::check(world)
}

/// What was acknowledged, right after a crash.
pub(crate) fn acknowledged(world: &mut World) -> Result<(), Violation> {
    if world.is_open() {
        // Nobody can look.
        return Ok(());
    }
    world.look(None)?;
    writes::check(world)
}

/// What a client was just told.
pub(crate) fn answer(world: &World, op: usize) -> Result<(), Violation> {
    let op = &world.ops[op];
    let Some((_, answer)) = &op.answer else {
        return Ok(());
    };
    match (&op.what, answer) {
        (_, Answer::Broken(_)) => holds(Rule::Writes, false, || format!("{op:?}")),
        // They name what was committed before.
        (What::Get { thread, .. } | What::ModifyRun { thread, .. }, Answer::Missing) => {
            holds(Rule::Writes, may_be_deleted(world, thread), || {
                format!("{op:?}")
            })
        }
        (What::Reopen { .. }, Answer::Refused(_)) => holds(Rule::Streams, false, || {
            format!("an event that was told is unknown: {op:?}")
        }),
        (What::List { .. }, Answer::Texts(texts)) => writes::listed(world, op, texts),
        _ => Ok(()),
    }
}

/// Whether somebody has asked for a thread to be deleted, and was not refused.
fn may_be_deleted(world: &World, thread: &ThreadId) -> bool {
    world.ops.iter().any(|op| match &op.what {
        What::DeleteThread { thread: deleted } => deleted == thread && !op.is_refused(),
        _ => false,
    })
}
