//! A disk without room, or one that takes no writes, under the program: a file system of its own, in
//! memory.

use std::{io::Write as _, path::Path};

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::{Value, json};
use tokio::process::Command;

use crate::{
    app::client,
    files::with_form,
    process::text,
    program::{PROGRAM, Program, at_home},
};

const KEY: &str = "lg-full-disk-0000000000000000000000000000";
const CONFIG: &str = "data_dir = 'disk'\nfiles_download = 'all'\n[worker]\nlease_s = 1\n\
    [[api_keys]]\nname = 'a'\nkey = 'lg-full-disk-0000000000000000000000000000'\n";
/// Of a file.
const BYTES: usize = 1 << 20;
/// Makes the disk, with something on it that can be removed, and becomes the program.
const SCRIPT: &str = "mount -t tmpfs -o size=40m tmpfs disk && \
    head -c 20M /dev/zero > disk/ballast && exec \"$@\"";
/// Part of a message: more than what a log of SQLite may have room for yet.
const CHARACTERS: usize = 100_000;

/// Whether this machine lets its users have file systems of their own; some containers do not. What
/// this says is shown although the test passes (`.config/nextest.toml`).
async fn may_mount(folder: &Path) -> bool {
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--mount",
        "--map-root-user",
        "mount",
        "-t",
        "tmpfs",
        "tmpfs",
    ]);
    let tried = unshare.arg(folder).status().await;
    let may = tried.is_ok_and(|status| status.success());
    if !may {
        eprintln!("SKIPPED: nobody may mount anything on this machine, so no disk is full");
    }
    may
}

/// A command that runs a script where it may mount, which gets the program as `$1`. The records are in a
/// file, whatever other tests use.
fn confined(folder: &Path, script: &str) -> Command {
    std::fs::create_dir_all(folder.join("disk")).unwrap();
    std::fs::write(folder.join("loomgate.toml"), CONFIG).unwrap();
    let mut unshare = Command::new("unshare");
    let arguments = ["--mount", "--map-root-user", "sh", "-c", script, "sh"];
    unshare.args(arguments).arg(PROGRAM);
    let mut command = at_home(unshare, folder);
    command.env("LOOMGATE_DATABASE", "sqlite");
    command
}

/// The program, with a data folder that only it sees.
async fn start(folder: &Path) -> Program {
    Program::of(confined(folder, SCRIPT), folder).await
}

/// The disk of a program, from outside.
fn disk(program: &Program, folder: &Path) -> String {
    format!("/proc/{}/root{}/disk", program.id(), folder.display())
}

/// What a file holds.
fn bytes(number: u8) -> Vec<u8> {
    vec![number; BYTES]
}

