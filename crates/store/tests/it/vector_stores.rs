//! Vector stores, the files in them, and batches.

use loomgate_domain::{
    FileId, Order, PageRequest, VectorStoreId, WorkspaceId,
    vector_store::{
        Attributes, FileBatchStatus, IndexingStatus, VectorStoreFile, VectorStoreStatus,
    },
};
use loomgate_store::Error;

use crate::{
    documents::{
        attach, attach_batch, batch, broken, chunks_of, complete, counted, create, fail, file,
        found, get, get_batch, indexed, library, put, status, sweep, tagged, take, terms,
        vector_store, write, year_of,
    },
    fixtures::{NOW, id, metadata, ws},
    home::Home,
    receipts::receipt,
};

on_both_engines! {
    a_store_is_kept_changed_listed_and_deleted,
    counts_of_store_and_batch_move_with_their_files,
    a_file_that_comes_again_moves_to_its_new_batch,
    a_batch_is_stopped_once,
    attributes_are_replaced_and_searched_by_at_once,
    lists_are_pages_and_filtered_by_status,
    what_is_not_there_is_not_put,
    a_store_takes_as_many_files_as_it_may,
    an_expired_store_takes_nothing_and_stays_so,
    a_deleted_store_leaves_nothing_once_it_was_swept,
    a_key_puts_once,
    another_workspace_sees_nothing,
}

fn ids(files: &[VectorStoreFile]) -> Vec<FileId> {
    files.iter().map(|file| file.file_id.clone()).collect()
}

fn numbered(numbers: &[u32]) -> Vec<FileId> {
    numbers.iter().map(|n| id(*n)).collect()
}

async fn a_store_is_kept_changed_listed_and_deleted(home: Home) {
    let (_home, store) = library(home);
    for n in 1..=3 {
        create(&store, n, &[]).await;
    }
    assert_eq!(get(&store, 2).await, vector_store(2));
    let stores = store.vector_stores();
    let changed = stores
        .update(&ws(), &id(2), |mut store| {
            store.name = None;
            store.description = Some("what it is for".into());
            store.metadata = metadata("k", "v");
            store.expires_after_days = Some(3);
            // What is not the client's to change.
            store.usage_bytes = 5;
            store.id = id(9);
            store
        })
        .await;
    let changed = changed.unwrap().unwrap();
    assert_eq!((changed.name.clone(), changed.usage_bytes), (None, 0));
    assert_eq!(get(&store, 2).await, changed);
    assert!(stores.delete(&ws(), &id(1), NOW).await.unwrap());
    assert!(!stores.delete(&ws(), &id(1), NOW).await.unwrap());
    assert_eq!(stores.get(&ws(), &id(1)).await.unwrap(), None);
    let page = stores.list(&ws(), PageRequest::default()).await.unwrap();
    let listed: Vec<VectorStoreId> = page.items.into_iter().map(|store| store.id).collect();
    assert_eq!(listed, [id(3), id(2)]);
    let after = PageRequest {
        after: Some(id(1)),
        ..PageRequest::default()
    };
    let gone = stores.list(&ws(), after).await;
    assert!(matches!(gone, Err(Error::NoSuchCursor(_))), "{gone:?}");
    let again = stores.update(&ws(), &id(1), |store| store).await;
    assert_eq!(again.unwrap(), None);
}

async fn counts_of_store_and_batch_move_with_their_files(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1]).await;
    attach_batch(&store, 1, &[2, 3, 4]).await;
    assert_eq!(counted(get(&store, 1).await.file_counts), [4, 0, 0, 0]);
    assert_eq!(
        counted(get_batch(&store, 1).await.file_counts),
        [3, 0, 0, 0]
    );
    assert_eq!(
        get(&store, 1).await.status(NOW),
        VectorStoreStatus::InProgress
    );
    for n in 1..=3 {
        let guard = take(&store).await;
        assert_eq!(guard.file_id, id(n));
        if n == 3 {
            assert!(fail(&store, &guard).await);
        } else {
            assert!(complete(&store, &guard, 100 + u64::from(n)).await);
        }
    }
    let failed = file(&store, 3).await;
    assert_eq!(failed.status, IndexingStatus::Failed);
    assert_eq!((failed.last_error, failed.usage_bytes), (Some(broken()), 0));
    assert_eq!(file(&store, 2).await.usage_bytes, 102);
    let now = get(&store, 1).await;
    assert_eq!(
        (counted(now.file_counts), now.usage_bytes),
        ([1, 2, 1, 0], 203)
    );
    assert_eq!(
        counted(get_batch(&store, 1).await.file_counts),
        [1, 1, 1, 0]
    );
    assert_eq!(
        get_batch(&store, 1).await.status(),
        FileBatchStatus::InProgress
    );
    let files = store.vector_store_files();
    for n in [2, 4] {
        assert!(files.remove(&ws(), &id(1), &id(n)).await.unwrap());
        assert!(!files.remove(&ws(), &id(1), &id(n)).await.unwrap());
    }
    let now = get(&store, 1).await;
    assert_eq!(
        (counted(now.file_counts), now.usage_bytes),
        ([0, 1, 1, 0], 101)
    );
    assert_eq!(now.status(NOW), VectorStoreStatus::Completed);
    assert_eq!(
        counted(get_batch(&store, 1).await.file_counts),
        [0, 0, 1, 0]
    );
    assert_eq!(
        get_batch(&store, 1).await.status(),
        FileBatchStatus::Completed
    );
}

