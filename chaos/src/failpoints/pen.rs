//! A client that writes until it is acknowledged, and knows what has to be there then.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use hyper::Method;
use serde_json::{Value, json};

use crate::{
    api::{Answer, Api},
    database::Database,
    form::{FORM, form},
    history::text,
};

/// What has to be there in the end.
#[derive(Debug, Clone, Default)]
pub(super) struct Ledger {
    /// By its path: an object with at least these fields; none: no such thing.
    things: BTreeMap<String, Option<Value>>,
    /// By its path: how many are in a list.
    lists: BTreeMap<String, usize>,
    /// How many rows a table of the database has.
    rows: BTreeMap<&'static str, usize>,
}

impl Ledger {
    pub(super) fn has(&mut self, path: impl Into<String>, fields: Value) {
        self.things.insert(path.into(), Some(fields));
    }

    pub(super) fn has_not(&mut self, path: impl Into<String>) {
        self.things.insert(path.into(), None);
    }

    pub(super) fn counts(&mut self, path: impl Into<String>, count: usize) {
        self.lists.insert(path.into(), count);
    }

    /// Nothing was made twice, and nothing by halves.
    pub(super) fn rows(&mut self, table: &'static str, count: usize) {
        self.rows.insert(table, count);
    }

    /// There will be more.
    pub(super) fn forget_rows(&mut self) {
        self.rows.clear();
    }

    /// What is not as it has to be in the database.
    pub(super) async fn check_rows(&self, database: &Database) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        for (table, count) in &self.rows {
            let sql = format!("SELECT COUNT(*) FROM {table}");
            let found = database
                .rows(&sql)
                .await?
                .into_iter()
                .flatten()
                .flatten()
                .next();
            if found.as_deref() != Some(&*count.to_string()) {
                wrong.push(format!(
                    "{table} has to have {count} rows, and has {found:?}"
                ));
            }
        }
        Ok(wrong)
    }

    /// The paths of what has to be there.
    pub(super) fn paths(&self) -> impl Iterator<Item = &str> {
        let there = self.things.iter().filter(|(_, thing)| thing.is_some());
        there.map(|(path, _)| &**path)
    }

    /// What is not as it has to be.
    pub(super) async fn check(&self, api: &Api) -> anyhow::Result<Vec<String>> {
        let mut wrong = Vec::new();
        for (path, expected) in &self.things {
            match (api.get(path).await, expected) {
                (Answer::Done(found), Some(fields)) if covers(&found, fields) => {}
                (Answer::Refused(404, _), None) => {}
                (found, expected) => {
                    wrong.push(format!("{path} has to be {expected:?}, and is {found:?}"));
                }
            }
        }
        for (path, count) in &self.lists {
            let list = api.read(path).await?;
            let found = list["data"].as_array().map(Vec::len);
            if found != Some(*count) {
                wrong.push(format!("{path} has to have {count}, and is {list}"));
            }
        }
        Ok(wrong)
    }
}

/// Whether an object has these fields, and theirs.
fn covers(found: &Value, fields: &Value) -> bool {
    match fields {
        Value::Object(fields) => fields
            .iter()
            .all(|(name, value)| covers(&found[name], value)),
        other => found == other,
    }
}

/// A client that writes.
pub(super) struct Pen {
    pub(super) api: Api,
    pub(super) ledger: Ledger,
    used_keys: usize,
}

impl Pen {
    pub(super) fn new(api: Api) -> Self {
        Self {
            api,
            ledger: Ledger::default(),
            used_keys: 0,
        }
    }

    /// How many things were created under a key.
    pub(super) fn creations(&self) -> usize {
        self.used_keys
    }

    /// Creates what an idempotency key is for.
    pub(super) async fn create(&mut self, path: &str, body: Value) -> anyhow::Result<Value> {
        self.create_with(path, body, &[]).await
    }

    /// The same with these headers.
    pub(super) async fn create_with(
        &mut self,
        path: &str,
        body: Value,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Value> {
        let made = self.make(path, body, headers).await?;
        let id = text(&made["id"]);
        ensure!(!id.is_empty(), "{path} made {made}");
        Ok(made)
    }

    /// The same of what has another name than an id.
    pub(super) async fn make(
        &mut self,
        path: &str,
        body: Value,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Value> {
        self.used_keys += 1;
        let key = format!("creation-{}", self.used_keys);
        let headers = [headers, &[("idempotency-key", &*key)]].concat();
        self.until_done(Method::POST, path, &body, &headers).await
    }

    /// Sends a form with a key, until it is answered: what was made, or why nothing was.
    pub(super) async fn send_form(
        &mut self,
        path: &str,
        fields: &[(&str, Option<&str>, &str)],
    ) -> anyhow::Result<Result<Value, u16>> {
        self.used_keys += 1;
        let key = format!("creation-{}", self.used_keys);
        let headers = [("idempotency-key", &*key)];
        loop {
            let body = Some((FORM, form(fields)));
            match self.api.call_with(Method::POST, path, body, &headers).await {
                Answer::Done(made) => return Ok(Ok(made)),
                Answer::Refused(status @ 400..=499, _) => {
                    self.used_keys -= 1;
                    return Ok(Err(status));
                }
                Answer::Refused(status, why) => bail!("POST {path}: {status} {why}"),
                Answer::Lost => self.api.pause().await,
            }
        }
    }

    /// Changes something in a way that may be repeated.
    pub(super) async fn change(
        &mut self,
        method: Method,
        path: &str,
        body: Value,
    ) -> anyhow::Result<Value> {
        self.until_done(method, path, &body, &[]).await
    }

    /// The same of a POST with these headers.
    pub(super) async fn change_with(
        &mut self,
        path: &str,
        body: Value,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Value> {
        self.until_done(Method::POST, path, &body, headers).await
    }

    /// Sets the metadata of something.
    pub(super) async fn set_metadata(&mut self, path: &str, name: &str) -> anyhow::Result<()> {
        let body = json!({"metadata": {"name": name}});
        self.change(Method::POST, path, body.clone()).await?;
        self.ledger.has(path, body);
        Ok(())
    }

    /// Deletes something.
    pub(super) async fn remove(&mut self, path: &str) -> anyhow::Result<()> {
        let mut was_lost = false;
        loop {
            match self.api.call(Method::DELETE, path, None, &[]).await {
                Answer::Done(_) => break,
                Answer::Refused(404, _) if was_lost => break,
                Answer::Refused(status, why) => bail!("DELETE {path}: {status} {why}"),
                Answer::Lost => self.api.pause().await,
            }
            was_lost = true;
        }
        self.ledger.has_not(path);
        Ok(())
    }

    /// Waits until something has this status.
    pub(super) async fn becomes(&self, path: &str, status: &str) -> anyhow::Result<Value> {
        for _ in 0..1_000 {
            let now = self.api.read(path).await?;
            if now["status"] == status {
                return Ok(now);
            }
            self.api.pause().await;
        }
        None.with_context(|| format!("{path} does not become {status}"))
    }

    async fn until_done(
        &self,
        method: Method,
        path: &str,
        body: &Value,
        headers: &[(&'static str, &str)],
    ) -> anyhow::Result<Value> {
        loop {
            let answer = self.api.call(method.clone(), path, Some(body), headers);
            match answer.await {
                Answer::Done(done) => return Ok(done),
                Answer::Refused(status, why) => bail!("{method} {path}: {status} {why}"),
                Answer::Lost => self.api.pause().await,
            }
        }
    }
}
