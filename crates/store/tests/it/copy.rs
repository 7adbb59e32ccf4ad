//! `copy`: everything goes over, in either direction, and again where it was ended.

use std::{collections::BTreeMap, path::PathBuf};

use loomgate_domain::{
    export::{ExportStatus, LogExport},
    feedback::Feedback,
    limit::{OpenRun, Owed},
    run::EventId,
};
use loomgate_store::{
    Error, EventRow, IfLocked, NewRun, NewRunThread, RunChange, Store, ThreadStores,
    copy::{CopyError, Progress, Stage, copy},
};
use loomgate_testkit::postgres::Database;

use crate::{
    documents, files,
    fixtures::{
        NOW, NOW_MS, assistant, completed, draft, guard, id, message, queued, run, running, step,
        thread, ws,
    },
    gateway::{charge, config, virtual_key},
    home::Home,
    keys::key,
    logs::{full, record},
    receipts::receipt,
    uploads,
};

/// Messages of the largest thread: more than go over in one transaction.
const MESSAGES: u32 = 1_234;

/// Rows of every table, and holes where rows were deleted.
async fn fill(store: &Store) {
    let own = store.workspaces().ensure("own").await.unwrap();
    store.keys().insert(key(&own, 1), None).await.unwrap();
    store.marks().keep("hash_key", "a".into()).await.unwrap();
    for n in 1..=3 {
        let assistants = store.assistants();
        assistants.insert(&ws(), assistant(n)).await.unwrap();
    }
    store.assistants().delete(&ws(), &id(2)).await.unwrap();
    let messages = (1..=MESSAGES).map(|n| message(&id(50), n)).collect();
    let threads = store.threads();
    threads.insert(&ws(), thread(50), messages).await.unwrap();
    let claim = running(store, 1).await;
    let change = RunChange {
        put_messages: vec![draft(&claim.run, 5_000)],
        put_steps: vec![step(&claim.run, 1)],
        ..RunChange::to(completed())
    };
    store.runs().commit(guard(&claim), change).await.unwrap();
    queued(store, 2).await;
    let messages = store.messages();
    let waiting = message(&id(2), 9_000);
    let waiting = messages
        .create(&ws(), (waiting, None), IfLocked::Enqueue, None)
        .await;
    waiting.unwrap().unwrap();
    let told = NewRun {
        thread: NewRunThread::New {
            thread: thread(3),
            messages: Vec::new(),
        },
        run: run(&id(3), 3),
        sealed: Some("v1:sealed".into()),
        events: Some(EventRow {
            last: EventId {
                attempt: 0,
                number: 1,
            },
            count: 1,
            ends_leg: false,
            body: "told".into(),
        }),
        at_ms: NOW_MS,
        if_locked: IfLocked::Refuse,
        stores: ThreadStores::default(),
        receipt: Some(receipt("k")),
        take: None,
    };
    store.runs().create(&ws(), told).await.unwrap().unwrap();
    let virtual_keys = store.virtual_keys();
    virtual_keys
        .insert(virtual_key("main"), None)
        .await
        .unwrap();
    store
        .configs()
        .insert(config("pc-main"), None)
        .await
        .unwrap();
    let owed = Owed {
        charges: vec![charge("key:1", "budget:cost", 0, 7)],
        opened: vec![OpenRun {
            workspace: ws(),
            account: "main".into(),
            run: "run_there".into(),
            until: NOW,
        }],
        closed: Vec::new(),
    };
    store.counters().settle(owed).await.unwrap();
    let kept = vec![("thread_\u{0}there".to_owned(), "main".to_owned())];
    store.affinity().put(&ws(), kept).await.unwrap();
    fill_files(store).await;
    fill_logs(store).await;
}

async fn fill_files(store: &Store) {
    files::kept(store, 1).await;
    let mut user = assistant(7);
    user.tool_resources.add_file("file-1");
    store.assistants().insert(&ws(), user).await.unwrap();
    uploads::with_part(store, 1).await;
    assert!(store.leases().take("sweep", NOW, 60).await.unwrap());
}

