//! A workspace sees nothing of another, and changes nothing in it, whatever ids it knows.

use loomgate_domain::{Metadata, PageRequest, WorkspaceId};
use loomgate_store::{
    Commanded, ContextLimits, Guard, Lease, NewRun, NewRunThread, RunChange, RunContext,
};

use crate::fixtures::{
    NOW_MS, assistant, completed, draft, get_run, guard, id, message, metadata, run, running, step,
    store, thread, ws,
};

#[tokio::test]
async fn a_foreign_workspace_sees_and_changes_nothing() {
    let store = store();
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
    let context = runs.context(ws2, t, r, ContextLimits::default()).await;
    assert_eq!(context.unwrap(), RunContext::default());
    let new_run = NewRun {
        thread: NewRunThread::Existing {
            messages: Vec::new(),
        },
        run: run(t, 9),
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

#[tokio::test]
async fn two_workspaces_may_hold_the_same_ids() {
    let store = store();
    let (one, two): (WorkspaceId, WorkspaceId) = (id(1), id(2));
    for ws in [&one, &two] {
        let first = vec![message(&id(1), 1)];
        store.threads().insert(ws, thread(1), first).await.unwrap();
    }
    store.threads().delete(&one, &id(1)).await.unwrap().unwrap();
    let kept = store.messages().get(&two, &id(1), &id(1)).await.unwrap();
    assert_eq!(kept, Some(message(&id(1), 1)));
}
