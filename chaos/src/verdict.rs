//! What is made of a storm: every thread, the database and the log, held against the rules.

use std::io::Write;

use crate::{
    check::{self, Rule, Violation},
    database::Database,
    history::{Facts, History},
    question::Usage,
    report::Report,
    stage::{self, KEYS},
};

/// The most histories that are printed.
const PRINTED: usize = 3;
/// The most tokens of a turn.
const MOST_OF_A_TURN: u64 = 200;

/// What a client has seen, and found in the end.
pub(crate) struct Seen {
    pub(crate) client: u32,
    pub(crate) threads: Vec<(History, anyhow::Result<Facts>)>,
}

/// What was violated, and in which thread; none: in no single one.
pub(crate) struct Verdict<'a>(Vec<(Vec<Violation>, Option<&'a History>)>);

impl<'a> Verdict<'a> {
    /// Checks everything. `has_failed` says whether the model failed a question.
    pub(crate) async fn of(
        seen: &'a [Seen],
        (database, log): (&Database, &str),
        has_failed: &dyn Fn(u32) -> bool,
        report: &mut Report,
    ) -> anyhow::Result<Self> {
        let mut broken = Vec::new();
        for (history, facts) in seen.iter().flat_map(|seen| &seen.threads) {
            let found = match facts {
                Ok(facts) => {
                    report.count(history, facts);
                    check::check(history, facts, has_failed)
                }
                Err(error) => vec![Violation {
                    rule: Rule::Requests,
                    what: format!("{error:#}"),
                }],
            };
            broken.push((found, Some(history)));
        }
        let mut found = of_database(database, &report.storm.tally.faults, log).await?;
        found.extend(budgets(database, seen).await?);
        let leases = report.storm.shared.iter().map(|it| &it.leases);
        for what in leases.flat_map(|it| it.double.iter().chain(&it.stray)) {
            found.push(Violation {
                rule: Rule::Leases,
                what: what.clone(),
            });
        }
        broken.push((found, None));
        broken.retain(|(found, _)| !found.is_empty());
        for (found, _) in &broken {
            report.violated(found);
        }
        Ok(Self(broken))
    }

    pub(crate) fn is_good(&self) -> bool {
        self.0.is_empty()
    }

    /// Prints what was violated, and some of the histories.
    pub(crate) fn tell(&self, out: &mut impl Write) -> std::io::Result<()> {
        for (found, history) in &self.0 {
            let thread = history.map_or("the whole", |history| &*history.thread);
            for violation in found {
                writeln!(out, "chaos: VIOLATED in {thread}: {violation}")?;
            }
        }
        let histories = self.0.iter().filter_map(|(_, history)| *history);
        for history in histories.take(PRINTED) {
            write!(out, "chaos: {history}")?;
        }
        if self.is_good() {
            writeln!(out, "chaos: nothing was violated")?;
        }
        Ok(())
    }
}

/// What only the database and the log tell.
async fn of_database(
    database: &Database,
    faults: &[String],
    log: &str,
) -> anyhow::Result<Vec<Violation>> {
    let mut found = Vec::new();
    let mut tell = |rule, what| found.push(Violation { rule, what });
    for fault in database.faults().await?.iter().chain(faults) {
        tell(Rule::Database, fault.clone());
    }
    for thread in database.locked_twice().await? {
        tell(Rule::Lock, format!("several active runs in {thread}"));
    }
    for wrong in database.locked_wrongly().await? {
        tell(Rule::Lock, format!("{wrong} locks its thread wrongly"));
    }
    for panic in log.lines().filter(|line| line.contains("panicked")) {
        tell(Rule::Requests, format!("the server panicked: {panic}"));
    }
    Ok(found)
}

/// What each key has used is what its runs took.
async fn budgets(database: &Database, seen: &[Seen]) -> anyhow::Result<Vec<Violation>> {
    let mut found = Vec::new();
    let used = database.used().await?;
    for key in &KEYS {
        let of_key = seen
            .iter()
            .filter(|it| stage::key_of(it.client).name == key.name);
        let facts = of_key.flat_map(|it| &it.threads);
        let facts = facts.filter_map(|(_, facts)| facts.as_ref().ok());
        let runs = facts.flat_map(|facts| &facts.runs);
        let usage = runs.clone().map(|run| run.usage);
        let whole = usage.fold(Usage::default(), Usage::plus).total();
        // What the model has counted is counted, also where a cancellation came right then.
        let cancelled = runs.filter(|run| run.status == "cancelled").count() as u64;
        let used = used.get(key.name).copied().unwrap_or(0);
        if let Some(what) = misfit(key.name, (whole, cancelled), used) {
            let rule = Rule::Usage;
            found.push(Violation { rule, what });
        }
    }
    Ok(found)
}

/// `whole` is what the runs took, `cancelled` how many of them were cancelled.
fn misfit(key: &str, (whole, cancelled): (u64, u64), used: u64) -> Option<String> {
    let most = whole + cancelled * MOST_OF_A_TURN;
    let is_right = (whole..=most).contains(&used);
    (!is_right).then(|| format!("key {key}: its runs took {whole} tokens, it used {used}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_used_more_or_less_than_its_runs_is_found() {
        assert_eq!(misfit("k", (500, 0), 500), None);
        assert_eq!(misfit("k", (500, 1), 500 + MOST_OF_A_TURN), None);
        assert!(misfit("k", (500, 0), 501).is_some());
        assert!(misfit("k", (500, 9), 499).is_some());
    }
}
