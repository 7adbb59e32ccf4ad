//! `/v1/logs`.

use serde_json::{Value, json};

use super::{CANARY, MANAGER_A, get, ids, invalid, ok, post, refused, start};
use crate::app::TestApp;

const PATH: &str = "/v1/logs";

/// As Portkey's SDKs document it.
pub(super) fn custom(model: &str, status: u16) -> Value {
    json!({
        "request": {
            "url": "https://api.example.com/v1/chat?key=secret", "method": "POST",
            "provider": "acme",
            "headers": {"authorization": format!("Bearer {CANARY}")},
            "body": {"model": model, "prompt": "What is AI?"},
        },
        "response": {
            "status": status, "headers": {"set-cookie": CANARY}, "response_time": 123,
            "body": {"usage": {"prompt_tokens": 5, "completion_tokens": 7}},
        },
        "metadata": {"traceId": "trace-1", "spanId": 17, "spanName": "step", "user": "someone",
                     "team": "x", "parentSpanId": null},
    })
}

pub(super) async fn insert(app: &TestApp, body: &Value) -> Vec<String> {
    let answer = ok(&post(app, MANAGER_A, PATH, body).await);
    let ids = answer["data"]["ids"].as_array().unwrap().iter();
    ids.map(|id| id.as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_custom_log_is_kept_without_its_headers() {
    let app = start().await;
    let id = insert(&app, &custom("m-1", 200)).await.remove(0);
    let answer = get(&app, MANAGER_A, &format!("{PATH}/{id}")).await;
    assert!(
        !answer.text.contains("canary") && !answer.text.contains("secret"),
        "{}",
        answer.text
    );
    let log = ok(&answer);
    for (pointer, value) in [
        ("/_id", json!(id)),
        ("/object", json!("log")),
        ("/kind", json!("inserted")),
        ("/request/url", json!("https://api.example.com/v1/chat")),
        ("/request/body/prompt", json!("What is AI?")),
        (
            "/request/portkeyHeaders/x-portkey-trace-id",
            json!("trace-1"),
        ),
        ("/response/status", json!(200)),
        ("/response/responseTime", json!(123.0)),
        ("/metrics/ai_org", json!("acme")),
        ("/metrics/ai_model", json!("m-1")),
        ("/metrics/req_units", json!(5)),
        ("/metrics/total_units", json!(12)),
        ("/metrics/is_success", json!(true)),
        ("/span_id", json!("17")),
        ("/metadata", json!({"_user": "someone", "team": "x"})),
    ] {
        assert_eq!(log.pointer(pointer), Some(&value), "{pointer}: {log}");
    }
    // A list shows no bodies.
    let list = get(&app, MANAGER_A, PATH).await;
    assert_eq!(ids(&list, "id"), [id.as_str()]);
    assert!(!list.text.contains("What is AI?"), "{}", list.text);
    app.stop().await;
}

#[tokio::test]
async fn logs_are_found_by_what_they_are() {
    let app = start().await;
    let mut failed = custom("m-2", 429);
    failed["metadata"] = json!({"trace_id": "trace-2"});
    failed["request"]["provider"] = json!("other");
    let logs = insert(&app, &json!([custom("m-1", 200), failed])).await;
    let (first, second) = (logs[0].as_str(), logs[1].as_str());
    let both = {
        let mut both = logs.clone();
        both.sort();
        both.reverse();
        both
    };
    for (query, found) in [
        ("", both.iter().map(String::as_str).collect::<Vec<_>>()),
        ("trace_id=trace-1", vec![first]),
        ("status_code=429", vec![second]),
        ("status_code=4xx", vec![second]),
        ("errors_only=true", vec![second]),
        ("provider=acme", vec![first]),
        ("ai_model=m-2", vec![second]),
        ("ai_org_model=other__m-2", vec![second]),
        ("ai_org_model=acme__m-2", vec![]),
        ("metadata=%7B%22team%22%3A%22x%22%7D", vec![first]),
        ("kind=inserted&status_code=200", vec![first]),
        ("kind=request", vec![]),
        ("api_key_ids=key_config_b", vec![]),
        ("virtual_keys=echo", vec![]),
        ("configs=fixed", vec![]),
        ("run_id=run_1", vec![]),
        ("cache_status=hit", vec![]),
        ("time_of_generation_max=2020-01-01", vec![]),
        (
            "time_of_generation_min=2020-01-01T00:00:00Z&status_code=429",
            vec![second],
        ),
    ] {
        let list = get(&app, MANAGER_A, &format!("{PATH}?{query}")).await;
        assert_eq!(ids(&list, "id"), found, "{query}");
    }
    app.stop().await;
}

#[tokio::test]
async fn pages_go_on_behind_a_record() {
    let app = start().await;
    for number in 0..5 {
        insert(&app, &custom(&format!("m-{number}"), 200)).await;
    }
    let all = ids(&get(&app, MANAGER_A, PATH).await, "id");
    assert_eq!(all.len(), 5);
    let mut seen = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(&app, MANAGER_A, &format!("{PATH}?limit=2{after}")).await;
        seen.extend(ids(&page, "id"));
        let body = page.json();
        if body["has_more"] == json!(false) {
            break;
        }
        assert!(seen.len() < 5, "{seen:?}");
        after = format!("&after={}", body["last_id"].as_str().unwrap());
    }
    assert_eq!(seen, all);
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let app = start().await;
    for (query, param) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("after=x", "after"),
        ("status_code=429,430", "status_code"),
        ("status_code=9xx", "status_code"),
        ("virtual_keys=a,b", "virtual_keys"),
        ("time_of_generation_min=now", "time_of_generation_min"),
        ("metadata=x", "metadata"),
        (
            "metadata=%7B%22a%22%3A%22b%22%2C%22c%22%3A%22d%22%7D",
            "metadata",
        ),
        ("api_key_ids=abc", "api_key_ids"),
        ("cost_min=1", "cost_min"),
        ("limit=1&limit=2", "limit"),
        ("current_page=1", "current_page"),
    ] {
        let answer = get(&app, MANAGER_A, &format!("{PATH}?{query}")).await;
        let error = refused(&answer, 400, "AB01");
        assert_eq!(error.param.as_deref(), Some(param), "{query}: {error:?}");
    }
    for (body, param) in [
        (json!({"response": {}}), "request"),
        (json!({"request": {}}), "response"),
        (json!({"request": [], "response": {}}), "request"),
        (
            json!({"request": {"urll": "x"}, "response": {}}),
            "request.urll",
        ),
        (
            json!({"request": {}, "response": {"status": 99}}),
            "response.status",
        ),
        (
            json!({"request": {}, "response": {"response_time": -1}}),
            "response.response_time",
        ),
        (
            json!({"request": {}, "response": {}, "metadata": {"a": {}}}),
            "metadata",
        ),
        (
            json!([{"request": {}, "response": {}}, {"request": {}}]),
            "[1].response",
        ),
    ] {
        let answer = post(&app, MANAGER_A, PATH, &body).await;
        invalid(&answer, param, "");
    }
    for id in ["log_none", "x", "exportx"] {
        refused(
            &get(&app, MANAGER_A, &format!("{PATH}/{id}")).await,
            404,
            "AB08",
        );
    }
    assert_eq!(ids(&get(&app, MANAGER_A, PATH).await, "id"), [""; 0]);
    app.stop().await;
}

