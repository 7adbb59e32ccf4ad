//! `show` and `update` of keys and virtual keys.

use std::path::Path;

use reqwest::Client;
use serde_json::{Value, json};

use super::virtual_keys::with_secret;
use crate::{
    app::client,
    program::{Program, fail, made_key, program, run},
};

const CONFIG: &str = "[virtual_keys.fixed]\nprovider = 'echo'\n\
    [[api_keys]]\nname = 'fixed'\nkey = 'lg-made-up-key-of-the-config'\n";

async fn object(folder: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&run(folder, arguments).await).unwrap()
}

#[tokio::test]
async fn a_virtual_key_is_changed_field_by_field() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("loomgate.toml"), CONFIG).unwrap();
    let create = ["--slug", "x", "--provider", "openai", "--key-env"];
    let create = [&["virtual-keys", "create"], &create[..], &["PROVIDER_KEY"]].concat();
    with_secret(folder, &create, None).await;
    let made = object(folder, &["virtual-keys", "show", "x"]).await;
    assert_eq!(made["masked_api_key"], "sk-****wxyz");

    let change = r#"{"name":"Team X","model_aliases":{"gpt-4":"gpt-4o"},"concurrency":3,
        "usage_limits":{"type":"cost","credit_limit":5},"expires_at":"2099-01-31T12:00:00Z"}"#;
    let mut expected = made;
    expected["name"] = json!("Team X");
    expected["model_aliases"] = json!({"gpt-4": "gpt-4o"});
    expected["concurrency"] = json!(3);
    expected["expires_at"] = json!("2099-01-31T12:00:00Z");
    let mut changed = object(folder, &["virtual-keys", "update", "x", change]).await;
    assert_eq!(
        changed,
        object(folder, &["virtual-keys", "show", "x"]).await
    );
    assert_eq!(changed["usage"]["limit"], 5.0);
    for volatile in ["last_updated_at", "usage", "usage_limits"] {
        expected[volatile] = changed[volatile].take();
        changed[volatile] = expected[volatile].clone();
    }
    assert_eq!(changed, expected);
    let back = r#"{"usage_limits":null,"expires_at":null}"#;
    let back = object(folder, &["virtual-keys", "update", "x", back]).await;
    assert_eq!([&back["usage"], &back["expires_at"]], [&Value::Null; 2]);

    // With another key, which no argument may hold.
    let moved = r#"{"key":"sk-canary-another-0123456789","base_url":"https://example.com/v1"}"#;
    let update = ["virtual-keys", "update", "x", "-"];
    let told = with_secret(folder, &update, Some(moved)).await;
    assert!(
        told.contains("\"masked_api_key\": \"sk-****6789\""),
        "{told}"
    );
    for (change, error) in [
        (moved, "others on this machine can see a `key`"),
        (r#"{"base_url":"https://x.example/v1"}"#, "needs 'key' too"),
        (r#"{"base_ulr":"https://x.example/v1"}"#, "base_url"),
        (r#"{"concurrency":0}"#, "concurrency"),
        ("{", "the change is no JSON"),
        ("[]", "an object"),
    ] {
        let (code, told) = fail(folder, &["virtual-keys", "update", "x", change]).await;
        assert_eq!(code, Some(2), "{change}: {told}");
        assert!(told.contains(error), "{change}: {told}");
        assert!(told.contains("\nhelp: "), "{change}: {told}");
    }
    let inside = r#"{"key":"sk-another-0123456789","base_url":"http://127.0.0.1:1/v1"}"#;
    let mut update = program(folder);
    let told = with_input(update.args(["virtual-keys", "update", "x", "-"]), inside).await;
    assert!(told.contains("the address can not be called"), "{told}");
}

/// What a command that fails says when it is given this.
async fn with_input(command: &mut tokio::process::Command, input: &str) -> String {
    use tokio::io::AsyncWriteExt as _;
    let piped = std::process::Stdio::piped;
    let mut child = command.stdin(piped()).stderr(piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!(output.status.code(), Some(2));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn a_key_is_changed_and_its_budget_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let create = ["keys", "create", "--name", "app", "--budget", "tokens:5"];
    let key = made_key(&run(folder, &create).await);
    let client = client(Client::builder());
    let spend = async || {
        let program = Program::start(folder, CONFIG).await;
        let chat =
            json!({"model": "echo", "messages": [{"role": "user", "content": "a b c d e f"}]});
        let call = client.post(format!("{}/v1/chat/completions", program.url));
        let answer = call.bearer_auth(&key).json(&chat).send().await.unwrap();
        let status = answer.status().as_u16();
        program.stop().await;
        status
    };
    assert_eq!([spend().await, spend().await], [200, 412]);
    let shown = object(folder, &["keys", "show", "app"]).await;
    assert_eq!(shown["status"], "exhausted");
    assert!(shown["usage"]["used"].as_i64() > Some(5), "{shown}");

    let change = r#"{"reset_usage":true,"scopes":["completions.write"]}"#;
    let changed = object(folder, &["keys", "update", "app", change]).await;
    assert_eq!(changed["status"], "active");
    assert_eq!(changed["usage"]["used"], 0);
    assert_eq!(changed["scopes"], json!(["completions.write"]));
    assert_eq!(changed, object(folder, &["keys", "show", "app"]).await);
    assert_eq!([spend().await, spend().await], [200, 412]);
}

#[tokio::test]
async fn what_a_key_can_not_become_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("loomgate.toml"), CONFIG).unwrap();
    run(folder, &["keys", "create", "--name", "app"]).await;
    run(folder, &["keys", "create", "--name", "gone"]).await;
    run(folder, &["keys", "revoke", "gone"]).await;
    for (key, change, code, error) in [
        ("app", r#"{"scopes":["logs.viw"]}"#, 2, "logs.view"),
        (
            "app",
            r#"{"defaults":{"virtual_key":"no"}}"#,
            2,
            "there is no virtual key `no`",
        ),
        (
            "app",
            r#"{"defaults":{"config_id":"no"}}"#,
            2,
            "there is no config `no`",
        ),
        ("app", r#"{"scopes":["admin"]}"#, 2, "organisation"),
        ("gone", "{}", 1, "was revoked before"),
        ("nobody", "{}", 1, "there is no key `nobody`"),
        ("fixed", "{}", 2, "stands in the configuration"),
    ] {
        let (got, told) = fail(folder, &["keys", "update", key, change]).await;
        assert_eq!(got, Some(code), "{change}: {told}");
        assert!(told.contains(error), "{change}: {told}");
        assert!(told.contains("\nhelp: "), "{change}: {told}");
    }
    // What stands in the configuration is shown all the same, without its secret.
    let key = object(folder, &["keys", "show", "fixed"]).await;
    assert_eq!(
        [&key["id"], &key["read_only"]],
        [&json!("key_config_fixed"), &json!(true)]
    );
    assert_eq!(key["key"], Value::Null);
    let key = object(folder, &["virtual-keys", "show", "fixed"]).await;
    assert_eq!(
        [&key["slug"], &key["read_only"]],
        [&json!("fixed"), &json!(true)]
    );
}
