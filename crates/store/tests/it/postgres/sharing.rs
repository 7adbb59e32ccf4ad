//! Several processes on one database: who is there, and who tells whom.

use loomgate_store::{Error, Options, Postgres, Sharing, Store, Wakeups};
use loomgate_testkit::postgres::Database;

use crate::{
    fixtures::{NOW_MS, assistant, claim, id, queued, run_ids, running, ws},
    home::postgres,
    logs::record,
};

fn open(database: &Database, sharing: Sharing) -> Result<Store, Error> {
    Store::open(Options {
        sharing,
        ..Options::postgres(postgres(database.url()))
    })
}

/// Whether something is told to `wakeups` before they are told that `marker` happened.
async fn woken(wakeups: &mut Wakeups, marker: impl Future<Output = ()>) -> bool {
    tokio::select! {
        biased;
        () = wakeups.woken() => true,
        () = marker => false,
    }
}

#[tokio::test]
async fn work_is_told_to_everybody_once_it_can_be_claimed() {
    let database = Database::new();
    let one = open(&database, Sharing::Server).unwrap();
    let two = open(&database, Sharing::Server).unwrap();
    let (mut here, mut there) = (one.runs().wakeups(), two.runs().wakeups());
    queued(&one, 1).await;
    here.woken().await;
    there.woken().await;
    here.arm();
    there.arm();
    assert_eq!(run_ids(&claim(&two, "w", NOW_MS, 9).await), [id(1)]);

    // What one process is told by its own commit is not told to it again by the database: the next
    // word that `one` hears is about the run that `two` makes.
    assert_eq!(one.runs().release_all("w").await.unwrap(), 1);
    there.woken().await;
    here.woken().await;
    here.arm();
    let nothing = async { one.ping().await.unwrap() };
    assert!(!woken(&mut here, nothing).await);
    queued(&two, 2).await;
    here.woken().await;
}

#[tokio::test]
async fn a_commit_that_needs_no_worker_wakes_nobody() {
    let database = Database::new();
    let one = open(&database, Sharing::Server).unwrap();
    let mut wakeups = one.runs().wakeups();
    let held = running(&one, 1).await;
    wakeups.arm();
    let metadata = crate::fixtures::metadata("a", "b");
    let nothing = async {
        let (runs, run) = (one.runs(), &held.run);
        let set = runs.set_metadata(&held.ws, &run.thread_id, &run.id, metadata);
        set.await.unwrap().unwrap();
    };
    assert!(!woken(&mut wakeups, nothing).await);
}

#[tokio::test]
async fn whoever_wants_to_be_alone_waits_for_servers_to_go() {
    let database = Database::new();
    let server = open(&database, Sharing::Server).unwrap();
    let second = open(&database, Sharing::Server).unwrap();
    open(&database, Sharing::Tool).unwrap().close().await;
    let refused = open(&database, Sharing::Alone);
    assert!(matches!(refused, Err(Error::InUse(_))), "{refused:?}");
    server.close().await;
    let refused = open(&database, Sharing::Alone);
    assert!(matches!(refused, Err(Error::InUse(_))), "{refused:?}");
    second.close().await;

    let alone = open(&database, Sharing::Alone).unwrap();
    for sharing in [Sharing::Server, Sharing::Alone] {
        let refused = open(&database, sharing);
        assert!(matches!(refused, Err(Error::InUse(_))), "{refused:?}");
    }
    // Elsewhere nobody is disturbed.
    open(&Database::new(), Sharing::Server).unwrap();
    alone.close().await;
    open(&database, Sharing::Server).unwrap();
}

#[tokio::test]
async fn a_process_opens_as_many_connections_as_it_says_and_no_more() {
    let (database, name) = (Database::new(), "counted");
    let options = Postgres {
        connections: 3,
        log_connections: 2,
        ..postgres(&format!("{}&application_name={name}", database.url()))
    };
    let store = Store::open(Options::postgres(options)).unwrap();
    let count = format!(
        "SELECT COUNT(*) FROM pg_stat_activity WHERE application_name = '{name}' AND query <> ''"
    );
    // What opening needed is on its way out; the one that listens stays.
    while database.texts(&count) != ["1"] {}
    // Whoever inserts waits until there are as many as there may be.
    database.execute(&format!(
        "CREATE FUNCTION crowd() RETURNS trigger LANGUAGE plpgsql AS $$
         BEGIN
             WHILE ({count}) < 6 LOOP
                 PERFORM pg_sleep(0.005), pg_stat_clear_snapshot();
             END LOOP;
             RETURN NEW;
         END $$;
         CREATE TRIGGER crowd BEFORE INSERT ON assistants FOR EACH ROW EXECUTE FUNCTION crowd();
         CREATE TRIGGER crowd BEFORE INSERT ON logs FOR EACH ROW EXECUTE FUNCTION crowd()",
    ));
    let mut writes = tokio::task::JoinSet::new();
    for n in 1..=20 {
        let (records, logs) = (store.clone(), store.clone());
        writes.spawn(async move { records.assistants().insert(&ws(), assistant(n)).await });
        writes.spawn(async move {
            let inserted = logs.logs().insert(vec![record(&ws(), n)], None).await;
            inserted.map(drop)
        });
    }
    for written in writes.join_all().await {
        written.unwrap();
    }
    assert_eq!(database.texts(&count), ["6"]);
    store.close().await;
    while database.texts(&count) != ["0"] {}
}
