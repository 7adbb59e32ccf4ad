//! Asks both engines how they would run every statement of this crate; here SQLite.

mod postgres;

use rusqlite::{Connection, StatementStatus};

use crate::{
    affinity, assistants, blobs, chunks, configs, copy, counters, events, files, keys, leases,
    logs, marks, messages, receipts, runs,
    schema::{self, Purpose, Schema},
    sqlite, steps, store, threads, uploads, vector_stores, virtual_keys, waiting, workspaces,
};

/// Tables that grow with use.
const LARGE: [&str; 27] = [
    "assistants",
    "threads",
    "messages",
    "runs",
    "run_events",
    "steps",
    "counters",
    "affinity",
    "receipts",
    "waiting",
    "vector_stores",
    "vector_store_batches",
    "vector_store_files",
    "chunks",
    "chunk_vectors",
    "chunk_terms",
    "chunk_embeddings",
    "files",
    "blobs",
    "file_blobs",
    "file_users",
    "uploads",
    "upload_parts",
    "logs",
    "log_bodies",
    "log_receipts",
    "feedback",
];

/// Indexes that hold active and waiting runs only, those whose journal is to be deleted, or files that
/// wait to be indexed: going through all of one is fine.
const SMALL_INDEXES: [&str; 7] = [
    "runs_active",
    "runs_due",
    "runs_journal_ended",
    "runs_queue",
    "vector_store_files_queue",
    "vector_stores_deleted",
    "waiting_due",
];

type Statement = (&'static str, &'static str);

/// Every statement, with the database that it is for.
fn all() -> Vec<(&'static Schema, Statement)> {
    let records = [
        affinity::STATEMENTS,
        assistants::STATEMENTS,
        chunks::STATEMENTS,
        chunks::LEXICAL_STATEMENTS,
        chunks::RENEWAL_STATEMENTS,
        chunks::ROW_STATEMENTS,
        chunks::VECTOR_STATEMENTS,
        blobs::STATEMENTS,
        configs::STATEMENTS,
        copy::STATEMENTS,
        counters::STATEMENTS,
        events::STATEMENTS,
        files::STATEMENTS,
        keys::STATEMENTS,
        leases::STATEMENTS,
        marks::STATEMENTS,
        messages::STATEMENTS,
        receipts::STATEMENTS,
        receipts::SEALED_STATEMENTS,
        runs::STATEMENTS,
        runs::ADVANCE_STATEMENTS,
        runs::QUEUE_STATEMENTS,
        runs::SEALED_STATEMENTS,
        steps::STATEMENTS,
        store::STATEMENTS,
        threads::STATEMENTS,
        vector_stores::STATEMENTS,
        vector_stores::BATCH_STATEMENTS,
        vector_stores::ENTRY_STATEMENTS,
        vector_stores::FILE_STATEMENTS,
        vector_stores::MOVE_STATEMENTS,
        vector_stores::QUEUE_STATEMENTS,
        vector_stores::TURN_STATEMENTS,
        vector_stores::RENEWAL_STATEMENTS,
        vector_stores::SWEEP_STATEMENTS,
        uploads::STATEMENTS,
        virtual_keys::STATEMENTS,
        waiting::STATEMENTS,
        workspaces::STATEMENTS,
    ];
    let logs = [
        logs::STATEMENTS,
        logs::EXPORT_STATEMENTS,
        logs::FEEDBACK_STATEMENTS,
        logs::GRAPH_STATEMENTS,
        receipts::LOG_STATEMENTS,
    ];
    let of = |schema, statements: &[&'static [Statement]]| {
        let all = statements.iter().copied().flatten();
        all.map(|statement| (schema, *statement))
            .collect::<Vec<_>>()
    };
    [of(&schema::RECORDS, &records), of(&schema::LOGS, &logs)].concat()
}

fn database(schema: &Schema) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    sqlite::settle(&connection).unwrap();
    schema.migrate(&mut connection, Purpose::Use).unwrap();
    connection
}

/// The same with those that only SQLite reads.
fn all_of_sqlite() -> Vec<(&'static Schema, Statement)> {
    let second_texts = [
        chunks::POSTING_SQLITE_STATEMENTS,
        chunks::MERGING_SQLITE_STATEMENTS,
        chunks::ROW_SQLITE_STATEMENTS,
    ];
    let second_texts = second_texts.into_iter().flatten();
    let mut all = all();
    all.extend(second_texts.map(|statement| (&schema::RECORDS, *statement)));
    all
}

