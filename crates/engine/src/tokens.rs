//! Counting tokens where no provider does it for us: to cut a thread to size before a model call,
//! and to book a turn whose provider reported no usage.
//!
//! The count is that of the `o200k_base` vocabulary. Other models count a little differently;
//! where it matters, the provider's own figures are used.

use loomgate_domain::tool::Function;
use loomgate_tokens::o200k_base;
use loomgate_wire::chat::{ChatMessage, ChatToolCall, UserContent, UserPart};

/// What a message costs beside its words: role and separators.
const MESSAGE_OVERHEAD: u64 = 4;
/// What a picture costs, roughly: one high-detail tile and its base.
const IMAGE_TOKENS: u64 = 765;
/// Of a longer text this much is counted, and the rest taken to be like it.
const COUNTED_BYTES: usize = 64 * 1024;

/// Tokens of a text.
pub(crate) fn of_text(text: &str) -> u64 {
    let counted = &text[..text.floor_char_boundary(COUNTED_BYTES)];
    let tokens = o200k_base().count(counted) as u64;
    if counted.len() == text.len() {
        tokens
    } else {
        (tokens * text.len() as u64).div_ceil(counted.len() as u64)
    }
}

/// An upper bound that costs nothing: no token is shorter than a byte.
fn at_most(text: &str) -> u64 {
    text.len() as u64
}

/// Tokens of a message.
pub(crate) fn of_message(message: &ChatMessage) -> u64 {
    measure(message, of_text)
}

/// An upper bound for a message, without counting.
pub(crate) fn of_message_at_most(message: &ChatMessage) -> u64 {
    measure(message, at_most)
}

/// Tokens of the functions that a model is told about.
pub(crate) fn of_tools(tools: &[Function]) -> u64 {
    measure_tools(tools, of_text)
}

/// An upper bound for them, without counting.
pub(crate) fn of_tools_at_most(tools: &[Function]) -> u64 {
    measure_tools(tools, at_most)
}

fn measure_tools(tools: &[Function], text: fn(&str) -> u64) -> u64 {
    let tool = |tool: &Function| {
        let schema = serde_json::to_string(tool).unwrap_or_default();
        text(&schema) + MESSAGE_OVERHEAD
    };
    tools.iter().map(tool).sum()
}

fn measure(message: &ChatMessage, text: fn(&str) -> u64) -> u64 {
    let words = match message {
        ChatMessage::System { content } | ChatMessage::Tool { content, .. } => text(content),
        ChatMessage::User { content } => match content {
            UserContent::Text(content) => text(content),
            UserContent::Parts(parts) => parts
                .iter()
                .map(|part| match part {
                    UserPart::Text { text: content } => text(content),
                    UserPart::ImageUrl { .. } | UserPart::ImageFile { .. } => IMAGE_TOKENS,
                })
                .sum(),
        },
        ChatMessage::Assistant {
            content,
            tool_calls,
        } => {
            let calls = tool_calls
                .iter()
                .map(|ChatToolCall::Function { function, .. }| {
                    text(&function.name) + text(&function.arguments) + MESSAGE_OVERHEAD
                });
            content.as_deref().map_or(0, text) + calls.sum::<u64>()
        }
    };
    words + MESSAGE_OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_never_below_the_count() {
        for text in [
            "",
            "Hello, world!",
            "Übergrößenträger 漢字 👩‍👩‍👧",
            "aaaaaaaaaaaaaaaa",
        ] {
            assert!(of_text(text) <= at_most(text));
        }
        assert_eq!(of_text("Hello, world!"), 4);
    }

    #[test]
    fn one_long_word_is_counted_in_no_time_and_long_texts_by_their_beginning() {
        let word = "é".repeat(250_000);
        let tokens = of_text(&word);
        assert!((10_000..500_000).contains(&tokens), "{tokens}");
        let text = "The quick brown fox jumps over the lazy dog. ".repeat(10_000);
        let tokens = of_text(&text);
        assert!((95_000..115_000).contains(&tokens), "{tokens}");
    }
}
