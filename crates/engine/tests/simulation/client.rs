//! How a process carries a client's request out: as the server does, without HTTP.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use loomgate_domain::{
    ApiKeyId, Assistant, AssistantId, Clock as _, IdGen, Metadata, Order, PageRequest, Run, RunId,
    Thread, ThreadId, Timestamp, WhenLocked, WorkspaceId,
    message::{Content, Role},
    run::{Origin, Route, ToolOutput},
    tool::{Function, ResponseFormat, Tool, ToolChoice, ToolResources, Truncation, no_parameters},
};
use loomgate_engine::{
    Action, Engine, Error, RunRequest, RunWay, Subscription, ThreadTarget, posted,
};
use loomgate_store::Store;
use loomgate_wire::request::{CreateThread, NewMessage, RunOptions};
use parking_lot::Mutex;

use crate::{
    history::{Answer, Frame, From, Heard, What},
    process::VirtualClock,
};

/// Where a run's origin says what its request wanted if the thread was locked.
const WHEN_LOCKED: &str = "when_locked";

/// Everybody's workspace.
pub(crate) fn workspace() -> WorkspaceId {
    WorkspaceId::trusted("ws_1")
}

/// What a process answers, and the stream that it tells.
pub(crate) struct Report {
    pub(crate) op: usize,
    pub(crate) answer: Answer,
    pub(crate) stream: Option<(Run, From, Arc<Mutex<Heard>>)>,
}

/// A request that a process carries out.
pub(crate) struct Request {
    pub(crate) op: usize,
    pub(crate) what: What,
    pub(crate) engine: Engine,
    pub(crate) store: Store,
    pub(crate) ids: Arc<dyn IdGen>,
    pub(crate) clock: Arc<VirtualClock>,
    /// How long its client takes for each event of a stream.
    pub(crate) pause: Duration,
    pub(crate) reports: Arc<Mutex<Vec<Report>>>,
}

type Performed = Result<(Answer, Option<(Run, From, Subscription)>), Error>;

impl Request {
    /// Carries it out, reports, and reads the stream if there is one.
    pub(crate) async fn serve(self) {
        let (answer, events) = match self.perform().await {
            Ok(performed) => performed,
            Err(error) => (refusal(&error), None),
        };
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let (stream, events) = match events {
            Some((run, from, events)) => (Some((run, from, Arc::clone(&heard))), Some(events)),
            None => (None, None),
        };
        self.reports.lock().push(Report {
            op: self.op,
            answer,
            stream,
        });
        let Some(mut events) = events else { return };
        while let Some(frame) = events.next().await {
            heard.lock().frames.push(Frame::read(&frame));
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
        }
        heard.lock().end = Some(events.is_done());
    }

