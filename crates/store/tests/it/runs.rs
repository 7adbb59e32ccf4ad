//! Runs: created, changed by their worker, changed by commands, read for a model turn.

use loomgate_domain::{
    Metadata, Usage,
    message::MessageStatus,
    run::{RunState, StepStatus},
};
use loomgate_store::{
    Commanded, Committed, ContextLimits, Error, Guard, IfLocked, Kept, NewRun, NewRunThread,
    RunChange, Store, ThreadStores,
};

use crate::{
    fixtures::{
        LEASE_MS, NOW, NOW_MS, cancelling, claim, completed, draft, get_run, guard, id,
        in_progress, message, message_ids, metadata, queued, requires_action, run, run_ids,
        running, step, step_ids, thread, ws,
    },
    home::Home,
};

on_both_engines! {
    a_run_is_created_with_its_thread_or_on_one,
    a_refused_run_leaves_no_thread_behind,
    metadata_never_collides_with_the_worker,
    a_commit_writes_everything_or_nothing,
    a_replaced_message_keeps_its_place,
    a_command_sees_what_is_open_and_what_it_decides_is_written,
    a_command_that_changes_nothing_or_fails_writes_nothing,
    a_lease_that_is_over_does_not_show_as_one,
    a_cancelled_worker_keeps_its_lease_and_learns_of_the_cancel,
    a_command_frees_a_run_that_waited_for_its_client,
    the_context_is_the_newest_messages_in_order,
}

async fn command(
    store: &Store,
    n: u32,
    state: RunState,
    now_ms: i64,
) -> Option<Result<Commanded, &'static str>> {
    let decide = move |_| Ok(Some(RunChange::to(state.clone())));
    let commanded = store
        .runs()
        .command(&ws(), &id(n), &id(n), decide, now_ms)
        .await;
    commanded.unwrap()
}

async fn a_run_is_created_with_its_thread_or_on_one(home: Home) {
    let store = home.open();
    let first = queued(&store, 1).await;
    assert_eq!(get_run(&store, &first).await, first);
    let on = |thread: u32, n: u32| NewRun {
        thread: NewRunThread::Existing {
            messages: vec![message(&id(thread), n)],
        },
        run: run(&id(thread), n),
        sealed: None,
        events: None,
        at_ms: NOW_MS,
        if_locked: IfLocked::Refuse,
        stores: ThreadStores::default(),
        receipt: None,
        take: None,
    };
    let refused = store.runs().create(&ws(), on(1, 2)).await;
    assert!(
        matches!(&refused, Err(Error::ActiveRun { run }) if *run == first.id),
        "{refused:?}"
    );
    let found = store.messages().get(&ws(), &id(1), &id(2)).await.unwrap();
    assert_eq!(found, None, "nothing is appended to a locked thread");
    assert_eq!(store.runs().create(&ws(), on(9, 2)).await.unwrap(), None);

    let ended = command(&store, 1, completed(), NOW_MS).await;
    assert!(ended.unwrap().unwrap().changed);
    let created = store.runs().create(&ws(), on(1, 2)).await.unwrap();
    assert_eq!(created, Some(Kept::Waiting));
    let found = store.messages().get(&ws(), &id(1), &id(2)).await.unwrap();
    assert_eq!(found, Some(message(&id(1), 2)));
    let elsewhere = store.runs().get(&ws(), &id(9), &id(2)).await.unwrap();
    assert_eq!(elsewhere, None, "under another thread");
}

async fn a_refused_run_leaves_no_thread_behind(home: Home) {
    let store = home.open();
    queued(&store, 1).await;
    let new = NewRun {
        thread: NewRunThread::New {
            thread: thread(2),
            messages: vec![message(&id(2), 1)],
        },
        run: run(&id(2), 1),
        sealed: None,
        events: None,
        at_ms: NOW_MS,
        if_locked: IfLocked::Refuse,
        stores: ThreadStores::default(),
        receipt: None,
        take: None,
    };
    let refused = store.runs().create(&ws(), new).await;
    assert!(matches!(refused, Err(Error::Duplicate)), "{refused:?}");
    assert_eq!(store.threads().get(&ws(), &id(2)).await.unwrap(), None);
}

async fn metadata_never_collides_with_the_worker(home: Home) {
    let store = home.open();
    let claim = running(&store, 1).await;
    let new = metadata("modified", "yes");
    let changed = store
        .runs()
        .set_metadata(&ws(), &id(1), &id(1), new.clone())
        .await
        .unwrap();
    assert_eq!(changed.unwrap().metadata, new);
    // The version is that of before, and the worker's commit leaves the metadata alone.
    let change = RunChange::to(completed());
    let committed = store.runs().commit(guard(&claim), change).await.unwrap();
    let expected = Committed {
        version: claim.version + 1,
        metadata: new.clone(),
    };
    assert_eq!(committed, Some(expected));
    let after = get_run(&store, &claim.run).await;
    assert_eq!((after.metadata, after.state), (new.clone(), completed()));
    let missing = store.runs().set_metadata(&ws(), &id(2), &id(1), new).await;
    assert_eq!(missing.unwrap(), None);
}

