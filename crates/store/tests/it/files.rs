//! Files and the blobs that they are made of.

use std::collections::BTreeSet;

use loomgate_domain::{
    BlobId, File, FileId, Message, Order, PageRequest, Timestamp, WorkspaceId,
    file::{Blob, FileStatus, Purpose},
    message::{Attachment, AttachmentTool},
};
use loomgate_store::{Error, Store};

use crate::{
    documents::{self, indexed, library, put, search},
    fixtures::{NOW, assistant, id, message, thread, ws},
    home::Home,
    receipts::receipt,
};

on_both_engines! {
    a_file_is_kept_listed_and_deleted,
    the_same_bytes_are_kept_once,
    the_last_file_of_a_blob_takes_it_along,
    what_is_not_finished_is_taken_once,
    what_was_taken_makes_no_file,
    damaged_bytes_make_no_other_file,
    expired_files_are_gone_at_once_and_swept,
    an_expired_file_is_found_no_more_and_the_sweep_takes_it_out_of_what_names_it,
    a_deleted_file_leaves_the_resources_that_name_it,
    resources_name_only_files_that_are_there,
    attachments_become_files_of_the_thread,
    a_foreign_workspace_sees_and_changes_nothing,
    a_lease_has_one_holder,
}

pub(crate) fn file(n: u32) -> File {
    File {
        id: id(n),
        created_at: NOW,
        filename: format!("datei {n}.t\u{e4}xt"),
        purpose: Purpose::Assistants,
        bytes: u64::from(n),
        expires_at: None,
        status: FileStatus::Processed,
    }
}

/// Bytes that no other number has.
pub(crate) fn blob(n: u32) -> Blob {
    Blob {
        id: id(n),
        hash: format!("{n:064x}"),
        bytes: u64::from(n),
    }
}

async fn create(store: &Store, file: File, blob: Blob) -> Result<(), Error> {
    store.blobs().begin(&ws(), &blob.id, NOW).await.unwrap();
    store.files().create(&ws(), file, blob, (None, NOW)).await
}

/// A file that is there.
pub(crate) async fn kept(store: &Store, n: u32) -> FileId {
    create(store, file(n), blob(n)).await.unwrap();
    id(n)
}

async fn blobs_of(store: &Store, n: u32) -> Vec<BlobId> {
    let found = store.files().with_blobs(&ws(), &id(n), NOW).await.unwrap();
    let (_, blobs) = found.unwrap();
    blobs.into_iter().map(|blob| blob.id).collect()
}

/// What the sweeper gets to remove, some time later.
async fn due(store: &Store, after: i64) -> BTreeSet<BlobId> {
    let now = Timestamp(NOW.0 + after);
    let due = store.blobs().take_due(now, 100).await.unwrap();
    due.into_iter().map(|(_, blob)| blob).collect()
}

fn set<const N: usize>(blobs: [u32; N]) -> BTreeSet<BlobId> {
    blobs.into_iter().map(id).collect()
}

