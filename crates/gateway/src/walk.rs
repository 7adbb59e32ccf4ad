//! The one attempt loop: walks through a plan by its strategies, and repeats attempts at a leaf as
//! its rules say. Relayed calls and model calls of runs both go this way.

use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use loomgate_domain::{Clock, IdGen};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    breaker::Breakers,
    condition::{self, Facts},
    config::{Branch, Leaf, Node, Strategy},
    plan::{Plan, Way},
    retries::{Next, Retries, Verdict},
};

/// A status that stands for "no answer at all" with circuit breakers.
const NO_ANSWER: u16 = 599;

/// Something that can be tried at a leaf.
pub(crate) trait Attempt: Sync {
    /// What comes of it, be it good or bad.
    type Output: Send;

    /// What has to be done before the first attempt at a leaf: limits, guardrails, the cache. An
    /// output ends the visit.
    fn prepare(&self, way: Way<'_>)
    -> impl Future<Output = Option<(Self::Output, Verdict)>> + Send;

    /// One attempt.
    fn once(&self, way: Way<'_>) -> impl Future<Output = (Self::Output, Verdict)> + Send;

    /// What has to be done with the last attempt's output.
    fn conclude(
        &self,
        way: Way<'_>,
        output: Self::Output,
        verdict: Verdict,
        tries: Tries,
    ) -> impl Future<Output = (Self::Output, Verdict)> + Send;

    /// How attempts at a leaf are repeated.
    fn retries<'a>(&'a self, leaf: &'a Leaf) -> Retries<'a>;

    /// The config leads nowhere.
    fn lost(&self, message: String) -> Self::Output;

    /// Whether nothing is left to be sent once more: a body that streamed through goes out once,
    /// and then the answer to it counts, whatever it is.
    fn is_spent(&self) -> bool {
        false
    }

    /// What conditions look at.
    fn path(&self) -> &str;
    /// The caller's pairs.
    fn metadata(&self) -> &BTreeMap<String, String>;
    /// The body, for conditions on its parameters.
    fn params(&self) -> Value;
}

/// How often a leaf was tried.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tries {
    /// 0: no retry. n: the last was retry n. -1: all were used up.
    pub(crate) retries: i32,
    /// Time spent in attempts, pauses apart.
    pub(crate) upstream: Duration,
}

/// Walks through plans.
pub(crate) struct Walker<'a> {
    pub(crate) ids: &'a dyn IdGen,
    pub(crate) clock: &'a dyn Clock,
    pub(crate) breakers: &'a Breakers,
    /// Attempts made, at whatever leaf.
    pub(crate) attempts: AtomicU32,
}

type Visited<'a, T> = Pin<Box<dyn Future<Output = (T, Verdict)> + Send + 'a>>;

