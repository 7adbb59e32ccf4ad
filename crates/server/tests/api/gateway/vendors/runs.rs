//! Runs of assistants.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    super::runs::{assistant, begin, path, settled},
    VENDORS, stage,
};
use crate::app::Answer;

#[tokio::test]
async fn an_assistants_run_is_the_same_at_each() {
    let stage = stage().await;
    for vendor in &VENDORS {
        let assistant = assistant(&stage, vendor.model).await;
        stage.providers[0].push(vendor.streams("", Some(&json!({"a": 1}))));
        let slug = format!("v-{}", vendor.slug);
        let run = begin(&stage, &assistant, |request| {
            request.header("x-portkey-virtual-key", &slug)
        })
        .await;
        let run = settled(&stage, &run, "requires_action").await;
        vendor.check_head(&stage.received(), true);
        let call = &run["required_action"]["submit_tool_outputs"]["tool_calls"][0];
        assert_eq!(call["function"]["name"], "f", "{run}");
        let arguments = call["function"]["arguments"].as_str().unwrap();
        assert_eq!(
            serde_json::from_str::<Value>(arguments).unwrap(),
            json!({"a": 1})
        );

        stage.providers[0].push(vendor.streams("All done", None));
        let outputs = json!({"tool_outputs": [{"tool_call_id": call["id"], "output": "42"}]});
        let submit = stage.post(&format!("{}/submit_tool_outputs", path(&run)), &outputs);
        assert_eq!(Answer::of(submit).await.status, 200);
        let run = settled(&stage, &run, "completed").await;
        assert_eq!(run["usage"]["prompt_tokens"], 20, "{}: {run}", vendor.slug);
        assert_eq!(run["usage"]["completion_tokens"], 4);
        // The output went back to the call that asked for it.
        let sent = stage.received().body;
        let (name, output) = match vendor.provider {
            "anthropic" => {
                let result = &sent["messages"][2]["content"][0];
                assert_eq!(result["type"], "tool_result");
                let call = &sent["messages"][1]["content"][0];
                assert_eq!(result["tool_use_id"], call["id"]);
                (&call["name"], &result["content"])
            }
            "google" => {
                let response = &sent["contents"][2]["parts"][0]["functionResponse"];
                (&response["name"], &response["response"]["output"])
            }
            _ => {
                let (call, output) = (&sent["messages"][1]["tool_calls"][0], &sent["messages"][2]);
                assert_eq!(output["tool_call_id"], call["id"]);
                (&call["function"]["name"], &output["content"])
            }
        };
        assert_eq!(
            (name, output),
            (&json!("f"), &json!("42")),
            "{}: {sent}",
            vendor.slug
        );
        let messages = format!(
            "/v1/threads/{}/messages",
            run["thread_id"].as_str().unwrap()
        );
        let messages = Answer::of(stage.request(Method::GET, &messages))
            .await
            .json();
        let said = &messages["data"][0]["content"][0]["text"]["value"];
        assert_eq!(said, "All done", "{}", vendor.slug);
    }
    stage.stop().await;
}
