//! From blocks to tables, and whether the goals are met.

use std::fmt::Write as _;

use anyhow::ensure;
use loomgate_bench::{
    document,
    statistics::{Dice, Estimate, median},
};
use serde_json::{Value, json};

use super::{ARMS, Arm, call::Call, load::Load};

/// Added time at the median, as a multiple of the bare relay's.
const MOST_RATIO: f64 = 2.0;
/// Time on a processor for one call, at the most connections; microseconds.
const MOST_CPU_US: f64 = 60.0;
/// Resident memory after the load.
const MOST_RESIDENT: u64 = 30 * 1024 * 1024;
/// How far the A/A arm may be off.
const MOST_OFF: f64 = 0.05;

const MICROS: f64 = 1e6;

/// What one arm did in one block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Datum {
    /// Median of the latencies, in seconds.
    pub(crate) p50: f64,
    /// Calls in a second.
    pub(crate) per_second: f64,
    /// Time that the server spent on processors, in seconds.
    pub(crate) cpu: f64,
    pub(crate) calls: f64,
}

/// A call at a number of connections, with its blocks.
pub(crate) struct Cell {
    pub(crate) call: Call,
    pub(crate) load: Load,
    /// In the order of [`ARMS`]; what stands at the same place was measured right after another.
    /// The Portkey gateway's is empty where it was not measured.
    blocks: [Vec<Datum>; ARMS.len()],
}

/// Everything that was measured.
pub(crate) struct Report {
    pub(crate) cells: Vec<Cell>,
    pub(crate) blocks: u32,
    pub(crate) block_ms: u64,
    /// Calls through Loomgate.
    pub(crate) relayed: u64,
    /// Loomgate's resident memory before and after, and the bare relay's after; bytes.
    pub(crate) idle: u64,
    pub(crate) loaded: u64,
    pub(crate) bare: u64,
    /// The Portkey gateway's, where it was measured.
    pub(crate) portkey: Option<u64>,
}

impl Cell {
    pub(crate) fn new(call: Call, load: Load) -> Self {
        Self {
            call,
            load,
            blocks: Default::default(),
        }
    }

    /// Adds a block of each arm that was measured.
    pub(crate) fn add(&mut self, block: &[(Arm, Datum)]) {
        for (arm, datum) in block {
            self.blocks[*arm as usize].push(*datum);
        }
    }

    fn of(&self, arm: Arm) -> &[Datum] {
        &self.blocks[arm as usize]
    }

    /// What is made of both arms, block by block.
    fn pairs(&self, one: Arm, other: Arm, make: impl Fn(Datum, Datum) -> f64) -> Vec<f64> {
        let pairs = self.of(one).iter().zip(self.of(other));
        pairs.map(|(one, other)| make(*one, *other)).collect()
    }

    fn p50_us(&self, arm: Arm) -> f64 {
        let mut values: Vec<_> = self.of(arm).iter().map(|datum| datum.p50).collect();
        median(&mut values) * MICROS
    }

    /// Added time at the median, in microseconds.
    fn added_us(&self, arm: Arm, dice: &mut Dice) -> Estimate {
        let added = |through: Datum, direct: Datum| (through.p50 - direct.p50) * MICROS;
        Estimate::of(&self.pairs(arm, Arm::Direct, added), dice)
    }

    /// What Loomgate adds, as a multiple of what the bare relay adds.
    fn ratio(&self, dice: &mut Dice) -> Estimate {
        let added = |through: Datum, direct: Datum| through.p50 - direct.p50;
        let ours = self.pairs(Arm::Loomgate, Arm::Direct, added);
        let bare = self.pairs(Arm::Bare, Arm::Direct, added);
        let ratios: Vec<_> = ours
            .iter()
            .zip(bare)
            .map(|(ours, bare)| ours / bare)
            .collect();
        Estimate::of(&ratios, dice)
    }

    /// The A/A arm.
    fn again(&self, dice: &mut Dice) -> Estimate {
        let ratio = |again: Datum, first: Datum| again.p50 / first.p50;
        Estimate::of(&self.pairs(Arm::LoomgateAgain, Arm::Loomgate, ratio), dice)
    }

    /// Time on a processor for one call, in microseconds.
    fn cpu_us(&self, arm: Arm, dice: &mut Dice) -> Estimate {
        let of = |datum: &Datum| datum.cpu / datum.calls * MICROS;
        Estimate::of(&self.of(arm).iter().map(of).collect::<Vec<_>>(), dice)
    }

    /// The same of Loomgate, as a multiple of the bare relay's.
    fn cpu_ratio(&self, dice: &mut Dice) -> Estimate {
        let of = |datum: Datum| datum.cpu / datum.calls;
        let ratio = |ours, bare| of(ours) / of(bare);
        Estimate::of(&self.pairs(Arm::Loomgate, Arm::Bare, ratio), dice)
    }

    /// Of the Portkey gateway, where it was measured.
    fn of_portkey(&self, figure: impl FnOnce(Arm) -> f64, digits: usize) -> String {
        if self.of(Arm::Portkey).is_empty() {
            return "-".to_owned();
        }
        format!("{:.digits$}", figure(Arm::Portkey))
    }

    fn per_second(&self, arm: Arm) -> f64 {
        let mut values: Vec<_> = self.of(arm).iter().map(|datum| datum.per_second).collect();
        median(&mut values)
    }

    /// What its row begins with.
    pub(crate) fn name(&self) -> String {
        let Load { connections, pace } = self.load;
        let load = match (connections, pace) {
            (1, _) => "1 connection".to_owned(),
            (_, Some(pace)) => format!("{connections} connections at {pace} calls/s"),
            (_, None) => format!("{connections} connections flat out"),
        };
        format!("{}, {load}", self.call.name)
    }

