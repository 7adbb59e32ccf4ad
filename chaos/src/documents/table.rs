//! What happened to documents, and what was violated: a table for people.

use std::{collections::BTreeMap, fmt::Write as _, io, time::Duration};

use super::{
    CUT,
    author::Doing,
    paper::{Facts, Paper},
};

/// What rows said right after a kill, as [`CUT`] asks for it.
const IN_ROWS: [&str; CUT.len()] = [
    "files some of whose chunks were written",
    "files that were read or cut up",
    "files whose chunks were to be removed",
];

const UNFINISHED: &str = "objects that were not finished";

/// Counts.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) kills: u64,
    pub(super) time: Duration,
    /// Of starts after a kill.
    pub(super) ready: Vec<Duration>,
    /// Requests that had no answer when their server was killed.
    pub(super) cut: [u64; Doing::TOLD.len()],
    pub(super) in_rows: [u64; CUT.len()],
    /// Objects that no upload has finished.
    pub(super) unfinished: u64,
    pub(super) acknowledged: u64,
    pub(super) lost: u64,
    /// What was wrong with the database right after a kill.
    pub(super) faults: Vec<String>,
    files: u64,
    deleted: u64,
    entries: BTreeMap<String, u64>,
}

/// What was violated.
#[derive(Debug, Default)]
pub(super) struct Violations {
    pub(super) papers: Vec<String>,
    pub(super) requests: Vec<String>,
    pub(super) bytes: Vec<String>,
    pub(super) orphans: Vec<String>,
    pub(super) database: Vec<String>,
}

impl Violations {
    fn all(&self) -> [(&'static str, &[String]); 5] {
        [
            (
                "what was acknowledged is there, once, with its bytes; a file is found wholly or not at all",
                &self.papers,
            ),
            (
                "no request is answered as it must not be; what is indexed is found at once, what is deleted is not",
                &self.requests,
            ),
            (
                "every object has its row, every file its bytes",
                &self.bytes,
            ),
            (
                "the sweeper leaves no object, row, chunk or word that nobody refers to",
                &self.orphans,
            ),
            (
                "after each kill: no file is searchable by halves, by words or by vectors, stores count their files, the database is intact",
                &self.database,
            ),
        ]
    }

    pub(super) fn is_none(&self) -> bool {
        self.all().iter().all(|(_, found)| found.is_empty())
    }

    pub(super) fn tell(&self, out: &mut impl io::Write) -> io::Result<()> {
        for (rule, found) in self.all() {
            for what in found {
                writeln!(out, "documents: VIOLATED: {rule}: {what}")?;
            }
        }
        if self.is_none() {
            writeln!(out, "documents: nothing was violated")?;
        }
        Ok(())
    }
}

impl Table {
    pub(super) fn count(&mut self, paper: &Paper, facts: &Facts) {
        self.files += 1;
        self.deleted += u64::from(paper.is_deleted);
        if let Some(status) = &facts.status {
            *self.entries.entry(status.clone()).or_default() += 1;
        }
    }

    /// What no kill has cut.
    pub(super) fn missing(&self) -> Vec<&'static str> {
        let requests = Doing::TOLD.iter().map(|doing| doing.words()).zip(self.cut);
        let rows = IN_ROWS.into_iter().zip(self.in_rows);
        let unfinished = [(UNFINISHED, self.unfinished)];
        let all = requests.chain(rows).chain(unfinished);
        let none = all.filter(|(_, count)| *count == 0);
        none.map(|(words, _)| words).collect()
    }

    pub(super) fn write(
        &self,
        text: &mut String,
        (seed, replicas, is_in_bucket): (u64, usize, bool),
        violations: &Violations,
    ) -> std::fmt::Result {
        write!(text, "Seed {seed}, ")?;
        if replicas > 1 {
            write!(text, "{replicas} servers on PostgreSQL, ")?;
        }
        if is_in_bucket {
            write!(text, "objects in a bucket, ")?;
        }
        writeln!(
            text,
            "{} kills (SIGKILL) in {:.0} s.\n",
            self.kills,
            self.time.as_secs_f64()
        )?;
        writeln!(text, "| cut by a kill | |\n| --- | ---: |")?;
        for (doing, count) in Doing::TOLD.iter().zip(self.cut) {
            writeln!(text, "| {} | {count} |", doing.words())?;
        }
        for (words, count) in IN_ROWS.iter().zip(self.in_rows) {
            writeln!(text, "| {words} | {count} |")?;
        }
        writeln!(text, "| {UNFINISHED} | {} |", self.unfinished)?;
        writeln!(text, "\n| authors | |\n| --- | ---: |")?;
        for (words, count) in [
            ("requests that were acknowledged", self.acknowledged),
            ("requests whose answer was lost", self.lost),
            ("files", self.files),
            ("of them deleted", self.deleted),
        ] {
            writeln!(text, "| {words} | {count} |")?;
        }
        for (status, count) in &self.entries {
            writeln!(
                text,
                "| files in stores that are `{status}` in the end | {count} |"
            )?;
        }
        let mut ready = self.ready.clone();
        ready.sort_unstable();
        if let (Some(median), Some(most)) = (ready.get(ready.len() / 2), ready.last()) {
            writeln!(
                text,
                "\nFrom the start of the process to its listening: {} ms at the median, {} ms at most.",
                median.as_millis(),
                most.as_millis()
            )?;
        }
        writeln!(text, "\n| what has to hold | violations |\n| --- | ---: |")?;
        for (rule, found) in violations.all() {
            writeln!(text, "| {rule} | {} |", found.len())?;
        }
        Ok(())
    }
}
