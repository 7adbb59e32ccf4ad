//! Creating runs, on a thread that exists or with one of their own.

use std::sync::Arc;

use futures::FutureExt as _;
use loomgate_domain::{
    Assistant, AssistantId, KeyedRequest, Receipt, Run, Thread, ThreadId, Usage, WhenLocked,
    WorkspaceId,
    id::new_id,
    receipt::Answer,
    run::{EventId, Origin, Route, RunEvent, RunSettings, RunState},
    tool::{Tool, ToolChoice, ToolResources},
};
use loomgate_store::{Kept, NewRun, NewRunThread, ThreadStores};
use loomgate_wire::{
    object,
    request::{CreateThread, NewMessage, RunOptions},
};

use crate::{
    Engine, Error, Subscription,
    command::Place,
    commands::locked::{self, Contest},
    draft::Draft,
    engine::Shared,
    entry::{self, Entry},
    making::NewThread,
    taking::Taken,
};

/// A run, as a client asks for it.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// Whose settings are copied.
    pub assistant_id: AssistantId,
    /// Where it runs.
    pub thread: ThreadTarget,
    /// What overrides the assistant's settings.
    pub options: RunOptions,
    /// Appended to the effective instructions.
    pub additional_instructions: Option<String>,
    /// Whether its streams show what searches have found word by word.
    pub include_results: bool,
    /// Resources given with the run.
    pub tool_resources: ToolResources,
    /// Which way its model calls go.
    pub way: RunWay,
    /// What becomes of it where another run locks the thread.
    pub when_locked: WhenLocked,
    /// Where it came with an idempotency key.
    pub keyed: Option<KeyedRequest>,
}

/// Which way the model calls of a new run go.
#[derive(Debug, Clone)]
pub struct RunWay {
    /// By reference.
    pub route: Route,
    /// What [`Route::Sealed`] stands for, sealed.
    pub sealed: Option<String>,
    /// On whose behalf.
    pub origin: Origin,
}

/// The thread of a new run.
#[derive(Debug, Clone)]
pub enum ThreadTarget {
    /// One that exists; these messages are added to it first.
    Existing(ThreadId, Vec<NewMessage>),
    /// One that is made along with the run.
    New(CreateThread),
}

/// A run that was created.
#[derive(Debug)]
pub struct Created {
    /// The run, `queued`.
    pub run: Run,
    /// Its events, where the request asked for a stream.
    pub events: Option<Subscription>,
}

impl Engine {
    /// Creates a run: lock check, messages and run in one transaction. A worker takes it up at
    /// once, or when the thread is free.
    pub async fn create_run(
        &self,
        workspace: &WorkspaceId,
        request: RunRequest,
    ) -> Result<Created, Error> {
        let Some(contest) = Contest::of(request.when_locked) else {
            return self.try_create_run(workspace, request).await;
        };
        let attempt = || self.try_create_run(workspace, request.clone()).boxed();
        self.when_free(workspace, contest, attempt).await
    }

    async fn try_create_run(
        &self,
        workspace: &WorkspaceId,
        request: RunRequest,
    ) -> Result<Created, Error> {
        let store = &self.shared.store;
        let assistant = store
            .assistants()
            .get(workspace, &request.assistant_id)
            .await?
            .ok_or_else(|| Error::NoAssistant(request.assistant_id.clone()))?;
        let now = self.shared.clock.now();
        let ids = &self.shared.ids;
        let stream = request.options.stream;
        let making = self.making(now);
        let (thread_id, thread, made, stores) = match request.thread {
            ThreadTarget::Existing(id, messages) => {
                let messages = making.messages(&id, messages);
                let stores = ThreadStores {
                    made: None,
                    attaching: making.attaching(&messages),
                };
                (id, NewRunThread::Existing { messages }, None, stores)
            }
            ThreadTarget::New(new) => {
                let NewThread {
                    thread,
                    messages,
                    stores,
                } = making.thread(new);
                let (id, made) = (thread.id.clone(), Some(thread.clone()));
                (id, NewRunThread::New { thread, messages }, made, stores)
            }
        };
        let expires_at = now.plus(self.shared.settings.limits.run_expiry_s);
        let metadata = request.options.metadata.clone();
        let run = Run {
            id: new_id(&**ids),
            thread_id: thread_id.clone(),
            assistant_id: request.assistant_id,
            created_at: now,
            settings: settle(
                assistant,
                request.options,
                request.additional_instructions,
                Given {
                    include_results: request.include_results,
                    tool_resources: request.tool_resources,
                    expires_at,
                    route: request.way.route,
                    origin: request.way.origin,
                },
            )?,
            metadata,
            state: RunState::Queued { started_at: None },
            usage: Usage::default(),
        };

        // There before the commit, so that nothing that the worker tells is let go of.
        let reader = stream.then(|| self.shared.bus.read(&run.id));
        let told = if stream {
            opening(made, &run)
        } else {
            Vec::new()
        };
        let new = NewRun {
            thread,
            run: run.clone(),
            sealed: request.way.sealed,
            events: entry::row(&told, FIRST),
            at_ms: self.shared.clock.now_ms(),
            if_locked: locked::if_locked(request.when_locked),
            stores,
            receipt: request.keyed.map(|keyed| receipt(keyed, &run)),
            take: None,
        };
        let keeping = keep(Arc::clone(&self.shared), workspace.clone(), new, told);
        match self.shared.see_through(keeping).await? {
            Ok(true) => {}
            Ok(false) => return Err(Error::NoThread(thread_id)),
            Err(error) => return Err(locked::refusal(error, thread_id)),
        }
        let events = reader.map(|reader| {
            let place = Place {
                ws: workspace.clone(),
                thread: thread_id,
                run: run.id.clone(),
            };
            Subscription::beginning(&self.shared, reader, place, (run.clone(), EventId::START))
        });
        Ok(Created { run, events })
    }
}