impl Walker<'_> {
    /// Walks through a plan; gives the output of the leaf that was visited last.
    pub(crate) async fn walk<A: Attempt>(&self, plan: &Plan, attempt: &A) -> A::Output {
        let (output, _) = match &plan.config().root {
            // Most plans are one leaf, for which nothing needs to be boxed.
            Node::Leaf(leaf) => self.leaf(plan, leaf, attempt).await,
            Node::Branch(branch) => self.branch(plan, branch, attempt).await,
        };
        output
    }

    fn node<'a, A: Attempt>(
        &'a self,
        plan: &'a Plan,
        node: &'a Node,
        attempt: &'a A,
    ) -> Visited<'a, A::Output> {
        Box::pin(async move {
            match node {
                Node::Leaf(leaf) => self.leaf(plan, leaf, attempt).await,
                Node::Branch(branch) => self.branch(plan, branch, attempt).await,
            }
        })
    }

    async fn branch<A: Attempt>(
        &self,
        plan: &Plan,
        branch: &Branch,
        attempt: &A,
    ) -> (A::Output, Verdict) {
        match &branch.strategy {
            Strategy::Single => match self.available(plan, branch.targets.iter()).first() {
                Some(node) => self.node(plan, node, attempt).await,
                None => nowhere(attempt, "The config has no target.".to_owned()),
            },
            Strategy::LoadBalance => {
                // One that is never drawn is no way out when all others are open.
                let drawn = branch.targets.iter().filter(|node| node.weight() > 0.0);
                match self.weighted(&self.available(plan, drawn)) {
                    Some(node) => self.node(plan, node, attempt).await,
                    None => nowhere(
                        attempt,
                        "No target of the config has a weight above 0.".to_owned(),
                    ),
                }
            }
            Strategy::Fallback { on_status_codes } => {
                let mut last = None;
                for node in self.available(plan, branch.targets.iter()) {
                    let (output, verdict) = self.node(plan, node, attempt).await;
                    let goes_on = match on_status_codes {
                        Some(codes) => codes.contains(&verdict.status),
                        None => !verdict.is_success(),
                    };
                    last = Some((output, verdict));
                    if !goes_on || attempt.is_spent() {
                        break;
                    }
                }
                match last {
                    Some(visited) => visited,
                    None => nowhere(attempt, "The config has no target.".to_owned()),
                }
            }
            Strategy::Conditional {
                conditions,
                default,
            } => {
                let params = attempt.params();
                let facts = Facts {
                    metadata: attempt.metadata(),
                    params: &params,
                    path: attempt.path(),
                };
                let Some(name) = condition::resolve(conditions, default.as_deref(), &facts) else {
                    let message = "Query router did not resolve to any valid target";
                    return nowhere(attempt, message.to_owned());
                };
                let named = |node: &&Node| node.name() == Some(name);
                if let Some(node) = branch.targets.iter().find(named) {
                    self.node(plan, node, attempt).await
                } else {
                    let message = format!("Invalid target name found in the query router: {name}");
                    nowhere(attempt, message)
                }
            }
        }
    }

    /// The targets whose circuit is closed; all of them when it is open everywhere.
    fn available<'a>(
        &self,
        plan: &Plan,
        targets: impl Iterator<Item = &'a Node> + Clone,
    ) -> Vec<&'a Node> {
        let now_ms = self.clock.now_ms();
        let is_closed = |node: &&Node| match node {
            Node::Leaf(leaf) => leaf.rules.breaker.as_ref().is_none_or(|rule| {
                !self
                    .breakers
                    .is_open(&breaker_key(plan, leaf), rule, now_ms)
            }),
            Node::Branch(_) => true,
        };
        let closed: Vec<_> = targets.clone().filter(is_closed).collect();
        if closed.is_empty() {
            targets.collect()
        } else {
            closed
        }
    }

    /// A target drawn by weight.
    fn weighted<'a>(&self, nodes: &[&'a Node]) -> Option<&'a Node> {
        let sum: f64 = nodes.iter().map(|node| node.weight()).sum();
        let mut rest = self.fraction() * sum;
        for node in nodes {
            if rest < node.weight() {
                return Some(node);
            }
            rest -= node.weight();
        }
        // Rounding may leave a crumb.
        nodes.iter().rfind(|node| node.weight() > 0.0).copied()
    }

    /// From 0 up to 1.
    fn fraction(&self) -> f64 {
        let mut bytes = [0; 4];
        self.ids.fill(&mut bytes);
        f64::from(u32::from_le_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    async fn leaf<A: Attempt>(
        &self,
        plan: &Plan,
        leaf: &Leaf,
        attempt: &A,
    ) -> (A::Output, Verdict) {
        let Some(way) = plan.way(leaf) else {
            return nowhere(attempt, "The config has no target.".to_owned());
        };
        if let Some(ended) = attempt.prepare(way).await {
            return ended;
        }
        let mut retries = attempt.retries(leaf);
        let since = Instant::now();
        let mut upstream = Duration::ZERO;
        let mut made = 0_u32;
        loop {
            made += 1;
            self.attempts.fetch_add(1, Ordering::Relaxed);
            let began = Instant::now();
            let (output, verdict) = attempt.once(way).await;
            upstream += began.elapsed();
            self.remember(plan, leaf, verdict);
            let repeated = i32::try_from(made - 1).unwrap_or(i32::MAX);
            let next = if attempt.is_spent() {
                Next::Done
            } else {
                retries.next(verdict, made, since.elapsed(), self.byte())
            };
            let retries = match next {
                Next::Done => repeated,
                Next::GiveUp => -1,
                Next::After(pause) => {
                    drop(output);
                    tracing::warn!(
                        target_name = %way.target.name,
                        status = verdict.status,
                        attempt = made,
                        pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX),
                        "a call failed, will be tried again",
                    );
                    tokio::time::sleep(pause).await;
                    continue;
                }
            };
            let tries = Tries { retries, upstream };
            return attempt.conclude(way, output, verdict, tries).await;
        }
    }

    fn remember(&self, plan: &Plan, leaf: &Leaf, verdict: Verdict) {
        if let Some(rule) = &leaf.rules.breaker {
            let status = if verdict.status == 0 {
                NO_ANSWER
            } else {
                verdict.status
            };
            let key = breaker_key(plan, leaf);
            self.breakers
                .record(&key, rule, status, self.clock.now_ms());
        }
    }

    fn byte(&self) -> u8 {
        let mut byte = [0];
        self.ids.fill(&mut byte);
        let [byte] = byte;
        byte
    }
}

/// The config leads nowhere.
fn nowhere<A: Attempt>(attempt: &A, message: String) -> (A::Output, Verdict) {
    let verdict = Verdict {
        repeatable: false,
        ..Verdict::of_status(400, None)
    };
    (attempt.lost(message), verdict)
}

/// A place in a config, and the account that stands there: one that takes its place begins anew.
fn breaker_key(plan: &Plan, leaf: &Leaf) -> String {
    let account = plan.way(leaf).map(|way| &*way.target.identity);
    let account = account.unwrap_or_default();
    format!("{}/{} {account}", plan.identity(), leaf.path)
}
