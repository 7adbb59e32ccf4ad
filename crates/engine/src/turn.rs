//! One model turn, as it arrives: words become a message, calls become a step of tool calls.
//!
//! A [`Turn`] takes the model's events one by one and keeps the draft in step with them. It does
//! no IO; [`Step`] says what its owner has to do before the next event.

use std::{collections::HashSet, sync::Arc};

use loomgate_domain::{
    CallId, IdGen, MessageId, StepId, Timestamp, Usage,
    id::new_id,
    message::Content,
    run::{FunctionCall, Illegal, Input, RunIncompleteReason},
};
use loomgate_wire::chat::{ChatEvent, FinishReason};

use crate::{draft::Draft, entry::Entry, failure};

/// A turn that is arriving.
pub(crate) struct Turn {
    ids: Arc<dyn IdGen>,
    /// Call ids that the run has used already.
    known_calls: HashSet<CallId>,
    parallel: bool,
    message: Option<OpenMessage>,
    tools: Option<StepId>,
    calls: Vec<FunctionCall>,
    /// What the provider wants back with each of them.
    signatures: Vec<Option<String>>,
    usage: Option<Usage>,
    finish: Option<FinishReason>,
    /// All that the model wrote, for providers that do not count tokens.
    written: String,
}

struct OpenMessage {
    id: MessageId,
    text: String,
    refusal: String,
    first: Option<Part>,
    open: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Text,
    Refusal,
}

/// What has to be done with an event that was taken.
pub(crate) enum Step {
    /// Nothing.
    Quiet,
    /// Streams may be told this at once.
    Delta(Entry),
    /// Something was begun or ended: where the leg is recorded, commit the draft and tell.
    Begun,
}

impl Turn {
    /// A turn that has brought nothing yet.
    pub(crate) fn new(ids: Arc<dyn IdGen>, known_calls: HashSet<CallId>, parallel: bool) -> Self {
        Self {
            ids,
            known_calls,
            parallel,
            message: None,
            tools: None,
            calls: Vec::new(),
            signatures: Vec::new(),
            usage: None,
            finish: None,
            written: String::new(),
        }
    }

    /// Takes the next event of the model's stream.
    pub(crate) fn take(
        &mut self,
        draft: &mut Draft,
        now: Timestamp,
        event: ChatEvent,
    ) -> Result<Step, Illegal> {
        match event {
            ChatEvent::Text(words) => self.words(draft, now, Part::Text, &words),
            ChatEvent::Refusal(words) => self.words(draft, now, Part::Refusal, &words),
            ChatEvent::CallStarted {
                index,
                id,
                name,
                signature,
            } => {
                let step = self.call_started(draft, now, index, id, name)?;
                if self.calls.len() > self.signatures.len() {
                    self.signatures.push(signature);
                }
                Ok(step)
            }
            ChatEvent::CallArguments { index, text } => Ok(self.call_arguments(index, &text)),
            ChatEvent::Usage(usage) => {
                self.usage = Some(usage);
                Ok(Step::Quiet)
            }
            ChatEvent::Finished(reason) => {
                self.finish = Some(reason);
                Ok(Step::Quiet)
            }
        }
    }

    fn words(
        &mut self,
        draft: &mut Draft,
        now: Timestamp,
        part: Part,
        words: &str,
    ) -> Result<Step, Illegal> {
        // Words behind calls have no place in the order of steps; providers do not send them.
        if self.tools.is_some() {
            return Ok(Step::Quiet);
        }
        self.written.push_str(words);
        let begun = self.message.is_none();
        if begun {
            let id: MessageId = new_id(&*self.ids);
            draft.open_message(now, new_id(&*self.ids), id.clone())?;
            self.message = Some(OpenMessage {
                id,
                text: String::new(),
                refusal: String::new(),
                first: None,
                open: true,
            });
        }
        let Some(message) = &mut self.message else {
            return Ok(Step::Quiet);
        };
        let delta = message.append(part, words);
        Ok(begun_or_delta(draft, begun, delta))
    }

    fn call_started(
        &mut self,
        draft: &mut Draft,
        now: Timestamp,
        index: usize,
        id: String,
        name: String,
    ) -> Result<Step, Illegal> {
        if !self.parallel && index > 0 {
            return Ok(Step::Quiet);
        }
        self.close_message(draft, now, Usage::default())?;
        let begun = self.tools.is_none();
        let step: StepId = if let Some(step) = &self.tools {
            step.clone()
        } else {
            let step: StepId = new_id(&*self.ids);
            draft.open_tools(now, step.clone())?;
            self.tools.insert(step).clone()
        };
        let id = self.call_id(id);
        let delta = Entry::Call {
            step,
            index: self.calls.len(),
            id: id.clone(),
            name: name.clone(),
        };
        self.written.push_str(&name);
        self.calls.push(FunctionCall {
            id,
            name,
            arguments: String::new(),
        });
        Ok(begun_or_delta(draft, begun, delta))
    }

    /// The provider's id, unless it is none or was used before in this run: outputs are matched
    /// by it.
    fn call_id(&mut self, id: String) -> CallId {
        let mut id = CallId::trusted(id);
        if id.as_str().is_empty() || id.as_str().len() > 128 || self.known_calls.contains(&id) {
            id = new_id(&*self.ids);
        }
        self.known_calls.insert(id.clone());
        id
    }

