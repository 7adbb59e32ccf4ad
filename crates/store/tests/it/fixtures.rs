//! Records to keep.

use loomgate_domain::{
    Assistant, AssistantId, Id, IdKind, Message, MessageId, Metadata, Run, RunId, RunStep, StepId,
    Thread, ThreadId, Timestamp, Usage, WorkspaceId,
    message::{Content, MessageStatus, Role},
    run::{Route, RunSettings, RunState, StepDetails, StepStatus},
    tool::{ResponseFormat, ToolChoice, ToolResources, Truncation},
};
use loomgate_store::{
    Claim, ClaimRequest, Guard, IfLocked, NewRun, NewRunThread, Options, RunChange, Store,
    ThreadStores,
};

/// When all records are made; runs expire 600 seconds later.
pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000);
/// The same, in the unit of leases.
pub(crate) const NOW_MS: i64 = NOW.0 * 1000;
/// How long leases are.
pub(crate) const LEASE_MS: i64 = 30_000;

pub(crate) fn id<K: IdKind>(n: u32) -> Id<K> {
    Id::trusted(format!("{}{n}", K::PREFIX))
}

pub(crate) fn ws() -> WorkspaceId {
    id(1)
}

pub(crate) fn store() -> Store {
    Store::open(Options::memory()).unwrap()
}

pub(crate) fn metadata(key: &str, value: &str) -> Metadata {
    Metadata::new([(key.to_owned(), value.to_owned())]).unwrap()
}

pub(crate) fn assistant(n: u32) -> Assistant {
    Assistant {
        id: id(n),
        created_at: NOW,
        name: Some(format!("assistant {n}")),
        description: None,
        model: "echo".into(),
        instructions: Some("Be brief. \u{1f9f5}".into()),
        tools: Vec::new(),
        tool_resources: ToolResources::default(),
        metadata: metadata("n", &n.to_string()),
        temperature: Some(0.5),
        top_p: None,
        reasoning_effort: None,
        response_format: ResponseFormat::JsonObject,
    }
}

pub(crate) fn thread(n: u32) -> Thread {
    Thread {
        id: id(n),
        created_at: NOW,
        metadata: metadata("n", &n.to_string()),
        tool_resources: ToolResources::default(),
    }
}

/// A message made through the API.
pub(crate) fn message(thread: &ThreadId, n: u32) -> Message {
    Message {
        id: id(n),
        thread_id: thread.clone(),
        created_at: NOW,
        role: Role::User,
        content: vec![Content::text(format!("text {n}"))],
        attachments: Vec::new(),
        metadata: metadata("n", &n.to_string()),
        assistant_id: None,
        run_id: None,
        status: MessageStatus::Completed { completed_at: NOW },
    }
}

/// A message that a run is writing.
pub(crate) fn draft(run: &Run, n: u32) -> Message {
    Message {
        role: Role::Assistant,
        content: Vec::new(),
        assistant_id: Some(run.assistant_id.clone()),
        run_id: Some(run.id.clone()),
        status: MessageStatus::InProgress,
        ..message(&run.thread_id, n)
    }
}

/// A queued run.
pub(crate) fn run(thread: &ThreadId, n: u32) -> Run {
    Run {
        id: id(n),
        thread_id: thread.clone(),
        assistant_id: AssistantId::trusted("asst_1"),
        created_at: NOW,
        settings: RunSettings {
            model: "echo".into(),
            instructions: String::new(),
            tools: Vec::new(),
            tool_resources: ToolResources::default(),
            temperature: None,
            top_p: Some(1.0),
            reasoning_effort: None,
            max_prompt_tokens: None,
            max_completion_tokens: Some(1000),
            truncation: Truncation::Auto,
            response_format: ResponseFormat::Auto,
            tool_choice: ToolChoice::Auto,
            parallel_tool_calls: true,
            expires_at: NOW.plus(600),
            stream: false,
            origin: None,
            include_results: false,
            vector_stores: Vec::new(),
            route: Route::VirtualKey("echo".into()),
        },
        metadata: Metadata::default(),
        state: RunState::Queued { started_at: None },
        usage: Usage::default(),
    }
}

/// A step that is being written.
pub(crate) fn step(run: &Run, n: u32) -> RunStep {
    RunStep {
        id: id(n),
        run_id: run.id.clone(),
        thread_id: run.thread_id.clone(),
        assistant_id: run.assistant_id.clone(),
        created_at: NOW,
        expires_at: run.settings.expires_at,
        status: StepStatus::InProgress,
        details: StepDetails::message(id(n)),
        usage: None,
    }
}

pub(crate) fn in_progress() -> RunState {
    RunState::InProgress {
        started_at: NOW,
        open: None,
    }
}

pub(crate) fn requires_action() -> RunState {
    RunState::RequiresAction {
        started_at: NOW,
        step: id(1),
        calls: Vec::new(),
    }
}

pub(crate) fn cancelling() -> RunState {
    RunState::Cancelling {
        started_at: None,
        open: None,
    }
}

pub(crate) fn completed() -> RunState {
    RunState::Completed {
        started_at: NOW,
        completed_at: NOW,
    }
}

/// Creates thread `n` with a queued run `n`.
pub(crate) async fn queued(store: &Store, n: u32) -> Run {
    let thread = thread(n);
    let run = run(&thread.id, n);
    let new = NewRun {
        thread: NewRunThread::New {
            thread,
            messages: Vec::new(),
        },
        run: run.clone(),
        sealed: None,
        events: None,
        at_ms: NOW_MS,
        if_locked: IfLocked::Refuse,
        stores: ThreadStores::default(),
        receipt: None,
        take: None,
    };
    store.runs().create(&ws(), new).await.unwrap().unwrap();
    run
}

/// Takes up to `max` runs, as `worker`, and begins or resumes them.
pub(crate) async fn claim(store: &Store, worker: &str, now_ms: i64, max: u32) -> Vec<Claim> {
    let request = ClaimRequest {
        worker: worker.to_owned(),
        now_ms,
        lease_ms: LEASE_MS,
        max,
    };
    let start = |row: &loomgate_store::ClaimedRow| match row.run.state {
        RunState::Cancelling { .. } => RunChange::to(row.run.state.clone()),
        _ => RunChange::to(in_progress()),
    };
    store.runs().claim(request, start).await.unwrap()
}

/// Creates run `n` and takes it as worker `w`.
pub(crate) async fn running(store: &Store, n: u32) -> Claim {
    queued(store, n).await;
    claim(store, "w", NOW_MS, 1).await.remove(0)
}

pub(crate) fn guard(claim: &Claim) -> Guard {
    Guard {
        ws: claim.ws.clone(),
        thread: claim.run.thread_id.clone(),
        run: claim.run.id.clone(),
        fence: claim.fence,
        version: claim.version,
    }
}

pub(crate) async fn get_run(store: &Store, run: &Run) -> Run {
    let found = store.runs().get(&ws(), &run.thread_id, &run.id).await;
    found.unwrap().unwrap()
}

pub(crate) fn run_ids(claims: &[Claim]) -> Vec<RunId> {
    claims.iter().map(|claim| claim.run.id.clone()).collect()
}

pub(crate) fn message_ids(messages: &[Message]) -> Vec<MessageId> {
    messages.iter().map(|message| message.id.clone()).collect()
}

pub(crate) fn step_ids(steps: &[RunStep]) -> Vec<StepId> {
    steps.iter().map(|step| step.id.clone()).collect()
}
