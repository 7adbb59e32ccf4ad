//! What the model is shown: the thread, cut to fit, and what this run has done so far.

use std::collections::HashMap;

use loomgate_domain::{
    Message, MessageId, Run, RunId, RunStep,
    message::{Content, Role},
    run::{RunIncompleteReason, StepDetails, StepStatus, ToolCall},
    tool::{Function, Tool, ToolChoice, Truncation},
};
use loomgate_store::{ContextLimits, RunContext};
use loomgate_wire::chat::{
    CalledFunction, ChatMessage, ChatRequest, ChatToolCall, FileImage, ImageRef, UserContent,
    UserPart,
};

use crate::{
    search::{self, SearchTool},
    tokens,
};

/// The most messages of a thread that are read for one turn. Older ones would not fit into a
/// model's window anyway.
const MOST_MESSAGES: u32 = 10_000;
/// Messages of the run itself that may stand among the newest of its thread.
const OWN_MESSAGES: u32 = 128;
/// Bytes of content that are read for each token of the window: tokens are seldom longer.
const BYTES_PER_TOKEN: u64 = 16;

/// The request for the run's next model turn, or the limit that leaves no room for one.
///
/// Limits of tokens are budgets over the whole run (contract section 8.10).
pub(crate) fn next_request(
    run: &Run,
    context: &RunContext,
    window: u64,
) -> Result<ChatRequest, RunIncompleteReason> {
    let settings = &run.settings;
    let left = |cap: Option<u64>, used: u64| cap.map(|cap| cap.saturating_sub(used));
    let max_completion_tokens = left(settings.max_completion_tokens, run.usage.completion_tokens);
    if max_completion_tokens == Some(0) {
        return Err(RunIncompleteReason::MaxCompletionTokens);
    }
    let prompt_left = left(settings.max_prompt_tokens, run.usage.prompt_tokens);

    let search = SearchTool::of(run).filter(|_| !search::is_exhausted(&context.steps));
    let tools = tools(&settings.tools, search.as_ref());
    let system = (!settings.instructions.is_empty()).then(|| ChatMessage::System {
        content: settings.instructions.clone(),
    });
    let others = |message: &&Message| message.run_id.as_ref() != Some(&run.id);
    let others: Vec<&Message> = context.messages.iter().filter(others).collect();
    let kept = match settings.truncation {
        Truncation::Auto => others.len(),
        Truncation::LastMessages { last_messages } => {
            usize::try_from(last_messages).unwrap_or(usize::MAX)
        }
    };
    let skipped = others.len().saturating_sub(kept);
    let thread: Vec<ChatMessage> = others[skipped..]
        .iter()
        .filter_map(|message| thread_message(message))
        .collect();
    let name = SearchTool::of(run).map_or("", |search| search.name);
    let own = own_messages(&run.id, context, name);

    let budget = prompt_left.unwrap_or(window).min(window);
    let fixed = Fixed {
        system: system.as_ref(),
        own: &own,
        tools: &tools,
    };
    let newest = thread.last().cloned();
    let thread = match fit(thread, &fixed, budget) {
        Some(thread) => thread,
        // The window is only what we take it to be: the provider has the last word.
        None if prompt_left.is_none() => newest.into_iter().collect(),
        None => return Err(RunIncompleteReason::MaxPromptTokens),
    };

    Ok(ChatRequest {
        model: settings.model.clone(),
        messages: system.into_iter().chain(thread).chain(own).collect(),
        tool_choice: match (&settings.tool_choice, &search) {
            (choice, _) if has_called_tools(context) => settled(choice),
            (ToolChoice::FileSearch, Some(search)) => ToolChoice::Function(search.name.to_owned()),
            (choice, _) => choice.clone(),
        },
        tools,
        parallel_tool_calls: settings.parallel_tool_calls,
        response_format: settings.response_format.clone(),
        temperature: settings.temperature,
        top_p: settings.top_p,
        reasoning_effort: settings.reasoning_effort,
        max_completion_tokens,
    })
}

