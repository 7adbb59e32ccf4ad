//! Secrets stay where they are: not in the database, the logs, the metrics or an error (T3, T4).

use crate::{
    app::{Answer, TestApp, UPSTREAM_KEY, client},
    database::kept_below,
    program::{Program, made_key, run},
};
use reqwest::Method;
use serde_json::json;

#[tokio::test]
async fn a_secret_is_in_no_file_log_or_answer() {
    const KEY: &str = "lg-canary-key-0123456789abcdefghij";
    const PROVIDER_KEY: &str = "sk-canary-provider-0123456789";
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "[[api_keys]]\nname = 'a'\nkey = '{KEY}'\n[virtual_keys.main]\nprovider = 'openai'\n\
         base_url = 'http://127.0.0.1:9/v1'\napi_key = '{PROVIDER_KEY}'\n[gateway]\nretries = 0\n"
    );
    let program = Program::start(folder.path(), &config).await;
    let client = client(reqwest::Client::builder());
    let mut answers = String::new();
    for (path, key) in [
        ("/v1/models", KEY),
        ("/v1/assistants", KEY),
        ("/v1/nowhere", KEY),
        ("/metrics", KEY),
        // Wrong only at the end: what is logged of it would be most of the right one.
        ("/v1/assistants", "lg-canary-key-0123456789abcdefghiX"),
    ] {
        let request = client
            .get(format!("{}{path}", program.url))
            .bearer_auth(key);
        answers.push_str(&request.send().await.unwrap().text().await.unwrap());
    }
    let printed = program.printed.clone();
    let log = program.stop().await;
    assert!(log.contains("route=\"relay\""), "{log}");
    for (place, text) in [("answers", &answers), ("log", &log), ("stdout", &printed)] {
        assert!(!text.contains("canary-key"), "{place}: {text}");
        assert!(!text.contains("canary-provider"), "{place}: {text}");
    }
    for (path, bytes) in kept_below(&folder.path().join("loomgate-data")) {
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains("canary"), "{}", path.display());
    }
}

#[tokio::test]
async fn the_first_key_is_printed_once_and_stored_as_a_hash() {
    let folder = tempfile::tempdir().unwrap();
    let first = Program::start(folder.path(), "").await;
    let key = made_key(&first.printed);
    assert_eq!(key.len(), 43, "{key}");
    let log = first.stop().await;
    assert!(!log.contains(&key), "{log}");
    let data = folder.path().join("loomgate-data");
    for (path, bytes) in kept_below(&data) {
        let holds_key = String::from_utf8_lossy(&bytes).contains(&key);
        assert_eq!(holds_key, path.ends_with("api-key"), "{}", path.display());
    }

    let second = Program::start(folder.path(), "").await;
    assert!(!second.printed.contains(&key), "{}", second.printed);
    assert!(
        second.printed.contains("The API key is kept in "),
        "{}",
        second.printed
    );
    let client = client(reqwest::Client::builder());
    let with = async |key: &str| {
        let request = client
            .get(format!("{}/v1/models", second.url))
            .bearer_auth(key);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(with(&key).await, 200);
    // A hash from the database is no key.
    let hash_key = std::fs::read_to_string(data.join("hash-key")).unwrap();
    assert_eq!(with(hash_key.trim()).await, 401);

    // Keys are made and revoked beside the running server.
    let made = run(folder.path(), &["keys", "create", "--name", "other"]).await;
    let other = made_key(&made);
    assert_eq!(with(&other).await, 200);
    let listed = run(folder.path(), &["keys", "list"]).await;
    assert!(listed.contains("other"), "{listed}");
    assert!(
        !listed.contains(&other) && !listed.contains(&key),
        "{listed}"
    );
    let made = run(folder.path(), &["keys", "create", "--name", "third"]).await;
    let third = made_key(&made);
    let told = run(folder.path(), &["keys", "revoke", "third"]).await;
    assert!(told.ends_with("(third) is revoked.\n"), "{told}");
    assert_eq!(with(&third).await, 401);
    second.stop().await;
}

#[tokio::test]
async fn a_provider_that_fails_shows_neither_key_nor_header() {
    let app = TestApp::start().await;
    let refusal = json!({"error": {"message": format!("key {UPSTREAM_KEY} is wrong")}});
    let reply = loomgate_testkit::upstream::Reply::status(
        401,
        refusal,
        &[("x-internal", "of the provider")],
    );
    app.upstream.push(reply);
    let request = app
        .request(Method::GET, "/v1/models")
        .header("x-portkey-virtual-key", "scripted");
    let answer = Answer::of(request).await;
    // A relayed refusal is the provider's own, but for the key that is not the caller's.
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["error"]["message"], "key [key] is wrong");
    assert_eq!(answer.header("x-internal"), "of the provider");
    app.stop().await;
}
