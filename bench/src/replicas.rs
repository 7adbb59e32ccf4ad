//! PostgreSQL, with one, two and three processes on it: Modify Run, and runs that are polled and streamed; beside what
//! `pgbench` gets out of the same server with the statement of a Modify Run.

mod pgbench;

use std::{io::Write, path::PathBuf};

use futures::future::try_join_all;
use loomgate_bench::cluster::Cluster;
use tempfile::TempDir;

use self::pgbench::Pgbench;
use crate::{
    frame::{
        Options, SERVER_CORE,
        cell::{Arm, Cell, Datum, Figure},
        load::{self, Caller, Done, Load, Spent},
        report::{Goal, Report},
        turns::{self, Stage},
    },
    model,
    modify_run::{self, Modify},
    runs::{
        NEEDED,
        client::{self, Asked, Client, Form},
    },
    server::Server,
    stand_in::StandIn,
};

const PGBENCH: Arm = "pgbench";
const ONE: Arm = "1 process";
const ONE_AGAIN: Arm = "1 process, again";
const TWO: Arm = "2 processes";
const THREE: Arm = "3 processes";
/// Beside its defaults. A checkpoint would be in one arm's way alone.
const SETTINGS: &str = "shared_buffers = 256MB\nmax_wal_size = 8GB\ncheckpoint_timeout = 1h";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// The folder of PostgreSQL's programs; scripts/ensure-postgres.sh prints it.
    #[arg(long)]
    postgres_bin: PathBuf,
}

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Modify,
    Run(Form),
}

/// By how many clients.
#[derive(Debug, Clone, Copy)]
struct Row {
    what: What,
    clients: u32,
}

const ROWS: [Row; 6] = [
    Row::of(What::Modify, 1),
    Row::of(What::Modify, 64),
    Row::of(What::Run(Form::Polled), 1),
    Row::of(What::Run(Form::Polled), 64),
    Row::of(What::Run(Form::Streamed), 1),
    Row::of(What::Run(Form::Streamed), 64),
];

impl Row {
    const fn of(what: What, clients: u32) -> Self {
        Self { what, clients }
    }

    fn name(self) -> String {
        let what = match self.what {
            What::Modify => "Modify Run",
            What::Run(Form::Polled) => "polled run",
            What::Run(Form::Streamed) => "streamed run",
        };
        match self.clients {
            1 => format!("{what}, 1 client"),
            clients => format!("{what}, {clients} clients"),
        }
    }

    fn judged(self) -> Figure {
        match self.clients {
            1 => Figure::P50,
            _ => Figure::PerSecond,
        }
    }

    fn cell(self) -> Cell {
        Cell {
            twins: Some(([ONE_AGAIN, ONE], self.judged())),
            ..Cell::new(
                self.name(),
                &[PGBENCH, ONE, ONE_AGAIN, TWO, THREE],
                self.judged(),
            )
        }
    }
}

/// Processes that share a database.
struct Replicas {
    servers: Vec<Server>,
    assistant: String,
    /// Paths of runs that are modified, one for each client.
    runs: Vec<String>,
    _folder: TempDir,
}

impl Replicas {
    async fn start(
        options: &Options,
        model: &StandIn,
        database: &str,
        count: usize,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let config = model::config(model.address, &format!("database = \"{database}\"\n"));
        let mut servers = Vec::new();
        for _ in 0..count {
            let core = Some(SERVER_CORE);
            servers.push(Server::start(&options.binary, folder.path(), &config, core).await?);
        }
        let assistant = client::assistant(&servers[0]).await?;
        let mut runs = Vec::new();
        for _ in 0..ROWS.map(|row| row.clients).into_iter().max().unwrap_or(1) {
            runs.push(modify_run::prepare(&servers[0], &assistant).await?);
        }
        Ok(Self {
            servers,
            assistant,
            runs,
            _folder: folder,
        })
    }

    /// The one that a client asks.
    fn of(&self, client: u32) -> &Server {
        &self.servers[client as usize % self.servers.len()]
    }

    /// What all of them spent so far.
    async fn spent(&self) -> anyhow::Result<Spent> {
        let mut sum: Option<Spent> = None;
        for server in &self.servers {
            let spent = server.spent().await?;
            sum = Some(sum.map_or(spent, |sum| sum.and(spent)));
        }
        Ok(sum.unwrap_or_default())
    }

    /// Has the callers call.
    async fn block(&self, callers: Vec<impl Caller>, load: Load) -> anyhow::Result<(Done, Spent)> {
        let before = self.spent().await?;
        let done = load::run(callers, load).await?;
        try_join_all(self.servers.iter().map(Server::settle)).await?;
        Ok((done, self.spent().await?.since(before)))
    }
}

