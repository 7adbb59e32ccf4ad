//! New vectors for files that are searched already.

use loomgate_domain::vector_store::{ChunkId, IndexingStatus};
use loomgate_store::{
    ClaimRequest, Indexed, IndexingClaim, IndexingGuard, IndexingTask, NewVector, Outdated, Store,
};

use crate::{
    documents::{
        attach, claim, create, digest, file, found, get, indexed, library, put, status, take, write,
    },
    fixtures::{LEASE_MS, NOW, NOW_MS, id, ws},
    home::Home,
};

on_both_engines! {
    a_file_gets_vectors_and_is_found_by_its_words_all_along,
    files_are_taken_once_in_their_order_and_new_ones_first,
    whoever_lost_the_file_writes_nothing,
    a_renewal_that_is_left_leaves_the_file_as_it_is,
}

async fn outdated(store: &Store, by: &str, after: i64, max: u32) -> Outdated {
    let request = ClaimRequest {
        worker: "w".to_owned(),
        now_ms: NOW_MS,
        lease_ms: LEASE_MS,
        max,
    };
    let taken = store.indexing().claim_outdated(request, by, after).await;
    taken.unwrap()
}

async fn take_outdated(store: &Store, by: &str) -> IndexingGuard {
    outdated(store, by, 0, 1).await.claims.remove(0).guard
}

fn numbers(claims: &[IndexingClaim]) -> Vec<String> {
    let ids = claims.iter().map(|claim| claim.guard.file_id.to_string());
    ids.collect()
}

fn vector(chunk: ChunkId, text: &str) -> (ChunkId, NewVector) {
    let vector = NewVector {
        digest: digest(text),
        bytes: text.as_bytes().to_vec(),
    };
    (chunk, vector)
}

fn done(by: &str, usage_bytes: u64) -> Indexed {
    Indexed {
        usage_bytes,
        embedding: Some(by.to_owned()),
    }
}

/// How many files are searched by the vectors of `by`, and the store's version.
async fn embedded(store: &Store, by: &str) -> (usize, i64) {
    let found = store.chunks().embedded(&ws(), &id(1), by).await.unwrap();
    let found = found.unwrap();
    (found.files.len(), found.version)
}

async fn a_file_gets_vectors_and_is_found_by_its_words_all_along(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    indexed(&store, put(&[1]), &["one two", "three"]).await;
    let queue = store.indexing();
    for by in ["a", "b"] {
        let before = embedded(&store, by).await.1;
        let taken = outdated(&store, by, 0, 9).await;
        assert_eq!(taken.after, None);
        assert_eq!(taken.claims[0].task, IndexingTask::Renew);
        let guard = taken.claims[0].guard.clone();
        let place = queue.begin_renewal(guard.clone(), NOW).await;
        let place = place.unwrap().unwrap();
        assert_eq!(
            embedded(&store, "a").await.0,
            0,
            "nobody's until all are there"
        );
        let begun = embedded(&store, by).await.1;
        assert!(begun > before, "other vectors are searched");

        let chunks = store.chunks();
        let texts = chunks.texts(&ws(), place, 0, 9).await.unwrap();
        let words: Vec<_> = texts.iter().map(|it| (it.position, &*it.text)).collect();
        assert_eq!(words, [(0, "one two"), (1, "three")]);
        assert_eq!(chunks.texts(&ws(), place, 0, 1).await.unwrap(), texts[..1]);
        assert_eq!(chunks.texts(&ws(), place, 1, 9).await.unwrap(), texts[1..]);
        let vectors = texts.iter().map(|it| vector(it.chunk, by)).collect();
        let written = queue.write_vectors(guard.clone(), vectors).await;
        assert!(written.unwrap());
        assert_eq!(status(&store, 1).await, IndexingStatus::Completed);
        assert_eq!(found(&store, "two").await, ["one two"]);
        assert_eq!(embedded(&store, by).await.0, 0);

        let ended = queue.complete_renewal(guard.clone(), done(by, 123)).await;
        assert!(ended.unwrap());
        let (files, version) = embedded(&store, by).await;
        assert!(files == 1 && version > begun);
        assert_eq!(file(&store, 1).await.usage_bytes, 123);
        assert_eq!(get(&store, 1).await.usage_bytes, 123);
        let ids: Vec<_> = texts.iter().map(|it| it.chunk).collect();
        let found = chunks.vectors(&ws(), ids, by, vec![]).await.unwrap();
        let made: Vec<_> = found.iter().map(|(_, vector)| &vector[..]).collect();
        assert_eq!(made, [by.as_bytes(), by.as_bytes()]);
        assert_eq!(outdated(&store, by, 0, 9).await.claims, []);
    }
}

