//! One model turn, as it arrives: words become a message, calls become a step of tool calls.
//!
//! A [`Turn`] takes the model's events one by one and keeps the draft in step with them. It does
//! no IO; [`Step`] says what its owner has to do before the next event.

use std::{collections::HashSet, sync::Arc};

use loomgate_domain::{
    CallId, IdGen, MessageId, StepId, Timestamp, Usage,
    id::new_id,
    message::{Annotation, Content, Text},
    run::{FunctionCall, FunctionToolCall, Illegal, Input, RunIncompleteReason, ToolCall},
};
use loomgate_wire::chat::{ChatEvent, FinishReason};

use crate::{
    citation::{Citations, Piece},
    draft::Draft,
    entry::Entry,
    failure,
    search::SearchTool,
};

/// A turn that is arriving.
pub(crate) struct Turn {
    ids: Arc<dyn IdGen>,
    knows: Knows,
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

/// What a turn has to know of its run.
pub(crate) struct Knows {
    /// Call ids that the run has used already.
    pub(crate) calls: HashSet<CallId>,
    /// Whether the model may call several tools at once.
    pub(crate) parallel: bool,
    /// The search that is carried out here, if the run has it.
    pub(crate) search: Option<SearchTool>,
    /// Where the results of the turn's first call will stand in the conversation.
    pub(crate) block: u32,
    /// What the model may cite.
    pub(crate) citations: Citations,
}

struct OpenMessage {
    id: MessageId,
    text: String,
    annotations: Vec<Annotation>,
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
    /// Streams may be told these at once.
    Deltas(Vec<Entry>),
    /// Something was begun or ended: where the leg is recorded, commit the draft and tell.
    Begun,
}

impl Turn {
    /// A turn that has brought nothing yet.
    pub(crate) fn new(ids: Arc<dyn IdGen>, knows: Knows) -> Self {
        Self {
            ids,
            knows,
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
                annotations: Vec::new(),
                refusal: String::new(),
                first: None,
                open: true,
            });
        }
        let Some(message) = &mut self.message else {
            return Ok(Step::Quiet);
        };
        let pieces = match part {
            Part::Text => self.knows.citations.take(words),
            Part::Refusal => vec![Piece::Words(words.to_owned())],
        };
        let deltas = pieces.into_iter().map(|piece| message.append(part, piece));
        Ok(begun_or_deltas(draft, begun, deltas.collect()))
    }

    fn call_started(
        &mut self,
        draft: &mut Draft,
        now: Timestamp,
        index: usize,
        id: String,
        name: String,
    ) -> Result<Step, Illegal> {
        if !self.knows.parallel && index > 0 {
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
        let index = self.calls.len();
        let delta = match self.searched(&name) {
            Some(tool) => Entry::Search {
                step,
                index,
                id: id.clone(),
                ranking_options: tool.settings.ranking_options.clone(),
            },
            None => Entry::Call {
                step,
                index,
                id: id.clone(),
                name: name.clone(),
            },
        };
        self.written.push_str(&name);
        self.calls.push(FunctionCall {
            id,
            name,
            arguments: String::new(),
        });
        Ok(begun_or_deltas(draft, begun, vec![delta]))
    }

    /// The search tool, if that is what is called.
    fn searched(&self, name: &str) -> Option<&SearchTool> {
        let search = self.knows.search.as_ref();
        search.filter(|tool| tool.name == name)
    }

    /// The provider's id, unless it is none or was used before in this run: outputs are matched
    /// by it.
    fn call_id(&mut self, id: String) -> CallId {
        let mut id = CallId::trusted(id);
        if id.as_str().is_empty() || id.as_str().len() > 128 || self.knows.calls.contains(&id) {
            id = new_id(&*self.ids);
        }
        self.knows.calls.insert(id.clone());
        id
    }

    fn call_arguments(&mut self, index: usize, text: &str) -> Step {
        let Some((step, call)) = self.tools.as_ref().zip(self.calls.get_mut(index)) else {
            return Step::Quiet;
        };
        call.arguments.push_str(text);
        self.written.push_str(text);
        let name = call.name.clone();
        let step = step.clone();
        if self.searched(&name).is_some() {
            // What is looked for is nobody's business but the model's.
            return Step::Quiet;
        }
        Step::Deltas(vec![arguments(&step, index, text)])
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
                draft.write_calls(self.tool_calls());
                draft.book(usage);
                let searches = |call: &FunctionCall| self.searched(&call.name).is_some();
                let input = if self.calls.iter().any(searches) {
                    Input::CarryOut
                } else {
                    Input::RequireAction(self.calls)
                };
                draft.step(now, input)?;
            }
        }
        Ok(())
    }

    /// Clients parse arguments as JSON: where the model gave none, they are an empty object.
    fn fill_empty_arguments(&mut self, draft: &mut Draft) {
        let search = self.knows.search.as_ref().map(|tool| tool.name);
        for (index, call) in self.calls.iter_mut().enumerate() {
            if call.arguments.is_empty() {
                call.arguments.push_str("{}");
                if let Some(step) = self.tools.as_ref().filter(|_| search != Some(&call.name)) {
                    draft.tell(arguments(step, index, "{}"));
                }
            }
        }
    }

    /// The calls so far, as records.
    fn tool_calls(&self) -> Vec<ToolCall> {
        let calls = self
            .calls
            .iter()
            .zip(&self.signatures)
            .zip(self.knows.block..);
        calls
            .map(
                |((call, signature), block)| match self.searched(&call.name) {
                    Some(tool) => ToolCall::FileSearch {
                        id: call.id.clone(),
                        file_search: tool.call(&call.arguments, block),
                        signature: signature.clone(),
                    },
                    None => ToolCall::Function {
                        id: call.id.clone(),
                        function: FunctionToolCall {
                            name: call.name.clone(),
                            arguments: call.arguments.clone(),
                            output: None,
                        },
                        signature: signature.clone(),
                    },
                },
            )
            .collect()
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
            draft.write_calls(self.tool_calls());
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
        if let Some(held) = self.knows.citations.finish() {
            // The beginning of a mark that never came: words like all others.
            draft.tell(message.append(Part::Text, Piece::Words(held)));
        } else if message.first.is_none() {
            // A mark alone, of something that was not found.
            draft.tell(message.append(Part::Text, Piece::Words(String::new())));
        }
        draft.write_content(message.content());
        message.open = false;
        draft.book(usage);
        draft.step(now, Input::CloseMessage)?;
        Ok(())
    }
}