async fn a_file_is_kept_listed_and_deleted(home: Home) {
    let store = home.open();
    for n in 1..=5 {
        let purpose = if n == 3 {
            Purpose::Vision
        } else {
            Purpose::Assistants
        };
        create(&store, File { purpose, ..file(n) }, blob(n))
            .await
            .unwrap();
    }
    let files = store.files();
    assert_eq!(files.get(&ws(), &id(2), NOW).await.unwrap(), Some(file(2)));
    let found = files
        .find(&ws(), vec![id(9), id(4), id(4), id(1)], NOW)
        .await;
    assert_eq!(found.unwrap(), [file(4), file(1)]);
    assert_eq!(blobs_of(&store, 2).await, [id(2)]);
    let numbers = async |purpose: Option<&str>, request: PageRequest<FileId>| {
        let page = files
            .list(&ws(), purpose.map(str::to_owned), request, NOW)
            .await
            .unwrap();
        let numbers: Vec<_> = page.items.iter().map(|file| file.bytes).collect();
        (numbers, page.has_more)
    };
    let all = PageRequest::default;
    assert_eq!(numbers(None, all()).await, (vec![5, 4, 3, 2, 1], false));
    let page = PageRequest {
        limit: 2,
        order: Order::Asc,
        after: Some(id(2)),
        before: None,
    };
    assert_eq!(numbers(None, page).await, (vec![3, 4], true));
    assert_eq!(numbers(Some("vision"), all()).await, (vec![3], false));
    let page = PageRequest {
        limit: 1,
        after: Some(id(4)),
        ..all()
    };
    assert_eq!(numbers(Some("assistants"), page).await, (vec![2], true));
    assert_eq!(numbers(Some("batch"), all()).await, (vec![], false));
    let unknown = PageRequest {
        after: Some(id(77)),
        ..all()
    };
    let refused = files.list(&ws(), None, unknown, NOW).await;
    assert!(
        matches!(refused, Err(Error::NoSuchCursor(_))),
        "{refused:?}"
    );

    assert!(files.delete(&ws(), &id(2), NOW).await.unwrap());
    assert!(!files.delete(&ws(), &id(2), NOW).await.unwrap());
    assert_eq!(files.get(&ws(), &id(2), NOW).await.unwrap(), None);
    assert_eq!(files.with_blobs(&ws(), &id(2), NOW).await.unwrap(), None);
}

