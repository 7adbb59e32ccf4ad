//! `loomgate secrets`: what is sealed stays readable through a rotation.

use std::{fs, path::Path};

use loomgate_testkit::upstream::{FakeUpstream, Reply};
use reqwest::Client;
use serde_json::{Value, json};

use crate::{
    app::client,
    program::{Program, fail, made_key, program, run},
};

const SECRET: &str = "sk-sealed-0123456789abcdef";

/// A virtual key `main` of the default workspace, at the scripted upstream. Returns an API key.
async fn prepare(folder: &Path, upstream: &FakeUpstream) -> String {
    let config = "[egress]\nallow = ['127.0.0.1']\n";
    fs::write(folder.join("loomgate.toml"), config).unwrap();
    let url = upstream.url();
    let output = program(folder)
        .args(["virtual-keys", "create", "--slug", "main", "--provider"])
        .args(["openai", "--base-url", &url, "--key-env", "PROVIDER_KEY"])
        .env("PROVIDER_KEY", SECRET)
        .current_dir(folder)
        .output()
        .await
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    made_key(&run(folder, &["keys", "create", "--name", "app"]).await)
}

async fn serve(folder: &Path) -> Program {
    let config = fs::read_to_string(folder.join("loomgate.toml")).unwrap();
    Program::start(folder, &config).await
}

/// The versions in the file of the master keys.
fn versions(folder: &Path) -> Vec<String> {
    let file = fs::read_to_string(folder.join("loomgate-data/master-key")).unwrap();
    let version = |line: &str| line.split_once(':').unwrap().0.to_owned();
    file.lines().map(version).collect()
}

/// A call through the virtual key `main`, which has to arrive with the secret.
async fn call(client: &Client, program: &Program, key: &str, upstream: &FakeUpstream) {
    upstream.push(Reply::status(
        200,
        json!({"object": "list", "data": []}),
        &[],
    ));
    let answer = client
        .get(format!("{}/v1/models", program.url))
        .bearer_auth(key)
        .header("x-portkey-virtual-key", "main")
        .send()
        .await
        .unwrap();
    let status = answer.status();
    assert_eq!(status, 200, "{}", answer.text().await.unwrap());
    let arrived = upstream.next_request().await;
    let bearer = format!("Bearer {SECRET}");
    assert_eq!(arrived.header("authorization"), Some(&*bearer));
}

#[tokio::test]
async fn what_is_sealed_opens_before_and_after_a_rotation() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let upstream = FakeUpstream::start().await;
    let client = client(Client::builder());
    let key = prepare(folder, &upstream).await;
    let server = serve(folder).await;
    call(&client, &server, &key, &upstream).await;
    let run_path = waiting_run(&client, &server, &key).await;

    // A server has the old keys in its memory.
    let (code, told) = fail(folder, &["secrets", "rotate"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("help: stop the "), "{told}");
    assert_eq!(versions(folder), ["1"]);
    server.stop().await;

    let told = run(folder, &["secrets", "rotate"]).await;
    let head = "master key: version 2\nsealed anew: 1 virtual keys, 1 runs, 0 answers\n";
    assert!(told.starts_with(head), "{told}");
    assert_eq!(versions(folder), ["2"]);

    let server = serve(folder).await;
    call(&client, &server, &key, &upstream).await;
    let run = finish(&client, &server, &key, &run_path).await;
    assert_eq!(run["status"], "completed", "{run}");
    server.stop().await;
}

#[tokio::test]
async fn a_rotation_that_was_killed_is_taken_up_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let upstream = FakeUpstream::start().await;
    let client = client(Client::builder());
    let key = prepare(folder, &upstream).await;
    // As it is when the process dies between the new key and the first record.
    let file = folder.join("loomgate-data/master-key");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, format!("{before}2:{}\n", "ab".repeat(32))).unwrap();
    let server = serve(folder).await;
    call(&client, &server, &key, &upstream).await;
    server.stop().await;
    let told = run(folder, &["secrets", "rotate"]).await;
    assert!(told.starts_with("master key: version 3\n"), "{told}");
    assert_eq!(versions(folder), ["3"]);
    let server = serve(folder).await;
    call(&client, &server, &key, &upstream).await;
    server.stop().await;
}

#[tokio::test]
async fn a_lost_master_key_is_told_and_the_others_stay() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let upstream = FakeUpstream::start().await;
    prepare(folder, &upstream).await;
    let file = folder.join("loomgate-data/master-key");
    fs::write(&file, format!("1:{}\n", "ab".repeat(32))).unwrap();
    let (code, told) = fail(folder, &["secrets", "rotate"]).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(
        told.contains("the virtual key `main` of ws_default can not be opened"),
        "{told}"
    );
    assert_eq!(versions(folder), ["1", "2"]);
}

