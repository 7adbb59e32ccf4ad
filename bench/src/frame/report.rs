//! From blocks to tables and to one JSON file: comparisons with their intervals, a goal beside each,
//! and whether it is met.

use std::{fmt::Write as _, io::Write, path::Path, process::Command};

use anyhow::{Context as _, ensure};
use loomgate_bench::{
    document,
    statistics::{Dice, Estimate, count},
};
use serde_json::{Map, Value, json};

use super::{Options, cell::Cell};

/// How far the A/A arm may be off.
const MOST_OFF: f64 = 0.05;

/// What a figure has to be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    Between(f64, f64),
}

impl Goal {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::AtLeast(least) => value >= least,
            Self::Between(least, most) => (least..=most).contains(&value),
        }
    }

    fn words(self) -> String {
        match self {
            Self::AtMost(most) => format!("at most {most}"),
            Self::AtLeast(least) => format!("at least {least}"),
            Self::Between(least, most) => format!("{least} to {most}"),
        }
    }
}

/// A figure, and what it has to be.
#[derive(Debug)]
struct Comparison {
    what: String,
    unit: &'static str,
    estimate: Estimate,
    goal: Option<Goal>,
}

impl Comparison {
    fn verdict(&self) -> &'static str {
        match self.goal {
            None => "",
            Some(goal) if goal.is_met(self.estimate.median) => "met",
            Some(_) => "**not met**",
        }
    }
}

/// What a workload found.
pub(crate) struct Report<'a> {
    /// What its markers in the document are named.
    name: &'static str,
    options: &'a Options,
    /// What a block is.
    block: String,
    dice: Dice,
    cells: Vec<Cell>,
    comparisons: Vec<Comparison>,
    /// Paragraphs below the tables.
    notes: Vec<String>,
    /// Programs that were measured beside ours, with their versions.
    versions: Map<String, Value>,
    /// The A/A arms, by the name of their cell.
    twins: Vec<(String, Estimate)>,
    /// Where they are off.
    void: Vec<String>,
}

impl<'a> Report<'a> {
    /// Of what was measured; looks at the A/A arms.
    pub(crate) fn new(name: &'static str, options: &'a Options, cells: Vec<Cell>) -> Self {
        let mut report = Self {
            name,
            options,
            block: format!("{} ms", options.block_ms),
            dice: options.dice(),
            cells: Vec::new(),
            comparisons: Vec::new(),
            notes: Vec::new(),
            versions: Map::new(),
            twins: Vec::new(),
            void: Vec::new(),
        };
        let within = Goal::Between(1.0 - MOST_OFF, 1.0 + MOST_OFF);
        for cell in &cells {
            let Some((twins, figure)) = cell.twins else {
                continue;
            };
            let ratios = cell.each(|block| block.ratio(twins, figure));
            let estimate = Estimate::of(&ratios, &mut report.dice);
            if !within.is_met(estimate.median) {
                report.void.push(cell.name.clone());
            }
            report.twins.push((cell.name.clone(), estimate));
        }
        report.cells = cells;
        report
    }

    pub(crate) fn cells(&self) -> &[Cell] {
        &self.cells
    }

    /// Adds a figure with a value for each block; blocks in which it was not measured have none. A
    /// figure without any value is not shown.
    pub(crate) fn compare(
        &mut self,
        what: impl Into<String>,
        unit: &'static str,
        mut values: Vec<f64>,
        goal: Option<Goal>,
    ) {
        values.retain(|value| value.is_finite());
        if !values.is_empty() {
            self.comparisons.push(Comparison {
                what: what.into(),
                unit,
                estimate: Estimate::of(&values, &mut self.dice),
                goal,
            });
        }
    }

    /// Says what a block is, where it is no length of time.
    pub(crate) fn block_is(&mut self, what: impl Into<String>) {
        self.block = what.into();
    }

