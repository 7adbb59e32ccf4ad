//! What the gateway keeps: virtual keys, configs, counters, affinity.

use loomgate_domain::{
    Timestamp,
    config::{ConfigVersion, SavedConfig},
    limit::{Charge, ClosedRun, OpenRun, Owed},
    virtual_key::{VirtualKey, VirtualKeySettings},
};
use loomgate_store::{Error, Guard, RunChange, ThreadStores};
use serde_json::json;

use crate::{
    fixtures::{
        LEASE_MS, NOW, NOW_MS, claim, completed, guard, id, in_progress, queued, running, ws,
    },
    home::Home,
};

on_both_engines! {
    a_virtual_key_is_kept_changed_and_removed,
    a_secret_is_sealed_anew_only_if_it_is_still_the_same,
    a_config_has_versions,
    a_deleted_config_leaves_no_versions_behind,
    counters_add_up_and_never_wrap,
    a_run_at_a_provider_is_kept_until_it_is_counted,
    a_run_at_a_provider_is_counted_by_the_first_who_sees_its_end,
    processes_that_share_a_limit_see_what_all_have_used,
    old_windows_are_purged_and_budgets_stay,
    an_object_is_found_where_it_was_put_last,
    a_commit_charges_once_and_a_stale_worker_nothing,
    what_came_sealed_with_a_run_is_erased_when_it_ends,
    what_came_sealed_with_runs_is_sealed_anew_only_while_they_go_on,
}

pub(crate) fn virtual_key(slug: &str) -> VirtualKey {
    VirtualKey {
        workspace: ws(),
        slug: slug.into(),
        name: format!("The {slug}"),
        provider: "openai".into(),
        sealed_key: Some(format!("sealed-{slug}")),
        masked_key: Some("sk-****wxyz".into()),
        settings: VirtualKeySettings {
            base_url: Some("http://localhost".into()),
            usage_since: NOW,
            ..VirtualKeySettings::default()
        },
        created_at: NOW,
        updated_at: NOW,
    }
}

pub(crate) fn config(slug: &str) -> SavedConfig {
    SavedConfig {
        workspace: ws(),
        slug: slug.into(),
        name: format!("The {slug}"),
        version: id(1),
        config: json!({ "virtual_key": "main" }),
        created_at: NOW,
        updated_at: NOW,
    }
}

pub(crate) fn charge(subject: &str, meter: &'static str, start: i64, amount: u64) -> Charge {
    Charge {
        subject: subject.into(),
        meter: meter.into(),
        start,
        amount,
    }
}

pub(crate) fn charges(charges: Vec<Charge>) -> Owed {
    Owed {
        charges,
        ..Owed::default()
    }
}

fn open_run(run: &str, until: Timestamp) -> OpenRun {
    OpenRun {
        workspace: ws(),
        account: "vk:main".into(),
        run: run.into(),
        until,
    }
}

/// A run that has used so many tokens of `key:1`.
fn closed_run(run: &str, tokens: u64) -> ClosedRun {
    ClosedRun {
        run: open_run(run, NOW),
        charges: vec![charge("key:1", "budget:tokens", 0, tokens)],
    }
}

async fn a_virtual_key_is_kept_changed_and_removed(home: Home) {
    let store = home.open();
    let keys = store.virtual_keys();
    keys.insert(virtual_key("main"), None).await.unwrap();
    keys.insert(virtual_key("other"), None).await.unwrap();
    let again = keys.insert(virtual_key("main"), None).await;
    assert!(matches!(again, Err(Error::Duplicate)), "{again:?}");
    let found = keys.get(&ws(), "main").await.unwrap();
    assert_eq!(found, Some(virtual_key("main")));

    let changed = VirtualKey {
        provider: "anthropic".into(),
        sealed_key: None,
        masked_key: None,
        created_at: Timestamp(0),
        updated_at: NOW.plus(5),
        ..virtual_key("main")
    };
    let read = virtual_key("main");
    let updated = keys.update(&ws(), &read, changed.clone()).await;
    assert!(updated.unwrap());
    let expected = VirtualKey {
        created_at: NOW,
        ..changed
    };
    let listed = keys.list(&ws()).await.unwrap();
    assert_eq!(listed, [expected, virtual_key("other")]);
    // Who had read it before comes too late.
    let late = keys.update(&ws(), &read, read.clone()).await;
    assert!(!late.unwrap());
    let missing = virtual_key("missing");
    let updated = keys.update(&ws(), &missing, missing.clone()).await;
    assert!(!updated.unwrap());

    assert!(keys.delete(&ws(), "main").await.unwrap());
    assert!(!keys.delete(&ws(), "main").await.unwrap());
    assert_eq!(keys.get(&ws(), "main").await.unwrap(), None);
}

