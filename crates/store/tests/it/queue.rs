//! Leases: who has which run, until when, and who has lost it.

use loomgate_domain::{
    RunId, Timestamp,
    run::{RunState, RunStatus},
};
use loomgate_store::{Claim, ClaimRequest, Lease, RunChange, Store};

use crate::{
    fixtures::{
        LEASE_MS, NOW, NOW_MS, cancelling, claim, completed, draft, get_run, guard, id,
        in_progress, message_ids, queued, requires_action, run_ids, running, step, step_ids, ws,
    },
    home::Home,
};

on_both_engines! {
    a_run_is_claimed_once,
    the_oldest_run_goes_first_even_when_its_lease_has_ended,
    a_worker_that_lost_its_lease_writes_nothing,
    a_heartbeat_prolongs_the_leases_that_are_still_held,
    a_claim_shows_what_a_lost_worker_left_open,
    a_released_run_is_free_at_once,
    a_draining_worker_frees_its_runs_and_no_others,
    recovery_voids_leases_that_have_ended,
    a_cancelled_run_that_nobody_has_is_claimed,
    ended_runs_are_never_claimed_nor_due,
    runs_are_due_when_their_time_is_over,
    a_run_that_a_worker_has_is_its_workers_to_end,
    the_census_counts_active_runs,
}

on_both_engines! {
    multi_thread:
    of_claims_at_the_same_time_each_run_goes_to_one,
}

fn lease(claim: &Claim) -> Lease {
    Lease {
        ws: claim.ws.clone(),
        run: claim.run.id.clone(),
        fence: claim.fence,
    }
}

async fn become_cancelling(store: &Store, n: u32) {
    let decide = |_| Ok::<_, ()>(Some(RunChange::to(cancelling())));
    let commanded = store
        .runs()
        .command(&ws(), &id(n), &id(n), decide, NOW_MS)
        .await;
    assert!(commanded.unwrap().unwrap().unwrap().changed);
}

async fn a_run_is_claimed_once(home: Home) {
    let store = home.open();
    let run = queued(&store, 1).await;
    let first = claim(&store, "a", NOW_MS, 10).await;
    let second = claim(&store, "b", NOW_MS, 10).await;
    assert!(second.is_empty(), "{second:?}");
    let [taken] = &first[..] else {
        panic!("{first:?}")
    };
    assert_eq!((taken.fence, taken.version, taken.attempt), (1, 1, 1));
    assert_eq!(taken.ws, ws());
    assert_eq!(taken.run.state, in_progress());
    assert_eq!(get_run(&store, &run).await, taken.run);
}

async fn of_claims_at_the_same_time_each_run_goes_to_one(home: Home) {
    let store = home.open();
    for n in 1..=40 {
        queued(&store, n).await;
    }
    let mut workers = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = store.clone();
        workers.spawn(async move { claim(&store, &format!("w{n}"), NOW_MS, 7).await });
    }
    let mut ids: Vec<RunId> = Vec::new();
    for claims in workers.join_all().await {
        ids.extend(run_ids(&claims));
    }
    ids.sort();
    let mut expected: Vec<RunId> = (1..=40).map(id).collect();
    expected.sort();
    assert_eq!(ids, expected);
}

async fn the_oldest_run_goes_first_even_when_its_lease_has_ended(home: Home) {
    let store = home.open();
    for n in 1..=3 {
        queued(&store, n).await;
    }
    assert_eq!(run_ids(&claim(&store, "a", NOW_MS, 1).await), [id(1)]);
    let end = NOW_MS + LEASE_MS;
    assert_eq!(run_ids(&claim(&store, "b", end, 1).await), [id(2)]);
    let claims = claim(&store, "b", end + 1, 2).await;
    assert_eq!(run_ids(&claims), [id(1), id(3)]);
}

