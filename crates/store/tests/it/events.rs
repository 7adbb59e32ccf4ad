//! The journal of stream events: what is kept, by whom, in which order, and for how long.

use loomgate_domain::{
    RunId,
    run::{EventId, Journal, RunStatus},
};
use loomgate_store::{
    Claim, ClaimRequest, EventRow, Flush, Found, IfLocked, NewRun, NewRunThread, RunChange, Store,
    ThreadStores,
};

use crate::{
    fixtures::{
        LEASE_MS, NOW_MS, claim, completed, guard, id, in_progress, metadata, queued,
        requires_action, run, step, thread, ws,
    },
    home::Home,
};

on_both_engines! {
    events_are_kept_with_what_they_tell_and_read_in_their_order,
    a_commit_that_is_refused_tells_nothing,
    a_flush_is_kept_once_in_its_place_and_by_who_has_the_run,
    a_run_that_is_taken_over_is_lost_to_its_worker,
    a_leg_is_recorded_or_not,
    it_is_known_where_an_event_is_and_whether_it_can_have_been_told,
    journals_are_deleted_whole_once_their_time_is_over,
    a_deleted_thread_takes_its_events_with_it,
}

fn at(attempt: i64, number: i64) -> EventId {
    EventId { attempt, number }
}

fn row(last: EventId, count: i64, ends_leg: bool) -> EventRow {
    EventRow {
        last,
        count,
        ends_leg,
        body: format!("up to {last}"),
    }
}

/// A run whose creation told two events.
async fn streamed(store: &Store, n: u32) -> RunId {
    let new = NewRun {
        thread: NewRunThread::New {
            thread: thread(n),
            messages: Vec::new(),
        },
        run: run(&id(n), n),
        sealed: None,
        events: Some(row(at(0, 2), 2, false)),
        at_ms: NOW_MS,
        if_locked: IfLocked::Refuse,
        stores: ThreadStores::default(),
        receipt: None,
        take: None,
    };
    store.runs().create(&ws(), new).await.unwrap().unwrap();
    id(n)
}

/// A change that tells something.
fn telling(change: RunChange, events: EventRow) -> RunChange {
    RunChange {
        events: Some(events),
        at_ms: NOW_MS,
        ..change
    }
}

async fn claimed(store: &Store, worker: &str) -> Claim {
    claim(store, worker, NOW_MS, 1).await.pop().unwrap()
}

fn flush(claim: &Claim, after: EventId, row: EventRow) -> Flush {
    Flush {
        ws: claim.ws.clone(),
        run: claim.run.id.clone(),
        fence: claim.fence,
        after,
        row,
    }
}

async fn append(store: &Store, flush: Flush) -> bool {
    store.events().append(vec![flush], NOW_MS).await.unwrap()[0]
}

/// The last events of all rows that are kept.
async fn kept(store: &Store, run: &RunId, after: EventId) -> Vec<EventId> {
    let followed = store.events().follow(&ws(), run, after, 100).await.unwrap();
    followed
        .unwrap()
        .rows
        .into_iter()
        .map(|stored| stored.row.last)
        .collect()
}

async fn find(store: &Store, n: u32, event: EventId) -> Found {
    let opened = store
        .events()
        .open(&ws(), &id(n), &id(n), Some(event))
        .await;
    opened.unwrap().unwrap().found.unwrap()
}

/// What a command finds of the run's journal, and what it then makes of the run.
async fn commanded(store: &Store, n: u32, change: RunChange) -> (Option<Journal>, EventId, i64) {
    let (show, shown) = std::sync::mpsc::channel();
    let decide = move |row: loomgate_store::RunSnapshot| {
        show.send(row.journal).unwrap();
        Ok::<_, ()>(Some(change.clone()))
    };
    let runs = store.runs();
    let commanded = runs.command(&ws(), &id(n), &id(n), decide, NOW_MS).await;
    commanded.unwrap().unwrap().unwrap();
    let state = shown.recv().unwrap();
    (state.journal, state.last, state.attempt)
}

async fn events_are_kept_with_what_they_tell_and_read_in_their_order(home: Home) {
    let store = home.open();
    let run = streamed(&store, 1).await;
    let worker = claimed(&store, "a").await;
    assert!(append(&store, flush(&worker, at(0, 2), row(at(1, 9), 7, false))).await);
    assert!(append(&store, flush(&worker, at(1, 9), row(at(1, 10), 1, false))).await);
    let metadata = metadata("k", "v");
    let runs = store.runs();
    runs.set_metadata(&ws(), &id(1), &run, metadata.clone())
        .await
        .unwrap();
    let change = telling(RunChange::to(completed()), row(at(1, 12), 2, true));
    runs.commit(guard(&worker), change).await.unwrap().unwrap();

    let events = store.events();
    let followed = events
        .follow(&ws(), &run, EventId::START, 100)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(followed.status, RunStatus::Completed);
    let rows: Vec<_> = followed
        .rows
        .iter()
        .map(|stored| stored.row.clone())
        .collect();
    assert_eq!(
        rows,
        [
            row(at(0, 2), 2, false),
            row(at(1, 9), 7, false),
            row(at(1, 10), 1, false),
            row(at(1, 12), 2, true),
        ]
    );
    let metadatas: Vec<_> = followed
        .rows
        .into_iter()
        .map(|stored| stored.metadata)
        .collect();
    let at_first = Some(loomgate_domain::Metadata::default());
    assert_eq!(metadatas, [at_first, None, None, Some(metadata)]);
    // From the middle of a row on, the whole row comes; never more than is asked for.
    assert_eq!(
        kept(&store, &run, at(1, 5)).await,
        [at(1, 9), at(1, 10), at(1, 12)]
    );
    assert_eq!(kept(&store, &run, at(1, 12)).await, []);
    let one = events
        .follow(&ws(), &run, at(1, 9), 1)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(one.rows[0].row.last, at(1, 10));
    assert_eq!(one.rows.len(), 1);
}

