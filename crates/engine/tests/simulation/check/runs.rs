//! Every run has ended once, with the one right answer, the outputs that were taken, and its usage
//! counted once.

use std::sync::atomic::Ordering;

use loomgate_domain::{
    Message, Usage, WhenLocked,
    message::MessageStatus,
    run::{RunState, RunStatus, StepDetails, StepStatus, ToolCall},
};
use loomgate_wire::chat::FinishReason;

use super::{
    may_be_deleted,
    writes::{texts, users},
};
use crate::{
    client::{asked_by, short, words},
    history::{Op, What},
    model::{Call, Calls, End},
    observer::RunSeen,
    trace::{Rule, Violation, holds},
    world::World,
};

pub(super) fn check(world: &World) -> Result<(), Violation> {
    let calls = world.common.calls.lock();
    for seen in world.observer.runs.values() {
        if world.is_gone(&seen.run.thread_id) {
            continue;
        }
        ends(world, seen, &calls)?;
        asked(world, seen, &calls)?;
        answers(world, seen, &calls)?;
        outputs(world, seen, &calls)?;
        usage(seen, &calls)?;
    }
    Ok(())
}

fn of<'c>(calls: &'c Calls, seen: &RunSeen) -> impl Iterator<Item = &'c Call> {
    let run = seen.run.id.clone();
    calls.list.iter().filter(move |call| call.run == run)
}

fn ends(world: &World, seen: &RunSeen, calls: &Calls) -> Result<(), Violation> {
    let name = short(&seen.run.id);
    let status = seen.run.state.status();
    holds(Rule::Ends, !status.is_active(), || {
        format!("{name} has not ended: {:?}", seen.run)
    })?;
    let cancels = world.ops.iter().filter(|op| match &op.what {
        What::Cancel { run, .. } => *run == seen.run.id,
        _ => false,
    });
    // Also by a request that was then refused, because it had waited for long enough.
    let is_cleared = world.ops.iter().any(|op| {
        let clears = matches!(op.when_locked(), WhenLocked::CancelPrevious(_));
        clears && op.what.thread() == Some(&seen.run.thread_id)
    });
    let cancels: Vec<&Op> = cancels.filter(|op| !op.is_refused()).collect();
    let is_acknowledged = cancels.iter().any(|op| op.is_done());
    let is_cancelled = status == RunStatus::Cancelled;
    holds(Rule::Ends, is_cancelled || !is_acknowledged, || {
        format!("the cancellation of {name} was acknowledged, and it is {status:?}")
    })?;
    let is_wanted = is_cleared || !cancels.is_empty();
    holds(Rule::Ends, !is_cancelled || is_wanted, || {
        format!("{name} was cancelled, and nobody asked for it")
    })?;
    let of_model = |so: fn(End) -> bool| of(calls, seen).any(|call| so(call.plan.end));
    let is_of_model = match &seen.run.state {
        RunState::Failed { error, .. } => {
            error.message != "Sorry, something went wrong."
                && of_model(|end| match end {
                    End::Refused(_) | End::Error(_) | End::CutOff => true,
                    End::Finished(reason) => reason == FinishReason::ContentFilter,
                    End::Never => false,
                })
        }
        RunState::Incomplete { .. } => of_model(|end| end == End::Finished(FinishReason::Length)),
        _ => true,
    };
    holds(Rule::Ends, is_of_model, || {
        format!("the model did not end {:?}", seen.run)
    })
}

/// All turns of a run that count were shown its thread as it was when the run had its turn: what came before it,
/// its own messages, and nothing that came after.
fn asked(world: &World, seen: &RunSeen, calls: &Calls) -> Result<(), Violation> {
    let name = short(&seen.run.id);
    let there = users(&world.observer.threads[&seen.run.thread_id].messages);
    let there: Vec<String> = there.map(|it| words(&it.content)).collect();
    let by = asked_by(&seen.run).map(|op| &world.ops[op]);
    let mut first = None;
    // One that is not counted may be of a worker that had lost the run.
    let counted = of(calls, seen).filter(|call| seen.turns.contains_key(&call.number));
    for call in counted {
        let asked = &call.asked;
        let is_thread = there.starts_with(asked) && first.is_none_or(|it| it == asked);
        holds(Rule::Order, is_thread, || {
            format!("{name} was shown {asked:?}, first {first:?}, of {there:?}")
        })?;
        first = Some(asked);
        let Some(by) = by else { continue };
        let before = world.ops.iter().filter(|op| {
            let is_ours = op.what.thread() == Some(&seen.run.thread_id);
            is_ours && op.is_done() && op.is_before(by)
        });
        let mut due = before.chain([by]).flat_map(texts);
        let missing = due.find(|text| there.contains(text) && !asked.contains(text));
        holds(Rule::Order, missing.is_none(), || {
            format!("{name} was not shown {missing:?}: {asked:?}")
        })?;
    }
    Ok(())
}

