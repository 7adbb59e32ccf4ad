//! Receipts: one creation a key, and nothing kept of what was not created.

use loomgate_domain::{
    KeyedRequest, PageRequest, Receipt, Timestamp, WorkspaceId,
    receipt::{Answer, RECEIPT_LIFETIME_S},
};
use loomgate_store::{Error, IfLocked, NewRun, NewRunThread, ThreadStores};

use crate::{
    exports::export,
    fixtures::{NOW, NOW_MS, assistant, id, message, queued, run, thread, ws},
    gateway::{config, virtual_key},
    home::Home,
    keys::key,
    logs::{feedback, log_id, record},
};

on_both_engines! {
    a_key_creates_once,
    a_refused_creation_leaves_no_receipt,
    of_creations_at_the_same_time_one_takes_place,
    receipts_expire_and_are_swept,
    a_key_is_its_workspaces_own,
    what_is_administered_is_created_once,
    what_is_kept_with_the_logs_is_created_once,
    sealed_answers_are_sealed_anew,
}

fn request(key: &str, at: Timestamp) -> KeyedRequest {
    KeyedRequest {
        key: key.to_owned(),
        fingerprint: "digest".to_owned(),
        request_id: "req_1".to_owned(),
        at,
    }
}

pub(crate) fn receipt(key: &str) -> Receipt {
    request(key, NOW).answered(Answer::Body("{}".to_owned()))
}

async fn a_key_creates_once(home: Home) {
    let store = home.open();
    let kept = receipt("k");
    let assistants = store.assistants();
    let created = assistants
        .create(&ws(), assistant(1), None, Some(kept.clone()))
        .await;
    created.unwrap();
    assert_eq!(
        store.receipts().get(&ws(), "k", NOW).await.unwrap(),
        Some(kept.clone())
    );
    // Whatever it is that comes under the key next.
    let assistants = store.assistants();
    let again = assistants
        .create(&ws(), assistant(2), None, Some(receipt("k")))
        .await;
    assert!(matches!(again, Err(Error::Repeated)), "{again:?}");
    let threads = store.threads();
    let again = threads
        .create(
            &ws(),
            (thread(1), Vec::new()),
            ThreadStores::default(),
            Some(receipt("k")),
        )
        .await;
    assert!(matches!(again, Err(Error::Repeated)), "{again:?}");
    assert_eq!(store.threads().get(&ws(), &id(1)).await.unwrap(), None);
    let page = store.assistants().list(&ws(), PageRequest::default()).await;
    assert_eq!(page.unwrap().items, [assistant(1)]);
}

async fn a_refused_creation_leaves_no_receipt(home: Home) {
    let store = home.open();
    let on = |thread: u32, n: u32| NewRun {
        thread: NewRunThread::Existing {
            messages: Vec::new(),
        },
        run: run(&id(thread), n),
        sealed: None,
        events: None,
        at_ms: NOW_MS,
        if_locked: IfLocked::Refuse,
        stores: ThreadStores::default(),
        receipt: Some(receipt("k")),
        take: None,
    };
    // No such thread.
    assert_eq!(store.runs().create(&ws(), on(7, 7)).await.unwrap(), None);
    let messages = store.messages();
    let missing = messages
        .create(
            &ws(),
            (message(&id(7), 7), None),
            IfLocked::Refuse,
            Some(receipt("k")),
        )
        .await;
    assert_eq!(missing.unwrap(), None);
    // A locked thread.
    queued(&store, 1).await;
    let locked = store.runs().create(&ws(), on(1, 2)).await;
    assert!(matches!(locked, Err(Error::ActiveRun { .. })), "{locked:?}");
    let messages = store.messages();
    let locked = messages
        .create(
            &ws(),
            (message(&id(1), 9), None),
            IfLocked::Refuse,
            Some(receipt("k")),
        )
        .await;
    assert!(matches!(locked, Err(Error::ActiveRun { .. })));
    assert_eq!(store.receipts().get(&ws(), "k", NOW).await.unwrap(), None);
}

