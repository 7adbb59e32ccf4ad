//! What SQLite's planner is told about sizes.
//!
//! Of a table that it knows nothing about, it takes any index for a good one as soon as the first column is
//! given. Here the first column is nearly always the workspace, which is most of the table in most
//! installations, so that it would rather go through all of it than look a row up. These
//! statistics are made up, and the same in every database: a statement's plan is the one that its tests have
//! looked at, whatever the database holds.

use rusqlite::{Connection, params};

use crate::Error;

/// Rows of a table.
const ROWS: u64 = 1_000_000;
/// Rows of a workspace.
const OF_WORKSPACE: u64 = ROWS / 10;
/// Rows of an index of those that are due for something, whose workspace does not matter.
const DUE: u64 = ROWS / 1_000;
/// Rows that share the next column of an index, too.
const OF_COLUMN: u64 = 100;

const INDEXES: &str = "SELECT tables.name, indexes.name, indexes.\"unique\", indexes.partial, \
    (SELECT group_concat(name) FROM (SELECT name FROM pragma_index_info(indexes.name) ORDER BY seqno)) \
    FROM sqlite_schema AS tables JOIN pragma_index_list(tables.name) AS indexes \
    WHERE tables.type = 'table' ORDER BY 1, 2";
const KNOWN: &str = "SELECT tbl, idx, stat FROM sqlite_stat1 ORDER BY 1, 2";
const TABLE_EXISTS: &str = "SELECT COUNT(*) FROM sqlite_schema WHERE name = 'sqlite_stat1'";
/// Makes the table of statistics if there is none, and has this connection read it.
const LOAD: &str = "ANALYZE sqlite_schema";

/// Also of what somebody measured: the samples count for more than the numbers.
const CLEAR: &str = "DELETE FROM sqlite_stat1; DELETE FROM sqlite_stat4";

/// Of one index: the table, the index, the numbers in the form that SQLite keeps.
type Statistic = (String, String, String);

/// Puts the statistics into a database, unless they are there.
pub(crate) fn settle(connection: &Connection) -> Result<(), Error> {
    let wanted = wanted(connection)?;
    let exists: i64 = connection.query_row(TABLE_EXISTS, [], |row| row.get(0))?;
    if exists > 0 && rows(connection, KNOWN)? == wanted {
        return Ok(());
    }
    connection.execute_batch(LOAD)?;
    connection.execute_batch(CLEAR)?;
    let mut insert = connection.prepare("INSERT INTO sqlite_stat1 VALUES (?1, ?2, ?3)")?;
    for (table, index, numbers) in wanted {
        insert.execute(params![table, index, numbers])?;
    }
    Ok(connection.execute_batch(LOAD)?)
}

fn wanted(connection: &Connection) -> Result<Vec<Statistic>, Error> {
    let mut select = connection.prepare(INDEXES)?;
    let found = select.query_map([], |row| {
        let columns: String = row.get(4)?;
        let columns: Vec<&str> = columns.split(',').collect();
        let of_some = row.get(3)? && columns[0] != "workspace_id";
        let rows = if of_some { DUE } else { ROWS };
        Ok((
            row.get(0)?,
            row.get(1)?,
            numbers(rows, &columns, row.get(2)?),
        ))
    })?;
    Ok(found.collect::<Result<_, _>>()?)
}

fn rows(connection: &Connection, sql: &str) -> Result<Vec<Statistic>, Error> {
    let mut select = connection.prepare(sql)?;
    let found = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    Ok(found.collect::<Result<_, _>>()?)
}

/// How many rows the index has, and how many of them are the same in its first column, in its first
/// two, and so on.
fn numbers(rows: u64, columns: &[&str], is_unique: bool) -> String {
    let mut same = rows;
    let mut numbers = vec![same.to_string()];
    for (place, column) in columns.iter().enumerate() {
        same = match *column {
            _ if is_unique && place + 1 == columns.len() => 1,
            "workspace_id" => same.min(OF_WORKSPACE),
            _ if same > OF_COLUMN => OF_COLUMN,
            _ => (same / 10).max(2),
        };
        numbers.push(same.to_string());
    }
    numbers.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_workspace_is_much_and_a_key_is_one_row() {
        let of = |columns: &[&str], is_unique| numbers(ROWS, columns, is_unique);
        assert_eq!(of(&["workspace_id", "id"], true), "1000000 100000 1");
        assert_eq!(
            of(&["workspace_id", "store_id", "status", "seq"], false),
            "1000000 100000 100 10 2"
        );
        assert_eq!(of(&["digest"], false), "1000000 100");
        assert_eq!(numbers(DUE, &["due_at", "seq"], false), "1000 100 10");
    }

    #[test]
    fn they_are_written_once_and_when_there_are_more_indexes() {
        let connection = Connection::open_in_memory().unwrap();
        let changes = || {
            settle(&connection).unwrap();
            connection.total_changes()
        };
        connection
            .execute_batch(
                "CREATE TABLE a (workspace_id TEXT, id TEXT, PRIMARY KEY (workspace_id, id))",
            )
            .unwrap();
        let once = changes();
        assert_eq!(changes(), once);
        connection
            .execute_batch("CREATE INDEX a_id ON a (id)")
            .unwrap();
        assert!(changes() > once);
        let known = rows(&connection, KNOWN).unwrap();
        assert_eq!(known, wanted(&connection).unwrap());
        assert_eq!(known.len(), 2);
        let before = changes();
        connection
            .execute_batch("INSERT INTO a VALUES ('ws_1', '1'); ANALYZE")
            .unwrap();
        assert!(changes() > before);
        assert_eq!(rows(&connection, KNOWN).unwrap(), known);
        let samples: i64 = connection
            .query_row("SELECT COUNT(*) FROM sqlite_stat4", [], |row| row.get(0))
            .unwrap();
        assert_eq!(samples, 0);
    }
}
