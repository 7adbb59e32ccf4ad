//! A store in a folder of its own, an engine on it, and a model that says what it is told to.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

use futures::{FutureExt, StreamExt, future::BoxFuture};
use loomgate_domain::{
    ApiKeyId, Assistant, AssistantId, CallId, Clock, IdGen, Limits, Message, Metadata, PageRequest,
    Run, RunId, RunStep, Thread, ThreadId, Timestamp, Usage, WhenLocked, WorkspaceId,
    limit::Charge,
    message::{Content, Role},
    run::{EventId, Origin, Route, RunStatus, ToolOutput},
    tool::{Function, ResponseFormat, Tool, ToolChoice, ToolResources, Truncation, no_parameters},
};
use loomgate_engine::{
    ChatModel, Engine, ModelError, ModelTurn, Receipt, RunRequest, RunWay, Settings, Subscription,
    ThreadTarget, posted,
};
use loomgate_store::{Options, Postgres, PostgresUrl, Store};
use loomgate_testkit::postgres;
use loomgate_wire::{
    chat::{ChatEvent, ChatRequest, FinishReason},
    request::{NewMessage, RunOptions},
};
use parking_lot::Mutex;
use tokio::sync::{Notify, mpsc};

/// One model turn of the script.
pub(crate) enum Reply {
    /// These events, at once.
    Events(Vec<Result<ChatEvent, ModelError>>),
    /// Events as the test sends them.
    Live(mpsc::UnboundedReceiver<Result<ChatEvent, ModelError>>),
    /// These events, then a defect.
    PanicAfter(Vec<Result<ChatEvent, ModelError>>),
    /// No stream at all.
    Refused(ModelError),
    /// A defect.
    Panic,
}

/// Says what it is told to, and remembers what it was asked.
#[derive(Default)]
pub(crate) struct ScriptedModel {
    script: Mutex<VecDeque<Reply>>,
    requests: Mutex<Vec<ChatRequest>>,
    asked: Notify,
    /// What the engine said is written.
    pub(crate) ledger: Arc<Mutex<Vec<Usage>>>,
}

impl ScriptedModel {
    pub(crate) fn then(&self, reply: Reply) {
        self.script.lock().push_back(reply);
    }

    pub(crate) fn says(&self, words: &[&str]) {
        self.then(Reply::Events(text(words)));
    }

    /// A turn whose events the test sends one by one.
    pub(crate) fn live(&self) -> mpsc::UnboundedSender<Result<ChatEvent, ModelError>> {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.then(Reply::Live(receiver));
        sender
    }

    pub(crate) fn requests(&self) -> Vec<ChatRequest> {
        self.requests.lock().clone()
    }

    /// Waits until the model has been asked so many times.
    pub(crate) async fn asked(&self, times: usize) {
        loop {
            let asked = self.asked.notified();
            tokio::pin!(asked);
            asked.as_mut().enable();
            if self.requests.lock().len() >= times {
                return;
            }
            asked.await;
        }
    }
}

/// Charges a turn's tokens to one subject, and remembers what it was told is written.
struct CountedTurn(Arc<Mutex<Vec<Usage>>>);

impl Receipt for CountedTurn {
    fn charges(&self, usage: &Usage) -> Vec<Charge> {
        vec![Charge {
            subject: SUBJECT.into(),
            meter: "budget:tokens".into(),
            start: 0,
            amount: usage.prompt_tokens + usage.completion_tokens,
        }]
    }

    fn settled(&self, usage: &Usage) {
        self.0.lock().push(*usage);
    }
}

/// Whom all turns are charged to.
pub(crate) const SUBJECT: &str = "key:key_test";