async fn a_file_that_comes_again_moves_to_its_new_batch(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    attach_batch(&store, 1, &[1, 2]).await;
    let guard = take(&store).await;
    assert!(complete(&store, &guard, 70).await);
    // One that is done, one that waits, one that is new, and one that is named twice.
    attach_batch(&store, 2, &[1, 2, 3, 3]).await;
    assert_eq!(counted(get_batch(&store, 1).await.file_counts), [0; 4]);
    assert_eq!(
        counted(get_batch(&store, 2).await.file_counts),
        [3, 0, 0, 0]
    );
    let now = get(&store, 1).await;
    assert_eq!(
        (counted(now.file_counts), now.usage_bytes),
        ([3, 0, 0, 0], 0)
    );
    let page = PageRequest {
        order: Order::Asc,
        ..PageRequest::default()
    };
    let batches = store.file_batches();
    let listed = batches
        .files(&ws(), (&id(1), &id(2)), None, page.clone())
        .await;
    let listed = listed.unwrap().unwrap();
    assert_eq!(ids(&listed.items), numbered(&[1, 2, 3]));
    let before = batches.files(&ws(), (&id(1), &id(1)), None, page).await;
    assert_eq!(before.unwrap().unwrap().items, []);
}

async fn a_batch_is_stopped_once(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1]).await;
    attach_batch(&store, 1, &[2, 3]).await;
    take(&store).await;
    let done = take(&store).await;
    assert!(write(&store, &done, &["done"]).await);
    assert!(complete(&store, &done, 1).await);
    let stopped = take(&store).await;
    assert!(write(&store, &stopped, &["half"]).await);
    let batches = store.file_batches();
    let cancelled = batches
        .cancel(&ws(), &id(1), &id(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(cancelled.status(), FileBatchStatus::Cancelled);
    assert_eq!(counted(cancelled.file_counts), [0, 1, 0, 1]);
    assert_eq!(counted(get(&store, 1).await.file_counts), [1, 1, 0, 1]);
    assert_eq!(status(&store, 3).await, IndexingStatus::Cancelled);
    // Its worker has lost it.
    assert!(!write(&store, &stopped, &["more"]).await);
    assert!(!complete(&store, &stopped, 1).await);
    assert_eq!(found(&store, "half more done").await, ["done"]);
    let again = batches.cancel(&ws(), &id(1), &id(1)).await.unwrap();
    assert_eq!(again, Some(cancelled));
    attach_batch(&store, 2, &[4]).await;
    let guard = take(&store).await;
    assert!(complete(&store, &guard, 1).await);
    let late = batches
        .cancel(&ws(), &id(1), &id(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(late.status(), FileBatchStatus::Completed, "done before");
    let unknown = batches.cancel(&ws(), &id(1), &id(9)).await;
    assert_eq!(unknown.unwrap(), None);
}

async fn attributes_are_replaced_and_searched_by_at_once(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    indexed(&store, tagged(1, 2001), &["the same words"]).await;
    indexed(&store, tagged(2, 2002), &["the same words"]).await;
    let of = |year: u32| {
        let wanted = year_of(year);
        let store = &store;
        async move {
            let accept = move |attributes: &Attributes| *attributes == wanted;
            let hits = store
                .chunks()
                .lexical(&ws(), &[id(1)], (terms("words"), 10), accept)
                .await;
            let chunks = chunks_of(store, &hits.unwrap()).await.into_iter();
            chunks.map(|chunk| chunk.file_id).collect::<Vec<_>>()
        }
    };
    assert_eq!(of(2001).await, numbered(&[1]));
    let files = store.vector_store_files();
    let changed = files
        .set_attributes(&ws(), (&id(1), &id(1)), year_of(2002))
        .await;
    assert_eq!(changed.unwrap().unwrap().attributes, year_of(2002));
    assert_eq!(of(2001).await, []);
    assert_eq!(of(2002).await.len(), 2);
    let unknown = files
        .set_attributes(&ws(), (&id(1), &id(9)), year_of(1))
        .await;
    assert_eq!(unknown.unwrap(), None);
}

async fn lists_are_pages_and_filtered_by_status(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1, 2, 3]).await;
    attach_batch(&store, 1, &[4, 5, 6]).await;
    for _ in 0..4 {
        let guard = take(&store).await;
        complete(&store, &guard, 1).await;
    }
    let page = |order, limit, after: Option<u32>| PageRequest {
        limit,
        order,
        after: after.map(id),
        before: None,
    };
    let files = store.vector_store_files();
    let of = async |status, request| {
        let page = files.list(&ws(), &id(1), status, request).await;
        let page = page.unwrap().unwrap();
        (ids(&page.items), page.has_more)
    };
    let (asc, desc) = (Order::Asc, Order::Desc);
    assert_eq!(
        of(None, page(desc, 4, None)).await,
        (numbered(&[6, 5, 4, 3]), true)
    );
    assert_eq!(
        of(None, page(desc, 4, Some(3))).await,
        (numbered(&[2, 1]), false)
    );
    let completed = Some(IndexingStatus::Completed);
    assert_eq!(
        of(completed, page(asc, 3, None)).await,
        (numbered(&[1, 2, 3]), true)
    );
    assert_eq!(
        of(completed, page(asc, 3, Some(3))).await,
        (numbered(&[4]), false)
    );
    let waiting = Some(IndexingStatus::InProgress);
    assert_eq!(
        of(waiting, page(asc, 20, None)).await,
        (numbered(&[5, 6]), false)
    );
    let batches = store.file_batches();
    let of_batch = async |status, request| {
        let page = batches
            .files(&ws(), (&id(1), &id(1)), status, request)
            .await;
        let page = page.unwrap().unwrap();
        (ids(&page.items), page.has_more)
    };
    assert_eq!(
        of_batch(None, page(asc, 2, None)).await,
        (numbered(&[4, 5]), true)
    );
    assert_eq!(
        of_batch(None, page(desc, 20, Some(6))).await,
        (numbered(&[5, 4]), false)
    );
    assert_eq!(
        of_batch(waiting, page(desc, 20, None)).await,
        (numbered(&[6, 5]), false)
    );
    assert_eq!(
        of_batch(completed, page(asc, 20, None)).await,
        (numbered(&[4]), false)
    );
    // A cursor of the store is none of the batch.
    let foreign = batches
        .files(&ws(), (&id(1), &id(1)), None, page(asc, 2, Some(1)))
        .await;

    assert!(
        matches!(foreign, Err(Error::NoSuchCursor(_))),
        "{foreign:?}"
    );
    assert_eq!(
        files
            .list(&ws(), &id(9), None, page(asc, 2, None))
            .await
            .unwrap(),
        None
    );
}

async fn what_is_not_there_is_not_put(home: Home) {
    let (home, store) = library(home);
    let stores = store.vector_stores();
    let refused = stores
        .create(&ws(), vector_store(1), put(&[1, 99]), None)
        .await;
    assert!(matches!(refused, Err(Error::NoSuchFiles(files)) if files == ["file-99"]));
    assert_eq!(stores.get(&ws(), &id(1)).await.unwrap(), None);
    create(&store, 1, &[]).await;
    let files = store.vector_store_files();
    let refused = files.put(&ws(), &id(1), put(&[99]), None).await;
    assert!(matches!(refused, Err(Error::NoSuchFiles(_))), "{refused:?}");
    let absent = files.put(&ws(), &id(9), put(&[1]), None).await;
    assert_eq!(absent.unwrap(), None);
    home.execute("UPDATE files SET expires_at = 1700000000 WHERE id = 'file-2'");
    let refused = files.put(&ws(), &id(1), put(&[2]), None).await;
    assert!(
        matches!(refused, Err(Error::NoSuchFiles(_))),
        "it has expired"
    );
    let batches = store.file_batches();
    let refused = batches.create(&ws(), batch(1), put(&[1, 99]), None).await;
    assert!(matches!(refused, Err(Error::NoSuchFiles(_))), "{refused:?}");
    assert_eq!(batches.get(&ws(), &id(1), &id(1)).await.unwrap(), None);
    assert_eq!(counted(get(&store, 1).await.file_counts), [0; 4]);
}

async fn a_store_takes_as_many_files_as_it_may(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[1, 2]).await;
    let mut more = put(&[2, 3]);
    more.most = 3;
    attach(&store, more.clone()).await;
    more.files = put(&[3, 4]).files;
    let files = store.vector_store_files();
    let refused = files.put(&ws(), &id(1), more, None).await;
    assert!(matches!(refused, Err(Error::StoreFull)), "{refused:?}");
    assert_eq!(counted(get(&store, 1).await.file_counts), [3, 0, 0, 0]);
    assert_eq!(files.get(&ws(), &id(1), &id(4)).await.unwrap(), None);
}