async fn fill_logs(store: &Store) {
    let records = (1..=20)
        .map(|n| record(&ws(), n))
        .chain([full(21)])
        .collect();
    let kept = Some((ws(), receipt("logged")));
    store.logs().insert(records, kept).await.unwrap();
    let feedback = Feedback {
        id: id(1),
        workspace: ws(),
        trace_id: "trace".into(),
        value: 1,
        weight: 0.5,
        metadata: BTreeMap::new(),
        created_at: NOW,
    };
    store
        .logs()
        .add_feedback(vec![feedback], None)
        .await
        .unwrap();
    let export = LogExport {
        id: id(1),
        workspace: ws(),
        created_by: id(1),
        description: "export".into(),
        filters: serde_json::json!({}),
        requested_data: vec!["id".into()],
        status: ExportStatus::Draft,
        created_at: NOW,
        updated_at: NOW,
    };
    store.logs().add_export(export, None).await.unwrap();
}

/// Stores with a file that is found, one that waits, and what is left of one.
async fn fill_vector_stores(store: &Store) {
    for n in [2, 3] {
        files::kept(store, n).await;
    }
    documents::create(store, 1, &[]).await;
    let texts: Vec<String> = (0..700).map(|n| format!("woven {n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    documents::indexed(store, documents::tagged(1, 2001), &texts).await;
    documents::attach_batch(store, 1, &[2, 3]).await;
    for _ in 0..2 {
        let guard = documents::take(store).await;
        assert!(documents::write(store, &guard, &["unseen"]).await);
    }
    let files = store.vector_store_files();
    assert!(files.remove(&ws(), &id(1), &id(3)).await.unwrap());
}

async fn filled(home: &Home) {
    let store = home.open();
    fill(&store).await;
    fill_vector_stores(&store).await;
    store.close().await;
}

async fn carry(from: &Home, to: &Home) -> Result<Vec<(&'static str, u64)>, CopyError> {
    let name = match from {
        Home::Postgres(database) => database.name().to_owned(),
        _ => from.file().unwrap().display().to_string(),
    };
    let digests = copy(
        (from.options(), name),
        (to.options(), documents::words),
        |_| {},
    )
    .await?;
    let rows = digests.iter().map(|(table, digest)| (*table, digest.rows));
    Ok(rows.collect())
}

fn folder() -> Home {
    Home::Memory.kept()
}

/// All rows of all tables in files of SQLite.
fn rows(home: &Home) -> BTreeMap<String, Vec<String>> {
    let records = home.file().unwrap();
    let logs = records.with_file_name("logs.db");
    let mut all = BTreeMap::new();
    for file in [records, logs] {
        all.extend(rows_in(&file).into_iter().map(|(table, rows)| {
            let file = file.file_name().unwrap().display();
            (format!("{file}: {table}"), rows)
        }));
    }
    all
}

fn rows_in(file: &PathBuf) -> BTreeMap<String, Vec<String>> {
    let connection = rusqlite::Connection::open(file).unwrap();
    let tables = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'sqlite_sequence' \
         AND name NOT LIKE 'chunk_terms%'";
    let mut tables = connection.prepare(tables).unwrap();
    let names = tables.query_map([], |row| row.get::<_, String>(0)).unwrap();
    let of = |name: &str| {
        let mut rows = connection
            .prepare(&format!("SELECT * FROM {name}"))
            .unwrap();
        let count = rows.column_count();
        let rows = rows.query_map([], |row| {
            let values = (0..count).map(|column| row.get::<_, rusqlite::types::Value>(column));
            values
                .map(|value| value.map(|value| format!("{value:?}")))
                .collect::<Result<Vec<_>, _>>()
        });
        let mut rows: Vec<_> = rows.unwrap().map(|row| row.unwrap().join("|")).collect();
        rows.sort();
        rows
    };
    names
        .map(|name| name.unwrap())
        .map(|name| (name.clone(), of(&name)))
        .collect()
}

#[tokio::test]
async fn everything_goes_to_postgresql_and_back() {
    let (first, between, last) = (folder(), Home::postgres(), folder());
    filled(&first).await;
    let there = carry(&first, &between).await.unwrap();
    let back = carry(&between, &last).await.unwrap();
    assert_eq!(there, back);
    for (table, count) in &there {
        assert!(*count > 0, "{table} was not tested");
    }
    // What PostgreSQL can not hold has become what stands for it.
    let expected = rows(&first).into_iter().map(|(table, rows)| {
        let rows = rows.into_iter().map(|row| row.replace("\\0", "\u{fffd}"));
        (table, rows.collect())
    });
    assert_eq!(rows(&last), expected.collect());
    // What follows from the rows is there too.
    for home in [&between, &last] {
        let store = home.open();
        assert_eq!(documents::found(&store, "699").await, ["woven 699"]);
        assert_eq!(
            documents::found(&store, "unseen").await,
            Vec::<String>::new()
        );
        store.close().await;
    }
}

#[tokio::test]
async fn lists_go_on_behind_what_was_copied() {
    let (first, second, third) = (folder(), Home::postgres(), folder());
    filled(&first).await;
    carry(&first, &second).await.unwrap();
    let store = second.open();
    store
        .assistants()
        .insert(&ws(), assistant(9))
        .await
        .unwrap();
    let page = loomgate_domain::PageRequest::default();
    let listed = store.assistants().list(&ws(), page).await.unwrap().items;
    assert_eq!(listed[0], assistant(9));
    assert_eq!(listed[2..], [assistant(3), assistant(1)]);
    let inserted = store
        .messages()
        .insert(&ws(), message(&id(50), 9_999))
        .await;
    inserted.unwrap().unwrap();
    store.close().await;
    carry(&second, &third).await.unwrap();
    let store = third.open();
    store
        .assistants()
        .insert(&ws(), assistant(10))
        .await
        .unwrap();
    let page = loomgate_domain::PageRequest::default();
    let listed = store.assistants().list(&ws(), page).await.unwrap().items;
    assert_eq!(listed[..2], [assistant(10), assistant(9)]);
    store.close().await;
}

/// A target that takes only so many messages.
async fn stubborn(at: u32) -> (Home, Database) {
    let home = Home::postgres();
    let Home::Postgres(database) = &home else {
        panic!("no database")
    };
    let database = database.clone();
    // The tables are there, and empty: that is as good as none.
    home.open().close().await;
    database.execute(&format!(
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE EXCEPTION 'made up'; END $$;
         CREATE TRIGGER stop BEFORE INSERT ON messages FOR EACH ROW
             WHEN (NEW.id = 'msg_{at}') EXECUTE FUNCTION stop()"
    ));
    (home, database)
}

#[tokio::test]
async fn a_copy_goes_on_where_it_was_ended() {
    let first = folder();
    filled(&first).await;
    let (second, database) = stubborn(700).await;
    let ended = carry(&first, &second).await;
    assert!(
        matches!(ended, Err(CopyError::Store(Error::Driver(_)))),
        "{ended:?}"
    );
    assert_eq!(database.texts("SELECT COUNT(*) FROM messages"), ["500"]);
    let refused = Store::open(second.options());
    assert!(matches!(refused, Err(Error::Unfinished)), "{refused:?}");
    // Nor is it a source.
    let refused = carry(&second, &folder()).await;
    assert!(
        matches!(refused, Err(CopyError::Store(Error::Unfinished))),
        "{refused:?}"
    );
    let other = folder();
    filled(&other).await;
    let refused = carry(&other, &second).await;
    assert!(
        matches!(refused, Err(CopyError::OtherCopy(_))),
        "{refused:?}"
    );

    database.execute("DROP TRIGGER stop ON messages");
    let mut first_step = None;
    let name = first.file().unwrap().display().to_string();
    let copied = copy(
        (first.options(), name),
        (second.options(), documents::words),
        |step| {
            if step.stage == Stage::Copy && step.table == "messages" {
                first_step.get_or_insert(step);
            }
        },
    );
    copied.await.unwrap();
    let expected = Progress {
        stage: Stage::Copy,
        table: "messages",
        rows: 500,
        of: u64::from(MESSAGES) + 1,
    };
    assert_eq!(first_step, Some(expected), "the rest only");
    second.open();
}

#[tokio::test]
async fn a_copy_into_files_goes_on_with_the_second_one() {
    let (first, second) = (folder(), folder());
    filled(&first).await;
    second.open().close().await;
    let logs = second.file().unwrap().with_file_name("logs.db");
    let logs = rusqlite::Connection::open(logs).unwrap();
    logs.execute_batch(
        "CREATE TRIGGER stop BEFORE INSERT ON logs BEGIN SELECT RAISE(ABORT, 'made up'); END",
    )
    .unwrap();
    let ended = carry(&first, &second).await;
    assert!(
        matches!(ended, Err(CopyError::Store(Error::Driver(_)))),
        "{ended:?}"
    );
    let refused = Store::open(second.options());
    assert!(matches!(refused, Err(Error::Unfinished)), "{refused:?}");
    logs.execute_batch("DROP TRIGGER stop").unwrap();
    drop(logs);
    carry(&first, &second).await.unwrap();
    assert_eq!(rows(&second), rows(&first));
    second.open();
}

#[tokio::test]
async fn a_target_with_rows_of_its_own_is_refused_and_left_alone() {
    let (first, second) = (folder(), folder());
    filled(&first).await;
    let store = second.open();
    store
        .assistants()
        .insert(&ws(), assistant(1))
        .await
        .unwrap();
    store.close().await;
    let before = rows(&second);
    let refused = carry(&first, &second).await;
    assert!(
        matches!(refused, Err(CopyError::NotEmpty("assistants"))),
        "{refused:?}"
    );
    assert_eq!(rows(&second), before);
    second.open().close().await;
    // The end of a copy is no beginning of one.
    let third = Home::postgres();
    carry(&first, &third).await.unwrap();
    let refused = carry(&first, &third).await;
    assert!(
        matches!(refused, Err(CopyError::NotEmpty(_))),
        "{refused:?}"
    );
}

#[tokio::test]
async fn a_source_that_is_in_use_or_is_none_is_refused() {
    let first = folder();
    let server = first.open();
    let refused = carry(&first, &Home::postgres()).await;
    assert!(
        matches!(refused, Err(CopyError::Store(Error::Locked { .. }))),
        "{refused:?}"
    );
    server.close().await;
    let second = Home::postgres();
    let server = second.open();
    let refused = carry(&second, &folder()).await;
    assert!(
        matches!(refused, Err(CopyError::Store(Error::InUse(_)))),
        "{refused:?}"
    );
    server.close().await;
    for nothing in [folder(), Home::postgres()] {
        let refused = carry(&nothing, &folder()).await;
        let Err(CopyError::Store(Error::OlderSchema { found: 0, .. })) = refused else {
            panic!("{refused:?}")
        };
        // And it is still nothing.
        match &nothing {
            Home::Postgres(database) => {
                let tables = "SELECT table_name FROM information_schema.tables \
                    WHERE table_schema = current_schema";
                assert!(database.texts(tables).is_empty());
            }
            other => assert!(!other.file().unwrap().exists()),
        }
    }
}

#[tokio::test]
async fn a_difference_is_found() {
    let first = folder();
    filled(&first).await;
    let second = Home::postgres();
    let Home::Postgres(database) = &second else {
        panic!("no database")
    };
    second.open().close().await;
    // As if a byte had been lost on the way.
    database.execute(
        "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN NEW.metadata = '{}'; RETURN NEW; END $$;
         CREATE TRIGGER lose BEFORE INSERT ON messages FOR EACH ROW
             WHEN (NEW.id = 'msg_700') EXECUTE FUNCTION lose()",
    );
    let different = carry(&first, &second).await;
    let Err(CopyError::Differs { table, .. }) = different else {
        panic!("{different:?}")
    };
    assert_eq!(table, "messages");
    let refused = Store::open(second.options());
    assert!(matches!(refused, Err(Error::Unfinished)), "{refused:?}");
}
