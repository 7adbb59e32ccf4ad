//! A disk without room, under the program: a file system of its own, in memory.

use std::path::Path;

use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::Value;
use tokio::process::Command;

use crate::{
    app::client,
    files::with_form,
    program::{PROGRAM, Program, at_home},
};

const KEY: &str = "lg-full-disk-0000000000000000000000000000";
const CONFIG: &str = "data_dir = 'disk'\nfiles_download = 'all'\n[[api_keys]]\nname = 'a'\n\
    key = 'lg-full-disk-0000000000000000000000000000'\n";
/// Of a file.
const BYTES: usize = 1 << 20;
/// Makes the disk, with something on it that can be removed, and becomes the program.
const SCRIPT: &str = "mount -t tmpfs -o size=40m tmpfs disk && \
    head -c 20M /dev/zero > disk/ballast && exec \"$@\"";

/// Whether this machine lets its users have file systems of their own; some containers do not.
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
    tried.is_ok_and(|status| status.success())
}

/// The program, with a data folder that only it sees.
async fn start(folder: &Path) -> Program {
    std::fs::create_dir(folder.join("disk")).unwrap();
    std::fs::write(folder.join("loomgate.toml"), CONFIG).unwrap();
    let mut unshare = Command::new("unshare");
    unshare.args([
        "--mount",
        "--map-root-user",
        "sh",
        "-c",
        SCRIPT,
        "sh",
        PROGRAM,
    ]);
    Program::of(at_home(unshare, folder), folder).await
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
        eprintln!("nobody may mount anything on this machine: not tried");
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
    let disk = format!(
        "/proc/{}/root{}/disk",
        program.id(),
        folder.path().display()
    );
    std::fs::remove_file(format!("{disk}/ballast")).unwrap();
    let (status, answer) = upload(&client, &program, 0).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    kept.push(answer["id"].as_str().unwrap().to_owned());
    assert_eq!(all().await, kept);
    let log = program.stop().await;
    assert!(log.contains("full"), "{log}");
}