async fn a_secret_is_sealed_anew_only_if_it_is_still_the_same(home: Home) {
    let store = home.open();
    let keys = store.virtual_keys();
    let elsewhere = VirtualKey {
        workspace: id(2),
        ..virtual_key("main")
    };
    keys.insert(virtual_key("main"), None).await.unwrap();
    keys.insert(elsewhere.clone(), None).await.unwrap();
    let all = keys.all().await.unwrap();
    assert_eq!(all, [virtual_key("main"), elsewhere.clone()]);

    let reseal = |old: &'static str| keys.reseal(&elsewhere.workspace, "main", old, "new");
    assert!(reseal("sealed-main").await.unwrap());
    assert!(!reseal("sealed-main").await.unwrap());
    let sealed = |all: Vec<VirtualKey>| all.into_iter().map(|key| key.sealed_key.unwrap());
    let all: Vec<_> = sealed(keys.all().await.unwrap()).collect();
    assert_eq!(all, ["sealed-main", "new"]);
}

async fn a_config_has_versions(home: Home) {
    let store = home.open();
    let configs = store.configs();
    configs.insert(config("pc-main"), None).await.unwrap();
    let again = configs.insert(config("pc-main"), None).await;
    assert!(matches!(again, Err(Error::Duplicate)), "{again:?}");

    let at = NOW.plus(1);
    let renamed = configs
        .update(&ws(), "pc-main", Some("New name".into()), None, at)
        .await;
    let mut expected = SavedConfig {
        name: "New name".into(),
        updated_at: at,
        ..config("pc-main")
    };
    assert_eq!(renamed.unwrap(), Some(expected.clone()));

    let (at, body) = (NOW.plus(2), json!({ "cache": { "mode": "simple" } }));
    let version = Some((id(2), body.clone()));
    let changed = configs
        .update(&ws(), "pc-main", None, version.clone(), at)
        .await;
    expected.version = id(2);
    expected.config = body.clone();
    expected.updated_at = at;
    assert_eq!(changed.unwrap(), Some(expected.clone()));
    assert_eq!(
        configs.get(&ws(), "pc-main").await.unwrap(),
        Some(expected.clone())
    );
    let twice = configs
        .update(&ws(), "pc-main", Some("lost".into()), version.clone(), at)
        .await;
    assert!(matches!(twice, Err(Error::Duplicate)), "{twice:?}");

    let versions = configs.versions(&ws(), "pc-main").await.unwrap().unwrap();
    let first = ConfigVersion {
        id: id(1),
        config: config("pc-main").config,
        created_at: NOW,
    };
    let second = ConfigVersion {
        id: id(2),
        config: body,
        created_at: at,
    };
    assert_eq!(versions, [second, first]);

    configs.insert(config("pc-other"), None).await.unwrap();
    let listed = configs.list(&ws()).await.unwrap();
    assert_eq!(listed, [expected, config("pc-other")]);
    assert_eq!(configs.versions(&ws(), "pc-none").await.unwrap(), None);
    let missing = configs.update(&ws(), "pc-none", None, version, at).await;
    assert_eq!(missing.unwrap(), None);
}

async fn a_deleted_config_leaves_no_versions_behind(home: Home) {
    let store = home.open();
    let configs = store.configs();
    configs.insert(config("pc-main"), None).await.unwrap();
    assert!(configs.delete(&ws(), "pc-main").await.unwrap());
    assert!(!configs.delete(&ws(), "pc-main").await.unwrap());
    assert_eq!(configs.get(&ws(), "pc-main").await.unwrap(), None);
    // Of the same slug, with the same version: nothing is in its way.
    configs.insert(config("pc-main"), None).await.unwrap();
    let versions = configs.versions(&ws(), "pc-main").await.unwrap();
    assert_eq!(versions.unwrap().len(), 1);
}

