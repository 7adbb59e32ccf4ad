//! A session with a PostgreSQL, beside those of the servers.

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio_postgres::{Client, Error, NoTls, SimpleQueryMessage};

use super::Row;

/// Every table and every index of type B-tree that the servers have. The first fault that is found
/// in an index is an error.
const CHECK: &str = "CREATE EXTENSION IF NOT EXISTS amcheck; \
    SELECT it.relname || ': ' || fault.msg FROM pg_class AS it, verify_heapam(it.oid) AS fault \
    WHERE it.relkind = 'r' AND it.relnamespace = current_schema::regnamespace; \
    SELECT CASE WHEN bt_index_check(it.oid, true) IS NULL THEN NULL END FROM pg_class AS it \
    WHERE it.relkind = 'i' AND it.relnamespace = current_schema::regnamespace \
    AND it.relam = (SELECT oid FROM pg_am WHERE amname = 'btree')";

/// Ended when dropped.
pub(crate) struct Session {
    client: Client,
    _line: JoinSet<()>,
}

impl Session {
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let connected = tokio_postgres::connect(url, NoTls).await;
        let (client, connection) = connected.context("PostgreSQL does not let the checker in")?;
        let mut line = JoinSet::new();
        line.spawn(async move {
            // Its error reaches whoever waits for an answer.
            let _ = connection.await;
        });
        Ok(Self {
            client,
            _line: line,
        })
    }

    pub(super) async fn rows(&self, sql: &str) -> anyhow::Result<Vec<Row>> {
        self.texts(sql).await.with_context(|| sql.to_owned())
    }

    /// What PostgreSQL finds wrong with its files (`amcheck`).
    pub(super) async fn faults(&self) -> anyhow::Result<Vec<String>> {
        match self.texts(CHECK).await {
            Ok(rows) => Ok(rows.into_iter().flatten().flatten().collect()),
            // XX: data or an index are corrupted.
            Err(error) => match error.as_db_error() {
                Some(said) if said.code().code().starts_with("XX") => {
                    Ok(vec![said.message().to_owned()])
                }
                _ => Err(error).context("amcheck"),
            },
        }
    }

    async fn texts(&self, sql: &str) -> Result<Vec<Row>, Error> {
        let messages = self.client.simple_query(sql).await?;
        let rows = messages.into_iter().filter_map(|message| match message {
            SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        let texts = |row: tokio_postgres::SimpleQueryRow| {
            let texts = (0..row.len()).map(|column| row.get(column).map(str::to_owned));
            texts.collect()
        };
        Ok(rows.map(texts).collect())
    }
}
