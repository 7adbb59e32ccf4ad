use futures::StreamExt;
use loomgate_domain::tool::{self, no_parameters};
use loomgate_wire::chat::{CalledFunction, ImageRef};
use serde_json::Map;

use super::*;

/// Always the same bytes: what a test wants is what the request says.
struct Sevens;

impl IdGen for Sevens {
    fn fill(&self, bytes: &mut [u8]) {
        bytes.fill(7);
    }
}

const ID: &str = "call_777777777777777777777777";

fn user(text: &str) -> ChatMessage {
    ChatMessage::User {
        content: UserContent::Text(text.to_owned()),
    }
}

fn system(text: &str) -> ChatMessage {
    ChatMessage::System {
        content: text.to_owned(),
    }
}

fn called(calls: &[(&str, &str)]) -> ChatMessage {
    ChatMessage::Assistant {
        content: None,
        tool_calls: calls
            .iter()
            .map(|(id, name)| ChatToolCall::Function {
                id: (*id).to_owned(),
                function: CalledFunction {
                    name: (*name).to_owned(),
                    arguments: "{}".to_owned(),
                },
                signature: None,
            })
            .collect(),
    }
}

fn output(id: &str, content: &str) -> ChatMessage {
    ChatMessage::Tool {
        tool_call_id: id.to_owned(),
        content: content.to_owned(),
    }
}

fn request(messages: Vec<ChatMessage>) -> ChatRequest {
    ChatRequest {
        model: "anything".to_owned(),
        messages,
        tools: Vec::new(),
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls: true,
        response_format: ResponseFormat::Auto,
        temperature: None,
        top_p: None,
        reasoning_effort: None,
        max_completion_tokens: None,
    }
}

fn function(name: &str) -> tool::Function {
    tool::Function {
        name: name.to_owned(),
        description: None,
        parameters: no_parameters(),
        strict: false,
    }
}

fn events(request: &ChatRequest) -> Vec<ChatEvent> {
    answer(request, &Sevens).unwrap().events
}

/// The whole text, and why the turn ended.
fn said(request: &ChatRequest) -> (String, FinishReason) {
    let mut text = String::new();
    for event in events(request) {
        match event {
            ChatEvent::Text(word) => text.push_str(&word),
            ChatEvent::Finished(reason) => return (text, reason),
            other => panic!("unexpected {other:?}"),
        }
    }
    panic!("the turn did not end")
}

/// The calls, with their whole arguments.
fn calls(request: &ChatRequest) -> Vec<(String, String)> {
    let mut calls = Vec::<(String, String)>::new();
    for event in events(request) {
        match event {
            ChatEvent::CallStarted { index, name, .. } => {
                assert_eq!(index, calls.len());
                calls.push((name, String::new()));
            }
            ChatEvent::CallArguments { index, text } => {
                assert_eq!(index + 1, calls.len());
                calls[index].1.push_str(&text);
            }
            _ => {}
        }
    }
    calls
}

fn call(name: &str, arguments: &str) -> (String, String) {
    (name.to_owned(), arguments.to_owned())
}

#[test]
fn a_text_comes_back_word_by_word_and_is_counted() {
    let text = "  Hello,  wörld!\nHow\tare you? ";
    assert_eq!(
        events(&request(vec![
            system("You are kind."),
            user("first"),
            user(text)
        ])),
        vec![
            ChatEvent::Text("  Hello,  ".to_owned()),
            ChatEvent::Text("wörld!\n".to_owned()),
            ChatEvent::Text("How\t".to_owned()),
            ChatEvent::Text("are ".to_owned()),
            ChatEvent::Text("you? ".to_owned()),
            ChatEvent::Finished(FinishReason::Stop),
            ChatEvent::Usage(Usage {
                prompt_tokens: 9,
                completion_tokens: 5,
                ..Usage::default()
            }),
        ]
    );
}

#[test]
fn pictures_and_missing_words_are_no_error() {
    let parts = ChatMessage::User {
        content: UserContent::Parts(vec![
            UserPart::Text {
                text: "What is".to_owned(),
            },
            UserPart::ImageUrl {
                image_url: ImageRef {
                    url: "https://example.net/cat.png".to_owned(),
                    detail: loomgate_domain::message::ImageDetail::Auto,
                },
            },
            UserPart::Text {
                text: "this?".to_owned(),
            },
        ]),
    };
    assert_eq!(said(&request(vec![parts])).0, "What is\nthis?");
    assert_eq!(said(&request(vec![])), (String::new(), FinishReason::Stop));
}