async fn a_worker_that_lost_its_lease_writes_nothing(home: Home) {
    let store = home.open();
    let old = running(&store, 1).await;
    let late = NOW_MS + LEASE_MS + 1;
    let new = claim(&store, "other", late, 1).await.remove(0);
    assert_eq!((new.fence, new.attempt), (2, 2));

    let change = RunChange {
        put_steps: vec![step(&old.run, 1)],
        ..RunChange::to(completed())
    };
    let committed = store.runs().commit(guard(&old), change.clone()).await;
    assert_eq!(committed.unwrap(), None);
    let mut forged = guard(&old);
    forged.version = new.version;
    let committed = store.runs().commit(forged, change.clone()).await;
    assert_eq!(committed.unwrap(), None, "the fence alone refuses it");
    let found = store.steps().get(&ws(), &id(1), &id(1), &id(1)).await;
    assert_eq!(found.unwrap(), None);
    let held = store.runs().heartbeat("w", vec![lease(&old)], late).await;
    assert!(held.unwrap().is_empty());
    let committed = store.runs().commit(guard(&new), change).await.unwrap();
    assert_eq!(committed.unwrap().version, new.version + 1);
}

async fn a_heartbeat_prolongs_the_leases_that_are_still_held(home: Home) {
    let store = home.open();
    let first = running(&store, 1).await;
    let second = running(&store, 2).await;
    let ended = running(&store, 3).await;
    let end = RunChange::to(completed());
    store.runs().commit(guard(&ended), end).await.unwrap();
    let leases = vec![lease(&first), lease(&ended)];
    let until = NOW_MS + 10 * LEASE_MS;
    let held = store.runs().heartbeat("w", leases.clone(), until).await;
    assert_eq!(held.unwrap(), [id(1)]);
    let foreign = store.runs().heartbeat("x", leases, until).await;
    assert!(foreign.unwrap().is_empty(), "another worker's");
    let claims = claim(&store, "b", NOW_MS + LEASE_MS + 1, 9).await;
    assert_eq!(run_ids(&claims), [second.run.id]);
}

async fn a_claim_shows_what_a_lost_worker_left_open(home: Home) {
    let store = home.open();
    let old = running(&store, 1).await;
    let open = RunChange {
        put_steps: vec![step(&old.run, 1)],
        put_messages: vec![draft(&old.run, 1)],
        ..RunChange::to(in_progress())
    };
    store.runs().commit(guard(&old), open).await.unwrap();
    let (show, shown) = std::sync::mpsc::channel();
    let request = ClaimRequest {
        worker: "other".into(),
        now_ms: NOW_MS + LEASE_MS + 1,
        lease_ms: LEASE_MS,
        max: 1,
    };
    let start = move |row: &loomgate_store::ClaimedRow| {
        show.send(row.clone()).unwrap();
        RunChange {
            remove_messages: message_ids(&row.messages),
            ..RunChange::to(in_progress())
        }
    };
    let claims = store.runs().claim(request, start).await.unwrap();
    assert_eq!(claims.len(), 1);
    let row = shown.recv().unwrap();
    assert_eq!(step_ids(&row.steps), [id(1)]);
    assert_eq!(message_ids(&row.messages), [id(1)]);
    let found = store.messages().get(&ws(), &id(1), &id(1)).await.unwrap();
    assert_eq!(found, None, "removed in the same transaction");
}

async fn a_released_run_is_free_at_once(home: Home) {
    let store = home.open();
    let taken = running(&store, 1).await;
    let release = RunChange {
        release: true,
        ..RunChange::to(in_progress())
    };
    let committed = store.runs().commit(guard(&taken), release).await.unwrap();
    assert!(committed.is_some());
    assert_eq!(run_ids(&claim(&store, "b", NOW_MS, 9).await), [id(1)]);
}

async fn a_draining_worker_frees_its_runs_and_no_others(home: Home) {
    let store = home.open();
    let taken = running(&store, 1).await;
    queued(&store, 2).await;
    claim(&store, "other", NOW_MS, 1).await;
    assert_eq!(store.runs().release_all("w").await.unwrap(), 1);
    assert_eq!(store.runs().release_all("w").await.unwrap(), 0);
    let held = store
        .runs()
        .heartbeat("w", vec![lease(&taken)], NOW_MS)
        .await;
    assert!(held.unwrap().is_empty());
    let claims = claim(&store, "b", NOW_MS, 9).await;
    assert_eq!(run_ids(&claims), [id(1)]);
}

