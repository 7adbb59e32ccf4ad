//! Pages (contract section 4), against a model: a slice of a vector.

use loomgate_domain::{MessageId, Order, Page, PageRequest};
use loomgate_store::{Error, RunChange, Store};
use proptest::prelude::*;

use crate::{
    fixtures::{
        assistant, completed, draft, guard, id, message, message_ids, running, step, step_ids,
        thread, ws,
    },
    home::Home,
};

on_both_engines! {
    before_alone_keeps_the_start_of_the_list,
    following_after_visits_every_item_once,
    a_cursor_from_elsewhere_is_refused_by_name,
    lists_under_what_is_not_there_are_none,
    assistants_are_listed_newest_first,
    messages_runs_and_steps_of_runs_are_listed,
}

/// How many messages the thread of the model has.
const COUNT: u32 = 12;

async fn filled(home: &Home) -> Store {
    let store = home.open();
    let messages = (1..=COUNT).map(|n| message(&id(1), n)).collect();
    let inserted = store.threads().insert(&ws(), thread(1), messages).await;
    inserted.unwrap();
    // A neighbour whose messages must not show.
    let other = (101..=105).map(|n| message(&id(2), n)).collect();
    let inserted = store.threads().insert(&ws(), thread(2), other).await;
    inserted.unwrap();
    store
}

async fn page(store: &Store, request: PageRequest<MessageId>) -> Page<MessageId> {
    let page = store.messages().list(&ws(), &id(1), None, request).await;
    let page = page.unwrap().unwrap();
    Page {
        items: message_ids(&page.items),
        has_more: page.has_more,
    }
}

/// What the contract says, on a vector.
fn model(request: &PageRequest<MessageId>) -> Page<MessageId> {
    let mut all: Vec<MessageId> = (1..=COUNT).map(id).collect();
    if request.order == Order::Desc {
        all.reverse();
    }
    let place = |cursor: &MessageId| all.iter().position(|it| it == cursor).unwrap();
    let start = request.after.as_ref().map_or(0, |after| place(after) + 1);
    let end = request.before.as_ref().map_or(all.len(), place);
    let window = all.get(start..end).unwrap_or_default();
    let limit = request.limit as usize;
    Page {
        items: window.iter().take(limit).cloned().collect(),
        has_more: window.len() > limit,
    }
}

fn request() -> impl Strategy<Value = PageRequest<MessageId>> {
    let cursor = || prop::option::of((1..=COUNT).prop_map(id));
    let order = prop_oneof![Just(Order::Asc), Just(Order::Desc)];
    (1..=COUNT + 2, order, cursor(), cursor()).prop_map(|(limit, order, after, before)| {
        PageRequest {
            limit,
            order,
            after,
            before,
        }
    })
}

#[test]
fn pages_are_those_of_the_model() {
    for home in [Home::Memory, Home::postgres()] {
        pages_agree(&home);
    }
}

fn pages_agree(home: &Home) {
    // Jobs on PostgreSQL wait for their turn so long and no longer.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    let store = runtime.block_on(filled(home));
    proptest!(ProptestConfig::with_cases(512), |(request in request())| {
        let expected = model(&request);
        prop_assert_eq!(runtime.block_on(page(&store, request)), expected);
    });
}

async fn before_alone_keeps_the_start_of_the_list(home: Home) {
    let store = filled(&home).await;
    let request = PageRequest {
        order: Order::Asc,
        before: Some(id(4)),
        ..PageRequest::default()
    };
    let page = page(&store, request).await;
    assert_eq!(page.items, [id(1), id(2), id(3)]);
    assert!(!page.has_more);
}

async fn following_after_visits_every_item_once(home: Home) {
    let store = filled(&home).await;
    let mut seen = Vec::new();
    let mut request = PageRequest {
        limit: 5,
        ..PageRequest::default()
    };
    loop {
        let page = page(&store, request.clone()).await;
        request.after = page.items.last().cloned();
        seen.extend(page.items);
        if !page.has_more {
            break;
        }
    }
    let expected: Vec<MessageId> = (1..=COUNT).rev().map(id).collect();
    assert_eq!(seen, expected);
}

async fn a_cursor_from_elsewhere_is_refused_by_name(home: Home) {
    let store = filled(&home).await;
    for unknown in [id(999), id(101)] {
        let request = PageRequest {
            after: Some(unknown),
            ..PageRequest::default()
        };
        let after = request.after.clone().unwrap();
        let refused = store.messages().list(&ws(), &id(1), None, request).await;
        assert!(
            matches!(&refused, Err(Error::NoSuchCursor(id)) if *id == after.as_str()),
            "{refused:?}"
        );
    }
}

async fn lists_under_what_is_not_there_are_none(home: Home) {
    let store = filled(&home).await;
    let none = store
        .messages()
        .list(&ws(), &id(3), None, PageRequest::default())
        .await;
    assert_eq!(none.unwrap(), None);
    let none = store
        .runs()
        .list(&ws(), &id(3), PageRequest::default())
        .await;
    assert_eq!(none.unwrap(), None);
    let none = store
        .steps()
        .list(&ws(), &id(1), &id(1), PageRequest::default())
        .await;
    assert_eq!(none.unwrap(), None);
}

async fn assistants_are_listed_newest_first(home: Home) {
    let store = home.open();
    for n in 1..=3 {
        store
            .assistants()
            .insert(&ws(), assistant(n))
            .await
            .unwrap();
    }
    let request = PageRequest {
        limit: 2,
        ..PageRequest::default()
    };
    let page = store.assistants().list(&ws(), request).await.unwrap();
    assert_eq!(page.items, [assistant(3), assistant(2)]);
    assert!(page.has_more);
}

async fn messages_runs_and_steps_of_runs_are_listed(home: Home) {
    let store = home.open();
    let claim = running(&store, 1).await;
    let run = claim.run.clone();
    let change = RunChange {
        put_messages: vec![draft(&run, 1), draft(&run, 2)],
        put_steps: vec![step(&run, 1), step(&run, 2), step(&run, 3)],
        ..RunChange::to(completed())
    };
    let committed = store.runs().commit(guard(&claim), change).await;
    assert!(committed.unwrap().is_some());
    let later = store.messages().insert(&ws(), message(&id(1), 3)).await;
    later.unwrap().unwrap();

    let of_run = store
        .messages()
        .list(&ws(), &id(1), Some(&run.id), PageRequest::default())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(message_ids(&of_run.items), [id(2), id(1)]);
    // A cursor may be any message of the thread.
    let request = PageRequest {
        before: Some(id(3)),
        order: Order::Asc,
        limit: 1,
        after: None,
    };
    let of_run = store
        .messages()
        .list(&ws(), &id(1), Some(&run.id), request)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(message_ids(&of_run.items), [id(1)]);
    assert!(of_run.has_more);

    let request = PageRequest {
        limit: 2,
        after: Some(id(3)),
        ..PageRequest::default()
    };
    let steps = store.steps().list(&ws(), &id(1), &run.id, request).await;
    let steps = steps.unwrap().unwrap();
    assert_eq!(step_ids(&steps.items), [id(2), id(1)]);
    assert!(!steps.has_more);
    let elsewhere = store
        .steps()
        .list(&ws(), &id(2), &run.id, PageRequest::default())
        .await;
    assert_eq!(elsewhere.unwrap(), None, "under another thread");

    let runs = store
        .runs()
        .list(&ws(), &id(1), PageRequest::default())
        .await;
    let runs = runs.unwrap().unwrap();
    assert_eq!(runs.items.len(), 1);
    assert_eq!(runs.items[0].state, completed());
}