/// Bytes of text in the thread, as far as it was read.
pub(crate) fn text_bytes(context: &RunContext) -> usize {
    let parts = context.messages.iter().flat_map(|message| &message.content);
    let bytes = parts.map(|part| match part {
        Content::Text { text } => text.value.len(),
        Content::Refusal { refusal } => refusal.len(),
        Content::ImageFile { .. } | Content::ImageUrl { .. } => 0,
    });
    bytes.sum()
}

/// How much of the thread has to be read at all.
pub(crate) fn limits(truncation: Truncation, window: u64) -> ContextLimits {
    let messages = match truncation {
        Truncation::Auto => MOST_MESSAGES,
        // The run's own messages do not count, but are read along.
        Truncation::LastMessages { last_messages } => last_messages.saturating_add(OWN_MESSAGES),
    };
    ContextLimits {
        messages: Some(messages),
        bytes: usize::try_from(window.saturating_mul(BYTES_PER_TOKEN)).ok(),
    }
}

/// The functions that the model is told of, in the order of the run's tools; each once.
fn tools(tools: &[Tool], search: Option<&SearchTool>) -> Vec<Function> {
    let mut search = search;
    let functions = tools.iter().filter_map(|tool| match tool {
        Tool::Function { function } => Some(function.clone()),
        Tool::FileSearch { .. } => search.take().map(SearchTool::function),
        // Refused when the run was created.
        Tool::CodeInterpreter => None,
    });
    functions.collect()
}

/// Where the results of the next turn's first call will stand in the conversation: behind those of the
/// run's steps in any case, also when messages that stood before them had to be left out meanwhile.
pub(crate) fn next_block(messages: &[ChatMessage], steps: &[RunStep]) -> u32 {
    let searched = steps.iter().filter_map(|step| match &step.details {
        StepDetails::ToolCalls { tool_calls } => Some(tool_calls),
        StepDetails::MessageCreation { .. } => None,
    });
    let blocks = searched.flatten().filter_map(|call| match call {
        ToolCall::FileSearch { file_search, .. } => Some(file_search.block),
        ToolCall::Function { .. } => None,
    });
    let used = blocks.max().map_or(0, |block| block.saturating_add(1));
    block_behind(messages).max(used)
}

/// The original's conversation begins with two messages of its own: the instructions, whether there are
/// any or not, and the tools. Behind the rest come the turn that calls, and the results (contract
/// section 7.5).
fn block_behind(messages: &[ChatMessage]) -> u32 {
    let is_system = |message: &&ChatMessage| matches!(message, ChatMessage::System { .. });
    let others = messages.iter().filter(|message| !is_system(message));
    u32::try_from(others.count() + 3).unwrap_or(u32::MAX)
}

/// A choice that forces a call has done its work after the first one; held on to, it would loop.
fn settled(choice: &ToolChoice) -> ToolChoice {
    match choice {
        ToolChoice::None => ToolChoice::None,
        ToolChoice::Auto
        | ToolChoice::Required
        | ToolChoice::Function(_)
        | ToolChoice::FileSearch
        | ToolChoice::CodeInterpreter => ToolChoice::Auto,
    }
}

fn has_called_tools(context: &RunContext) -> bool {
    let done = |step: &RunStep| {
        matches!(step.details, StepDetails::ToolCalls { .. })
            && matches!(step.status, StepStatus::Completed { .. })
    };
    context.steps.iter().any(done)
}

fn thread_message(message: &Message) -> Option<ChatMessage> {
    match message.role {
        Role::Assistant => {
            let content = plain_text(&message.content);
            (!content.is_empty()).then_some(ChatMessage::Assistant {
                content: Some(content),
                tool_calls: Vec::new(),
            })
        }
        Role::User => Some(ChatMessage::User {
            content: user_content(&message.content),
        }),
    }
}

fn user_content(content: &[Content]) -> UserContent {
    let only_text = content
        .iter()
        .all(|part| matches!(part, Content::Text { .. } | Content::Refusal { .. }));
    if only_text {
        return UserContent::Text(plain_text(content));
    }
    let part = |part: &Content| match part {
        Content::Text { text } => UserPart::Text {
            text: text.value.clone(),
        },
        Content::Refusal { refusal } => UserPart::Text {
            text: refusal.clone(),
        },
        Content::ImageUrl { image_url } => UserPart::ImageUrl {
            image_url: ImageRef {
                url: image_url.url.clone(),
                detail: image_url.detail,
            },
        },
        Content::ImageFile { image_file } => UserPart::ImageFile {
            image_file: FileImage {
                file_id: image_file.file_id.clone(),
                detail: image_file.detail,
            },
        },
    };
    UserContent::Parts(content.iter().map(part).collect())
}

