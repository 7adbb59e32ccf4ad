//! What a turn asked and said, as the log may keep it: in OpenAI's form, cut, and without the
//! credential.

use bytes::Bytes;
use loomgate_wire::chat::ChatEvent;
use secrecy::SecretString;
use serde_json::{Value, json};

use crate::error::bytes_without_key;

/// An answer, put together from its events.
#[derive(Debug)]
pub(super) struct Said {
    /// The most bytes that are kept; 0: nothing is.
    most: usize,
    key: Option<SecretString>,
    text: String,
    refusal: String,
    calls: Vec<Call>,
    bytes: usize,
}

#[derive(Debug)]
struct Call {
    id: String,
    name: String,
    arguments: String,
}

impl Said {
    pub(super) fn new(most: usize, key: Option<SecretString>) -> Self {
        Self {
            most,
            key,
            text: String::new(),
            refusal: String::new(),
            calls: Vec::new(),
            bytes: 0,
        }
    }

    /// Takes the next event; what is beyond the limit is left out.
    pub(super) fn take(&mut self, event: &ChatEvent) {
        if self.bytes >= self.most {
            return;
        }
        match event {
            ChatEvent::Text(text) => {
                self.bytes += text.len();
                self.text.push_str(text);
            }
            ChatEvent::Refusal(text) => {
                self.bytes += text.len();
                self.refusal.push_str(text);
            }
            ChatEvent::CallStarted { id, name, .. } => {
                self.bytes += id.len() + name.len();
                self.calls.push(Call {
                    id: id.clone(),
                    name: name.clone(),
                    arguments: String::new(),
                });
            }
            ChatEvent::CallArguments { index, text } => {
                self.bytes += text.len();
                if let Some(call) = self.calls.get_mut(*index) {
                    call.arguments.push_str(text);
                }
            }
            ChatEvent::Usage(_) | ChatEvent::Finished(_) => {}
        }
    }

    /// As a message of the assistant's; `None`: nothing is kept, or nothing was said.
    pub(super) fn body(&self) -> Option<Bytes> {
        if self.bytes == 0 {
            return None;
        }
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        let mut message = json!({"role": "assistant", "content": given(&self.text)});
        if let Some(refusal) = given(&self.refusal) {
            message["refusal"] = json!(refusal);
        }
        let calls = self.calls.iter().map(|call| {
            let function = json!({"name": call.name, "arguments": call.arguments});
            json!({"id": call.id, "type": "function", "function": function})
        });
        if !self.calls.is_empty() {
            message["tool_calls"] = calls.collect();
        }
        Some(shown(&message, self.key.as_ref()))
    }
}

/// JSON without the credential.
pub(super) fn shown(value: &Value, key: Option<&SecretString>) -> Bytes {
    let text = value.to_string();
    bytes_without_key(text.as_bytes(), key).map_or_else(|| text.into(), Bytes::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(text: &str) -> ChatEvent {
        ChatEvent::Text(text.to_owned())
    }

    #[test]
    fn an_answer_is_put_together() {
        let mut said = Said::new(1_000, Some(SecretString::from("made-up")));
        for event in [
            text("One "),
            text("made-up two"),
            ChatEvent::CallStarted {
                index: 0,
                id: "call_1".to_owned(),
                name: "f".to_owned(),
                signature: None,
            },
            ChatEvent::CallArguments {
                index: 0,
                text: "{}".to_owned(),
            },
        ] {
            said.take(&event);
        }
        let body: Value = serde_json::from_slice(&said.body().unwrap()).unwrap();
        let function = json!({"name": "f", "arguments": "{}"});
        let call = json!({"id": "call_1", "type": "function", "function": function});
        let expected =
            json!({"role": "assistant", "content": "One [key] two", "tool_calls": [call]});
        assert_eq!(body, expected);
    }

    #[test]
    fn nothing_is_kept_where_nothing_is_to_be_and_not_without_end() {
        let mut none = Said::new(0, None);
        none.take(&text("x"));
        assert_eq!(none.body(), None);
        let mut some = Said::new(10, None);
        for _ in 0..1_000 {
            some.take(&text("four"));
        }
        assert!(some.body().unwrap().len() < 100);
    }
}
