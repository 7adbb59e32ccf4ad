//! A model that says what the seed wants it to say, one event at a time, when it is told to.

use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use futures::{FutureExt as _, StreamExt as _, future::BoxFuture};
use loomgate_domain::{CallId, Run, RunId, ThreadId, Usage, WorkspaceId, limit::Charge};
use loomgate_engine::{ChatModel, ModelError, ModelErrorKind, ModelTurn, Receipt};
use loomgate_wire::chat::{ChatEvent, ChatMessage, ChatRequest, FinishReason, UserContent};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};

use crate::random::Random;

type Event = Result<ChatEvent, ModelError>;

/// Errors of the model that end a run at once.
const KINDS: [ModelErrorKind; 8] = [
    ModelErrorKind::InvalidRequest,
    ModelErrorKind::Unauthorized,
    ModelErrorKind::RateLimited,
    ModelErrorKind::Denied,
    ModelErrorKind::Server,
    ModelErrorKind::Timeout,
    ModelErrorKind::Unreachable,
    ModelErrorKind::Misconfigured,
];

/// The model, as one process sees it.
pub(crate) struct Model {
    pub(crate) process: u32,
    pub(crate) calls: Arc<Mutex<Calls>>,
}

/// All that the model was asked.
pub(crate) struct Calls {
    pub(crate) list: Vec<Call>,
    random: Random,
}

/// One turn that the model was asked for.
pub(crate) struct Call {
    pub(crate) number: usize,
    pub(crate) process: u32,
    pub(crate) thread: ThreadId,
    pub(crate) run: RunId,
    /// What it is going to say.
    pub(crate) plan: Plan,
    /// The outputs that it was shown.
    pub(crate) outputs: Vec<(CallId, String)>,
    /// The words of clients that it was shown.
    pub(crate) asked: Vec<String>,
    open: Option<oneshot::Sender<Result<mpsc::UnboundedReceiver<Event>, ModelError>>>,
    events: Option<mpsc::UnboundedSender<Event>>,
    rest: VecDeque<Event>,
    /// Whether it has said all that it is going to say.
    pub(crate) is_over: bool,
    /// The engine was told that its cost is written.
    pub(crate) is_settled: Arc<AtomicBool>,
}

/// What a turn is going to be.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) text: String,
    pub(crate) refusal: String,
    /// Names and arguments.
    pub(crate) functions: Vec<(String, String)>,
    pub(crate) usage: Option<Usage>,
    pub(crate) end: End,
}

/// How a turn ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// It is not even begun.
    Refused(ModelErrorKind),
    Finished(FinishReason),
    /// An error midway.
    Error(ModelErrorKind),
    /// It ends without saying so.
    CutOff,
    /// It goes on for ever.
    Never,
}

impl Calls {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            list: Vec::new(),
            random,
        }
    }

    fn ask(
        &mut self,
        process: u32,
        run: &Run,
        request: &ChatRequest,
    ) -> (
        oneshot::Receiver<Result<mpsc::UnboundedReceiver<Event>, ModelError>>,
        Cost,
    ) {
        let number = self.list.len();
        let outputs: Vec<_> = request.messages.iter().filter_map(output).collect();
        let rounds = outputs.len();
        let (plan, rest) = plan(&mut self.random, number, rounds);
        let (open, opened) = oneshot::channel();
        let is_settled = Arc::new(AtomicBool::new(false));
        let cost = Cost {
            run: run.id.clone(),
            call: number,
            is_settled: Arc::clone(&is_settled),
        };
        self.list.push(Call {
            number,
            process,
            thread: run.thread_id.clone(),
            run: run.id.clone(),
            plan,
            outputs,
            asked: request.messages.iter().filter_map(asked).collect(),
            open: Some(open),
            events: None,
            rest,
            is_over: false,
            is_settled,
        });
        (opened, cost)
    }

    /// The turns that have something to say.
    pub(crate) fn speaking(&self) -> Vec<usize> {
        let speaking = self.list.iter().filter(|call| call.is_waited_for());
        let speaking = speaking.filter(|call| !call.is_silent());
        speaking.map(|call| call.number).collect()
    }

    /// Whether a run waits for a turn that never comes to its end.
    pub(crate) fn is_silent(&self, run: &RunId) -> bool {
        let mut calls = self.list.iter().filter(|call| call.run == *run);
        calls.any(|call| call.is_waited_for() && call.is_silent())
    }

    /// Whether any run does.
    pub(crate) fn is_any_silent(&self) -> bool {
        let mut calls = self.list.iter();
        calls.any(|call| call.is_waited_for() && call.is_silent())
    }
}

fn asked(message: &ChatMessage) -> Option<String> {
    match message {
        ChatMessage::User {
            content: UserContent::Text(text),
        } => Some(text.clone()),
        _ => None,
    }
}

fn output(message: &ChatMessage) -> Option<(CallId, String)> {
    match message {
        ChatMessage::Tool {
            tool_call_id,
            content,
        } => Some((CallId::trusted(tool_call_id.as_str()), content.clone())),
        ChatMessage::System { .. } | ChatMessage::User { .. } | ChatMessage::Assistant { .. } => {
            None
        }
    }
}

impl Call {
    fn is_waited_for(&self) -> bool {
        let open = self.open.as_ref().is_some_and(|open| !open.is_closed());
        let events = self.events.as_ref().is_some_and(|it| !it.is_closed());
        open || events
    }

    /// Whether it says nothing any more, and does not end either.
    fn is_silent(&self) -> bool {
        self.plan.end == End::Never && self.rest.is_empty() && self.open.is_none()
    }

