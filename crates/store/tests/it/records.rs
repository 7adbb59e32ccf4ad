//! Assistants, threads and messages: kept, changed, removed.

use loomgate_domain::{
    Metadata, PageRequest, ThreadId, Timestamp,
    tool::{CodeInterpreterResources, ToolResources},
};
use loomgate_store::{Deleted, Error, RunChange};

use crate::{
    fixtures::{
        assistant, completed, draft, guard, id, message, message_ids, metadata, queued, running,
        step, thread, ws,
    },
    home::Home,
};

on_both_engines! {
    an_assistant_is_kept_changed_and_removed,
    a_thread_is_kept_with_its_first_messages_and_changed,
    a_thread_whose_messages_are_refused_is_not_kept,
    a_deleted_thread_takes_all_with_it_and_names_its_active_run,
    a_thread_without_active_run_says_so_when_deleted,
    a_message_is_kept_changed_and_removed,
    an_active_run_locks_its_thread_for_messages,
    the_store_answers_a_ping,
}

async fn an_assistant_is_kept_changed_and_removed(home: Home) {
    let store = home.open();
    let one = assistant(1);
    store.assistants().insert(&ws(), one.clone()).await.unwrap();
    let again = store.assistants().insert(&ws(), one.clone()).await;
    assert!(matches!(again, Err(Error::Duplicate)), "{again:?}");
    let found = store.assistants().get(&ws(), &one.id).await.unwrap();
    assert_eq!(found, Some(one.clone()));

    let change = |mut it: loomgate_domain::Assistant| {
        it.name = None;
        it.id = id(99);
        it.created_at = Timestamp(0);
        it
    };
    let updated = store.assistants().update(&ws(), &one.id, change).await;
    let expected = loomgate_domain::Assistant { name: None, ..one };
    assert_eq!(updated.unwrap(), Some(expected.clone()));
    let found = store.assistants().get(&ws(), &expected.id).await.unwrap();
    assert_eq!(found, Some(expected));
    let missing = store.assistants().update(&ws(), &id(2), |it| it).await;
    assert_eq!(missing.unwrap(), None);

    assert!(store.assistants().delete(&ws(), &id(1)).await.unwrap());
    assert!(!store.assistants().delete(&ws(), &id(1)).await.unwrap());
    assert_eq!(store.assistants().get(&ws(), &id(1)).await.unwrap(), None);
}

async fn a_thread_is_kept_with_its_first_messages_and_changed(home: Home) {
    let store = home.open();
    let one = thread(1);
    let first = vec![message(&one.id, 1), message(&one.id, 2)];
    let inserted = store.threads().insert(&ws(), one.clone(), first).await;
    inserted.unwrap();
    let again = store.threads().insert(&ws(), one.clone(), Vec::new()).await;
    assert!(matches!(again, Err(Error::Duplicate)), "{again:?}");
    assert_eq!(
        store.threads().get(&ws(), &one.id).await.unwrap(),
        Some(one.clone())
    );
    let page = store
        .messages()
        .list(&ws(), &one.id, None, PageRequest::default())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(message_ids(&page.items), [id(2), id(1)]);

    crate::files::kept(&store, 1).await;
    let tool_resources = ToolResources {
        code_interpreter: Some(CodeInterpreterResources {
            file_ids: vec!["file-1".into()],
        }),
        file_search: None,
    };
    let resources = tool_resources.clone();
    let updated = store
        .threads()
        .update(&ws(), &one.id, move |mut it| {
            it.metadata = Metadata::default();
            it.tool_resources = resources.clone();
            it
        })
        .await
        .unwrap();
    let expected = loomgate_domain::Thread {
        metadata: Metadata::default(),
        tool_resources,
        ..one
    };
    assert_eq!(updated, Some(expected.clone()));
    assert_eq!(
        store.threads().get(&ws(), &id(1)).await.unwrap(),
        Some(expected)
    );
    let missing = store.threads().update(&ws(), &id(2), |it| it).await;
    assert_eq!(missing.unwrap(), None);
}

async fn a_thread_whose_messages_are_refused_is_not_kept(home: Home) {
    let store = home.open();
    let twice = vec![message(&id(1), 1), message(&id(1), 1)];
    let refused = store.threads().insert(&ws(), thread(1), twice).await;
    assert!(matches!(refused, Err(Error::Duplicate)), "{refused:?}");
    assert_eq!(store.threads().get(&ws(), &id(1)).await.unwrap(), None);
}

