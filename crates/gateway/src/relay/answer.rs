//! What comes back of a relayed call: the answer, and what there is to tell of it.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{Stream, stream};
use http::{HeaderMap, StatusCode};
use loomgate_domain::{Usage, WorkspaceId, limit::Nanodollars};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::observe::{Observer, SeenRun, Trouble};
use crate::{
    Timeouts,
    endpoint::StreamEnd,
    error::{Error, bytes_without_key, without_key},
    ledger::{Bill, Ledger},
    meter::Admitted,
    open_runs::RunKey,
    reading::Wire,
};

/// An answer to a relayed call, whether a provider gave it or the gateway itself.
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// Its headers; those of the provider's connection are gone.
    pub headers: HeaderMap,
    /// Its body.
    pub body: AnswerBody,
    /// What there is to tell of it.
    pub report: Report,
}

/// The body of an answer.
pub enum AnswerBody {
    /// All of it.
    Whole(Bytes),
    /// As it comes. An error in it is an answer that broke off. Dropping it drops the provider's
    /// request.
    Stream(Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>),
}

/// The provider's answer broke off; the connection to the caller has to do the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the provider's answer broke off")]
pub struct BrokenOff;

/// What there is to tell of an answer once it has begun.
#[derive(Debug, Clone)]
pub struct Report {
    /// The answer's status.
    pub status: u16,
    /// Which part of the config answered: `config.targets[1]`.
    pub option_index: Arc<str>,
    /// The provider's name; `None`: none was asked.
    pub provider: Option<Arc<str>>,
    /// The virtual key that was used.
    pub virtual_key: Option<Arc<str>>,
    /// The account, for whatever was made in it.
    pub identity: Option<Arc<str>>,
    /// 0: no retry. n: retry n succeeded. -1: all were used up.
    pub retries: i32,
    /// Calls made to providers, all targets together.
    pub attempts: u32,
    /// What the cache had to do with it.
    pub cache: CacheStatus,
    /// The model as the caller named it.
    pub model: Option<String>,
    /// Verdicts of guardrails.
    pub guardrails: Option<Value>,
    /// Why there is no proper answer, in words.
    pub error: Option<String>,
    /// How long providers took until their headers came, pauses between attempts apart.
    pub upstream: Duration,
    /// The gateway itself failed.
    pub is_exception: bool,
}

impl Report {
    /// Nobody was asked yet.
    pub fn new() -> Self {
        Self {
            status: 200,
            option_index: Arc::from("config"),
            provider: None,
            virtual_key: None,
            identity: None,
            retries: 0,
            attempts: 0,
            cache: CacheStatus::Disabled,
            model: None,
            guardrails: None,
            error: None,
            upstream: Duration::ZERO,
            is_exception: false,
        }
    }
}

impl Default for Report {
    fn default() -> Self {
        Self::new()
    }
}

/// What the cache had to do with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheStatus {
    /// The answer was in it.
    Hit,
    /// It was not.
    Miss,
    /// It was not looked for.
    Refresh,
    /// There is no cache for this call.
    Disabled,
}

impl CacheStatus {
    /// As the header says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "HIT",
            Self::Miss => "MISS",
            Self::Refresh => "REFRESH",
            Self::Disabled => "DISABLED",
        }
    }
}

/// What there is to tell of an answer once it has ended.
#[derive(Debug, Clone, Default)]
pub struct End {
    /// What the provider counted.
    pub usage: Option<Usage>,
    /// What that costs; `None` where the model has no price.
    pub cost: Option<Nanodollars>,
    /// The model that the provider says it was.
    pub served_model: Option<String>,
    /// Until the first byte of the body.
    pub first_byte: Option<Duration>,
    /// Until the last.
    pub total: Duration,
    /// Why the answer did not come to its end, in words.
    pub cut: Option<String>,
    /// What was asked, in OpenAI's form, where that is not the caller's own request.
    pub asked: Option<Bytes>,
    /// The first bytes of the body, as many as were asked for.
    pub body: Option<Bytes>,
}

/// Who is told of the end. Called once, also when the caller goes away.
pub type EndSink = Box<dyn FnOnce(&Report, End) + Send>;

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("report", &self.report)
            .finish_non_exhaustive()
    }
}

