//! Relayed calls: what Loomgate adds to them, beside what a relay without logic adds.
//!
//! The arms take turns in blocks of any order: the stand-in of a provider called directly, the
//! bare relay before it, Loomgate before it, Loomgate once more, which has to give the same as
//! the first time or the run is void, and, where it was given, the Portkey gateway. The load and
//! the stand-in share one core, the relays have another; of these only one is busy at a time.

pub(crate) mod bare;
mod call;
mod load;
mod report;
mod stand_in;

use std::{
    io::Write,
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use loomgate_bench::{
    document,
    process::Process,
    statistics::{Dice, median},
};
use serde_json::{Value, json};

use self::{
    call::{CALLS, Call, Kind},
    load::{Destination, Load},
    report::{Cell, Datum, Report},
};
use crate::{
    http::{Connection, encode},
    server::Server,
    stand_in::StandIn,
};

/// The core of the load generator and the stand-in.
pub(crate) const LOAD_CORE: usize = 0;
/// The core of the relays.
const RELAY_CORE: usize = 1;
/// Connections at the same time, where there are several.
const CONNECTIONS: u32 = 16;
/// Far more than is reached: the limits are looked at in every call, and refuse none.
const LIMITS: [(&str, u64); 2] = [("requests", 1_000_000_000), ("tokens", 1_000_000_000_000)];
/// How long log records may take to be written after a block.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest that the logbook waits for more records.
const FLUSH: Duration = Duration::from_millis(220);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The program to measure; a release build.
    #[arg(long, default_value = "target/release/loomgate")]
    binary: PathBuf,
    /// Blocks of each arm, for each call and number of connections.
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(2..))]
    blocks: u32,
    /// Length of a block, in milliseconds.
    #[arg(long, default_value_t = 250)]
    block_ms: u64,
    /// What the order of the blocks and the intervals are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// What starts the Portkey gateway and prints its address: bench/peers/portkey/start.sh.
    #[arg(long)]
    portkey: Option<PathBuf>,
    /// Only rows whose name contains this: "Modify Run, 1 KB", "16 connections".
    #[arg(long, default_value = "")]
    only: String,
    /// Write the tables into this document, between its markers.
    #[arg(long)]
    document: Option<PathBuf>,
    /// Write every block into this file.
    #[arg(long)]
    json: Option<PathBuf>,
}

/// Who is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arm {
    Direct,
    Bare,
    Loomgate,
    /// The A/A arm.
    LoomgateAgain,
    /// What many use today.
    Portkey,
}

/// In the order of [`Arm`].
const ARMS: [Arm; 5] = [
    Arm::Direct,
    Arm::Bare,
    Arm::Loomgate,
    Arm::LoomgateAgain,
    Arm::Portkey,
];

/// All that is measured, running.
struct Stage {
    stand_in: StandIn,
    bare: Process,
    server: Server,
    portkey: Option<Process>,
    /// The API key with limits.
    key: String,
    /// Calls through Loomgate so far. Each leaves a log record; asking for metrics leaves none.
    relayed: u64,
}

pub(crate) async fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut stage = Stage::set(options, &folder).await?;
    let idle = stage.server.process.resident()?;
    let mut cells: Vec<_> = CALLS
        .into_iter()
        .flat_map(|call| loads(call).map(|load| Cell::new(call, load)))
        .filter(|cell| cell.name().contains(&options.only))
        .collect();
    ensure!(!cells.is_empty(), "no row is named {:?}", options.only);
    let length = Duration::from_millis(options.block_ms);
    let mut dice = Dice::new(options.seed);
    for _ in 0..options.blocks {
        let mut order: Vec<_> = (0..cells.len()).collect();
        dice.shuffle(&mut order);
        for index in order {
            let cell = &mut cells[index];
            let mut arms: Vec<_> = ARMS
                .into_iter()
                .filter(|arm| stage.plays(*arm, cell.call, cell.load))
                .collect();
            dice.shuffle(&mut arms);
            let mut block = Vec::new();
            for arm in arms {
                block.push((arm, stage.block(arm, cell.call, cell.load, length).await?));
            }
            cell.add(&block);
        }
    }
    let report = Report {
        cells,
        blocks: options.blocks,
        block_ms: options.block_ms,
        relayed: stage.relayed,
        idle,
        loaded: stage.server.process.resident()?,
        bare: stage.bare.resident()?,
        portkey: stage.portkey.as_ref().map(Process::resident).transpose()?,
    };
    let text = report.text(&mut dice);
    out.write_all(text.as_bytes())?;
    if let Some(path) = &options.json {
        std::fs::write(path, report.json().to_string())?;
    }
    if let Some(path) = &options.document {
        document::replace(path, "relay", &text)?;
    }
    report.check(&mut dice)
}

