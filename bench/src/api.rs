//! Calls of the API with JSON, where their time is not what is measured.

use anyhow::Context as _;
use serde_json::Value;

use crate::{
    http::{Connection, encode},
    server::Server,
};

/// A connection with a key.
pub(crate) struct Api {
    pub(crate) connection: Connection,
    pub(crate) key: String,
}

impl Api {
    pub(crate) async fn of(server: &Server) -> anyhow::Result<Self> {
        Ok(Self {
            connection: Connection::open(server.process.address).await?,
            key: server.key.clone(),
        })
    }

    pub(crate) async fn get(&mut self, path: &str) -> anyhow::Result<Value> {
        let request = encode("GET", path, &self.key, "");
        Ok(serde_json::from_slice(
            self.connection.send(&request).await?,
        )?)
    }

    pub(crate) async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Value> {
        let request = encode("POST", path, &self.key, &body.to_string());
        Ok(serde_json::from_slice(
            self.connection.send(&request).await?,
        )?)
    }
}

/// The id of something that was made.
pub(crate) fn id(made: &Value) -> anyhow::Result<String> {
    text(made, "id")
}

/// A text that has to be there.
pub(crate) fn text(value: &Value, key: &str) -> anyhow::Result<String> {
    let found = value[key].as_str().map(str::to_owned);
    found.with_context(|| format!("no {key} in {value}"))
}
