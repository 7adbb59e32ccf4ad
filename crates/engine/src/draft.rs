//! A run as it is being changed: the record, the steps and messages that are open, and what has
//! to be written and told next.
//!
//! A [`Draft`] applies transitions of the machine to records. It does no IO: its owner commits the
//! [`RunChange`], says so with [`Draft::committed`], and passes on the frames that it gets back.

use bytes::Bytes;
use loomgate_domain::{
    Message, MessageId, Metadata, Run, RunStep, StepId, Timestamp, Usage,
    message::{Content, MessageStatus, Role},
    run::{
        Effect, Event, FunctionCall, FunctionToolCall, Illegal, Input, MessageEnd, RunEvent,
        RunState, StepDetails, StepEnd, StepStatus, ToolCall, ToolOutput, machine,
    },
};
use loomgate_store::RunChange;
use loomgate_wire::event;

/// A run that is being changed.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The record, as it will be after the next commit.
    pub(crate) run: Run,
    steps: Vec<Pending<RunStep>>,
    messages: Vec<Pending<Message>>,
    removed: Vec<MessageId>,
    told: Vec<Told>,
    /// Whether anything is to be told: somebody listens.
    live: bool,
    usage_changed: bool,
}

/// A record that is open, or was closed since the last commit.
#[derive(Debug, Clone)]
struct Pending<T> {
    record: T,
    changed: bool,
}

/// Something to tell once it is committed. Run events are put into words only then: their
/// metadata is whatever Modify Run has made of it meanwhile.
#[derive(Debug, Clone)]
enum Told {
    Frame(Bytes),
    Run(RunEvent, RunState),
}

impl Draft {
    /// Begins from what is stored: the run and its open steps and messages.
    pub(crate) fn new(run: Run, steps: Vec<RunStep>, messages: Vec<Message>, live: bool) -> Self {
        fn stored<T>(records: Vec<T>) -> Vec<Pending<T>> {
            let pending = |record| Pending {
                record,
                changed: false,
            };
            records.into_iter().map(pending).collect()
        }
        Self {
            run,
            steps: stored(steps),
            messages: stored(messages),
            removed: Vec::new(),
            told: Vec::new(),
            live,
            usage_changed: false,
        }
    }

    /// Moves the run on and applies what follows to the records. Returns the effects that are to
    /// be performed after the commit.
    pub(crate) fn step(&mut self, now: Timestamp, input: Input) -> Result<Vec<Effect>, Illegal> {
        let transition = machine::step(&self.run.state, now, input)?;
        self.run.state = transition.state;
        let mut later = Vec::new();
        for effect in transition.effects {
            match effect {
                Effect::EndMessage(id, end) => self.end_message(&id, end, now),
                Effect::EndStep(id, end) => self.end_step(&id, end, now),
                Effect::FillOutputs(id, outputs) => self.fill_outputs(&id, outputs),
                Effect::Wake | Effect::StopModel => later.push(effect),
            }
        }
        for event in &transition.events {
            self.tell_event(event);
        }
        self.messages
            .retain(|pending| !self.removed.contains(&pending.record.id));
        Ok(later)
    }

    /// Has a frame told after the next commit, behind the events so far.
    pub(crate) fn tell(&mut self, frame: Bytes) {
        if self.live {
            self.told.push(Told::Frame(frame));
        }
    }

    /// Has an event told after the next commit.
    pub(crate) fn tell_event(&mut self, event: &Event) {
        if !self.live {
            return;
        }
        let told = match event {
            Event::Run(what) => Some(Told::Run(*what, self.run.state.clone())),
            Event::Step(id, what) => self
                .steps
                .iter()
                .find(|pending| pending.record.id == *id)
                .map(|pending| Told::Frame(event::step(*what, &pending.record))),
            Event::Message(id, what) => self
                .messages
                .iter()
                .find(|pending| pending.record.id == *id)
                .map(|pending| Told::Frame(event::message(*what, &pending.record))),
        };
        self.told.extend(told);
    }

    /// Begins a message and its step.
    pub(crate) fn open_message(
        &mut self,
        now: Timestamp,
        step: StepId,
        message: MessageId,
    ) -> Result<(), Illegal> {
        self.add_step(now, step.clone(), StepDetails::message(message.clone()));
        self.messages.push(Pending {
            record: Message {
                id: message.clone(),
                thread_id: self.run.thread_id.clone(),
                created_at: now,
                role: Role::Assistant,
                content: Vec::new(),
                attachments: Vec::new(),
                metadata: Metadata::default(),
                assistant_id: Some(self.run.assistant_id.clone()),
                run_id: Some(self.run.id.clone()),
                status: MessageStatus::InProgress,
            },
            changed: true,
        });
        self.step(now, Input::OpenMessage { step, message })?;
        Ok(())
    }

    /// Begins a step of tool calls.
    pub(crate) fn open_tools(&mut self, now: Timestamp, step: StepId) -> Result<(), Illegal> {
        let tool_calls = Vec::new();
        self.add_step(now, step.clone(), StepDetails::ToolCalls { tool_calls });
        self.step(now, Input::OpenTools { step })?;
        Ok(())
    }

    fn add_step(&mut self, now: Timestamp, id: StepId, details: StepDetails) {
        self.steps.push(Pending {
            record: RunStep {
                id,
                run_id: self.run.id.clone(),
                thread_id: self.run.thread_id.clone(),
                assistant_id: self.run.assistant_id.clone(),
                created_at: now,
                expires_at: self.run.settings.expires_at,
                status: StepStatus::InProgress,
                details,
                usage: None,
            },
            changed: true,
        });
    }