async fn an_expired_store_takes_nothing_and_stays_so(home: Home) {
    let (_home, store) = library(home);
    let mut short = vector_store(1);
    short.expires_after_days = Some(1);
    let stores = store.vector_stores();
    stores.create(&ws(), short, put(&[1]), None).await.unwrap();
    let later = NOW.plus(80_000);
    stores.touch(&ws(), vec![id(1)], later).await.unwrap();
    assert_eq!(get(&store, 1).await.last_active_at, later);
    stores.touch(&ws(), vec![id(1)], NOW).await.unwrap();
    assert_eq!(get(&store, 1).await.last_active_at, later, "not back");
    let over = later.plus(86_400);
    stores.touch(&ws(), vec![id(1)], over).await.unwrap();
    let expired = get(&store, 1).await;
    assert_eq!(expired.last_active_at, later);
    assert_eq!(expired.status(over), VectorStoreStatus::Expired);
    let mut late = put(&[2]);
    late.at = over;
    let refused = store
        .vector_store_files()
        .put(&ws(), &id(1), late.clone(), None)
        .await;
    assert!(
        matches!(refused, Err(Error::StoreExpired(_))),
        "{refused:?}"
    );
    let refused = store
        .file_batches()
        .create(&ws(), batch(1), late, None)
        .await;
    assert!(
        matches!(refused, Err(Error::StoreExpired(_))),
        "{refused:?}"
    );
    // What is in it can still be read.
    assert_eq!(status(&store, 1).await, IndexingStatus::InProgress);
}