/// Asks for the plan of every statement.
fn plans() -> Vec<(Statement, Vec<String>)> {
    let databases = [&schema::RECORDS, &schema::LOGS].map(|schema| (schema.name, database(schema)));
    let connection = |schema: &Schema| &databases.iter().find(|it| it.0 == schema.name).unwrap().1;
    let all = all_of_sqlite().into_iter();
    all.map(|(schema, statement)| (statement, plan(connection(schema), statement.1)))
        .collect()
}

fn plan(connection: &Connection, sql: &str) -> Vec<String> {
    let mut statement = connection
        .prepare(&format!("EXPLAIN QUERY PLAN {sql}"))
        .unwrap();
    let mut rows = statement.raw_query();
    let mut details = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        details.push(row.get(3).unwrap());
    }
    details
}

/// Whether a line of a plan walks through a large table, or through all that a workspace has in it.
fn walks(detail: &str) -> bool {
    let mut words = detail.split_whitespace();
    let how = words.next();
    let is_large = words.next().is_some_and(|table| LARGE.contains(&table));
    let is_walk = match how {
        Some("SCAN") => !SMALL_INDEXES
            .iter()
            .any(|index| detail.contains(&format!("INDEX {index}"))),
        Some("SEARCH") => detail.contains("(workspace_id=?)"),
        _ => false,
    };
    is_large
        && is_walk
        // The words of chunks, by a word or by a row.
        && !detail.contains("VIRTUAL TABLE INDEX 0:M")
        && !detail.contains("VIRTUAL TABLE INDEX 32:M")
        && !detail.contains("VIRTUAL TABLE INDEX 0:=")
}

#[test]
fn no_statement_walks_through_a_large_table() {
    for ((name, _), plan) in plans() {
        assert!(!plan.iter().any(|detail| walks(detail)), "{name}: {plan:?}");
    }
    // The rule notices those that do.
    let connection = database(&schema::RECORDS);
    for sql in [
        "SELECT id FROM runs WHERE attempt = 1",
        "SELECT id FROM blobs WHERE workspace_id = 'ws_1' AND state = 'doomed'",
    ] {
        let walk = plan(&connection, sql);
        assert!(walk.iter().any(|detail| walks(detail)), "{walk:?}");
    }
}

#[test]
fn no_list_is_sorted() {
    let lists: Vec<_> = plans()
        .into_iter()
        .filter(|((_, sql), _)| sql.contains("ORDER BY"))
        .collect();
    assert!(lists.len() >= 30, "{}", lists.len());
    for ((name, _), plan) in lists {
        let sorts = plan.iter().any(|detail| detail.contains("TEMP B-TREE"));
        assert!(!sorts, "{name}: {plan:?}");
    }
}

#[test]
fn lists_go_along_their_index() {
    let connection = database(&schema::RECORDS);
    for (list, sql, index) in [
        ("messages", messages::STATEMENTS, "messages_list"),
        ("runs", runs::STATEMENTS, "runs_list"),
        ("steps", steps::STATEMENTS, "steps_list"),
        ("assistants", assistants::STATEMENTS, "assistants_list"),
        ("stores", vector_stores::STATEMENTS, "vector_stores_list"),
        (
            "files",
            vector_stores::FILE_STATEMENTS,
            "vector_store_files_list",
        ),
        ("files", files::STATEMENTS, "files_list"),
    ] {
        for name in ["LIST_ASC", "LIST_DESC"] {
            let (_, sql) = sql.iter().find(|(known, _)| *known == name).unwrap();
            let plan = plan(&connection, sql);
            assert!(plan[0].contains(index), "{list}: {plan:?}");
        }
    }
    for name in ["LIST_OF_RUN_ASC", "LIST_OF_RUN_DESC"] {
        let found = messages::STATEMENTS
            .iter()
            .find(|(known, _)| *known == name);
        let plan = plan(&connection, found.unwrap().1);
        assert!(plan[0].contains("messages_of_run"), "{plan:?}");
    }
}

