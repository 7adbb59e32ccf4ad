//! What two processes do to the same rows at the same moment: no update is lost, nobody waits for
//! ever, and every rule that SQLite's one writer keeps by being alone is kept by locks.

use std::collections::BTreeSet;

use loomgate_domain::{MessageId, Metadata, Order, PageRequest, RunId, Thread, limit::Owed};
use loomgate_store::{
    Error, IfLocked, NewRun, NewRunThread, Options, RunChange, Store, ThreadStores,
};
use loomgate_testkit::postgres::Database;
use tokio::task::JoinSet;

use crate::{
    fixtures::{
        NOW, NOW_MS, claim, completed, draft, guard, id, message, message_ids, metadata, queued,
        run, run_ids, step, thread, ws,
    },
    gateway::charge,
    home::postgres,
    keys::key,
};

/// Two processes, as far as the database can tell.
fn pair() -> [Store; 2] {
    let database = Database::new();
    [(); 2].map(|()| Store::open(Options::postgres(postgres(database.url()))).unwrap())
}

async fn empty_thread(store: &Store) {
    let inserted = store.threads().insert(&ws(), thread(1), Vec::new()).await;
    inserted.unwrap();
}

/// All messages of the thread, oldest first.
async fn list(store: &Store) -> Vec<MessageId> {
    let request = PageRequest {
        order: Order::Asc,
        limit: 100,
        ..PageRequest::default()
    };
    let listed = store.messages().list(&ws(), &id(1), None, request).await;
    message_ids(&listed.unwrap().unwrap().items)
}

/// Does something many times at once, by both in turn.
async fn at_once<T: Send + 'static, F>(
    stores: &[Store; 2],
    count: u32,
    work: impl Fn(Store, u32) -> F,
) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let mut all = JoinSet::new();
    for (n, store) in (1..=count).zip(stores.iter().cycle()) {
        all.spawn(work(store.clone(), n));
    }
    all.join_all().await
}

#[tokio::test]
async fn of_runs_created_at_once_one_gets_the_thread() {
    let stores = pair();
    empty_thread(&stores[0]).await;
    let created = at_once(&stores, 16, |store, n| async move {
        let new = NewRun {
            thread: NewRunThread::Existing {
                messages: vec![message(&id(1), n)],
            },
            run: run(&id(1), n),
            sealed: None,
            events: None,
            at_ms: NOW_MS,
            if_locked: IfLocked::Refuse,
            stores: ThreadStores::default(),
            receipt: None,
            take: None,
        };
        store.runs().create(&ws(), new).await
    });
    let (created, refused): (Vec<_>, Vec<_>) = created.await.into_iter().partition(Result::is_ok);
    assert_eq!(created.len(), 1);
    for refused in refused {
        assert!(
            matches!(refused, Err(Error::ActiveRun { .. })),
            "{refused:?}"
        );
    }
    let messages = stores[1].messages();
    let request = PageRequest::default();
    let listed = messages.list(&ws(), &id(1), None, request).await.unwrap();
    assert_eq!(listed.unwrap().items.len(), 1);
}

#[tokio::test]
async fn no_change_of_a_record_is_lost() {
    let stores = pair();
    empty_thread(&stores[0]).await;
    at_once(&stores, 30, |store, n| async move {
        let change = move |before: Thread| {
            let mut pairs: Vec<_> = before.metadata.iter().collect();
            let (name, value) = (format!("{}", n % 10), String::new());
            let more = pairs.iter().find(|(known, _)| **known == name);
            let value = more.map_or(value, |(_, value)| value.to_string()) + "x";
            pairs.retain(|(known, _)| **known != name);
            let pairs = pairs.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned()));
            Thread {
                metadata: Metadata::new(pairs.chain([(name, value)])).unwrap(),
                ..before
            }
        };
        store
            .threads()
            .update(&ws(), &id(1), change)
            .await
            .unwrap()
            .unwrap();
    })
    .await;
    let after = stores[0]
        .threads()
        .get(&ws(), &id(1))
        .await
        .unwrap()
        .unwrap();
    let counted = after
        .metadata
        .iter()
        .filter(|(_, value)| value.ends_with("xxx"));
    assert_eq!(counted.count(), 10, "{:?}", after.metadata);
}

#[tokio::test]
async fn messages_of_a_thread_are_listed_in_the_order_of_their_commits() {
    let stores = pair();
    empty_thread(&stores[0]).await;
    let seen = at_once(&stores, 60, |store, n| async move {
        let inserted = store.messages().insert(&ws(), message(&id(1), n)).await;
        inserted.unwrap().unwrap();
        list(&store).await
    });
    let seen = seen.await;
    let end = list(&stores[0]).await;
    assert_eq!(end.len(), 60);
    for list in seen {
        // Nothing appears later in front of what somebody has read.
        assert!(end.starts_with(&list), "{list:?} {end:?}");
    }
}