async fn of_creations_at_the_same_time_one_takes_place(home: Home) {
    let store = home.open();
    let mut creations = tokio::task::JoinSet::new();
    for n in 1..=8 {
        let store = store.clone();
        creations.spawn(async move {
            let threads = store.threads();
            let first = vec![message(&id(n), n)];
            let kept = Some(receipt("k"));
            let (new, stores) = ((thread(n), first), ThreadStores::default());
            threads.create(&ws(), new, stores, kept).await
        });
    }
    let ends = creations.join_all().await;
    let created = ends.iter().filter(|end| end.is_ok()).count();
    let repeated = ends
        .iter()
        .filter(|end| matches!(end, Err(Error::Repeated)))
        .count();
    assert_eq!((created, repeated), (1, 7), "{ends:?}");
}

async fn receipts_expire_and_are_swept(home: Home) {
    let store = home.open();
    for (n, key) in [(1, "a"), (2, "b"), (3, "c")] {
        let assistants = store.assistants();
        let created = assistants
            .create(&ws(), assistant(n), None, Some(receipt(key)))
            .await;
        created.unwrap();
    }
    let last = NOW.plus(RECEIPT_LIFETIME_S - 1);
    let over = NOW.plus(RECEIPT_LIFETIME_S);
    let receipts = store.receipts();
    assert_eq!(receipts.sweep(last, 10).await.unwrap(), 0);
    assert!(receipts.get(&ws(), "a", last).await.unwrap().is_some());
    assert!(receipts.get(&ws(), "a", over).await.unwrap().is_none());
    // A key whose time is over creates again, swept or not; the new receipt is not swept.
    let answer = Answer::Body("new".to_owned());
    let new = request("a", over).answered(answer);
    let created = store
        .assistants()
        .create(&ws(), assistant(4), None, Some(new.clone()))
        .await;
    created.unwrap();
    assert_eq!(receipts.sweep(over, 1).await.unwrap(), 1);
    assert_eq!(receipts.sweep(over, 10).await.unwrap(), 1);
    assert_eq!(receipts.sweep(over, 10).await.unwrap(), 0);
    assert_eq!(receipts.get(&ws(), "a", over).await.unwrap(), Some(new));
}

async fn a_key_is_its_workspaces_own(home: Home) {
    let store = home.open();
    let other: WorkspaceId = id(2);
    for (ws, n) in [(ws(), 1), (other.clone(), 2)] {
        let assistants = store.assistants();
        let created = assistants
            .create(&ws, assistant(n), None, Some(receipt("k")))
            .await;
        created.unwrap();
    }
    let assistants = store.assistants();
    let created = assistants
        .create(&ws(), assistant(3), None, Some(receipt("mine")))
        .await;
    created.unwrap();
    let receipts = store.receipts();
    assert_eq!(receipts.get(&other, "mine", NOW).await.unwrap(), None);
}

async fn what_is_administered_is_created_once(home: Home) {
    let store = home.open();
    let asked: WorkspaceId = id(2);
    let made = store.workspaces().ensure("default").await.unwrap();
    // It is kept for the workspace that asked, whatever workspace it is made for.
    let own = |name: &str| Some((asked.clone(), receipt(name)));
    let (keys, virtual_keys, configs) = (store.keys(), store.virtual_keys(), store.configs());
    keys.insert(key(&made, 1), own("key")).await.unwrap();
    let main = virtual_key("main");
    virtual_keys.insert(main, own("virtual_key")).await.unwrap();
    configs
        .insert(config("pc-main"), own("config"))
        .await
        .unwrap();
    let before = key(&made, 1);
    let after = before.rotated("second".into(), "lg-2".into(), NOW, NOW);
    let rotated = keys.rotate(&made, &before, after, own("rotation")).await;
    assert!(rotated.unwrap().is_some());

    for name in ["key", "virtual_key", "config", "rotation"] {
        let kept = store.receipts().get(&asked, name, NOW).await.unwrap();
        assert_eq!(kept, Some(receipt(name)), "{name}");
        assert_eq!(store.receipts().get(&ws(), name, NOW).await.unwrap(), None);
    }
    let again = [
        keys.insert(key(&made, 2), own("key")).await,
        virtual_keys
            .insert(virtual_key("other"), own("virtual_key"))
            .await,
        configs.insert(config("pc-other"), own("config")).await,
        keys.rotate(
            &made,
            &before,
            before.rotated("third".into(), "lg-3".into(), NOW, NOW),
            own("rotation"),
        )
        .await
        .map(|_| ()),
    ];
    for again in again {
        assert!(matches!(again, Err(Error::Repeated)), "{again:?}");
    }
    let all = keys.list(Some(&made)).await.unwrap();
    let hashes: Vec<_> = all.iter().map(|key| &*key.hash).collect();
    assert_eq!(hashes, ["second"]);
    assert_eq!(virtual_keys.list(&ws()).await.unwrap().len(), 1);
    assert_eq!(configs.list(&ws()).await.unwrap().len(), 1);

    // What is not made leaves the key as good as new.
    let taken = virtual_keys.insert(virtual_key("main"), own("free")).await;
    assert!(matches!(taken, Err(Error::Duplicate)), "{taken:?}");
    let missing = key(&made, 9);
    let late = keys.rotate(&made, &missing, missing.clone(), own("free"));
    assert_eq!(late.await.unwrap(), None);
    let kept = store.receipts().get(&asked, "free", NOW).await.unwrap();
    assert_eq!(kept, None);
}