    /// Whether somebody waits for a core all the time. Latencies then tell how long the queue is,
    /// times on processors what a call costs; otherwise it is the other way round, since a core
    /// that wakes up for each call has more to do.
    fn is_flat_out(&self) -> bool {
        self.load.connections > 1 && self.load.pace.is_none()
    }
}

impl Report {
    /// The tables.
    pub(crate) fn text(&self, dice: &mut Dice) -> String {
        let mut text = format!(
            "Measured on {}; {} blocks of {} ms of each arm.\n\n",
            document::machine(),
            self.blocks,
            self.block_ms
        );
        text.push_str(
            "| call | direct, p50 µs | bare relay adds, µs | Loomgate adds, µs | ratio of both \
             (95 %) | A/A | Portkey gateway adds, µs |\n\
             | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for cell in self.cells.iter().filter(|cell| !cell.is_flat_out()) {
            let (ratio, again) = (cell.ratio(dice), cell.again(dice));
            let _ = writeln!(
                text,
                "| {} | {:.0} | {:.0} | {:.0} | {:.2} ({:.2} to {:.2}) | {:.3} | {} |",
                cell.name(),
                cell.p50_us(Arm::Direct),
                cell.added_us(Arm::Bare, dice).median,
                cell.added_us(Arm::Loomgate, dice).median,
                ratio.median,
                ratio.low,
                ratio.high,
                again.median,
                cell.of_portkey(|arm| cell.added_us(arm, dice).median, 0),
            );
        }
        text.push_str(
            "\n| call | bare relay, CPU µs a call | Loomgate, CPU µs a call | ratio of both (95 %) \
             | Portkey gateway, CPU µs a call | bare relay, calls/s | Loomgate, calls/s | Portkey \
             gateway, calls/s |\n| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |\n",
        );
        for cell in self.cells.iter().filter(|cell| cell.is_flat_out()) {
            let ratio = cell.cpu_ratio(dice);
            let _ = writeln!(
                text,
                "| {} | {:.1} | {:.1} | {:.2} ({:.2} to {:.2}) | {} | {:.0} | {:.0} | {} |",
                cell.name(),
                cell.cpu_us(Arm::Bare, dice).median,
                cell.cpu_us(Arm::Loomgate, dice).median,
                ratio.median,
                ratio.low,
                ratio.high,
                cell.of_portkey(|arm| cell.cpu_us(arm, dice).median, 0),
                cell.per_second(Arm::Bare),
                cell.per_second(Arm::Loomgate),
                cell.of_portkey(|arm| cell.per_second(arm), 0),
            );
        }
        let _ = writeln!(
            text,
            "\nResident memory of Loomgate: {:.1} MB before the first call, {:.1} MB after {} \
             calls; of the bare relay: {:.1} MB{}.",
            megabytes(self.idle),
            megabytes(self.loaded),
            self.relayed,
            megabytes(self.bare),
            self.portkey.map_or_else(String::new, |bytes| {
                format!("; of the Portkey gateway: {:.0} MB", megabytes(bytes))
            }),
        );
        text
    }

    /// Error: the run is void, or a goal was missed.
    pub(crate) fn check(&self, dice: &mut Dice) -> anyhow::Result<()> {
        let mut missed = Vec::new();
        for cell in &self.cells {
            let name = cell.name();
            let again = cell.again(dice);
            ensure!(
                (again.median - 1.0).abs() <= MOST_OFF,
                "void: the A/A arm of {name} is off by more than {MOST_OFF}: {again:?}"
            );
            let ratio = cell.ratio(dice).median;
            if !cell.is_flat_out() && ratio > MOST_RATIO {
                missed.push(format!(
                    "{name}: adds {ratio:.2} times as much as the bare relay"
                ));
            }
            let cpu = cell.cpu_us(Arm::Loomgate, dice).median;
            // Of larger bodies the copies in the kernel are most.
            if cell.is_flat_out() && cell.call.bytes <= 1_024 && cpu > MOST_CPU_US {
                missed.push(format!("{name}: {cpu:.1} µs on a processor"));
            }
        }
        if self.loaded > MOST_RESIDENT {
            missed.push(format!("{:.1} MB of memory", megabytes(self.loaded)));
        }
        ensure!(
            missed.is_empty(),
            "goals that were missed: {}",
            missed.join("; ")
        );
        Ok(())
    }

    /// Every block.
    pub(crate) fn json(&self) -> Value {
        let cells: Vec<_> = self.cells.iter().map(cell_json).collect();
        json!({
            "machine": document::machine(),
            "block_ms": self.block_ms,
            "resident_bytes": {
                "idle": self.idle,
                "loaded": self.loaded,
                "bare": self.bare,
                "portkey": self.portkey,
            },
            "cells": cells,
        })
    }
}

fn cell_json(cell: &Cell) -> Value {
    let arm = |arm: Arm| {
        let block = |datum: &Datum| json!([datum.p50, datum.per_second, datum.cpu, datum.calls]);
        let blocks: Vec<_> = cell.of(arm).iter().map(block).collect();
        json!({ "arm": format!("{arm:?}"), "p50_s_per_second_cpu_s_calls": blocks })
    };
    json!({
        "call": cell.call.name,
        "connections": cell.load.connections,
        "pace": cell.load.pace,
        "arms": ARMS.map(arm),
    })
}

/// Memory is far below 2^53 bytes.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}