#[tokio::test]
async fn keys_of_the_environment_are_changed_there() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (one, two) = ("1a".repeat(32), "2b".repeat(32));
    let with = async |keys: &str, arguments: &[&str]| {
        let mut command = program(folder);
        command.args(arguments).current_dir(folder);
        command
            .env("LOOMGATE_MASTER_KEY", keys)
            .env("PROVIDER_KEY", SECRET);
        let output = command.output().await.unwrap();
        let told = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8(told).unwrap())
    };
    let create = ["virtual-keys", "create", "--slug", "main", "--provider"];
    let create = [&create[..], &["openai", "--key-env", "PROVIDER_KEY"]].concat();
    let (code, told) = with(&one, &create).await;
    assert_eq!(code, Some(0), "{told}");
    let (code, told) = with(&one, &["secrets", "rotate"]).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("1:OLD,2:NEW"), "{told}");
    let (code, told) = with(&format!("1:{one},2:{two}"), &["secrets", "reseal"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("sealed anew: 1 virtual keys, 0 runs, 0 answers"),
        "{told}"
    );
    // The old one is not needed any more.
    let (code, told) = with(&format!("2:{two}"), &["secrets", "reseal"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(
        told.contains("sealed anew: 0 virtual keys, 0 runs, 0 answers"),
        "{told}"
    );
    assert!(!folder.join("loomgate-data/master-key").exists());
}

/// A run that came with a config of its own, which is kept sealed, and waits for a tool.
async fn waiting_run(client: &Client, server: &Program, key: &str) -> String {
    let function = json!({"type": "function", "function": {"name": "f"}});
    let assistant = json!({"model": "echo", "tools": [function]});
    let assistant = post(client, server, key, "/v1/assistants", &assistant).await;
    let message = json!({"role": "user", "content": "/echo call f {}"});
    let body = json!({
        "assistant_id": assistant["id"],
        "thread": {"messages": [message]},
    });
    let created = post(client, server, key, "/v1/threads/runs", &body).await;
    let path = format!(
        "/v1/threads/{}/runs/{}",
        created["thread_id"].as_str().unwrap(),
        created["id"].as_str().unwrap()
    );
    let run = settled(client, server, key, &path).await;
    assert_eq!(run["status"], "requires_action", "{run}");
    path
}

/// Gives the waiting run what it waits for.
async fn finish(client: &Client, server: &Program, key: &str, path: &str) -> Value {
    let run = settled(client, server, key, path).await;
    let calls = &run["required_action"]["submit_tool_outputs"]["tool_calls"];
    let outputs = json!([{"tool_call_id": calls[0]["id"], "output": "done"}]);
    let body = json!({"tool_outputs": outputs});
    let outputs_path = format!("{path}/submit_tool_outputs");
    post(client, server, key, &outputs_path, &body).await;
    settled(client, server, key, path).await
}

/// Polls a run until nobody but its owner can bring it forward.
async fn settled(client: &Client, server: &Program, key: &str, path: &str) -> Value {
    loop {
        let request = client.get(format!("{}{path}", server.url)).bearer_auth(key);
        let run: Value = request.send().await.unwrap().json().await.unwrap();
        let status = run["status"].as_str().unwrap();
        if !["queued", "in_progress"].contains(&status) {
            return run;
        }
        tokio::task::yield_now().await;
    }
}

async fn post(client: &Client, server: &Program, key: &str, path: &str, body: &Value) -> Value {
    let request = client
        .post(format!("{}{path}", server.url))
        .bearer_auth(key);
    let config = json!({"virtual_key": "echo"}).to_string();
    let request = request.header("x-portkey-config", config).json(body);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let body = answer.json().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {body}");
    body
}

#[tokio::test]
async fn other_keys_than_the_databases_are_refused_until_they_are_adopted() {
    let folder = tempfile::tempdir().unwrap();
    let create = ["keys", "create", "--name", "app"];
    run(folder.path(), &create).await;
    let data = folder.path().join("loomgate-data");
    fs::remove_file(data.join("hash-key")).unwrap();
    let (code, told) = fail(folder.path(), &create).await;
    assert_eq!(code, Some(1), "{told}");
    let start =
        "error: the database was written with another hash key than this process has\nhelp: ";
    assert!(told.starts_with(start), "{told}");
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let (code, told) = fail(folder.path(), &serve).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("another hash key"), "{told}");

    let adopted = run(folder.path(), &["secrets", "adopt"]).await;
    assert!(adopted.contains("are the database's now"), "{adopted}");
    run(folder.path(), &create).await;
    // The same for the master key.
    fs::remove_file(data.join("master-key")).unwrap();
    let (code, told) = fail(folder.path(), &serve).await;
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("another master key"), "{told}");
}
