use loomgate_domain::message::ImageDetail;
use loomgate_wire::chat::{CalledFunction, ChatToolCall, ImageRef, UserContent, UserPart};
use serde_json::json;

use super::*;

const OPENAI: Dialect = Dialect {
    max_tokens_field: MaxTokensField::MaxCompletionTokens,
    stream_options: true,
};
const COMPATIBLE: Dialect = Dialect {
    max_tokens_field: MaxTokensField::MaxTokens,
    stream_options: false,
};

/// The least that a turn has.
fn plain() -> ChatRequest {
    ChatRequest {
        model: "alias".to_owned(),
        messages: vec![ChatMessage::User {
            content: UserContent::Text("Hello".to_owned()),
        }],
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

fn object(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).unwrap()
}

fn weather(strict: bool) -> tool::Function {
    tool::Function {
        name: "get_weather".to_owned(),
        description: strict.then(|| "Tells the weather.".to_owned()),
        parameters: object(json!({
            "type": "object",
            "properties": {"z": {"type": "string"}, "a": {"type": "string"}},
            "required": ["z", "a"]
        })),
        strict,
    }
}

/// Everything that a turn can have.
fn full() -> ChatRequest {
    let parts = vec![
        UserPart::Text {
            text: "What is this?".to_owned(),
        },
        UserPart::ImageUrl {
            image_url: ImageRef {
                url: "data:image/png;base64,AAAA".to_owned(),
                detail: ImageDetail::Low,
            },
        },
    ];
    ChatRequest {
        messages: vec![
            ChatMessage::System {
                content: "Be brief.".to_owned(),
            },
            ChatMessage::User {
                content: UserContent::Parts(parts),
            },
            ChatMessage::Assistant {
                content: None,
                tool_calls: vec![ChatToolCall::Function {
                    id: "call_1".to_owned(),
                    function: CalledFunction {
                        name: "get_weather".to_owned(),
                        arguments: "{\"z\":\"é\"}".to_owned(),
                    },
                    signature: Some("c2lnbmVk".to_owned()),
                }],
            },
            ChatMessage::Tool {
                tool_call_id: "call_1".to_owned(),
                content: "sunny".to_owned(),
            },
            ChatMessage::Assistant {
                content: Some("It is sunny.".to_owned()),
                tool_calls: Vec::new(),
            },
        ],
        tools: vec![weather(true), weather(false)],
        tool_choice: ToolChoice::Function("get_weather".to_owned()),
        parallel_tool_calls: false,
        response_format: ResponseFormat::JsonSchema(object(json!({
            "name": "answer", "schema": {"type": "object"}, "strict": true
        }))),
        temperature: Some(0.2),
        top_p: Some(1.0),
        reasoning_effort: Some(ReasoningEffort::Low),
        max_completion_tokens: Some(256),
        ..plain()
    }
}

fn sent(request: &ChatRequest, dialect: Dialect) -> Value {
    serde_json::to_value(body(request, "model-1", dialect)).unwrap()
}

#[test]
fn the_least_is_all_that_is_sent() {
    insta::assert_json_snapshot!("plain_openai", sent(&plain(), OPENAI));
    insta::assert_json_snapshot!("plain_compatible", sent(&plain(), COMPATIBLE));
}

#[test]
fn everything_is_sent() {
    insta::assert_json_snapshot!("full_openai", sent(&full(), OPENAI));
    insta::assert_json_snapshot!("full_compatible", sent(&full(), COMPATIBLE));
}

#[test]
fn defaults_and_settings_of_missing_tools_are_left_out() {
    let request = ChatRequest {
        tool_choice: ToolChoice::Required,
        parallel_tool_calls: false,
        response_format: ResponseFormat::Text,
        ..plain()
    };
    assert_eq!(sent(&request, OPENAI), sent(&plain(), OPENAI));

    let choice = |tool_choice| {
        let request = ChatRequest {
            tools: vec![weather(false)],
            tool_choice,
            ..plain()
        };
        sent(&request, OPENAI).get("tool_choice").cloned()
    };
    assert_eq!(choice(ToolChoice::Auto), None);
    assert_eq!(choice(ToolChoice::FileSearch), None);
    assert_eq!(choice(ToolChoice::CodeInterpreter), None);
    assert_eq!(choice(ToolChoice::None), Some(json!("none")));
    assert_eq!(choice(ToolChoice::Required), Some(json!("required")));
}

#[test]
fn a_json_object_is_asked_for() {
    let request = ChatRequest {
        response_format: ResponseFormat::JsonObject,
        ..plain()
    };
    let format = &sent(&request, COMPATIBLE)["response_format"];
    assert_eq!(format, &json!({"type": "json_object"}));
}

#[test]
fn signatures_go_back_with_their_calls_and_only_when_asked_for() {
    let request = full();
    let mut said = serde_json::to_value(body(&request, "m", OPENAI)).unwrap();
    assert!(!said.to_string().contains("c2lnbmVk"), "{said}");
    sign(&mut said, &request.messages);
    let expected = json!({"google": {"thought_signature": "c2lnbmVk"}});
    assert_eq!(
        said["messages"][2]["tool_calls"][0]["extra_content"],
        expected
    );
    assert_eq!(said.to_string().matches("extra_content").count(), 1);
}
