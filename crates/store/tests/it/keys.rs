//! API keys and workspaces.

use loomgate_domain::{Timestamp, WorkspaceId, key::ApiKey};
use loomgate_store::Error;

use crate::fixtures::{NOW, id, store};

fn key(ws: &WorkspaceId, n: u32) -> ApiKey {
    ApiKey {
        id: id(n),
        workspace: ws.clone(),
        name: format!("key {n}"),
        hash: format!("hash-{n}"),
        hint: "lg-made".into(),
        default_virtual_key: None,
        created_at: NOW,
        revoked_at: None,
    }
}

#[tokio::test]
async fn a_workspace_is_made_once() {
    let store = store();
    let default = store.workspaces().ensure("default").await.unwrap();
    assert_eq!(store.workspaces().ensure("default").await.unwrap(), default);
    let other = store.workspaces().ensure("other").await.unwrap();
    assert_ne!(other, default);
}

#[tokio::test]
async fn a_key_is_found_by_its_hash_until_and_after_it_is_revoked() {
    let store = store();
    let ws = store.workspaces().ensure("default").await.unwrap();
    let one = key(&ws, 1);
    store.keys().insert(one.clone()).await.unwrap();
    let again = store.keys().insert(one.clone()).await;
    assert!(matches!(again, Err(Error::Duplicate)), "{again:?}");
    let found = store.keys().by_hash("hash-1").await.unwrap();
    assert_eq!(found, Some(one.clone()));
    assert_eq!(store.keys().by_hash("hash-2").await.unwrap(), None);

    let at = Timestamp(NOW.0 + 5);
    assert!(store.keys().revoke(&one.id, at).await.unwrap());
    assert!(!store.keys().revoke(&one.id, NOW).await.unwrap());
    assert!(!store.keys().revoke(&id(2), NOW).await.unwrap());
    let found = store.keys().by_hash("hash-1").await.unwrap().unwrap();
    assert_eq!(found.revoked_at, Some(at));
}

#[tokio::test]
async fn a_key_of_the_config_is_put_again_and_again() {
    let store = store();
    let ws = store.workspaces().ensure("default").await.unwrap();
    let first = store.keys().put(key(&ws, 1)).await.unwrap();
    assert_eq!(first, key(&ws, 1));
    let changed = ApiKey {
        id: id(7),
        name: "renamed".into(),
        default_virtual_key: Some("main".into()),
        ..key(&ws, 1)
    };
    let second = store.keys().put(changed.clone()).await.unwrap();
    let expected = ApiKey {
        id: id(1),
        ..changed.clone()
    };
    assert_eq!(second, expected);
    assert_eq!(store.keys().list().await.unwrap(), [expected]);

    assert!(store.keys().revoke(&id(1), NOW).await.unwrap());
    let third = store.keys().put(changed).await.unwrap();
    assert_eq!(third.revoked_at, Some(NOW), "stays revoked");
}

#[tokio::test]
async fn keys_are_listed_oldest_first() {
    let store = store();
    let ws = store.workspaces().ensure("default").await.unwrap();
    for n in [3, 1, 2] {
        store.keys().insert(key(&ws, n)).await.unwrap();
    }
    let ids: Vec<_> = store.keys().list().await.unwrap();
    let ids: Vec<_> = ids.into_iter().map(|key| key.id).collect();
    assert_eq!(ids, [id(3), id(1), id(2)]);
}
