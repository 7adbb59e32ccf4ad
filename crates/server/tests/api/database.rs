//! Where the servers of these tests keep their records: SQLite in the folder of the test, or, with
//! `LOOMGATE_TEST_DATABASE=postgres`, tables of their own whose address is kept in that folder.

use std::path::{Path, PathBuf};

use loomgate_store::{Options, Postgres, PostgresUrl, Sharing, Store};
use loomgate_testkit::postgres;

/// Holds the address.
const FILE: &str = "postgres-url";

/// The address of the tables that belong to a folder, where tests use PostgreSQL.
pub(crate) fn url(folder: &Path) -> Option<String> {
    if !postgres::is_wanted() {
        return None;
    }
    let file = folder.join(FILE);
    if !file.exists() {
        place_at(folder, postgres::Database::new().url());
    }
    Some(std::fs::read_to_string(&file).unwrap())
}

/// Has a folder's server use these tables where tests use PostgreSQL.
pub(crate) fn place_at(folder: &Path, url: &str) {
    std::fs::write(folder.join(FILE), url).unwrap();
}

/// The database of a folder's server, to look behind its answers.
pub(crate) fn open(folder: &Path, data: &str) -> Store {
    let options = match url(folder) {
        Some(url) => Options::postgres(Postgres::at(PostgresUrl::parse(&url).unwrap())),
        None => Options::file(folder.join(data).join("loomgate.db")),
    };
    Store::open(Options {
        sharing: Sharing::Tool,
        ..options
    })
    .unwrap()
}

/// Everything that is kept below a data folder, and in the tables that go with it: where, and its
/// bytes.
pub(crate) fn kept_below(data: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut kept = files_below(data);
    let folder = data.parent().unwrap();
    if let Some(url) = url(folder) {
        let rows = postgres::Database::at(&url).dump().into_iter();
        kept.extend(rows.map(|(table, row)| (PathBuf::from(table), row.into_bytes())));
    }
    kept
}

fn files_below(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            let bytes = std::fs::read(&path).unwrap();
            files.push((path, bytes));
        }
    }
    files
}
