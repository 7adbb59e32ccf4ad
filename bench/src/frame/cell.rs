//! What is measured under the same conditions: some arms, block by block.

use std::{
    collections::BTreeMap,
    fmt::{self, Write as _},
};

use loomgate_bench::statistics::{count, median};
use serde_json::{Map, Value, json};

/// Who does the work. Its name is what a table shows.
pub(crate) type Arm = &'static str;

/// What is measured, through HTTP, with its production defaults.
pub(crate) const LOOMGATE: Arm = "Loomgate";
/// The same once more, the A/A arm: it has to give the same.
pub(crate) const AGAIN: Arm = "Loomgate again";

/// A property that an arm has in a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Figure {
    /// Median of the latencies; seconds.
    P50,
    /// The latency that one in a hundred exceeds; seconds.
    P99,
    /// Time to the first token; median, in seconds.
    FirstToken,
    /// Calls in a second.
    PerSecond,
    /// Time on processors for a call, of the server alone; seconds.
    Cpu,
    /// Transactions that reached the disk, for a call.
    Commits,
    /// SQL statements, for a call.
    Statements,
}

impl Figure {
    const ALL: [Self; 7] = [
        Self::P50,
        Self::P99,
        Self::FirstToken,
        Self::PerSecond,
        Self::Cpu,
        Self::Commits,
        Self::Statements,
    ];

    /// Head of a column, factor from SI units, digits behind the point.
    fn shown(self) -> (&'static str, f64, usize) {
        match self {
            Self::P50 => ("p50, µs", 1e6, 0),
            Self::P99 => ("p99, µs", 1e6, 0),
            Self::FirstToken => ("first token p50, µs", 1e6, 0),
            Self::PerSecond => ("calls/s", 1.0, 0),
            Self::Cpu => ("CPU µs a call", 1e6, 1),
            Self::Commits => ("commits a call", 1.0, 3),
            Self::Statements => ("statements a call", 1.0, 1),
        }
    }

    fn key(self) -> &'static str {
        match self {
            Self::P50 => "p50_s",
            Self::P99 => "p99_s",
            Self::FirstToken => "first_token_s",
            Self::PerSecond => "per_second",
            Self::Cpu => "cpu_s",
            Self::Commits => "commits",
            Self::Statements => "statements",
        }
    }
}

/// What one arm did in one block.
pub(crate) type Datum = BTreeMap<Figure, f64>;

/// What the arms did in one block, in turns.
#[derive(Debug, Default)]
pub(crate) struct Block(pub(crate) BTreeMap<Arm, Datum>);

impl Block {
    /// Not a number where it was not measured.
    pub(crate) fn get(&self, arm: Arm, figure: Figure) -> f64 {
        let found = self.0.get(arm).and_then(|datum| datum.get(&figure));
        found.copied().unwrap_or(f64::NAN)
    }

    /// One arm as a multiple of another.
    pub(crate) fn ratio(&self, arms: [Arm; 2], figure: Figure) -> f64 {
        self.get(arms[0], figure) / self.get(arms[1], figure)
    }
}

/// Arms under the same conditions.
#[derive(Debug)]
pub(crate) struct Cell {
    /// What its rows begin with.
    pub(crate) name: String,
    pub(crate) arms: Vec<Arm>,
    /// Two arms that do the same, and the figure in which they have to agree.
    pub(crate) twins: Option<([Arm; 2], Figure)>,
    pub(crate) blocks: Vec<Block>,
}

impl Cell {
    /// Nothing is measured yet. [`LOOMGATE`] and [`AGAIN`] have to agree in this figure.
    pub(crate) fn new(name: impl Into<String>, arms: &[Arm], judged: Figure) -> Self {
        Self {
            name: name.into(),
            arms: arms.to_vec(),
            twins: Some(([AGAIN, LOOMGATE], judged)),
            blocks: Vec::new(),
        }
    }

    /// What is made of each block.
    pub(crate) fn each(&self, make: impl Fn(&Block) -> f64) -> Vec<f64> {
        self.blocks.iter().map(make).collect()
    }

    /// A row for each arm, with the medians.
    pub(crate) fn table(cells: &[Self]) -> Result<String, fmt::Error> {
        let has = |figure: &Figure| {
            let mut blocks = cells.iter().flat_map(|cell| &cell.blocks);
            blocks.any(|block| block.0.values().any(|datum| datum.contains_key(figure)))
        };
        let figures: Vec<_> = Figure::ALL.into_iter().filter(has).collect();
        let heads: Vec<_> = figures.iter().map(|figure| figure.shown().0).collect();
        let heads = heads.join(" | ");
        let lines = " ---: |".repeat(figures.len());
        let mut text = format!("| what | arm | {heads} |\n| --- | --- |{lines}\n");
        for cell in cells {
            for arm in &cell.arms {
                write!(text, "| {} | {arm} |", cell.name)?;
                for figure in &figures {
                    let (_, factor, digits) = figure.shown();
                    let mut values = cell.each(|block| block.get(arm, *figure));
                    values.retain(|value| value.is_finite());
                    if values.is_empty() {
                        text.push_str(" - |");
                    } else {
                        write!(text, " {:.digits$} |", median(&mut values) * factor)?;
                    }
                }
                text.push('\n');
            }
        }
        Ok(text)
    }

    /// Every block.
    pub(crate) fn json(&self) -> Value {
        let datum = |datum: &Datum| {
            let figures = datum.iter();
            figures
                .map(|(figure, value)| (figure.key().to_owned(), json!(value)))
                .collect::<Map<_, _>>()
        };
        let block = |block: &Block| {
            let arms = block.0.iter();
            arms.map(|(arm, figures)| ((*arm).to_owned(), datum(figures).into()))
                .collect::<Map<_, _>>()
        };
        json!({
            "name": self.name,
            "blocks": self.blocks.iter().map(block).collect::<Vec<_>>(),
        })
    }
}

/// Of a number of calls, with what they took in all.
pub(crate) fn for_a_call(whole: f64, calls: u64) -> f64 {
    whole / count(calls.max(1))
}