async fn recovery_voids_leases_that_have_ended(home: Home) {
    let store = home.open();
    running(&store, 1).await;
    running(&store, 2).await;
    become_cancelling(&store, 2).await;
    let paused = running(&store, 3).await;
    let pause = RunChange::to(requires_action());
    store.runs().commit(guard(&paused), pause).await.unwrap();
    queued(&store, 4).await;
    let late = NOW_MS + LEASE_MS + 1;
    assert_eq!(store.runs().recover(late).await.unwrap(), 2);
    let claims = claim(&store, "b", NOW_MS, 9).await;
    assert_eq!(run_ids(&claims), [id(1), id(2), id(4)]);
    assert_eq!(claims[1].run.state, cancelling());
}

#[tokio::test]
async fn recovery_of_a_file_voids_leases_that_go_on() {
    let store = Home::Memory.open();
    running(&store, 1).await;
    assert_eq!(store.runs().recover(NOW_MS).await.unwrap(), 1);
}

#[tokio::test]
async fn recovery_leaves_the_leases_of_living_processes_alone() {
    let store = Home::postgres().open();
    let taken = running(&store, 1).await;
    assert_eq!(store.runs().recover(NOW_MS).await.unwrap(), 0);
    let change = RunChange::to(completed());
    let committed = store.runs().commit(guard(&taken), change).await;
    assert!(committed.unwrap().is_some());
}

async fn a_cancelled_run_that_nobody_has_is_claimed(home: Home) {
    let store = home.open();
    queued(&store, 1).await;
    become_cancelling(&store, 1).await;
    let claims = claim(&store, "b", NOW_MS, 9).await;
    assert_eq!(run_ids(&claims), [id(1)]);
}

async fn ended_runs_are_never_claimed_nor_due(home: Home) {
    let store = home.open();
    let taken = running(&store, 1).await;
    let end = RunChange::to(RunState::Expired { started_at: None });
    store.runs().commit(guard(&taken), end).await.unwrap();
    assert!(claim(&store, "b", i64::MAX, 9).await.is_empty());
    let due = store.runs().due(Timestamp(i64::MAX), 9).await.unwrap();
    assert!(due.is_empty());
    assert_eq!(store.runs().next_deadline().await.unwrap(), None);
}

async fn runs_are_due_when_their_time_is_over(home: Home) {
    let store = home.open();
    queued(&store, 1).await;
    let paused = running(&store, 2).await;
    assert_eq!(paused.run.id, id(1), "the oldest");
    let pause = RunChange::to(requires_action());
    store.runs().commit(guard(&paused), pause).await.unwrap();
    let deadline = NOW.plus(600);
    let next = store.runs().next_deadline().await.unwrap();
    assert_eq!(next, Some(deadline));
    let early = Timestamp(deadline.0 - 1);
    assert!(store.runs().due(early, 9).await.unwrap().is_empty());
    assert_eq!(store.runs().due(deadline, 1).await.unwrap().len(), 1);
    become_cancelling(&store, 1).await;
    let due = store.runs().due(deadline, 9).await.unwrap();
    assert_eq!(due, [(ws(), id(2), id(2))], "cancelling does not expire");
}

async fn a_run_that_a_worker_has_is_its_workers_to_end(home: Home) {
    let store = home.open();
    let taken = running(&store, 1).await;
    let deadline = NOW.plus(600);
    let until_ms = deadline.0 * 1000;
    let held = store
        .runs()
        .heartbeat("w", vec![lease(&taken)], until_ms)
        .await;
    assert_eq!(held.unwrap(), [id(1)]);
    assert!(store.runs().due(deadline, 9).await.unwrap().is_empty());
    let later = deadline.plus(1);
    let due = store.runs().due(later, 9).await.unwrap();
    assert_eq!(due, [(ws(), id(1), id(1))], "its worker is gone");
}

async fn the_census_counts_active_runs(home: Home) {
    let store = home.open();
    let ended = running(&store, 1).await;
    let end = RunChange::to(completed());
    store.runs().commit(guard(&ended), end).await.unwrap();
    running(&store, 2).await;
    queued(&store, 3).await;
    queued(&store, 4).await;
    let mut census = store.runs().census().await.unwrap();
    census.sort_by_key(|(_, count)| *count);
    let expected = [(RunStatus::InProgress, 1), (RunStatus::Queued, 2)];
    assert_eq!(census, expected);
}
