//! The store without anything around it, on the core that the server has, its callers included: what a commit
//! costs, alone and in a group with others.

use std::path::PathBuf;

use anyhow::{Context as _, ensure};
use loomgate_bench::process;
use loomgate_domain::{
    AssistantId, Metadata, Run, RunId, Thread, ThreadId, Timestamp, Usage, WorkspaceId,
    run::{Route, RunSettings, RunState},
    tool::{ResponseFormat, ToolChoice, ToolResources, Truncation},
};
use loomgate_store::{IfLocked, NewRun, NewRunThread, Options, Store, ThreadStores};
use tokio::runtime::{self, Runtime};

use crate::frame::{
    SERVER_CORE,
    cell::Datum,
    load::{self, Caller, Load, Spent},
};

/// A store with one run.
pub(crate) struct RawStore {
    /// On the server's core. Taken when it is dropped.
    runtime: Option<Runtime>,
    store: Store,
    workspace: WorkspaceId,
    thread: ThreadId,
    run: RunId,
}

/// Does something whose threads get the server's core.
fn there<T: Send + 'static>(
    make: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    let thread = std::thread::spawn(move || {
        process::keep_to(SERVER_CORE)?;
        make()
    });
    thread.join().ok().context("it panicked")?
}

/// A runtime with one thread, on the server's core.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    there(|| {
        let mut builder = runtime::Builder::new_multi_thread();
        Ok(builder.worker_threads(1).enable_all().build()?)
    })
}

/// Opens a store whose threads have the server's core.
pub(crate) fn open(options: Options) -> anyhow::Result<Store> {
    there(move || Ok(Store::open(options)?))
}

impl Drop for RawStore {
    fn drop(&mut self) {
        // To wait for its end is not allowed here.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl RawStore {
    pub(crate) async fn open(path: PathBuf) -> anyhow::Result<Self> {
        let store = open(Options::file(path))?;
        let workspace = store.workspaces().ensure("default").await?;
        let (thread, run) = (ThreadId::trusted("thread_raw"), RunId::trusted("run_raw"));
        let new = NewRun {
            thread: NewRunThread::New {
                thread: Thread {
                    id: thread.clone(),
                    created_at: Timestamp(0),
                    metadata: Metadata::default(),
                    tool_resources: ToolResources::default(),
                },
                messages: Vec::new(),
            },
            run: record(thread.clone(), run.clone()),
            sealed: None,
            events: None,
            at_ms: 0,
            if_locked: IfLocked::Refuse,
            stores: ThreadStores::default(),
            receipt: None,
            take: None,
        };
        store.runs().create(&workspace, new).await?;
        Ok(Self {
            runtime: Some(runtime()?),
            store,
            workspace,
            thread,
            run,
        })
    }

    /// Changes the run's metadata again and again, by so many clients: an UPDATE that is prepared once, and what the
    /// writer commits with it.
    pub(crate) async fn block(&self, clients: u32, load: Load) -> anyhow::Result<Datum> {
        let before = self.store.stats().commits;
        let load = Load {
            sleeps: true,
            ..load
        };
        let callers = (0..clients).map(|client| Update {
            store: self.store.clone(),
            workspace: self.workspace.clone(),
            thread: self.thread.clone(),
            run: self.run.clone(),
            client,
            number: 0,
        });
        let callers = callers.collect();
        let runtime = self.runtime.as_ref().context("it was dropped")?;
        let done = runtime.spawn(load::run::<Update>(callers, load)).await??;
        Ok(done.datum(Spent {
            commits: Some(self.store.stats().commits - before),
            ..Spent::default()
        }))
    }
}

/// One client.
struct Update {
    store: Store,
    workspace: WorkspaceId,
    thread: ThreadId,
    run: RunId,
    client: u32,
    number: u64,
}

impl Caller for Update {
    async fn call(&mut self) -> anyhow::Result<()> {
        self.number += 1;
        let pairs = [
            ("client".to_owned(), self.client.to_string()),
            ("n".to_owned(), self.number.to_string()),
        ];
        let metadata = Metadata::new(pairs)?;
        let runs = self.store.runs();
        let changed = runs.set_metadata(&self.workspace, &self.thread, &self.run, metadata.clone());
        let changed = changed.await?.context("no run")?;
        ensure!(changed.metadata == metadata, "a wrong answer");
        Ok(())
    }
}

fn record(thread_id: ThreadId, id: RunId) -> Run {
    Run {
        id,
        thread_id,
        assistant_id: AssistantId::trusted("asst_raw"),
        created_at: Timestamp(0),
        settings: RunSettings {
            model: "echo".to_owned(),
            instructions: String::new(),
            tools: Vec::new(),
            tool_resources: ToolResources::default(),
            temperature: None,
            top_p: None,
            reasoning_effort: None,
            max_prompt_tokens: None,
            max_completion_tokens: None,
            truncation: Truncation::Auto,
            response_format: ResponseFormat::Auto,
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            expires_at: Timestamp(600),
            stream: false,
            include_results: false,
            vector_stores: Vec::new(),
            route: Route::VirtualKey("echo".to_owned()),
            origin: None,
        },
        metadata: Metadata::default(),
        state: RunState::Completed {
            started_at: Timestamp(0),
            completed_at: Timestamp(0),
        },
        usage: Usage::default(),
    }
}
