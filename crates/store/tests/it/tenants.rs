//! A workspace sees nothing of another, and changes nothing in it, whatever ids it knows.

use std::collections::BTreeMap;

use loomgate_domain::{
    Metadata, PageRequest, WorkspaceId, feedback::Feedback, key::ApiKey, run::EventId,
};
use loomgate_store::{
    Claim, Commanded, ContextLimits, EventRow, Flush, GraphPoint, GraphQuery, GroupBy, GroupQuery,
    Groups, Guard, IfLocked, Lease, LogFilter, Measure, NewRun, NewRunThread, RunChange,
    RunContext, Store, ThreadStores,
};

use crate::{
    fixtures::{
        NOW, NOW_MS, assistant, completed, draft, get_run, guard, id, message, metadata, run,
        running, step, thread, ws,
    },
    gateway::{config, virtual_key},
    home::Home,
    keys::key,
    logs::{log_id, record},
};

on_both_engines! {
    a_foreign_workspace_sees_and_changes_nothing,
    two_workspaces_may_hold_the_same_ids,
    a_foreign_workspace_sees_and_changes_nothing_of_the_gateway,
    a_foreign_workspace_sees_and_changes_nothing_of_the_logs,
}

async fn a_foreign_workspace_sees_and_changes_nothing(home: Home) {
    let store = home.open();
    store
        .assistants()
        .insert(&ws(), assistant(1))
        .await
        .unwrap();
    let claim = running(&store, 1).await;
    let change = RunChange {
        put_steps: vec![step(&claim.run, 1)],
        put_messages: vec![draft(&claim.run, 1)],
        ..RunChange::to(claim.run.state.clone())
    };
    let version = store.runs().commit(guard(&claim), change).await.unwrap();
    let version = version.unwrap().version;

    let foreign: WorkspaceId = id(2);
    let (ws2, t, r) = (&foreign, &id(1), &claim.run.id);
    let new = || metadata("stolen", "yes");

    sees_no_assistants(&store, ws2).await;

    let threads = store.threads();
    assert_eq!(threads.get(ws2, t).await.unwrap(), None);
    assert_eq!(threads.update(ws2, t, |it| it).await.unwrap(), None);
    assert_eq!(threads.delete(ws2, t).await.unwrap(), None);

    let messages = store.messages();
    let inserted = messages.insert(ws2, message(t, 9)).await.unwrap();
    assert_eq!(inserted, None);
    assert_eq!(messages.get(ws2, t, &id(1)).await.unwrap(), None);
    let set = messages.set_metadata(ws2, t, &id(1), new()).await.unwrap();
    assert_eq!(set, None);
    assert!(!messages.delete(ws2, t, &id(1)).await.unwrap());
    assert_eq!(
        messages
            .list(ws2, t, None, PageRequest::default())
            .await
            .unwrap(),
        None
    );

    let runs = store.runs();
    assert_eq!(runs.get(ws2, t, r).await.unwrap(), None);
    let set = runs.set_metadata(ws2, t, r, new()).await.unwrap();
    assert_eq!(set, None);
    assert_eq!(
        runs.list(ws2, t, PageRequest::default()).await.unwrap(),
        None
    );
    assert_eq!(runs.reload(ws2, t, r, claim.fence).await.unwrap(), None);
    let commanded: Option<Result<Commanded, ()>> = runs
        .command(ws2, t, r, |_| Ok(Some(RunChange::to(completed()))), NOW_MS)
        .await
        .unwrap();
    assert_eq!(commanded, None);
    let stolen = Guard {
        ws: foreign.clone(),
        version,
        ..guard(&claim)
    };
    let committed = runs.commit(stolen, RunChange::to(completed())).await;
    assert_eq!(committed.unwrap(), None);
    let lease = Lease {
        ws: foreign.clone(),
        run: r.clone(),
        fence: claim.fence,
    };
    let held = runs.heartbeat("w", vec![lease], i64::MAX).await.unwrap();
    assert!(held.is_empty());
    sees_no_events(&store, ws2, &claim).await;
    let context = runs.context(ws2, t, r, ContextLimits::default()).await;
    assert_eq!(context.unwrap(), RunContext::default());
    let new_run = NewRun {
        thread: NewRunThread::Existing {
            messages: Vec::new(),
        },
        run: run(t, 9),
        sealed: None,
        events: None,
        at_ms: NOW_MS,
        if_locked: IfLocked::Refuse,
        stores: ThreadStores::default(),
        receipt: None,
        take: None,
    };
    assert_eq!(runs.create(ws2, new_run).await.unwrap(), None);

    let steps = store.steps();
    assert_eq!(steps.get(ws2, t, r, &id(1)).await.unwrap(), None);
    assert_eq!(
        steps.list(ws2, t, r, PageRequest::default()).await.unwrap(),
        None
    );

    // And the owner still has all of it.
    let found = store.messages().get(&ws(), t, &id(1)).await.unwrap();
    assert_eq!(found, Some(draft(&claim.run, 1)));
    assert_eq!(get_run(&store, &claim.run).await, claim.run);
    assert_eq!(claim.run.metadata, Metadata::default());
}