async fn the_same_bytes_are_kept_once(home: Home) {
    let store = home.open();
    kept(&store, 1).await;
    let same = Blob {
        id: id(2),
        ..blob(1)
    };
    create(&store, file(2), same).await.unwrap();
    assert_eq!(blobs_of(&store, 2).await, [id(1)]);
    assert_eq!(
        due(&store, 0).await,
        set([2]),
        "the second object is nobody's"
    );
    // Not across workspaces: how long it takes would tell what others have.
    let other: WorkspaceId = id(2);
    let same = Blob {
        id: id(3),
        ..blob(1)
    };
    store.blobs().begin(&other, &same.id, NOW).await.unwrap();
    let files = store.files();
    files
        .create(&other, file(3), same, (None, NOW))
        .await
        .unwrap();
    let (_, blobs) = files
        .with_blobs(&other, &id(3), NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(blobs[0].id, id(3));
}

async fn the_last_file_of_a_blob_takes_it_along(home: Home) {
    let store = home.open();
    kept(&store, 1).await;
    create(
        &store,
        file(2),
        Blob {
            id: id(2),
            ..blob(1)
        },
    )
    .await
    .unwrap();
    due(&store, 0).await;
    store.blobs().removed(vec![(ws(), id(2))]).await.unwrap();
    assert!(store.files().delete(&ws(), &id(1), NOW).await.unwrap());
    assert_eq!(due(&store, 10_000).await, set([]));
    assert!(store.files().delete(&ws(), &id(2), NOW).await.unwrap());
    assert_eq!(due(&store, 59).await, set([]), "somebody may be reading it");
    assert_eq!(due(&store, 60).await, set([1]));
    // Whoever took it ended before it was removed.
    assert_eq!(due(&store, 200).await, set([]));
    assert_eq!(due(&store, 360).await, set([1]));
    store.blobs().removed(vec![(ws(), id(1))]).await.unwrap();
    assert_eq!(due(&store, 10_000).await, set([]));
    let gone = vec![(ws(), id(1))];
    assert_eq!(store.blobs().without_row(gone.clone()).await.unwrap(), gone);
}

async fn what_is_not_finished_is_taken_once(home: Home) {
    let store = home.open();
    let blobs = store.blobs();
    for n in 1..=3 {
        blobs.begin(&ws(), &id(n), NOW).await.unwrap();
    }
    assert!(
        blobs
            .touch(&ws(), &id(2), Timestamp(NOW.0 + 3000))
            .await
            .unwrap()
    );
    blobs.abandon(&ws(), &id(3), NOW).await.unwrap();
    assert_eq!(due(&store, 1).await, set([3]));
    assert_eq!(due(&store, 3600).await, set([1, 3]));
    assert!(
        !blobs.touch(&ws(), &id(1), NOW).await.unwrap(),
        "it was taken"
    );
    assert_eq!(due(&store, 6600).await, set([1, 2, 3]));
    let pairs = [1, 2, 3, 4].map(|n| (ws(), id(n))).to_vec();
    let unknown = blobs.without_row(pairs).await.unwrap();
    assert_eq!(unknown, [(ws(), id(4))]);
}

async fn what_was_taken_makes_no_file(home: Home) {
    let store = home.open();
    store.blobs().begin(&ws(), &id(1), NOW).await.unwrap();
    assert_eq!(due(&store, 3600).await, set([1]));
    let kept = Some(receipt("k"));
    let refused = store
        .files()
        .create(&ws(), file(1), blob(1), (kept, NOW))
        .await;
    assert!(matches!(refused, Err(Error::Swept)), "{refused:?}");
    assert_eq!(store.files().get(&ws(), &id(1), NOW).await.unwrap(), None);
    assert_eq!(store.receipts().get(&ws(), "k", NOW).await.unwrap(), None);
    // What was deleted is not taken for the same bytes either.
    kept_then_deleted(&store).await;
    create(
        &store,
        file(3),
        Blob {
            id: id(3),
            ..blob(2)
        },
    )
    .await
    .unwrap();
    assert_eq!(blobs_of(&store, 3).await, [id(3)]);
}

async fn kept_then_deleted(store: &Store) {
    kept(store, 2).await;
    assert!(store.files().delete(&ws(), &id(2), NOW).await.unwrap());
}

async fn damaged_bytes_make_no_other_file(home: Home) {
    let store = home.open();
    kept(&store, 1).await;
    store.blobs().set_damaged(&ws(), &id(1)).await.unwrap();
    create(
        &store,
        file(2),
        Blob {
            id: id(2),
            ..blob(1)
        },
    )
    .await
    .unwrap();
    assert_eq!(blobs_of(&store, 2).await, [id(2)]);
    assert_eq!(blobs_of(&store, 1).await, [id(1)]);
    assert!(store.files().delete(&ws(), &id(1), NOW).await.unwrap());
    assert_eq!(due(&store, 60).await, set([1]));
}

async fn expired_files_are_gone_at_once_and_swept(home: Home) {
    let store = home.open();
    let expires_at = Some(Timestamp(NOW.0 + 100));
    create(
        &store,
        File {
            expires_at,
            ..file(1)
        },
        blob(1),
    )
    .await
    .unwrap();
    kept(&store, 2).await;
    let files = store.files();
    let (before, after) = (Timestamp(NOW.0 + 99), Timestamp(NOW.0 + 100));
    assert!(files.get(&ws(), &id(1), before).await.unwrap().is_some());
    assert_eq!(files.get(&ws(), &id(1), after).await.unwrap(), None);
    assert_eq!(files.find(&ws(), vec![id(1)], after).await.unwrap(), []);
    assert_eq!(files.with_blobs(&ws(), &id(1), after).await.unwrap(), None);
    assert!(!files.delete(&ws(), &id(1), after).await.unwrap());
    for (now, left) in [(before, 2), (after, 1)] {
        for purpose in [None, Some("assistants".to_owned())] {
            let page = files
                .list(&ws(), purpose, PageRequest::default(), now)
                .await;
            assert_eq!(page.unwrap().items.len(), left);
        }
    }
    assert_eq!(files.sweep(before, 10).await.unwrap(), 0);
    assert_eq!(files.sweep(after, 10).await.unwrap(), 1);
    assert_eq!(files.sweep(after, 10).await.unwrap(), 0);
    assert_eq!(due(&store, 1000).await, set([1]));
}

async fn an_expired_file_is_found_no_more_and_the_sweep_takes_it_out_of_what_names_it(home: Home) {
    let (home, store) = library(home);
    let (before, after) = (Timestamp(NOW.0 + 99), Timestamp(NOW.0 + 100));
    let expiry = format!("UPDATE files SET expires_at = {}", after.0);
    home.execute(&format!("{expiry} WHERE id = 'file-1'"));
    documents::create(&store, 1, &[]).await;
    indexed(&store, put(&[1]), &["a red shuttle"]).await;
    indexed(&store, put(&[2]), &["a blue shuttle"]).await;
    let mut user = assistant(1);
    user.tool_resources.add_file("file-1");
    store.assistants().insert(&ws(), user).await.unwrap();
    let hits = search(&store, "shuttle").await;
    let ids: Vec<_> = hits.iter().map(|hit| hit.chunk).collect();
    let found = async |now: Timestamp| {
        let chunks = store.chunks().get(&ws(), ids.clone(), now).await.unwrap();
        let mut texts: Vec<_> = chunks.into_iter().map(|chunk| chunk.text).collect();
        texts.sort();
        texts
    };
    assert_eq!(found(before).await, ["a blue shuttle", "a red shuttle"]);
    assert_eq!(found(after).await, ["a blue shuttle"]);

    let named = async || {
        let user = store.assistants().get(&ws(), &id(1)).await.unwrap();
        let all = PageRequest::default();
        let listed = store.vector_store_files();
        let listed = listed.list(&ws(), &id(1), None, all).await.unwrap();
        let completed = documents::get(&store, 1).await.file_counts.completed;
        let files = user.unwrap().tool_resources.file_ids().len();
        (files, listed.unwrap().items.len(), completed)
    };
    assert_eq!(store.files().sweep(before, 10).await.unwrap(), 0);
    assert_eq!(named().await, (1, 2, 2));
    assert_eq!(store.files().sweep(after, 10).await.unwrap(), 1);
    assert_eq!(named().await, (0, 1, 1));
}

async fn a_deleted_file_leaves_the_resources_that_name_it(home: Home) {
    let store = home.open();
    kept(&store, 1).await;
    kept(&store, 2).await;
    let mut user = assistant(1);
    user.tool_resources.add_file("file-1");
    user.tool_resources.add_file("file-2");
    store.assistants().insert(&ws(), user).await.unwrap();
    let mut on = thread(1);
    on.tool_resources.add_file("file-1");
    store.threads().insert(&ws(), on, Vec::new()).await.unwrap();
    // One that names it no more is left alone.
    let mut late = assistant(2);
    late.tool_resources.add_file("file-1");
    store.assistants().insert(&ws(), late).await.unwrap();
    let assistants = store.assistants();
    let (workspace, second) = (ws(), id(2));
    let emptied = assistants.update(&workspace, &second, |mut it| {
        it.tool_resources = loomgate_domain::tool::ToolResources::default();
        it
    });
    emptied.await.unwrap().unwrap();

    assert!(store.files().delete(&ws(), &id(1), NOW).await.unwrap());
    let user = store
        .assistants()
        .get(&ws(), &id(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(user.tool_resources.file_ids(), ["file-2"]);
    let on = store.threads().get(&ws(), &id(1)).await.unwrap().unwrap();
    assert!(on.tool_resources.file_ids().is_empty());
    let late = store
        .assistants()
        .get(&ws(), &id(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(late, assistant(2));
    // What used it may go before it does.
    assert!(store.assistants().delete(&ws(), &id(1)).await.unwrap());
    store
        .threads()
        .delete(&ws(), &id(1))
        .await
        .unwrap()
        .unwrap();
    assert!(store.files().delete(&ws(), &id(2), NOW).await.unwrap());
}

async fn resources_name_only_files_that_are_there(home: Home) {
    let store = home.open();
    kept(&store, 1).await;
    let mut user = assistant(1);
    user.tool_resources.add_file("file-1");
    user.tool_resources.add_file("file-9");
    let refused = store
        .assistants()
        .create(&ws(), user, None, Some(receipt("k")))
        .await;
    let Err(Error::NoSuchFiles(missing)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(missing, ["file-9"]);
    assert_eq!(store.assistants().get(&ws(), &id(1)).await.unwrap(), None);
    assert_eq!(store.receipts().get(&ws(), "k", NOW).await.unwrap(), None);
    store
        .threads()
        .insert(&ws(), thread(1), Vec::new())
        .await
        .unwrap();
    let threads = store.threads();
    let (workspace, first) = (ws(), id(1));
    let refused = threads.update(&workspace, &first, |mut it| {
        it.tool_resources.add_file("file-9");
        it
    });
    assert!(matches!(refused.await, Err(Error::NoSuchFiles(_))));
    let on = store.threads().get(&ws(), &id(1)).await.unwrap().unwrap();
    assert_eq!(on, thread(1));
}

fn attached(n: u32, files: &[u32], tool: AttachmentTool) -> Message {
    let attachment = |n: &u32| Attachment {
        file_id: Some(format!("file-{n}")),
        tools: vec![tool],
    };
    Message {
        attachments: files.iter().map(attachment).collect(),
        ..message(&id(1), n)
    }
}

async fn attachments_become_files_of_the_thread(home: Home) {
    let store = home.open();
    for n in 1..=21 {
        kept(&store, n).await;
    }
    let first = attached(1, &[1, 1], AttachmentTool::CodeInterpreter);
    store
        .threads()
        .insert(&ws(), thread(1), vec![first])
        .await
        .unwrap();
    let more = attached(2, &[2, 1], AttachmentTool::CodeInterpreter);
    store.messages().insert(&ws(), more).await.unwrap().unwrap();
    let files = async || {
        let on = store.threads().get(&ws(), &id(1)).await.unwrap().unwrap();
        on.tool_resources.file_ids().to_vec()
    };
    assert_eq!(files().await, ["file-1", "file-2"]);
    let all: Vec<_> = (1..=20).collect();
    let most = attached(3, &all, AttachmentTool::CodeInterpreter);
    store.messages().insert(&ws(), most).await.unwrap().unwrap();
    assert_eq!(files().await.len(), 20);
    let over = attached(4, &[21], AttachmentTool::CodeInterpreter);
    let refused = store.messages().insert(&ws(), over).await;
    assert!(matches!(refused, Err(Error::TooManyFiles)), "{refused:?}");
    let message = store.messages().get(&ws(), &id(1), &id(4)).await.unwrap();
    assert_eq!(message, None);
    assert!(store.files().delete(&ws(), &id(7), NOW).await.unwrap());
    assert_eq!(files().await.len(), 19);
}

async fn a_foreign_workspace_sees_and_changes_nothing(home: Home) {
    let store = home.open();
    kept(&store, 1).await;
    let foreign: WorkspaceId = id(2);
    let files = store.files();
    assert_eq!(files.get(&foreign, &id(1), NOW).await.unwrap(), None);
    assert_eq!(files.find(&foreign, vec![id(1)], NOW).await.unwrap(), []);
    assert_eq!(files.with_blobs(&foreign, &id(1), NOW).await.unwrap(), None);
    assert!(!files.delete(&foreign, &id(1), NOW).await.unwrap());
    let page = files
        .list(&foreign, None, PageRequest::default(), NOW)
        .await
        .unwrap();
    assert_eq!(page.items, []);
    let cursor = PageRequest {
        after: Some(id(1)),
        ..PageRequest::default()
    };
    let refused = files.list(&foreign, None, cursor, NOW).await;
    assert!(
        matches!(refused, Err(Error::NoSuchCursor(_))),
        "{refused:?}"
    );
    let blobs = store.blobs();
    blobs.set_damaged(&foreign, &id(1)).await.unwrap();
    blobs.abandon(&foreign, &id(1), NOW).await.unwrap();
    assert!(!blobs.touch(&foreign, &id(1), NOW).await.unwrap());
    let mut thief = assistant(1);
    thief.tool_resources.add_file("file-1");
    let refused = store.assistants().insert(&foreign, thief).await;
    assert!(matches!(refused, Err(Error::NoSuchFiles(_))), "{refused:?}");
    assert_eq!(due(&store, 100_000).await, set([]));
    assert_eq!(files.get(&ws(), &id(1), NOW).await.unwrap(), Some(file(1)));
}

async fn a_lease_has_one_holder(home: Home) {
    let store = home.open();
    let leases = store.leases();
    assert!(leases.take("list", NOW, 60).await.unwrap());
    assert!(
        !leases
            .take("list", Timestamp(NOW.0 + 59), 60)
            .await
            .unwrap()
    );
    assert!(leases.take("other", NOW, 60).await.unwrap());
    assert!(
        leases
            .take("list", Timestamp(NOW.0 + 60), 60)
            .await
            .unwrap()
    );
}