/// What a turn says, as a message.
fn said(call: &Call) -> String {
    match &*call.plan.refusal {
        "" => call.plan.text.clone(),
        refusal => format!("!{refusal}"),
    }
}

fn answers(world: &World, seen: &RunSeen, calls: &Calls) -> Result<(), Violation> {
    let name = short(&seen.run.id);
    let messages = &world.observer.threads[&seen.run.thread_id].messages;
    let ours = messages
        .iter()
        .filter(|it| it.run_id.as_ref() == Some(&seen.run.id));
    let ours: Vec<&Message> = ours.collect();
    let is_whole = |it: &&&Message| matches!(it.status, MessageStatus::Completed { .. });
    let whole = ours.iter().filter(is_whole).map(|it| words(&it.content));
    let whole: Vec<String> = whole.collect();
    let counted = of(calls, seen).filter(|call| seen.turns.contains_key(&call.number));
    let counted: Vec<&Call> = counted.collect();
    if seen.run.state.status() == RunStatus::Completed {
        let finished = counted.iter().filter(|call| match call.plan.end {
            End::Finished(FinishReason::Stop) => true,
            End::Finished(FinishReason::ToolCalls) => !said(call).is_empty(),
            _ => false,
        });
        let right: Vec<String> = finished.map(|call| said(call)).collect();
        let is_right = whole == right && ours.len() == whole.len();
        holds(Rule::Answers, is_right, || {
            format!("{name} has the answers {ours:?}, not {right:?}")
        })?;
        let last = counted.last().map(|call| call.plan.end);
        let is_answer = last == Some(End::Finished(FinishReason::Stop));
        holds(Rule::Answers, is_answer, || {
            format!("{name} is completed, after {last:?}")
        })?;
        return tools(seen, &counted);
    }
    // Words that came before calls stay when the run ends in the midst of these.
    let uncounted = whole
        .iter()
        .filter(|text| !counted.iter().any(|call| said(call) == **text));
    let uncounted: Vec<_> = uncounted.collect();
    let are_said = uncounted
        .iter()
        .all(|text| of(calls, seen).any(|call| said(call) == ***text));
    holds(Rule::Answers, are_said && uncounted.len() <= 1, || {
        format!("{name} has {uncounted:?}, of turns that were not counted")
    })?;
    let mut broken = ours.iter().filter(|it| !is_whole(it));
    let last = broken.next();
    holds(Rule::Answers, broken.next().is_none(), || {
        format!("{name} has several messages that were broken off: {ours:?}")
    })?;
    if let Some(message) = last {
        let text = words(&message.content);
        let is_part = of(calls, seen).any(|call| said(call).starts_with(&text));
        let is_ended = message.status != MessageStatus::InProgress;
        holds(Rule::Answers, is_part && is_ended, || {
            format!("{name} has {message:?}")
        })?;
    }
    Ok(())
}