async fn a_commit_writes_everything_or_nothing(home: Home) {
    let store = home.open();
    let claim = running(&store, 1).await;
    let run = claim.run.clone();
    let usage = Usage {
        prompt_tokens: 3,
        ..Usage::default()
    };
    let open = RunChange {
        usage: Some(usage),
        put_steps: vec![step(&run, 1)],
        put_messages: vec![draft(&run, 1), draft(&run, 2)],
        ..RunChange::to(in_progress())
    };
    let version = store.runs().commit(guard(&claim), open).await.unwrap();
    let version = version.unwrap().version;
    assert_eq!(get_run(&store, &run).await.usage, usage);

    let done = loomgate_domain::RunStep {
        status: StepStatus::Completed { completed_at: NOW },
        usage: Some(usage),
        ..step(&run, 1)
    };
    let written = loomgate_domain::Message {
        status: MessageStatus::Completed { completed_at: NOW },
        metadata: Metadata::default(),
        content: message(&id(1), 1).content,
        ..draft(&run, 1)
    };
    let close = RunChange {
        put_steps: vec![done.clone()],
        put_messages: vec![written.clone()],
        remove_messages: vec![id(2)],
        ..RunChange::to(completed())
    };
    let stale = store.runs().commit(guard(&claim), close.clone()).await;
    assert_eq!(stale.unwrap(), None, "the version has moved on");
    let found = store.steps().get(&ws(), &id(1), &id(1), &id(1)).await;
    assert_eq!(found.unwrap(), Some(step(&run, 1)), "nothing was written");

    let fresh = Guard {
        version,
        ..guard(&claim)
    };
    let closed = store.runs().commit(fresh, close).await.unwrap();
    assert_eq!(closed.unwrap().version, version + 1);
    let found = store.steps().get(&ws(), &id(1), &id(1), &id(1)).await;
    assert_eq!(found.unwrap(), Some(done));
    let found = store.messages().get(&ws(), &id(1), &id(1)).await.unwrap();
    let expected = loomgate_domain::Message {
        metadata: draft(&run, 1).metadata,
        ..written
    };
    assert_eq!(found, Some(expected), "its metadata is the client's");
    let found = store.messages().get(&ws(), &id(1), &id(2)).await.unwrap();
    assert_eq!(found, None, "removed");
    let after = get_run(&store, &run).await;
    assert_eq!(
        (after.state, after.usage),
        (completed(), usage),
        "no usage: as it was"
    );
}

async fn a_replaced_message_keeps_its_place(home: Home) {
    let store = home.open();
    let claim = running(&store, 1).await;
    let run = claim.run.clone();
    let open = RunChange {
        put_messages: vec![draft(&run, 1), draft(&run, 2)],
        put_steps: vec![step(&run, 1), step(&run, 2)],
        ..RunChange::to(in_progress())
    };
    let version = store.runs().commit(guard(&claim), open).await.unwrap();
    let done = loomgate_domain::Message {
        status: MessageStatus::Completed { completed_at: NOW },
        ..draft(&run, 1)
    };
    let close = RunChange {
        put_messages: vec![done],
        put_steps: vec![step(&run, 1)],
        ..RunChange::to(in_progress())
    };
    let guard = Guard {
        version: version.unwrap().version,
        ..guard(&claim)
    };
    store.runs().commit(guard, close).await.unwrap().unwrap();
    let page = loomgate_domain::PageRequest::default();
    let messages = store.messages().list(&ws(), &id(1), None, page).await;
    let messages = messages.unwrap().unwrap().items;
    assert_eq!(message_ids(&messages), [id(2), id(1)]);
    let context = store
        .runs()
        .context(&ws(), &id(1), &id(1), ContextLimits::default())
        .await
        .unwrap();
    assert_eq!(message_ids(&context.messages), [id(1)], "no drafts");
    assert_eq!(step_ids(&context.steps), [id(1), id(2)]);
}

async fn a_command_sees_what_is_open_and_what_it_decides_is_written(home: Home) {
    let store = home.open();
    let claim = running(&store, 1).await;
    let run = claim.run.clone();
    let done = loomgate_domain::RunStep {
        status: StepStatus::Completed { completed_at: NOW },
        ..step(&run, 1)
    };
    let open = RunChange {
        put_steps: vec![done, step(&run, 2)],
        put_messages: vec![draft(&run, 1)],
        ..RunChange::to(in_progress())
    };
    store.runs().commit(guard(&claim), open).await.unwrap();

    let (show, shown) = std::sync::mpsc::channel();
    let decide = move |snapshot| {
        show.send(snapshot).unwrap();
        Ok::<_, ()>(Some(RunChange::to(cancelling())))
    };
    let commanded = store
        .runs()
        .command(&ws(), &id(1), &id(1), decide, NOW_MS + LEASE_MS)
        .await
        .unwrap()
        .unwrap()
        .unwrap();
    let snapshot = shown.recv().unwrap();
    assert_eq!(step_ids(&snapshot.steps), [id(2)]);
    assert_eq!(message_ids(&snapshot.messages), [id(1)]);
    assert!(snapshot.leased);
    assert!(commanded.changed);
    assert_eq!(commanded.run.state, cancelling());
    assert_eq!(get_run(&store, &run).await, commanded.run);
}