    async fn perform(&self) -> Performed {
        let (engine, store, ws) = (&self.engine, &self.store, &workspace());
        match self.what.clone() {
            What::CreateThread { thread, texts } => {
                let messages = texts.into_iter().map(|text| self.message(&thread, text));
                let first = messages.collect();
                store.threads().insert(ws, record(thread), first).await?;
                Ok((Answer::Done, None))
            }
            What::PostMessage { thread, text, when } => {
                let message = self.message(&thread, text);
                engine.add_message(ws, message, when, None).await?;
                Ok((Answer::Done, None))
            }
            What::CreateRun {
                thread,
                texts,
                stream,
                parallel,
                when,
            } => {
                let request = self.run(thread, texts, (stream, parallel), when);
                let created = engine.create_run(ws, request).await?;
                let run = created.run;
                let events = created.events.map(|it| (run.clone(), From::Creation, it));
                Ok((Answer::Run(Box::new(run)), events))
            }
            What::ModifyRun { thread, run } => {
                let metadata = self.metadata();
                let set = store
                    .runs()
                    .set_metadata(ws, &thread, &run, metadata)
                    .await?;
                Ok((found(set), None))
            }
            What::ModifyMessage { thread, message } => {
                let messages = store.messages();
                let set = messages.set_metadata(ws, &thread, &message, self.metadata());
                let set = set.await?;
                Ok((set.map_or(Answer::Missing, |_| Answer::Done), None))
            }
            What::Submit {
                thread,
                run,
                outputs,
                stream,
            } => {
                let outputs = outputs
                    .into_iter()
                    .map(|(call_id, output)| ToolOutput { call_id, output });
                let submitted =
                    engine.submit_tool_outputs(ws, &thread, &run, outputs.collect(), stream);
                let (run, events) = submitted.await?;
                let events = events.map(|it| (run.clone(), From::Leg, it));
                Ok((Answer::Run(Box::new(run)), events))
            }
            What::Cancel { thread, run } => {
                let run = engine.cancel(ws, &thread, &run).await?;
                Ok((Answer::Run(Box::new(run)), None))
            }
            What::DeleteThread { thread } => {
                let deleted = engine.delete_thread(ws, &thread).await?;
                Ok((Answer::Deleted(deleted), None))
            }
            What::Reopen { thread, run, after } => {
                let events = engine.reopen(ws, &thread, &run, after).await?;
                let Some(run) = store.runs().get(ws, &thread, &run).await? else {
                    return Ok((Answer::Missing, None));
                };
                let from = after.map_or(From::Leg, From::After);
                Ok((Answer::Done, Some((run, from, events))))
            }
            What::Get { thread, run } => {
                Ok((found(store.runs().get(ws, &thread, &run).await?), None))
            }
            What::List { thread } => {
                let messages = store.messages();
                let listed = messages.list(ws, &thread, None, everything()).await?;
                let texts = listed.map(|page| {
                    let texts = page.items.iter().map(|message| words(&message.content));
                    texts.collect()
                });
                Ok((texts.map_or(Answer::Missing, Answer::Texts), None))
            }
        }
    }

    fn message(&self, thread: &ThreadId, text: String) -> loomgate_domain::Message {
        posted(&self.ids, thread, self.clock.now(), user(text))
    }

    fn metadata(&self) -> Metadata {
        Metadata::new([("op".to_owned(), self.op.to_string())]).unwrap()
    }

    fn run(
        &self,
        thread: Option<ThreadId>,
        texts: Vec<String>,
        (stream, parallel): (bool, bool),
        when_locked: WhenLocked,
    ) -> RunRequest {
        let messages = texts.into_iter().map(user).collect();
        let thread = match thread {
            Some(thread) => ThreadTarget::Existing(thread, messages),
            None => ThreadTarget::New(CreateThread {
                vector_store: None,
                messages,
                tool_resources: ToolResources::default(),
                metadata: Metadata::default(),
            }),
        };
        RunRequest {
            assistant_id: assistant().id,
            thread,
            options: options(stream, parallel, self.metadata()),
            additional_instructions: None,
            include_results: false,
            tool_resources: ToolResources::default(),
            way: RunWay {
                route: Route::VirtualKey("simulated".to_owned()),
                sealed: None,
                origin: Origin {
                    api_key: ApiKeyId::trusted("key_1"),
                    trace_id: self.op.to_string(),
                    span_id: None,
                    metadata: BTreeMap::from([(WHEN_LOCKED.to_owned(), when_locked.to_string())]),
                },
            },
            when_locked,
            keyed: None,
        }
    }
}

fn found(run: Option<Run>) -> Answer {
    run.map_or(Answer::Missing, |run| Answer::Run(Box::new(run)))
}

