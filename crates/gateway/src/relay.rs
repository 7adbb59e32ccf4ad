//! Relayed calls: what a caller sends to a provider through the gateway.

mod answer;
mod attempt;
mod conclude;
mod echo;
mod frames;
mod headers;
mod observe;
mod own;
mod request;
mod send;
mod upload;

pub use answer::{Answer, AnswerBody, BrokenOff, CacheStatus, End, EndSink, Report};
pub(crate) use attempt::RelayAttempt;
pub(crate) use conclude::hook_results;
pub use headers::is_forwarded;
pub(crate) use observe::SeenRun;
pub use request::{Cacheable, Caller, RelayBody, RelayRequest};
pub use upload::Upload;

use crate::relay::request::Malformed;

/// 400: a body that has to be JSON and is not.
pub(crate) fn refuse_malformed(malformed: &Malformed, sink: EndSink) -> Answer {
    let answer = own::invalid(None, &malformed.to_string());
    sink(&answer.report, End::default());
    answer
}