async fn a_command_that_changes_nothing_or_fails_writes_nothing(home: Home) {
    let store = home.open();
    let claim = running(&store, 1).await;
    let runs = store.runs();
    let none = runs
        .command(&ws(), &id(1), &id(1), |_| Ok::<_, ()>(None), NOW_MS)
        .await;
    let none = none.unwrap().unwrap().unwrap();
    assert_eq!((none.run, none.changed), (claim.run.clone(), false));
    let refused = runs
        .command(&ws(), &id(1), &id(1), |_| Err("no"), NOW_MS)
        .await;
    assert_eq!(refused.unwrap(), Some(Err("no")));
    let missing = command(&store, 2, completed(), NOW_MS).await;
    assert_eq!(missing, None);
    // The worker did not notice: its version still counts.
    let change = RunChange::to(completed());
    let committed = runs.commit(guard(&claim), change).await.unwrap();
    assert!(committed.is_some());
}

async fn a_lease_that_is_over_does_not_show_as_one(home: Home) {
    let store = home.open();
    running(&store, 1).await;
    for (late_ms, leased) in [(0, true), (1, false)] {
        let decide = |snapshot: loomgate_store::RunSnapshot| Err::<Option<_>, _>(snapshot.leased);
        let now_ms = NOW_MS + LEASE_MS + late_ms;
        let seen = store
            .runs()
            .command(&ws(), &id(1), &id(1), decide, now_ms)
            .await;
        assert_eq!(seen.unwrap(), Some(Err(leased)), "{late_ms}");
    }
}

async fn a_cancelled_worker_keeps_its_lease_and_learns_of_the_cancel(home: Home) {
    let store = home.open();
    let taken = running(&store, 1).await;
    command(&store, 1, cancelling(), NOW_MS).await;
    let late = RunChange::to(completed());
    let late = store.runs().commit(guard(&taken), late).await.unwrap();
    assert_eq!(late, None, "the version has moved on");
    let reload = store
        .runs()
        .reload(&ws(), &id(1), &id(1), taken.fence)
        .await;
    let (run, version) = reload.unwrap().unwrap();
    assert_eq!(run.state, cancelling());
    assert!(claim(&store, "other", NOW_MS, 9).await.is_empty(), "leased");
    let guard = Guard {
        version,
        ..guard(&taken)
    };
    let stop = RunChange::to(RunState::Cancelled {
        started_at: None,
        cancelled_at: NOW,
    });
    assert!(store.runs().commit(guard, stop).await.unwrap().is_some());
}

async fn a_command_frees_a_run_that_waited_for_its_client(home: Home) {
    for state in [RunState::Queued { started_at: None }, cancelling()] {
        let store = home.another().open();
        let taken = running(&store, 1).await;
        let pause = RunChange::to(requires_action());
        store.runs().commit(guard(&taken), pause).await.unwrap();
        let far = NOW_MS + 10 * LEASE_MS;
        assert!(claim(&store, "other", far, 9).await.is_empty(), "paused");
        command(&store, 1, state, NOW_MS).await;
        let claims = claim(&store, "other", NOW_MS, 9).await;
        assert_eq!(run_ids(&claims), [id(1)]);
        assert_eq!((claims[0].fence, claims[0].attempt), (2, 2));
        let reload = store
            .runs()
            .reload(&ws(), &id(1), &id(1), taken.fence)
            .await;
        assert_eq!(reload.unwrap(), None, "no longer its own");
    }
}

async fn the_context_is_the_newest_messages_in_order(home: Home) {
    let store = home.open();
    let first = (1..=5).map(|n| message(&id(1), n)).collect();
    let inserted = store.threads().insert(&ws(), thread(1), first).await;
    inserted.unwrap();
    let context = |messages, bytes| {
        let store = store.clone();
        async move {
            let limits = ContextLimits { messages, bytes };
            let context = store.runs().context(&ws(), &id(1), &id(1), limits).await;
            message_ids(&context.unwrap().messages)
        }
    };
    assert_eq!(context(None, None).await.len(), 5);
    assert_eq!(context(Some(2), None).await, [id(4), id(5)]);
    let one = serde_json::to_string(&message(&id(1), 1).content).unwrap();
    let room = Some(2 * one.len());
    assert_eq!(context(None, room).await, [id(4), id(5)]);
    assert_eq!(context(None, Some(0)).await, [id(5)], "never nothing");
}
