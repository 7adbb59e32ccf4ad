use std::collections::BTreeMap;

use loomgate_testkit::postgres::Database;
use rusqlite::Connection;

use super::*;
use crate::{Options, Postgres, PostgresUrl, Store, schema};

type Columns = BTreeMap<String, Vec<String>>;

/// Tables that say how the others are, and those that follow from others.
const NOT_COPIED: [&str; 11] = [
    "schema_version",
    "logs_schema_version",
    "schema_lock",
    "sqlite_sequence",
    "sqlite_stat1",
    "sqlite_stat4",
    "chunk_terms",
    "chunk_terms_data",
    "chunk_terms_idx",
    "chunk_terms_docsize",
    "chunk_terms_config",
];

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

fn listed(tables: &[&'static [Table]]) -> Columns {
    let all = tables.iter().copied().flatten();
    let columns = |table: &Table| {
        let columns = table.columns.iter().map(|it| (*it).to_owned()).collect();
        (table.name.to_owned(), sorted(columns))
    };
    all.map(columns).collect()
}

#[test]
fn every_column_of_sqlite_is_copied() {
    for (schema, tables) in [(&schema::RECORDS, RECORDS), (&schema::LOGS, LOGS)] {
        let mut connection = Connection::open_in_memory().unwrap();
        schema
            .migrate(&mut connection, schema::Purpose::Use)
            .unwrap();
        let texts = |sql: &str| {
            let mut statement = connection.prepare(sql).unwrap();
            let rows = statement.query_map([], |row| row.get(0)).unwrap();
            rows.map(Result::unwrap).collect::<Vec<String>>()
        };
        let names = texts("SELECT name FROM sqlite_schema WHERE type = 'table'");
        let names = names
            .into_iter()
            .filter(|it| !NOT_COPIED.contains(&it.as_str()));
        let there = names.map(|name| {
            let columns = texts(&format!("SELECT name FROM pragma_table_info('{name}')"));
            (name, sorted(columns))
        });
        assert_eq!(listed(&[tables]), there.collect::<Columns>());
    }
}

#[test]
fn every_column_of_postgresql_is_copied() {
    let database = Database::new();
    let url = PostgresUrl::parse(database.url()).unwrap();
    Store::open(Options::postgres(Postgres::at(url))).unwrap();
    let found = database.texts(
        "SELECT table_name || '.' || column_name FROM information_schema.columns \
         WHERE table_schema = current_schema",
    );
    let mut there = Columns::new();
    for column in found {
        let (table, column) = column.split_once('.').unwrap();
        if !NOT_COPIED.contains(&table) {
            there.entry(table.into()).or_default().push(column.into());
        }
    }
    let there = there
        .into_iter()
        .map(|(table, columns)| (table, sorted(columns)));
    assert_eq!(listed(&[RECORDS, LOGS]), there.collect::<Columns>());
}

#[test]
fn keys_stand_first_and_their_kinds_are_known() {
    for table in RECORDS.iter().chain(LOGS) {
        let key = table.columns.iter().zip(table.key);
        for (column, kind) in key {
            let is_number =
                ["seq", "start", "attempt", "number", "entry", "generation"].contains(column);
            assert_eq!(is_number, *kind == Key::Integer, "{}.{column}", table.name);
        }
    }
}
