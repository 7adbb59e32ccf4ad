//! Pages of a long thread: its first, its 50th and its last, over HTTP and from the raw store.

use std::{io::Write, sync::Arc};

use anyhow::{Context as _, ensure};
use loomgate_domain::{MessageId, Order, PageRequest, ThreadId, WorkspaceId};
use loomgate_store::{Options as StoreOptions, Sharing, Store};
use memchr::memmem;
use serde_json::json;
use tokio::{runtime::Runtime, task::JoinSet};

use crate::{
    api::{Api, id, text},
    frame::{
        Options, SERVER_CORE,
        cell::{Arm, Cell, Datum, Figure},
        load::{self, Caller, Load, Spent},
        report::{Goal, Report},
        turns::{self, Stage},
    },
    http::{Connection, encode},
    raw,
    server::Server,
};

const CONFIG: &str = "[virtual_keys.echo]\nprovider = \"echo\"\n";
/// Messages of a page.
const LIMITS: [usize; 2] = [100, 20];
/// Connections that fill the thread.
const WRITERS: usize = 32;
/// What a deep page may cost, of the first.
const SAME: Goal = Goal::Between(0.9, 1.1);

/// Arms: of the raw store, of ours, and ours again.
const RAW: [Arm; 3] = [
    "raw store, first page",
    "raw store, 50th page",
    "raw store, last page",
];
const OURS: [Arm; 3] = [
    "Loomgate, first page",
    "Loomgate, 50th page",
    "Loomgate, last page",
];
const FIRST_AGAIN: Arm = "Loomgate, first page, again";

#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[command(flatten)]
    options: Options,
    /// Messages of each thread.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000",
        value_parser = clap::value_parser!(u32).range(5_000..))]
    messages: Vec<u32>,
}

struct Bench {
    server: Server,
    /// On the server's own database.
    store: Store,
    /// On the server's core. Taken at the end.
    runtime: Option<Runtime>,
    workspace: WorkspaceId,
    /// What the cells are about.
    rows: Vec<Row>,
    load: Load,
}

/// Pages of one size, of one thread.
struct Row {
    thread: Arc<Thread>,
    limit: usize,
}

struct Thread {
    id: String,
    /// Of all messages, oldest first.
    messages: Vec<String>,
}

pub(crate) async fn run(arguments: &Arguments, out: &mut impl Write) -> anyhow::Result<()> {
    let options = &arguments.options;
    let folder = tempfile::tempdir()?;
    let core = Some(SERVER_CORE);
    let server = Server::start(&options.binary, folder.path(), CONFIG, core).await?;
    let mut rows = Vec::new();
    for messages in &arguments.messages {
        let thread = Arc::new(fill(&server, *messages as usize).await?);
        rows.extend(LIMITS.map(|limit| Row {
            thread: Arc::clone(&thread),
            limit,
        }));
    }
    server.settle().await?;
    let store = raw::open(StoreOptions {
        sharing: Sharing::Tool,
        ..StoreOptions::file(folder.path().join("data").join("loomgate.db"))
    })?;
    let mut bench = Bench {
        workspace: store.workspaces().ensure("default").await?,
        store,
        server,
        runtime: Some(raw::runtime()?),
        rows,
        load: Load::flat_out(3, options.length()),
    };
    let cells = bench.rows.iter().map(|row| Cell {
        name: row.name(),
        arms: RAW.into_iter().chain(OURS).chain([FIRST_AGAIN]).collect(),
        twins: Some(([FIRST_AGAIN, OURS[0]], Figure::P50)),
        blocks: Vec::new(),
    });
    let mut cells: Vec<_> = cells.collect();
    let mut dice = options.dice();
    let taken = turns::take(&mut bench, &mut cells, options, &mut dice).await;
    if let Some(runtime) = bench.runtime.take() {
        // To wait for its end is not allowed here.
        runtime.shutdown_background();
    }
    taken?;
    let mut report = Report::new("paging", options, cells);
    for (place, row) in bench.rows.iter().enumerate() {
        let name = row.name();
        let ratio = |arms| report.cells()[place].each(|block| block.ratio(arms, Figure::P50));
        let deep = [ratio([OURS[1], OURS[0]]), ratio([OURS[2], OURS[0]])];
        let raw = [0, 1, 2].map(|page| ratio([OURS[page], RAW[page]]));
        for (page, ratios) in ["50th", "last"].into_iter().zip(deep) {
            let what = format!("{name}: the {page}, to the first");
            report.compare(what, "", ratios, Some(SAME));
        }
        for (page, ratios) in ["first", "50th", "last"].into_iter().zip(raw) {
            let what = format!("{name}: the {page}, to the raw store");
            report.compare(what, "", ratios, None);
        }
    }
    report.finish(out)
}

