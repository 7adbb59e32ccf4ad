//! Runs: a thread and a run are made, and the run is followed until it has completed and its answer was read; with a
//! model that answers at once. Beside what two commits of the raw store take, which a run can not do without.

pub(crate) mod client;

use std::io::Write;

use self::client::{Asked, Client, Form};
use crate::{
    frame::{
        Options, SERVER_CORE,
        cell::{AGAIN, Arm, Cell, Datum, Figure, LOOMGATE},
        load::{self, Caller, Load, Spent},
        report::{Goal, Report},
        turns::{self, Stage},
    },
    http::{Connection, encode},
    model::{self, Answer, Question},
    raw::RawStore,
    server::Server,
    stand_in::StandIn,
};

const RAW: Arm = "raw store";
/// The model, called directly: what the load can do.
const MODEL: Arm = "model alone";
/// Commits that a run can not do without: that it was made, and that it has ended.
pub(crate) const NEEDED: f64 = 2.0;

/// A type of run, and how many at the same time.
#[derive(Debug, Clone, Copy)]
struct Row {
    form: Form,
    /// Function calls, each with a turn of its own.
    calls: usize,
    clients: u32,
}

const ROWS: [Row; 8] = [
    Row::of(Form::Polled, 0, 1),
    Row::of(Form::Polled, 0, 16),
    Row::of(Form::Polled, 0, 64),
    Row::of(Form::Streamed, 0, 1),
    Row::of(Form::Streamed, 0, 16),
    Row::of(Form::Streamed, 0, 64),
    Row::of(Form::Polled, 2, 1),
    Row::of(Form::Polled, 2, 64),
];

impl Row {
    const fn of(form: Form, calls: usize, clients: u32) -> Self {
        Self {
            form,
            calls,
            clients,
        }
    }

    fn name(&self) -> String {
        let turns = match self.calls {
            0 => "1 turn",
            _ => "3 turns, 2 calls",
        };
        let clients = match self.clients {
            1 => "1 client".to_owned(),
            clients => format!("{clients} clients"),
        };
        format!("{}, {turns}, {clients}", self.form.words())
    }

    fn arms(&self) -> Vec<Arm> {
        let mut arms = vec![RAW, LOOMGATE, AGAIN];
        if self.clients > 16 {
            arms.push(MODEL);
        }
        arms
    }

    fn judged(&self) -> Figure {
        match self.clients {
            1 => Figure::P50,
            _ => Figure::PerSecond,
        }
    }
}

struct Bench {
    server: Server,
    model: StandIn,
    raw: RawStore,
    assistant: String,
    rows: Vec<Row>,
    asked: Asked,
    load: Load,
}

pub(crate) async fn run(options: &Options, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let model = model::start().await?;
    let core = Some(SERVER_CORE);
    let config = model::config(model.address, "");
    let server = Server::start(&options.binary, folder.path(), &config, core).await?;
    let rows = ROWS.into_iter();
    let mut bench = Bench {
        assistant: client::assistant(&server).await?,
        server,
        model,
        raw: RawStore::open(folder.path().join("raw").join("raw.db")).await?,
        rows: rows
            .filter(|row| row.name().contains(&options.only))
            .collect(),
        asked: Asked::default(),
        load: Load::flat_out(1, options.length()),
    };
    let cell = |row: &Row| Cell::new(row.name(), &row.arms(), row.judged());
    let mut cells: Vec<_> = bench.rows.iter().map(cell).collect();
    let mut dice = options.dice();
    turns::take(&mut bench, &mut cells, options, &mut dice).await?;
    let mut report = Report::new("runs", options, cells);
    for (place, row) in bench.rows.iter().enumerate() {
        compare(&mut report, place, *row);
    }
    report.finish(out)
}

fn compare(report: &mut Report<'_>, place: usize, row: Row) {
    let cell = &report.cells()[place];
    let (name, is_short) = (row.name(), row.calls == 0);
    let commits = cell.each(|block| block.get(LOOMGATE, Figure::Commits));
    let to_raw = |figure| cell.each(move |block| block.ratio([LOOMGATE, RAW], figure));
    let (what, values, goal) = if row.clients == 1 {
        let times = to_raw(Figure::P50).into_iter();
        (
            format!("{name}, p50: to 2 commits of the raw store"),
            times.map(|ratio| ratio / NEEDED).collect(),
            Goal::AtMost(1.5),
        )
    } else {
        let rates = to_raw(Figure::PerSecond).into_iter();
        (
            format!("{name}, runs/s: to half the commits/s of the raw store, grouped"),
            rates.map(|ratio| ratio * NEEDED).collect(),
            Goal::AtLeast(0.4),
        )
    };
    let load = cell.each(|block| block.ratio([MODEL, LOOMGATE], Figure::PerSecond));
    report.compare(what, "", values, is_short.then_some(goal));
    // A stream is journalled, too.
    let most = is_short && row.form == Form::Polled;
    let most = most.then_some(Goal::AtMost(3.0));
    report.compare(format!("{name}: commits a run"), "", commits, most);
    let what = format!("{name}: calls/s of the model alone, to runs/s");
    report.compare(what, "", load, Some(Goal::AtLeast(3.0)));
}

impl Stage for Bench {
    async fn block(&mut self, cell: usize, arm: Arm) -> anyhow::Result<Datum> {
        let row = self.rows[cell];
        if arm == RAW {
            return self.raw.block(row.clients, self.load).await;
        }
        let questions = self.asked.by(row.clients, row.calls);
        if arm == MODEL {
            let mut callers = Vec::new();
            for question in questions {
                callers.push(Directly {
                    connection: Connection::open(self.model.address).await?,
                    question: Question {
                        calls: 0,
                        ..question
                    },
                });
            }
            return Ok(load::run(callers, self.load).await?.datum(Spent::default()));
        }
        let mut callers = Vec::new();
        for question in questions {
            callers.push(Client::open(&self.server, &self.assistant, question, row.form).await?);
        }
        let before = self.server.spent().await?;
        let done = load::run(callers, self.load).await?;
        self.server.settle().await?;
        Ok(done.datum(self.server.spent().await?.since(before)))
    }
}

/// Asks the model itself.
struct Directly {
    connection: Connection,
    question: Question,
}

impl Caller for Directly {
    async fn call(&mut self) -> anyhow::Result<()> {
        self.question.number += 1;
        let mut answer = Answer::to(self.question);
        let request = encode("POST", "/v1/chat/completions", "", &self.question.chat());
        answer.read_chat(&mut self.connection, &request).await?;
        answer.is_whole()
    }
}
