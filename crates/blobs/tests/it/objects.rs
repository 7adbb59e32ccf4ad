//! Objects, in a folder; and in a bucket, where `LOOMGATE_TEST_S3` names one as
//! `http://HOST:PORT/BUCKET` (`scripts/test-s3.sh` starts a server for it).

use std::path::Path;

use bytes::Bytes;
use futures::TryStreamExt as _;
use loomgate_blobs::{Blobs, Bucket, Credentials, Error, Key, Part, Written};
use secrecy::SecretString;

/// A place of a test's own.
struct Home {
    blobs: Blobs,
    /// None: it is a bucket.
    folder: Option<tempfile::TempDir>,
}

fn folder() -> Home {
    let folder = tempfile::tempdir().unwrap();
    Home {
        blobs: Blobs::local(folder.path()).unwrap(),
        folder: Some(folder),
    }
}

/// None: there is no server.
fn bucket(prefix: &str) -> Option<Home> {
    #[expect(
        clippy::disallowed_methods,
        reason = "the suite says where its server is"
    )]
    let url = std::env::var("LOOMGATE_TEST_S3").ok()?;
    let (endpoint, name) = url.rsplit_once('/').unwrap();
    let bucket = Bucket {
        name: name.to_owned(),
        prefix: format!("{prefix}-{}", std::process::id()),
        endpoint: Some(endpoint.to_owned()),
        region: None,
        credentials: Some(Credentials {
            access_key_id: "test".into(),
            secret_access_key: SecretString::from("test"),
            session_token: None,
        }),
    };
    Some(Home {
        blobs: Blobs::bucket(&bucket).unwrap(),
        folder: None,
    })
}

/// Each test on both kinds of place.
macro_rules! on_both_places {
    ($($name:ident,)+) => {$(
        mod $name {
            #[tokio::test]
            async fn local() {
                super::$name(super::folder()).await;
            }

            #[tokio::test]
            async fn bucket() {
                if let Some(home) = super::bucket(stringify!($name)) {
                    super::$name(home).await;
                }
            }
        }
    )+};
}

on_both_places! {
    what_was_written_is_read,
    a_range_is_read,
    large_objects_are_written_and_read_in_pieces,
    what_is_not_finished_is_not_there,
    objects_are_listed_and_deleted,
    another_size_or_hash_is_damage,
}

fn key(n: u32) -> Key {
    Key::new("ws_1", &format!("blob_{n:04}")).unwrap()
}

async fn write(blobs: &Blobs, key: &Key, pieces: &[Bytes]) -> Written {
    let mut writer = blobs.writer(key).await.unwrap();
    for piece in pieces {
        writer.push(piece.clone()).await.unwrap();
    }
    writer.finish().await.unwrap()
}

fn whole(written: &Written) -> Part {
    Part {
        hash: written.hash.clone(),
        bytes: written.bytes,
        range: None,
    }
}

async fn read(blobs: &Blobs, key: &Key, part: Part) -> Result<Bytes, Error> {
    blobs.read(key, part).await?.collect().await
}

/// Bytes that repeat nowhere soon.
fn noise(bytes: usize) -> Bytes {
    let mut all = vec![0; bytes];
    blake3::Hasher::new().finalize_xof().fill(&mut all);
    all.into()
}

async fn what_was_written_is_read(home: Home) {
    let blobs = &home.blobs;
    for (n, pieces) in [(0, vec![]), (1, vec!["a"]), (2, vec!["", "bc", "", "d"])] {
        let pieces: Vec<_> = pieces.into_iter().map(Bytes::from).collect();
        let all = pieces.concat();
        let written = write(blobs, &key(n), &pieces).await;
        assert_eq!(written.bytes, all.len() as u64);
        assert_eq!(written.hash, blake3::hash(&all).to_hex().to_string());
        assert_eq!(read(blobs, &key(n), whole(&written)).await.unwrap(), all);
    }
    let missing = read(
        blobs,
        &key(9),
        Part {
            hash: String::new(),
            bytes: 0,
            range: None,
        },
    )
    .await;
    assert!(matches!(missing, Err(Error::Missing { .. })), "{missing:?}");
}

async fn a_range_is_read(home: Home) {
    let written = write(&home.blobs, &key(1), &[Bytes::from_static(b"0123456789")]).await;
    for range in [0..1, 3..7, 9..10, 0..10, 4..4] {
        let (low, high) = (range.start, range.end);
        let part = Part {
            range: Some(range),
            ..whole(&written)
        };
        let found = read(&home.blobs, &key(1), part).await.unwrap();
        let expected =
            &b"0123456789"[usize::try_from(low).unwrap()..usize::try_from(high).unwrap()];
        assert_eq!(found, expected);
    }
}

