//! What a storm was made of, and what came of the runs: a table for people.

use std::{collections::BTreeMap, fmt::Write as _, time::Duration};

use crate::{
    check::{Rule, Violation},
    disturb::Tally,
    history::{Facts, History, Op},
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
                Op::Read { events, .. } => {
                    self.legs += 1;
                    self.events += events.len() as u64;
                }
                Op::Known { .. } | Op::Saw { .. } | Op::Listed { .. } | Op::Wrong { .. } => {}
            }
        }
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
        let Storm {
            seed,
            time,
            kills,
            tally,
            faults,
        } = &self.storm;
        writeln!(
            text,
            "Seed {seed}: {kills} kills (SIGKILL; {} of them while the server started), {} freezes \
             (SIGSTOP, SIGCONT) and {} deploys (SIGTERM) in {:.0} s.\n",
            tally.kills_at_start,
            tally.freezes,
            tally.deploys,
            time.as_secs_f64()
        )?;
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
        writeln!(text, "| the model's answers that met | |")?;
        writeln!(text, "| --- | ---: |")?;
        for (fault, count) in FAULTS.iter().zip(faults) {
            writeln!(text, "| {fault} | {count} |")?;
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
        for rule in Rule::ALL {
            let count = self.broken.get(&rule).copied().unwrap_or(0);
            writeln!(text, "| {} | {count} |", rule.words())?;
        }
        Ok(())
    }
}