    fn call_arguments(&mut self, index: usize, text: &str) -> Step {
        let Some((step, call)) = self.tools.as_ref().zip(self.calls.get_mut(index)) else {
            return Step::Quiet;
        };
        call.arguments.push_str(text);
        self.written.push_str(text);
        Step::Delta(arguments(step, index, text))
    }

    /// Ends the turn: books its usage and moves the run on.
    pub(crate) fn finish(
        mut self,
        draft: &mut Draft,
        now: Timestamp,
        usage: Usage,
    ) -> Result<(), Illegal> {
        match self.finish {
            Some(FinishReason::Length) => {
                self.write(draft);
                draft.book(usage);
                let reason = RunIncompleteReason::MaxCompletionTokens;
                draft.step(now, Input::Incomplete(reason))?;
            }
            Some(FinishReason::ContentFilter) => {
                self.write(draft);
                draft.book(usage);
                draft.step(now, Input::Fail(failure::content_filter()))?;
            }
            Some(FinishReason::Stop | FinishReason::ToolCalls) | None if self.calls.is_empty() => {
                if self.message.is_none() {
                    // An empty answer is an answer: clients read `content[0].text.value`.
                    self.words(draft, now, Part::Text, "")?;
                }
                self.close_message(draft, now, usage)?;
                draft.step(now, Input::Complete)?;
            }
            Some(FinishReason::Stop | FinishReason::ToolCalls) | None => {
                self.fill_empty_arguments(draft);
                draft.write_calls(&self.calls, &self.signatures);
                draft.book(usage);
                draft.step(now, Input::RequireAction(self.calls))?;
            }
        }
        Ok(())
    }

    /// Clients parse arguments as JSON: where the model gave none, they are an empty object.
    fn fill_empty_arguments(&mut self, draft: &mut Draft) {
        for (index, call) in self.calls.iter_mut().enumerate() {
            if call.arguments.is_empty() {
                call.arguments.push_str("{}");
                if let Some(step) = &self.tools {
                    draft.tell(arguments(step, index, "{}"));
                }
            }
        }
    }

    /// What the provider says that the turn cost.
    pub(crate) fn usage(&self) -> Option<Usage> {
        self.usage
    }

    /// Whether the model has said that it is done.
    pub(crate) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// Writes what has arrived so far into the draft's open records, before something else than
    /// the model ends the turn.
    pub(crate) fn write(&self, draft: &mut Draft) {
        if let Some(message) = self.message.as_ref().filter(|message| message.open) {
            draft.write_content(message.content());
        }
        if self.tools.is_some() {
            draft.write_calls(&self.calls, &self.signatures);
        }
    }

    /// The message that ended where calls began: half of the turn, if that comes to nothing.
    pub(crate) fn words_before_calls(&self) -> Option<MessageId> {
        let whole = self.message.as_ref().filter(|message| !message.open);
        whole.map(|message| message.id.clone())
    }

    /// What the model has written so far, for an estimate of its tokens.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    fn close_message(
        &mut self,
        draft: &mut Draft,
        now: Timestamp,
        usage: Usage,
    ) -> Result<(), Illegal> {
        let Some(message) = self.message.as_mut().filter(|message| message.open) else {
            return Ok(());
        };
        draft.write_content(message.content());
        message.open = false;
        draft.book(usage);
        draft.step(now, Input::CloseMessage)?;
        Ok(())
    }
}

/// What begins something waits for the commit; what goes on goes out at once.
fn begun_or_delta(draft: &mut Draft, begun: bool, delta: Entry) -> Step {
    if begun {
        draft.tell(delta);
        Step::Begun
    } else {
        Step::Delta(delta)
    }
}

fn arguments(step: &StepId, index: usize, text: &str) -> Entry {
    Entry::Arguments {
        step: step.clone(),
        index,
        pieces: vec![text.to_owned()],
    }
}

impl OpenMessage {
    fn append(&mut self, part: Part, words: &str) -> Entry {
        let first = *self.first.get_or_insert(part);
        let index = usize::from(first != part);
        let (message, pieces) = (self.id.clone(), vec![words.to_owned()]);
        match part {
            Part::Text => {
                let begins = self.text.is_empty();
                self.text.push_str(words);
                Entry::Text {
                    message,
                    index,
                    begins,
                    pieces,
                }
            }
            Part::Refusal => {
                self.refusal.push_str(words);
                Entry::Refusal {
                    message,
                    index,
                    pieces,
                }
            }
        }
    }

    fn content(&self) -> Vec<Content> {
        let refusal = || Content::Refusal {
            refusal: self.refusal.clone(),
        };
        let text = || Content::text(self.text.as_str());
        match self.first {
            None => Vec::new(),
            Some(Part::Text) if self.refusal.is_empty() => vec![text()],
            Some(Part::Text) => vec![text(), refusal()],
            Some(Part::Refusal) if self.text.is_empty() => vec![refusal()],
            Some(Part::Refusal) => vec![refusal(), text()],
        }
    }
}