async fn large_objects_are_written_and_read_in_pieces(home: Home) {
    // Over the size of a part of a bucket's upload, and not a multiple of anything.
    let all = noise(17 * 1024 * 1024 + 4321);
    let pieces: Vec<_> = all.chunks(60_000).map(Bytes::copy_from_slice).collect();
    let written = write(&home.blobs, &key(1), &pieces).await;
    assert_eq!(written.hash, blake3::hash(&all).to_hex().to_string());
    let reader = home.blobs.read(&key(1), whole(&written)).await.unwrap();
    let found: Vec<Bytes> = reader.into_stream().try_collect().await.unwrap();
    assert!(found.len() > 10, "{}", found.len());
    assert!(found.concat() == all);
}

async fn what_is_not_finished_is_not_there(home: Home) {
    let mut writer = home.blobs.writer(&key(1)).await.unwrap();
    writer.push(noise(20 * 1024 * 1024)).await.unwrap();
    let listed: Vec<_> = home.blobs.list().try_collect().await.unwrap();
    assert_eq!(listed, []);
    writer.abort().await;
    let mut writer = home.blobs.writer(&key(2)).await.unwrap();
    writer.push(Bytes::from_static(b"x")).await.unwrap();
    drop(writer);
    let listed: Vec<_> = home.blobs.list().try_collect().await.unwrap();
    assert_eq!(listed, []);
    assert_eq!(home.blobs.sweep_unfinished(i64::MAX).await.unwrap(), 0);
    if let Some(folder) = &home.folder {
        // What a process left that was killed.
        let left = folder.path().join("unfinished/ws_1.blob_0003");
        std::fs::write(&left, "left").unwrap();
        assert_eq!(home.blobs.sweep_unfinished(0).await.unwrap(), 0);
        assert_eq!(home.blobs.sweep_unfinished(i64::MAX).await.unwrap(), 1);
        assert!(!left.exists());
    }
}

async fn objects_are_listed_and_deleted(home: Home) {
    let mut expected = Vec::new();
    for n in 0..5 {
        write(&home.blobs, &key(n), &[Bytes::from_static(b"x")]).await;
        expected.push(key(n));
    }
    let other = Key::new("ws_2", "blob_0001").unwrap();
    write(&home.blobs, &other, &[]).await;
    expected.push(other);
    let keys = async || {
        let listed: Vec<_> = home.blobs.list().try_collect().await.unwrap();
        assert!(listed.iter().all(|it| it.written_at > 1_700_000_000));
        let mut keys: Vec<_> = listed.into_iter().map(|it| it.key).collect();
        keys.sort_by_key(ToString::to_string);
        keys
    };
    assert_eq!(keys().await, expected);
    home.blobs.delete(&key(2)).await.unwrap();
    home.blobs.delete(&key(2)).await.unwrap();
    expected.remove(2);
    assert_eq!(keys().await, expected);
}

async fn another_size_or_hash_is_damage(home: Home) {
    let written = write(&home.blobs, &key(1), &[Bytes::from_static(b"0123456789")]).await;
    for part in [
        Part {
            bytes: 9,
            ..whole(&written)
        },
        Part {
            hash: "0".repeat(64),
            ..whole(&written)
        },
    ] {
        let damaged = read(&home.blobs, &key(1), part).await;
        assert!(matches!(damaged, Err(Error::Damaged { .. })), "{damaged:?}");
    }
}

fn object_in(folder: &Path, n: u32) -> std::path::PathBuf {
    let id = format!("blob_{n:04}");
    folder
        .join("objects/ws_1")
        .join(&id[id.len() - 2..])
        .join(id)
}

#[tokio::test]
async fn a_byte_that_changed_is_found_before_the_last_ones_go_out() {
    let home = folder();
    let all = noise(1024 * 1024);
    let written = write(&home.blobs, &key(1), &[all]).await;
    let path = object_in(home.folder.as_ref().unwrap().path(), 1);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[500_000] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let mut reader = home
        .blobs
        .read(&key(1), whole(&written))
        .await
        .unwrap()
        .into_stream();
    let mut given = 0;
    let ended = loop {
        match reader.try_next().await {
            Ok(Some(piece)) => given += piece.len() as u64,
            ended => break ended,
        }
    };
    assert!(matches!(ended, Err(Error::Damaged { .. })), "{ended:?}");
    assert!(given < written.bytes);
}

#[cfg(unix)]
#[tokio::test]
async fn a_key_is_used_once_and_nobody_else_reads_the_folder() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = folder();
    write(&home.blobs, &key(1), &[Bytes::from_static(b"x")]).await;
    let path = object_in(home.folder.as_ref().unwrap().path(), 1);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let folder = path.parent().unwrap().metadata().unwrap();
    assert_eq!(folder.permissions().mode() & 0o777, 0o700);
    let _first = home.blobs.writer(&key(2)).await.unwrap();
    assert!(home.blobs.writer(&key(2)).await.is_err());
}
