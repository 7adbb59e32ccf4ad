//! What a storm was made of, and what came of the runs: a table for people.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use crate::{
    audit::Leases,
    check::{Rule, Violation},
    client::WhenLocked,
    disturb::Tally,
    history::{Facts, History, Op},
    line,
    model::FAULTS,
    phase::Phase,
};

/// What happened.
#[derive(Debug, Default)]
pub(crate) struct Storm {
    pub(crate) seed: u64,
    pub(crate) time: Duration,
    pub(crate) kills: u64,
    pub(crate) tally: Tally,
    /// Of the model's answers, by kind.
    pub(crate) faults: [u64; FAULTS.len()],
    /// None: on an embedded database.
    pub(crate) shared: Option<OnPostgres>,
}

/// What happened between servers and their PostgreSQL.
#[derive(Debug, Default)]
pub(crate) struct OnPostgres {
    pub(crate) replicas: usize,
    /// How many there were, and how many of them met which fault.
    pub(crate) connections: u64,
    pub(crate) faults: [u64; line::FAULTS.len()],
    pub(crate) leases: Leases,
}

/// Counts of a storm, and of what was found after it.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) storm: Storm,
    threads: u64,
    writes: u64,
    lost: u64,
    legs: u64,
    events: u64,
    replays: u64,
    /// By what was wanted ([`WhenLocked`]): how often it was asked for, and taken.
    beside: [[u64; 2]; WhenLocked::ALL.len()],
    runs: BTreeMap<String, u64>,
    broken: BTreeMap<Rule, u64>,
}

impl Report {
    pub(crate) fn new(storm: Storm) -> Self {
        Self {
            storm,
            ..Self::default()
        }
    }

    /// Counts what a thread holds.
    pub(crate) fn count(&mut self, history: &History, facts: &Facts) {
        use crate::history::Outcome::{Done, Lost};
        self.threads += 1;
        self.replays += facts.replays.len() as u64;
        for run in &facts.runs {
            *self.runs.entry(run.status.clone()).or_default() += 1;
        }
        for (_, op) in &history.entries {
            match op {
                Op::Posted { outcome, .. }
                | Op::Asked { outcome, .. }
                | Op::Submitted { outcome, .. }
                | Op::Cancelled { outcome, .. }
                | Op::Modified { outcome, .. } => {
                    self.writes += u64::from(*outcome == Done);
                    self.lost += u64::from(*outcome == Lost);
                }
                Op::Beside { when, outcome } => {
                    let [asked, taken] = &mut self.beside[*when as usize];
                    *asked += 1;
                    *taken += u64::from(*outcome == Done);
                }
                Op::Read { events, .. } => {
                    self.legs += 1;
                    self.events += events.len() as u64;
                }
                Op::Known { .. } | Op::Saw { .. } | Op::Listed { .. } | Op::Wrong { .. } => {}
            }
        }
    }