fn refusal(error: &Error) -> Answer {
    match error {
        Error::NoThread(_) | Error::NoRun(_) => Answer::Missing,
        Error::Store(loomgate_store::Error::ActiveRun { .. }) | Error::ThreadLocked { .. } => {
            Answer::Refused("locked".to_owned())
        }
        Error::Store(loomgate_store::Error::Interrupted) => Answer::Unknown,
        Error::Store(error) => Answer::Broken(format!("{error:?}")),
        Error::WrongStatus {
            action: Action::Cancel | Action::SubmitToolOutputs,
            status,
        } => Answer::Refused(status.as_str().to_owned()),
        Error::WrongOutputs { .. } => Answer::Refused("wrong outputs".to_owned()),
        Error::NoEvent(event) => Answer::Refused(format!("no event {event}")),
        Error::NoAssistant(_)
        | Error::UnsupportedTool(_)
        | Error::UnknownToolChoice(_)
        | Error::QueueFull(_)
        | Error::Stopping => Answer::Refused(error.to_string()),
    }
}

/// A page with all there is.
pub(crate) fn everything<I>() -> PageRequest<I> {
    PageRequest {
        limit: 100,
        order: Order::Asc,
        after: None,
        before: None,
    }
}

/// The words of a message, those of a refusal marked.
pub(crate) fn words(content: &[Content]) -> String {
    let words = content.iter().map(|part| match part {
        Content::Text { text } => text.value.clone(),
        Content::Refusal { refusal } => format!("!{refusal}"),
        Content::ImageFile { .. } | Content::ImageUrl { .. } => String::new(),
    });
    words.collect()
}

fn user(text: String) -> NewMessage {
    NewMessage {
        role: Role::User,
        content: vec![Content::text(text)],
        attachments: Vec::new(),
        metadata: Metadata::default(),
    }
}

fn record(id: ThreadId) -> Thread {
    Thread {
        id,
        created_at: Timestamp(0),
        metadata: Metadata::default(),
        tool_resources: ToolResources::default(),
    }
}

fn options(stream: bool, parallel_tool_calls: bool, metadata: Metadata) -> RunOptions {
    RunOptions {
        model: None,
        reasoning_effort: None,
        instructions: None,
        tools: None,
        metadata,
        temperature: None,
        top_p: None,
        stream,
        max_prompt_tokens: None,
        max_completion_tokens: None,
        truncation: Truncation::Auto,
        tool_choice: ToolChoice::Auto,
        parallel_tool_calls,
        response_format: None,
    }
}

/// Who answers everywhere.
pub(crate) fn assistant() -> Assistant {
    let function = |name: &str| Tool::Function {
        function: Function {
            name: name.to_owned(),
            description: None,
            parameters: no_parameters(),
            strict: false,
        },
    };
    Assistant {
        id: AssistantId::trusted("asst_1"),
        created_at: Timestamp(0),
        name: None,
        description: None,
        model: "model".to_owned(),
        instructions: None,
        tools: vec![function("f"), function("g")],
        tool_resources: ToolResources::default(),
        metadata: Metadata::default(),
        temperature: None,
        top_p: None,
        reasoning_effort: None,
        response_format: ResponseFormat::Auto,
    }
}

/// Who it was that asked for a run.
pub(crate) fn asked_by(run: &Run) -> Option<usize> {
    run.settings.origin.as_ref()?.trace_id.parse().ok()
}

/// Whether a run may wait until others have ended.
pub(crate) fn is_enqueued(run: &Run) -> bool {
    let origin = run.settings.origin.as_ref();
    let when = origin.and_then(|it| it.metadata.get(WHEN_LOCKED));
    when.is_some_and(|it| *it == WhenLocked::Enqueue.to_string())
}

/// Which request left its mark in metadata.
pub(crate) fn marked_by(metadata: &Metadata) -> Option<usize> {
    let mark = metadata.iter().find(|(key, _)| *key == "op")?;
    mark.1.parse().ok()
}

/// A run's name in the trace.
pub(crate) fn short(id: &RunId) -> String {
    let id = id.as_str();
    let number = id.get(7..).unwrap_or(id).trim_start_matches('0');
    format!("run_{}_{number}", &id[4..7])
}
