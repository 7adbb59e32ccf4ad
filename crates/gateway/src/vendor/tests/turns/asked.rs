//! Turns in the words of each vendor.

use loomgate_domain::{
    message::ImageDetail,
    tool::{Function, ReasoningEffort, ResponseFormat, ToolChoice},
};
use loomgate_wire::chat::{
    CalledFunction, ChatMessage, ChatToolCall, ImageRef, UserContent, UserPart,
};
use serde_json::{Map, json};

use super::super::{
    accounts::{ACCOUNTS, shown},
    line::{Line, reply},
    *,
};
use crate::ChatRequest;

fn of_user(content: UserContent) -> ChatMessage {
    ChatMessage::User { content }
}

fn image(url: &str, detail: ImageDetail) -> UserPart {
    let url = url.to_owned();
    UserPart::ImageUrl {
        image_url: ImageRef { url, detail },
    }
}

pub(super) fn plain() -> ChatRequest {
    ChatRequest {
        model: "asked".to_owned(),
        messages: vec![of_user(UserContent::Text("Hello".to_owned()))],
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

fn with_images() -> ChatRequest {
    let parts = vec![
        UserPart::Text {
            text: "What are these?".to_owned(),
        },
        image("data:image/png;base64,AAAA", ImageDetail::Low),
        image("https://example.com/cat.jpg", ImageDetail::Auto),
    ];
    ChatRequest {
        messages: vec![of_user(UserContent::Parts(parts))],
        ..plain()
    }
}

fn with_tools() -> ChatRequest {
    let call = ChatToolCall::Function {
        id: "call_1".to_owned(),
        function: CalledFunction {
            name: "get_weather".to_owned(),
            arguments: "{\"city\":\"Tromsø\"}".to_owned(),
        },
        signature: Some("c2lnbmVk".to_owned()),
    };
    let parameters = object(json!({
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": false
    }));
    let function = |name: &str, strict: bool| Function {
        name: name.to_owned(),
        description: strict.then(|| "Tells the weather.".to_owned()),
        parameters: parameters.clone(),
        strict,
    };
    ChatRequest {
        messages: vec![
            ChatMessage::System {
                content: "Be brief.".to_owned(),
            },
            of_user(UserContent::Text("The weather?".to_owned())),
            ChatMessage::Assistant {
                content: None,
                tool_calls: vec![call],
            },
            ChatMessage::Tool {
                tool_call_id: "call_1".to_owned(),
                content: "Rain".to_owned(),
            },
        ],
        tools: vec![function("get_weather", true), function("get_tide", false)],
        tool_choice: ToolChoice::Required,
        parallel_tool_calls: false,
        ..plain()
    }
}

fn inputs() -> [(&'static str, ChatRequest); 6] {
    let schema = json!({
        "name": "person", "strict": true,
        "schema": {
            "type": "object", "properties": {"name": {"type": "string"}},
            "required": ["name"], "additionalProperties": false
        }
    });
    [
        ("plain", plain()),
        ("images", with_images()),
        ("tools", with_tools()),
        (
            "json_object",
            ChatRequest {
                response_format: ResponseFormat::JsonObject,
                ..plain()
            },
        ),
        (
            "json_schema",
            ChatRequest {
                response_format: ResponseFormat::JsonSchema(object(schema)),
                ..plain()
            },
        ),
        (
            "sampling",
            ChatRequest {
                temperature: Some(0.5),
                top_p: Some(1.0),
                reasoning_effort: Some(ReasoningEffort::Low),
                max_completion_tokens: Some(256),
                ..plain()
            },
        ),
    ]
}

#[tokio::test]
async fn every_turn_is_asked_as_recorded() {
    let line = Line::start().await;
    for (name, request) in inputs() {
        let mut all = Map::new();
        for at in ACCOUNTS {
            let request = ChatRequest {
                model: at.model.to_owned(),
                ..request.clone()
            };
            let before = line.upstream.count();
            line.upstream.push(reply(400, false, b"{}"));
            line.turn(at, &request).await;
            let requests = line.upstream.requests();
            let [sent] = &requests[before..] else {
                panic!(
                    "{name} at {}: {} requests",
                    at.name,
                    requests.len() - before
                );
            };
            // Its own server, and how long the body is, and who we are.
            let is_shown =
                |header: &str| !matches!(header, "host" | "content-length" | "user-agent");
            let headers = shown(&sent.headers, |header| is_shown(header.as_str()));
            let said = json!({"path": sent.path, "headers": headers, "body": sent.body});
            all.insert(at.name.to_owned(), said);
        }
        golden!(json format!("turn_request_{name}"), Value::Object(all));
    }
}
