//! `loomgate copy`: a server goes on with the other database as if nothing had been.

use std::{collections::BTreeMap, fs, os::unix::process::ExitStatusExt as _, path::Path};

use loomgate_testkit::postgres::Database;
use reqwest::Client;
use serde_json::{Value, json};

use crate::{
    app::client,
    process::text,
    program::{Program, fail, made_key, program, run},
};

/// A client of a server, with an API key that is kept in its database.
struct Caller<'s> {
    server: &'s Program,
    key: &'s str,
    client: Client,
}

impl<'s> Caller<'s> {
    fn new(server: &'s Program, key: &'s str) -> Self {
        let client = client(Client::builder());
        Self {
            server,
            key,
            client,
        }
    }

    async fn post(&self, path: &str, body: Value) -> Value {
        let url = format!("{}/v1{path}", self.server.url);
        let answer = self.client.post(url).bearer_auth(self.key).json(&body);
        let answer = answer.send().await.unwrap().error_for_status().unwrap();
        answer.json().await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let url = format!("{}/v1{path}", self.server.url);
        let answer = self.client.get(url).bearer_auth(self.key).send().await;
        let answer = answer.unwrap().error_for_status().unwrap();
        answer.json().await.unwrap()
    }
}

/// Copies; `env:THERE` stands for a database. Returns what is printed, and the progress.
async fn copy(folder: &Path, from: &str, to: &str, database: &Database) -> (String, String) {
    let output = program(folder)
        .args(["copy", "--from", from, "--to", to])
        .env("THERE", database.url())
        .output()
        .await
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    (String::from_utf8(output.stdout).unwrap(), said)
}

fn password(database: &Database) -> &str {
    let (user, _) = database.url().split_once('@').unwrap();
    user.rsplit_once(':').unwrap().1
}

#[tokio::test]
async fn a_server_goes_on_with_the_other_database_and_back() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (first.path(), second.path());
    let database = Database::new();
    let made = ["keys", "create", "--name", "app", "--database", "sqlite"];
    let key = made_key(&run(first, &made).await);

    let server = Program::on("sqlite", first).await;
    let caller = Caller::new(&server, &key);
    let hello = json!({"role": "user", "content": "Hello."});
    let thread = caller.post("/threads", json!({"messages": [hello]})).await;
    let messages = format!("/threads/{}/messages", text(&thread, "id"));
    for word in ["one", "two"] {
        let message = json!({"role": "user", "content": word});
        caller.post(&messages, message).await;
    }
    let before = caller.get(&messages).await;
    server.stop().await;

    let (told, said) = copy(first, "sqlite:loomgate-data", "env:THERE", &database).await;
    let row = |table: &str| {
        let line = told.lines().find(|line| line.starts_with(table));
        let line = line.unwrap_or_else(|| panic!("{told}"));
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(row("messages ")[1..3], ["3", "rows"]);
    assert_eq!(row("messages ")[3].len(), 64);
    assert!(
        told.contains("Everything is copied, and the same on both sides."),
        "{told}"
    );
    assert!(said.contains("copying messages: 0 of 3\n"), "{said}");
    assert!(said.contains("comparing messages: 0 of 3\n"), "{said}");
    assert!(!told.contains(password(&database)) && !said.contains(password(&database)));

    let server = Program::on(database.url(), first).await;
    let caller = Caller::new(&server, &key);
    assert_eq!(caller.get(&messages).await, before);
    let three = json!({"role": "user", "content": "three"});
    caller.post(&messages, three).await;
    let before = caller.get(&messages).await;
    let words = before["data"].as_array().unwrap().iter();
    let words: Vec<_> = words
        .map(|it| text(&it["content"][0]["text"], "value"))
        .collect();
    assert_eq!(
        words,
        ["three", "two", "one", "Hello."],
        "the new one is the newest"
    );
    server.stop().await;

    copy(second, "env:THERE", "sqlite:loomgate-data", &database).await;
    for file in ["hash-key", "master-key"] {
        let kept = first.join("loomgate-data").join(file);
        fs::copy(kept, second.join("loomgate-data").join(file)).unwrap();
    }
    let server = Program::on("sqlite", second).await;
    assert_eq!(Caller::new(&server, &key).get(&messages).await, before);
    server.stop().await;
}

