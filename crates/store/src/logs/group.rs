//! Tables: records by who, with what, or whatever the caller's metadata says.

use std::{cmp::Reverse, collections::HashMap};

use loomgate_domain::{WorkspaceId, limit::Nanodollars};

use super::{
    LogFilter, Logs,
    graph::{Measured, USER, measure},
};
use crate::{Error, tx::Tx};

/// The most groups that one query tells apart.
const GROUPS: usize = 10_000;

/// A table to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupQuery {
    /// When it begins; milliseconds.
    pub from_ms: i64,
    /// When it ends, exclusive; milliseconds.
    pub to_ms: i64,
    /// What counts.
    pub filter: LogFilter,
    /// What makes a group.
    pub by: GroupBy,
    /// The most rows.
    pub most: usize,
}

/// What records of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupBy {
    /// The id of the API key.
    ApiKey,
    /// The virtual key that served.
    VirtualKey,
    /// The slug of the config.
    Config,
    /// Who served.
    Provider,
    /// The model, as the provider named it or else as the caller did.
    Model,
    /// The status.
    Status,
    /// `_user` of the metadata.
    User,
    /// The value of this key of the metadata.
    Metadata(String),
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Groups {
    /// The largest groups, largest first.
    pub rows: Vec<GroupRow>,
    /// All records of other groups. Past 10 000 groups, those that appear later are among them,
    /// however large they are.
    pub others: Sums,
}

/// A group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupRow {
    /// What its records have in common; none: that they have nothing there.
    pub key: Option<String>,
    /// What they come to.
    pub sums: Sums,
}

/// What records come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// How many there are.
    pub requests: u64,
    /// How many failed.
    pub errors: u64,
    /// How many were answered from the cache.
    pub cache_hits: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub completion_tokens: u64,
    /// Money.
    pub cost: Nanodollars,
    /// How long they took together, in microseconds.
    pub total_us: u64,
}

impl Logs<'_> {
    /// The largest groups of the records of a span of time.
    pub async fn group(&self, ws: &WorkspaceId, query: GroupQuery) -> Result<Groups, Error> {
        let ws = ws.clone();
        self.0
            .read_one(move |tx| group(tx, &ws, query.clone()))
            .await
    }
}

fn group(tx: &mut dyn Tx, ws: &WorkspaceId, query: GroupQuery) -> Result<Groups, Error> {
    let filter = query.filter.within(query.from_ms, query.to_ms);
    let mut named: HashMap<String, Sums> = HashMap::new();
    let mut nameless = Sums::default();
    let mut others = Sums::default();
    measure(tx, ws, &filter, |_, record| {
        let owned;
        let key = match &query.by {
            GroupBy::ApiKey => record.name(10)?,
            GroupBy::VirtualKey => record.name(11)?,
            GroupBy::Config => record.name(12)?,
            GroupBy::Provider => record.name(13)?,
            GroupBy::Model => record.name(14)?,
            GroupBy::Status => {
                owned = Some(record.status()?.to_string());
                owned.as_deref()
            }
            GroupBy::User => {
                owned = record.metadata(USER)?;
                owned.as_deref()
            }
            GroupBy::Metadata(key) => {
                owned = record.metadata(key)?;
                owned.as_deref()
            }
        };
        match key {
            None => nameless.add(record),
            Some(key) if named.len() < GROUPS || named.contains_key(key) => {
                if !named.contains_key(key) {
                    named.insert(key.to_owned(), Sums::default());
                }
                named.get_mut(key).map_or(Ok(()), |sums| sums.add(record))
            }
            Some(_) => others.add(record),
        }
    })?;
    let named = named.into_iter().map(|(key, sums)| (Some(key), sums));
    let mut groups: Vec<_> = named.chain([(None, nameless)]).collect();
    groups.retain(|(_, sums)| sums.requests > 0);
    groups.sort_by(|(a_key, a), (b_key, b)| {
        let order = Reverse(a.requests).cmp(&Reverse(b.requests));
        order.then_with(|| a_key.cmp(b_key))
    });
    for (_, sums) in groups.iter().skip(query.most) {
        others.merge(sums);
    }
    groups.truncate(query.most);
    let rows = groups.into_iter().map(|(key, sums)| GroupRow { key, sums });
    Ok(Groups {
        rows: rows.collect(),
        others,
    })
}

impl Sums {
    fn add(&mut self, record: &Measured<'_>) -> Result<(), Error> {
        self.merge(&Self {
            requests: 1,
            errors: u64::from(record.failed()?),
            cache_hits: u64::from(record.cache_hit()?),
            prompt_tokens: record.prompt_tokens()?,
            completion_tokens: record.completion_tokens()?,
            cost: Nanodollars(record.cost()?),
            total_us: record.total_us()?,
        });
        Ok(())
    }

    fn merge(&mut self, other: &Self) {
        let add = |to: &mut u64, more: u64| *to = to.saturating_add(more);
        add(&mut self.requests, other.requests);
        add(&mut self.errors, other.errors);
        add(&mut self.cache_hits, other.cache_hits);
        add(&mut self.prompt_tokens, other.prompt_tokens);
        add(&mut self.completion_tokens, other.completion_tokens);
        add(&mut self.cost.0, other.cost.0);
        add(&mut self.total_us, other.total_us);
    }
}