/// What begins something waits for the commit; what goes on goes out at once.
fn begun_or_deltas(draft: &mut Draft, begun: bool, deltas: Vec<Entry>) -> Step {
    if begun {
        for delta in deltas {
            draft.tell(delta);
        }
        Step::Begun
    } else if deltas.is_empty() {
        Step::Quiet
    } else {
        Step::Deltas(deltas)
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
    fn append(&mut self, part: Part, piece: Piece) -> Entry {
        let first = *self.first.get_or_insert(part);
        let index = usize::from(first != part);
        let message = self.id.clone();
        let begins = self.text.is_empty();
        match (part, piece) {
            (Part::Text, Piece::Words(words)) => {
                self.text.push_str(&words);
                Entry::Text {
                    message,
                    index,
                    begins,
                    pieces: vec![words],
                }
            }
            (Part::Refusal, Piece::Words(words)) => {
                self.refusal.push_str(&words);
                Entry::Refusal {
                    message,
                    index,
                    pieces: vec![words],
                }
            }
            (_, Piece::Cited(annotation)) => {
                self.text.push_str(annotation.text());
                self.annotations.push(annotation.clone());
                Entry::Cited {
                    message,
                    index,
                    number: self.annotations.len() - 1,
                    annotation,
                }
            }
        }
    }

    fn content(&self) -> Vec<Content> {
        let refusal = || Content::Refusal {
            refusal: self.refusal.clone(),
        };
        let text = || Content::Text {
            text: Text {
                value: self.text.clone(),
                annotations: self.annotations.clone(),
            },
        };
        match self.first {
            None => Vec::new(),
            Some(Part::Text) if self.refusal.is_empty() => vec![text()],
            Some(Part::Text) => vec![text(), refusal()],
            Some(Part::Refusal) if self.text.is_empty() => vec![refusal()],
            Some(Part::Refusal) => vec![refusal(), text()],
        }
    }
}
