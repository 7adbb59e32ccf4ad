//! Graphs: one figure per stretch of time, from the records themselves.

use std::{
    collections::{BTreeMap, HashSet},
    hash::{DefaultHasher, Hash, Hasher},
    ops::ControlFlow,
};

use loomgate_domain::{WorkspaceId, limit::Nanodollars};

use super::{LogFilter, Logs, filter::filter, histogram::Histogram, row::status};
use crate::{
    Error,
    tx::{Row, Tx, from_json, statements},
};

statements! {
    MEASURES = concat!("SELECT created_at_ms, status, failed, attempts, cache, prompt_tokens, \
        completion_tokens, cost, total_us, metadata, api_key, virtual_key, config, provider, \
        COALESCE(served_model, model) FROM logs WHERE ", filter!());
}

/// The most points of a graph.
const POINTS: i64 = 1_000;

/// The most users that one graph tells apart, over all its points.
const USERS: usize = 1 << 20;

/// The end of the times that log ids know.
const LAST_MS: i64 = 1 << 48;

/// The pair of metadata that names a user.
pub(super) const USER: &str = "_user";

/// A graph to draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphQuery {
    /// When it begins, and its first point; milliseconds.
    pub from_ms: i64,
    /// When it ends, exclusive; milliseconds.
    pub to_ms: i64,
    /// The length of time of a point. It is raised where the graph would have more than 1000.
    pub bucket_ms: i64,
    /// What counts.
    pub filter: LogFilter,
    /// What is shown.
    pub measure: Measure,
}

/// What a graph shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// How many there were: [`Figure::Count`].
    Requests,
    /// How many failed: [`Figure::Count`].
    Errors,
    /// How many tokens there were: [`Figure::Tokens`].
    Tokens,
    /// What it cost: [`Figure::Cost`].
    Cost,
    /// How long it took: [`Figure::Latency`].
    Latency,
    /// How many were answered from the cache: [`Figure::Count`].
    CacheHits,
    /// How many were answered at a second or later attempt: [`Figure::Count`].
    Rescued,
    /// How many different users there were, by `_user` of the metadata: [`Figure::Count`].
    Users,
    /// How many had which status: [`Figure::StatusCodes`].
    StatusCodes,
}

/// One point of a graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphPoint {
    /// When it begins; milliseconds.
    pub start_ms: i64,
    /// How many records it is made of: what rates and means are taken from.
    pub requests: u64,
    /// What they come to.
    pub figure: Figure,
}

/// What the records of a point come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Figure {
    /// How many.
    Count(u64),
    /// Tokens.
    Tokens {
        /// Of prompts.
        prompt: u64,
        /// Of answers.
        completion: u64,
    },
    /// Money.
    Cost(Nanodollars),
    /// Durations.
    Latency(Latency),
    /// How many by status.
    StatusCodes(BTreeMap<u16, u64>),
}

/// Durations until the last byte, in microseconds; percentiles to one part in 128. All are 0 where
/// there was nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// Half took no longer.
    pub p50_us: u64,
    /// 90 of 100 took no longer.
    pub p90_us: u64,
    /// 99 of 100 took no longer.
    pub p99_us: u64,
    /// The mean.
    pub avg_us: u64,
}

impl Logs<'_> {
    /// The points of a graph in order, those without records too. For a sum over everything, ask
    /// for one bucket: users and percentiles can not be added up. Nothing is counted in advance: a
    /// million records take about a second.
    pub async fn graph(
        &self,
        ws: &WorkspaceId,
        query: GraphQuery,
    ) -> Result<Vec<GraphPoint>, Error> {
        let ws = ws.clone();
        self.0
            .read_one(move |tx| graph(tx, &ws, query.clone()))
            .await
    }
}

/// What is known of a record that is measured.
pub(super) struct Measured<'r>(&'r dyn Row);

impl<'r> Measured<'r> {
    fn count(&self, column: usize) -> Result<u64, Error> {
        let count = self.0.optional_integer(column)?;
        Ok(count.map_or(0, i64::unsigned_abs))
    }

    pub(super) fn status(&self) -> Result<u16, Error> {
        self.0.integer(1).map(status)
    }

    pub(super) fn failed(&self) -> Result<bool, Error> {
        Ok(self.count(2)? > 0)
    }

    fn rescued(&self) -> Result<bool, Error> {
        Ok(self.count(3)? > 1 && !self.failed()?)
    }

    pub(super) fn cache_hit(&self) -> Result<bool, Error> {
        Ok(self.0.text(4)?.ends_with("HIT"))
    }

    pub(super) fn prompt_tokens(&self) -> Result<u64, Error> {
        self.count(5)
    }

