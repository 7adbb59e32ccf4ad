//! Vectors of chunks: which files have them, their codes, and those that are known already.

use loomgate_domain::WorkspaceId;
use loomgate_store::{EmbeddedFile, Indexed, IndexingGuard, Store};

use crate::{
    documents::{
        attach, chunks, complete, create, digest, fail, library, put, sweep, tagged, take, write,
        year_of,
    },
    fixtures::{NOW, id, ws},
    home::Home,
};

on_both_engines! {
    the_version_moves_with_whatever_is_searched,
    codes_are_read_in_pages_and_candidates_by_their_ids,
    a_text_that_was_embedded_is_known_within_its_workspace,
    files_are_narrowed_down_by_their_attributes,
}

async fn embedded(store: &Store, guard: &IndexingGuard, by: &str) {
    let indexed = Indexed {
        usage_bytes: 1,
        embedding: Some(by.to_owned()),
    };
    let completed = store.indexing().complete(guard.clone(), indexed).await;
    assert!(completed.unwrap());
}

async fn version(store: &Store) -> Option<i64> {
    store.chunks().version(&ws(), &id(1)).await.unwrap()
}

/// Number, generation and chunks of each file whose vectors `by` made.
async fn files(store: &Store, by: &str) -> Vec<EmbeddedFile> {
    let found = store.chunks().embedded(&ws(), &id(1), by).await.unwrap();
    let found = found.unwrap();
    assert_eq!(Some(found.version), version(store).await);
    found.files
}

async fn the_version_moves_with_whatever_is_searched(home: Home) {
    let (_home, store) = library(home);
    assert_eq!(version(&store).await, None);
    create(&store, 1, &[]).await;
    let mut last = version(&store).await.unwrap();
    let mut moved = async || {
        let now = version(&store).await.unwrap();
        std::mem::replace(&mut last, now) < now
    };
    attach(&store, put(&[1])).await;
    let guard = take(&store).await;
    assert!(write(&store, &guard, &["one", "two"]).await);
    moved().await;
    embedded(&store, &guard, "a").await;
    assert!(moved().await, "a file is searched");
    let first = files(&store, "a").await;
    assert_eq!((first.len(), first[0].chunks), (1, 2));
    assert_eq!(files(&store, "b").await, []);

    // Indexed anew, by another model.
    attach(&store, put(&[1])).await;
    let guard = take(&store).await;
    assert!(write(&store, &guard, &["one"]).await);
    assert_eq!(files(&store, "a").await, first, "as it was until then");
    moved().await;
    embedded(&store, &guard, "b").await;
    assert!(moved().await, "other chunks are searched");
    let second = files(&store, "b").await;
    assert_eq!(second[0].entry, first[0].entry);
    assert!(second[0].generation > first[0].generation);
    assert_eq!(files(&store, "a").await, []);

    let members = store.vector_store_files();
    assert!(members.remove(&ws(), &id(1), &id(1)).await.unwrap());
    assert!(moved().await, "a file was taken out");
    assert_eq!(files(&store, "b").await, []);
    attach(&store, put(&[2])).await;
    let guard = take(&store).await;
    assert!(complete(&store, &guard, 1).await);
    assert_eq!(files(&store, "a").await, [], "it has no vectors");
    attach(&store, put(&[2])).await;
    let guard = take(&store).await;
    moved().await;
    assert!(fail(&store, &guard).await);
    assert!(moved().await, "it is searched no more");
    let stores = store.vector_stores();
    assert!(stores.delete(&ws(), &id(1), NOW).await.unwrap());
    assert_eq!(version(&store).await, None);
    let gone = store.chunks().embedded(&ws(), &id(1), "a").await;
    assert_eq!(gone.unwrap(), None);
}