    /// Sets the content of the open message.
    pub(crate) fn write_content(&mut self, content: Vec<Content>) {
        let open =
            |pending: &&mut Pending<Message>| pending.record.status == MessageStatus::InProgress;
        if let Some(pending) = self.messages.iter_mut().rev().find(open) {
            pending.record.content = content;
            pending.changed = true;
        }
    }

    /// Sets the calls of the open step, each with what the provider wants back with it.
    pub(crate) fn write_calls(&mut self, calls: &[FunctionCall], signatures: &[Option<String>]) {
        if let Some(pending) = self.open_step() {
            let entry = |(call, signature): (&FunctionCall, &Option<String>)| ToolCall::Function {
                id: call.id.clone(),
                function: FunctionToolCall {
                    name: call.name.clone(),
                    arguments: call.arguments.clone(),
                    output: None,
                },
                signature: signature.clone(),
            };
            pending.record.details = StepDetails::ToolCalls {
                tool_calls: calls.iter().zip(signatures).map(entry).collect(),
            };
            pending.changed = true;
        }
    }

    /// Books a model turn: on the open step, and on the run.
    pub(crate) fn book(&mut self, usage: Usage) {
        self.run.usage = self.run.usage + usage;
        self.usage_changed = true;
        if let Some(pending) = self.open_step() {
            pending.record.usage = Some(usage);
            pending.changed = true;
        }
    }

    fn open_step(&mut self) -> Option<&mut Pending<RunStep>> {
        let open =
            |pending: &&mut Pending<RunStep>| pending.record.status == StepStatus::InProgress;
        self.steps.iter_mut().rev().find(open)
    }

    fn end_message(&mut self, id: &MessageId, end: MessageEnd, now: Timestamp) {
        let Some(pending) = self.messages.iter_mut().find(|m| m.record.id == *id) else {
            return;
        };
        pending.changed = true;
        pending.record.status = match end {
            MessageEnd::Completed => MessageStatus::Completed { completed_at: now },
            MessageEnd::Incomplete(reason) => MessageStatus::Incomplete {
                incomplete_at: now,
                reason,
            },
            MessageEnd::Removed(reason) => {
                self.removed.push(id.clone());
                MessageStatus::Incomplete {
                    incomplete_at: now,
                    reason,
                }
            }
        };
    }

    fn end_step(&mut self, id: &StepId, end: StepEnd, now: Timestamp) {
        let Some(pending) = self.steps.iter_mut().find(|s| s.record.id == *id) else {
            return;
        };
        pending.changed = true;
        // A step always has its usage once it has ended; the turn's tokens stand on one of them.
        pending.record.usage.get_or_insert_default();
        pending.record.status = match end {
            StepEnd::Completed => StepStatus::Completed { completed_at: now },
            StepEnd::Failed(error) => StepStatus::Failed {
                failed_at: now,
                error,
            },
            StepEnd::Cancelled => StepStatus::Cancelled { cancelled_at: now },
            StepEnd::Expired => StepStatus::Expired { expired_at: now },
        };
    }

    fn fill_outputs(&mut self, id: &StepId, outputs: Vec<ToolOutput>) {
        let Some(pending) = self.steps.iter_mut().find(|s| s.record.id == *id) else {
            return;
        };
        pending.changed = true;
        let StepDetails::ToolCalls { tool_calls } = &mut pending.record.details else {
            return;
        };
        for answer in outputs {
            for ToolCall::Function { id, function, .. } in &mut *tool_calls {
                if *id == answer.call_id {
                    function.output = Some(answer.output.clone());
                }
            }
        }
    }

    /// What has to be written since the last commit.
    pub(crate) fn change(&self) -> RunChange {
        fn changed<T: Clone>(records: &[Pending<T>]) -> Vec<T> {
            let changed = records.iter().filter(|pending| pending.changed);
            changed.map(|pending| pending.record.clone()).collect()
        }
        RunChange {
            state: self.run.state.clone(),
            usage: self.usage_changed.then_some(self.run.usage),
            put_steps: changed(&self.steps),
            put_messages: changed(&self.messages),
            remove_messages: self.removed.clone(),
            release: false,
            charges: Vec::new(),
        }
    }

    /// The change is committed: what has ended is no longer this draft's concern. Returns what
    /// is to be told, with the metadata that the run has now.
    pub(crate) fn committed(&mut self, metadata: Metadata) -> Vec<Bytes> {
        self.run.metadata = metadata;
        self.removed.clear();
        self.usage_changed = false;
        self.steps
            .retain(|pending| pending.record.status == StepStatus::InProgress);
        self.messages
            .retain(|pending| pending.record.status == MessageStatus::InProgress);
        for pending in &mut self.steps {
            pending.changed = false;
        }
        for pending in &mut self.messages {
            pending.changed = false;
        }
        let told = std::mem::take(&mut self.told);
        let last = self.run.state.clone();
        let frame = |told| match told {
            Told::Frame(frame) => frame,
            Told::Run(what, state) => {
                self.run.state = state;
                event::run(what, &self.run)
            }
        };
        let frames = told.into_iter().map(frame).collect();
        self.run.state = last;
        frames
    }
}
