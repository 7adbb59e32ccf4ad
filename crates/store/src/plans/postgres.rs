//! The same of PostgreSQL. It would rather read a whole table as long as it is empty, so it is told
//! not to: what it then still reads whole, or sorts, has no index.

use loomgate_testkit::postgres::Database;
use serde_json::Value as Json;
use tokio_postgres::types::Type;

use super::{LARGE, SMALL_INDEXES, Statement, all};
use crate::{
    chunks,
    postgres::{self, POSTGRES_STATEMENTS, Postgres, PostgresUrl, Session, Target},
    runs,
    schema::{self, Purpose},
    vector_stores,
};

/// Plans for any values, and reasons to use indexes.
const SETTINGS: &str = "SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; \
    SET enable_sort = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; \
    SET enable_mergejoin = off";

/// What is sorted by a rank, which stands in no index, and found through one that can only be read as
/// a bitmap.
const RANKED: &str = "SEARCH_WEIGHTED";

/// What is sorted by a distance, which stands in no index either.
const NEAREST: &str = "NEAREST";

fn statements() -> Vec<Statement> {
    let shared = all().into_iter().map(|(_, statement)| statement);
    let second_texts = [
        POSTGRES_STATEMENTS,
        runs::QUEUE_POSTGRES_STATEMENTS,
        vector_stores::QUEUE_POSTGRES_STATEMENTS,
        vector_stores::TURN_POSTGRES_STATEMENTS,
        chunks::LEXICAL_POSTGRES_STATEMENTS,
        chunks::ROW_POSTGRES_STATEMENTS,
    ];
    shared
        .chain(second_texts.into_iter().flatten().copied())
        .collect()
}

/// A session for these statements, and one with those that want pgvector.
fn sessions(settings: &str) -> [(Session, Vec<Statement>); 2] {
    let with_pgvector = Database::for_pgvector();
    with_pgvector.execute("CREATE EXTENSION vector");
    [
        (session(&Database::new(), settings), statements()),
        (
            session(&with_pgvector, settings),
            chunks::EMBEDDING_POSTGRES_STATEMENTS.to_vec(),
        ),
    ]
}

fn session(database: &Database, settings: &str) -> Session {
    let options = Postgres::at(PostgresUrl::parse(database.url()).unwrap());
    let target = Target::new(&options).unwrap();
    let schemas = [&schema::RECORDS, &schema::LOGS];
    postgres::migrate(&target, &schemas, Purpose::Use).unwrap();
    postgres::look_for_pgvector(&target).unwrap();
    Session::open(&target, settings, None).unwrap()
}

/// Asks for the plan of every statement, or of one more.
fn plans(settings: &str, more: &[Statement]) -> Vec<(Statement, Json)> {
    let [(session, mut statements), (with_pgvector, its)] = sessions(settings);
    statements.extend_from_slice(more);
    let mut plans = explained(&session, statements);
    plans.extend(explained(&with_pgvector, its));
    plans
}

fn explained(session: &Session, statements: Vec<Statement>) -> Vec<(Statement, Json)> {
    session.run(async |client| {
        let mut plans = Vec::new();
        for (name, sql) in statements {
            let values = (1..).take_while(|n| sql.contains(&format!("${n}")));
            let nulls = vec!["NULL"; values.count()].join(", ");
            let execute = if nulls.is_empty() {
                "EXECUTE it".to_owned()
            } else {
                format!("EXECUTE it({nulls})")
            };
            let prepare = format!("DEALLOCATE ALL; PREPARE it AS {sql}");
            client.batch_execute(&prepare).await.expect(name);
            let explain = format!("EXPLAIN (FORMAT JSON) {execute}");
            let rows = client.simple_query(&explain).await.expect(name);
            let text = rows.iter().find_map(|row| match row {
                tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0),
                _ => None,
            });
            let plan: Json = serde_json::from_str(text.unwrap()).unwrap();
            plans.push(((name, sql), plan[0]["Plan"].clone()));
        }
        plans
    })
}

/// All nodes of a plan.
fn nodes(plan: &Json) -> Vec<&Json> {
    let below = plan["Plans"].as_array().into_iter().flatten();
    std::iter::once(plan).chain(below.flat_map(nodes)).collect()
}

/// Whether a node walks through a large table.
fn walks(node: &Json) -> bool {
    let text = |key: &str| node[key].as_str().unwrap_or_default();
    text("Node Type").contains("Scan")
        && LARGE.contains(&text("Relation Name"))
        && node["Index Cond"].is_null()
        && !SMALL_INDEXES.contains(&text("Index Name"))
}

#[test]
fn no_statement_walks_through_a_large_table_or_sorts_a_list() {
    let walk = (
        "WALK",
        "SELECT id FROM runs WHERE attempt = $1 ORDER BY fence",
    );
    for ((name, sql), plan) in plans(SETTINGS, &[walk]) {
        if name == RANKED {
            continue;
        }
        let nodes = nodes(&plan);
        let walks = nodes.iter().any(|node| walks(node));
        let is_sort = |node: &&&Json| node["Node Type"].as_str().unwrap().contains("Sort");
        let sorts = sql.contains("ORDER BY") && nodes.iter().any(|node| is_sort(&node));
        // The rule notices one that does.
        let is_walk = name == "WALK";
        let expected = (is_walk, is_walk || name == NEAREST);
        assert_eq!((walks, sorts), expected, "{name}: {plan:#}");
    }
}

