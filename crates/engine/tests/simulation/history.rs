//! What clients asked for, and what they were told.

use std::sync::Arc;

use loomgate_domain::{CallId, MessageId, Run, RunId, ThreadId, WhenLocked, run::EventId};
use parking_lot::Mutex;
use tokio::task::AbortHandle;

/// A request of a client.
#[derive(Debug)]
pub(crate) struct Op {
    pub(crate) number: usize,
    pub(crate) process: u32,
    pub(crate) began: u32,
    pub(crate) what: What,
    /// When it was answered, and how. None: it is under way, or its answer was lost.
    pub(crate) answer: Option<(u32, Answer)>,
    /// The process is gone: there will be no answer.
    pub(crate) is_lost: bool,
}

/// What a client asks for. Texts and outputs name their request, so that they are found again.
#[derive(Debug, Clone)]
pub(crate) enum What {
    CreateThread {
        thread: ThreadId,
        texts: Vec<String>,
    },
    PostMessage {
        thread: ThreadId,
        text: String,
        when: WhenLocked,
    },
    CreateRun {
        /// None: one that is made along with the run.
        thread: Option<ThreadId>,
        texts: Vec<String>,
        stream: bool,
        parallel: bool,
        when: WhenLocked,
    },
    ModifyRun {
        thread: ThreadId,
        run: RunId,
    },
    ModifyMessage {
        thread: ThreadId,
        message: MessageId,
    },
    Submit {
        thread: ThreadId,
        run: RunId,
        outputs: Vec<(CallId, String)>,
        stream: bool,
    },
    Cancel {
        thread: ThreadId,
        run: RunId,
    },
    DeleteThread {
        thread: ThreadId,
    },
    Reopen {
        thread: ThreadId,
        run: RunId,
        after: Option<EventId>,
    },
    /// The run, as it is.
    Get {
        thread: ThreadId,
        run: RunId,
    },
    /// The messages, as they are.
    List {
        thread: ThreadId,
    },
}

/// What a client is told.
#[derive(Debug, Clone)]
pub(crate) enum Answer {
    Done,
    Run(Box<Run>),
    Texts(Vec<String>),
    Deleted(bool),
    /// It is not there.
    Missing,
    /// It was not done.
    Refused(#[expect(dead_code, reason = "it is shown")] String),
    /// Nobody knows whether it was done.
    Unknown,
    /// What must not happen.
    Broken(#[expect(dead_code, reason = "it is shown")] String),
}

/// A client that reads a stream.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) op: usize,
    pub(crate) thread: ThreadId,
    pub(crate) run: RunId,
    /// Where it begins.
    pub(crate) from: From,
    pub(crate) heard: Arc<Mutex<Heard>>,
    pub(crate) task: AbortHandle,
}

/// Where a stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// At the run's creation.
    Creation,
    /// At the beginning of a leg.
    Leg,
    /// Behind an event.
    After(EventId),
}

/// What a reader was told.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    pub(crate) frames: Vec<Frame>,
    /// Whether the stream came to its end, or was cut off. None: it goes on.
    pub(crate) end: Option<bool>,
}

/// An event of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// None: it is not of the journal.
    pub(crate) id: Option<EventId>,
    pub(crate) text: String,
}

impl Frame {
    pub(crate) fn read(frame: &[u8]) -> Self {
        let text = std::str::from_utf8(frame).unwrap();
        match text.strip_prefix("id: ").and_then(|it| it.split_once('\n')) {
            Some((id, text)) => Self {
                id: Some(id.parse().unwrap()),
                text: text.to_owned(),
            },
            None => Self {
                id: None,
                text: text.to_owned(),
            },
        }
    }

    /// The name of the event.
    pub(crate) fn name(&self) -> &str {
        let line = self.text.lines().next().unwrap_or_default();
        line.strip_prefix("event: ").unwrap_or(line)
    }

    /// Whether it brings more words, or more of a call.
    pub(crate) fn is_delta(&self) -> bool {
        matches!(
            self.name(),
            "thread.message.delta" | "thread.run.step.delta"
        )
    }

    /// Its data.
    pub(crate) fn data(&self) -> serde_json::Value {
        let line = self.text.lines().nth(1).unwrap_or_default();
        let data = line.strip_prefix("data: ").unwrap_or(line);
        serde_json::from_str(data).unwrap_or_default()
    }
}

impl Op {
    /// Whether it was done, as far as its client knows.
    pub(crate) fn is_done(&self) -> bool {
        match &self.answer {
            Some((_, Answer::Done | Answer::Run(_) | Answer::Deleted(true))) => true,
            Some((
                _,
                Answer::Texts(_)
                | Answer::Deleted(false)
                | Answer::Missing
                | Answer::Refused(_)
                | Answer::Unknown
                | Answer::Broken(_),
            ))
            | None => false,
        }
    }

    /// Whether it can not have been done.
    pub(crate) fn is_refused(&self) -> bool {
        let answer = self.answer.as_ref().map(|(_, answer)| answer);
        matches!(
            answer,
            Some(Answer::Refused(_) | Answer::Missing | Answer::Deleted(false))
        )
    }

    /// What it wants to happen if its thread is locked.
    pub(crate) fn when_locked(&self) -> WhenLocked {
        match self.what {
            What::PostMessage { when, .. } | What::CreateRun { when, .. } => when,
            _ => WhenLocked::Fail,
        }
    }

    /// Whether it was answered before another began.
    pub(crate) fn is_before(&self, other: &Self) -> bool {
        self.answer
            .as_ref()
            .is_some_and(|(at, _)| *at < other.began)
    }
}

impl What {
    /// The thread that it is about, if that is known.
    pub(crate) fn thread(&self) -> Option<&ThreadId> {
        match self {
            Self::CreateThread { thread, .. }
            | Self::PostMessage { thread, .. }
            | Self::ModifyRun { thread, .. }
            | Self::ModifyMessage { thread, .. }
            | Self::Submit { thread, .. }
            | Self::Cancel { thread, .. }
            | Self::DeleteThread { thread }
            | Self::Reopen { thread, .. }
            | Self::Get { thread, .. }
            | Self::List { thread } => Some(thread),
            Self::CreateRun { thread, .. } => thread.as_ref(),
        }
    }
}
