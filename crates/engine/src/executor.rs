//! The executor: a journal. It loads the context, asks the model, commits, and does so again
//! until the run has ended or waits for its client.
//!
//! A crash between two commits loses nothing that was committed: whoever claims the run next
//! begins from there. So a process that is going away lets go of its runs between two turns. Commits
//! are guarded by fence and version; see [`Fault::Lost`].

use std::{
    collections::HashSet,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use futures::StreamExt;
use loomgate_domain::{
    CallId, Usage,
    run::{
        Event, Failure, FileSearchCall, FunctionCall, Illegal, Input, RunEvent,
        RunIncompleteReason, RunState, RunStatus, StepDetails, ToolCall,
    },
};
use loomgate_store::{Guard, RunChange, RunContext};
use loomgate_wire::chat::ChatRequest;
use tokio_util::sync::CancellationToken;

use crate::{
    citation::{Citations, Sources},
    context,
    draft::Draft,
    engine::Shared,
    entry, failure,
    model::{ChatStream, ModelError, ModelErrorKind, ModelTurn, Receipt},
    recorder::Recorder,
    search::{self, SearchTool},
    sources::{self, Unsearchable},
    tokens,
    turn::{Knows, Step, Turn},
};

/// The most bytes of text whose tokens are counted without leaving the thread.
const COUNTED_IN_PLACE: usize = 64 * 1024;

/// How often a turn whose stream broke midway is asked for again.
const BROKEN_TURNS: u32 = 2;

/// Carries out one claimed run.
pub(crate) struct Executor {
    pub(crate) shared: Arc<Shared>,
    pub(crate) guard: Guard,
    pub(crate) draft: Draft,
    /// Present while the leg is recorded.
    pub(crate) recorder: Option<Arc<Recorder>>,
    /// Fires when the run was cancelled, or the lease was lost.
    pub(crate) stop: CancellationToken,
    /// What the next commit has to count.
    pub(crate) due: Option<(Box<dyn Receipt>, Usage)>,
}

/// Why an executor lets go of a run that has not ended.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// The run is somebody else's, or gone. Nothing was written.
    #[error("the lease is lost")]
    Lost,
    /// The store failed; the lease will run out, and the run will be claimed again.
    #[error(transparent)]
    Store(#[from] loomgate_store::Error),
    /// A defect: the machine refused what the executor did.
    #[error("illegal transition: {0}")]
    Illegal(#[from] Illegal),
}

/// How one model turn went.
enum Outcome {
    /// The run has ended, or waits for its client.
    Settled,
    /// It ended with calls that are to be carried out here.
    Called,
    /// The stream broke; what it had begun is taken back.
    Broken(ModelError),
}

/// What ended the wait for the model.
enum Interrupt {
    Stop,
    Deadline,
}

impl Executor {
    /// Carries the run on until it has ended, waits for its client, is handed over, or is lost.
    pub(crate) async fn execute(mut self) -> Result<(), Fault> {
        match self.carry_out().await {
            // Perhaps it was only cancelled under our hands: then it is ours to stop.
            Err(Fault::Lost) => self.stop_run().await,
            other => other,
        }
    }

    async fn carry_out(&mut self) -> Result<(), Fault> {
        if let RunState::Cancelling { .. } = self.draft.run.state {
            self.draft.tell_event(&Event::Run(RunEvent::Cancelling));
            return self.stop_run().await;
        }
        if SearchTool::of(&self.draft.run).is_some() {
            let began = {
                let beginning = sources::begin(&self.shared, &self.guard, &self.draft.run);
                self.undisturbed(beginning).await
            };
            if self.searchable(began).await?.is_none() {
                return Ok(());
            }
        }
        let mut broken = 0;
        loop {
            // Everything so far is committed: whoever takes the run up goes on from here.
            if self.shared.draining.is_cancelled() {
                return self.hand_over().await;
            }
            if self.draft.is_called() {
                if self.carry_out_calls().await? {
                    continue;
                }
                return Ok(());
            }
            let context = self.context().await?;
            match self.turn(&context, broken < BROKEN_TURNS).await? {
                Outcome::Settled => return Ok(()),
                Outcome::Called => broken = 0,
                Outcome::Broken(error) => {
                    broken += 1;
                    tracing::warn!(run_id = %self.guard.run, attempt = broken, error = %error, "model stream broke, asking again");
                    let pause = Duration::from_millis(200 << broken);
                    if let Err(interrupt) = self.undisturbed(tokio::time::sleep(pause)).await {
                        return self.interrupted(None, &interrupt).await;
                    }
                }
            }
        }
    }

    /// Lets any other process take the run up at once: this one is going away, and the run is between
    /// two turns.
    async fn hand_over(&self) -> Result<(), Fault> {
        let change = RunChange {
            release: true,
            ..self.draft.change(self.shared.clock.now_ms())
        };
        let runs = self.shared.store.runs();
        let released = runs.commit(self.guard.clone(), change).await?;
        released.ok_or(Fault::Lost)?;
        self.shared.handed_over.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    async fn context(&self) -> Result<RunContext, Fault> {
        let window = self.shared.settings.limits.context_window_tokens;
        let limits = context::limits(self.draft.run.settings.truncation, window);
        let Guard {
            ws, thread, run, ..
        } = &self.guard;
        let runs = self.shared.store.runs();
        Ok(runs.context(ws, thread, run, limits).await?)
    }

    /// Asks the model for a turn. One whose stream breaks is taken back if it `may_be_repeated`;
    /// otherwise the run fails, and what was said is kept.
    async fn turn(
        &mut self,
        context: &RunContext,
        may_be_repeated: bool,
    ) -> Result<Outcome, Fault> {
        let request = match self.next_request(context).await {
            Ok(request) => request,
            Err(reason) => {
                let before = self.draft.clone();
                let now = self.shared.clock.now();
                self.draft.step(now, Input::Incomplete(reason))?;
                self.settle(Some(before)).await?;
                return Ok(Outcome::Settled);
            }
        };
        let shared = Arc::clone(&self.shared);
        let workspace = self.guard.ws.clone();
        let run = self.draft.run.clone();
        let call = shared.model.chat(&workspace, &run, &request);
        let ModelTurn {
            events: mut stream,
            receipt,
        } = match self.undisturbed(call).await {
            Ok(Ok(turn)) => turn,
            Ok(Err(error)) => {
                self.fail(failure::of_model(&error)).await?;
                return Ok(Outcome::Settled);
            }
            Err(interrupt) => {
                self.interrupted(None, &interrupt).await?;
                return Ok(Outcome::Settled);
            }
        };
        let knows = Knows {
            calls: known_calls(context),
            parallel: self.draft.run.settings.parallel_tool_calls,
            search: SearchTool::of(&self.draft.run),
            block: context::next_block(&request.messages, &context.steps),
            citations: Citations::new(Sources::of(&context.steps)),
        };
        let mut turn = Turn::new(Arc::clone(&self.shared.ids), knows);
        let read = self.read(&mut stream, &mut turn).await;
        // The provider's connection is free again before anything is written.
        drop(stream);
        let read = match read {
            Ok(read) => read,
            Err(fault) => {
                // Perhaps the run was only cancelled: then it ends with all that streams were told.
                turn.write(&mut self.draft);
                return Err(fault);
            }
        };
        match read {
            Ok(()) => {
                self.finish(turn, &request, receipt).await?;
                Ok(if self.draft.is_called() {
                    Outcome::Called
                } else {
                    Outcome::Settled
                })
            }
            Err(stopped) => {
                // What the provider counted is counted, also of a turn that came to nothing.
                self.due = receipt.zip(turn.usage());
                self.stopped(turn, stopped, may_be_repeated).await
            }
        }
    }

    /// A turn that did not come to its end.
    async fn stopped(
        &mut self,
        turn: Turn,
        stopped: Stopped,
        may_be_repeated: bool,
    ) -> Result<Outcome, Fault> {
        match stopped {
            Stopped::Model(error) if may_be_repeated && error.kind == ModelErrorKind::Broken => {
                let now = self.shared.clock.now();
                turn.write(&mut self.draft);
                self.draft.step(now, Input::Abandon)?;
                self.draft.take_out(turn.words_before_calls());
                self.commit().await?;
                return Ok(Outcome::Broken(error));
            }
            Stopped::Model(error) => {
                turn.write(&mut self.draft);
                self.fail(failure::of_model(&error)).await?;
            }
            Stopped::Interrupt(interrupt) => self.interrupted(Some(&turn), &interrupt).await?,
        }
        Ok(Outcome::Settled)
    }

    /// Counting the tokens of a long thread takes a while, which other runs do not have to wait for.
    async fn next_request(&self, context: &RunContext) -> Result<ChatRequest, RunIncompleteReason> {
        let window = self.shared.settings.limits.context_window_tokens;
        let run = &self.draft.run;
        if context::text_bytes(context) <= COUNTED_IN_PLACE {
            return context::next_request(run, context, window);
        }
        let (run, context) = (run.clone(), context.clone());
        let counted =
            tokio::task::spawn_blocking(move || context::next_request(&run, &context, window));
        match counted.await {
            Ok(request) => request,
            // A panic in there is a panic of this run, whose attendant fails it.
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The runtime is going away, and this run with it.
                Err(_) => std::future::pending().await,
            },
        }
    }

    /// Reads the model's stream to its end.
    async fn read(
        &mut self,
        stream: &mut ChatStream,
        turn: &mut Turn,
    ) -> Result<Result<(), Stopped>, Fault> {
        loop {
            let event = match self.undisturbed(stream.next()).await {
                Ok(Some(Ok(event))) => event,
                Ok(Some(Err(error))) => return Ok(Err(Stopped::Model(error))),
                Ok(None) if turn.is_finished() => return Ok(Ok(())),
                Ok(None) => {
                    return Ok(Err(Stopped::Model(ModelError {
                        kind: ModelErrorKind::Broken,
                        message: "It ended without saying so.".to_owned(),
                    })));
                }
                Err(interrupt) => return Ok(Err(Stopped::Interrupt(interrupt))),
            };
            let now = self.shared.clock.now();
            let step = turn.take(&mut self.draft, now, event)?;
            let Some(recorder) = &self.recorder else {
                continue;
            };
            match step {
                Step::Deltas(deltas) => {
                    for delta in deltas {
                        if !recorder.tell(delta, &mut self.draft.run) {
                            return Err(Fault::Lost);
                        }
                    }
                    if recorder.is_full()
                        && let Err(interrupt) = self.undisturbed(recorder.drained()).await
                    {
                        return Ok(Err(Stopped::Interrupt(interrupt)));
                    }
                }
                // A message is committed when it is begun, so that its id is good from the first
                // event on. Where nobody is told, whole turns are committed.
                Step::Begun => self.commit().await?,
                Step::Quiet => {}
            }
        }
    }

    async fn finish(
        &mut self,
        turn: Turn,
        request: &ChatRequest,
        receipt: Option<Box<dyn Receipt>>,
    ) -> Result<(), Fault> {
        let usage = turn
            .usage()
            .unwrap_or_else(|| estimate(request, turn.written()));
        self.due = receipt.map(|receipt| (receipt, usage));
        turn.write(&mut self.draft);
        let before = self.draft.clone();
        turn.finish(&mut self.draft, self.shared.clock.now(), usage)?;
        self.settle(Some(before)).await
    }

    /// Carries out the searches of the open step. Whether the run goes on; otherwise it has ended, or
    /// waits for its client.
    async fn carry_out_calls(&mut self) -> Result<bool, Fault> {
        let pending: Vec<FileSearchCall> = search::pending(self.draft.calls()).cloned().collect();
        let found = {
            let run = &self.draft.run;
            let searching = sources::search(&self.shared, &self.guard, run, &pending);
            // It may wait for files for a minute, as whoever takes the run up next will.
            let searching = self.shared.draining.run_until_cancelled(searching);
            self.undisturbed(searching).await
        };
        let found = match found {
            Ok(None) => return Ok(true),
            Ok(Some(found)) => Ok(found),
            Err(interrupt) => Err(interrupt),
        };
        let Some(found) = self.searchable(found).await? else {
            return Ok(false);
        };
        for (call, results) in pending.iter().zip(found) {
            self.draft.write_results(call.block, results);
        }
        let functions: Vec<FunctionCall> = self.draft.calls().iter().filter_map(function).collect();
        let before = self.draft.clone();
        let now = self.shared.clock.now();
        if functions.is_empty() {
            self.draft.step(now, Input::CloseTools)?;
            self.commit().await?;
            return Ok(true);
        }
        self.draft.step(now, Input::RequireAction(functions))?;
        self.settle(Some(before)).await?;
        Ok(false)
    }

    /// What came of looking into the run's vector stores. `None`: the run has ended over it.
    async fn searchable<T>(
        &mut self,
        outcome: Result<Result<T, Unsearchable>, Interrupt>,
    ) -> Result<Option<T>, Fault> {
        match outcome {
            Ok(Ok(found)) => return Ok(Some(found)),
            Ok(Err(Unsearchable::Store(error))) => return Err(error.into()),
            Ok(Err(Unsearchable::Expired(store))) => {
                self.fail(failure::expired_store(&store)).await?;
            }
            Err(interrupt) => self.interrupted(None, &interrupt).await?,
        }
        Ok(None)
    }

    async fn fail(&mut self, failure: Failure) -> Result<(), Fault> {
        tracing::info!(run_id = %self.guard.run, code = ?failure.error.code, message = %failure.error.message, "run failed");
        let before = self.draft.clone();
        let now = self.shared.clock.now();
        self.draft.step(now, Input::Fail(failure))?;
        self.settle(Some(before)).await
    }

    async fn interrupted(
        &mut self,
        turn: Option<&Turn>,
        interrupt: &Interrupt,
    ) -> Result<(), Fault> {
        if let Some(turn) = turn {
            turn.write(&mut self.draft);
        }
        match interrupt {
            Interrupt::Stop => self.stop_run().await,
            Interrupt::Deadline => {
                let before = self.draft.clone();
                let now = self.shared.clock.now();
                self.draft.step(now, Input::Expire)?;
                self.settle(Some(before)).await
            }
        }
    }

    /// Confirms a cancellation, if that is what stopped us.
    async fn stop_run(&mut self) -> Result<(), Fault> {
        let Guard {
            ws,
            thread,
            run,
            fence,
            ..
        } = &self.guard;
        let runs = self.shared.store.runs();
        match runs.reload(ws, thread, run, *fence).await? {
            Some((run, version)) if run.state.status() == RunStatus::Cancelling => {
                self.guard.version = version;
            }
            Some(_) | None => return Err(Fault::Lost),
        }
        let now = self.shared.clock.now();
        if let RunState::InProgress { .. } = self.draft.run.state {
            self.draft.step(now, Input::Cancel)?;
        }
        self.draft.step(now, Input::Stop)?;
        self.settle(None).await
    }

    /// Commits a transition that ends this leg. `before` is where to go
    /// back to when the run was cancelled meanwhile.
    async fn settle(&mut self, before: Option<Draft>) -> Result<(), Fault> {
        let committed = self.commit().await;
        if let (Err(_), Some(before)) = (&committed, before) {
            self.draft = before;
        }
        committed
    }

    async fn commit(&mut self) -> Result<(), Fault> {
        let runs = self.shared.store.runs();
        let mut change = self.draft.change(self.shared.clock.now_ms());
        let due = self.due.take();
        if let Some((receipt, usage)) = &due {
            change.charges = receipt.charges(usage);
        }
        // The deltas before it are stored with it. If it fails, they are pending again.
        let pending = match &self.recorder {
            Some(recorder) => Some(recorder.take().await.ok_or(Fault::Lost)?),
            None => None,
        };
        change.events = pending.as_ref().and_then(|pending| {
            let told = self.draft.told().iter().cloned();
            let all: Vec<_> = pending.entries.iter().cloned().chain(told).collect();
            entry::row(&all, pending.first())
        });
        let last = change.events.as_ref().map(|row| row.last);
        let Some(committed) = runs.commit(self.guard.clone(), change).await? else {
            return Err(Fault::Lost);
        };
        if let Some((receipt, usage)) = due {
            receipt.settled(&usage);
        }
        self.guard.version = committed.version;
        let told = self.draft.committed(committed.metadata);
        match (pending, last) {
            (Some(pending), Some(last)) => pending.tell(last, &told, &mut self.draft.run),
            _ => self.shared.bus.wake(&self.guard.run),
        }
        Ok(())
    }

    /// Waits for something, unless the run is stopped or its time runs out first.
    async fn undisturbed<T>(&self, wanted: impl Future<Output = T>) -> Result<T, Interrupt> {
        let expires_ms = self.draft.run.settings.expires_at.0.saturating_mul(1000);
        let left_ms = expires_ms.saturating_sub(self.shared.clock.now_ms());
        let left = Duration::from_millis(u64::try_from(left_ms).unwrap_or(0));
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Interrupt::Stop),
            got = wanted => Ok(got),
            () = tokio::time::sleep(left) => Err(Interrupt::Deadline),
        }
    }
}

/// What ended a model's stream before its end.
enum Stopped {
    Model(ModelError),
    Interrupt(Interrupt),
}

fn known_calls(context: &RunContext) -> HashSet<CallId> {
    let steps = context.steps.iter();
    let calls = steps.filter_map(|step| match &step.details {
        StepDetails::ToolCalls { tool_calls } => Some(tool_calls),
        StepDetails::MessageCreation { .. } => None,
    });
    calls.flatten().map(|call| call.id().clone()).collect()
}

/// A call that the client has to carry out.
fn function(call: &ToolCall) -> Option<FunctionCall> {
    match call {
        ToolCall::Function { id, function, .. } => Some(FunctionCall {
            id: id.clone(),
            name: function.name.clone(),
            arguments: function.arguments.clone(),
        }),
        ToolCall::FileSearch { .. } => None,
    }
}

/// The cost of a turn whose provider does not say it.
fn estimate(request: &ChatRequest, written: &str) -> Usage {
    Usage {
        prompt_tokens: request.messages.iter().map(tokens::of_message).sum::<u64>()
            + tokens::of_tools(&request.tools),
        completion_tokens: tokens::of_text(written),
        ..Usage::default()
    }
}