async fn a_commit_that_is_refused_tells_nothing(home: Home) {
    let store = home.open();
    let run = streamed(&store, 1).await;
    let old = claimed(&store, "a").await;
    let mut forged = guard(&old);
    forged.version -= 1;
    let change = telling(RunChange::to(completed()), row(at(1, 3), 1, true));
    assert_eq!(store.runs().commit(forged, change).await.unwrap(), None);
    assert_eq!(kept(&store, &run, EventId::START).await, [at(0, 2)]);
}

async fn a_flush_is_kept_once_in_its_place_and_by_who_has_the_run(home: Home) {
    let store = home.open();
    let run = streamed(&store, 1).await;
    let old = claimed(&store, "a").await;
    assert!(append(&store, flush(&old, at(0, 2), row(at(1, 5), 3, false))).await);
    // The same again, as after a commit that nobody heard of; and something that leaves a gap.
    assert!(append(&store, flush(&old, at(0, 2), row(at(1, 5), 3, false))).await);
    assert!(!append(&store, flush(&old, at(1, 6), row(at(1, 7), 1, false))).await);

    let late = NOW_MS + LEASE_MS + 1;
    let new = claim(&store, "b", late, 1).await.pop().unwrap();
    assert!(
        !append(&store, flush(&old, at(1, 5), row(at(1, 6), 1, false))).await,
        "fenced"
    );
    assert!(append(&store, flush(&new, at(1, 5), row(at(2, 6), 1, false))).await);

    // Some are kept and others are not, in one transaction.
    let other = streamed(&store, 2).await;
    let third = claimed(&store, "c").await;
    let batch = vec![
        flush(&old, at(2, 6), row(at(1, 7), 1, false)),
        flush(&third, at(0, 2), row(at(1, 3), 1, false)),
    ];
    assert_eq!(
        store.events().append(batch, NOW_MS).await.unwrap(),
        [false, true]
    );
    assert_eq!(
        kept(&store, &run, EventId::START).await,
        [at(0, 2), at(1, 5), at(2, 6)]
    );
    assert_eq!(kept(&store, &other, at(0, 2)).await, [at(1, 3)]);

    // Nothing is told of a run that has ended.
    let end = telling(RunChange::to(completed()), row(at(2, 7), 1, true));
    store
        .runs()
        .commit(guard(&new), end)
        .await
        .unwrap()
        .unwrap();
    assert!(!append(&store, flush(&new, at(2, 7), row(at(2, 8), 1, false))).await);
}

async fn a_run_that_is_taken_over_is_lost_to_its_worker(home: Home) {
    let store = home.open();
    streamed(&store, 1).await;
    let old = claimed(&store, "a").await;
    let end = RunChange {
        take_over: true,
        ..telling(RunChange::to(completed()), row(at(2, 3), 1, true))
    };
    let (_, last, attempt) = commanded(&store, 1, end).await;
    assert_eq!((last, attempt), (at(0, 2), 1));
    assert!(!append(&store, flush(&old, at(2, 3), row(at(1, 4), 1, false))).await);
    let (_, last, attempt) = commanded(&store, 1, RunChange::to(completed())).await;
    assert_eq!((last, attempt), (at(2, 3), 2));
}

