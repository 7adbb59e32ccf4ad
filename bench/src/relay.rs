//! Relayed calls: what Loomgate adds to them, beside what a relay without logic adds.
//!
//! The stand-in of a provider is called directly, through the bare relay, through Loomgate, and, where it was
//! given, through other products. Of the relays only one is busy at a time.

mod call;
mod client;
mod peers;
mod stand_in;

use std::{fmt::Write as _, io::Write, time::Duration};

use anyhow::ensure;
use loomgate_bench::process::Process;
use serde_json::json;

use self::{
    call::{CALLS, Call},
    client::{Client, Destination},
    peers::{LITELLM, PORTKEY, Peer, Scripts},
};
use crate::{
    api::{Api, text},
    bare,
    frame::{
        NO_KEY, Options, SERVER_CORE,
        cell::{AGAIN, Arm, Block, Cell, Datum, Figure, LOOMGATE},
        load::{self, Load, Spent},
        report::{Goal, Report, megabytes},
        turns::{self, Stage},
    },
    server::Server,
    stand_in::StandIn,
};

const DIRECT: Arm = "direct";
const BARE: Arm = "bare relay";
/// Connections at the same time, where there are several.
const CONNECTIONS: u32 = 16;
/// Far more than is reached: the limits are looked at in every call, and refuse none.
const LIMITS: [(&str, u64); 2] = [("requests", 1_000_000_000), ("tokens", 1_000_000_000_000)];
/// Added time at the median, as a multiple of the bare relay's; of large bodies.
const MOST_ADDED: [f64; 2] = [1.3, 1.2];
/// The same, as a multiple of the Portkey gateway's.
const MOST_OF_PORTKEY: f64 = 0.1;
/// Time on a processor for one call of at most 1 KB, flat out; microseconds. Of larger bodies the copies in the
/// kernel are most.
const MOST_CPU_US: f64 = 60.0;
/// Blocks of large bodies are so many times as long.
const LARGE_LENGTH: u32 = 2;
/// Resident memory after the load, in MB.
const MOST_RESIDENT: f64 = 30.0;
/// Before it is looked at: allocators give back after a while what nobody needs.
const REST: Duration = Duration::from_secs(5);

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    #[command(flatten)]
    scripts: Scripts,
}

/// A call, and how it is made.
#[derive(Debug, Clone, Copy)]
struct Row {
    call: Call,
    connections: u32,
    /// Calls in a second, all connections together; none: as many as there can be.
    pace: Option<u32>,
}

/// All that is measured, running.
struct Bench {
    stand_in: StandIn,
    bare: Process,
    server: Server,
    peers: Vec<Peer>,
    /// The API key with limits.
    key: String,
    /// Calls through Loomgate so far. Each leaves a log record; asking for metrics leaves none.
    relayed: u64,
    rows: Vec<Row>,
    length: Duration,
}

