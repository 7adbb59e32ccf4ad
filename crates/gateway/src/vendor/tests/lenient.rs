//! Answers with what OpenAI has no field for, in the shapes of Portkey's gateway. The same answers
//! without stand in `answers` and `streams`.

use serde_json::json;

use super::{streams::Stream, *};

fn lenient() -> AnswerFacts {
    AnswerFacts {
        lenient: true,
        ..facts()
    }
}

#[test]
fn whole_answers_have_more_fields_where_that_is_allowed() {
    let fixtures = [
        (
            "anthropic_message",
            include_str!("../fixtures/anthropic/message.json"),
        ),
        (
            "anthropic_searched",
            include_str!("../fixtures/anthropic/searched.json"),
        ),
        (
            "google_response",
            include_str!("../fixtures/google/response.json"),
        ),
        (
            "google_grounded",
            include_str!("../fixtures/google/grounded.json"),
        ),
    ];
    for (name, text) in fixtures {
        let said = match name.split_once('_') {
            Some(("anthropic", _)) => anthropic::chat_response(&json(text), &lenient()),
            _ => google::chat_response(&json(text), &lenient()),
        };
        golden!(json format!("{name}_lenient"), said.unwrap());
    }
}

#[test]
fn streams_have_more_fields_where_that_is_allowed() {
    let fixtures: [(&str, &[u8]); 4] = [
        ("anthropic_tools", streams::ANTHROPIC_TOOLS),
        ("anthropic_searched", streams::ANTHROPIC_SEARCHED),
        ("google_tools", streams::GOOGLE_TOOLS),
        ("google_grounded", streams::GOOGLE_GROUNDED),
    ];
    for (name, bytes) in fixtures {
        let start = || match name.split_once('_') {
            Some(("anthropic", _)) => Stream::Anthropic(anthropic::ChatStream::new(lenient())),
            _ => Stream::Google(google::ChatStream::new(lenient())),
        };
        let whole = streams::converted(start(), [bytes]);
        assert_eq!(
            streams::converted(start(), bytes.chunks(1)),
            whole,
            "{name}"
        );
        let (frames, result) = whole;
        golden!(text format!("stream_{name}_lenient"), format!("{frames}{result:?}"));
    }
}

#[test]
fn an_answer_can_be_said_again_as_it_was_given_out() {
    let message = json(include_str!("../fixtures/anthropic/message.json"));
    let answer = anthropic::chat_response(&message, &lenient()).unwrap();
    let outputs = ["toolu_1", "toolu_2"]
        .map(|id| json!({"role": "tool", "tool_call_id": id, "content": "x"}));
    let [first, second] = outputs;
    let body = json!({"messages": [
        {"role": "user", "content": "Hi"}, answer["choices"][0]["message"], first, second,
    ]});
    let said = anthropic::chat_request(&body, "claude-opus-5")
        .unwrap()
        .body;
    assert_eq!(said["messages"][1]["content"], message["content"]);
}

#[test]
fn thinking_is_asked_of_gemini_in_its_own_words() {
    let config = |thinking: Value, model: &str| {
        let body = json!({"messages": [{"role": "user", "content": "Hi"}], "thinking": thinking});
        let said = google::chat_request(&body, model);
        said.map(|said| said.body["generationConfig"]["thinkingConfig"].clone())
    };
    for (thinking, model, expected) in [
        (
            json!({"type": "enabled", "budget_tokens": 2000}),
            "gemini-2.5-flash",
            json!({"includeThoughts": true, "thinkingBudget": 2000}),
        ),
        (
            json!({"type": "adaptive"}),
            "gemini-3.8-flash",
            json!({"includeThoughts": true}),
        ),
        (
            json!({"type": "disabled"}),
            "gemini-2.5-flash",
            json!({"thinkingBudget": 0}),
        ),
        (
            json!({"type": "disabled"}),
            "gemini-3.8-flash",
            json!({"thinkingLevel": "low"}),
        ),
    ] {
        assert_eq!(config(thinking, model).unwrap(), expected);
    }
    let refused = config(json!({"type": "hard"}), "gemini-2.5-flash").unwrap_err();
    assert_eq!(refused.param.as_deref(), Some("thinking.type"));
}