async fn a_leg_is_recorded_or_not(home: Home) {
    let store = home.open();
    let run = streamed(&store, 1).await;
    let first = Journal {
        recording: true,
        after: EventId::START,
    };
    let worker = claimed(&store, "a").await;
    let pause = telling(RunChange::to(requires_action()), row(at(1, 5), 3, true));
    store
        .runs()
        .commit(guard(&worker), pause)
        .await
        .unwrap()
        .unwrap();
    let unrecorded = Journal {
        recording: false,
        after: at(1, 5),
    };
    let go_on = RunChange {
        journal: Some(unrecorded),
        ..RunChange::to(crate::fixtures::run(&id(1), 1).state)
    };
    assert_eq!(
        commanded(&store, 1, go_on).await,
        (Some(first), at(1, 5), 1)
    );
    let opened = store
        .events()
        .open(&ws(), &id(1), &run, None)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (opened.state.journal, opened.state.attempt),
        (Some(unrecorded), 1)
    );

    // A claim tells whether to record, and what streams know of what was left open.
    let second = streamed(&store, 2).await;
    let worker = claim(&store, "b", NOW_MS, 2).await.pop().unwrap();
    assert_eq!(worker.run.id, second);
    let open = RunChange {
        put_steps: vec![step(&worker.run, 1)],
        ..telling(RunChange::to(in_progress()), row(at(1, 3), 1, false))
    };
    store
        .runs()
        .commit(guard(&worker), open)
        .await
        .unwrap()
        .unwrap();
    let (show, shown) = std::sync::mpsc::channel();
    let request = ClaimRequest {
        worker: "c".into(),
        now_ms: NOW_MS + LEASE_MS + 1,
        lease_ms: LEASE_MS,
        max: 2,
    };
    let start = move |row: &loomgate_store::ClaimedRow| {
        show.send(row.clone()).unwrap();
        RunChange::to(in_progress())
    };
    assert_eq!(store.runs().claim(request, start).await.unwrap().len(), 2);
    let (left, right) = (shown.recv().unwrap(), shown.recv().unwrap());
    assert_eq!((left.run.id, left.recording), (run, None));
    let recording = right.recording.unwrap();
    assert_eq!((recording.last, recording.attempt), (at(1, 3), 2));
    let told: Vec<_> = right.told.iter().map(|stored| stored.row.last).collect();
    assert_eq!(told, [at(0, 2), at(1, 3)]);
}

async fn it_is_known_where_an_event_is_and_whether_it_can_have_been_told(home: Home) {
    let store = home.open();
    streamed(&store, 1).await;
    let old = claimed(&store, "a").await;
    append(&store, flush(&old, at(0, 2), row(at(1, 5), 3, false))).await;
    let (here, tail) = (Found::Kept { ends_leg: false }, |superseded| Found::Tail {
        superseded,
    });
    for (event, expected) in [
        (at(0, 1), here),
        (at(0, 2), here),
        (at(1, 3), here),
        (at(1, 5), here),
        (at(0, 0), Found::Unknown),
        (at(0, 3), Found::Unknown),
        (at(1, 2), Found::Unknown),
        (at(2, 6), Found::Unknown),
        (at(1, 6), tail(false)),
    ] {
        assert_eq!(find(&store, 1, event).await, expected, "{event}");
    }
    let new = claim(&store, "b", NOW_MS + LEASE_MS + 1, 1)
        .await
        .pop()
        .unwrap();
    let pause = telling(RunChange::to(requires_action()), row(at(2, 9), 4, true));
    store
        .runs()
        .commit(guard(&new), pause)
        .await
        .unwrap()
        .unwrap();
    for (event, expected) in [
        (at(1, 5), here),
        (at(1, 9), tail(true)),
        (at(2, 5), Found::Unknown),
        (at(2, 8), here),
        (at(2, 9), Found::Kept { ends_leg: true }),
        // It gave the run up, and so has stored all that it told.
        (at(2, 10), Found::Unknown),
    ] {
        assert_eq!(find(&store, 1, event).await, expected, "{event}");
    }
    queued(&store, 2).await;
    assert_eq!(find(&store, 2, at(1, 1)).await, Found::NoJournal);
}

async fn journals_are_deleted_whole_once_their_time_is_over(home: Home) {
    let store = home.open();
    for n in 1..=3 {
        streamed(&store, n).await;
    }
    let workers = claim(&store, "a", NOW_MS, 3).await;
    for (worker, ended_at) in workers.iter().zip([NOW_MS, NOW_MS + 10]) {
        let end = RunChange {
            at_ms: ended_at,
            ..telling(RunChange::to(completed()), row(at(1, 3), 1, true))
        };
        store
            .runs()
            .commit(guard(worker), end)
            .await
            .unwrap()
            .unwrap();
    }
    let events = store.events();
    assert_eq!(events.sweep(NOW_MS, 100).await.unwrap(), 0, "not before");
    assert_eq!(events.sweep(NOW_MS + 10, 100).await.unwrap(), 1);
    assert_eq!(kept(&store, &id(1), EventId::START).await, []);
    let opened = events
        .open(&ws(), &id(1), &id(1), Some(at(1, 3)))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (opened.state.journal, opened.found),
        (None, Some(Found::NoJournal))
    );
    assert_eq!(kept(&store, &id(2), EventId::START).await.len(), 2);
    // A step of one row takes a whole journal, and leaves the others for the next.
    let third = RunChange::to(completed());
    store
        .runs()
        .commit(guard(&workers[2]), third)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(events.sweep(i64::MAX, 1).await.unwrap(), 1);
    assert_eq!(events.sweep(i64::MAX, 1).await.unwrap(), 1);
    assert_eq!(events.sweep(i64::MAX, 1).await.unwrap(), 0);
}

async fn a_deleted_thread_takes_its_events_with_it(home: Home) {
    let store = home.open();
    let run = streamed(&store, 1).await;
    store
        .threads()
        .delete(&ws(), &id(1))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        store
            .events()
            .follow(&ws(), &run, EventId::START, 9)
            .await
            .unwrap(),
        None
    );
    // Should the id come back, it has no past.
    let again = queued(&store, 1).await;
    assert_eq!(kept(&store, &again.id, EventId::START).await, []);
}
