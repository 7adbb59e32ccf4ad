//! What holds for all processes together: budgets, rates of tokens, and the time of runs.

use loomgate_testkit::upstream::Reply;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Site, newest_run};
use crate::process::{Process, text};

/// An answer, and the tokens that it took.
fn answer(tokens: u64) -> Reply {
    let usage = json!({"prompt_tokens": tokens, "completion_tokens": 0});
    let message = json!({"role": "assistant", "content": "Yes."});
    let choices = json!([{"index": 0, "message": message, "finish_reason": "stop"}]);
    Reply::status(200, json!({"choices": choices, "usage": usage}), &[])
}

impl Site {
    /// The config of a virtual key with a limit.
    fn tight(&self, limit: &str) -> String {
        let url = self.upstream.url();
        format!("[virtual_keys.tight]\nprovider = 'openai'\nbase_url = '{url}'\n{limit}\n")
    }
}

/// A request that goes by this key.
fn tight(process: &Process, path: &str, body: &Value) -> reqwest::RequestBuilder {
    let request = process.request(Method::POST, path).json(body);
    request.header("x-portkey-virtual-key", "tight")
}

/// The status of a call.
async fn call(process: &Process) -> u16 {
    let body = json!({"messages": [{"role": "user", "content": "hi"}], "model": "gpt-4o"});
    let answer = tight(process, "/chat/completions", &body).send().await;
    answer.unwrap().status().as_u16()
}

/// Calls until one is refused, which has to be soon: what another process has counted is written
/// right behind its answer.
async fn refused(process: &Process) -> u16 {
    for _ in 0..200 {
        match call(process).await {
            200 => {}
            status => return status,
        }
    }
    panic!("nothing was refused")
}

#[tokio::test]
async fn tokens_count_for_all_processes_whatever_they_are_limited_by() {
    for (limit, status) in [
        (
            "usage_limits = { type = 'tokens', credit_limit = 1000 }",
            412,
        ),
        (
            "rate_limits = [{ type = 'tokens', unit = 'rpw', value = 1000 }]",
            429,
        ),
    ] {
        let site = Site::new().await;
        let config = site.tight(limit);
        let one = site.process_with("api", &config).await;
        let other = site.process_with("api", &config).await;
        // The other one does not come to it by itself.
        site.upstream.always(answer(1));
        assert_eq!(call(&other).await, 200);
        site.upstream.push(answer(2000));
        assert_eq!(call(&one).await, 200);
        assert_eq!(refused(&other).await, status);
        // Nor does a new process forget it.
        let third = site.process_with("api", &config).await;
        assert_eq!(call(&third).await, status);
    }
}

#[tokio::test]
async fn what_a_worker_uses_counts_where_its_runs_are_asked_for() {
    let site = Site::new().await;
    let config = site.tight("usage_limits = { type = 'tokens', credit_limit = 1000 }");
    let api = site.process_with("api", &config).await;
    let _worker = site.process_with("worker", &config).await;
    site.upstream.always(answer(1));
    assert_eq!(call(&api).await, 200);

    site.upstream.push(Reply::text("Yes.").usage(2000, 1));
    let (assistant, thread) = api.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    let body = json!({"assistant_id": assistant});
    let created = tight(&api, &runs, &body).send().await.unwrap();
    assert_eq!(created.status(), 200);
    let run = newest_run(&api, &runs).await;
    let run = api.settled(&run, "completed").await;
    assert_eq!(run["usage"]["total_tokens"], 2001);
    // It is counted in the commit that ends the run.
    assert_eq!(call(&api).await, 412);
    assert_eq!(site.upstream.count(), 2);

    // And the worker knows what the API process has to say about it.
    let message = json!({"role": "user", "content": "Once more."});
    api.post(&format!("/threads/{thread}/messages"), message)
        .await;
    let created = tight(&api, &runs, &body).send().await.unwrap();
    assert_eq!(created.status(), 200);
    let run = newest_run(&api, &runs).await;
    let run = api.settled(&run, "failed").await;
    assert_eq!(run["last_error"]["code"], "rate_limit_exceeded", "{run}");
    assert_eq!(site.upstream.count(), 2);
}

#[tokio::test]
async fn a_run_that_waits_expires_whoever_works_by_then() {
    let site = Site::new().await;
    let short = "[limits]\nrun_expiry_s = 5\n";
    let api = site.process_with("api", short).await;
    let first = site.process_with("worker", short).await;
    site.upstream.push(Reply::calls(&[("call_1", "f", "{}")]));
    let (assistant, thread) = api.furnish().await;
    let runs = format!("/threads/{thread}/runs");
    api.post(&runs, json!({"assistant_id": assistant})).await;
    let run = newest_run(&api, &runs).await;
    api.settled(&run, "requires_action").await;
    first.kill().await;

    let _second = site.process_with("worker", short).await;
    api.settled(&run, "expired").await;
    let steps = api.get(&format!("{run}/steps")).await;
    assert_eq!(text(&steps["data"][0], "status"), "expired");
    // The thread is free again.
    let message = json!({"role": "user", "content": "Never mind."});
    api.post(&format!("/threads/{thread}/messages"), message)
        .await;
    assert_eq!(site.upstream.count(), 1);
}
