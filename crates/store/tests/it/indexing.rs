//! The queue of indexing: who works on which file, and what is found of it when.

use loomgate_domain::{
    FileId,
    vector_store::{ChunkId, IndexingStatus},
};
use loomgate_store::{IndexingClaim, IndexingTask, IndexingTurns, Store};

use crate::{
    documents::{
        attach, claim, complete, counted, create, fail, file, file_ids, found, get, indexed,
        library, put, request, search, status, sweep, take, vector_store, write,
    },
    fixtures::{LEASE_MS, NOW, NOW_MS, id, ws},
    home::Home,
};

on_both_engines! {
    nothing_is_found_before_all_of_it_is,
    a_file_that_is_indexed_anew_is_found_as_it_was_until_then,
    a_file_that_waits_already_goes_on_waiting,
    what_has_failed_is_not_found_and_is_swept,
    a_worker_that_lost_its_lease_writes_nothing,
    a_worker_goes_on_behind_what_was_written_or_begins_anew,
    a_file_that_is_put_off_waits_until_then,
    workspaces_take_turns_and_so_do_their_stores,
    a_heartbeat_keeps_what_is_still_held,
    released_files_are_free_at_once,
    a_start_frees_what_is_nobodys_any_more,
    a_text_is_put_together,
}

on_both_engines! {
    multi_thread:
    of_claims_at_the_same_time_each_file_goes_to_one,
    counts_are_right_whoever_finishes_at_the_same_time,
}

async fn nothing_is_found_before_all_of_it_is(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1]).await;
    let claims = claim(&store, "w", NOW_MS, 9).await;
    let [
        IndexingClaim {
            guard,
            attempt: 1,
            written: 0,
            chunking,
            task: IndexingTask::Index,
        },
    ] = &claims[..]
    else {
        panic!("{claims:?}");
    };
    assert_eq!((chunking.max_tokens, chunking.overlap_tokens), (800, 400));
    assert!(write(&store, guard, &["first words"]).await);
    assert!(write(&store, guard, &["second words", "third words"]).await);
    assert_eq!(found(&store, "words").await, Vec::<String>::new());
    assert_eq!(get(&store, 1).await.usage_bytes, 0);
    assert!(complete(&store, guard, 321).await);
    let mut texts = found(&store, "words").await;
    texts.sort();
    assert_eq!(texts, ["first words", "second words", "third words"]);
    assert_eq!(file(&store, 1).await.usage_bytes, 321);
    assert!(!write(&store, guard, &["late words"]).await, "it is done");
    assert!(!fail(&store, guard).await, "it is done");
    assert_eq!(claim(&store, "w", NOW_MS + 10 * LEASE_MS, 9).await, []);
    assert_eq!(get(&store, 1).await.usage_bytes, 321);
}

async fn a_file_that_is_indexed_anew_is_found_as_it_was_until_then(home: Home) {
    let (home, store) = library(home);
    create(&store, 1, &[]).await;
    indexed(&store, put(&[1]), &["old words"]).await;
    attach(&store, put(&[1])).await;
    assert_eq!(status(&store, 1).await, IndexingStatus::InProgress);
    let guard = take(&store).await;
    assert!(write(&store, &guard, &["new words", "more words"]).await);
    assert_eq!(found(&store, "words").await, ["old words"]);
    assert!(complete(&store, &guard, 200).await);
    let mut texts = found(&store, "words").await;
    texts.sort();
    assert_eq!(texts, ["more words", "new words"]);
    let now = get(&store, 1).await;
    assert_eq!(
        (counted(now.file_counts), now.usage_bytes),
        ([0, 1, 0, 0], 200)
    );
    assert_eq!(home.count("chunks"), 3);
    sweep(&store).await;
    assert_eq!(home.count("chunks"), 2);
    assert_eq!(home.count("chunk_vectors"), 2);
    assert_eq!(found(&store, "words").await.len(), 2);
}

async fn a_file_that_waits_already_goes_on_waiting(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1]).await;
    let guard = take(&store).await;
    assert!(write(&store, &guard, &["words"]).await);
    attach(&store, put(&[1])).await;
    assert!(write(&store, &guard, &["more"]).await, "the lease is good");
    // Cut up in another way, what was written is of no use.
    let mut other = put(&[1]);
    other.files[0].chunking.max_tokens = 100;
    attach(&store, other).await;
    assert!(!write(&store, &guard, &["lost"]).await);
    let again = claim(&store, "x", NOW_MS, 9).await.remove(0);
    assert_eq!((again.attempt, again.written), (1, 0));
    assert_eq!(again.chunking.max_tokens, 100);
    assert!(complete(&store, &again.guard, 1).await);
    assert_eq!(found(&store, "words more lost").await, Vec::<String>::new());
    assert_eq!(counted(get(&store, 1).await.file_counts), [0, 1, 0, 0]);
}