async fn codes_are_read_in_pages_and_candidates_by_their_ids(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    attach(&store, put(&[1])).await;
    let guard = take(&store).await;
    let texts: Vec<String> = (0..40).map(|n| format!("chunk number {n:02}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let mut written = chunks(&texts);
    written[1].vector = None;
    let done = store.indexing().write(guard.clone(), written).await;
    assert!(done.unwrap());
    embedded(&store, &guard, "a").await;
    let file = files(&store, "a").await[0];
    let of = async |ws: &WorkspaceId, generation, from, most| {
        let place = (file.entry, generation);
        let found = store.chunks().codes(ws, place, from, most).await;
        found.unwrap()
    };
    let all = of(&ws(), file.generation, 0, 99).await;
    assert_eq!(all.len(), 39, "one has none");
    // 15 bytes: 4, and a fifth of the others.
    assert_eq!(all[0].code, b"chunk ");
    assert_eq!((all[0].position, all[1].position), (0, 2));
    assert_eq!(of(&ws(), file.generation, 0, 1).await, all[..1]);
    assert_eq!(of(&ws(), file.generation, 1, 99).await, all[1..]);
    assert_eq!(of(&ws(), file.generation + 1, 0, 99).await, []);
    let other = WorkspaceId::trusted("ws_other");
    assert_eq!(of(&other, file.generation, 0, 99).await, []);

    let ids: Vec<_> = all.iter().map(|code| code.chunk).collect();
    let reader = store.chunks();
    let version = reader.version(&ws(), &id(1)).await.unwrap().unwrap();
    let seen = [vec![], vec![(id(1), version)], vec![(id(1), version - 1)]];
    for seen in seen.clone() {
        let found = reader.vectors(&ws(), ids.clone(), "a", seen).await.unwrap();
        assert_eq!(found.len(), 39);
        for (chunk, vector) in &found {
            let chunks = reader.get(&ws(), vec![*chunk], NOW).await.unwrap();
            assert_eq!(chunks[0].text.as_bytes(), vector);
        }
    }
    for (ws, by) in [(&other, "a"), (&ws(), "b")] {
        let found = reader.vectors(ws, ids.clone(), by, vec![]).await;
        assert_eq!(found.unwrap(), []);
    }
    // Nobody else has seen the store.
    let found = reader.vectors(&other, ids.clone(), "a", seen[1].clone());
    assert_eq!(found.await.unwrap(), []);
    // What is not searched any more is not found.
    let members = store.vector_store_files();
    assert!(members.remove(&ws(), &id(1), &id(1)).await.unwrap());
    for seen in seen {
        let found = reader.vectors(&ws(), ids.clone(), "a", seen).await;
        assert_eq!(found.unwrap(), []);
    }
}

async fn a_text_that_was_embedded_is_known_within_its_workspace(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1, 2]).await;
    let guard = take(&store).await;
    assert!(write(&store, &guard, &["one", "two"]).await);
    let digests = vec![digest("two"), digest("three"), digest("one")];
    let known = async |ws: &WorkspaceId| {
        let known = store.chunks().known_vectors(ws, digests.clone()).await;
        let known = known.unwrap().into_iter();
        known
            .map(|vector| vector.map(|bytes| String::from_utf8(bytes).unwrap()))
            .collect::<Vec<_>>()
    };
    let expected = [Some("two".to_owned()), None, Some("one".to_owned())];
    assert_eq!(known(&ws()).await, expected, "also before it is searched");
    assert_eq!(
        known(&WorkspaceId::trusted("ws_other")).await,
        [None, None, None]
    );
    assert!(fail(&store, &guard).await);
    sweep(&store).await;
    assert_eq!(known(&ws()).await, [None, None, None]);
}

async fn files_are_narrowed_down_by_their_attributes(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    let mut entries = Vec::new();
    for (n, year) in [(1, 2023), (2, 2024)] {
        attach(&store, tagged(n, year)).await;
        let guard = take(&store).await;
        assert!(write(&store, &guard, &["words"]).await);
        embedded(&store, &guard, "a").await;
        entries = files(&store, "a").await;
    }
    let reader = store.chunks();
    let is_of_2024 = |attributes: &_| *attributes == year_of(2024);
    let accepted = reader.accepted(&ws(), &id(1), is_of_2024).await.unwrap();
    let accepted: Vec<_> = accepted.into_iter().collect();
    assert_eq!(accepted, [entries[1].entry]);
}
