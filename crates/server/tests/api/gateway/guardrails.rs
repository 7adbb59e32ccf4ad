//! Guardrails before and after a model call.

use loomgate_testkit::upstream::Reply;
use serde_json::{Value, json};

use super::stage::{Stage, question, refused, said, to, words};
use crate::app::Answer;

const DENIED: &str = "The guardrail checks defined in the config failed. You can find more \
                      information in the `hook_results` object.";

fn without(word: &str, deny: bool) -> Value {
    json!([{"default.contains": {"operator": "none", "words": [word]}, "deny": deny, "id": "g"}])
}

#[tokio::test]
async fn a_denied_request_never_reaches_the_provider() {
    let stage = Stage::start().await;
    let config = json!({"virtual_key": "one", "input_guardrails": without("Hello", true)});
    let answer = stage.chat(&config).await;
    assert_eq!(answer.status, 446, "{}", answer.text);
    let start = format!(
        "{{\"error\":{{\"message\":\"{DENIED}\",\"type\":\"hooks_failed\",\"param\":null,\
         \"code\":null}},\"hook_results\":{{\"before_request_hooks\":["
    );
    assert!(answer.text.starts_with(&start), "{}", answer.text);
    assert!(
        answer.text.ends_with("],\"after_request_hooks\":[]}}"),
        "{}",
        answer.text
    );
    let results = &answer.json()["hook_results"]["before_request_hooks"];
    assert_eq!(results[0]["verdict"], false);
    assert_eq!(results[0]["id"], "g");
    assert_eq!(stage.counts(), [0, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_denied_answer_is_withheld_and_paid_for() {
    let stage = Stage::start().await;
    stage.providers[0].push(said("a secret word"));
    let config = json!({"virtual_key": "one", "output_guardrails": without("secret", true)});
    let answer = stage.chat(&config).await;
    assert_eq!(answer.status, 446);
    assert_eq!(answer.json()["error"]["message"], DENIED);
    assert!(!answer.text.contains("a secret word"), "{}", answer.text);
    assert_eq!(
        answer.json()["hook_results"]["after_request_hooks"][0]["verdict"],
        false
    );
    assert_eq!(stage.counts(), [1, 0, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn a_guardrail_that_does_not_deny_marks_the_answer() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("fine"));
    let config = json!({"virtual_key": "one", "input_guardrails": without("Hello", false)});
    let answer = stage.chat(&config).await;
    assert_eq!(answer.status, 246);
    let body = answer.json();
    assert_eq!(body["choices"][0]["message"]["content"], "fine");
    assert_eq!(
        body["hook_results"]["before_request_hooks"][0]["verdict"],
        false
    );

    let holds = json!({"virtual_key": "one", "input_guardrails": without("Goodbye", true)});
    let answer = stage.chat(&holds).await;
    assert_eq!(words(&answer), "fine");
    let results = &answer.json()["hook_results"];
    assert_eq!(results["before_request_hooks"][0]["verdict"], true);
    stage.stop().await;
}

#[tokio::test]
async fn a_stream_is_seen_whole_before_its_first_word_goes_out() {
    let stage = Stage::start().await;
    stage.providers[0].push(Reply::text("this is a secret word"));
    stage.providers[0].push(Reply::text("all is well"));
    let config = json!({"virtual_key": "one", "output_guardrails": without("secret", true)});
    let mut body = question();
    body["stream"] = json!(true);
    let call = || {
        let request = stage.post("/v1/chat/completions", &body);
        request.header("x-portkey-config", config.to_string())
    };
    let answer = Answer::of(call()).await;
    assert_eq!(answer.status, 446, "{}", answer.text);
    assert!(!answer.text.contains("this is"), "{}", answer.text);
    let answer = Answer::of(call()).await;
    assert_eq!(answer.status, 200);
    assert!(answer.text.ends_with("data: [DONE]\n\n"), "{}", answer.text);
    stage.stop().await;
}

#[tokio::test]
async fn an_answer_with_a_mark_is_no_failure_and_a_denial_is_one() {
    let stage = Stage::start().await;
    stage.providers[0].always(said("fine"));
    stage.providers[1].always(said("two"));
    let fallback = |deny| {
        let guarded = json!({"virtual_key": "one", "output_guardrails": without("fine", deny)});
        json!({"strategy": {"mode": "fallback"}, "targets": [guarded, to("two")]})
    };
    assert_eq!(stage.chat(&fallback(false)).await.status, 246);
    assert_eq!(words(&stage.chat(&fallback(true)).await), "two");
    assert_eq!(stage.counts(), [2, 1, 0]);
    stage.stop().await;
}

#[tokio::test]
async fn guardrails_leave_refusals_and_other_calls_alone() {
    let stage = Stage::start().await;
    stage.providers[0].push(refused(400));
    let config = json!({"virtual_key": "up-one", "output_guardrails": without("says", true)});
    let answer = stage.chat(&config).await;
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["message"], "provider says 400");
    stage.providers[0].push(Reply::exact(
        200,
        &[("content-type", "application/json")],
        "{\"a\": 1}",
    ));
    let config = json!({"virtual_key": "up-one", "input_guardrails": without("Hello", true)});
    let call = stage
        .post(
            "/v1/threads/t/messages",
            &json!({"role": "user", "content": "Hello"}),
        )
        .header("x-portkey-config", config.to_string());
    let answer = Answer::of(call).await;
    assert_eq!((answer.status, &*answer.text), (200, "{\"a\": 1}"));
    stage.stop().await;
}