/// Waits for the end of an answer, and tells it; at the latest when it is dropped.
pub(super) struct Ending {
    pub(super) report: Report,
    pub(super) workspace: WorkspaceId,
    pub(super) began: Instant,
    pub(super) first_byte: Option<Duration>,
    /// The run in the answer was seen open, and is waited for.
    pub(super) run_is_open: bool,
    pub(super) observer: Observer,
    pub(super) bill: Bill,
    pub(super) ledger: Arc<Ledger>,
    pub(super) capture: Capture,
    /// The place in the virtual key's concurrency cap, held until the end.
    pub(super) place: Option<Admitted>,
    pub(super) sink: Option<EndSink>,
}

/// Keeps the beginning of a body for the log, without the credential: some servers repeat it.
#[derive(Debug, Default)]
pub(super) struct Capture {
    most: usize,
    kept: Vec<u8>,
    key: Option<SecretString>,
}

impl Capture {
    pub(super) fn new(most: usize, key: Option<SecretString>) -> Self {
        Self {
            most,
            kept: Vec::new(),
            key,
        }
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.most == 0 {
            return;
        }
        // As much more, that a key at the end is whole.
        let key = self.key.as_ref().map_or(0, |key| key.expose_secret().len());
        let room = (self.most + key).saturating_sub(self.kept.len());
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// What was kept; `None`: nothing was to be.
    fn body(&mut self) -> Option<Bytes> {
        if self.most == 0 {
            return None;
        }
        let mut kept = std::mem::take(&mut self.kept);
        if let Some(cleansed) = bytes_without_key(&kept, self.key.as_ref()) {
            kept = cleansed;
        }
        kept.truncate(self.most);
        Some(kept.into())
    }

    /// A text without the credential.
    fn cleansed(&self, text: &str) -> String {
        without_key(text, self.key.as_ref())
    }
}

impl Ending {
    /// Looks at the next bytes; gives those that go on.
    pub(super) fn pass(&mut self, bytes: Bytes) -> Bytes {
        if self.first_byte.is_none() {
            self.first_byte = Some(self.began.elapsed());
        }
        self.capture.take(&bytes);
        let bytes = self.observer.take(bytes);
        if !self.run_is_open
            && let Some(run) = &self.observer.seen().run
            && !run.has_ended
        {
            // This process may not see the end of a stream.
            self.ledger.open_run(self.run_key(run), run.expires_at);
            self.run_is_open = true;
        }
        bytes
    }

    fn run_key(&self, run: &SeenRun) -> RunKey {
        RunKey {
            workspace: self.workspace.clone(),
            account: self.report.identity.clone().unwrap_or_default(),
            run: run.id.as_str().into(),
        }
    }

    /// The answer is over; gives the bytes that were still held.
    pub(super) fn finish(&mut self, cut: Option<String>) -> Bytes {
        let held = self.observer.end();
        self.tell(cut);
        held
    }

    fn tell(&mut self, cut: Option<String>) {
        let Some(sink) = self.sink.take() else {
            return;
        };
        let seen = self.observer.seen();
        let model = seen.model.as_deref();
        let (usage, cost) = if let Some(run) = &seen.run {
            let mut run = run.clone();
            // One that was opened here and is gone was counted by another call.
            run.was_open &= !self.run_is_open;
            let due = (self.run_key(&run), &run);
            self.ledger.book_run(due, &self.bill, (seen.usage, model))
        } else {
            // What nobody pays for is not told either: it is the usage of another call.
            let usage = seen.usage.filter(|_| !self.bill.free);
            let cost = self.ledger.book(&self.bill, usage, model, seen.bytes);
            (usage, cost)
        };
        let end = End {
            usage,
            cost,
            served_model: seen.model.clone(),
            first_byte: self.first_byte,
            total: self.began.elapsed(),
            cut: cut
                .or_else(|| seen.error.clone())
                .map(|text| self.capture.cleansed(&text)),
            asked: None,
            body: self.capture.body(),
        };
        sink(&self.report, end);
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.tell(Some("The caller went away.".to_owned()));
    }
}

/// A body that goes on as it comes.
pub(super) struct Streaming {
    pub(super) wire: Wire,
    pub(super) timeouts: Timeouts,
    pub(super) ending: Ending,
    /// Server-sent events: what breaks off ends with an error event.
    pub(super) is_events: bool,
    /// What the stream has to say at its end; one without that word is a cut.
    pub(super) end: StreamEnd,
}

enum State {
    Open(Box<Streaming>),
    /// One error to hand out, then the end.
    Broken,
}

impl Streaming {
    pub(super) fn into_body(self) -> AnswerBody {
        let state = Some(State::Open(Box::new(self)));
        AnswerBody::Stream(Box::pin(stream::unfold(state, |state| async {
            match state? {
                State::Open(streaming) => streaming.next().await,
                State::Broken => Some((Err(BrokenOff), None)),
            }
        })))
    }