async fn counters_add_up_and_never_wrap(home: Home) {
    let store = home.open();
    let counters = store.counters();
    let first = vec![
        charge("key:1", "requests:rph", 3600, 1),
        charge("key:1", "requests:rph", 3600, 2),
        charge("key:1", "budget:cost", 0, u64::MAX),
        charge("key:2", "requests:rph", 3600, 9),
    ];
    counters.settle(charges(first)).await.unwrap();
    let second = vec![
        charge("key:1", "requests:rph", 7200, 5),
        charge("key:1", "requests:rph", 3600, 4),
        charge("key:1", "budget:cost", 0, 10),
    ];
    counters.settle(charges(second)).await.unwrap();
    let largest = i64::MAX.unsigned_abs();
    let expected = [
        charge("key:1", "budget:cost", 0, largest),
        charge("key:1", "requests:rph", 3600, 7),
        charge("key:1", "requests:rph", 7200, 5),
    ];
    assert_eq!(counters.load("key:1").await.unwrap(), expected);
    assert!(counters.load("key:3").await.unwrap().is_empty());

    counters.reset("key:1").await.unwrap();
    assert!(counters.load("key:1").await.unwrap().is_empty());
    assert_eq!(counters.load("key:2").await.unwrap().len(), 1);
}

async fn a_run_at_a_provider_is_kept_until_it_is_counted(home: Home) {
    let store = home.open();
    let counters = store.counters();
    let opened = ["run_1", "run_2"].map(|run| open_run(run, NOW));
    let foreign = OpenRun {
        workspace: id(2),
        ..open_run("run_1", NOW)
    };
    let owed = Owed {
        opened: [&opened[..], std::slice::from_ref(&foreign)].concat(),
        ..Owed::default()
    };
    counters.settle(owed).await.unwrap();
    let longer = Owed {
        opened: vec![open_run("run_2", NOW.plus(5)), open_run("run_3", NOW)],
        closed: vec![closed_run("run_1", 0), closed_run("run_3", 0)],
        charges: vec![charge("key:1", "budget:tokens", 0, 12)],
    };
    counters.settle(longer).await.unwrap();
    let mut kept = counters.open_runs().await.unwrap();
    kept.sort();
    assert_eq!(kept, [open_run("run_2", NOW.plus(5)), foreign]);
    assert_eq!(counters.load("key:1").await.unwrap()[0].amount, 12);
}

async fn a_run_at_a_provider_is_counted_by_the_first_who_sees_its_end(home: Home) {
    let store = home.open();
    let counters = store.counters();
    let owed = Owed {
        opened: vec![open_run("run_1", NOW)],
        ..Owed::default()
    };
    counters.settle(owed).await.unwrap();
    for _ in 0..2 {
        let owed = Owed {
            closed: vec![closed_run("run_1", 7)],
            ..Owed::default()
        };
        counters.settle(owed).await.unwrap();
    }
    // One that began and ended between two writings counts, too.
    let short = Owed {
        opened: vec![open_run("run_2", NOW)],
        closed: vec![closed_run("run_2", 5)],
        charges: Vec::new(),
    };
    counters.settle(short).await.unwrap();
    let stored = counters.load("key:1").await.unwrap();
    assert_eq!(stored, [charge("key:1", "budget:tokens", 0, 12)]);
    assert!(counters.open_runs().await.unwrap().is_empty());
}