impl ChatModel for ScriptedModel {
    fn chat<'a>(
        &'a self,
        _workspace: &'a WorkspaceId,
        _run: &'a Run,
        request: &'a ChatRequest,
    ) -> BoxFuture<'a, Result<ModelTurn, ModelError>> {
        async move {
            let reply = self.script.lock().pop_front();
            self.requests.lock().push(request.clone());
            self.asked.notify_waiters();
            let events = match reply {
                Some(Reply::Events(events)) => futures::stream::iter(events).boxed(),
                Some(Reply::PanicAfter(events)) => {
                    let defect = futures::stream::poll_fn(|_| panic!("as scripted"));
                    futures::stream::iter(events).chain(defect).boxed()
                }
                Some(Reply::Live(receiver)) => {
                    futures::stream::unfold(receiver, |mut receiver| async {
                        let event = receiver.recv().await?;
                        Some((event, receiver))
                    })
                    .boxed()
                }
                Some(Reply::Refused(error)) => return Err(error),
                Some(Reply::Panic) => panic!("as scripted"),
                None => panic!("the script is at its end"),
            };
            let ledger = Arc::clone(&self.ledger);
            Ok(ModelTurn {
                events,
                receipt: Some(Box::new(CountedTurn(ledger))),
            })
        }
        .boxed()
    }
}

pub(crate) fn usage(prompt_tokens: u64, completion_tokens: u64) -> Usage {
    Usage {
        prompt_tokens,
        completion_tokens,
        ..Usage::default()
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "it stands among events that may be errors"
)]
pub(crate) fn word(text: &str) -> Result<ChatEvent, ModelError> {
    Ok(ChatEvent::Text(text.to_owned()))
}

/// A whole turn of words: 10 tokens in, one a word out.
pub(crate) fn text(words: &[&str]) -> Vec<Result<ChatEvent, ModelError>> {
    let words_out = words.iter().map(|text| word(text));
    words_out
        .chain(end(FinishReason::Stop, words.len() as u64))
        .collect()
}

pub(crate) fn end(reason: FinishReason, completion: u64) -> [Result<ChatEvent, ModelError>; 2] {
    [
        Ok(ChatEvent::Finished(reason)),
        Ok(ChatEvent::Usage(usage(10, completion))),
    ]
}

/// A whole turn of function calls: id, name, arguments in pieces.
pub(crate) fn calls(calls: &[(&str, &str, &[&str])]) -> Vec<Result<ChatEvent, ModelError>> {
    let mut events = Vec::new();
    for (index, (id, name, arguments)) in calls.iter().enumerate() {
        events.push(Ok(ChatEvent::CallStarted {
            index,
            id: (*id).to_owned(),
            name: (*name).to_owned(),
            signature: None,
        }));
        for piece in *arguments {
            events.push(Ok(ChatEvent::CallArguments {
                index,
                text: (*piece).to_owned(),
            }));
        }
    }
    events.extend(end(FinishReason::ToolCalls, 7));
    events
}

pub(crate) fn output(id: &str, output: &str) -> ToolOutput {
    ToolOutput {
        call_id: CallId::trusted(id),
        output: output.to_owned(),
    }
}

/// The machine's clock, and by how much a test has advanced it; the engine's expiry tests need one that
/// really goes on.
#[derive(Default)]
pub(crate) struct TestClock(AtomicI64);

impl TestClock {
    pub(crate) fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now_ms(&self) -> i64 {
        #[expect(clippy::disallowed_methods, reason = "this is the tests' Clock")]
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let now_ms = i64::try_from(since.unwrap().as_millis()).unwrap();
        now_ms + self.0.load(Ordering::Relaxed)
    }
}

/// Ids that count, shared by all engines of a test.
#[derive(Default)]
pub(crate) struct CountingIds(AtomicU64);

impl IdGen for CountingIds {
    fn fill(&self, bytes: &mut [u8]) {
        let n = self.0.fetch_add(1, Ordering::Relaxed);
        // Spread over the buffer so that 24 characters differ; below 62, so that each stands for
        // another one.
        for (at, byte) in bytes.iter_mut().enumerate() {
            let shift = (at % 8) * 5;
            *byte = u8::try_from((n >> shift) & 0x1f).unwrap();
        }
    }
}