#[test]
fn words_are_looked_up_in_their_index() {
    let settings = SETTINGS.replace("enable_bitmapscan = off", "enable_bitmapscan = on");
    let plans = plans(&settings, &[]);
    let found = plans.iter().find(|((name, _), _)| *name == RANKED);
    let plan = &found.unwrap().1;
    let nodes = nodes(plan);
    let words = nodes
        .iter()
        .find(|node| node["Index Name"] == "chunk_terms_words");
    assert!(
        words.is_some_and(|node| !node["Index Cond"].is_null()),
        "{plan:#}"
    );
    let walks = nodes.iter().any(|node| node["Node Type"] == "Seq Scan");
    assert!(!walks, "{plan:#}");
}

#[test]
fn values_and_columns_are_of_the_types_that_the_store_knows() {
    for (mut session, statements) in sessions("") {
        for (name, sql) in statements {
            let statement = session.statement(sql, false).expect(name);
            for kind in statement.params() {
                let known = [Type::TEXT, Type::INT8, Type::INT4, Type::BYTEA];
                assert!(known.contains(kind), "{name}: {kind}");
            }
            for column in statement.columns() {
                let known = [Type::TEXT, Type::INT8, Type::INT4, Type::BYTEA, Type::VOID];
                assert!(known.contains(column.type_()), "{name}: {column:?}");
            }
        }
    }
}

/// Goes through all of a table in pieces, in the background.
const PURGE: &str = "PURGE";

/// Lets tables be filled with anything.
const NO_REFERENCES: &str = "DO $$ DECLARE found record; BEGIN \
    FOR found IN SELECT conrelid::regclass AS its, conname AS name FROM pg_constraint \
        WHERE contype = 'f' AND connamespace = current_schema()::regnamespace \
    LOOP EXECUTE format('ALTER TABLE %s DROP CONSTRAINT %I', found.its, found.name); END LOOP; END $$";

/// Fills every large table, and has nobody analyse it.
fn fill(session: &Session, rows: u32) {
    session.run(async |client| {
        client.batch_execute(NO_REFERENCES).await.unwrap();
        for table in LARGE {
            let columns = "SELECT column_name, data_type FROM information_schema.columns \
                WHERE table_schema = current_schema() AND is_generated = 'NEVER' \
                AND table_name = ";
            let columns = format!("{columns}'{table}'");
            let columns = client.simple_query(&columns).await.unwrap();
            let columns = columns.iter().filter_map(|row| match row {
                tokio_postgres::SimpleQueryMessage::Row(row) => {
                    Some((format!("\"{}\"", row.get(0)?), value(row.get(1)?)))
                }
                _ => None,
            });
            let (names, values): (Vec<_>, Vec<_>) = columns.unzip();
            // That of pgvector is not there.
            if !names.is_empty() {
                let (names, values) = (names.join(", "), values.join(", "));
                let insert = format!(
                    "ALTER TABLE {table} SET (autovacuum_enabled = off); \
                     INSERT INTO {table} ({names}) OVERRIDING SYSTEM VALUE \
                     SELECT {values} FROM generate_series(1, {rows}) AS n"
                );
                client.batch_execute(&insert).await.expect(table);
            }
        }
    });
}

/// A value of row `n`, of a type of PostgreSQL's.
fn value(kind: &str) -> &'static str {
    match kind {
        "text" => "'value ' || n",
        "bigint" | "integer" => "n",
        "bytea" => "decode(md5(n::text), 'hex')",
        "tsvector" => "to_tsvector('simple', 'word' || n)",
        other => panic!("no value of type {other}"),
    }
}

/// Whether a node compares what it has with all of a large table.
fn compares(node: &Json) -> bool {
    let kind = node["Node Type"].as_str().unwrap_or_default();
    let by_comparing =
        !node["Join Filter"].is_null() || ["Hash Join", "Merge Join"].contains(&kind);
    by_comparing
        && nodes(node)
            .iter()
            .any(|node| LARGE.contains(&node["Relation Name"].as_str().unwrap_or_default()))
}

#[test]
fn nothing_is_compared_with_a_whole_table_also_before_anybody_has_analysed_it() {
    let session = session(&Database::new(), "SET plan_cache_mode = force_generic_plan");
    fill(&session, 20_000);
    let joined = (
        "JOINED",
        "SELECT runs.id FROM runs JOIN messages ON messages.role = runs.status \
         WHERE runs.workspace_id = $1",
    );
    let mut statements = statements();
    statements.push(joined);
    for ((name, _), plan) in explained(&session, statements) {
        let compares = nodes(&plan).into_iter().any(compares);
        // The rule notices one that does.
        let expected = name == joined.0 || name == PURGE && compares;
        assert_eq!(compares, expected, "{name}: {plan:#}");
    }
}

#[test]
fn what_is_ranked_is_looked_up_one_by_one_also_where_nothing_is_known_of_the_tables() {
    // As servers ask for it, and as nobody has analysed anything.
    let plans = plans("SET plan_cache_mode = force_generic_plan", &[]);
    let (_, plan) = plans.iter().find(|((name, _), _)| *name == RANKED).unwrap();
    let nodes = nodes(plan);
    let of = |table: &str| {
        let of = nodes.iter().filter(|node| node["Relation Name"] == *table);
        of.map(|node| node["Index Name"].as_str().unwrap_or("none"))
            .collect::<Vec<_>>()
    };
    assert_eq!(of("chunks"), ["chunks_pkey"]);
    assert_eq!(of("vector_store_files"), ["vector_store_files_pkey"]);
    let compares = nodes.iter().find(|node| !node["Join Filter"].is_null());
    assert_eq!(compares, None);
}
