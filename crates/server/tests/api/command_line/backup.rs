//! `loomgate backup` beside a server, and a server on what it saved.

use std::{os::unix::fs::PermissionsExt as _, path::Path};

use loomgate_testkit::upstream::FakeUpstream;
use serde_json::json;

use crate::{
    database,
    process::{Process, text},
    program::{fail, program, run},
};

fn mode(path: &Path) -> u32 {
    path.metadata().unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn a_backup_is_made_beside_a_server_and_another_starts_on_it() {
    let (folder, upstream) = (tempfile::tempdir().unwrap(), FakeUpstream::start().await);
    let server = Process::start(folder.path(), &upstream, "").await;
    let (assistant, thread) = server.furnish().await;
    let arguments = [
        "backup",
        "saved",
        "--config",
        "loomgate.toml",
        "--data-dir",
        "data",
    ];
    if database::url(folder.path()).is_some() {
        let (code, told) = fail(folder.path(), &arguments).await;
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains("help: use pg_dump"), "{told}");
        return;
    }
    let told = run(folder.path(), &arguments).await;
    assert!(told.ends_with("Everything is saved in saved.\n"), "{told}");
    let after = server.post("/threads", json!({})).await;
    server.kill().await;

    let saved = folder.path().join("saved");
    assert_eq!(mode(&saved), 0o700);
    for name in ["loomgate.db", "logs.db", "hash-key", "master-key"] {
        assert_eq!(mode(&saved.join(name)), 0o600, "{name}");
        assert!(told.contains(name), "{told}");
    }
    let (code, refused) = fail(folder.path(), &arguments).await;
    assert_eq!(code, Some(1));
    assert!(
        refused.starts_with("error: saved is there already\nhelp: "),
        "{refused}"
    );

    // Restored as the documentation says.
    std::fs::rename(folder.path().join("data"), folder.path().join("broken")).unwrap();
    std::fs::rename(&saved, folder.path().join("data")).unwrap();
    let server = Process::start(folder.path(), &upstream, "").await;
    server.get(&format!("/assistants/{assistant}")).await;
    let messages = server.get(&format!("/threads/{thread}/messages")).await;
    assert_eq!(messages["data"].as_array().unwrap().len(), 1);
    let later = server
        .text(&format!("/threads/{}", text(&after, "id")))
        .await;
    assert!(later.contains("No thread found"), "{later}");
}

#[tokio::test]
async fn a_backup_that_can_not_be_made_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let sqlite = ["--database", "sqlite"];
    let backup = |to: &'static str, data: &'static str| {
        [&["backup", to, "--data-dir", data][..], &sqlite].concat()
    };
    let (code, told) = fail(folder.path(), &backup("saved", "none")).await;
    assert_eq!(code, Some(1));
    assert!(
        told.contains("error: there is no database none/loomgate.db"),
        "{told}"
    );
    let (code, told) = fail(folder.path(), &backup("no/where", "none")).await;
    assert_eq!(code, Some(1));
    assert!(
        told.starts_with("error: cannot write no/where.draft-"),
        "{told}"
    );
    let left = std::fs::read_dir(folder.path()).unwrap();
    let mut left = left.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert!(left.all(|name| !name.starts_with("saved") && !name.starts_with("no")));
}

#[tokio::test]
async fn a_damaged_database_is_named_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    std::fs::create_dir(&data).unwrap();
    let junk = "no database at all. ".repeat(1_000);
    std::fs::write(data.join("loomgate.db"), &junk).unwrap();
    let serve = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--data-dir",
        "data",
        "--database",
        "sqlite",
    ];
    let output = program(folder.path()).args(serve).output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        told.contains("error: the database holds something unreadable: "),
        "{told}"
    );
    assert!(
        told.contains("help: nothing was changed; start on a backup"),
        "{told}"
    );
    assert_eq!(
        std::fs::read_to_string(data.join("loomgate.db")).unwrap(),
        junk
    );
}