#[test]
fn logs_are_read_and_removed_along_their_ids() {
    let plans = plans();
    let of = |wanted: &str, table: &str| {
        let found = plans.iter().filter(|((name, sql), _)| {
            *name == wanted && sql.contains(&format!("FROM {table} WHERE"))
        });
        found.map(|(_, plan)| plan).collect::<Vec<_>>()
    };
    let stretch = "USING PRIMARY KEY (workspace_id=? AND id";
    for name in ["LIST_ASC", "LIST_DESC", "MEASURES", "PURGE_EDGE", "PURGE"] {
        let found = of(name, "logs");
        assert_eq!(found.len(), 1, "{name}");
        assert!(found[0][0].contains(stretch), "{name}: {found:?}");
    }
    assert!(of("PURGE_BODIES", "log_bodies")[0][0].contains(stretch));
    let previous = of("BY_PREVIOUS_HASH", "api_keys");
    assert!(
        previous[0][0].contains("INDEX api_keys_previous"),
        "{previous:?}"
    );
}

#[test]
fn events_are_read_along_their_key_and_journals_are_swept_along_their_index() {
    let connection = database(&schema::RECORDS);
    let planned = |wanted: &str| {
        let found = events::STATEMENTS.iter().find(|(name, _)| *name == wanted);
        plan(&connection, found.unwrap().1).concat()
    };
    let place = "USING PRIMARY KEY (workspace_id=? AND run_id=?";
    for (name, rest) in [
        ("LAST", ")"),
        ("AFTER", " AND (attempt,number)>(?,?))"),
        ("AT", " AND (attempt,number)>(?,?))"),
        ("BEFORE", " AND (attempt,number)<(?,?))"),
        ("GIVEN_UP", " AND attempt=?)"),
        ("PURGE", ")"),
    ] {
        let plan = planned(name);
        assert!(plan.contains(&format!("{place}{rest}")), "{name}: {plan}");
    }
    let overdue = planned("OVERDUE");
    assert!(overdue.contains("INDEX runs_journal_ended"), "{overdue}");
}

#[test]
fn every_statement_stays_prepared() {
    let schemas = all_of_sqlite();
    for schema in [&schema::RECORDS, &schema::LOGS] {
        let of_it = schemas.iter().filter(|(of, _)| of.name == schema.name);
        // And those that open and close transactions.
        let count = of_it.count() + 8;
        assert!(count <= sqlite::STATEMENT_CACHE, "{}: {count}", schema.name);
    }
}

/// Values are bound by position, and SQLite counts names in the order in which they appear.
#[test]
fn placeholders_appear_in_order() {
    for (schema, (name, sql)) in all_of_sqlite() {
        let connection = database(schema);
        let statement = connection.prepare(sql).unwrap();
        for index in 1..=statement.parameter_count() {
            let expected = format!("${index}");
            assert_eq!(statement.parameter_name(index), Some(&*expected), "{name}");
        }
    }
}

#[test]
fn a_deep_page_costs_what_the_first_one_does() {
    let connection = database(&schema::RECORDS);
    connection
        .execute_batch(
            "INSERT INTO threads (workspace_id, id, created_at, metadata, tool_resources)
                 VALUES ('ws_1', 'thread_1', 0, '{}', '{}');
             WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000)
             INSERT INTO messages (workspace_id, id, thread_id, created_at, role, status, state,
                 metadata, attachments, content)
             SELECT 'ws_1', 'msg_' || i, 'thread_1', 0, 'user', 'completed', '', '', '', '' FROM n",
        )
        .unwrap();
    for name in ["LIST_ASC", "LIST_DESC"] {
        let found = messages::STATEMENTS
            .iter()
            .find(|(known, _)| *known == name);
        let mut statement = connection.prepare(found.unwrap().1).unwrap();
        let mut steps = |low: i64, high: i64| {
            statement.reset_status(StatementStatus::VmStep);
            let values = rusqlite::params!["ws_1", "thread_1", low, high, 21];
            let rows = statement.query_map(values, |_| Ok(())).unwrap().count();
            assert_eq!(rows, 21);
            statement.get_status(StatementStatus::VmStep)
        };
        let first = steps(0, i64::MAX);
        assert_eq!(steps(2500, i64::MAX), first, "{name}");
        assert_eq!(steps(0, 2500), first, "{name}");
    }
}