    /// What was wanted of threads that were locked, and never came about.
    pub(crate) fn untaken(&self) -> Vec<&'static str> {
        let all = WhenLocked::ALL.iter().zip(self.beside);
        let untaken = all.filter(|(_, [_, taken])| *taken == 0);
        untaken.map(|(when, _)| when.header()).collect()
    }

    /// Counts what was violated.
    pub(crate) fn violated(&mut self, found: &[Violation]) {
        for violation in found {
            *self.broken.entry(violation.rule).or_default() += 1;
        }
    }

    /// The tables, behind what they were measured on.
    pub(crate) fn text(&self, measured: &str) -> String {
        let mut text = measured.to_owned();
        // Writing to a String can not fail.
        let _ = self.write(&mut text);
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Storm { tally, faults, .. } = &self.storm;
        self.write_what_happened(text)?;
        writeln!(
            text,
            "| runs that were cut by a kill while | polled | streamed |"
        )?;
        writeln!(text, "| --- | ---: | ---: |")?;
        for (phase, [polled, streamed]) in Phase::ALL.iter().zip(tally.cut.runs) {
            writeln!(text, "| {} | {polled} | {streamed} |", phase.words())?;
        }
        let [polled, streamed] = tally
            .cut
            .runs
            .iter()
            .fold([0, 0], |sum, runs| [sum[0] + runs[0], sum[1] + runs[1]]);
        writeln!(text, "| all | {polled} | {streamed} |\n")?;
        writeln!(
            text,
            "| messages and runs for a thread that was locked | asked for | taken |"
        )?;
        writeln!(text, "| --- | ---: | ---: |")?;
        for (when, [asked, taken]) in WhenLocked::ALL.iter().zip(self.beside) {
            writeln!(text, "| `{}` | {asked} | {taken} |", when.header())?;
        }
        writeln!(text)?;
        writeln!(text, "| the model's answers that met | |")?;
        writeln!(text, "| --- | ---: |")?;
        for (fault, count) in FAULTS.iter().zip(faults) {
            writeln!(text, "| {fault} | {count} |")?;
        }
        if let Some(shared) = &self.storm.shared {
            shared.write(text)?;
        }
        writeln!(text, "\n| clients | |\n| --- | ---: |")?;
        let counts = [
            ("threads", self.threads),
            ("writes that were acknowledged", self.writes),
            ("writes whose answer was lost", self.lost),
            ("legs of streams read to their end", self.legs),
            ("their events", self.events),
            ("replays compared", self.replays),
        ];
        for (name, count) in counts {
            writeln!(text, "| {name} | {count} |")?;
        }
        for (status, count) in &self.runs {
            writeln!(text, "| runs that are `{status}` in the end | {count} |")?;
        }
        let mut ready = tally.ready.clone();
        ready.sort_unstable();
        if let (Some(median), Some(most)) = (ready.get(ready.len() / 2), ready.last()) {
            writeln!(
                text,
                "\nFrom the start of the process to its listening: {} ms at the median, {} ms at \
                 most.",
                median.as_millis(),
                most.as_millis()
            )?;
        }
        writeln!(text, "\n| what has to hold | violations |\n| --- | ---: |")?;
        // What leases were given out is only known where triggers write it down.
        let is_checked = |rule: &Rule| *rule != Rule::Leases || self.storm.shared.is_some();
        for rule in Rule::ALL.into_iter().filter(is_checked) {
            let count = self.broken.get(&rule).copied().unwrap_or(0);
            writeln!(text, "| {} | {count} |", rule.words())?;
        }
        Ok(())
    }

    fn write_what_happened(&self, text: &mut String) -> std::fmt::Result {
        let Storm {
            seed,
            kills,
            tally,
            shared,
            ..
        } = &self.storm;
        write!(text, "Seed {seed}")?;
        if let Some(OnPostgres { replicas, .. }) = shared {
            write!(text, ", {replicas} servers on PostgreSQL")?;
        }
        write!(
            text,
            ": {kills} kills (SIGKILL; {} of them while the server started), {} freezes (SIGSTOP, \
             SIGCONT), {} deploys (SIGTERM)",
            tally.kills_at_start,
            tally.freezes + tally.long_freezes,
            tally.deploys,
        )?;
        if shared.is_some() {
            write!(
                text,
                ". All servers were killed at once {} times, {} freezes lasted longer than a lease; \
                 PostgreSQL was restarted {} times and ended at once (`immediate`) {} times; {} \
                 servers gave up while they started, and were started again",
                tally.kills_of_all,
                tally.long_freezes,
                tally.restarts,
                tally.crashes,
                tally.failed_starts,
            )?;
        }
        writeln!(
            text,
            ". All of it in {:.0} s.\n",
            self.storm.time.as_secs_f64()
        )
    }

    /// Workers that were refused a write, where that is known.
    pub(crate) fn refused(&self) -> Option<u64> {
        let shared = self.storm.shared.as_ref();
        shared.map(|shared| shared.leases.refused)
    }
}

impl OnPostgres {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Leases {
            claims,
            taken_over,
            double,
            stray,
            refused,
        } = &self.leases;
        writeln!(
            text,
            "\n| connections to PostgreSQL | {} |",
            self.connections
        )?;
        writeln!(text, "| --- | ---: |")?;
        for (fault, count) in line::FAULTS.iter().zip(self.faults) {
            writeln!(text, "| that met: {fault} | {count} |")?;
        }
        let written = refused + stray.len() as u64;
        writeln!(text, "\n| leases | {claims} |\n| --- | ---: |")?;
        writeln!(
            text,
            "| of runs that were taken over, in the midst of what they did | {taken_over} |\n\
             | double claims: of a run whose lease went on | {} |\n\
             | workers that wrote after they had lost theirs | {written} |\n\
             | of them refused | {refused} |",
            double.len()
        )
    }
}