    /// Adds a paragraph below the tables.
    pub(crate) fn note(&mut self, text: impl Into<String>) {
        self.notes.push(text.into());
    }

    /// Names a program that was measured beside ours.
    pub(crate) fn version(&mut self, program: &str, version: impl Into<Value>) {
        self.versions.insert(program.to_owned(), version.into());
    }

    /// Prints the tables, and writes them where they are wanted.
    ///
    /// Error: the run is void.
    pub(crate) fn finish(mut self, out: &mut impl Write) -> anyhow::Result<()> {
        let own = version_of(&self.options.binary);
        self.version("loomgate", own);
        if let Some(path) = &self.options.json {
            self.write_json(path)?;
        }
        if self.options.unjudged {
            writeln!(out, "{}: it works, and every answer was right", self.name)?;
            return Ok(());
        }
        let text = self.text()?;
        out.write_all(text.as_bytes())?;
        let void = self.void.join("; ");
        ensure!(
            void.is_empty(),
            "void, the A/A arm is off by more than {MOST_OFF}: {void}"
        );
        if let Some(path) = &self.options.document {
            document::replace(path, self.name, &text)?;
        }
        Ok(())
    }

    fn text(&self) -> anyhow::Result<String> {
        let Options { binary, blocks, .. } = self.options;
        let mut text = format!(
            "Measured on {}; `{}` build; {blocks} blocks of {} of each arm.\n\n",
            document::machine(),
            document::build(binary),
            self.block
        );
        if !self.cells.is_empty() {
            text.push_str(&Cell::table(&self.cells)?);
            text.push('\n');
        }
        text.push_str("| figure: median (95 %) | | goal | |\n| --- | ---: | ---: | --- |\n");
        for comparison in &self.comparisons {
            let Comparison {
                what,
                unit,
                estimate,
                goal,
            } = comparison;
            let Estimate { median, low, high } = estimate;
            let [median, low, high] = [median, low, high].map(|value| significant(*value));
            let goal = goal.map(Goal::words).unwrap_or_default();
            let space = if unit.is_empty() { "" } else { " " };
            writeln!(
                text,
                "| {what} | {median}{space}{unit} ({low} to {high}) | {goal} | {} |",
                comparison.verdict()
            )?;
        }
        for note in &self.notes {
            writeln!(text, "\n{note}")?;
        }
        let twins: Vec<_> = self
            .twins
            .iter()
            .map(|(name, estimate)| {
                let Estimate { median, low, high } = estimate;
                format!("{name} {median:.3} ({low:.3} to {high:.3})")
            })
            .collect();
        if !twins.is_empty() {
            writeln!(text, "\nThe A/A arm, to the first: {}.", twins.join("; "))?;
        }
        Ok(text)
    }

    /// Puts it into the file, in place of what this workload found before.
    fn write_json(&self, path: &Path) -> anyhow::Result<()> {
        let mut file: Map<String, Value> = match std::fs::read(path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .with_context(|| format!("{} is no result", path.display()))?,
            Err(_) => Map::new(),
        };
        let comparison = |comparison: &Comparison| {
            json!({
                "what": comparison.what,
                "unit": comparison.unit,
                "median": comparison.estimate.median,
                "low": comparison.estimate.low,
                "high": comparison.estimate.high,
                "goal": comparison.goal.map(Goal::words),
                "met": comparison.goal.map(|goal| goal.is_met(comparison.estimate.median)),
            })
        };
        let result = json!({
            "commit": document::commit(),
            "machine": document::machine(),
            "build": document::build(&self.options.binary),
            "versions": self.versions,
            "options": self.options.json(),
            "void": self.void,
            "twins": self.twins.iter().map(|(name, estimate)| json!({
                "name": name,
                "median": estimate.median,
                "low": estimate.low,
                "high": estimate.high,
            })).collect::<Vec<_>>(),
            "comparisons": self.comparisons.iter().map(comparison).collect::<Vec<_>>(),
            "cells": self.cells.iter().map(Cell::json).collect::<Vec<_>>(),
        });
        file.insert(self.name.to_owned(), result);
        Ok(std::fs::write(path, serde_json::to_vec_pretty(&file)?)?)
    }
}