fn plain_text(content: &[Content]) -> String {
    let words = content.iter().filter_map(|part| match part {
        Content::Text { text } => Some(text.value.as_str()),
        Content::Refusal { refusal } => Some(refusal.as_str()),
        Content::ImageFile { .. } | Content::ImageUrl { .. } => None,
    });
    words.collect::<Vec<_>>().join("\n")
}

/// What this run has said and called so far, in order: words and calls of one turn together.
fn own_messages(run: &RunId, context: &RunContext, search: &str) -> Vec<ChatMessage> {
    let texts: HashMap<&MessageId, String> = context
        .messages
        .iter()
        .filter(|message| message.run_id.as_ref() == Some(run))
        .map(|message| (&message.id, plain_text(&message.content)))
        .collect();
    let mut own = Vec::new();
    let mut said: Option<String> = None;
    for step in &context.steps {
        if !matches!(step.status, StepStatus::Completed { .. }) {
            continue;
        }
        match &step.details {
            StepDetails::MessageCreation { message_creation } => {
                own.extend(said.take().map(spoken));
                said = texts.get(&message_creation.message_id).cloned();
            }
            StepDetails::ToolCalls { tool_calls } => {
                own.push(ChatMessage::Assistant {
                    content: said.take(),
                    tool_calls: tool_calls.iter().map(|call| called(call, search)).collect(),
                });
                own.extend(tool_calls.iter().map(answered));
            }
        }
    }
    own.extend(said.map(spoken));
    own
}

fn spoken(content: String) -> ChatMessage {
    ChatMessage::Assistant {
        content: Some(content),
        tool_calls: Vec::new(),
    }
}

fn called(call: &ToolCall, search: &str) -> ChatToolCall {
    let (function, signature) = match call {
        ToolCall::Function {
            function,
            signature,
            ..
        } => {
            let function = CalledFunction {
                name: function.name.clone(),
                arguments: function.arguments.clone(),
            };
            (function, signature)
        }
        ToolCall::FileSearch {
            file_search,
            signature,
            ..
        } => {
            let function = CalledFunction {
                name: search.to_owned(),
                arguments: search::arguments(file_search),
            };
            (function, signature)
        }
    };
    ChatToolCall::Function {
        signature: signature.clone(),
        id: call.id().as_str().to_owned(),
        function,
    }
}

fn answered(call: &ToolCall) -> ChatMessage {
    ChatMessage::Tool {
        tool_call_id: call.id().as_str().to_owned(),
        content: match call {
            ToolCall::Function { function, .. } => function.output.clone().unwrap_or_default(),
            ToolCall::FileSearch { file_search, .. } => search::answer(file_search),
        },
    }
}

/// What goes to the model whatever the thread's length.
struct Fixed<'a> {
    system: Option<&'a ChatMessage>,
    own: &'a [ChatMessage],
    tools: &'a [Function],
}

impl Fixed<'_> {
    fn tokens(&self, message: fn(&ChatMessage) -> u64, tools: fn(&[Function]) -> u64) -> u64 {
        self.system.map_or(0, message)
            + self.own.iter().map(message).sum::<u64>()
            + tools(self.tools)
    }
}

