//! What waits until its thread is free.

use std::collections::BTreeSet;

use loomgate_domain::{
    Message, MessageId, Metadata, Order, PageRequest, Receipt, RunId, ThreadId,
    run::{RunState, RunStatus},
};
use loomgate_store::{
    Deleted, Error, IfLocked, Kept, NewRun, NewRunThread, RunChange, Store, ThreadStores,
    WAITING_MAX,
};

use crate::{
    fixtures::{
        NOW, NOW_MS, cancelling, claim, completed, get_run, guard, id, message, message_ids, run,
        running, ws,
    },
    home::Home,
    receipts::receipt,
};

on_both_engines! {
    what_waits_has_its_turn_in_its_order,
    a_waiting_message_is_read_changed_and_deleted,
    a_waiting_run_is_cancelled_without_a_turn,
    a_waiting_run_expires,
    a_free_thread_takes_at_once,
    only_so_much_waits_for_a_thread,
    a_refused_place_leaves_no_receipt,
    a_deleted_thread_takes_what_waits_with_it,
    of_another_workspace_nothing_is_seen,
}

on_both_engines! {
    multi_thread:
    nothing_is_left_behind_when_a_run_ends_meanwhile,
}

/// Run `n` on thread 1, with messages.
fn later(n: u32, messages: Vec<Message>) -> NewRun {
    NewRun {
        thread: NewRunThread::Existing { messages },
        run: run(&id(1), n),
        sealed: None,
        events: None,
        at_ms: NOW_MS,
        if_locked: IfLocked::Enqueue,
        stores: ThreadStores::default(),
        receipt: None,
        take: None,
    }
}

async fn post_later(store: &Store, n: u32) -> Result<Option<()>, Error> {
    post(store, message(&id(1), n), None).await
}

async fn post(
    store: &Store,
    message: Message,
    receipt: Option<Receipt>,
) -> Result<Option<()>, Error> {
    let messages = store.messages();
    messages
        .create(&ws(), (message, None), IfLocked::Enqueue, receipt)
        .await
}

async fn create(store: &Store, new: NewRun) -> Result<Option<Kept>, Error> {
    store.runs().create(&ws(), new).await
}

/// The messages of thread 1 that have their place, oldest first.
async fn listed(store: &Store) -> Vec<MessageId> {
    let messages = store.messages();
    let page = messages.list(&ws(), &id(1), None, oldest_first()).await;
    message_ids(&page.unwrap().unwrap().items)
}

/// The runs of thread 1, oldest first.
async fn runs(store: &Store) -> Vec<RunId> {
    let runs = store.runs();
    let page = runs.list(&ws(), &id(1), oldest_first()).await;
    let runs = page.unwrap().unwrap().items.into_iter();
    runs.map(|run| run.id).collect()
}

fn oldest_first<T>() -> PageRequest<T> {
    PageRequest {
        limit: 100,
        order: Order::Asc,
        after: None,
        before: None,
    }
}

async fn end(store: &Store, claim: &loomgate_store::Claim) {
    let change = RunChange::to(completed());
    let committed = store.runs().commit(guard(claim), change).await.unwrap();
    assert!(committed.is_some());
}

/// The run that is to be carried out now, taken.
async fn next(store: &Store) -> Option<loomgate_store::Claim> {
    let mut claims = claim(store, "w", NOW_MS, 10).await;
    assert!(claims.len() <= 1, "{claims:?}");
    claims.pop()
}

async fn what_waits_has_its_turn_in_its_order(home: Home) {
    let store = home.open();
    let first = running(&store, 1).await;
    post_later(&store, 10).await.unwrap();
    let with_message = later(2, vec![message(&id(1), 11)]);
    create(&store, with_message).await.unwrap();
    post_later(&store, 12).await.unwrap();
    create(&store, later(3, Vec::new())).await.unwrap();

    // They are there, but have no place yet.
    assert!(listed(&store).await.is_empty());
    assert_eq!(runs(&store).await, [id(1), id(2), id(3)]);
    let waiting = get_run(&store, &run(&id(1), 2)).await;
    assert_eq!(waiting.state.status(), RunStatus::Queued);
    assert!(next(&store).await.is_none());

    end(&store, &first).await;
    assert_eq!(listed(&store).await, [id(10), id(11)]);
    let second = next(&store).await.unwrap();
    assert_eq!(second.run.id, id(2));
    let locked = store.messages().insert(&ws(), message(&id(1), 99)).await;
    assert!(
        matches!(&locked, Err(Error::ActiveRun { run }) if *run == id(2)),
        "{locked:?}"
    );

    end(&store, &second).await;
    assert_eq!(listed(&store).await, [id(10), id(11), id(12)]);
    let third = next(&store).await.unwrap();
    assert_eq!(third.run.id, id(3));
    end(&store, &third).await;
    let free = store.messages().insert(&ws(), message(&id(1), 13)).await;
    assert_eq!(free.unwrap(), Some(()));
}