    pub(super) fn completion_tokens(&self) -> Result<u64, Error> {
        self.count(6)
    }

    pub(super) fn cost(&self) -> Result<u64, Error> {
        self.count(7)
    }

    pub(super) fn total_us(&self) -> Result<u64, Error> {
        self.count(8)
    }

    /// One of the caller's pairs.
    pub(super) fn metadata(&self, key: &str) -> Result<Option<String>, Error> {
        let mut pairs: BTreeMap<String, String> = from_json(self.0.text(9)?)?;
        Ok(pairs.remove(key))
    }

    /// A column behind the metadata: key, virtual key, config, provider, model.
    pub(super) fn name(&self, column: usize) -> Result<Option<&'r str>, Error> {
        self.0.optional_text(column)
    }
}

/// Shows every record of a filter.
pub(super) fn measure(
    tx: &mut dyn Tx,
    ws: &WorkspaceId,
    filter: &LogFilter,
    mut visit: impl FnMut(i64, &Measured<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let window = filter.window();
    tx.visit(MEASURES, &filter.values(ws, &window), &mut |row| {
        if filter.matches(row.text(9)?)? {
            visit(row.integer(0)?, &Measured(row))?;
        }
        Ok(ControlFlow::Continue(()))
    })
}

/// A point that is not finished.
#[derive(Default)]
struct Bucket {
    requests: u64,
    count: u64,
    second_count: u64,
    durations: Histogram,
    users: HashSet<u64>,
    codes: BTreeMap<u16, u64>,
}

fn graph(tx: &mut dyn Tx, ws: &WorkspaceId, query: GraphQuery) -> Result<Vec<GraphPoint>, Error> {
    let from = query.from_ms.clamp(0, LAST_MS);
    let to = query.to_ms.clamp(from, LAST_MS);
    let bucket_ms = query
        .bucket_ms
        .max((to - from + POINTS - 1) / POINTS)
        .max(1);
    let filter = query.filter.within(from, to);
    let mut buckets = Vec::new();
    let mut start = from;
    while start < to {
        buckets.push((start, Bucket::default()));
        start = start.saturating_add(bucket_ms);
    }
    let mut users = 0;
    measure(tx, ws, &filter, |created_at_ms, record| {
        let index = usize::try_from((created_at_ms - from) / bucket_ms).unwrap_or(usize::MAX);
        match buckets.get_mut(index) {
            Some((_, bucket)) => bucket.add(query.measure, record, &mut users),
            None => Ok(()),
        }
    })?;
    let points = buckets.into_iter().map(|(start_ms, bucket)| GraphPoint {
        start_ms,
        requests: bucket.requests,
        figure: bucket.figure(query.measure),
    });
    Ok(points.collect())
}

impl Bucket {
    fn add(
        &mut self,
        measure: Measure,
        record: &Measured<'_>,
        users: &mut usize,
    ) -> Result<(), Error> {
        self.requests += 1;
        let counted = match measure {
            Measure::Requests => true,
            Measure::Errors => record.failed()?,
            Measure::CacheHits => record.cache_hit()?,
            Measure::Rescued => record.rescued()?,
            Measure::Tokens => {
                let (prompt, completion) = (record.prompt_tokens()?, record.completion_tokens()?);
                self.count = self.count.saturating_add(prompt);
                self.second_count = self.second_count.saturating_add(completion);
                false
            }
            Measure::Cost => {
                self.count = self.count.saturating_add(record.cost()?);
                false
            }
            Measure::Latency => {
                self.durations.add(record.total_us()?);
                false
            }
            Measure::StatusCodes => {
                *self.codes.entry(record.status()?).or_default() += 1;
                false
            }
            Measure::Users => match record.metadata(USER)? {
                Some(user) if *users < USERS && self.users.insert(hash(&user)) => {
                    *users += 1;
                    true
                }
                _ => false,
            },
        };
        self.count += u64::from(counted);
        Ok(())
    }

    fn figure(self, measure: Measure) -> Figure {
        match measure {
            Measure::Requests
            | Measure::Errors
            | Measure::CacheHits
            | Measure::Rescued
            | Measure::Users => Figure::Count(self.count),
            Measure::Tokens => Figure::Tokens {
                prompt: self.count,
                completion: self.second_count,
            },
            Measure::Cost => Figure::Cost(Nanodollars(self.count)),
            Measure::Latency => Figure::Latency(Latency {
                p50_us: self.durations.percentile(50),
                p90_us: self.durations.percentile(90),
                p99_us: self.durations.percentile(99),
                avg_us: self.durations.mean(),
            }),
            Measure::StatusCodes => Figure::StatusCodes(self.codes),
        }
    }
}

fn hash(text: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}
