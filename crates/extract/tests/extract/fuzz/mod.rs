//! Mutated documents of each type: each ends with a text or a clear refusal, within its limits, and a good
//! document is read after it.
//!
//! `LOOMGATE_FUZZ_SEED=7` tries one mutant alone and keeps it as a file. `LOOMGATE_FUZZ_MUTANTS` and
//! `LOOMGATE_FUZZ_FROM` say how many there are of each type, and which seed is the first.
//! `LOOMGATE_FUZZ_FIGURES` is a file that gets a line of JSON for each type (`scripts/hostile-documents.sh`).

mod bytes;
mod doc;
mod lot;
mod markup;
mod office;
mod outcome;
mod pdf;
mod text;
mod xml;

use std::{
    fs::OpenOptions,
    io::Write,
    path::Path,
    time::{Duration, Instant},
};

use loomgate_extract::{Confinement, EXTENSIONS, Extractor, Format, Limits};
use tokio::runtime::Runtime;

use crate::child::extractor_within;
use lot::Lot;
use outcome::{Outcome, Tally};

/// Mutants of each type.
const MUTANTS: u64 = 200;

/// Mutants after which a good document is read.
const BATCH: u64 = 25;

/// Bytes of the largest mutant, about.
const LARGEST: usize = 1 << 20;

/// What one mutant may take. A small document that needs more of the kernel's found something that grows.
fn confinement() -> Confinement {
    Confinement {
        memory_bytes: 256 << 20,
        cpu_seconds: 10,
        ..Confinement::default()
    }
}

/// A tenth of the limits that a server has by default, and of operators a fiftieth: tests are not optimised.
fn limits() -> Limits {
    Limits {
        output_chars: 2_000_000,
        entries: 1000,
        entry_bytes: 25 << 20,
        unpacked_bytes: 100 << 20,
        pages: 2000,
        operators: 2_000_000,
        ..Limits::default()
    }
}

/// Tests that hold mutants of one type each; those of text and code have theirs in [`text`].
macro_rules! types {
    ($($name:ident $mutants:expr;)*) => {
        /// The extensions that are tried here.
        const TRIED: &[&str] = &[$(stringify!($name)),*];

        $(#[test]
        fn $name() {
            fuzz(stringify!($name), &$mutants);
        })*
    };
}

types! {
    c text::source("c");
    cpp text::source("cpp");
    cs text::source("cs");
    css text::source("css");
    csv markup::Rows;
    doc doc::Old::new();
    docx office::Package::word();
    go text::source("go");
    html markup::Page;
    java text::source("java");
    js text::source("js");
    json markup::Values;
    md text::source("md");
    pdf pdf::Pages::new();
    php text::source("php");
    pptx office::Package::presentation();
    py text::source("py");
    rb text::source("rb");
    sh text::source("sh");
    tex text::source("tex");
    ts text::source("ts");
    txt text::source("txt");
    xlsx office::Package::workbook();
}

#[test]
fn every_type_is_tried() {
    let extensions: Vec<_> = EXTENSIONS.iter().map(|(extension, _)| *extension).collect();
    assert_eq!(TRIED, extensions);
}

/// Where mutants of a type come from.
trait Mutants {
    /// A document of the type that has a text.
    fn good(&self) -> Vec<u8>;

    fn mutant(&self, lot: &mut Lot) -> Vec<u8>;
}

/// All of a type through real children; some must survive being changed, some must not.
fn fuzz(kind: &str, mutants: &impl Mutants) {
    let one = number("SEED");
    let from = one.or(number("FROM")).unwrap_or(0);
    let count = one.map_or_else(|| number("MUTANTS").unwrap_or(MUTANTS), |_| 1);
    let children = Children::new(kind);
    let good = mutants.good();
    let expected = children.read(&good).outcome.text().unwrap();
    let mut tally = Tally::default();
    for seed in from..from + count {
        let mutant = mutants.mutant(&mut Lot::new(kind, seed));
        let read = children.read(&mutant);
        if one.is_some() || read.outcome.is_a_defect() {
            keep(&format!("mutant-{seed}.{kind}"), &mutant, &read);
        }
        tally.add(seed, read);
        if (seed + 1) % BATCH == 0 || seed + 1 == from + count {
            let text = children.read(&good).outcome.text();
            assert_eq!(text.as_ref(), Some(&expected), "after {kind}, seed {seed}");
        }
    }
    tell(&tally.figures(kind));
    let defects = tally.defects();
    assert!(
        defects.is_empty(),
        "{kind}, to be had again with LOOMGATE_FUZZ_SEED:\n{}",
        defects.join("\n")
    );
    if one.is_none() && count >= MUTANTS {
        tally.check_that_both_happened(kind);
    }
}

/// What became of a document, and what it took.
struct Read {
    outcome: Outcome,
    took: Duration,
}

/// Reads documents of one type in children, one after another: tests of other types run beside it.
struct Children {
    format: Format,
    extractor: Extractor,
    runtime: Runtime,
}

impl Children {
    fn new(kind: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        Self {
            format: Format::of_name(&format!("f.{kind}")).unwrap(),
            extractor: extractor_within(limits(), confinement()),
            runtime: runtime.unwrap(),
        }
    }

    fn read(&self, document: &[u8]) -> Read {
        let begun = Instant::now();
        let read = self
            .extractor
            .extract(self.format, document, document.len() as u64);
        let read = self.runtime.block_on(read);
        let took = begun.elapsed();
        Read {
            outcome: Outcome::of(read, self.format, document),
            took,
        }
    }
}

/// Keeps a mutant as a file, to be looked at.
#[expect(clippy::print_stderr, reason = "it is shown when the test fails")]
fn keep(name: &str, mutant: &[u8], read: &Read) {
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    std::fs::write(&file, mutant).unwrap();
    eprintln!("{}: {}", file.display(), read.outcome.message());
}

/// Adds the figures of a type to the file that is asked for.
fn tell(figures: &serde_json::Value) {
    if let Some(file) = variable("FIGURES") {
        let mut file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(file)
            .unwrap();
        writeln!(file, "{figures}").unwrap();
    }
}

fn number(name: &str) -> Option<u64> {
    variable(name).map(|value| value.parse().unwrap())
}

fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "a test has no other arguments")]
    let value = std::env::var(format!("LOOMGATE_FUZZ_{name}"));
    value.ok()
}
