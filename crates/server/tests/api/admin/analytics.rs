//! `/v1/analytics`.

use serde_json::{Value, json};

use super::{
    MANAGER_A, MANAGER_B, get, invalid,
    logs::{custom, insert},
    ok, post, refused, start,
};

const SPAN: &str = "time_of_generation_min=2020-01-01&time_of_generation_max=2999-01-01";

#[tokio::test]
async fn graphs_show_what_was_logged() {
    let app = start().await;
    let mut anonymous = custom("m-2", 500);
    anonymous["metadata"] = json!({});
    anonymous["response"]["response_time"] = json!(1);
    insert(
        &app,
        &json!([
            custom("m-1", 200),
            custom("m-1", 200),
            custom("m-1", 429),
            anonymous
        ]),
    )
    .await;
    let given = json!([{"trace_id": "t", "value": 10, "weight": 1},
                       {"trace_id": "t", "value": -5, "weight": 0.5}]);
    ok(&post(&app, MANAGER_A, "/v1/feedback", &given).await);
    for (graph, pointer, value) in [
        ("requests", "/summary/total", json!(4)),
        ("errors", "/summary/total", json!(2)),
        ("errors/rate", "/summary/rate", json!(50.0)),
        (
            "errors/status-codes",
            "/summary/stats",
            json!([{"status_code": 429, "count": 1}, {"status_code": 500, "count": 1}]),
        ),
        ("latency", "/summary/total", json!(4)),
        ("latency", "/summary/p50", json!(123.0)),
        ("tokens", "/summary/total", json!(48)),
        ("tokens", "/summary/avg", json!(12.0)),
        ("cost", "/summary/total", json!(0.0)),
        ("users", "/summary/total", json!(1)),
        ("users/requests", "/summary/total", json!(4)),
        ("requests/rescued", "/summary/total", json!(0)),
        ("cache/hit-rate", "/summary/rate", json!(0.0)),
        ("cache/latency", "/summary/total", json!(0)),
        ("feedbacks", "/summary/total", json!(2)),
        ("feedbacks/scores", "/summary/total", json!(2.5)),
        ("feedbacks/weighted", "/summary/total", json!(5.0)),
    ] {
        let path = format!("/v1/analytics/graphs/{graph}?{SPAN}");
        let drawn = ok(&get(&app, MANAGER_A, &path).await);
        assert_eq!(drawn["object"], "analytics-graph");
        let shown = drawn.pointer(pointer).unwrap_or(&Value::Null);
        let close = match (shown.as_f64(), value.as_f64()) {
            (Some(shown), Some(value)) => (shown - value).abs() <= value.abs() / 100.0,
            _ => *shown == value,
        };
        assert!(close, "{graph} {pointer}: {value} is {shown}");
        let points = drawn["data_points"].as_array().unwrap();
        assert!(!points.is_empty() && points.iter().all(|point| point["timestamp"].is_string()));
    }
    app.stop().await;
}

#[tokio::test]
async fn points_add_up_and_filters_count() {
    let app = start().await;
    insert(&app, &json!([custom("m-1", 200), custom("m-2", 500)])).await;
    let total = async |query: &str| {
        let path = format!("/v1/analytics/graphs/requests?{SPAN}{query}");
        let drawn = ok(&get(&app, MANAGER_A, &path).await);
        let points = drawn["data_points"].as_array().unwrap().iter();
        let sum: u64 = points.map(|point| point["total"].as_u64().unwrap()).sum();
        assert_eq!(json!(sum), drawn["summary"]["total"], "{drawn}");
        sum
    };
    assert_eq!(total("").await, 2);
    assert_eq!(total("&ai_org_model=acme__m-1").await, 1);
    assert_eq!(total("&status_code=500").await, 1);
    assert_eq!(total("&virtual_keys=none").await, 0);
    let other = format!("/v1/analytics/graphs/requests?{SPAN}");
    assert_eq!(
        ok(&get(&app, MANAGER_B, &other).await)["summary"]["total"],
        0
    );
    // A short time in the past has no points but empty ones.
    let path = "/v1/analytics/graphs/requests?time_of_generation_min=2024-05-01T00:00:30%2B00:00\
                &time_of_generation_max=2024-05-01T01:00:00%2B00:00";
    let drawn = ok(&get(&app, MANAGER_A, path).await);
    let points = drawn["data_points"].as_array().unwrap();
    assert_eq!(points.len(), 60);
    assert_eq!(
        points[0],
        json!({"total": 0, "timestamp": "2024-05-01T00:00:00Z"})
    );
    app.stop().await;
}

#[tokio::test]
async fn tables_group_what_was_logged() {
    let app = start().await;
    insert(
        &app,
        &json!([custom("m-1", 200), custom("m-1", 500), custom("m-2", 200)]),
    )
    .await;
    for (group, keys) in [
        ("ai-models", json!(["m-1", "m-2"])),
        ("users", json!(["someone"])),
        ("provider", json!(["acme"])),
        ("status_code", json!(["200", "500"])),
        ("api_key", json!(["key_config_manager-a"])),
        ("metadata/team", json!(["x"])),
        ("metadata/none", json!([null])),
    ] {
        let path = format!("/v1/analytics/groups/{group}?{SPAN}");
        let table = ok(&get(&app, MANAGER_A, &path).await);
        let rows = table["data"].as_array().unwrap().iter();
        let found: Vec<_> = rows.map(|row| row["key"].clone()).collect();
        assert_eq!(json!(found), keys, "{group}");
    }
    let path = format!("/v1/analytics/groups/ai-models?{SPAN}&page_size=1");
    let table = ok(&get(&app, MANAGER_A, &path).await);
    let row = &table["data"][0];
    assert_eq!((&row["requests"], &row["errors"]), (&json!(2), &json!(1)));
    assert_eq!(table["others"]["requests"], 1);
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let app = start().await;
    let path = |query: &str| format!("/v1/analytics/graphs/requests?{query}");
    for (query, param) in [
        ("", "time_of_generation_min"),
        (
            "time_of_generation_min=2024-01-01",
            "time_of_generation_max",
        ),
        (
            "time_of_generation_min=2024-01-02&time_of_generation_max=2024-01-01",
            "time_of_generation_max",
        ),
        (&format!("{SPAN}&cost_min=5"), "cost_min"),
        (&format!("{SPAN}&virtual_key=a"), "virtual_key"),
    ] {
        invalid(&get(&app, MANAGER_A, &path(query)).await, param, "");
    }
    let filtered = format!("/v1/analytics/graphs/feedbacks?{SPAN}&provider=acme");
    refused(&get(&app, MANAGER_A, &filtered).await, 400, "AB01");
    for unknown in ["graphs/nothing", "graphs/errors/stacks", "groups/weather"] {
        let answer = get(&app, MANAGER_A, &format!("/v1/analytics/{unknown}?{SPAN}")).await;
        refused(&answer, 404, "AB08");
    }
    app.stop().await;
}
