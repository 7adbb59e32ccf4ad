//! The run engine in a world that follows from one number: who works when, what is committed, what the
//! model says, what clients ask for, who is killed, and how time passes. What has to hold is checked after
//! each commit, and in the end. See `docs/reliability.md`, "Simulation".
//!
//! `LOOMGATE_SIM_SEED=7` and the test `replay` show everything that seed 7 does. `LOOMGATE_SIM_SEEDS`
//! and `LOOMGATE_SIM_FROM` say how many seeds are run, and which is the first.

#![expect(clippy::unwrap_used, reason = "a failing test says where")]

mod check;
mod choose;
mod client;
mod history;
mod model;
mod observer;
mod process;
mod random;
mod settle;
mod trace;
mod trouble;
mod world;

use crate::{trace::Trace, world::World};

/// How many seeds are run, unless somebody says so.
const SEEDS: u64 = 2000;

/// Among how many tests they are divided.
const PARTS: u64 = 8;

/// Runs a seed. Returns what happened, and what must not have happened.
fn simulate(seed: u64) -> (Trace, Option<String>) {
    let mut world = World::new(seed);
    let broken = world.run().err();
    let report = broken.map(|violation| {
        format!(
            "{}\nseed {seed} breaks a rule in step {}\n{violation}",
            world.trace.tail(),
            world.trace.step
        )
    });
    (world.trace, report)
}

/// Runs one part of the seeds.
fn part(part: u64) {
    let (from, seeds) = (
        number("FROM").unwrap_or(0),
        number("SEEDS").unwrap_or(SEEDS),
    );
    for seed in (from..from + seeds).filter(|seed| seed % PARTS == part) {
        let (_, report) = simulate(seed);
        assert!(report.is_none(), "{}", report.unwrap_or_default());
    }
}

fn number(name: &str) -> Option<u64> {
    #[expect(clippy::disallowed_methods, reason = "a test has no other arguments")]
    let value = std::env::var(format!("LOOMGATE_SIM_{name}"));
    value.ok().map(|value| value.parse().unwrap())
}

macro_rules! parts {
    ($($name:ident $part:literal)*) => {
        $(#[test]
        fn $name() {
            part($part);
        })*
    };
}

parts! {
    seeds_0 0 seeds_1 1 seeds_2 2 seeds_3 3 seeds_4 4 seeds_5 5 seeds_6 6 seeds_7 7
}

/// The same seed does the same.
#[test]
fn replay() {
    let wanted = number("SEED");
    let seeds = wanted.map_or(0..25, |seed| seed..seed + 1);
    for seed in seeds {
        let (first, report) = simulate(seed);
        if wanted.is_some() {
            println!("{}", first.lines.join("\n"));
        }
        let (second, _) = simulate(seed);
        let parted = first.lines.iter().zip(&second.lines).find(|(a, b)| a != b);
        assert_eq!(parted, None, "seed {seed}");
        assert_eq!(first.lines.len(), second.lines.len(), "seed {seed}");
        assert!(report.is_none(), "{}", report.unwrap_or_default());
    }
}