/// Makes a thread of so many messages.
async fn fill(server: &Server, messages: usize) -> anyhow::Result<Thread> {
    let mut api = Api::of(server).await?;
    let thread = id(&api.post("/v1/threads", &json!({})).await?)?;
    let path = format!("/v1/threads/{thread}/messages");
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let (mut api, path) = (Api::of(server).await?, path.clone());
        writers.spawn(async move {
            for number in (writer..messages).step_by(WRITERS) {
                let content = format!("Message {number}. It was a bright cold day in April.");
                let body = json!({"role": "user", "content": content});
                api.post(&path, &body).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(written) = writers.join_next().await {
        written??;
    }
    // The connection of the beginning has been idle for too long, perhaps.
    let mut api = Api::of(server).await?;
    let mut ids = Vec::with_capacity(messages);
    let mut after = String::new();
    loop {
        let page = api
            .get(&format!("{path}?order=asc&limit=100{after}"))
            .await?;
        let data = page["data"].as_array().context("no page")?;
        for message in data {
            ids.push(id(message)?);
        }
        if page["has_more"] != true {
            ensure!(
                ids.len() == messages,
                "{} messages of {messages}",
                ids.len()
            );
            return Ok(Thread {
                id: thread,
                messages: ids,
            });
        }
        after = format!("&after={}", text(&page, "last_id")?);
    }
}

/// A page, and what has to be on it.
#[derive(Clone)]
struct Wanted {
    limit: usize,
    /// None: the first page.
    after: Option<String>,
    first: String,
    last: String,
    has_more: bool,
}

impl Row {
    fn name(&self) -> String {
        let messages = self.thread.messages.len();
        format!("{messages} messages, pages of {}", self.limit)
    }

    /// The first page, the 50th or the last.
    fn wanted(&self, which: usize) -> anyhow::Result<Wanted> {
        let (all, limit) = (&self.thread.messages, self.limit);
        let page = [0, 49, all.len().div_ceil(limit) - 1][which];
        let begin = page * limit;
        let end = (begin + limit).min(all.len());
        let ids = all.get(begin..end).context("too short a thread")?;
        let after = begin.checked_sub(1).map(|before| all[before].clone());
        Ok(Wanted {
            limit: ids.len(),
            after,
            first: ids.first().context("an empty page")?.clone(),
            last: ids.last().context("an empty page")?.clone(),
            has_more: end < all.len(),
        })
    }
}

impl Stage for Bench {
    async fn block(&mut self, cell: usize, arm: Arm) -> anyhow::Result<Datum> {
        let row = &self.rows[cell];
        let raw = RAW.iter().position(|raw| *raw == arm);
        if let Some(which) = raw {
            let caller = Raw {
                store: self.store.clone(),
                workspace: self.workspace.clone(),
                thread: ThreadId::trusted(&*row.thread.id),
                wanted: row.wanted(which)?,
            };
            let load = Load {
                sleeps: true,
                ..self.load
            };
            let runtime = self.runtime.as_ref().context("it is over")?;
            let done = runtime.spawn(load::run(vec![caller], load)).await??;
            return Ok(done.datum(Spent::default()));
        }
        let which = OURS.iter().position(|ours| *ours == arm).unwrap_or(0);
        let wanted = row.wanted(which)?;
        let after = wanted.after.as_ref();
        let after = after.map_or_else(String::new, |id| format!("&after={id}"));
        let path = format!(
            "/v1/threads/{}/messages?order=asc&limit={}{after}",
            row.thread.id, row.limit
        );
        let caller = OverHttp {
            connection: Connection::open(self.server.process.address).await?,
            request: encode("GET", &path, &self.server.key, ""),
            wanted,
        };
        let before = self.server.spent().await?;
        let done = load::run(vec![caller], self.load).await?;
        self.server.settle().await?;
        Ok(done.datum(self.server.spent().await?.since(before)))
    }
}

struct Raw {
    store: Store,
    workspace: WorkspaceId,
    thread: ThreadId,
    wanted: Wanted,
}

impl Caller for Raw {
    async fn call(&mut self) -> anyhow::Result<()> {
        let request = PageRequest {
            limit: u32::try_from(self.wanted.limit)?,
            order: Order::Asc,
            after: self.wanted.after.as_deref().map(MessageId::trusted),
            before: None,
        };
        let messages = self.store.messages();
        let page = messages.list(&self.workspace, &self.thread, None, request);
        let page = page.await?.context("no thread")?;
        let ids = [page.items.first(), page.items.last()];
        let ids = ids.map(|message| message.map(|message| message.id.as_str()));
        let Wanted {
            limit,
            first,
            last,
            has_more,
            ..
        } = &self.wanted;
        let is_right = ids == [Some(first.as_str()), Some(last.as_str())]
            && page.items.len() == *limit
            && page.has_more == *has_more;
        ensure!(is_right, "a wrong page: {ids:?}");
        Ok(())
    }
}

struct OverHttp {
    connection: Connection,
    request: Vec<u8>,
    wanted: Wanted,
}

impl Caller for OverHttp {
    async fn call(&mut self) -> anyhow::Result<()> {
        let Wanted {
            limit,
            first,
            last,
            has_more,
            ..
        } = &self.wanted;
        let answer = self.connection.send(&self.request).await?;
        let ends = format!(r#""first_id":"{first}","last_id":"{last}","has_more":{has_more}"#);
        let messages = memmem::find_iter(answer, br#""object":"thread.message""#).count();
        ensure!(
            messages == *limit && memmem::find(answer, ends.as_bytes()).is_some(),
            "a wrong page: {}",
            String::from_utf8_lossy(answer)
        );
        Ok(())
    }
}
