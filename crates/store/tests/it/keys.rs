//! API keys and workspaces.

use loomgate_domain::{
    Scope, Scopes, Timestamp, WorkspaceId,
    key::{ApiKey, KeySettings, PreviousHash},
};
use loomgate_store::Error;

use crate::{
    fixtures::{NOW, id},
    home::Home,
};

on_both_engines! {
    a_workspace_is_made_once,
    a_key_is_found_by_its_hash_until_and_after_it_is_revoked,
    a_key_of_the_config_is_put_again_and_again,
    keys_are_listed_oldest_first,
    a_key_is_kept_whole_and_changed,
    a_key_that_was_changed_meanwhile_is_left_as_it_is,
    a_rotated_key_is_found_by_both_hashes,
    keys_are_listed_by_workspace,
}

pub(crate) fn key(ws: &WorkspaceId, n: u32) -> ApiKey {
    ApiKey {
        id: id(n),
        workspace: ws.clone(),
        name: format!("key {n}"),
        hash: format!("hash-{n}"),
        hint: "lg-made".into(),
        previous: None,
        settings: KeySettings {
            usage_since: NOW,
            ..KeySettings::default()
        },
        created_at: NOW,
        updated_at: NOW,
        revoked_at: None,
    }
}

async fn a_workspace_is_made_once(home: Home) {
    let store = home.open();
    let default = store.workspaces().ensure("default").await.unwrap();
    assert_eq!(store.workspaces().ensure("default").await.unwrap(), default);
    let other = store.workspaces().ensure("other").await.unwrap();
    assert_ne!(other, default);
}

