//! Uploads in parts.

use loomgate_domain::{
    PartId, Timestamp, Upload, UploadId, UploadPart, WorkspaceId,
    file::{Blob, Purpose},
    upload::{UPLOAD_LIFETIME_S, UploadStatus},
};
use loomgate_store::{Completed, Completion, Error, Store};

use crate::{
    files::blob,
    fixtures::{NOW, id, ws},
    home::Home,
    receipts::receipt,
};

on_both_engines! {
    parts_become_a_file_in_the_order_that_is_asked_for,
    what_does_not_fit_is_refused_and_changes_nothing,
    a_completed_upload_answers_the_same_parts_again,
    a_cancelled_upload_leaves_nothing,
    time_closes_an_upload,
    a_foreign_workspace_sees_and_changes_nothing,
}

/// What the parts of an upload may have together.
const MOST: u64 = u64::MAX;

fn upload(n: u32, bytes: u64) -> Upload {
    Upload {
        id: id(n),
        created_at: NOW,
        expires_at: Timestamp(NOW.0 + i64::from(UPLOAD_LIFETIME_S)),
        filename: "all.jsonl".into(),
        purpose: Purpose::FineTune,
        mime_type: "text/jsonl".into(),
        bytes,
        file_expires_after_s: None,
        status: UploadStatus::Pending,
        file_id: None,
    }
}

async fn add(store: &Store, upload: u32, n: u32, at: Timestamp) -> Result<Option<()>, Error> {
    let blob = Blob {
        id: id(1000 + n),
        ..blob(n)
    };
    store.blobs().begin(&ws(), &blob.id, NOW).await.unwrap();
    let part = UploadPart {
        id: id(n),
        upload_id: id(upload),
        created_at: at,
    };
    store
        .uploads()
        .add_part(&ws(), part, blob, MOST, None)
        .await
}

/// An upload of one byte, and its part.
pub(crate) async fn with_part(store: &Store, n: u32) {
    let uploads = store.uploads();
    uploads
        .create(&ws(), upload(n, u64::from(n)), None)
        .await
        .unwrap();
    add(store, n, n, NOW).await.unwrap().unwrap();
}

fn completion(parts: &[u32]) -> Completion {
    Completion {
        parts: parts.iter().map(|n| id(*n)).collect(),
        file: id(7),
        now: NOW,
    }
}

async fn complete(
    store: &Store,
    n: u32,
    completion: Completion,
) -> Result<Option<Completed>, Error> {
    store
        .uploads()
        .complete(&ws(), &id(n), completion, |_| Ok(None))
        .await
}

async fn due(store: &Store) -> usize {
    let now = Timestamp(NOW.0 + 100_000);
    store.blobs().take_due(now, 100).await.unwrap().len()
}

async fn parts_become_a_file_in_the_order_that_is_asked_for(home: Home) {
    let store = home.open();
    let uploads = store.uploads();
    let mut new = upload(1, 5);
    new.file_expires_after_s = Some(3600);
    uploads
        .create(&ws(), new.clone(), Some(receipt("k")))
        .await
        .unwrap();
    let again = uploads
        .create(&ws(), upload(2, 5), Some(receipt("k")))
        .await;
    assert!(matches!(again, Err(Error::Repeated)), "{again:?}");
    assert_eq!(uploads.get(&ws(), &id(1), NOW).await.unwrap(), Some(new));
    for n in [2, 3, 4] {
        add(&store, 1, n, NOW).await.unwrap().unwrap();
    }
    let parts: Vec<PartId> = vec![id(3), id(2)];
    let blobs = uploads.blobs(&ws(), &id(1), parts, NOW).await;
    let blobs = blobs.unwrap().unwrap().unwrap();
    assert_eq!(
        blobs.iter().map(|blob| blob.bytes).collect::<Vec<_>>(),
        [3, 2]
    );
    let completed = complete(&store, 1, completion(&[3, 2]))
        .await
        .unwrap()
        .unwrap();
    let file = completed.file.unwrap();
    assert_eq!(
        (completed.upload.status, file.bytes),
        (UploadStatus::Completed, 5)
    );
    assert_eq!(file.expires_at, Some(Timestamp(NOW.0 + 3600)));
    assert_eq!(completed.upload.file_id.as_ref(), Some(&file.id));
    let (found, blobs) = store
        .files()
        .with_blobs(&ws(), &id(7), NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, file);
    assert_eq!(
        blobs.iter().map(|blob| blob.bytes).collect::<Vec<_>>(),
        [3, 2]
    );
    assert_eq!(due(&store).await, 1, "the part that was left out");
}