async fn a_waiting_message_is_read_changed_and_deleted(home: Home) {
    let store = home.open();
    let first = running(&store, 1).await;
    for n in [10, 11] {
        post_later(&store, n).await.unwrap();
    }
    let messages = store.messages();
    let thread: ThreadId = id(1);
    let expected = message(&thread, 10);
    let found = messages.get(&ws(), &thread, &id(10)).await.unwrap();
    assert_eq!(found, Some(expected.clone()));

    let metadata: Metadata = serde_json::from_str(r#"{"a":"b"}"#).unwrap();
    let expected = Message {
        metadata: metadata.clone(),
        ..expected
    };
    let changed = messages
        .set_metadata(&ws(), &thread, &id(10), metadata)
        .await;
    assert_eq!(changed.unwrap(), Some(expected.clone()));
    assert!(messages.delete(&ws(), &thread, &id(11)).await.unwrap());
    assert!(!messages.delete(&ws(), &thread, &id(11)).await.unwrap());
    assert_eq!(messages.get(&ws(), &thread, &id(11)).await.unwrap(), None);
    // By its own thread only.
    assert_eq!(messages.get(&ws(), &id(2), &id(10)).await.unwrap(), None);

    end(&store, &first).await;
    let found = messages.get(&ws(), &thread, &id(10)).await.unwrap();
    assert_eq!(found, Some(expected));
    assert_eq!(listed(&store).await, [id(10)]);
}

async fn a_waiting_run_is_cancelled_without_a_turn(home: Home) {
    let store = home.open();
    let first = running(&store, 1).await;
    create(&store, later(2, Vec::new())).await.unwrap();
    create(&store, later(3, Vec::new())).await.unwrap();
    let decide = |_| Ok::<_, ()>(Some(RunChange::to(cancelling())));
    let runs = store.runs();
    let cancelled = runs.command(&ws(), &id(1), &id(2), decide, NOW_MS).await;
    assert!(cancelled.unwrap().unwrap().unwrap().changed);
    // A worker ends it, whatever goes on in the thread.
    let second = next(&store).await.unwrap();
    assert_eq!(second.run.id, id(2));
    end(&store, &second).await;
    assert!(next(&store).await.is_none());
    end(&store, &first).await;
    assert_eq!(next(&store).await.unwrap().run.id, id(3));
}

async fn a_waiting_run_expires(home: Home) {
    let store = home.open();
    let first = running(&store, 1).await;
    create(&store, later(2, Vec::new())).await.unwrap();
    let expiry = run(&id(1), 2).settings.expires_at;
    let runs = store.runs();
    assert_eq!(runs.next_deadline().await.unwrap(), Some(expiry));
    let due = runs.due(expiry, 10).await.unwrap();
    assert!(due.contains(&(ws(), id(1), id(2))), "{due:?}");
    assert!(runs.due(NOW, 10).await.unwrap().is_empty());
    let expired = RunState::Expired { started_at: None };
    let decide = move |_| Ok::<_, ()>(Some(RunChange::to(expired.clone())));
    let ended = runs.command(&ws(), &id(1), &id(2), decide, NOW_MS).await;
    assert!(ended.unwrap().unwrap().unwrap().changed);
    let due = runs.due(expiry, 10).await.unwrap();
    assert!(!due.contains(&(ws(), id(1), id(2))), "{due:?}");
    end(&store, &first).await;
    assert!(next(&store).await.is_none());
}

async fn a_free_thread_takes_at_once(home: Home) {
    let store = home.open();
    let first = running(&store, 1).await;
    end(&store, &first).await;
    post_later(&store, 10).await.unwrap();
    assert_eq!(listed(&store).await, [id(10)]);
    create(&store, later(2, Vec::new())).await.unwrap();
    assert_eq!(next(&store).await.unwrap().run.id, id(2));
    let nowhere = post(&store, message(&id(7), 20), None).await;
    assert_eq!(nowhere.unwrap(), None);
}

async fn only_so_much_waits_for_a_thread(home: Home) {
    let store = home.open();
    running(&store, 1).await;
    for n in 0..WAITING_MAX - 1 {
        post_later(&store, 100 + n).await.unwrap();
    }
    // A run and its message are two.
    let two = later(2, vec![message(&id(1), 98)]);
    let refused = create(&store, two).await;
    assert!(matches!(refused, Err(Error::QueueFull)), "{refused:?}");
    let lone = store.messages().get(&ws(), &id(1), &id(98)).await;
    assert_eq!(lone.unwrap(), None);
    post_later(&store, 99).await.unwrap();
    let refused = post_later(&store, 98).await;
    assert!(matches!(refused, Err(Error::QueueFull)), "{refused:?}");
}

async fn a_refused_place_leaves_no_receipt(home: Home) {
    let store = home.open();
    running(&store, 1).await;
    let keyed = NewRun {
        receipt: Some(receipt("k")),
        ..later(2, Vec::new())
    };
    create(&store, keyed.clone()).await.unwrap();
    let again = create(&store, keyed).await;
    assert!(matches!(again, Err(Error::Repeated)), "{again:?}");
    for n in 1..WAITING_MAX {
        post_later(&store, 100 + n).await.unwrap();
    }
    let late = post(&store, message(&id(1), 98), Some(receipt("late"))).await;
    assert!(matches!(late, Err(Error::QueueFull)), "{late:?}");
    let kept = store.receipts().get(&ws(), "late", NOW).await.unwrap();
    assert_eq!(kept, None);
}

async fn a_deleted_thread_takes_what_waits_with_it(home: Home) {
    let store = home.open();
    running(&store, 1).await;
    post_later(&store, 10).await.unwrap();
    create(&store, later(2, Vec::new())).await.unwrap();
    let deleted = store.threads().delete(&ws(), &id(1)).await.unwrap();
    let active_runs = vec![id(1), id(2)];
    assert_eq!(deleted, Some(Deleted { active_runs }));
    let gone = store.messages().get(&ws(), &id(1), &id(10)).await;
    assert_eq!(gone.unwrap(), None);
    assert_eq!(store.runs().next_deadline().await.unwrap(), None);
}

async fn of_another_workspace_nothing_is_seen(home: Home) {
    let store = home.open();
    running(&store, 1).await;
    post_later(&store, 10).await.unwrap();
    let other = store.workspaces().ensure("other").await.unwrap();
    let messages = store.messages();
    let thread: ThreadId = id(1);
    assert_eq!(messages.get(&other, &thread, &id(10)).await.unwrap(), None);
    let metadata = Metadata::default();
    let waiting = id(10);
    let changed = messages.set_metadata(&other, &thread, &waiting, metadata);
    assert_eq!(changed.await.unwrap(), None);
    assert!(!messages.delete(&other, &thread, &id(10)).await.unwrap());
}

/// Ends of runs and new arrivals meet: whatever arrived has its turn.
async fn nothing_is_left_behind_when_a_run_ends_meanwhile(home: Home) {
    let store = home.open();
    let mut ends = running(&store, 1).await;
    let mut done = BTreeSet::new();
    for n in 2..=30 {
        let posting = {
            let store = store.clone();
            #[expect(clippy::disallowed_methods, reason = "the test waits for it")]
            tokio::spawn(async move {
                post_later(&store, 100 + n).await.unwrap();
                let created = create(&store, later(n, Vec::new())).await;
                assert_eq!(created.unwrap(), Some(Kept::Waiting));
            })
        };
        end(&store, &ends).await;
        posting.await.unwrap();
        done.insert(ends.run.id.clone());
        ends = next(&store).await.unwrap();
    }
    done.insert(ends.run.id.clone());
    assert_eq!(done.len(), 30);
    assert_eq!(listed(&store).await.len(), 29);
}
