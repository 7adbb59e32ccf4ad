//! Modify Run: over HTTP, beside an echo over HTTP and the raw store doing the same transaction.

use std::{io::Write, net::SocketAddr, time::Duration};

use anyhow::ensure;
use loomgate_bench::process::Process;

use crate::{
    api::{Api, id, text},
    bare,
    frame::{
        NO_KEY, Options, SERVER_CORE,
        cell::{AGAIN, Arm, Cell, Datum, Figure, LOOMGATE},
        load::{self, Caller, Load, Spent},
        report::{Goal, Report},
        turns::{self, Stage},
    },
    http::{Connection, encode},
    model::Question,
    raw::RawStore,
    runs::client,
    server::Server,
};

/// Runs that are modified are made with the built-in model.
const CONFIG: &str = "default_virtual_key = \"echo\"\n[virtual_keys.echo]\nprovider = \"echo\"\n";
const ECHO: Arm = "bare echo";
const RAW: Arm = "raw store";
/// Clients at the same time.
const CLIENTS: [u32; 3] = [1, 8, 64];
/// A commit may cost this much of a raw one.
const OF_RAW: f64 = 1.3;

struct Bench {
    server: Server,
    echo: Process,
    raw: RawStore,
    /// Of the run.
    path: String,
    load: Load,
}

pub(crate) async fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let core = Some(SERVER_CORE);
    let server = Server::start(&options.binary, folder.path(), CONFIG, core).await?;
    let mut bench = Bench {
        path: prepare(&server, &client::assistant(&server).await?).await?,
        server,
        echo: bare::start(&["bare-echo"]).await?,
        raw: RawStore::open(folder.path().join("raw").join("raw.db")).await?,
        load: Load::flat_out(3, options.length()),
    };
    let mut cells = CLIENTS.map(|clients| {
        let judged = match clients {
            1 => Figure::P50,
            _ => Figure::PerSecond,
        };
        let name = match clients {
            1 => "1 client".to_owned(),
            _ => format!("{clients} clients"),
        };
        Cell::new(name, &[ECHO, RAW, LOOMGATE, AGAIN], judged)
    });
    let mut dice = options.dice();
    turns::take(&mut bench, &mut cells, options, &mut dice).await?;
    compare(Report::new("modify-run", options, cells.into())).finish(out)
}

fn compare(mut report: Report<'_>) -> Report<'_> {
    let of_limit = report.cells()[0].each(|block| {
        let p50 = |arm| block.get(arm, Figure::P50);
        p50(LOOMGATE) / (p50(ECHO) + OF_RAW * p50(RAW))
    });
    report.compare(
        format!("1 client, p50: to that of the echo and {OF_RAW} times that of the raw store"),
        "",
        of_limit,
        Some(Goal::AtMost(1.0)),
    );
    for (place, goal) in [(1, None), (2, Some(Goal::AtLeast(0.5)))] {
        let ratios =
            report.cells()[place].each(|block| block.ratio([LOOMGATE, RAW], Figure::PerSecond));
        let what = format!("{}, calls/s: to the raw store", report.cells()[place].name);
        report.compare(what, "", ratios, goal);
    }
    let commits = report.cells()[2].each(|block| block.get(LOOMGATE, Figure::Commits));
    let most = Some(Goal::AtMost(0.1));
    report.compare("64 clients: commits a call", "", commits, most);
    report
}

impl Stage for Bench {
    async fn block(&mut self, cell: usize, arm: Arm) -> anyhow::Result<Datum> {
        let clients = CLIENTS[cell];
        if arm == RAW {
            return self.raw.block(clients, self.load).await;
        }
        let process = if arm == ECHO {
            &self.echo
        } else {
            &self.server.process
        };
        let key = if arm == ECHO {
            NO_KEY
        } else {
            &self.server.key
        };
        let mut callers = Vec::new();
        for client in 0..clients {
            let to = (process.address, key);
            callers.push(Modify::open(to, &self.path, client).await?);
        }
        if arm == ECHO {
            let before = process.cpu()?;
            let done = load::run(callers, self.load).await?;
            return Ok(done.datum(Spent::cpu(process.cpu()?.saturating_sub(before))));
        }
        let before = self.server.spent().await?;
        let done = load::run(callers, self.load).await?;
        self.server.settle().await?;
        Ok(done.datum(self.server.spent().await?.since(before)))
    }
}

/// Makes a run that will have ended soon, and returns the path to modify it.
pub(crate) async fn prepare(server: &Server, assistant: &str) -> anyhow::Result<String> {
    let question = Question {
        number: 0,
        calls: 0,
        tokens: 1,
        gap: Duration::ZERO,
    };
    let body = client::body(assistant, question, false);
    let run = Api::of(server)
        .await?
        .post("/v1/threads/runs", &body)
        .await?;
    let (thread, run) = (text(&run, "thread_id")?, id(&run)?);
    Ok(format!("/v1/threads/{thread}/runs/{run}"))
}

/// One client, on a connection of its own.
pub(crate) struct Modify {
    connection: Connection,
    path: String,
    key: String,
    client: u32,
    number: u64,
}

impl Modify {
    /// Who is told its key, what it modifies, and which client it is.
    pub(crate) async fn open(
        (address, key): (SocketAddr, &str),
        path: &str,
        client: u32,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            connection: Connection::open(address).await?,
            path: path.to_owned(),
            key: key.to_owned(),
            client,
            number: 0,
        })
    }
}

impl Caller for Modify {
    async fn call(&mut self) -> anyhow::Result<()> {
        self.number += 1;
        let (client, number) = (self.client, self.number);
        let pairs = format!(r#""client":"{client}","n":"{number}""#);
        let body = format!(r#"{{"metadata":{{{pairs}}}}}"#);
        let request = encode("POST", &self.path, &self.key, &body);
        let answer = self.connection.send(&request).await?;
        let right = memchr::memmem::find(answer, pairs.as_bytes()).is_some();
        ensure!(right, "a wrong answer: {}", String::from_utf8_lossy(answer));
        Ok(())
    }
}