async fn what_has_failed_is_not_found_and_is_swept(home: Home) {
    let (home, store) = library(home);
    create(&store, 1, &[]).await;
    indexed(&store, put(&[1]), &["old words"]).await;
    attach(&store, put(&[1])).await;
    let guard = take(&store).await;
    assert!(write(&store, &guard, &["new words"]).await);
    assert!(fail(&store, &guard).await);
    assert_eq!(found(&store, "words").await, Vec::<String>::new());
    assert_eq!(get(&store, 1).await.usage_bytes, 0);
    sweep(&store).await;
    assert_eq!((home.count("chunks"), home.count("chunk_garbage")), (0, 0));
    // It can be tried again.
    indexed(&store, put(&[1]), &["good words"]).await;
    assert_eq!(found(&store, "words").await, ["good words"]);
    assert_eq!(file(&store, 1).await.last_error, None);
}

async fn a_worker_that_lost_its_lease_writes_nothing(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1]).await;
    let old = take(&store).await;
    let late = NOW_MS + LEASE_MS + 1;
    let new = claim(&store, "other", late, 9).await.remove(0);
    assert_eq!((new.attempt, new.guard.fence), (2, old.fence + 1));
    assert!(!write(&store, &old, &["old"]).await);
    assert!(!store.indexing().restart(old.clone()).await.unwrap());
    assert!(!store.indexing().retry(old.clone(), 5).await.unwrap());
    assert!(!complete(&store, &old, 1).await);
    assert!(!fail(&store, &old).await);
    assert!(write(&store, &new.guard, &["new"]).await);
    assert!(complete(&store, &new.guard, 1).await);
    assert_eq!(found(&store, "old new").await, ["new"]);
    // One that is taken out is nobody's.
    attach(&store, put(&[2])).await;
    let guard = take(&store).await;
    let files = store.vector_store_files();
    assert!(files.remove(&ws(), &id(1), &id(2)).await.unwrap());
    assert!(!write(&store, &guard, &["gone"]).await);
    assert!(!complete(&store, &guard, 1).await);
}

async fn a_worker_goes_on_behind_what_was_written_or_begins_anew(home: Home) {
    let (home, store) = library(home);
    create(&store, 1, &[1]).await;
    let first = take(&store).await;
    assert!(write(&store, &first, &["one", "two"]).await);
    let second = claim(&store, "x", NOW_MS + LEASE_MS + 1, 9).await.remove(0);
    assert_eq!(second.written, 2);
    assert!(write(&store, &second.guard, &["three"]).await);
    let third = claim(&store, "y", NOW_MS + 3 * LEASE_MS, 9).await.remove(0);
    assert_eq!(third.written, 3);
    let indexing = store.indexing();
    assert!(indexing.restart(third.guard.clone()).await.unwrap());
    assert!(write(&store, &third.guard, &["anew"]).await);
    assert!(complete(&store, &third.guard, 1).await);
    assert_eq!(found(&store, "one two three anew").await, ["anew"]);
    sweep(&store).await;
    assert_eq!(home.count("chunks"), 1);
}

async fn workspaces_take_turns_and_so_do_their_stores(home: Home) {
    let (home, store) = library(home);
    create(&store, 1, &[1, 2, 3, 4]).await;
    create(&store, 2, &[5, 6]).await;
    let other = id(0);
    home.execute(
        "INSERT INTO files (workspace_id, id, created_at, filename, purpose, bytes, status) \
         SELECT 'ws_0', id, created_at, filename, purpose, bytes, status FROM files",
    );
    let stores = store.vector_stores();
    let created = stores.create(&other, vector_store(3), put(&[7, 8]), None);
    created.await.unwrap();
    let mut turns = IndexingTurns::default();
    let mut taken = Vec::new();
    for max in [2, 3, 1, 9, 1] {
        let request = request("w", NOW_MS, max);
        let claims = store.indexing().claim(request, &mut turns).await.unwrap();
        taken.push(file_ids(&claims));
    }
    // One of the other workspace, one of this; here one of store 1, one of store 2; in each store, the
    // first that came.
    let expected: [&[u32]; 5] = [&[7, 1], &[8, 5, 2], &[6], &[3, 4], &[]];
    let expected = expected.map(|files| files.iter().map(|n| id(*n)).collect::<Vec<FileId>>());
    assert_eq!(taken, expected);
    assert_eq!(turns, IndexingTurns::default(), "nobody was last");
}

async fn a_file_that_is_put_off_waits_until_then(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1]).await;
    let indexing = store.indexing();
    assert_eq!(indexing.next_wake().await.unwrap(), Some(0));
    let guard = take(&store).await;
    assert!(write(&store, &guard, &["one"]).await);
    let at_ms = NOW_MS + 5_000;
    assert!(indexing.retry(guard.clone(), at_ms).await.unwrap());
    assert_eq!(indexing.next_wake().await.unwrap(), Some(at_ms));
    assert_eq!(claim(&store, "w", at_ms, 9).await, []);
    let again = claim(&store, "w", at_ms + 1, 9).await.remove(0);
    assert_eq!((again.attempt, again.written), (2, 1));
    assert!(complete(&store, &again.guard, 1).await);
    assert_eq!(indexing.next_wake().await.unwrap(), None);
}