pub(crate) async fn run(arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<()> {
    let options = &arguments.options;
    let folder = tempfile::tempdir()?;
    let mut rows: Vec<_> = CALLS.into_iter().flat_map(Row::all).collect();
    rows.retain(|row| row.name().contains(&options.only));
    ensure!(!rows.is_empty(), "no row is named {:?}", options.only);
    let mut bench = Bench::set(arguments, &folder, rows).await?;
    let idle = bench.server.process.resident()?;
    let cell = |row: &Row| Cell::new(row.name(), &bench.arms(*row), row.judged());
    let mut cells: Vec<_> = bench.rows.iter().map(cell).collect();
    let mut dice = options.dice();
    turns::take(&mut bench, &mut cells, options, &mut dice).await?;

    tokio::time::sleep(REST).await;
    let mut report = Report::new("relay", options, cells);
    for (place, row) in bench.rows.iter().enumerate() {
        compare(&mut report, place, *row);
    }
    let resident = megabytes(bench.server.process.resident()?);
    let what = format!(
        "resident memory {} s after {} calls",
        REST.as_secs(),
        bench.relayed
    );
    report.compare(
        what,
        "MB",
        vec![resident],
        Some(Goal::AtMost(MOST_RESIDENT)),
    );
    let mut memory = format!(
        "Resident memory of Loomgate before the first call: {:.1} MB",
        megabytes(idle)
    );
    let peers = bench.peers.iter().map(|peer| (peer.arm, &peer.process));
    for (arm, process) in [(BARE, &bench.bare)].into_iter().chain(peers) {
        let resident = megabytes(process.resident()?);
        write!(memory, "; of {arm} after the last: {resident:.1} MB")?;
    }
    report.note(memory + ".");
    report.note(format!(
        "Blocks of 300 KB are {LARGE_LENGTH} times as long."
    ));
    report.finish(out)
}

/// Compares the arms of a row.
fn compare(report: &mut Report<'_>, place: usize, row: Row) {
    let cell = &report.cells()[place];
    let name = cell.name.clone();
    if row.is_flat_out() {
        let cpu = cell.each(|block| block.get(LOOMGATE, Figure::Cpu) * 1e6);
        let ratios = cell.each(|block| block.ratio([LOOMGATE, BARE], Figure::Cpu));
        let most = (row.call.bytes <= 1_024).then_some(Goal::AtMost(MOST_CPU_US));
        report.compare(format!("{name}: processor time of a call"), "µs", cpu, most);
        report.compare(format!("{name}: to the bare relay's"), "", ratios, None);
        return;
    }
    let added = |block: &Block, arm| block.get(arm, Figure::P50) - block.get(DIRECT, Figure::P50);
    let ours = cell.each(|block| added(block, LOOMGATE) * 1e6);
    let to = |arm| cell.each(|block| added(block, LOOMGATE) / added(block, arm));
    let (bare, peers) = (to(BARE), [PORTKEY, LITELLM].map(|peer| (peer, to(peer))));
    let most = MOST_ADDED[usize::from(row.call.is_large())];
    report.compare(format!("{name}: Loomgate adds at p50"), "µs", ours, None);
    report.compare(
        format!("{name}: to what the bare relay adds"),
        "",
        bare,
        Some(Goal::AtMost(most)),
    );
    for (peer, ratios) in peers {
        let what = format!("{name}: to what {peer} adds");
        let most = (peer == PORTKEY).then_some(Goal::AtMost(MOST_OF_PORTKEY));
        report.compare(what, "", ratios, most);
    }
}

impl Row {
    /// One call after the other, several at a pace that leaves everybody time, and all that can be had.
    fn all(call: Call) -> [Self; 3] {
        let of = |connections, pace| Self {
            call,
            connections,
            pace,
        };
        [
            of(1, None),
            of(CONNECTIONS, Some(call.pace)),
            of(CONNECTIONS, None),
        ]
    }

    fn name(&self) -> String {
        let Self {
            call,
            connections,
            pace,
        } = self;
        let load = match (connections, pace) {
            (1, _) => "1 connection".to_owned(),
            (_, Some(pace)) => format!("{connections} connections at {pace} calls/s"),
            (_, None) => format!("{connections} connections flat out"),
        };
        format!("{}, {load}", call.name)
    }

    /// Whether somebody waits for a core all the time. Latencies then tell how long the queue is,
    /// times on processors what a call costs; otherwise it is the other way round, since a core
    /// that wakes up for each call has more to do.
    fn is_flat_out(&self) -> bool {
        self.connections > 1 && self.pace.is_none()
    }

    fn judged(&self) -> Figure {
        if self.is_flat_out() {
            Figure::Cpu
        } else {
            Figure::P50
        }
    }
}

impl Bench {
    async fn set(
        arguments: &Arguments,
        folder: &tempfile::TempDir,
        rows: Vec<Row>,
    ) -> anyhow::Result<Self> {
        let stand_in = stand_in::start().await?;
        let upstream = stand_in.address.to_string();
        let bare = bare::start(&["bare-relay", "--upstream", &upstream]).await?;
        let limits = LIMITS
            .map(|(kind, value)| format!("{{type = \"{kind}\", unit = \"rpm\", value = {value}}}"));
        let config = format!(
            "[virtual_keys.stand-in]\nprovider = \"openai\"\nbase_url = \"http://{upstream}/v1\"\n\
             api_key = \"{NO_KEY}\"\nassistants = \"upstream\"\nrate_limits = [{}]\n",
            limits.join(", "),
        );
        let core = Some(SERVER_CORE);
        let binary = &arguments.options.binary;
        let server = Server::start(binary, folder.path(), &config, core).await?;
        let key = limited_key(&server).await?;
        Ok(Self {
            stand_in,
            bare,
            server,
            peers: Peer::start(&arguments.scripts, &upstream).await?,
            key,
            relayed: 0,
            rows,
            length: arguments.options.length(),
        })
    }

    /// Who is measured with a row. The pace is far beyond what peers reach.
    fn arms(&self, row: Row) -> Vec<Arm> {
        let peers = self.peers.iter();
        let peers = peers.filter(|peer| peer.relays(row.call) && row.pace.is_none());
        let ours = [DIRECT, BARE, LOOMGATE, AGAIN].into_iter();
        ours.chain(peers.map(|peer| peer.arm)).collect()
    }

    /// Who answers; nobody where the stand-in is called directly.
    fn process(&self, arm: Arm) -> Option<&Process> {
        match arm {
            BARE => Some(&self.bare),
            LOOMGATE | AGAIN => Some(&self.server.process),
            _ => {
                let peer = self.peers.iter().find(|peer| peer.arm == arm);
                peer.map(|peer| &peer.process)
            }
        }
    }
}

impl Stage for Bench {
    async fn block(&mut self, cell: usize, arm: Arm) -> anyhow::Result<Datum> {
        let row = self.rows[cell];
        let is_ours = matches!(arm, LOOMGATE | AGAIN);
        let process = self.process(arm);
        let upstream = self.stand_in.address.to_string();
        let (key, headers) = peers::headers(arm, row.call, &upstream);
        let destination = Destination {
            address: process.map_or(self.stand_in.address, |process| process.address),
            key: if is_ours { &*self.key } else { key }.to_owned(),
            headers,
            rewrites: peers::rewrites(arm, row.call),
        };
        let mut clients = Vec::new();
        for which in 0..row.connections {
            clients.push(Client::open(&destination, row.call, which).await?);
        }
        let load = Load {
            pace: row.pace,
            warm_up: 3,
            // Of large bodies too few would go through.
            length: self.length * if row.call.is_large() { LARGE_LENGTH } else { 1 },
            sleeps: false,
        };
        let before = process.map(Process::cpu).transpose()?;
        let done = load::run(clients, load).await?;
        if is_ours {
            self.relayed += done.calls;
            let (written, due) = (self.server.settle().await?, self.relayed);
            ensure!(written >= due, "{written} log records of {due}");
        }
        let after = self.process(arm).map(Process::cpu).transpose()?;
        let cpu = before
            .zip(after)
            .map(|(before, after)| after.saturating_sub(before));
        Ok(done.datum(Spent {
            cpu,
            ..Spent::default()
        }))
    }
}

/// Makes an API key with limits, which is kept in the store.
async fn limited_key(server: &Server) -> anyhow::Result<String> {
    let limits = LIMITS.map(|(kind, value)| json!({"type": kind, "unit": "rpm", "value": value}));
    let body = json!({ "name": "bench", "rate_limits": limits });
    let mut api = Api::of(server).await?;
    let made = api.post("/v1/api-keys/workspace/service", &body).await?;
    text(&made, "key")
}
