//! `Idempotency-Key` on creations of the admin API.

use futures::future::join_all;
use reqwest::Method;
use serde_json::{Value, json};

use super::{CANARY, MANAGER_A, all_but_admin, get, logs::custom, ok, refused, start};
use crate::{
    app::{Answer, KEY_A, TestApp, client},
    database::kept_below,
    idempotency::assert_replay,
    program::{Program, run},
};

const SERVICE: &str = "/v1/api-keys/workspace/service";

async fn create(app: &TestApp, by: &str, key: &str, path: &str, body: &Value) -> Answer {
    let request = app.bare(Method::POST, path).json(body);
    let request = request.header("x-portkey-api-key", by);
    Answer::of(request.header("idempotency-key", key)).await
}

#[tokio::test]
async fn every_creation_takes_place_once() {
    let app = start().await;
    let named = json!({"name": "x"});
    let virtual_key = json!({"name": "x", "provider": "openai", "key": CANARY});
    let config = json!({"name": "x", "config": {"virtual_key": "echo"}});
    let export = json!({"description": "all"});
    let feedback =
        json!([{"trace_id": "trace-1", "value": 1}, {"trace_id": "trace-1", "value": 2}]);
    for (path, body, list) in [
        (SERVICE, &named, "/v1/api-keys"),
        ("/v1/virtual-keys", &virtual_key, "/v1/virtual-keys"),
        ("/v1/providers", &virtual_key, "/v1/providers"),
        ("/v1/configs", &config, "/v1/configs"),
        ("/v1/logs", &custom("m", 200), "/v1/logs"),
        ("/v1/logs/exports", &export, "/v1/logs/exports"),
        ("/v1/feedback", &feedback, "/v1/logs"),
    ] {
        let key = format!("of {path}").replace(' ', "");
        let first = create(&app, MANAGER_A, &key, path, body).await;
        assert_eq!(first.status, 200, "{path}: {}", first.text);
        let there = get(&app, MANAGER_A, list).await;
        let again = create(&app, MANAGER_A, &key, path, body).await;
        assert_replay(&again, &first);
        let now = get(&app, MANAGER_A, list).await;
        assert_eq!(ok(&now)["data"], ok(&there)["data"], "{path}");
        // Without the key, or under another, it creates.
        let other = create(&app, MANAGER_A, &format!("{key}-2"), path, body).await;
        assert_ne!(other.text, first.text, "{path}");
        assert!(!other.headers.contains_key("idempotent-replayed"));
    }
    let span = "time_of_generation_min=2020-01-01&time_of_generation_max=2999-01-01";
    let graph = format!("/v1/analytics/graphs/feedbacks?{span}");
    let given = ok(&get(&app, MANAGER_A, &graph).await)["summary"]["total"].clone();
    assert_eq!(given, 4, "two lists of two");
    app.stop().await;
}

#[tokio::test]
async fn a_secret_is_shown_to_whoever_made_it_and_to_nobody_else() {
    let app = start().await;
    let scopes = all_but_admin();
    let body = json!({"name": "second manager", "scopes": scopes});
    let first = create(&app, MANAGER_A, "k", SERVICE, &body).await;
    let second = ok(&first)["key"].as_str().unwrap().to_owned();
    assert_replay(&create(&app, MANAGER_A, "k", SERVICE, &body).await, &first);
    // Of the same workspace, with the same scopes, or with more of them.
    for other in [&*second, KEY_A] {
        let answer = create(&app, other, "k", SERVICE, &body).await;
        assert!(!answer.text.contains(&second), "{}", answer.text);
        let error = refused(&answer, 400, "AB01");
        assert!(error.message.contains("another API key"), "{error:?}");
        assert_eq!(error.param.as_deref(), Some("Idempotency-Key"));
        assert_eq!(error.code.as_deref(), Some("idempotency_key_reused"));
    }
    // A key of the other plane is the same key.
    let answer = create(&app, MANAGER_A, "k", "/v1/threads", &json!({})).await;
    answer.error(400);
    let long = create(&app, MANAGER_A, &"k".repeat(256), SERVICE, &body).await;
    let error = refused(&long, 400, "AB01");
    assert_eq!(error.code.as_deref(), Some("invalid_value"));
    app.stop().await;
}