/// A store in memory or, with `LOOMGATE_TEST_DATABASE=postgres`, on PostgreSQL.
pub(crate) fn store() -> Store {
    Store::open(Bench::database()).unwrap()
}

/// Everything that a test needs.
pub(crate) struct Bench {
    pub(crate) store: Store,
    pub(crate) model: Arc<ScriptedModel>,
    pub(crate) engine: Engine,
    pub(crate) ws: WorkspaceId,
    pub(crate) thread: ThreadId,
    pub(crate) assistant: AssistantId,
    pub(crate) clock: Arc<TestClock>,
    ids: Arc<CountingIds>,
    settings: Settings,
}

impl Bench {
    pub(crate) async fn new() -> Self {
        Self::with(Limits::default()).await
    }

    pub(crate) async fn with(limits: Limits) -> Self {
        Self::on(Self::database(), limits).await
    }

    /// SQLite in memory or, with `LOOMGATE_TEST_DATABASE=postgres`, PostgreSQL.
    pub(crate) fn database() -> Options {
        if postgres::is_wanted() {
            let url = PostgresUrl::parse(postgres::Database::new().url()).unwrap();
            Options::postgres(Postgres::at(url))
        } else {
            Options::memory()
        }
    }

    pub(crate) async fn on(options: Options, limits: Limits) -> Self {
        let bench = Self::idle(options, Self::settings(limits)).await;
        bench.engine.start().await.unwrap();
        bench
    }

    /// Nothing happens by itself soon: tests do not wait for time.
    pub(crate) fn settings(limits: Limits) -> Settings {
        Settings {
            limits,
            poll: Duration::from_mins(1),
            ..Settings::default()
        }
    }

    /// One with these settings, whose engine is not started.
    pub(crate) async fn idle(options: Options, settings: Settings) -> Self {
        Self::of(Store::open(options).unwrap(), settings).await
    }

    /// The same on this store.
    pub(crate) async fn of(store: Store, settings: Settings) -> Self {
        let ws = store.workspaces().ensure("default").await.unwrap();
        let (assistant, thread) = (assistant(), thread());
        store
            .assistants()
            .insert(&ws, assistant.clone())
            .await
            .unwrap();
        store
            .threads()
            .insert(&ws, thread.clone(), Vec::new())
            .await
            .unwrap();
        let model = Arc::new(ScriptedModel::default());
        let ids = Arc::new(CountingIds::default());
        let clock = Arc::new(TestClock::default());
        let engine = engine((&store, &model), &clock, &ids, &settings);
        Self {
            store,
            model,
            engine,
            ws,
            thread: thread.id,
            assistant: assistant.id,
            clock,
            ids,
            settings,
        }
    }

    /// Another engine on the same store: the process has been started again.
    pub(crate) async fn restart(&mut self) {
        self.engine = self.another(&self.settings);
        self.engine.start().await.unwrap();
    }

    /// Another engine on the same store, as another process has. It is not started.
    pub(crate) fn another(&self, settings: &Settings) -> Engine {
        let parts = (&self.store, &self.model);
        engine(parts, &self.clock, &self.ids, settings)
    }

    /// A run's stream, opened again.
    pub(crate) async fn reopened(&self, run: &RunId, after: Option<EventId>) -> Vec<Seen> {
        self.reopened_at(&self.engine, run, after).await
    }

    /// The same, at another process.
    pub(crate) async fn reopened_at(
        &self,
        engine: &Engine,
        run: &RunId,
        after: Option<EventId>,
    ) -> Vec<Seen> {
        let opened = engine.reopen(&self.ws, &self.thread, run, after).await;
        rest(&mut opened.unwrap()).await
    }

    /// Checks that a leg of which the first stream told `seen` is told the same from every event
    /// on.
    pub(crate) async fn replays(&self, run: &RunId, seen: &[Seen]) {
        for (at, event) in seen.iter().enumerate() {
            let again = self.reopened(run, event.id).await;
            assert_eq!(again, seen[at + 1..], "after {:?}", event.id);
        }
    }