/// Of bytes.
pub(crate) fn megabytes(bytes: u64) -> f64 {
    count(bytes) / f64::from(1 << 20)
}

/// Three digits that mean something, or all before the point.
fn significant(value: f64) -> String {
    let digits = match value.abs() {
        magnitude if magnitude >= 100.0 => 0,
        magnitude if magnitude >= 10.0 => 1,
        magnitude if magnitude >= 1.0 => 2,
        _ => 3,
    };
    format!("{value:.digits$}")
}

/// What a program says of itself.
fn version_of(binary: &Path) -> String {
    let output = Command::new(binary).arg("--version").output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    text.unwrap_or_else(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::cell::{AGAIN, Block, Figure, LOOMGATE};

    fn options(document: Option<&Path>, unjudged: bool) -> Options {
        Options {
            binary: "target/none/loomgate".into(),
            blocks: 2,
            block_ms: 1,
            seed: 1,
            only: String::new(),
            unjudged,
            document: document.map(Path::to_owned),
            json: None,
        }
    }

    fn cell(again: f64) -> Cell {
        let mut cell = Cell::new("calls", &[LOOMGATE, AGAIN], Figure::P50);
        let datum = |value| [(Figure::P50, value)].into();
        let block = || Block([(LOOMGATE, datum(1.0)), (AGAIN, datum(again))].into());
        cell.blocks = vec![block(), block()];
        cell
    }

    #[test]
    fn a_run_whose_twins_differ_is_void_and_not_written_down() {
        let folder = tempfile::tempdir().unwrap();
        let page = folder.path().join("page.md");
        let empty = "<!-- generated: it -->\nnone\n<!-- end generated -->";
        for (again, is_void) in [(1.04, false), (1.06, true), (0.94, true)] {
            std::fs::write(&page, empty).unwrap();
            let options = options(Some(&page), false);
            let report = Report::new("it", &options, vec![cell(again)]);
            assert_eq!(report.finish(&mut Vec::new()).is_err(), is_void, "{again}");
            let written = std::fs::read_to_string(&page).unwrap();
            assert_eq!(written == empty, is_void, "{again}");
        }
        let options = options(Some(&page), true);
        let report = Report::new("it", &options, vec![cell(9.0)]);
        assert!(report.finish(&mut Vec::new()).is_ok());
    }

    #[test]
    fn each_figure_says_whether_its_goal_is_met() {
        let options = options(None, false);
        let mut report = Report::new("it", &options, Vec::new());
        report.compare("low", "ms", vec![2.0, f64::NAN], Some(Goal::AtMost(1.0)));
        report.compare("high", "", vec![2.0], Some(Goal::AtLeast(1.0)));
        report.compare("none", "", vec![f64::NAN], Some(Goal::AtLeast(1.0)));
        let text = report.text().unwrap();
        assert!(text.contains("| low | 2.00 ms (2.00 to 2.00) | at most 1 | **not met** |"));
        assert!(text.contains("| high | 2.00 (2.00 to 2.00) | at least 1 | met |"));
        assert!(!text.contains("none |"));
    }

    #[test]
    fn workloads_share_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("results.json");
        for name in ["one", "other", "one"] {
            let mut options = options(None, false);
            options.json = Some(file.clone());
            let report = Report::new(name, &options, vec![cell(1.0)]);
            report.finish(&mut Vec::new()).unwrap();
        }
        let all: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        assert_eq!(all.as_object().unwrap().len(), 2);
        assert_eq!(
            all["one"]["cells"][0]["blocks"][1]["Loomgate"]["p50_s"],
            1.0
        );
    }
}
