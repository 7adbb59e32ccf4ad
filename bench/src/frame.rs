//! What every workload has in common: arms that take turns, ratios within a block, goals, results.
//!
//! A workload makes [`cell::Cell`]s, plays them with [`turns::take`], compares arms in a
//! [`report::Report`] and finishes that. All figures are in SI units until they are shown.
//!
//! Invariant: a ratio is made within a block, of arms that were measured right after one another.
//! Invariant: a run whose A/A arm is off is void, and never written into a document.

pub(crate) mod cell;
pub(crate) mod load;
pub(crate) mod report;
pub(crate) mod turns;

use std::{path::PathBuf, time::Duration};

use loomgate_bench::statistics::Dice;
use serde_json::{Value, json};

/// The core of the load generator and of stand-ins.
pub(crate) const LOAD_CORE: usize = 0;
/// The core of what is measured.
pub(crate) const SERVER_CORE: usize = 1;
/// An API key of whoever knows none.
pub(crate) const NO_KEY: &str = "sk-stand-in-0000000000000000000000000000";

/// What is measured, how long, and where to.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// The program to measure; a release build.
    #[arg(long, default_value = "target/release/loomgate")]
    pub(crate) binary: PathBuf,
    /// Blocks of each arm.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) blocks: u32,
    /// Length of a block, in milliseconds.
    #[arg(long, default_value_t = 250)]
    pub(crate) block_ms: u32,
    /// What the order of the blocks and the intervals are drawn from.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Only rows whose name contains this.
    #[arg(long, default_value = "")]
    pub(crate) only: String,
    /// Only see whether everything works and every answer is right: no time is judged.
    #[arg(long)]
    pub(crate) unjudged: bool,
    /// Write the tables into this document, between their markers, unless the run is void.
    #[arg(long)]
    pub(crate) document: Option<PathBuf>,
    /// Write every block into this file, beside what other workloads wrote there.
    #[arg(long)]
    pub(crate) json: Option<PathBuf>,
}

impl Options {
    /// Of a block.
    pub(crate) fn length(&self) -> Duration {
        Duration::from_millis(self.block_ms.into())
    }

    pub(crate) fn dice(&self) -> Dice {
        Dice::new(self.seed)
    }

    fn json(&self) -> Value {
        json!({
            "blocks": self.blocks,
            "block_ms": self.block_ms,
            "seed": self.seed,
            "only": self.only,
            "unjudged": self.unjudged,
        })
    }
}