    pub(crate) fn request(&self, words: &str, options: RunOptions) -> RunRequest {
        RunRequest {
            assistant_id: self.assistant.clone(),
            thread: ThreadTarget::Existing(self.thread.clone(), vec![user(words)]),
            options,
            additional_instructions: None,
            include_results: false,
            tool_resources: ToolResources::default(),
            way: RunWay {
                route: Route::VirtualKey("scripted".to_owned()),
                sealed: None,
                origin: Origin {
                    api_key: ApiKeyId::trusted("key_test"),
                    trace_id: "trace".to_owned(),
                    span_id: None,
                    metadata: BTreeMap::new(),
                },
            },
            when_locked: WhenLocked::Fail,
            keyed: None,
        }
    }

    /// A user's message that is not in the thread yet.
    pub(crate) fn message(&self, words: &str) -> Message {
        let ids = Arc::clone(&self.ids) as Arc<dyn IdGen>;
        posted(&ids, &self.thread, Timestamp(1), user(words))
    }

    pub(crate) async fn run(&self, words: &str) -> Run {
        let request = self.request(words, options(false));
        self.engine.create_run(&self.ws, request).await.unwrap().run
    }

    pub(crate) async fn stream(&self, words: &str) -> (Run, Subscription) {
        let request = self.request(words, options(true));
        let created = self.engine.create_run(&self.ws, request).await.unwrap();
        (created.run, created.events.unwrap())
    }

    /// Hands outputs in, without a stream.
    pub(crate) async fn submit(&self, run: &RunId, outputs: Vec<ToolOutput>) -> Run {
        let engine = &self.engine;
        let submitted = engine.submit_tool_outputs(&self.ws, &self.thread, run, outputs, false);
        submitted.await.unwrap().0
    }

    pub(crate) async fn get(&self, run: &RunId) -> Run {
        let runs = self.store.runs();
        runs.get(&self.ws, &self.thread, run)
            .await
            .unwrap()
            .unwrap()
    }

    /// Waits until the run has ended, or waits for its client.
    pub(crate) async fn settled(&self, run: &RunId) -> Run {
        loop {
            let found = self.get(run).await;
            let status = found.state.status();
            if !status.is_active() || status == RunStatus::RequiresAction {
                return found;
            }
            tokio::task::yield_now().await;
        }
    }

    /// The thread's messages, oldest first.
    pub(crate) async fn messages(&self) -> Vec<Message> {
        let page = PageRequest {
            limit: 100,
            order: loomgate_domain::Order::Asc,
            ..PageRequest::default()
        };
        let messages = self.store.messages();
        let listed = messages.list(&self.ws, &self.thread, None, page).await;
        listed.unwrap().unwrap().items
    }

    /// What the assistant said, oldest first.
    pub(crate) async fn said(&self) -> Vec<String> {
        let messages = self.messages().await;
        let of_assistant = messages.iter().filter(|m| m.role == Role::Assistant);
        of_assistant
            .map(|message| words(&message.content))
            .collect()
    }

    /// The run's steps, oldest first.
    pub(crate) async fn steps(&self, run: &RunId) -> Vec<RunStep> {
        let page = PageRequest {
            limit: 100,
            order: loomgate_domain::Order::Asc,
            ..PageRequest::default()
        };
        let steps = self.store.steps();
        let listed = steps.list(&self.ws, &self.thread, run, page).await;
        listed.unwrap().unwrap().items
    }
}

fn engine(
    (store, model): (&Store, &Arc<ScriptedModel>),
    clock: &Arc<TestClock>,
    ids: &Arc<CountingIds>,
    settings: &Settings,
) -> Engine {
    Engine::new(
        store.clone(),
        Arc::clone(model) as Arc<dyn ChatModel>,
        Arc::clone(clock) as Arc<dyn Clock>,
        Arc::clone(ids) as Arc<dyn IdGen>,
        settings.clone(),
    )
}

