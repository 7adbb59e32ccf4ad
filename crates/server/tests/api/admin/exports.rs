//! `/v1/logs/exports` and `/v1/logs/export`.

use reqwest::Method;
use serde_json::{Value, json};

use super::{
    MANAGER_A, MANAGER_B, get, ids, invalid,
    logs::{custom, insert},
    ok, post, put, refused, start,
};
use crate::app::{Answer, TestApp};

const PATH: &str = "/v1/logs/exports";

fn lines(answer: &Answer) -> Vec<Value> {
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert_eq!(answer.header("content-type"), "application/x-ndjson");
    let lines = answer.text.lines();
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

async fn without_key(app: &TestApp, url: &str) -> Answer {
    let path = url.split_once("/v1").unwrap().1;
    Answer::of(app.bare(Method::GET, &format!("/v1{path}"))).await
}

#[tokio::test]
async fn an_export_is_defined_started_and_fetched() {
    let app = start().await;
    insert(&app, &json!([custom("m-1", 200), custom("m-2", 500)])).await;
    let body = json!({
        "filters": {"time_of_generation_min": "2020-01-01", "status_code": "5xx"},
        "workspace_id": "a", "description": "failures",
        "requested_data": ["id", "ai_model", "response_status_code", "request"],
    });
    let made = ok(&post(&app, MANAGER_A, PATH, &body).await);
    assert_eq!(
        (&made["total"], &made["object"]),
        (&json!(1), &json!("export"))
    );
    let id = made["id"].as_str().unwrap();
    let path = format!("{PATH}/{id}");
    let shown = ok(&get(&app, MANAGER_A, &path).await);
    assert_eq!(shown["status"], "draft");
    assert_eq!(shown["filters"], body["filters"]);
    assert_eq!(shown["requested_data"], body["requested_data"]);
    assert_eq!(shown["total_records"], 1);
    assert_eq!(ids(&get(&app, MANAGER_A, PATH).await, "id"), [id]);

    let download = format!("{path}/download");
    refused(&get(&app, MANAGER_A, &download).await, 409, "AB07");
    let started = ok(&post(&app, MANAGER_A, &format!("{path}/start"), &Value::Null).await);
    assert_eq!(started["object"], "export");
    let link = ok(&get(&app, MANAGER_A, &download).await);
    let url = link["signed_url"].as_str().unwrap();
    assert!(
        url.starts_with(&format!(
            "http://{}/v1/logs/exports/{id}/file?",
            app.address
        )),
        "{url}"
    );
    let expected = |lines: Vec<Value>| {
        assert_eq!(lines.len(), 1, "{lines:?}");
        let keys: Vec<_> = lines[0].as_object().unwrap().keys().cloned().collect();
        assert_eq!(keys.len(), 4, "{keys:?}");
        assert_eq!(lines[0]["ai_model"], "m-2");
        assert_eq!(lines[0]["response_status_code"], 500);
        assert_eq!(lines[0]["request"]["prompt"], "What is AI?");
    };
    expected(lines(&without_key(&app, url).await));
    let direct = app.bare(Method::GET, &download).bearer_auth(MANAGER_A);
    let direct = direct.header("accept", "application/x-ndjson");
    expected(lines(&Answer::of(direct).await));

    refused(
        &put(&app, MANAGER_A, &path, &json!({"description": "x"})).await,
        409,
        "AB07",
    );
    ok(&post(&app, MANAGER_A, &format!("{path}/cancel"), &Value::Null).await);
    refused(&get(&app, MANAGER_A, &download).await, 409, "AB07");
    refused(&without_key(&app, url).await, 409, "AB07");
    app.stop().await;
}

#[tokio::test]
async fn a_link_opens_what_it_was_made_for_and_nothing_else() {
    let app = start().await;
    insert(&app, &custom("m-1", 200)).await;
    let mut links = Vec::new();
    for key in [MANAGER_A, MANAGER_B] {
        let made = ok(&post(&app, key, PATH, &json!({})).await);
        let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
        ok(&post(&app, key, &format!("{path}/start"), &Value::Null).await);
        let link = ok(&get(&app, key, &format!("{path}/download")).await);
        links.push(link["signed_url"].as_str().unwrap().to_owned());
    }
    let [of_a, of_b] = [&links[0], &links[1]];
    assert_eq!(lines(&without_key(&app, of_a).await).len(), 1);
    assert_eq!(lines(&without_key(&app, of_b).await).len(), 0);
    let expires = of_a
        .split("expires=")
        .nth(1)
        .unwrap()
        .split('&')
        .next()
        .unwrap();
    let later = format!("expires={}", expires.parse::<i64>().unwrap() + 1);
    let id = |url: &str| url.split('/').nth(6).unwrap().to_owned();
    for changed in [
        of_a.replace("workspace=ws_a", "workspace=ws_b"),
        of_b.replace("workspace=ws_b", "workspace=ws_a"),
        of_b.replace(&id(of_b), &id(of_a)),
        of_a.replace(&format!("expires={expires}"), &later),
        of_a.split("&signature=").next().unwrap().to_owned(),
        format!("{}0", &of_a[..of_a.len() - 1]),
        format!("{}1", &of_a[..of_a.len() - 1]),
    ] {
        if changed != *of_a {
            refused(&without_key(&app, &changed).await, 403, "AB03");
        }
    }
    app.pass(std::time::Duration::from_secs(3_570));
    assert_eq!(lines(&without_key(&app, of_a).await).len(), 1);
    app.pass(std::time::Duration::from_secs(30));
    refused(&without_key(&app, of_a).await, 403, "AB03");
    app.stop().await;
}

#[tokio::test]
async fn drafts_are_changed() {
    let app = start().await;
    let made = ok(&post(&app, MANAGER_A, PATH, &json!({"description": "x"})).await);
    let id = made["id"].as_str().unwrap();
    let path = format!("{PATH}/{id}");
    // As the Node SDK sends it.
    let change = json!({"exportId": id, "filters": {"provider": "acme", "page_size": 7}});
    let changed = ok(&put(&app, MANAGER_A, &path, &change).await);
    assert_eq!(changed["total"], 0);
    let shown = ok(&get(&app, MANAGER_A, &path).await);
    assert_eq!(
        (&shown["filters"], &shown["description"]),
        (&change["filters"], &json!("x"))
    );
    app.stop().await;
}

#[tokio::test]
async fn a_stream_is_as_long_as_the_logs() {
    let app = start().await;
    // More than one page of the store.
    let many: Vec<_> = (0..250).map(|n| custom(&format!("m-{n}"), 200)).collect();
    let mut inserted = insert(&app, &json!(many)).await;
    inserted.sort();
    let all = get(&app, MANAGER_A, "/v1/logs/export?requested_data=id").await;
    let all = lines(&all);
    let found = all.iter().map(|line| line["id"].as_str().unwrap());
    assert_eq!(found.collect::<Vec<_>>(), inserted);
    let one = get(&app, MANAGER_A, "/v1/logs/export?ai_model=m-17").await;
    let one = lines(&one);
    assert_eq!((one.len(), &one[0]["ai_model"]), (1, &json!("m-17")));
    assert_eq!(one[0]["request"]["prompt"], "What is AI?");
    assert!(lines(&get(&app, MANAGER_B, "/v1/logs/export").await).is_empty());

    let made = ok(&post(
        &app,
        MANAGER_A,
        PATH,
        &json!({"filters": {"page_size": 120}}),
    )
    .await);
    assert_eq!(made["total"], 120);
    let path = format!("{PATH}/{}", made["id"].as_str().unwrap());
    ok(&post(&app, MANAGER_A, &format!("{path}/start"), &Value::Null).await);
    let link = ok(&get(&app, MANAGER_A, &format!("{path}/download")).await);
    let file = without_key(&app, link["signed_url"].as_str().unwrap()).await;
    assert_eq!(lines(&file).len(), 120);
    app.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let app = start().await;
    for (body, param, words) in [
        (json!({"filters": []}), "filters", "an object"),
        (json!({"filters": {"cost_min": 1}}), "cost_min", "Unknown"),
        (
            json!({"filters": {"page_size": 50_001}}),
            "page_size",
            "50000",
        ),
        (json!({"filters": {"current_page": 1}}), "current_page", "0"),
        (
            json!({"requested_data": ["everything"]}),
            "requested_data",
            "'everything'",
        ),
        (json!({"filter": {}}), "filter", "'filters'"),
    ] {
        invalid(&post(&app, MANAGER_A, PATH, &body).await, param, words);
    }
    let stream = get(&app, MANAGER_A, "/v1/logs/export?requested_data=id,secrets").await;
    invalid(&stream, "requested_data", "'secrets'");
    for path in ["export_none", "x"] {
        refused(
            &get(&app, MANAGER_A, &format!("{PATH}/{path}")).await,
            404,
            "AB08",
        );
    }
    app.stop().await;
}