    /// Says the next thing. Returns what.
    pub(crate) fn speak(&mut self) -> String {
        if let Some(open) = self.open.take() {
            if let End::Refused(kind) = self.plan.end {
                let message = String::new();
                let _ = open.send(Err(ModelError { kind, message }));
                self.is_over = true;
                return format!("refuses: {kind:?}");
            }
            let (events, receiver) = mpsc::unbounded_channel();
            let _ = open.send(Ok(receiver));
            self.events = Some(events);
            return "begins".to_owned();
        }
        let Some(events) = &self.events else {
            return "is over".to_owned();
        };
        if let Some(event) = self.rest.pop_front() {
            let said = format!("{event:?}");
            let _ = events.send(event);
            return said;
        }
        self.events = None;
        self.is_over = true;
        "ends".to_owned()
    }
}

/// What a turn is going to say, event by event.
fn plan(random: &mut Random, number: usize, rounds: usize) -> (Plan, VecDeque<Event>) {
    let mut events = Vec::new();
    let mut plan = Plan {
        text: String::new(),
        refusal: String::new(),
        functions: Vec::new(),
        usage: random.chance(85).then(|| Usage {
            prompt_tokens: 100 + number as u64,
            completion_tokens: 1 + random.below(50) as u64,
            ..Usage::default()
        }),
        end: End::Finished(FinishReason::Stop),
    };
    let wants_functions = rounds < 3 && random.chance(35);
    let is_mute = random.chance(if wants_functions { 50 } else { 4 });
    let words = if is_mute { 0 } else { random.within(1, 5) };
    let is_refusal = random.chance(8);
    for word in 0..words {
        let word = format!("c{number}.{word} ");
        if is_refusal {
            plan.refusal.push_str(&word);
            events.push(Ok(ChatEvent::Refusal(word)));
        } else {
            plan.text.push_str(&word);
            events.push(Ok(ChatEvent::Text(word)));
        }
    }
    if wants_functions {
        for index in 0..random.within(1, 3) {
            let name = if random.chance(50) { "f" } else { "g" }.to_owned();
            let has_id = random.chance(85);
            let id = if has_id {
                format!("call_{number}_{index}")
            } else {
                String::new()
            };
            events.push(Ok(ChatEvent::CallStarted {
                index,
                id,
                name: name.clone(),
                signature: None,
            }));
            let mut arguments = String::new();
            for piece in ["{\"n\":", "1", "}"].iter().take(3 * random.below(2)) {
                arguments.push_str(piece);
                let text = (*piece).to_owned();
                events.push(Ok(ChatEvent::CallArguments { index, text }));
            }
            if arguments.is_empty() {
                arguments.push_str("{}");
            }
            plan.functions.push((name, arguments));
        }
        plan.end = End::Finished(FinishReason::ToolCalls);
    }
    if random.chance(30) {
        plan.end = match random.below(12) {
            0 | 1 => End::Refused(random.pick(&KINDS)),
            2 => End::Error(random.pick(&KINDS)),
            3..=5 => End::Error(ModelErrorKind::Broken),
            6 | 7 => End::CutOff,
            8 => End::Finished(FinishReason::Length),
            9 => End::Finished(FinishReason::ContentFilter),
            _ => End::Never,
        };
    }
    match plan.end {
        End::Finished(reason) => {
            let usage = plan.usage.map(|usage| Ok(ChatEvent::Usage(usage)));
            let before = random.chance(30);
            events.extend(usage.clone().filter(|_| before));
            events.push(Ok(ChatEvent::Finished(reason)));
            events.extend(usage.filter(|_| !before));
        }
        other => {
            events.truncate(random.below(events.len() + 1));
            // Some providers count as they go.
            let counts = plan.usage.filter(|_| random.chance(50));
            events.extend(counts.map(|usage| Ok(ChatEvent::Usage(usage))));
            plan.usage = counts;
            if let End::Error(kind) = other {
                let message = String::new();
                events.push(Err(ModelError { kind, message }));
            }
        }
    }
    (plan, events.into())
}

impl ChatModel for Model {
    fn chat<'a>(
        &'a self,
        _workspace: &'a WorkspaceId,
        run: &'a Run,
        request: &'a ChatRequest,
    ) -> BoxFuture<'a, Result<ModelTurn, ModelError>> {
        async move {
            let (opened, cost) = self.calls.lock().ask(self.process, run, request);
            let Ok(opened) = opened.await else {
                // The model is gone before the engine: there is nobody left to ask.
                return std::future::pending().await;
            };
            let events = futures::stream::unfold(opened?, |mut receiver| async {
                Some((receiver.recv().await?, receiver))
            });
            Ok(ModelTurn {
                events: events.boxed(),
                receipt: Some(Box::new(cost)),
            })
        }
        .boxed()
    }
}

/// Counts the turn itself, and its tokens, for its run.
struct Cost {
    run: RunId,
    call: usize,
    is_settled: Arc<AtomicBool>,
}

impl Receipt for Cost {
    fn charges(&self, usage: &Usage) -> Vec<Charge> {
        let charge = |meter: String, amount| Charge {
            subject: self.run.as_str().into(),
            meter: meter.into(),
            start: 0,
            amount,
        };
        vec![
            charge(format!("turns:{}", self.call), 1),
            charge(format!("tokens:{}", self.call), usage.total_tokens()),
        ]
    }

    fn settled(&self, _usage: &Usage) {
        self.is_settled.store(true, Ordering::Relaxed);
    }
}