/// A copy from the database into a file, which is aborted in the middle by the plan of a debug build.
#[tokio::test]
async fn a_copy_back_into_files_goes_on_where_it_was_aborted() {
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (first, second) = (first.path(), second.path());
    let database = Database::new();
    let made = [
        "keys",
        "create",
        "--name",
        "app",
        "--database",
        database.url(),
    ];
    let key = made_key(&run(first, &made).await);
    let server = Program::on(database.url(), first).await;
    let caller = Caller::new(&server, &key);
    let hello = json!({"role": "user", "content": "Hello."});
    let thread = caller.post("/threads", json!({"messages": [hello]})).await;
    let messages = format!("/threads/{}/messages", text(&thread, "id"));
    let before = caller.get(&messages).await;
    server.stop().await;

    // What is written in an undisturbed one says where another can be aborted.
    let copying = |to: &str| {
        let mut command = program(second);
        command.args(["copy", "--from", "env:THERE", "--to", to]);
        command.env("THERE", database.url());
        command
    };
    let mut whole = copying("sqlite:whole");
    let trace = second.join("trace");
    let whole = whole.env("LOOMGATE_FAILPOINT_TRACE", &trace).output().await;
    let whole = whole.unwrap();
    assert!(whole.status.success(), "{whole:?}");
    let mut written = BTreeMap::new();
    for line in fs::read_to_string(&trace).unwrap().lines() {
        if let Some(name) = line.strip_prefix("1 ").filter(|it| it.contains("::copy<")) {
            *written.entry(name.to_owned()).or_insert(0) += 1;
        }
    }
    let (name, times) = written.into_iter().max_by_key(|it| it.1).unwrap();
    assert!(times >= 4, "{name}: {times}");

    let here = "sqlite:loomgate-data";
    let mut aborted = copying(here);
    aborted.env("LOOMGATE_FAILPOINT", format!("after {} {name}", times / 2));
    let aborted = aborted.output().await.unwrap();
    assert_eq!(aborted.status.signal(), Some(6), "{aborted:?}");
    let serve = ["serve", "--listen", "127.0.0.1:0", "--database", "sqlite"];
    let (code, said) = fail(second, &serve).await;
    assert_eq!(code, Some(1));
    assert!(said.contains("a part of a copy only"), "{said}");

    let (told, said) = copy(second, "env:THERE", here, &database).await;
    assert_eq!(told.as_bytes(), whole.stdout, "{said}");
    // What was over is not copied again.
    let from_nothing = String::from_utf8(whole.stderr).unwrap();
    for (said, rows) in [(&from_nothing, 0), (&said, 1)] {
        let line = format!("copying workspaces: {rows} of 1\n");
        assert!(said.contains(&line), "{said}");
    }
    for file in ["hash-key", "master-key"] {
        let kept = first.join("loomgate-data").join(file);
        fs::copy(kept, second.join("loomgate-data").join(file)).unwrap();
    }
    let server = Program::on("sqlite", second).await;
    assert_eq!(Caller::new(&server, &key).get(&messages).await, before);
    server.stop().await;
}

#[tokio::test]
async fn copies_that_make_no_sense_are_not_begun() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (empty, filled) = (Database::new(), Database::new());
    let key = ["keys", "create", "--name", "app", "--database"];
    run(folder, &[&key[..], &["sqlite"]].concat()).await;
    run(folder, &[&key[..], &[filled.url()]].concat()).await;
    let here = "sqlite:loomgate-data";
    for (from, to, code, error, help) in [
        ("mysql://u:hush@h/d", here, 2, "--from: ", "sqlite:FOLDER"),
        (
            here,
            "env:NOBODY",
            2,
            "--to: the environment variable NOBODY is not set",
            "sqlite:FOLDER",
        ),
        (
            here,
            here,
            2,
            "--from and --to are the same: sqlite:",
            "sqlite:FOLDER",
        ),
        (
            "sqlite:none",
            empty.url(),
            1,
            "there is nothing of Loomgate's in sqlite:none",
            "sqlite:FOLDER",
        ),
        (
            empty.url(),
            "sqlite:new",
            1,
            "there is nothing of Loomgate's in postgres://",
            "sqlite:FOLDER",
        ),
        (
            here,
            filled.url(),
            1,
            "the target is not empty: there are rows in ",
            "choose an empty one",
        ),
        (
            here,
            "postgres://u:hush@127.0.0.1:1/d",
            1,
            "cannot connect to the database u@127.0.0.1:1/d",
            "start it again",
        ),
    ] {
        let (was, said) = fail(folder, &["copy", "--from", from, "--to", to]).await;
        assert_eq!(was, Some(code), "{said}");
        assert!(said.starts_with(&format!("error: {error}")), "{said}");
        assert!(said.contains(&format!("\nhelp: {help}")), "{said}");
        assert!(
            !said.contains("hush") && !said.contains(password(&empty)),
            "{said}"
        );
    }
    assert!(!folder.join("none").exists());

    let server = Program::on("sqlite", folder).await;
    let (was, said) = fail(folder, &["copy", "--from", here, "--to", empty.url()]).await;
    assert_eq!(was, Some(1));
    assert!(
        said.contains("\nhelp: nobody may change either side meanwhile"),
        "{said}"
    );
    server.stop().await;

    fs::remove_file(folder.join("loomgate-data/logs.db")).unwrap();
    let (was, said) = fail(folder, &["copy", "--from", here, "--to", empty.url()]).await;
    assert_eq!(was, Some(1));
    assert!(
        said.contains("\nhelp: run `loomgate migrate` on the source first"),
        "{said}"
    );
    run(folder, &["migrate", "--database", "sqlite"]).await;
    copy(folder, here, "env:THERE", &empty).await;
}

#[tokio::test]
async fn a_server_refuses_a_part_of_a_copy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let database = Database::new();
    let key = ["keys", "create", "--name", "app", "--database", "sqlite"];
    run(folder, &key).await;
    run(folder, &["migrate", "--database", database.url()]).await;
    database.execute("ALTER TABLE api_keys ADD CHECK (name <> 'app')");
    let here = "sqlite:loomgate-data";
    let (code, _) = fail(folder, &["copy", "--from", here, "--to", database.url()]).await;
    assert_eq!(code, Some(1));
    let serve = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--database",
        database.url(),
    ];
    let (code, said) = fail(folder, &serve).await;
    assert_eq!(code, Some(1));
    let expected = "error: the database holds a part of a copy only\nhelp: give the same `loomgate copy` again";
    assert!(said.contains(expected), "{said}");

    database.execute("ALTER TABLE api_keys DROP CONSTRAINT api_keys_name_check");
    copy(folder, here, "env:THERE", &database).await;
    let listed = run(folder, &["keys", "list", "--database", database.url()]).await;
    assert!(listed.contains(" app "), "{listed}");
}