#[tokio::test]
async fn two_processes_claim_each_run_once() {
    let stores = pair();
    for n in 1..=40 {
        queued(&stores[0], n).await;
    }
    let claims = at_once(&stores, 10, |store, n| async move {
        run_ids(&claim(&store, &format!("w{n}"), NOW_MS, 7).await)
    });
    let claimed: Vec<RunId> = claims.await.into_iter().flatten().collect();
    let different: BTreeSet<_> = claimed.iter().collect();
    assert_eq!((claimed.len(), different.len()), (40, 40));
}

#[tokio::test]
async fn rows_that_several_write_are_taken_in_one_order() {
    let stores = pair();
    at_once(&stores, 40, |store, n| async move {
        let mut charges: Vec<_> = (0..5)
            .map(|of| charge(&format!("key:{of}"), "budget:cost", 0, 1))
            .collect();
        let mut kept: Vec<_> = (0..5)
            .map(|of| (format!("o{of}"), format!("{n}")))
            .collect();
        if n % 2 == 0 {
            charges.reverse();
            kept.reverse();
        }
        let owed = Owed {
            charges,
            ..Owed::default()
        };
        store.counters().settle(owed).await.unwrap();
        store.affinity().put(&ws(), kept).await.unwrap();
    })
    .await;
    let sum = stores[0].counters().load("key:3").await.unwrap();
    assert_eq!(sum, [charge("key:3", "budget:cost", 0, 40)]);
}

#[tokio::test]
async fn servers_that_start_together_agree_on_workspaces_and_keys() {
    let stores = pair();
    let kept = at_once(&stores, 8, |store, n| async move {
        let ws = store.workspaces().ensure("default").await.unwrap();
        let mut key = key(&ws, n);
        key.hash = "one".into();
        store.keys().put(key).await.unwrap().id
    });
    let kept: BTreeSet<_> = kept.await.into_iter().collect();
    assert_eq!(kept.len(), 1);
    assert_eq!(stores[0].keys().list(None).await.unwrap().len(), 1);
}

/// Everything that takes more than one lock, in every combination: each ends as it may, and none
/// waits for another that waits for it.
#[tokio::test]
async fn deletions_commands_commits_and_claims_do_not_wait_for_each_other() {
    let stores = pair();
    for n in 1..=12 {
        queued(&stores[0], n).await;
    }
    let held = claim(&stores[0], "w", NOW_MS, 12).await;
    let mut work = JoinSet::new();
    for claimed in held {
        let [one, two] = stores.clone();
        let (t, r) = (claimed.run.thread_id.clone(), claimed.run.id.clone());
        let change = RunChange {
            put_messages: vec![draft(&claimed.run, 100), draft(&claimed.run, 200)],
            put_steps: vec![step(&claimed.run, 1)],
            charges: vec![charge("a", "m", 0, 1), charge("b", "m", 0, 1)],
            ..RunChange::to(completed())
        };
        let mut change = change;
        for (at, put) in change.put_messages.iter_mut().enumerate() {
            put.id = id(u32::try_from(at).unwrap() + 10 * number(r.as_str()));
        }
        change.put_steps[0].id = id(number(r.as_str()));
        let committing = guard(&claimed);
        let store = one.clone();
        work.spawn(async move {
            store.runs().commit(committing, change).await.unwrap();
        });
        let (store, thread, run) = (two.clone(), t.clone(), r.clone());
        work.spawn(async move {
            let decide = |_| Ok::<_, ()>(Some(RunChange::to(completed())));
            let runs = store.runs();
            let commanded = runs.command(&ws(), &thread, &run, decide, NOW_MS).await;
            commanded.unwrap();
        });
        let (store, thread, run) = (one.clone(), t.clone(), r.clone());
        work.spawn(async move {
            let new = metadata("k", "v");
            let set = store.runs().set_metadata(&ws(), &thread, &run, new).await;
            set.unwrap();
        });
        let (store, thread) = (two.clone(), t.clone());
        work.spawn(async move {
            store.threads().delete(&ws(), &thread).await.unwrap();
        });
        work.spawn(async move {
            let lease = loomgate_store::Lease {
                ws: ws(),
                run: r,
                fence: claimed.fence,
            };
            let leases = vec![lease];
            one.runs().heartbeat("w", leases, NOW_MS).await.unwrap();
            two.runs().recover(i64::MAX).await.unwrap();
            claim(&two, "x", NOW_MS, 3).await;
        });
    }
    while let Some(done) = work.join_next().await {
        done.unwrap();
    }
    for n in 1..=12 {
        let left = stores[0].threads().get(&ws(), &id(n)).await.unwrap();
        assert_eq!(left, None);
    }
    let left = stores[0].runs().due(NOW.plus(10_000), 100).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
}

fn number(id: &str) -> u32 {
    id.rsplit('_').next().unwrap().parse().unwrap()
}
