//! What outlives a process, and who may open it.

use std::{
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use loomgate_store::{Error, Options, Sharing, Store};

use crate::{
    fixtures::{assistant, id, ws},
    home::{Home, postgres},
};

on_both_engines! {
    a_killed_process_loses_nothing_it_answered,
}

/// Where the child keeps its records: a file, or a URL.
const CHILD_DATABASE: &str = "LOOMGATE_STORE_TEST_DATABASE";

fn database(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("test.db")
}

fn open(path: &Path) -> Result<Store, Error> {
    Store::open(Options::file(path))
}

/// Not a test of its own: the process that [`fn@a_killed_process_loses_nothing_it_answered`] kills.
#[tokio::test]
#[ignore = "the child of another test"]
async fn child() {
    let place = std::env::var_os(CHILD_DATABASE).unwrap();
    let store = match place.to_str() {
        Some(url) if url.starts_with("postgres") => Options::postgres(postgres(url)),
        _ => Options::file(place),
    };
    let store = Store::open(store).unwrap();
    for n in 0_u32.. {
        store
            .assistants()
            .insert(&ws(), assistant(n))
            .await
            .unwrap();
        let mut output = std::io::stdout().lock();
        writeln!(output, "\nkept {n}").unwrap();
        output.flush().unwrap();
    }
}

async fn a_killed_process_loses_nothing_it_answered(home: Home) {
    let home = home.kept();
    let place = match &home {
        Home::Postgres(database) => database.url().into(),
        _ => home.file().unwrap(),
    };
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "durability::child", "--ignored", "--nocapture"])
        .env(CHILD_DATABASE, &place)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut lines = lines.map_while(Result::ok);
    let number =
        |line: String| -> Option<u32> { line.strip_prefix("kept ").and_then(|n| n.parse().ok()) };
    let mut kept: Vec<u32> = Vec::new();
    while kept.len() < 100 {
        kept.extend(number(lines.next().unwrap()));
    }
    child.kill().unwrap();
    // What it said before it died.
    kept.extend(lines.filter_map(number));
    child.wait().unwrap();

    let store = home.open();
    for n in kept {
        let found = store.assistants().get(&ws(), &id(n)).await.unwrap();
        assert_eq!(found, Some(assistant(n)));
    }
    store.close().await;
}

#[tokio::test]
async fn a_folder_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(&folder);
    let store = open(&path).unwrap();
    let Err(Error::Locked { pid, lock }) = open(&path) else {
        panic!("opened twice")
    };
    assert_eq!(pid, Some(std::process::id()));
    assert_eq!(lock.parent(), Some(folder.path()));
    store.close().await;
    open(&path).unwrap().close().await;
}

#[tokio::test]
async fn a_tool_may_look_in_beside_the_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(&folder);
    let owner = open(&path).unwrap();
    let options = Options {
        sharing: Sharing::Tool,
        ..Options::file(&path)
    };
    let tool = Store::open(options).unwrap();
    for (n, writer, reader) in [(1, &owner, &tool), (2, &tool, &owner)] {
        writer
            .assistants()
            .insert(&ws(), assistant(n))
            .await
            .unwrap();
        let found = reader.assistants().get(&ws(), &id(n)).await.unwrap();
        assert_eq!(found, Some(assistant(n)));
    }
    tool.close().await;
    assert!(matches!(open(&path), Err(Error::Locked { .. })));
    owner
        .assistants()
        .insert(&ws(), assistant(3))
        .await
        .unwrap();
    owner.close().await;
}

#[tokio::test]
async fn a_closed_store_folds_its_log_and_refuses_work() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(&folder);
    let store = open(&path).unwrap();
    let clone = store.clone();
    store
        .assistants()
        .insert(&ws(), assistant(1))
        .await
        .unwrap();
    let log = folder.path().join("test.db-wal");
    assert!(log.metadata().unwrap().len() > 0);
    store.close().await;
    assert!(!log.exists());
    let write = clone.assistants().insert(&ws(), assistant(2)).await;
    assert!(matches!(write, Err(Error::Unavailable(_))), "{write:?}");
    let read = clone.assistants().get(&ws(), &id(1)).await;
    assert!(matches!(read, Err(Error::Unavailable(_))), "{read:?}");
    let ping = clone.ping().await;
    assert!(matches!(ping, Err(Error::Unavailable(_))), "{ping:?}");
    clone.close().await;

    let store = open(&path).unwrap();
    let found = store.assistants().get(&ws(), &id(1)).await.unwrap();
    assert_eq!(found, Some(assistant(1)));
    store.close().await;
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(&folder);
    open(&path).unwrap().close().await;
    let connection = rusqlite::Connection::open(&path).unwrap();
    let newer = "INSERT INTO schema_version VALUES (4711)";
    connection.execute(newer, []).unwrap();
    drop(connection);
    let refused = open(&path);
    assert!(
        matches!(refused, Err(Error::NewerSchema { found: 4711, .. })),
        "{refused:?}"
    );
}

#[test]
fn a_file_of_another_program_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = database(&folder);
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute("CREATE TABLE theirs (x)", []).unwrap();
    drop(connection);
    let before = std::fs::read(&path).unwrap();
    let refused = open(&path);
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), before);

    std::fs::write(&path, "not a database at all, but long enough to look at").unwrap();
    let refused = open(&path);
    assert!(matches!(refused, Err(Error::Corrupt { .. })), "{refused:?}");
}

#[cfg(unix)]
#[tokio::test]
async fn only_the_owner_may_read_the_files() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("made");
    let store = open(&data.join("test.db")).unwrap();
    store
        .assistants()
        .insert(&ws(), assistant(1))
        .await
        .unwrap();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&data), 0o700);
    for file in [
        "test.db",
        "test.db-wal",
        "test.db-shm",
        "logs.db",
        "logs.db-wal",
    ] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    store.close().await;
}