/// The body that Portkey's OpenTelemetry exporter sends.
#[tokio::test]
async fn spans_of_opentelemetry_are_logs() {
    let app = start().await;
    let span = json!([{
        "metadata": {
            "traceId": "3f1c", "spanId": 1_234_567_890_123_456_789_u64, "spanName": "call",
            "parentSpanId": null, "startTime": 1_700_000_000_000_000_000_u64, "endTime": null,
            "_logType": "opentelemetry", "_source": "unknown", "framework.version": "unknown",
        },
        "request": {"method": "POST", "headers": {"Content-Type": "application/json"},
                    "body": {"name": "call"}},
        "response": {"status": 200, "headers": {"Content-Type": "application/json"}, "body": {},
                     "response_time": 12.5},
    }]);
    let id = insert(&app, &span).await.remove(0);
    let log = ok(&get(&app, MANAGER_A, &format!("{PATH}/{id}")).await);
    assert_eq!(log["trace_id"], "3f1c");
    assert_eq!(log["response"]["responseTime"], 12.5);
    assert_eq!(log["metadata"]["_logType"], "opentelemetry");
    app.stop().await;
}

#[tokio::test]
async fn calls_of_the_admin_api_leave_no_record_and_native_ones_do() {
    // Nothing switched off: what everybody gets.
    let app = TestApp::start().await;
    for path in ["/v1/virtual-keys", PATH, "/v1/assistants", "/v1/configs"] {
        assert_eq!(app.get(path).await.status, 200, "{path}");
    }
    // Records come a moment later; looking for them leaves none either.
    let recorded = async {
        loop {
            let listed = app.get(PATH).await.json();
            let logs = listed["data"].as_array().unwrap().clone();
            if !logs.is_empty() {
                return logs;
            }
        }
    };
    let recorded = tokio::time::timeout(std::time::Duration::from_secs(30), recorded).await;
    let urls: Vec<_> = recorded
        .unwrap()
        .iter()
        .map(|log| log["request"]["url"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(urls, ["/v1/assistants"]);
    app.stop().await;
}