async fn what_does_not_fit_is_refused_and_changes_nothing(home: Home) {
    let store = home.open();
    store
        .uploads()
        .create(&ws(), upload(1, 5), None)
        .await
        .unwrap();
    for n in [2, 3] {
        add(&store, 1, n, NOW).await.unwrap().unwrap();
    }
    let refused = complete(&store, 1, completion(&[2, 9, 8])).await;
    let Err(Error::NoSuchParts(parts)) = refused else {
        panic!("{refused:?}")
    };
    assert_eq!(parts, ["part_9", "part_8"]);
    let refused = complete(&store, 1, completion(&[2, 3, 2])).await;
    assert!(
        matches!(refused, Err(Error::DuplicateParts(_))),
        "{refused:?}"
    );
    for parts in [&[3][..], &[]] {
        let refused = complete(&store, 1, completion(parts)).await;
        let Err(Error::UploadSize { expected: 5, .. }) = refused else {
            panic!("{refused:?}")
        };
    }
    assert!(
        complete(&store, 9, completion(&[2, 3]))
            .await
            .unwrap()
            .is_none()
    );
    assert!(add(&store, 9, 5, NOW).await.unwrap().is_none());
    let found = store
        .uploads()
        .get(&ws(), &id(1), NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found, upload(1, 5));
    complete(&store, 1, completion(&[2, 3]))
        .await
        .unwrap()
        .unwrap();
}

async fn a_completed_upload_answers_the_same_parts_again(home: Home) {
    let store = home.open();
    with_part(&store, 1).await;
    let first = complete(&store, 1, completion(&[1]))
        .await
        .unwrap()
        .unwrap();
    let second = Completion {
        file: id(8),
        ..completion(&[1])
    };
    let again = complete(&store, 1, second.clone()).await.unwrap().unwrap();
    assert_eq!(again, first);
    let refused = complete(&store, 1, completion(&[1, 2])).await;
    assert!(matches!(
        refused,
        Err(Error::UploadClosed(UploadStatus::Completed))
    ));
    let refused = add(&store, 1, 5, NOW).await;
    assert!(matches!(
        refused,
        Err(Error::UploadClosed(UploadStatus::Completed))
    ));
    assert!(store.files().delete(&ws(), &id(7), NOW).await.unwrap());
    let again = complete(&store, 1, second).await.unwrap().unwrap();
    assert_eq!(again.file, None);
}

async fn a_cancelled_upload_leaves_nothing(home: Home) {
    let store = home.open();
    with_part(&store, 1).await;
    let uploads = store.uploads();
    let cancelled = uploads.cancel(&ws(), &id(1), NOW).await.unwrap().unwrap();
    assert_eq!(cancelled.status, UploadStatus::Cancelled);
    for refused in [
        uploads.cancel(&ws(), &id(1), NOW).await.map(|_| ()),
        add(&store, 1, 2, NOW).await.map(|_| ()),
        complete(&store, 1, completion(&[1])).await.map(|_| ()),
    ] {
        let Err(Error::UploadClosed(UploadStatus::Cancelled)) = refused else {
            panic!("{refused:?}")
        };
    }
    assert_eq!(due(&store).await, 2);
    assert_eq!(uploads.cancel(&ws(), &id(2), NOW).await.unwrap(), None);
}

async fn time_closes_an_upload(home: Home) {
    let store = home.open();
    with_part(&store, 1).await;
    let uploads = store.uploads();
    let end = Timestamp(NOW.0 + 3600);
    let before = Timestamp(end.0 - 1);
    assert_eq!(uploads.sweep(before, 10).await.unwrap(), 0);
    let found = uploads.get(&ws(), &id(1), end).await.unwrap().unwrap();
    assert_eq!(found.status, UploadStatus::Expired);
    let refused = add(&store, 1, 2, end).await;
    assert!(matches!(
        refused,
        Err(Error::UploadClosed(UploadStatus::Expired))
    ));
    assert_eq!(uploads.sweep(end, 10).await.unwrap(), 1);
    assert_eq!(due(&store).await, 2);
    assert_eq!(uploads.sweep(end, 10).await.unwrap(), 0);
    let week = Timestamp(end.0 + 7 * 24 * 3600);
    assert_eq!(uploads.sweep(week, 10).await.unwrap(), 1);
    assert_eq!(uploads.get(&ws(), &id(1), end).await.unwrap(), None);
}

async fn a_foreign_workspace_sees_and_changes_nothing(home: Home) {
    let store = home.open();
    with_part(&store, 1).await;
    let foreign: WorkspaceId = id(2);
    let uploads = store.uploads();
    let upload: UploadId = id(1);
    assert_eq!(uploads.get(&foreign, &upload, NOW).await.unwrap(), None);
    assert_eq!(uploads.cancel(&foreign, &upload, NOW).await.unwrap(), None);
    let taken = uploads
        .complete(&foreign, &upload, completion(&[1]), |_| Ok(None))
        .await;
    assert_eq!(taken.unwrap(), None);
    let parts = uploads.blobs(&foreign, &upload, vec![id(1)], NOW).await;
    assert_eq!(parts.unwrap(), None);
    let part = UploadPart {
        id: id(4),
        upload_id: upload.clone(),
        created_at: NOW,
    };
    let added = uploads
        .add_part(&foreign, part, blob(4), MOST, None)
        .await
        .unwrap();
    assert_eq!(added, None);
    let found = uploads.get(&ws(), &upload, NOW).await.unwrap().unwrap();
    assert_eq!(found.status, UploadStatus::Pending);
}