async fn processes_that_share_a_limit_see_what_all_have_used(home: Home) {
    let store = home.open();
    let counters = store.counters();
    let minute = NOW.0 - NOW.0.rem_euclid(60);
    let count = |start: i64| {
        let rate = charge("key:1", "requests:rpm", start, 1);
        let budget = charge("key:1", "budget:tokens", 0, 10);
        charges(vec![rate, budget])
    };
    let asked = || vec!["key:1".into(), "key:2".into()];
    let all = counters.balance(count(minute), asked(), NOW).await.unwrap();
    assert_eq!(all.len(), 2);
    assert!(all[1].is_empty());
    let later = NOW.plus(60);
    for (n, start) in [(1, minute), (2, minute + 60)] {
        let all = counters
            .balance(count(start), asked(), later)
            .await
            .unwrap();
        assert_eq!(all[0][0], charge("key:1", "budget:tokens", 0, 10 * (n + 1)));
    }
    let all = counters
        .balance(Owed::default(), asked(), later)
        .await
        .unwrap();
    let expected = [
        charge("key:1", "budget:tokens", 0, 30),
        charge("key:1", "requests:rpm", minute, 2),
        charge("key:1", "requests:rpm", minute + 60, 1),
    ];
    assert_eq!(all[0], expected);
    // No rate looks at windows that passed long ago.
    let later = NOW.plus(240);
    let all = counters.balance(count(minute + 240), asked(), later).await;
    let expected = [
        charge("key:1", "budget:tokens", 0, 40),
        charge("key:1", "requests:rpm", minute + 240, 1),
    ];
    assert_eq!(all.unwrap()[0], expected);
}

async fn old_windows_are_purged_and_budgets_stay(home: Home) {
    let store = home.open();
    let counters = store.counters();
    let mut charges: Vec<_> = (0..2500)
        .map(|n| charge("key:1", "requests:rph", n, 1))
        .collect();
    charges.push(charge("key:1", "budget:cost", 0, 1));
    charges.push(charge("key:1", "requests:rph", 5000, 1));
    counters.settle(self::charges(charges)).await.unwrap();
    assert_eq!(counters.purge(5000).await.unwrap(), 2500);
    let expected = [
        charge("key:1", "budget:cost", 0, 1),
        charge("key:1", "requests:rph", 5000, 1),
    ];
    assert_eq!(counters.load("key:1").await.unwrap(), expected);
}

async fn an_object_is_found_where_it_was_put_last(home: Home) {
    let store = home.open();
    let affinity = store.affinity();
    let pair = |object: &str, target: &str| (object.to_owned(), target.to_owned());
    let put = vec![
        pair("thread_1", "a"),
        pair("run_1", "a"),
        pair("thread_1", "b"),
    ];
    affinity.put(&ws(), put).await.unwrap();
    let asked = ["run_1", "run_9", "thread_1"].map(str::to_owned);
    let found = affinity.get(&ws(), &asked).await.unwrap();
    assert_eq!(found, [pair("run_1", "a"), pair("thread_1", "b")]);
}

async fn a_commit_charges_once_and_a_stale_worker_nothing(home: Home) {
    let store = home.open();
    let lost = running(&store, 1).await;
    let spent = |state| RunChange {
        charges: vec![charge("key:1", "budget:tokens", 0, 7)],
        ..RunChange::to(state)
    };
    let late = NOW_MS + LEASE_MS + 1;
    let taken = claim(&store, "other", late, 1).await.remove(0);
    let stale = store.runs().commit(guard(&lost), spent(completed())).await;
    assert_eq!(stale.unwrap(), None);
    assert!(store.counters().load("key:1").await.unwrap().is_empty());

    let version = store
        .runs()
        .commit(guard(&taken), spent(in_progress()))
        .await;
    let version = version.unwrap().unwrap().version;
    let next = Guard {
        version,
        ..guard(&taken)
    };
    let decide = move |_| Ok::<_, ()>(Some(spent(completed())));
    let commanded = store
        .runs()
        .command(&ws(), &next.thread, &next.run, decide, late)
        .await;
    assert!(commanded.unwrap().unwrap().unwrap().changed);
    let again = store.runs().commit(next, RunChange::to(completed())).await;
    assert_eq!(again.unwrap(), None);
    let expected = [charge("key:1", "budget:tokens", 0, 14)];
    assert_eq!(store.counters().load("key:1").await.unwrap(), expected);
}