impl Stage {
    async fn set(options: &Options, folder: &tempfile::TempDir) -> anyhow::Result<Self> {
        let own = std::env::current_exe()?;
        let stand_in = stand_in::start().await?;
        let upstream = stand_in.address.to_string();
        let arguments = ["bare-relay", "--upstream", &upstream];
        let bare = Process::start(&own, &arguments, Some(RELAY_CORE)).await?;
        let config = format!(
            "[virtual_keys.stand-in]\nprovider = \"openai\"\nbase_url = \"http://{upstream}/v1\"\n\
             api_key = \"{}\"\nassistants = \"upstream\"\nrate_limits = [{}]\n",
            stand_in::KEY,
            LIMITS
                .map(|(kind, value)| format!(
                    "{{type = \"{kind}\", unit = \"rpm\", value = {value}}}"
                ))
                .join(", "),
        );
        let core = Some(RELAY_CORE);
        let server = Server::start(&options.binary, folder.path(), &config, core).await?;
        let key = limited_key(&server).await?;
        let portkey = match &options.portkey {
            Some(program) => Some(Process::start(program, &[], core).await?),
            None => None,
        };
        Ok(Self {
            stand_in,
            bare,
            server,
            portkey,
            key,
            relayed: 0,
        })
    }

    /// Whether an arm is measured with a call under a load. The pace is far beyond what the Portkey
    /// gateway reaches; and it writes the bodies of chats anew, which the stand-in refuses.
    fn plays(&self, arm: Arm, call: Call, load: Load) -> bool {
        let is_for_portkey = call.kind == Kind::ModifyRun && load.pace.is_none();
        arm != Arm::Portkey || self.portkey.is_some() && is_for_portkey
    }

    async fn block(
        &mut self,
        arm: Arm,
        call: Call,
        load: Load,
        length: Duration,
    ) -> anyhow::Result<Datum> {
        let (address, key) = match (arm, &self.portkey) {
            (Arm::Bare, _) => (self.bare.address, stand_in::KEY),
            (Arm::Loomgate | Arm::LoomgateAgain, _) => (self.server.process.address, &*self.key),
            (Arm::Portkey, Some(portkey)) => (portkey.address, stand_in::KEY),
            (Arm::Direct, _) | (Arm::Portkey, None) => (self.stand_in.address, stand_in::KEY),
        };
        let headers = match arm {
            Arm::Portkey => format!(
                "x-portkey-provider: openai\r\nx-portkey-custom-host: http://{}/v1\r\n",
                self.stand_in.address
            ),
            _ => String::new(),
        };
        let destination = Destination {
            address,
            key: key.to_owned(),
            headers,
        };
        let before = self.cpu(arm)?;
        let began = Instant::now();
        let block = load::run(&destination, call, load, length).await;
        let mut block = block.with_context(|| format!("{arm:?}, {}", call.name))?;
        let seconds = began.elapsed().as_secs_f64();
        if matches!(arm, Arm::Loomgate | Arm::LoomgateAgain) {
            self.relayed += block.calls;
            self.written().await?;
        }
        Ok(Datum {
            p50: median(&mut block.latencies),
            per_second: count(block.calls) / seconds,
            cpu: self.cpu(arm)?.saturating_sub(before).as_secs_f64(),
            calls: count(block.calls),
        })
    }

    /// Time that a relay has spent on processors; the stand-in is none.
    fn cpu(&self, arm: Arm) -> anyhow::Result<Duration> {
        match arm {
            Arm::Direct => Ok(Duration::ZERO),
            Arm::Bare => self.bare.cpu(),
            Arm::Portkey => self
                .portkey
                .as_ref()
                .map_or(Ok(Duration::ZERO), Process::cpu),
            Arm::Loomgate | Arm::LoomgateAgain => self.server.process.cpu(),
        }
    }

    /// Waits until every call has its record: writing them is part of what a block costs.
    async fn written(&self) -> anyhow::Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            tokio::time::sleep(FLUSH).await;
            let metrics = self.server.metrics().await?;
            let written = metrics.number("loomgate_log_records_written_total")?;
            let dropped = metrics.number("loomgate_log_records_dropped_total")?;
            let due = self.relayed;
            ensure!(dropped == 0, "{dropped} log records were dropped");
            if written >= due {
                return Ok(());
            }
            ensure!(Instant::now() < until, "{written} log records of {due}");
        }
    }
}

/// One call after the other, several at a pace that leaves everybody time, and all that can be had.
fn loads(call: Call) -> [Load; 3] {
    let of = |connections, pace| Load { connections, pace };
    [
        of(1, None),
        of(CONNECTIONS, Some(call.pace)),
        of(CONNECTIONS, None),
    ]
}

/// Makes an API key with limits, which is kept in the store.
async fn limited_key(server: &Server) -> anyhow::Result<String> {
    let limits = LIMITS.map(|(kind, value)| json!({"type": kind, "unit": "rpm", "value": value}));
    let body = json!({ "name": "bench", "rate_limits": limits }).to_string();
    let path = "/v1/api-keys/workspace/service";
    let request = encode("POST", path, &server.key, &body);
    let mut connection = Connection::open(server.process.address).await?;
    let made: Value = serde_json::from_slice(connection.send(&request).await?)?;
    let key = made["key"].as_str().context("no key was made")?;
    Ok(key.to_owned())
}

/// Counts here are far below 2^53.
#[expect(clippy::cast_precision_loss, reason = "see above")]
fn count(number: u64) -> f64 {
    number as f64
}
