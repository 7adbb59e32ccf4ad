//! A server that is restarted in the middle of work. It is this test's own.

use std::{
    fs::{File, OpenOptions},
    path::Path,
    process::Command,
};

use loomgate_store::{Error, Options, Store};
use tempfile::TempDir;

use crate::{
    fixtures::{NOW_MS, assistant, claim, id, queued, run_ids, ws},
    home::postgres,
};

struct Server {
    home: TempDir,
    /// Keeps it from going.
    _in_use: File,
}

impl Server {
    fn start() -> Self {
        let home = tempfile::tempdir().unwrap();
        let in_use = OpenOptions::new()
            .create(true)
            .append(true)
            .open(home.path().join("in-use"))
            .unwrap();
        in_use.lock_shared().unwrap();
        script(home.path(), &[]);
        Self {
            home,
            _in_use: in_use,
        }
    }

    fn open(&self) -> Store {
        let url = std::fs::read_to_string(self.home.path().join("url")).unwrap();
        let url = format!("{}?sslmode=disable", url.trim());
        Store::open(Options::postgres(postgres(&url))).unwrap()
    }
}

fn script(home: &Path, arguments: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(root.join("scripts/test-postgres.sh"))
        .args(arguments)
        .env("TEST_POSTGRES_HOME", home)
        .env_remove("LOOMGATE_TEST_POSTGRES")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
}

#[tokio::test]
async fn a_server_that_was_restarted_is_written_to_and_heard_again() {
    let server = Server::start();
    let (one, two) = (server.open(), server.open());
    let mut there = two.runs().wakeups();
    queued(&one, 1).await;
    there.woken().await;
    there.arm();

    let home = server.home.path().to_owned();
    let mut restart = tokio::task::spawn_blocking(move || script(&home, &["restart"]));
    let mut kept = Vec::new();
    let mut n = 0;
    let ended = loop {
        n += 1;
        match one.assistants().insert(&ws(), assistant(n)).await {
            Ok(()) => kept.push(n),
            // Its sessions ended while this was on its way.
            Err(Error::Interrupted) => {}
            Err(error) => panic!("{error}"),
        }
        tokio::select! {
            biased;
            ended = &mut restart => break ended,
            () = tokio::task::yield_now() => {}
        }
    };
    ended.unwrap();
    one.assistants().insert(&ws(), assistant(0)).await.unwrap();
    for n in kept {
        let found = two.assistants().get(&ws(), &id(n)).await.unwrap();
        assert_eq!(found, Some(assistant(n)));
    }

    // Whoever listens again is woken once, for what may have been told meanwhile. What comes next can only
    // be what the other process has told: this one does nothing, and a store never looks by itself.
    there.woken().await;
    there.arm();
    queued(&one, 2).await;
    there.woken().await;
    assert_eq!(run_ids(&claim(&two, "w", NOW_MS, 9).await), [id(1), id(2)]);
    one.close().await;
    two.close().await;
}
