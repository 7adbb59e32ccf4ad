//! Taking tool outputs.

use std::sync::Arc;

use loomgate_domain::{
    Run, RunId, StepId, ThreadId, WorkspaceId,
    run::{Input, RunState, StepDetails, ToolCall, ToolOutput},
};

use crate::{
    Action, Engine, Error, Subscription,
    command::{Leg, Place, command},
    commands::refused,
};

impl Engine {
    /// Hands the outputs of all pending calls to a run. The run is `queued` when this returns;
    /// with `stream`, the next leg can be read from the subscription. The same outputs for the same
    /// calls may be handed in again: the run is returned as it is, or its leg from its beginning.
    pub async fn submit_tool_outputs(
        &self,
        workspace: &WorkspaceId,
        thread: &ThreadId,
        run: &RunId,
        outputs: Vec<ToolOutput>,
        stream: bool,
    ) -> Result<(Run, Option<Subscription>), Error> {
        let place = Place::of(workspace, thread, run);
        // There before the commit, so that nothing that the worker tells is let go of.
        let reader = stream.then(|| self.shared.bus.read(run));
        let sent = outputs.clone();
        let leg = Leg::New { recorded: stream };
        let (shared, at) = (Arc::clone(&self.shared), place.clone());
        let submitting = async move {
            let input = move |_: &RunState| Input::SubmitOutputs(outputs.clone());
            command(&shared, &at, leg, input).await
        };
        let submitted = self.shared.see_through(submitting).await??;
        let submitted = submitted.ok_or_else(|| Error::NoRun(run.clone()))?;
        // Also where it waits for the outputs of other calls: then it has gone on to those.
        if submitted.is_err()
            && let Some(step) = self.submitted_before(&place, &sent).await?
        {
            let runs = self.shared.store.runs();
            let known = runs.get(workspace, thread, run).await?;
            let known = known.ok_or_else(|| Error::NoRun(run.clone()))?;
            let events = match reader {
                Some(_) => Some(self.replay_after(place, &step).await?),
                None => None,
            };
            return Ok((known, events));
        }
        let moved = submitted.map_err(|illegal| refused(illegal, Action::SubmitToolOutputs))?;
        self.perform(run, &moved.effects);
        let (run, after) = (moved.draft.run, moved.after);
        let from = (run.clone(), after);
        let events = reader.map(|it| Subscription::beginning(&self.shared, it, place, from));
        Ok((run, events))
    }

    /// The step whose calls were answered with just these outputs, if there is one: the client repeats
    /// a request whose answer it did not get.
    async fn submitted_before(
        &self,
        place: &Place,
        outputs: &[ToolOutput],
    ) -> Result<Option<StepId>, Error> {
        if outputs.is_empty() {
            return Ok(None);
        }
        let steps = self.shared.store.steps().all(&place.ws, &place.run).await?;
        let answered = steps.into_iter().find(|step| match &step.details {
            StepDetails::ToolCalls { tool_calls } => are_answered(tool_calls, outputs),
            StepDetails::MessageCreation { .. } => false,
        });
        Ok(answered.map(|step| step.id))
    }
}

/// Whether the client's part of these calls was answered with just these outputs.
fn are_answered(calls: &[ToolCall], outputs: &[ToolOutput]) -> bool {
    let functions = calls.iter().filter_map(|call| match call {
        ToolCall::Function { id, function, .. } => Some((id, function)),
        ToolCall::FileSearch { .. } => None,
    });
    functions.clone().count() == outputs.len()
        && functions.clone().all(|(id, function)| {
            outputs.iter().any(|output| {
                output.call_id == *id && function.output.as_ref() == Some(&output.output)
            })
        })
}