/// The id of the first event of a run.
const FIRST: EventId = EventId::START.later(1);

/// Keeps a new run, tells it, and carries it out if there is a place. Whether there is such a thread.
async fn keep(
    shared: Arc<Shared>,
    ws: WorkspaceId,
    mut new: NewRun,
    told: Vec<Entry>,
) -> Result<bool, loomgate_store::Error> {
    let run = new.run.clone();
    let id = run.id.clone();
    let taken = shared.reserve().and_then(|place| {
        let is_recorded = new.events.is_some();
        let free = Draft::new(run.clone(), Vec::new(), Vec::new(), is_recorded);
        let last = new.events.as_ref().map_or(EventId::START, |row| row.last);
        // A new run can be started; should it not, a worker says so.
        let (taken, take) = Taken::of(&shared, &free, (last, 1), run.created_at).ok()?;
        new.take = Some(take);
        Some((place, taken))
    });
    let kept = shared.store.runs().create(&ws, new).await?;
    let Some(kept) = kept else {
        return Ok(false);
    };
    if let Some(log) = shared.bus.get(&id).filter(|_| !told.is_empty()) {
        let mut of = run;
        log.extend(EventId::START, entry::slots(&told, FIRST, &mut of));
    }
    if let (Kept::Taken(guard), Some((_place, taken))) = (kept, taken) {
        taken.start(&shared, guard);
    }
    Ok(true)
}

/// What a repeat of the request is answered from.
fn receipt(keyed: KeyedRequest, run: &Run) -> Receipt {
    keyed.answered(if run.settings.stream {
        Answer::Stream {
            thread_id: run.thread_id.clone(),
            run_id: run.id.clone(),
        }
    } else {
        // Strings and numbers alone can not fail to become JSON.
        Answer::Body(serde_json::to_string(&object::Run::from(run)).unwrap_or_default())
    })
}

/// What a stream is told of a run's creation.
fn opening(made: Option<Thread>, run: &Run) -> Vec<Entry> {
    let state = |event| Entry::Run {
        event,
        state: run.state.clone(),
        usage: run.usage,
    };
    let states = [RunEvent::Created, RunEvent::Queued].map(state);
    made.map(Entry::Thread).into_iter().chain(states).collect()
}

/// What comes neither from the assistant nor from the options.
struct Given {
    include_results: bool,
    tool_resources: ToolResources,
    expires_at: loomgate_domain::Timestamp,
    route: Route,
    origin: Origin,
}

/// Copies everything that the run needs, so that later changes to the assistant leave it alone.
fn settle(
    assistant: Assistant,
    options: RunOptions,
    additional_instructions: Option<String>,
    given: Given,
) -> Result<RunSettings, Error> {
    let tools = options.tools.unwrap_or(assistant.tools);
    refuse_unsupported(&tools)?;
    refuse_unknown_choice(&options.tool_choice, &tools)?;
    let instructions = [
        options.instructions.or(assistant.instructions),
        additional_instructions,
    ];
    let instructions = instructions.into_iter().flatten();
    let stores = assistant.tool_resources.file_search;
    Ok(RunSettings {
        model: options.model.unwrap_or(assistant.model),
        instructions: instructions
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n\n"),
        tools,
        tool_resources: given.tool_resources,
        temperature: options.temperature.or(assistant.temperature),
        top_p: options.top_p.or(assistant.top_p),
        reasoning_effort: options.reasoning_effort.or(assistant.reasoning_effort),
        max_prompt_tokens: options.max_prompt_tokens,
        max_completion_tokens: options.max_completion_tokens,
        truncation: options.truncation,
        response_format: options.response_format.unwrap_or(assistant.response_format),
        tool_choice: options.tool_choice,
        parallel_tool_calls: options.parallel_tool_calls,
        expires_at: given.expires_at,
        stream: options.stream,
        include_results: given.include_results,
        vector_stores: stores.unwrap_or_default().vector_store_ids,
        route: given.route,
        origin: Some(given.origin),
    })
}

fn refuse_unsupported(tools: &[Tool]) -> Result<(), Error> {
    for tool in tools {
        match tool {
            Tool::Function { .. } | Tool::FileSearch { .. } => {}
            Tool::CodeInterpreter => return Err(Error::UnsupportedTool("code_interpreter")),
        }
    }
    Ok(())
}

fn refuse_unknown_choice(choice: &ToolChoice, tools: &[Tool]) -> Result<(), Error> {
    let named = match choice {
        ToolChoice::Required if tools.is_empty() => "required",
        ToolChoice::None | ToolChoice::Auto | ToolChoice::Required => return Ok(()),
        ToolChoice::Function(name) => name,
        ToolChoice::FileSearch => "file_search",
        ToolChoice::CodeInterpreter => "code_interpreter",
    };
    let has = tools.iter().any(|tool| match tool {
        Tool::Function { function } => *choice == ToolChoice::Function(function.name.clone()),
        Tool::FileSearch { .. } => *choice == ToolChoice::FileSearch,
        Tool::CodeInterpreter => *choice == ToolChoice::CodeInterpreter,
    });
    if has {
        Ok(())
    } else {
        Err(Error::UnknownToolChoice(named.to_owned()))
    }
}