async fn a_deleted_store_leaves_nothing_once_it_was_swept(home: Home) {
    let (home, store) = library(home);
    create(&store, 1, &[1, 2, 3]).await;
    attach_batch(&store, 1, &[4]).await;
    attach_batch(&store, 2, &[5]).await;
    let done = take(&store).await;
    assert!(write(&store, &done, &["one", "two", "three"]).await);
    assert!(complete(&store, &done, 1).await);
    let half = take(&store).await;
    assert!(write(&store, &half, &["half"]).await);
    create(&store, 2, &[6]).await;
    let stores = store.vector_stores();
    assert!(stores.delete(&ws(), &id(1), NOW).await.unwrap());
    assert_eq!(found(&store, "one two three").await, Vec::<String>::new());
    let files = store.vector_store_files();
    assert_eq!(files.get(&ws(), &id(1), &id(1)).await.unwrap(), None);
    assert_eq!(
        files
            .list(&ws(), &id(1), None, PageRequest::default())
            .await
            .unwrap(),
        None
    );
    assert!(!files.remove(&ws(), &id(1), &id(1)).await.unwrap());
    let changed = files
        .set_attributes(&ws(), (&id(1), &id(1)), year_of(1))
        .await;
    assert_eq!(changed.unwrap(), None);
    let batches = store.file_batches();
    assert_eq!(batches.get(&ws(), &id(1), &id(1)).await.unwrap(), None);
    assert_eq!(batches.cancel(&ws(), &id(1), &id(1)).await.unwrap(), None);
    // Nobody works on it any more, neither with an old lease nor with a new one.
    assert!(!write(&store, &half, &["more"]).await);
    assert!(!complete(&store, &half, 1).await);
    assert_eq!(take(&store).await.vector_store_id, id(2));
    sweep(&store).await;
    for table in ["chunks", "chunk_terms", "chunk_vectors", "chunk_garbage"] {
        assert_eq!(home.count(table), 0, "{table}");
    }
    assert_eq!(home.count("vector_store_batches"), 0);
    assert_eq!(home.count("vector_store_files"), 1);
    assert_eq!(home.count("vector_stores"), 1);
    assert_eq!(counted(get(&store, 2).await.file_counts), [1, 0, 0, 0]);
}