async fn a_deleted_thread_takes_all_with_it_and_names_its_active_run(home: Home) {
    let store = home.open();
    let claim = running(&store, 1).await;
    let run = claim.run.clone();
    let change = RunChange {
        put_steps: vec![step(&run, 1)],
        put_messages: vec![draft(&run, 1)],
        ..RunChange::to(claim.run.state.clone())
    };
    let version = store.runs().commit(guard(&claim), change).await.unwrap();
    assert!(version.is_some());
    queued(&store, 2).await;

    let deleted = store.threads().delete(&ws(), &run.thread_id).await.unwrap();
    let active_runs = vec![run.id.clone()];
    assert_eq!(deleted, Some(Deleted { active_runs }));
    let (thread, message) = (&run.thread_id, id(1));
    assert_eq!(store.threads().get(&ws(), thread).await.unwrap(), None);
    let found = store.messages().get(&ws(), thread, &message).await;
    assert_eq!(found.unwrap(), None);
    let found = store.runs().get(&ws(), thread, &run.id).await;
    assert_eq!(found.unwrap(), None);
    let found = store.steps().get(&ws(), thread, &run.id, &id(1)).await;
    assert_eq!(found.unwrap(), None);
    let page = store
        .steps()
        .list(&ws(), thread, &run.id, PageRequest::default())
        .await;
    assert_eq!(page.unwrap(), None);
    assert_eq!(store.threads().delete(&ws(), thread).await.unwrap(), None);
    // Its neighbour stays, and its worker's next commit writes nothing.
    let second: ThreadId = id(2);
    assert!(store.threads().get(&ws(), &second).await.unwrap().is_some());
    let late = RunChange::to(completed());
    let late = store.runs().commit(guard(&claim), late).await.unwrap();
    assert_eq!(late, None);
}

async fn a_thread_without_active_run_says_so_when_deleted(home: Home) {
    let store = home.open();
    let claim = running(&store, 1).await;
    let end = RunChange::to(completed());
    store.runs().commit(guard(&claim), end).await.unwrap();
    let deleted = store.threads().delete(&ws(), &id(1)).await.unwrap();
    assert_eq!(
        deleted,
        Some(Deleted {
            active_runs: Vec::new()
        })
    );
}

async fn a_message_is_kept_changed_and_removed(home: Home) {
    let store = home.open();
    let thread_id: ThreadId = id(1);
    let one = message(&thread_id, 1);
    let early = store.messages().insert(&ws(), one.clone()).await.unwrap();
    assert_eq!(early, None, "no such thread");
    let inserted = store.threads().insert(&ws(), thread(1), Vec::new()).await;
    inserted.unwrap();
    let inserted = store.messages().insert(&ws(), one.clone()).await.unwrap();
    assert_eq!(inserted, Some(()));
    let again = store.messages().insert(&ws(), one.clone()).await;
    assert!(matches!(again, Err(Error::Duplicate)), "{again:?}");
    let found = store.messages().get(&ws(), &thread_id, &one.id).await;
    assert_eq!(found.unwrap(), Some(one.clone()));
    let elsewhere = store.messages().get(&ws(), &id(2), &one.id).await;
    assert_eq!(elsewhere.unwrap(), None, "another thread's");

    let new = metadata("a", "b");
    let changed = store
        .messages()
        .set_metadata(&ws(), &thread_id, &one.id, new.clone())
        .await
        .unwrap();
    let expected = loomgate_domain::Message {
        metadata: new.clone(),
        ..one.clone()
    };
    assert_eq!(changed, Some(expected));
    let elsewhere = store
        .messages()
        .set_metadata(&ws(), &id(2), &one.id, new)
        .await;
    assert_eq!(elsewhere.unwrap(), None);

    let delete = |thread: ThreadId| {
        let store = store.clone();
        async move { store.messages().delete(&ws(), &thread, &id(1)).await }
    };
    assert!(!delete(id(2)).await.unwrap());
    assert!(delete(id(1)).await.unwrap());
    assert!(!delete(id(1)).await.unwrap());
}

async fn an_active_run_locks_its_thread_for_messages(home: Home) {
    let store = home.open();
    let claim = running(&store, 1).await;
    let new = message(&id(1), 1);
    let refused = store.messages().insert(&ws(), new.clone()).await;
    assert!(
        matches!(&refused, Err(Error::ActiveRun { run }) if *run == claim.run.id),
        "{refused:?}"
    );
    let end = RunChange::to(completed());
    store.runs().commit(guard(&claim), end).await.unwrap();
    let inserted = store.messages().insert(&ws(), new).await.unwrap();
    assert_eq!(inserted, Some(()));
}

async fn the_store_answers_a_ping(home: Home) {
    home.open().ping().await.unwrap();
}
