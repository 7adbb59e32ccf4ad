//! Taking tool outputs.

use loomgate_domain::{
    Run, RunId, ThreadId, WorkspaceId,
    run::{Input, ToolOutput},
};

use crate::{
    Action, Engine, Error, Subscription,
    command::{Place, command},
    commands::refused,
};

impl Engine {
    /// Hands the outputs of all pending calls to a run. The run is `queued` when this returns;
    /// with `stream`, the next leg can be read from the subscription.
    pub async fn submit_tool_outputs(
        &self,
        workspace: &WorkspaceId,
        thread: &ThreadId,
        run: &RunId,
        outputs: Vec<ToolOutput>,
        stream: bool,
    ) -> Result<(Run, Option<Subscription>), Error> {
        let place = Place {
            ws: workspace.clone(),
            thread: thread.clone(),
            run: run.clone(),
        };
        // Opened before the commit, so that the worker finds it.
        let events = stream.then(|| self.shared.bus.open(run));
        let submitted = command(&self.shared, &place, stream, |_| {
            Input::SubmitOutputs(outputs)
        })
        .await?
        .ok_or(Error::NoRun(place.run))?;
        let (mut draft, effects) =
            submitted.map_err(|illegal| refused(illegal, Action::SubmitToolOutputs))?;
        let metadata = draft.run.metadata.clone();
        let opening = draft.committed(metadata);
        if let Some(events) = &events {
            events.begin(opening);
        }
        self.perform(run, &effects);
        Ok((draft.run, events))
    }
}