/// Drops messages from the middle of the thread until the rest fits: those after the first go
/// before the first itself, the oldest of them first. The newest message always stays; `None`
/// if even that is too much.
fn fit(thread: Vec<ChatMessage>, fixed: &Fixed<'_>, budget: u64) -> Option<Vec<ChatMessage>> {
    let bound = fixed.tokens(tokens::of_message_at_most, tokens::of_tools_at_most)
        + thread.iter().map(tokens::of_message_at_most).sum::<u64>();
    if bound <= budget {
        return Some(thread);
    }
    let mut room = budget.checked_sub(fixed.tokens(tokens::of_message, tokens::of_tools))?;
    let mut newest_first = thread.into_iter().rev();
    let mut kept = Vec::new();
    if let Some(newest) = newest_first.next() {
        room = room.checked_sub(tokens::of_message(&newest))?;
        kept.push(newest);
    }
    let first = newest_first.next_back();
    let room_beside_first = first
        .as_ref()
        .and_then(|first| room.checked_sub(tokens::of_message(first)));
    if let Some(left) = room_beside_first {
        room = left;
    }
    for message in newest_first {
        match room.checked_sub(tokens::of_message(&message)) {
            Some(left) => {
                room = left;
                kept.push(message);
            }
            None => break,
        }
    }
    if room_beside_first.is_some() {
        kept.extend(first);
    }
    kept.reverse();
    Some(kept)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn user(text: &str) -> ChatMessage {
        ChatMessage::User {
            content: UserContent::Text(text.to_owned()),
        }
    }

    fn nothing<'a>() -> Fixed<'a> {
        Fixed {
            system: None,
            own: &[],
            tools: &[],
        }
    }

    /// Every message here costs 5 tokens: one word, and the overhead.
    fn five() -> Vec<ChatMessage> {
        ["a", "b", "c", "d", "e"].map(user).to_vec()
    }

    #[test]
    fn what_fits_is_left_alone() {
        assert_eq!(fit(five(), &nothing(), 25), Some(five()));
    }

    #[test]
    fn the_middle_goes_first_then_the_beginning() {
        let kept = |budget| fit(five(), &nothing(), budget);
        assert_eq!(kept(24), Some(["a", "c", "d", "e"].map(user).to_vec()));
        assert_eq!(kept(15), Some(["a", "d", "e"].map(user).to_vec()));
        assert_eq!(kept(10), Some(["a", "e"].map(user).to_vec()));
        assert_eq!(kept(9), Some(["e"].map(user).to_vec()));
        assert_eq!(kept(4), None);
    }

    #[test]
    fn what_the_run_itself_did_is_never_dropped() {
        let own = [user("x"), user("y")];
        let fixed = Fixed {
            own: &own,
            ..nothing()
        };
        assert_eq!(fit(five(), &fixed, 20), Some(["a", "e"].map(user).to_vec()));
        assert_eq!(fit(five(), &fixed, 9), None);
    }

    #[test]
    fn results_stand_where_the_recorded_ones_do() {
        let system = ChatMessage::System {
            content: "Answer.".to_owned(),
        };
        // The recording: one message of the user, no instructions, block 4.
        assert_eq!(block_behind(&[user("a")]), 4);
        assert_eq!(block_behind(&[system.clone(), user("a")]), 4);
        let call = spoken("a call".to_owned());
        let result = ChatMessage::Tool {
            tool_call_id: "call_1".to_owned(),
            content: "found".to_owned(),
        };
        assert_eq!(block_behind(&[system, user("a"), call, result]), 6);
    }

    #[test]
    fn a_block_is_used_once_though_the_conversation_has_become_shorter() {
        let step = |block: u32| -> RunStep {
            let search = json!({
                "type": "file_search", "id": "call_1",
                "file_search": {"block": block, "queries": [], "results": null,
                    "ranking_options": {"ranker": "r", "score_threshold": 0.0,
                        "hybrid_search": null}},
            });
            serde_json::from_value(json!({
                "id": "step_1", "run_id": "run_1", "thread_id": "thread_1",
                "assistant_id": "asst_1", "created_at": 1, "expires_at": 2,
                "status": {"status": "completed", "completed_at": 1},
                "details": {"type": "tool_calls", "tool_calls": [search]}, "usage": null,
            }))
            .unwrap()
        };
        let messages = [user("a")];
        assert_eq!(next_block(&messages, &[]), 4);
        assert_eq!(next_block(&messages, &[step(2)]), 4);
        assert_eq!(next_block(&messages, &[step(4), step(6)]), 7);
    }

    #[test]
    fn a_forced_choice_is_forced_once() {
        assert_eq!(settled(&ToolChoice::Required), ToolChoice::Auto);
        assert_eq!(
            settled(&ToolChoice::Function("f".to_owned())),
            ToolChoice::Auto
        );
        assert_eq!(settled(&ToolChoice::None), ToolChoice::None);
    }
}