/// The steps of calls of a completed run are those of the turns that were counted.
fn tools(seen: &RunSeen, counted: &[&Call]) -> Result<(), Violation> {
    let done = seen
        .steps
        .iter()
        .filter(|it| matches!(it.status, StepStatus::Completed { .. }));
    let done = done.filter_map(|step| match &step.details {
        StepDetails::ToolCalls { tool_calls } => Some(tool_calls),
        StepDetails::MessageCreation { .. } => None,
    });
    let parts = |call: &ToolCall| match call {
        ToolCall::Function { function, .. } => {
            Some((function.name.clone(), function.arguments.clone()))
        }
        // No run of the simulation has the tool.
        ToolCall::FileSearch { .. } => None,
    };
    let done: Vec<Vec<_>> = done
        .map(|calls| calls.iter().filter_map(parts).collect())
        .collect();
    let asked = counted
        .iter()
        .filter(|it| it.plan.end == End::Finished(FinishReason::ToolCalls));
    let most = if seen.run.settings.parallel_tool_calls {
        usize::MAX
    } else {
        1
    };
    let asked = asked.map(|it| it.plan.functions.iter().take(most).cloned().collect());
    let asked: Vec<Vec<_>> = asked.collect();
    holds(Rule::Answers, done == asked, || {
        format!("{} has called {done:?}, not {asked:?}", short(&seen.run.id))
    })
}

fn outputs(world: &World, seen: &RunSeen, calls: &Calls) -> Result<(), Violation> {
    let name = short(&seen.run.id);
    let taken: Vec<_> = seen.outputs().collect();
    let sent = world.ops.iter().filter_map(|op| match &op.what {
        What::Submit { run, outputs, .. } if *run == seen.run.id => Some((op, outputs)),
        _ => None,
    });
    let sent: Vec<_> = sent.collect();
    for (call, output) in &taken {
        let same =
            |(id, text): &(loomgate_domain::CallId, String)| id.as_str() == *call && text == output;
        let by = sent
            .iter()
            .find(|(op, list)| !op.is_refused() && list.iter().any(same));
        holds(Rule::Outputs, by.is_some(), || {
            format!("{name}: nobody sent {output} for {call}")
        })?;
    }
    for (op, outputs) in sent.iter().filter(|(op, _)| op.is_done()) {
        if may_be_deleted(world, &seen.run.thread_id) {
            break;
        }
        for (call, output) in *outputs {
            let times = taken
                .iter()
                .filter(|it| **it == (call.as_str(), output))
                .count();
            holds(Rule::Outputs, times == 1, || {
                format!("{name}: {output} was acknowledged, and is there {times} times: {op:?}")
            })?;
        }
    }
    for call in of(calls, seen) {
        for (id, output) in &call.outputs {
            holds(
                Rule::Outputs,
                taken.contains(&(id.as_str(), output)),
                || format!("{name}: the model was shown {output} for {id}, which was not taken"),
            )?;
        }
    }
    Ok(())
}

fn usage(seen: &RunSeen, calls: &Calls) -> Result<(), Violation> {
    let name = short(&seen.run.id);
    let steps = seen.steps.iter().filter_map(|step| step.usage);
    let steps = steps.fold(Usage::default(), |sum, it| sum + it);
    // A turn that ended before it had begun a step stands on the run alone.
    let is_sum = seen.run.state.status() != RunStatus::Completed || steps == seen.run.usage;
    holds(Rule::Usage, is_sum, || {
        format!("{name}: steps took {steps:?}, the run {:?}", seen.run)
    })?;
    let (mut all, mut is_exact) = (Usage::default(), true);
    for call in of(calls, seen) {
        let turn = seen.turns.get(&call.number);
        let is_settled = call.is_settled.load(Ordering::Relaxed);
        holds(Rule::Usage, turn.is_some() || !is_settled, || {
            format!(
                "{name}: turn {} is said to be counted, and is not",
                call.number
            )
        })?;
        let Some(turn) = turn else { continue };
        match call.plan.usage {
            Some(usage) => {
                let is_right = turn.tokens == usage.total_tokens();
                holds(Rule::Usage, is_right, || {
                    format!(
                        "{name}: turn {} took {usage:?}, and is {turn:?}",
                        call.number
                    )
                })?;
                if let End::Finished(_) = call.plan.end {
                    all = all + usage;
                }
            }
            None => is_exact = false,
        }
    }
    let is_right = match seen.run.state.status() {
        RunStatus::Completed if is_exact => seen.run.usage == all,
        _ if is_exact => seen.run.usage.total_tokens() <= all.total_tokens(),
        _ => true,
    };
    holds(Rule::Usage, is_right, || {
        format!("{name} took {:?}, and its turns {all:?}", seen.run.usage)
    })
}