async fn a_key_puts_once(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    let files = store.vector_store_files();
    let first = files
        .put(&ws(), &id(1), put(&[1]), Some(receipt("k")))
        .await;
    first.unwrap().unwrap();
    let again = files
        .put(&ws(), &id(1), put(&[2]), Some(receipt("k")))
        .await;
    assert!(matches!(again, Err(Error::Repeated)), "{again:?}");
    assert_eq!(counted(get(&store, 1).await.file_counts), [1, 0, 0, 0]);
    // Where nothing was put, nothing is kept.
    let absent = files
        .put(&ws(), &id(9), put(&[1]), Some(receipt("l")))
        .await;
    assert_eq!(absent.unwrap(), None);
    assert_eq!(store.receipts().get(&ws(), "l", NOW).await.unwrap(), None);
    let batches = store.file_batches();
    let again = batches
        .create(&ws(), batch(1), put(&[2]), Some(receipt("k")))
        .await;
    assert!(matches!(again, Err(Error::Repeated)), "{again:?}");
    let stores = store.vector_stores();
    let again = stores
        .create(&ws(), vector_store(2), put(&[]), Some(receipt("k")))
        .await;
    assert!(matches!(again, Err(Error::Repeated)), "{again:?}");
}

async fn another_workspace_sees_nothing(home: Home) {
    let (_home, store) = library(home);
    create(&store, 1, &[]).await;
    attach_batch(&store, 1, &[2]).await;
    let guard = take(&store).await;
    assert!(write(&store, &guard, &["secret"]).await);
    assert!(complete(&store, &guard, 1).await);
    let chunk = crate::documents::search(&store, "secret")
        .await
        .remove(0)
        .chunk;
    let other: WorkspaceId = id(2);
    let stores = store.vector_stores();
    assert_eq!(stores.get(&other, &id(1)).await.unwrap(), None);
    assert!(!stores.delete(&other, &id(1), NOW).await.unwrap());
    assert_eq!(
        stores.update(&other, &id(1), |store| store).await.unwrap(),
        None
    );
    assert_eq!(
        stores
            .list(&other, PageRequest::default())
            .await
            .unwrap()
            .items,
        []
    );
    stores
        .touch(&other, vec![id(1)], NOW.plus(9))
        .await
        .unwrap();
    let files = store.vector_store_files();
    assert_eq!(files.get(&other, &id(1), &id(2)).await.unwrap(), None);
    assert!(!files.remove(&other, &id(1), &id(2)).await.unwrap());
    let put_there = files.put(&other, &id(1), put(&[2]), None).await;
    assert!(
        matches!(put_there, Err(Error::NoSuchFiles(_))),
        "{put_there:?}"
    );
    assert_eq!(
        files.put(&other, &id(1), put(&[]), None).await.unwrap(),
        None
    );
    let changed = files
        .set_attributes(&other, (&id(1), &id(2)), year_of(1))
        .await;
    assert_eq!(changed.unwrap(), None);
    assert_eq!(
        files
            .list(&other, &id(1), None, PageRequest::default())
            .await
            .unwrap(),
        None
    );
    let batches = store.file_batches();
    assert_eq!(batches.get(&other, &id(1), &id(1)).await.unwrap(), None);
    assert_eq!(batches.cancel(&other, &id(1), &id(1)).await.unwrap(), None);
    let listed = batches
        .files(&other, (&id(1), &id(1)), None, PageRequest::default())
        .await;
    assert_eq!(listed.unwrap(), None);
    let chunks = store.chunks();
    let hits = chunks
        .lexical(&other, &[id(1)], (terms("secret"), 10), |_| true)
        .await;
    assert_eq!(hits.unwrap(), []);
    assert_eq!(chunks.get(&other, vec![chunk], NOW).await.unwrap(), []);
    assert_eq!(chunks.text(&other, &id(1), &id(2)).await.unwrap(), "");
    let vectors = chunks.vectors(&other, vec![chunk], "a", vec![]).await;
    assert_eq!(vectors.unwrap(), []);
    assert_eq!(chunks.version(&other, &id(1)).await.unwrap(), None);
    let embedded = chunks.embedded(&other, &id(1), "a").await;
    assert_eq!(embedded.unwrap(), None);
    let accepted = chunks.accepted(&other, &id(1), |_| true).await.unwrap();
    assert_eq!(accepted.len(), 0);
    assert_eq!(get(&store, 1).await.last_active_at, NOW);
    assert_eq!(chunks.get(&ws(), vec![chunk], NOW).await.unwrap().len(), 1);
}