async fn a_heartbeat_keeps_what_is_still_held(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1, 2, 3]).await;
    let (first, second, third) = (take(&store).await, take(&store).await, take(&store).await);
    assert!(complete(&store, &second, 1).await);
    let until = NOW_MS + 10 * LEASE_MS;
    let all = vec![third.clone(), second, first.clone()];
    let indexing = store.indexing();
    let held = indexing.heartbeat("w", all.clone(), until).await.unwrap();
    assert_eq!(held, [first, third.clone()]);
    let foreign = indexing.heartbeat("x", all, until).await.unwrap();
    assert_eq!(foreign, []);
    assert_eq!(claim(&store, "x", NOW_MS + 2 * LEASE_MS, 9).await, []);
    assert_eq!(claim(&store, "x", until + 1, 9).await.len(), 2);
    assert!(!write(&store, &third, &["late"]).await);
}

async fn released_files_are_free_at_once(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1, 2, 3]).await;
    claim(&store, "w", NOW_MS, 2).await;
    claim(&store, "x", NOW_MS, 1).await;
    assert_eq!(store.indexing().release_all("w").await.unwrap(), 2);
    let claims = claim(&store, "y", NOW_MS, 9).await;
    let expected: [FileId; 2] = [id(1), id(2)];
    assert_eq!(file_ids(&claims), expected);
}

async fn a_start_frees_what_is_nobodys_any_more(home: Home) {
    let (home, store) = library(home);
    create(&store, 1, &[1, 2]).await;
    claim(&store, "w", NOW_MS, 1).await;
    claim(&store, "w", NOW_MS - 2 * LEASE_MS, 1).await;
    // Where the database is nobody else's, every lease is void.
    let is_shared = matches!(home, Home::Postgres(_));
    let freed = store.indexing().recover(NOW_MS).await.unwrap();
    assert_eq!(freed, if is_shared { 1 } else { 2 });
    assert_eq!(claim(&store, "x", NOW_MS, 9).await.len() as u64, freed);
}

async fn a_text_is_put_together(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    attach(&store, put(&[1])).await;
    let chunks = store.chunks();
    let text = async || chunks.text(&ws(), &id(1), &id(1)).await.unwrap();
    let guard = take(&store).await;
    let mut overlapping = crate::documents::chunks(&["one two ", "two three ", "three"]);
    (overlapping[1].start, overlapping[2].start) = (4, 8);
    let written = store.indexing().write(guard.clone(), overlapping).await;
    assert!(written.unwrap());
    assert_eq!(text().await, "");
    assert!(complete(&store, &guard, 1).await);
    assert_eq!(text().await, "one two three ");
    // By their ids, in the order of these.
    let ids = found_ids(&store, "one three").await;
    let found = chunks.get(&ws(), ids.clone(), NOW).await.unwrap();
    assert_eq!(found.iter().map(|chunk| chunk.id).collect::<Vec<_>>(), ids);
    assert_eq!(found[0].filename, "file 1.txt");
}

async fn found_ids(store: &Store, text: &str) -> Vec<ChunkId> {
    let hits = search(store, text).await.into_iter();
    hits.map(|hit| hit.chunk).collect()
}

async fn of_claims_at_the_same_time_each_file_goes_to_one(home: Home) {
    let (_home, store) = library(home);
    let all: Vec<u32> = (1..=12).collect();
    create(&store, 1, &all).await;
    create(&store, 2, &all).await;
    let mut workers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        workers.spawn(async move { claim(&store, &format!("w{n}"), NOW_MS, 5).await });
    }
    let mut taken: Vec<_> = workers
        .join_all()
        .await
        .into_iter()
        .flatten()
        .map(|claim| (claim.guard.vector_store_id, claim.guard.file_id))
        .collect();
    taken.sort();
    assert_eq!(taken.len(), 24);
    taken.dedup();
    assert_eq!(taken.len(), 24);
}

async fn counts_are_right_whoever_finishes_at_the_same_time(home: Home) {
    let (_home, store) = library(home);
    let all: Vec<u32> = (1..=12).collect();
    create(&store, 1, &all[..6]).await;
    crate::documents::attach_batch(&store, 1, &all[6..]).await;
    let claims = claim(&store, "w", NOW_MS, 12).await;
    let mut workers = tokio::task::JoinSet::new();
    for (n, claim) in claims.into_iter().enumerate() {
        let store = store.clone();
        workers.spawn(async move {
            write(&store, &claim.guard, &["words"]).await;
            match n % 3 {
                0 => assert!(complete(&store, &claim.guard, 10).await),
                1 => assert!(fail(&store, &claim.guard).await),
                _ => {
                    let (of, file) = (&claim.guard.vector_store_id, &claim.guard.file_id);
                    let files = store.vector_store_files();
                    assert!(files.remove(&ws(), of, file).await.unwrap());
                }
            }
        });
    }
    workers.join_all().await;
    let now = get(&store, 1).await;
    assert_eq!(
        (counted(now.file_counts), now.usage_bytes),
        ([0, 4, 4, 0], 40)
    );
    let batch = crate::documents::get_batch(&store, 1).await;
    assert_eq!(counted(batch.file_counts), [0, 2, 2, 0]);
}