/// Another workspace has nothing of the assistants, and learns nothing of them.
async fn sees_no_assistants(store: &Store, ws2: &WorkspaceId) {
    let assistants = store.assistants();
    assert_eq!(assistants.get(ws2, &id(1)).await.unwrap(), None);
    assert_eq!(assistants.update(ws2, &id(1), |it| it).await.unwrap(), None);
    assert!(!assistants.delete(ws2, &id(1)).await.unwrap());
    assert!(
        assistants
            .list(ws2, PageRequest::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let request = PageRequest {
        after: Some(id(1)),
        ..PageRequest::default()
    };
    assert!(assistants.list(ws2, request).await.is_err(), "no oracle");
}

/// Another workspace reads nothing of a run's journal, and adds nothing to it.
async fn sees_no_events(store: &Store, ws2: &WorkspaceId, claim: &Claim) {
    let (t, r) = (&id(1), &claim.run.id);
    let events = store.events();
    assert_eq!(events.open(ws2, t, r, None).await.unwrap(), None);
    assert_eq!(
        events.follow(ws2, r, EventId::START, 9).await.unwrap(),
        None
    );
    let flush = Flush {
        ws: ws2.clone(),
        run: r.clone(),
        fence: claim.fence,
        after: EventId::START,
        row: EventRow {
            last: EventId::START.later(1),
            count: 1,
            ends_leg: false,
            body: String::new(),
        },
    };
    assert_eq!(events.append(vec![flush], NOW_MS).await.unwrap(), [false]);
}

async fn two_workspaces_may_hold_the_same_ids(home: Home) {
    let store = home.open();
    let (one, two): (WorkspaceId, WorkspaceId) = (id(1), id(2));
    for ws in [&one, &two] {
        let first = vec![message(&id(1), 1)];
        store.threads().insert(ws, thread(1), first).await.unwrap();
    }
    store.threads().delete(&one, &id(1)).await.unwrap().unwrap();
    let kept = store.messages().get(&two, &id(1), &id(1)).await.unwrap();
    assert_eq!(kept, Some(message(&id(1), 1)));
}

async fn a_foreign_workspace_sees_and_changes_nothing_of_the_gateway(home: Home) {
    let store = home.open();
    let own = store.workspaces().ensure("own").await.unwrap();
    let foreign: WorkspaceId = id(2);
    let ws2 = &foreign;

    let keys = store.keys();
    keys.insert(key(&own, 1), None).await.unwrap();
    assert_eq!(keys.get(ws2, &id(1)).await.unwrap(), None);
    assert!(keys.list(Some(ws2)).await.unwrap().is_empty());
    let one = key(&own, 1);
    let stolen = ApiKey {
        name: "stolen".into(),
        ..one.clone()
    };
    let updated = keys.update(ws2, &one, stolen).await;
    assert_eq!(updated.unwrap(), None);
    let after = one.rotated("new".into(), "lg-".into(), NOW, NOW);
    let rotated = keys.rotate(ws2, &one, after, None).await;
    assert_eq!(rotated.unwrap(), None);
    assert!(!keys.delete(ws2, &id(1)).await.unwrap());
    assert_eq!(keys.get(&own, &id(1)).await.unwrap(), Some(key(&own, 1)));

    let virtual_keys = store.virtual_keys();
    virtual_keys
        .insert(virtual_key("main"), None)
        .await
        .unwrap();
    assert_eq!(virtual_keys.get(ws2, "main").await.unwrap(), None);
    assert!(virtual_keys.list(ws2).await.unwrap().is_empty());
    // The record names its workspace; the argument counts.
    let main = virtual_key("main");
    let updated = virtual_keys.update(ws2, &main, main.clone()).await;
    assert!(!updated.unwrap());
    let resealed = virtual_keys
        .reseal(ws2, "main", "sealed-main", "stolen")
        .await;
    assert!(!resealed.unwrap());
    assert!(!virtual_keys.delete(ws2, "main").await.unwrap());
    let kept = virtual_keys.get(&ws(), "main").await.unwrap();
    assert_eq!(kept, Some(virtual_key("main")));

    let configs = store.configs();
    configs.insert(config("pc-main"), None).await.unwrap();
    assert_eq!(configs.get(ws2, "pc-main").await.unwrap(), None);
    assert!(configs.list(ws2).await.unwrap().is_empty());
    let version = Some((id(2), serde_json::json!({})));
    let updated = configs
        .update(ws2, "pc-main", Some("stolen".into()), version, NOW)
        .await;
    assert_eq!(updated.unwrap(), None);
    assert_eq!(configs.versions(ws2, "pc-main").await.unwrap(), None);
    assert!(!configs.delete(ws2, "pc-main").await.unwrap());
    let kept = configs.get(&ws(), "pc-main").await.unwrap();
    assert_eq!(kept, Some(config("pc-main")));

    let affinity = store.affinity();
    let pair = |target: &str| vec![("thread_1".to_owned(), target.to_owned())];
    affinity.put(&ws(), pair("own")).await.unwrap();
    let objects = ["thread_1".to_owned()];
    assert!(affinity.get(ws2, &objects).await.unwrap().is_empty());
    affinity.put(ws2, pair("theirs")).await.unwrap();
    assert_eq!(affinity.get(&ws(), &objects).await.unwrap(), pair("own"));

    let thread = thread(1);
    let new = NewRun {
        run: run(&thread.id, 1),
        thread: NewRunThread::New {
            thread,
            messages: Vec::new(),
        },
        sealed: Some("sealed".into()),
        events: None,
        at_ms: NOW_MS,
        if_locked: IfLocked::Refuse,
        stores: ThreadStores::default(),
        receipt: None,
        take: None,
    };
    store.runs().create(&ws(), new).await.unwrap().unwrap();
    assert_eq!(store.runs().sealed(ws2, &id(1)).await.unwrap(), None);
    let stolen = store.runs().reseal(ws2, &id(1), "sealed", "stolen").await;
    assert!(!stolen.unwrap());
    let kept = store.runs().sealed(&ws(), &id(1)).await.unwrap();
    assert_eq!(kept.as_deref(), Some("sealed"));
}

async fn a_foreign_workspace_sees_and_changes_nothing_of_the_logs(home: Home) {
    let store = home.open();
    let foreign: WorkspaceId = id(2);
    let (ws2, logs) = (&foreign, store.logs());
    logs.insert(vec![record(&ws(), 1)], None).await.unwrap();
    assert_eq!(logs.get(ws2, &log_id(1)).await.unwrap(), None);
    let request = PageRequest {
        before: Some(log_id(0)),
        ..PageRequest::default()
    };
    let listed = logs.list(ws2, LogFilter::default(), request).await.unwrap();
    assert!(listed.items.is_empty());
    let graph = GraphQuery {
        from_ms: 0,
        to_ms: 2 * NOW_MS,
        bucket_ms: 2 * NOW_MS,
        filter: LogFilter::default(),
        measure: Measure::Requests,
    };
    let point = |graph: Vec<GraphPoint>| graph[0].requests;
    assert_eq!(point(logs.graph(ws2, graph.clone()).await.unwrap()), 0);
    assert_eq!(point(logs.graph(&ws(), graph).await.unwrap()), 1);
    let table = GroupQuery {
        from_ms: 0,
        to_ms: 2 * NOW_MS,
        filter: LogFilter::default(),
        by: GroupBy::ApiKey,
        most: 10,
    };
    let groups = logs.group(ws2, table).await.unwrap();
    assert_eq!(groups, Groups::default());

    let feedback = Feedback {
        id: id(1),
        workspace: ws(),
        trace_id: "trace".into(),
        value: 1,
        weight: 1.0,
        metadata: BTreeMap::new(),
        created_at: NOW,
    };
    logs.add_feedback(vec![feedback.clone()], None)
        .await
        .unwrap();
    assert!(logs.feedback(ws2, "trace").await.unwrap().is_empty());
    let updated = logs
        .update_feedback(ws2, &id(1), -1, 1.0, BTreeMap::new())
        .await;
    assert!(!updated.unwrap());
    let graph = logs
        .feedback_graph(ws2, 0, 2 * NOW_MS, NOW_MS)
        .await
        .unwrap();
    assert!(graph.iter().all(|point| point.count == 0), "{graph:?}");
    assert_eq!(logs.feedback(&ws(), "trace").await.unwrap(), [feedback]);
}