async fn files_are_taken_once_in_their_order_and_new_ones_first(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    for n in 1..=3 {
        indexed(&store, put(&[n]), &["words"]).await;
    }
    attach(&store, put(&[4])).await;
    let first = outdated(&store, "a", 0, 2).await;
    assert_eq!(numbers(&first.claims), ["file-1", "file-2"]);
    let rest = outdated(&store, "a", first.after.unwrap(), 2).await;
    assert_eq!(
        numbers(&rest.claims),
        ["file-3"],
        "file 4 is not searched yet"
    );
    assert_eq!(rest.after, None);
    assert_eq!(outdated(&store, "a", 0, 9).await.claims, []);
    // A worker that died is followed by another.
    assert_eq!(numbers(&claim(&store, "x", NOW_MS, 9).await), ["file-4"]);
    let late = claim(&store, "x", NOW_MS + 2 * LEASE_MS, 9).await;
    assert_eq!(late.len(), 4);
    assert_eq!((late[0].task, late[0].attempt), (IndexingTask::Renew, 2));
    assert_eq!((late[3].task, late[3].attempt), (IndexingTask::Index, 2));
}

async fn whoever_lost_the_file_writes_nothing(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    indexed(&store, put(&[1]), &["one"]).await;
    let queue = store.indexing();
    let lost = async |guard: &IndexingGuard| {
        let begun = queue.begin_renewal(guard.clone(), NOW).await.unwrap();
        let written = queue.write_vectors(guard.clone(), Vec::new()).await;
        let ended = queue.complete_renewal(guard.clone(), done("a", 1)).await;
        let left = queue.leave_renewal(guard.clone()).await;
        begun.is_none() && !written.unwrap() && !ended.unwrap() && !left.unwrap()
    };
    // It is put into the store once more meanwhile.
    let guard = take_outdated(&store, "a").await;
    attach(&store, put(&[1])).await;
    assert!(lost(&guard).await);
    let anew = take(&store).await;
    assert!(write(&store, &anew, &["two"]).await);
    let ended = queue.complete(anew.clone(), done("b", 5)).await;
    assert!(ended.unwrap());
    assert!(lost(&guard).await);
    assert_eq!(embedded(&store, "b").await.0, 1);
    // Its store is deleted meanwhile.
    let guard = take_outdated(&store, "a").await;
    let stores = store.vector_stores();
    assert!(stores.delete(&ws(), &id(1), NOW).await.unwrap());
    assert!(lost(&guard).await);
    assert_eq!(claim(&store, "x", NOW_MS + 9 * LEASE_MS, 9).await, []);
}

async fn a_renewal_that_is_left_leaves_the_file_as_it_is(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    indexed(&store, put(&[1]), &["one"]).await;
    let guard = take_outdated(&store, "a").await;
    let queue = store.indexing();
    // It may wait for its next attempt meanwhile.
    assert!(queue.retry(guard.clone(), NOW_MS + 5).await.unwrap());
    assert_eq!(outdated(&store, "a", 0, 9).await.claims, []);
    let again = claim(&store, "w", NOW_MS + 6, 9).await.remove(0);
    assert_eq!(again.task, IndexingTask::Renew);
    assert!(queue.leave_renewal(again.guard).await.unwrap());
    assert_eq!(claim(&store, "w", NOW_MS + 9 * LEASE_MS, 9).await, []);
    assert_eq!(status(&store, 1).await, IndexingStatus::Completed);
    assert_eq!(found(&store, "one").await, ["one"]);
    assert_eq!(outdated(&store, "a", 0, 9).await.claims.len(), 1);
}
