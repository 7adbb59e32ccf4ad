//! A run as it is being changed: the record, the steps and messages that are open, and what has
//! to be written and told next.
//!
//! A [`Draft`] applies transitions of the machine to records. It does no IO: its owner commits the
//! [`RunChange`], says so with [`Draft::committed`], and passes on the events that it gets back.

use loomgate_domain::{
    Message, MessageId, Metadata, Run, RunStep, StepId, Timestamp, Usage,
    message::{Content, MessageStatus, Role},
    run::{
        Effect, Event, Illegal, Input, MessageEnd, OpenStep, RunState, SearchResult, StepDetails,
        StepEnd, StepStatus, ToolCall, ToolOutput, machine,
    },
};
use loomgate_store::RunChange;

use crate::entry::{Entry, HalfTold};

/// A run that is being changed.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    /// The record, as it will be after the next commit.
    pub(crate) run: Run,
    steps: Vec<Pending<RunStep>>,
    messages: Vec<Pending<Message>>,
    removed: Vec<MessageId>,
    told: Vec<Entry>,
    /// Whether anything is to be told: the leg is recorded.
    recorded: bool,
    usage_changed: bool,
}

/// A record that is open, or was closed since the last commit.
#[derive(Debug, Clone)]
struct Pending<T> {
    record: T,
    changed: bool,
}

impl Draft {
    /// Begins from what is stored: the run and its open steps and messages.
    pub(crate) fn new(
        run: Run,
        steps: Vec<RunStep>,
        messages: Vec<Message>,
        recorded: bool,
    ) -> Self {
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
            recorded,
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
        if self.run.state.status().ends_leg() {
            self.tell(Entry::Done);
        }
        self.messages
            .retain(|pending| !self.removed.contains(&pending.record.id));
        Ok(later)
    }

    /// Has something told with the next commit, behind the events so far.
    pub(crate) fn tell(&mut self, entry: Entry) {
        if self.recorded {
            self.told.push(entry);
        }
    }

    /// Leaves what was to be told to somebody else.
    pub(crate) fn untell(&mut self) {
        self.told.clear();
    }

    /// Whether anything is told at all.
    pub(crate) fn is_recorded(&self) -> bool {
        self.recorded
    }

    /// What is told with the next commit.
    pub(crate) fn told(&self) -> &[Entry] {
        &self.told
    }

    /// Writes what streams were told of a message or step that a lost worker had begun: an object
    /// that ends holds every part that deltas have named.
    pub(crate) fn restore(&mut self, half: HalfTold) {
        if self.is_called() {
            // The turn was written to its end.
            return;
        }
        if !half.content.is_empty() {
            self.write_content(half.content);
        }
        if !half.calls.is_empty() {
            // They end with the turn, and go back to no provider.
            self.write_calls(half.calls);
        }
    }

    /// Whether the model's turn has ended with calls that are being carried out here.
    pub(crate) fn is_called(&self) -> bool {
        matches!(
            self.run.state,
            RunState::InProgress {
                open: Some(OpenStep::Tools { called: true, .. }),
                ..
            }
        )
    }

    /// Takes a message out of the thread that has ended, of a turn that came to nothing. Streams are
    /// told nothing: what they were told of it is not taken back.
    pub(crate) fn take_out(&mut self, message: Option<MessageId>) {
        self.messages
            .retain(|pending| Some(&pending.record.id) != message.as_ref());
        self.removed.extend(message);
    }

    /// Has an event told with the next commit.
    pub(crate) fn tell_event(&mut self, event: &Event) {
        if !self.recorded {
            return;
        }
        let told = match event {
            Event::Run(what) => Some(Entry::Run {
                event: *what,
                state: self.run.state.clone(),
                usage: self.run.usage,
            }),
            Event::Step(id, what) => self
                .steps
                .iter()
                .find(|pending| pending.record.id == *id)
                .map(|pending| Entry::Step {
                    event: *what,
                    step: pending.record.clone(),
                }),
            Event::Message(id, what) => self
                .messages
                .iter()
                .find(|pending| pending.record.id == *id)
                .map(|pending| Entry::Message {
                    event: *what,
                    message: pending.record.clone(),
                }),
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

    /// Sets the calls of the open step, in their order.
    pub(crate) fn write_calls(&mut self, tool_calls: Vec<ToolCall>) {
        if let Some(pending) = self.open_step() {
            pending.record.details = StepDetails::ToolCalls { tool_calls };
            pending.changed = true;
        }
    }

    /// The calls of the open step.
    pub(crate) fn calls(&self) -> &[ToolCall] {
        let open = |pending: &&Pending<RunStep>| pending.record.status == StepStatus::InProgress;
        match self
            .steps
            .iter()
            .rev()
            .find(open)
            .map(|step| &step.record.details)
        {
            Some(StepDetails::ToolCalls { tool_calls }) => tool_calls,
            Some(StepDetails::MessageCreation { .. }) | None => &[],
        }
    }

    /// Sets what a search of the open step has found.
    pub(crate) fn write_results(&mut self, block: u32, found: Vec<SearchResult>) {
        let Some(pending) = self.open_step() else {
            return;
        };
        let StepDetails::ToolCalls { tool_calls } = &mut pending.record.details else {
            return;
        };
        for call in tool_calls {
            if let ToolCall::FileSearch { file_search, .. } = call
                && file_search.block == block
            {
                file_search.results = Some(found);
                pending.changed = true;
                return;
            }
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
            for call in &mut *tool_calls {
                if let ToolCall::Function { id, function, .. } = call
                    && *id == answer.call_id
                {
                    function.output = Some(answer.output.clone());
                }
            }
        }
    }

    /// What has to be written since the last commit, apart from what is told.
    pub(crate) fn change(&self, now_ms: i64) -> RunChange {
        fn changed<T: Clone>(records: &[Pending<T>]) -> Vec<T> {
            let changed = records.iter().filter(|pending| pending.changed);
            changed.map(|pending| pending.record.clone()).collect()
        }
        RunChange {
            usage: self.usage_changed.then_some(self.run.usage),
            put_steps: changed(&self.steps),
            put_messages: changed(&self.messages),
            remove_messages: self.removed.clone(),
            at_ms: now_ms,
            ..RunChange::to(self.run.state.clone())
        }
    }

    /// The change is committed: what has ended is no longer this draft's concern. Returns what
    /// was told with it, which the run's metadata of now belongs to.
    pub(crate) fn committed(&mut self, metadata: Metadata) -> Vec<Entry> {
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
        std::mem::take(&mut self.told)
    }
}