pub(crate) fn words(content: &[Content]) -> String {
    let words = content.iter().map(|part| match part {
        Content::Text { text } => text.value.clone(),
        other => format!("{other:?}"),
    });
    words.collect()
}

pub(crate) fn user(words: &str) -> NewMessage {
    NewMessage {
        role: Role::User,
        content: vec![Content::text(words)],
        attachments: Vec::new(),
        metadata: Metadata::default(),
    }
}

pub(crate) fn options(stream: bool) -> RunOptions {
    RunOptions {
        model: None,
        reasoning_effort: None,
        instructions: None,
        tools: None,
        metadata: Metadata::default(),
        temperature: None,
        top_p: None,
        stream,
        max_prompt_tokens: None,
        max_completion_tokens: None,
        truncation: Truncation::Auto,
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls: true,
        response_format: None,
    }
}

pub(crate) fn function(name: &str) -> Tool {
    Tool::Function {
        function: Function {
            name: name.to_owned(),
            description: None,
            parameters: no_parameters(),
            strict: false,
        },
    }
}

fn assistant() -> Assistant {
    Assistant {
        id: AssistantId::trusted("asst_test"),
        created_at: Timestamp(1),
        name: None,
        description: None,
        model: "gpt-4o".to_owned(),
        instructions: Some("Be brief.".to_owned()),
        tools: vec![function("f"), function("g")],
        tool_resources: ToolResources::default(),
        metadata: Metadata::default(),
        temperature: Some(0.5),
        top_p: None,
        reasoning_effort: None,
        response_format: ResponseFormat::Auto,
    }
}

pub(crate) fn thread() -> Thread {
    Thread {
        id: ThreadId::trusted("thread_test"),
        created_at: Timestamp(1),
        metadata: Metadata::default(),
        tool_resources: ToolResources::default(),
    }
}

/// A frame of a stream, taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    /// None: not of the journal.
    pub(crate) id: Option<EventId>,
    pub(crate) name: String,
    pub(crate) data: serde_json::Value,
}

pub(crate) async fn next(events: &mut Subscription) -> Option<Seen> {
    let frame = events.next().await?;
    let frame = std::str::from_utf8(&frame).unwrap();
    let (id, frame) = match frame.strip_prefix("id: ") {
        Some(rest) => rest
            .split_once('\n')
            .map(|(id, frame)| (Some(id.parse().unwrap()), frame))
            .unwrap(),
        None => (None, frame),
    };
    let (name, data) = frame.split_once('\n').unwrap();
    let data = data.strip_prefix("data: ").unwrap().trim_end();
    Some(Seen {
        id,
        name: name.strip_prefix("event: ").unwrap().to_owned(),
        data: serde_json::from_str(data).unwrap_or_else(|_| data.into()),
    })
}

/// All that is left of a stream.
pub(crate) async fn rest(events: &mut Subscription) -> Vec<Seen> {
    let mut seen = Vec::new();
    while let Some(event) = next(events).await {
        seen.push(event);
    }
    seen
}

pub(crate) async fn until(events: &mut Subscription, name: &str) -> Seen {
    loop {
        let event = next(events).await.unwrap();
        if event.name == name {
            return event;
        }
    }
}

/// Names, runs of deltas as one with their number.
pub(crate) fn names(seen: &[Seen]) -> Vec<String> {
    let mut names: Vec<(String, usize)> = Vec::new();
    for event in seen {
        match names.last_mut() {
            Some((last, count)) if *last == event.name => *count += 1,
            _ => names.push((event.name.clone(), 1)),
        }
    }
    let name = |(name, count): (String, usize)| {
        if name.contains(".delta") {
            format!("{name} x{count}")
        } else {
            name
        }
    };
    names.into_iter().map(name).collect()
}