#[tokio::test]
async fn a_rotation_takes_place_once() {
    let app = start().await;
    let made = create(&app, MANAGER_A, "make", SERVICE, &json!({"name": "x"})).await;
    let made = ok(&made);
    let rotate = format!("/v1/api-keys/{}/rotate", made["id"].as_str().unwrap());
    let body = json!({});
    let rotations = (0..8).map(|_| create(&app, MANAGER_A, "rotate", &rotate, &body));
    let answers = join_all(rotations).await;
    let is_replay = |answer: &&Answer| answer.headers.contains_key("idempotent-replayed");
    assert_eq!(answers.iter().filter(is_replay).count(), 7);
    for answer in &answers {
        assert_eq!(answer.text, answers[0].text);
    }
    // The first secret is the one that goes out, and the second one opens: nothing came between.
    let second = ok(&answers[0]);
    for secret in [&made["key"], &second["key"]] {
        let key = secret.as_str().unwrap();
        let answer = get(&app, key, "/v1/assistants").await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    app.stop().await;
}

#[tokio::test]
async fn a_refused_creation_leaves_nothing_behind() {
    let app = start().await;
    let path = "/v1/virtual-keys";
    let body = json!({"name": "x", "slug": "taken", "provider": "openai", "key": CANARY});
    ok(&create(&app, MANAGER_A, "first", path, &body).await);
    let taken = create(&app, MANAGER_A, "second", path, &body).await;
    refused(&taken, 409, "AB07");
    let free = json!({"name": "x", "slug": "free", "provider": "openai", "key": CANARY});
    ok(&create(&app, MANAGER_A, "second", path, &free).await);
    app.stop().await;
}

/// The secret of a key that was made under an idempotency key lies sealed in the database, and opens
/// as long as the master key is not lost.
#[tokio::test]
async fn a_stored_secret_is_sealed() {
    const ADMIN: &str = "lg-test-admin-0123456789abcdefghijkl";
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let config = format!("[[api_keys]]\nname = 'admin'\nkey = '{ADMIN}'\nscopes = ['admin']\n");
    let client = client(reqwest::Client::builder());
    let create = async |server: &Program| {
        let request = client
            .post(format!("{}{SERVICE}", server.url))
            .bearer_auth(ADMIN)
            .header("idempotency-key", "k")
            .json(&json!({"name": "x"}));
        Answer::of(request).await
    };
    let server = Program::start(folder, &config).await;
    let first = create(&server).await;
    let secret = ok(&first)["key"].as_str().unwrap().to_owned();
    server.stop().await;
    for (path, bytes) in kept_below(&folder.join("loomgate-data")) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(&secret[3..]), "{}", path.display());
    }

    let server = Program::start(folder, &config).await;
    assert_replay(&create(&server).await, &first);
    server.stop().await;

    let told = run(folder, &["secrets", "rotate"]).await;
    assert!(told.contains(", 0 runs, 1 answers\n"), "{told}");
    let server = Program::start(folder, &config).await;
    assert_replay(&create(&server).await, &first);
    server.stop().await;

    std::fs::remove_file(folder.join("loomgate-data/master-key")).unwrap();
    run(folder, &["secrets", "adopt"]).await;
    // It is nothing that the next rotation could save, and nothing that keeps it from its end.
    let told = run(folder, &["secrets", "rotate"]).await;
    assert!(told.contains(", 0 runs, 0 answers\n"), "{told}");
    let server = Program::start(folder, &config).await;
    let error = refused(&create(&server).await, 409, "AB07");
    assert_eq!(error.code.as_deref(), Some("answer_sealed"));
    assert!(error.message.contains("rotate it"), "{error:?}");
    server.stop().await;
}
