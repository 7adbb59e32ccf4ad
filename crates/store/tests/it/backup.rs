//! Backups, made while others write; disks that are full, files that are damaged.

use std::{
    io::{Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use loomgate_domain::{Order, PageRequest};
use loomgate_store::{Error, Options, Store, backup::backup};
use tempfile::TempDir;

use crate::fixtures::{assistant, id, message, thread, ws};

const NAME: &str = "test.db";

fn database(folder: &TempDir) -> PathBuf {
    folder.path().join(NAME)
}

fn open(path: &Path) -> Store {
    Store::open(Options::file(path)).unwrap()
}

async fn save(database: PathBuf, to: PathBuf) -> Result<u64, Error> {
    let work = move || {
        let mut steps = 0;
        backup(&database, &to, &mut |step| {
            assert!(step.bytes <= step.of, "{step:?}");
            steps += 1;
        })?;
        Ok(steps)
    };
    tokio::task::spawn_blocking(work).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_beside_a_writer_is_one_state_of_it() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&database(&folder));
    // Each write is a thread with two messages: a copy that has one part of it has all.
    let (stop, written) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU32::new(0)),
    );
    let writing = {
        let (store, stop, written) = (store.clone(), Arc::clone(&stop), Arc::clone(&written));
        #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
        tokio::spawn(async move {
            for n in 1.. {
                if stop.load(Ordering::SeqCst) {
                    break;
                }
                let first = vec![message(&id(n), 2 * n), message(&id(n), 2 * n + 1)];
                let inserted = store.threads().insert(&ws(), thread(n), first).await;
                inserted.unwrap();
                written.store(n, Ordering::SeqCst);
            }
        })
    };
    while written.load(Ordering::SeqCst) < 50 {
        tokio::task::yield_now().await;
    }
    let before = written.load(Ordering::SeqCst);
    let steps = save(database(&folder), copy.path().to_owned())
        .await
        .unwrap();
    assert!(steps >= 2, "{steps}");
    stop.store(true, Ordering::SeqCst);
    writing.await.unwrap();
    let after = written.load(Ordering::SeqCst) + 1;
    store.close().await;

    // A server takes it as it is.
    let copied = open(&database(&copy));
    let mut last = 0;
    for n in 1..=after + 1 {
        let Some(found) = copied.threads().get(&ws(), &id(n)).await.unwrap() else {
            break;
        };
        assert_eq!(found, thread(n));
        let request = PageRequest {
            order: Order::Asc,
            ..PageRequest::default()
        };
        let messages = copied.messages().list(&ws(), &id(n), None, request).await;
        let messages = messages.unwrap().unwrap().items;
        assert_eq!(
            messages,
            [message(&id(n), 2 * n), message(&id(n), 2 * n + 1)]
        );
        last = n;
    }
    assert!((before..=after).contains(&last), "{before} {last} {after}");
    // New rows come behind those that are there.
    copied
        .threads()
        .insert(&ws(), thread(after + 9), Vec::new())
        .await
        .unwrap();
    copied.close().await;
}

#[tokio::test]
async fn a_backup_is_never_written_over_something() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    open(&database(&folder)).close().await;
    std::fs::write(database(&copy), "mine").unwrap();
    let refused = save(database(&folder), copy.path().to_owned()).await;
    assert!(refused.is_err());
    assert_eq!(std::fs::read_to_string(database(&copy)).unwrap(), "mine");
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let missing = save(database(&folder), copy.path().to_owned()).await;
    assert!(matches!(missing, Err(Error::Missing(path)) if path == database(&folder)));
    assert!(!database(&folder).exists());
}

#[tokio::test]
async fn damage_is_found() {
    let (folder, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store = open(&database(&folder));
    for n in 1..200 {
        store
            .assistants()
            .insert(&ws(), assistant(n))
            .await
            .unwrap();
    }
    store.close().await;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .open(database(&folder))
        .unwrap();
    let end = file.metadata().unwrap().len();
    for page in 2..end / 4096 {
        file.seek(SeekFrom::Start(page * 4096)).unwrap();
        file.write_all(&[0xff; 512]).unwrap();
    }
    drop(file);
    let saved = save(database(&folder), copy.path().to_owned()).await;
    assert!(matches!(saved, Err(Error::Corrupt { .. })), "{saved:?}");
}