async fn answered(request: RequestBuilder) -> (StatusCode, Value) {
    let answer = request.bearer_auth(KEY).send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn upload(client: &Client, program: &Program, number: u8) -> (StatusCode, Value) {
    let bytes = bytes(number);
    let parts: [(_, _, &[u8]); 2] = [
        ("purpose", None, b"user_data"),
        ("file", Some("it.bin"), &bytes),
    ];
    let request = client.post(format!("{}/v1/files", program.url));
    answered(with_form(request, &parts)).await
}

#[tokio::test]
async fn a_full_disk_refuses_files_and_loses_none() {
    let folder = tempfile::tempdir().unwrap();
    if !may_mount(folder.path()).await {
        return;
    }
    let program = start(folder.path()).await;
    let client = client(Client::builder());
    let mut kept = Vec::new();
    let refused = loop {
        let number = u8::try_from(kept.len()).unwrap();
        let (status, answer) = upload(&client, &program, number).await;
        if status != StatusCode::OK {
            assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
            break answer;
        }
        kept.push(answer["id"].as_str().unwrap().to_owned());
    };
    assert_eq!(refused["error"]["code"], "storage_full", "{refused}");
    assert!((8..20).contains(&kept.len()), "{}", kept.len());

    // Nothing of it is there, and all that was there before.
    let all = async || {
        let list = client.get(format!("{}/v1/files?order=asc", program.url));
        let (_, list) = answered(list).await;
        let ids = list["data"].as_array().unwrap().iter();
        ids.map(|file| file["id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(all().await, kept);
    for (number, id) in (0..).zip(&kept) {
        let content = client.get(format!("{}/v1/files/{id}/content", program.url));
        let content = content.bearer_auth(KEY).send().await.unwrap();
        assert!(content.bytes().await.unwrap() == bytes(number), "{number}");
    }

    // Room is made, and it goes on.
    std::fs::remove_file(disk(&program, folder.path()) + "/ballast").unwrap();
    let (status, answer) = upload(&client, &program, 0).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    kept.push(answer["id"].as_str().unwrap().to_owned());
    assert_eq!(all().await, kept);
    let log = program.stop().await;
    assert!(log.contains("full"), "{log}");
}

/// A client of a program with a disk of its own.
struct Caller<'p> {
    program: &'p Program,
    client: Client,
}

impl Caller<'_> {
    /// Creates something, once for each number. What was answered, and whether that was from before.
    async fn create(&self, path: &str, number: usize, body: &Value) -> (StatusCode, Value, bool) {
        let request = self.client.post(format!("{}/v1{path}", self.program.url));
        let request = request.header("idempotency-key", format!("{path}-{number}"));
        let answer = request.bearer_auth(KEY).json(body).send().await.unwrap();
        let is_replay = answer.headers().contains_key("idempotent-replayed");
        (answer.status(), answer.json().await.unwrap(), is_replay)
    }

    async fn made(&self, path: &str, number: usize, body: &Value) -> Value {
        let (status, answer, is_replay) = self.create(path, number, body).await;
        assert_eq!(status, StatusCode::OK, "{path}: {answer}");
        assert!(!is_replay, "{path}: of a creation that was refused");
        answer
    }

    /// Creates until there is no room. Returns what was created.
    async fn until_refused(&self, path: impl Fn(usize) -> String, body: &Value) -> Vec<Value> {
        let mut kept = Vec::new();
        loop {
            let number = kept.len();
            let (status, answer, _) = self.create(&path(number), number, body).await;
            if status != StatusCode::OK {
                assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{answer}");
                assert_eq!(answer["error"]["code"], "storage_full", "{answer}");
                return kept;
            }
            kept.push(answer);
        }
    }

    async fn ids(&self, path: &str) -> Vec<String> {
        let list = format!("{}/v1{path}?order=asc&limit=100", self.program.url);
        let (status, list) = answered(self.client.get(list)).await;
        assert_eq!(status, StatusCode::OK, "{list}");
        let items = list["data"].as_array().unwrap().iter();
        items.map(|item| text(item, "id")).collect()
    }

    /// How a run ends.
    async fn ended(&self, run: &Value) -> Value {
        let (thread, id) = (text(run, "thread_id"), text(run, "id"));
        let path = format!("{}/v1/threads/{thread}/runs/{id}", self.program.url);
        loop {
            let (_, run) = answered(self.client.get(&path)).await;
            if !["queued", "in_progress"].contains(&&*text(&run, "status")) {
                return run;
            }
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_records_and_keeps_no_half_of_any() {
    let folder = tempfile::tempdir().unwrap();
    if !may_mount(folder.path()).await {
        return;
    }
    let program = start(folder.path()).await;
    let client = client(Client::builder());
    let caller = Caller {
        program: &program,
        client,
    };
    let assistant = json!({"model": "echo"});
    let assistant = caller.made("/assistants", 0, &assistant).await;
    let mut threads = Vec::new();
    for number in 0..40 {
        let thread = caller.made("/threads", number, &json!({})).await;
        threads.push(text(&thread, "id"));
    }
    let disk = disk(&program, folder.path());
    let mut filler = std::fs::File::create(format!("{disk}/filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}

    let long = |times: usize| json!({"role": "user", "content": "x".repeat(times * CHARACTERS)});
    let messages = |thread: usize| format!("/threads/{}/messages", threads[thread]);
    let (message, thread) = (long(1), json!({"messages": [long(1), long(1)]}));
    let run = json!({
        "assistant_id": assistant["id"], "model": "echo",
        "additional_messages": [long(2), long(1)],
    });
    let runs = |number: usize| format!("/threads/{}/runs", threads[1 + number]);
    let kept = caller.until_refused(|_| messages(0), &message).await;
    let and_threads = caller
        .until_refused(|_| "/threads".to_owned() + "?", &thread)
        .await;
    let begun = caller.until_refused(runs, &run).await;

    // What was answered is there, and nothing of the rest.
    let ids: Vec<_> = kept.iter().map(|it| text(it, "id")).collect();
    assert_eq!(caller.ids(&messages(0)).await, ids);
    let refused = begun.len();
    assert!(caller.ids(&runs(refused)).await.is_empty());
    assert!(caller.ids(&messages(1 + refused)).await.is_empty());

    // Room is made, and what was refused is created, also what was taken up ends as it should.
    std::fs::remove_file(format!("{disk}/ballast")).unwrap();
    caller.made(&messages(0), kept.len(), &message).await;
    caller.made("/threads?", and_threads.len(), &thread).await;
    let late = caller.made(&runs(refused), refused, &run).await;
    for run in begun.iter().chain([&late]) {
        let ended = caller.ended(run).await;
        assert_eq!(ended["status"], "completed", "{ended}");
    }
    program.stop().await;
}

/// What a program says that does not start.
async fn refused(folder: &Path, script: &str) -> String {
    let mut command = confined(
        folder,
        &format!("exec 3>&2 2>/dev/null; {script} && exec \"$@\" 2>&3"),
    );
    let output = command.args(["serve", "--listen", "127.0.0.1:0"]).output();
    let output = output.await.unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{script}: {said}");
    said
}

#[tokio::test]
async fn a_start_without_room_or_leave_to_write_says_so() {
    let folder = tempfile::tempdir().unwrap();
    if !may_mount(folder.path()).await {
        return;
    }
    let made = "mount -t tmpfs -o size=8m tmpfs disk";
    let kept = format!("{made} && \"$1\" secrets reseal >/dev/null");
    let filled = "{ cat /dev/zero > disk/ballast || true; }";
    let read_only = "mount -o remount,ro disk";
    for (script, error, help) in [
        (format!("{made} && {filled}"), "No space left on device", ""),
        (
            format!("{kept} && {filled}"),
            "the disk of the database is full",
            "make room on the disk",
        ),
        (
            format!("{made} && {read_only}"),
            "Read-only file system",
            "",
        ),
        (
            format!("{kept} && {read_only}"),
            "the disk of the database takes no writes",
            "let this user write to the data folder",
        ),
    ] {
        let said = refused(folder.path(), &script).await;
        assert!(said.starts_with("error: "), "{said}");
        assert!(said.contains(error) && said.contains(help), "{said}");
    }
}

/// Where the folder of the files alone takes no writes: the records are open already, and no file
/// system is made read-only under a file that is open for writing.
#[tokio::test]
async fn files_are_refused_where_they_can_not_be_written() {
    let folder = tempfile::tempdir().unwrap();
    if !may_mount(folder.path()).await {
        return;
    }
    let program = start(folder.path()).await;
    let client = client(Client::builder());
    let (status, kept) = upload(&client, &program, 1).await;
    assert_eq!(status, StatusCode::OK, "{kept}");
    let inside = async |script: &str| {
        let pid = program.id().to_string();
        let mut enter = Command::new("nsenter");
        enter.args([
            "--target",
            &pid,
            "--user",
            "--preserve-credentials",
            "--mount",
        ]);
        enter.args(["sh", "-c", script]).current_dir("/");
        enter.arg(folder.path().join("disk/files"));
        assert!(enter.status().await.unwrap().success(), "{script}");
    };
    inside("mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\"").await;
    let (status, refused) = upload(&client, &program, 2).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{refused}");
    assert_eq!(refused["error"]["code"], "storage_full", "{refused}");
    let id = text(&kept, "id");
    let content = client.get(format!("{}/v1/files/{id}/content", program.url));
    let content = content.bearer_auth(KEY).send().await.unwrap();
    assert!(content.bytes().await.unwrap() == bytes(1));

    inside("umount \"$0\"").await;
    let (status, answer) = upload(&client, &program, 2).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    program.stop().await;
}