    async fn next(mut self: Box<Self>) -> Option<(Result<Bytes, BrokenOff>, Option<State>)> {
        loop {
            let patience = if self.ending.first_byte.is_some() {
                self.timeouts.idle
            } else {
                // Models that reason send headers at once, and then nothing while they think.
                self.timeouts.idle.max(self.timeouts.first_byte)
            };
            match self.wire.next(patience).await {
                Ok(Some(bytes)) => {
                    let bytes = self.ending.pass(bytes);
                    if !bytes.is_empty() {
                        return Some((Ok(bytes), Some(State::Open(self))));
                    }
                }
                Ok(None) => {
                    let held = self.ending.observer.end();
                    let seen = self.ending.observer.seen();
                    let is_judged = self.end != StreamEnd::Untold;
                    if seen.ended || seen.trouble == Some(Trouble::Lost) || !is_judged {
                        self.ending.finish(None);
                        return (!held.is_empty()).then_some((Ok(held), None));
                    }
                    // Half an event is no event, and would only be stumbled over.
                    let held = if seen.trouble == Some(Trouble::Half) {
                        Bytes::new()
                    } else {
                        held
                    };
                    return Some(self.broken(held, INCOMPLETE));
                }
                // Some servers hang up behind their last word.
                Err(_) if self.ending.observer.seen().is_done => {
                    self.ending.finish(None);
                    return None;
                }
                Err(Error { message, .. }) => return Some(self.broken(Bytes::new(), &message)),
            }
        }
    }

    /// Events end with an event that says so; anything else just breaks off.
    fn broken(
        mut self: Box<Self>,
        held: Bytes,
        message: &str,
    ) -> (Result<Bytes, BrokenOff>, Option<State>) {
        self.ending.finish(Some(message.to_owned()));
        if self.is_events {
            let mut out = held.to_vec();
            out.extend_from_slice(&error_event(message, self.end));
            (Ok(out.into()), None)
        } else if held.is_empty() {
            (Err(BrokenOff), None)
        } else {
            (Ok(held), Some(State::Broken))
        }
    }
}

/// Of a stream that ended in good order, but too early.
pub(super) const INCOMPLETE: &str = "The provider ended its stream before its answer was complete.";

/// The event of a stream that broke off, which the SDKs of OpenAI raise as an error. The blank line
/// first ends whatever stood unfinished.
fn error_event(message: &str, end: StreamEnd) -> Vec<u8> {
    let mut data = json!({ "error": {
        "message": message, "type": "server_error", "param": null, "code": "upstream_cut",
    }});
    if let StreamEnd::Event(_) = end {
        // Where all events have a type.
        data["type"] = json!("error");
    }
    format!("\n\nevent: error\ndata: {data}\n\n").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_body_holds_no_key_nor_a_part_of_it() {
        let body = b"{\"echo\":\"0123456789abcdef\",\"more\":true}";
        for most in 0..body.len() {
            let key = SecretString::from("0123456789abcdef");
            let mut capture = Capture::new(most, Some(key));
            for piece in body.chunks(5) {
                capture.take(piece);
            }
            let kept = capture.body().unwrap_or_default();
            let text = String::from_utf8(kept.to_vec()).unwrap();
            assert!(text.len() <= most && !text.contains("01"), "{text}");
        }
    }
}