async fn a_key_is_found_by_its_hash_until_and_after_it_is_revoked(home: Home) {
    let store = home.open();
    let ws = store.workspaces().ensure("default").await.unwrap();
    let one = key(&ws, 1);
    store.keys().insert(one.clone(), None).await.unwrap();
    let again = store.keys().insert(one.clone(), None).await;
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

async fn a_key_of_the_config_is_put_again_and_again(home: Home) {
    let store = home.open();
    let ws = store.workspaces().ensure("default").await.unwrap();
    let first = store.keys().put(key(&ws, 1)).await.unwrap();
    assert_eq!(first, key(&ws, 1));
    let changed = ApiKey {
        id: id(7),
        name: "renamed".into(),
        settings: KeySettings {
            default_virtual_key: Some("main".into()),
            usage_since: NOW.plus(60),
            ..KeySettings::default()
        },
        updated_at: NOW.plus(60),
        ..key(&ws, 1)
    };
    let second = store.keys().put(changed.clone()).await.unwrap();
    let mut expected = ApiKey {
        id: id(1),
        ..changed.clone()
    };
    expected.settings.usage_since = NOW;
    assert_eq!(second, expected);
    assert_eq!(store.keys().list(None).await.unwrap(), [expected]);

    assert!(store.keys().revoke(&id(1), NOW).await.unwrap());
    let third = store.keys().put(changed).await.unwrap();
    assert_eq!(third.revoked_at, Some(NOW), "stays revoked");
}

async fn keys_are_listed_oldest_first(home: Home) {
    let store = home.open();
    let ws = store.workspaces().ensure("default").await.unwrap();
    for n in [3, 1, 2] {
        store.keys().insert(key(&ws, n), None).await.unwrap();
    }
    let ids: Vec<_> = store.keys().list(None).await.unwrap();
    let ids: Vec<_> = ids.into_iter().map(|key| key.id).collect();
    assert_eq!(ids, [id(3), id(1), id(2)]);
}

async fn a_key_is_kept_whole_and_changed(home: Home) {
    let store = home.open();
    let ws = store.workspaces().ensure("default").await.unwrap();
    let mut one = key(&ws, 1);
    one.previous = Some(PreviousHash {
        hash: "older".into(),
        until: NOW,
    });
    one.settings.scopes = Scopes::new([Scope::Admin]);
    one.settings.metadata = [("team".to_owned(), "a".to_owned())].into();
    store.keys().insert(one.clone(), None).await.unwrap();
    assert_eq!(
        store.keys().get(&ws, &one.id).await.unwrap(),
        Some(one.clone())
    );

    let settings = KeySettings {
        expires_at: Some(NOW),
        ..KeySettings::default()
    };
    let at = NOW.plus(9);
    let expected = ApiKey {
        settings,
        name: "renamed".into(),
        updated_at: at,
        ..one.clone()
    };
    let updated = store.keys().update(&ws, &one, expected.clone()).await;
    assert_eq!(updated.unwrap(), Some(expected.clone()));
    assert_eq!(
        store.keys().get(&ws, &one.id).await.unwrap(),
        Some(expected)
    );

    assert!(store.keys().delete(&ws, &one.id).await.unwrap());
    assert!(!store.keys().delete(&ws, &one.id).await.unwrap());
    assert_eq!(store.keys().by_hash("hash-1").await.unwrap(), None);
}

async fn a_key_that_was_changed_meanwhile_is_left_as_it_is(home: Home) {
    let store = home.open();
    let ws = store.workspaces().ensure("default").await.unwrap();
    let read = key(&ws, 1);
    store.keys().insert(read.clone(), None).await.unwrap();
    let mut narrowed = read.clone();
    narrowed.settings.scopes = Scopes::new([Scope::LogsView]);
    let updated = store.keys().update(&ws, &read, narrowed.clone()).await;
    assert!(updated.unwrap().is_some());

    // Whoever had read it before may not give its scopes back, nor take it over.
    let renamed = ApiKey {
        name: "renamed".into(),
        ..read.clone()
    };
    let late = store.keys().update(&ws, &read, renamed).await;
    assert_eq!(late.unwrap(), None);
    let stolen = read.rotated("stolen".into(), "lg-".into(), NOW, NOW);
    let late = store.keys().rotate(&ws, &read, stolen, None).await;
    assert_eq!(late.unwrap(), None);
    let kept = store.keys().get(&ws, &read.id).await.unwrap();
    assert_eq!(kept, Some(narrowed.clone()));

    assert!(store.keys().revoke(&read.id, NOW).await.unwrap());
    let late = store.keys().update(&ws, &narrowed, read).await;
    assert_eq!(late.unwrap(), None, "revoked");
}

async fn a_rotated_key_is_found_by_both_hashes(home: Home) {
    let store = home.open();
    let ws = store.workspaces().ensure("default").await.unwrap();
    let one = key(&ws, 1);
    store.keys().insert(one.clone(), None).await.unwrap();
    let rotate = async |hash: &str, n: u32| {
        let (until, at) = (NOW.plus(100 * n), NOW.plus(n));
        let after = one.rotated(hash.to_owned(), format!("lg-{n}"), until, at);
        store.keys().rotate(&ws, &one, after, None).await
    };
    let expected = ApiKey {
        hash: "second".into(),
        hint: "lg-1".into(),
        previous: Some(PreviousHash {
            hash: "hash-1".into(),
            until: NOW.plus(100),
        }),
        updated_at: NOW.plus(1),
        ..one.clone()
    };
    assert_eq!(rotate("second", 1).await.unwrap(), Some(expected.clone()));
    for hash in ["hash-1", "second"] {
        let found = store.keys().by_hash(hash).await.unwrap();
        assert_eq!(found, Some(expected.clone()), "{hash}");
    }
    // The next rotation forgets the first hash.
    assert!(rotate("third", 2).await.unwrap().is_some());
    assert_eq!(store.keys().by_hash("hash-1").await.unwrap(), None);
    // A hash opens one key: that of another is refused.
    store.keys().insert(key(&ws, 2), None).await.unwrap();
    let taken = rotate("hash-2", 3).await;
    assert!(matches!(taken, Err(Error::Duplicate)), "{taken:?}");
    // And the one who has a hash now goes before the one who had it.
    let mut heir = key(&ws, 3);
    heir.hash = "second".into();
    store.keys().insert(heir.clone(), None).await.unwrap();
    assert_eq!(store.keys().by_hash("second").await.unwrap(), Some(heir));

    assert!(store.keys().revoke(&one.id, NOW).await.unwrap());
    assert_eq!(rotate("fourth", 4).await.unwrap(), None, "revoked");
}

async fn keys_are_listed_by_workspace(home: Home) {
    let store = home.open();
    let one = store.workspaces().ensure("one").await.unwrap();
    let two = store.workspaces().ensure("two").await.unwrap();
    for (ws, n) in [(&one, 1), (&two, 2), (&one, 3)] {
        store.keys().insert(key(ws, n), None).await.unwrap();
    }
    let listed = store.keys().list(Some(&one)).await.unwrap();
    assert_eq!(listed, [key(&one, 1), key(&one, 3)]);
    assert_eq!(store.keys().list(None).await.unwrap().len(), 3);
}
