//! Taking tool outputs.

use loomgate_domain::{
    Run, RunId, ThreadId, WorkspaceId,
    run::{Illegal, Input, ToolOutput},
};

use crate::{Action, Engine, Error, Subscription, commands::refused, draft::Draft};

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
        let now = self.shared.clock.now();
        // Opened before the commit, so that the worker finds it.
        let events = stream.then(|| self.shared.bus.open(run));
        let runs = self.shared.store.runs();
        let submitted = runs
            .command(workspace, thread, run, move |row| {
                let mut draft = Draft::new(row.run, row.steps, row.messages, stream);
                let effects = draft.step(now, Input::SubmitOutputs(outputs))?;
                Ok::<_, Illegal>((draft.change(), (draft, effects)))
            })
            .await?
            .ok_or_else(|| Error::NoRun(run.clone()))?;
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