#[test]
fn calls_are_made_round_by_round_and_their_outputs_told() {
    let asked = user(
        "/echo say Let me look.\n/echo call a {\"x\": 1}\n/echo call b\n/echo then\n/echo call c",
    );
    let first = request(vec![asked.clone()]);
    assert_eq!(
        events(&first),
        vec![
            ChatEvent::Text("Let ".to_owned()),
            ChatEvent::Text("me ".to_owned()),
            ChatEvent::Text("look.".to_owned()),
            ChatEvent::CallStarted {
                index: 0,
                id: ID.to_owned(),
                name: "a".to_owned(),
                signature: None,
            },
            ChatEvent::CallArguments {
                index: 0,
                text: "{\"x\": ".to_owned(),
            },
            ChatEvent::CallArguments {
                index: 0,
                text: "1}".to_owned(),
            },
            ChatEvent::CallStarted {
                index: 1,
                id: ID.to_owned(),
                name: "b".to_owned(),
                signature: None,
            },
            ChatEvent::CallArguments {
                index: 1,
                text: "{}".to_owned(),
            },
            ChatEvent::Finished(FinishReason::ToolCalls),
            ChatEvent::Usage(Usage {
                prompt_tokens: 18,
                completion_tokens: 8,
                ..Usage::default()
            }),
        ]
    );
    let mut messages = vec![
        asked,
        called(&[("1", "a"), ("2", "b")]),
        output("2", "two"),
        output("1", "one"),
    ];
    assert_eq!(calls(&request(messages.clone())), [call("c", "{}")]);
    messages.extend([called(&[("3", "c")]), output("3", "three")]);
    assert_eq!(
        said(&request(messages)).0,
        "a returned one\nb returned two\nc returned three"
    );
}

#[test]
fn without_parallel_calls_each_call_is_a_turn() {
    let mut asked = request(vec![user(
        "/echo call a\n/echo call b\n/echo then\n/echo call c",
    )]);
    asked.parallel_tool_calls = false;
    for name in ["a", "b", "c"] {
        assert_eq!(calls(&asked), [call(name, "{}")]);
        asked
            .messages
            .extend([called(&[(name, name)]), output(name, "done")]);
    }
    assert_eq!(
        said(&asked).0,
        "a returned done\nb returned done\nc returned done"
    );
}

#[test]
fn only_the_last_user_message_counts() {
    let messages = vec![
        user("/echo call a"),
        called(&[("1", "a")]),
        output("1", "one"),
        user("and now?"),
    ];
    assert_eq!(said(&request(messages)).0, "and now?");
}

#[test]
fn a_prescribed_call_is_made_once() {
    let mut forced = request(vec![user("hi")]);
    forced.tools = vec![function("first"), function("second")];
    forced.tool_choice = ToolChoice::Required;
    assert_eq!(calls(&forced), [call("first", "{}")]);
    forced.tool_choice = ToolChoice::Function("second".to_owned());
    assert_eq!(calls(&forced), [call("second", "{}")]);
    forced
        .messages
        .extend([called(&[("1", "second")]), output("1", "done")]);
    assert_eq!(said(&forced).0, "second returned done");
    forced.messages = vec![user("/echo call second {\"own\":true}")];
    assert_eq!(calls(&forced), [call("second", "{\"own\":true}")]);
    forced.tool_choice = ToolChoice::None;
    assert_eq!(calls(&forced), []);
}

#[test]
fn failures_happen_every_time() {
    let fail = |text: &str| answer(&request(vec![user(text)]), &Sevens).unwrap_err();
    let busy = fail("hi\n/echo fail 503");
    assert_eq!((busy.status, busy.retryable), (Some(503), true));
    let denied = fail("/echo fail 401");
    assert_eq!((denied.status, denied.retryable), (Some(401), false));
    let unknown = fail("/echo dance");
    assert_eq!(unknown.status, Some(400));
    assert!(
        unknown.message.ends_with("/echo dance"),
        "{}",
        unknown.message
    );
}

#[test]
fn refusals_limits_and_json_answers() {
    let refusal = events(&request(vec![user("/echo refuse I will not.")]));
    assert_eq!(refusal[0], ChatEvent::Refusal("I ".to_owned()));
    assert_eq!(refusal[3], ChatEvent::Finished(FinishReason::Stop));

    let cut = (String::from("one two "), FinishReason::Length);
    assert_eq!(
        said(&request(vec![user("one two three\n/echo length 2")])),
        cut
    );
    let whole = (String::from("one two three"), FinishReason::Stop);
    assert_eq!(
        said(&request(vec![user("one two three\n/echo length 3")])),
        whole
    );
    let mut limited = request(vec![user("one two three")]);
    limited.max_completion_tokens = Some(2);
    assert_eq!(said(&limited), cut);

    let mut json = request(vec![user("say \"hi\"")]);
    for format in [
        ResponseFormat::JsonObject,
        ResponseFormat::JsonSchema(Map::new()),
    ] {
        json.response_format = format;
        assert_eq!(said(&json).0, r#"{"echo":"say \"hi\""}"#);
    }
}

#[tokio::test(start_paused = true)]
async fn the_pace_is_kept_before_each_word() {
    let asked = request(vec![user("one two three\n/echo pace 50")]);
    let started = tokio::time::Instant::now();
    let events: Vec<_> = chat(&asked, &Sevens).unwrap().collect().await;
    assert_eq!(events.len(), 5);
    assert_eq!(started.elapsed(), Duration::from_millis(150));
}
