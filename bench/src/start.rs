//! Starting: from the start of the process to its first answer, beside a program that only listens; memory when
//! nothing is asked; size of the program.

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use loomgate_bench::process::Process;
use tempfile::TempDir;

use crate::{
    bare,
    frame::{
        NO_KEY, Options,
        cell::{Arm, Cell, Datum, Figure},
        report::{Goal, Report, megabytes},
        turns::{self, Stage},
    },
    http::{Connection, encode},
    server::Server,
};

const TRIVIAL: Arm = "bare echo";
const FRESH: Arm = "Loomgate, empty folder";
const EXISTING: Arm = "Loomgate, existing folder";
const EXISTING_AGAIN: Arm = "Loomgate, existing folder, again";
/// Nobody calls a model.
const CONFIG: &str = "[virtual_keys.echo]\nprovider = \"echo\"\n";
/// Goals: milliseconds, MB, MB.
const READY: f64 = 100.0;
const IDLE: f64 = 20.0;
const SIZE: f64 = 30.0;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// How long a server is left alone before its memory is looked at, in seconds.
    #[arg(long, default_value_t = 10)]
    idle_s: u64,
}

struct Bench {
    binary: PathBuf,
    existing: TempDir,
}

pub(crate) async fn run(arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<()> {
    let options = &arguments.options;
    let mut bench = Bench {
        binary: options.binary.clone(),
        existing: tempfile::tempdir()?,
    };
    bench.serve(&bench.existing).await?.kill().await?;
    let mut cells = [Cell {
        name: "to the first answer".to_owned(),
        arms: vec![TRIVIAL, FRESH, EXISTING, EXISTING_AGAIN],
        twins: Some(([EXISTING_AGAIN, EXISTING], Figure::P50)),
        blocks: Vec::new(),
    }];
    let mut dice = options.dice();
    turns::take(&mut bench, &mut cells, options, &mut dice).await?;

    let process = bench.serve(&bench.existing).await?;
    tokio::time::sleep(Duration::from_secs(arguments.idle_s)).await;
    let idle = process.resident()?;
    let size = std::fs::metadata(&options.binary)?.len();

    let mut report = Report::new("start", options, cells.into());
    report.block_is("one start");
    for arm in [FRESH, EXISTING, TRIVIAL] {
        let times = report.cells()[0].each(|block| block.get(arm, Figure::P50) * 1e3);
        let goal = (arm != TRIVIAL).then_some(Goal::AtMost(READY));
        report.compare(format!("{arm}: to the first answer"), "ms", times, goal);
    }
    let memory = format!("resident memory after {} s", arguments.idle_s);
    report.compare(
        memory,
        "MB",
        vec![megabytes(idle)],
        Some(Goal::AtMost(IDLE)),
    );
    let size = vec![megabytes(size)];
    report.compare("size of the program", "MB", size, Some(Goal::AtMost(SIZE)));
    report.finish(out)
}

impl Bench {
    async fn serve(&self, folder: &TempDir) -> anyhow::Result<Process> {
        let server = Server::start(&self.binary, folder.path(), CONFIG, None).await?;
        Ok(server.process)
    }
}

impl Stage for Bench {
    async fn block(&mut self, _: usize, arm: Arm) -> anyhow::Result<Datum> {
        let fresh = tempfile::tempdir()?;
        let began = Instant::now();
        let (process, path) = match arm {
            TRIVIAL => (bare::start_at(&["bare-echo"], None).await?, "/"),
            FRESH => (self.serve(&fresh).await?, "/health"),
            _ => (self.serve(&self.existing).await?, "/health"),
        };
        let mut connection = Connection::open(process.address).await?;
        let answer = connection.send(&encode("GET", path, NO_KEY, "")).await;
        answer.context("no answer after the start")?;
        let took = began.elapsed().as_secs_f64();
        process.kill().await?;
        Ok([(Figure::P50, took)].into())
    }
}