async fn what_is_kept_with_the_logs_is_created_once(home: Home) {
    let store = home.open();
    let asked: WorkspaceId = id(2);
    let own = |name: &str| Some((asked.clone(), receipt(name)));
    let logs = store.logs();
    let inserted = logs.insert(vec![record(&ws(), 1)], own("log")).await;
    inserted.unwrap();
    logs.add_feedback(vec![feedback(1, "a", 5)], own("feedback"))
        .await
        .unwrap();
    logs.add_export(export(1), own("export")).await.unwrap();
    for name in ["log", "feedback", "export"] {
        let kept = store.log_receipts().get(&asked, name, NOW).await.unwrap();
        assert_eq!(kept, Some(receipt(name)), "{name}");
        assert_eq!(store.receipts().get(&asked, name, NOW).await.unwrap(), None);
    }
    let again = [
        logs.insert(vec![record(&ws(), 2)], own("log"))
            .await
            .map(|_| ()),
        logs.add_feedback(vec![feedback(2, "a", 5)], own("feedback"))
            .await,
        logs.add_export(export(2), own("export")).await,
    ];
    for again in again {
        assert!(matches!(again, Err(Error::Repeated)), "{again:?}");
    }
    assert_eq!(logs.get(&ws(), &log_id(2)).await.unwrap(), None);
    assert_eq!(logs.feedback(&ws(), "a").await.unwrap().len(), 1);
    assert_eq!(logs.exports(&ws()).await.unwrap().len(), 1);

    let over = NOW.plus(RECEIPT_LIFETIME_S);
    let receipts = store.log_receipts();
    assert_eq!(receipts.sweep(NOW, 10).await.unwrap(), 0);
    assert_eq!(receipts.sweep(over, 10).await.unwrap(), 3);
    logs.add_export(export(3), own("export")).await.unwrap();
}

async fn sealed_answers_are_sealed_anew(home: Home) {
    let store = home.open();
    let answers = [
        ("b", Answer::Sealed("v1:old".to_owned())),
        ("a", Answer::Sealed("v12:old".to_owned())),
        ("current", Answer::Sealed("v2:new".to_owned())),
        ("plain", Answer::Body(r#"{"sealed":"v1:no"}"#.to_owned())),
    ];
    for (n, (name, answer)) in (1..).zip(answers) {
        let receipt = request(name, NOW).answered(answer);
        let assistants = store.assistants();
        let created = assistants
            .create(&ws(), assistant(n), None, Some(receipt))
            .await;
        created.unwrap();
    }
    let receipts = store.receipts();
    let first = receipts.sealed_otherwise("v2:", None, 1).await.unwrap();
    assert_eq!((&*first[0].key, &*first[0].sealed), ("a", "v12:old"));
    let rest = receipts.sealed_otherwise("v2:", first.last(), 9).await;
    let rest = rest.unwrap();
    let keys: Vec<_> = rest.iter().map(|receipt| &*receipt.key).collect();
    assert_eq!(keys, ["b"]);

    let anew = || receipts.reseal(rest[0].clone(), "v2:anew".to_owned());
    assert!(anew().await.unwrap());
    assert!(!anew().await.unwrap(), "it is another one by now");
    let kept = receipts.get(&ws(), "b", NOW).await.unwrap().unwrap();
    assert_eq!(kept.answer, Answer::Sealed("v2:anew".to_owned()));
    let left = receipts.sealed_otherwise("v2:", None, 9).await.unwrap();
    assert_eq!(left, first);
}