struct Bench {
    /// With one, two and three processes.
    sets: Vec<Replicas>,
    pgbench: Pgbench,
    cluster: Cluster,
    _model: StandIn,
    rows: Vec<Row>,
    asked: Asked,
    load: Load,
}

pub(crate) async fn run(arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<()> {
    let options = &arguments.options;
    let folder = tempfile::tempdir()?;
    let cluster = Cluster::start(
        &arguments.postgres_bin,
        folder.path(),
        SETTINGS,
        Some(SERVER_CORE),
    );
    let cluster = cluster.await?;
    let model = model::start().await?;
    let (mut sets, mut databases) = (Vec::new(), Vec::new());
    for count in 1..=3 {
        let database = cluster.database(&format!("replicas_{count}")).await?;
        sets.push(Replicas::start(options, &model, &database, count).await?);
        databases.push(database);
    }
    let mut bench = Bench {
        pgbench: Pgbench::on(&cluster, &databases[0]).await?,
        sets,
        cluster,
        _model: model,
        rows: ROWS
            .into_iter()
            .filter(|row| row.name().contains(&options.only))
            .collect(),
        asked: Asked::default(),
        load: Load::flat_out(1, options.length()),
    };
    let mut cells: Vec<_> = bench.rows.iter().map(|row| row.cell()).collect();
    let mut dice = options.dice();
    turns::take(&mut bench, &mut cells, options, &mut dice).await?;
    let mut report = Report::new("replicas", options, cells);
    for (place, row) in bench.rows.iter().enumerate() {
        compare(&mut report, place, *row);
    }
    report.finish(out)
}

fn compare(report: &mut Report<'_>, place: usize, row: Row) {
    let cell = &report.cells()[place];
    let name = row.name();
    let needed = match row.what {
        What::Modify => 1.0,
        What::Run(_) => NEEDED,
    };
    let transactions = match row.what {
        What::Modify => "a transaction",
        What::Run(_) => "2 transactions",
    };
    let to_pgbench = cell.each(|block| block.ratio([ONE, PGBENCH], row.judged()));
    let (what, to_pgbench) = match row.judged() {
        Figure::P50 => (
            format!("{name}, p50: to {transactions} of pgbench"),
            to_pgbench.into_iter().map(|it| it / needed).collect(),
        ),
        _ => (
            format!("{name}, calls/s times {needed}: to transactions/s of pgbench"),
            to_pgbench.into_iter().map(|it| it * needed).collect(),
        ),
    };
    let more = [TWO, THREE].map(|arm| {
        let ratios = cell.each(|block| block.ratio([arm, ONE], row.judged()));
        (format!("{name}: {arm}, to one"), ratios)
    });
    let commits = [ONE, THREE].map(|arm| {
        let commits = cell.each(|block| block.get(arm, Figure::Commits));
        (format!("{name}, {arm}: transactions a call"), commits)
    });
    report.compare(what, "", to_pgbench, None::<Goal>);
    for (what, ratios) in more {
        report.compare(what, "", ratios, None);
    }
    let most = (row.what != What::Modify).then_some(Goal::AtMost(4.0));
    for (what, commits) in commits {
        report.compare(what, "", commits, most);
    }
}

impl Stage for Bench {
    async fn block(&mut self, cell: usize, arm: Arm) -> anyhow::Result<Datum> {
        let row = self.rows[cell];
        let set = match arm {
            PGBENCH => {
                let seconds = self.load.length.as_secs_f64();
                return self
                    .pgbench
                    .block(&self.cluster, row.clients, seconds)
                    .await;
            }
            TWO => &self.sets[1],
            THREE => &self.sets[2],
            _ => &self.sets[0],
        };
        let (done, spent) = match row.what {
            What::Modify => {
                let mut callers = Vec::new();
                for (client, path) in (0..row.clients).zip(&set.runs) {
                    let server = set.of(client);
                    let to = (server.process.address, &*server.key);
                    callers.push(Modify::open(to, path, client).await?);
                }
                set.block(callers, self.load).await?
            }
            What::Run(form) => {
                let mut callers = Vec::new();
                for (client, question) in (0..).zip(self.asked.by(row.clients, 0)) {
                    let server = set.of(client);
                    callers.push(Client::open(server, &set.assistant, question, form).await?);
                }
                set.block(callers, self.load).await?
            }
        };
        Ok(done.datum(spent))
    }
}