async fn what_came_sealed_with_a_run_is_erased_when_it_ends(home: Home) {
    use loomgate_store::{ClaimRequest, IfLocked, NewRun, NewRunThread};
    let store = home.open();
    queued(&store, 9).await;
    claim(&store, "w", NOW_MS, 1).await;
    for n in 1..=3 {
        let thread = crate::fixtures::thread(n);
        let new = NewRun {
            run: crate::fixtures::run(&thread.id, n),
            thread: NewRunThread::New {
                thread,
                messages: Vec::new(),
            },
            sealed: Some(format!("sealed {n}")),
            events: None,
            at_ms: NOW_MS,
            if_locked: IfLocked::Refuse,
            stores: ThreadStores::default(),
            receipt: None,
            take: None,
        };
        store.runs().create(&ws(), new).await.unwrap().unwrap();
    }
    let sealed = async |n: u32| store.runs().sealed(&ws(), &id(n)).await.unwrap();
    // By a worker's commit.
    let first = claim(&store, "w", NOW_MS, 1).await.remove(0);
    assert_eq!(first.sealed.as_deref(), Some("sealed 1"));
    assert_eq!(sealed(1).await.as_deref(), Some("sealed 1"));
    let ended = store
        .runs()
        .commit(guard(&first), RunChange::to(completed()))
        .await;
    assert!(ended.unwrap().is_some());
    assert_eq!(sealed(1).await, None);
    // By a command or an expiry.
    let decide = |_| Ok::<_, ()>(Some(RunChange::to(completed())));
    let ended = store
        .runs()
        .command(&ws(), &id(2), &id(2), decide, NOW_MS)
        .await;
    assert!(ended.unwrap().unwrap().unwrap().changed);
    assert_eq!(sealed(2).await, None);
    // By the claim itself.
    assert_eq!(sealed(3).await.as_deref(), Some("sealed 3"));
    let request = ClaimRequest {
        worker: "w".into(),
        now_ms: NOW_MS,
        lease_ms: LEASE_MS,
        max: 1,
    };
    let end = |_: &loomgate_store::ClaimedRow| RunChange::to(completed());
    let third = store.runs().claim(request, end).await.unwrap().remove(0);
    assert_eq!((third.sealed, sealed(3).await), (None, None));
    // Where nothing came, nothing is.
    assert_eq!(sealed(9).await, None);
}

async fn what_came_sealed_with_runs_is_sealed_anew_only_while_they_go_on(home: Home) {
    use loomgate_store::{IfLocked, NewRun, NewRunThread};
    let store = home.open();
    for n in 1..=3 {
        let thread = crate::fixtures::thread(n);
        let new = NewRun {
            run: crate::fixtures::run(&thread.id, n),
            thread: NewRunThread::New {
                thread,
                messages: Vec::new(),
            },
            sealed: Some(format!("v{n}:text")),
            events: None,
            at_ms: NOW_MS,
            if_locked: IfLocked::Refuse,
            stores: ThreadStores::default(),
            receipt: None,
            take: None,
        };
        store.runs().create(&ws(), new).await.unwrap().unwrap();
    }
    let runs = store.runs();
    let otherwise = async |start: &str, most| {
        let found = runs.sealed_otherwise(start, most).await.unwrap();
        let mut sealed: Vec<_> = found.into_iter().map(|(_, _, sealed)| sealed).collect();
        sealed.sort_unstable();
        sealed
    };
    assert_eq!(otherwise("v2:", 9).await, ["v1:text", "v3:text"]);
    assert_eq!(otherwise("v2:", 1).await.len(), 1);
    // Only if it is still the same.
    let reseal = async |old: &str| runs.reseal(&ws(), &id(1), old, "v2:new").await.unwrap();
    assert!(!reseal("v9:text").await);
    assert!(reseal("v1:text").await);
    assert!(!reseal("v1:text").await);
    assert_eq!(otherwise("v2:", 9).await, ["v3:text"]);
    assert_eq!(
        runs.sealed(&ws(), &id(1)).await.unwrap().as_deref(),
        Some("v2:new")
    );
    // What has ended has nothing sealed.
    let decide = |_| Ok::<_, ()>(Some(RunChange::to(completed())));
    let ended = runs.command(&ws(), &id(3), &id(3), decide, NOW_MS).await;
    assert!(ended.unwrap().unwrap().unwrap().changed);
    assert!(otherwise("v2:", 9).await.is_empty());
    assert!(
        !runs
            .reseal(&ws(), &id(3), "v3:text", "v2:new")
            .await
            .unwrap()
    );
}
