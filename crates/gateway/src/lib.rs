//! The way out: model calls of runs, sent to whatever provider a virtual key names.
//!
//! What it is: pure conversions between the one form of a model turn (`loomgate_wire::chat`) and
//! each provider's JSON, a pooled client, and the loop that tries again after a passing fault.
//!
//! What it is not: it does not know callers, keys of callers, runs, SQL or axum. Which target a
//! call goes to has been decided before it gets here.
//!
//! Start at [`Gateway::chat`]; then [`AttemptPolicy`] for what is tried again, `openai` for the
//! conversions, `echo` for the built-in model (`docs/echo.md`), `vendor` for the vendors whose JSON
//! is not OpenAI's.
//!
//! Invariant: a provider's key is in no error, log line or `Debug` output.
//! Invariant: nothing of the caller's request but the [`ChatRequest`] reaches a provider.
//! Invariant: once an event was handed out, the call is never repeated.
//! Invariant: redirects are not followed.
//! Invariant: dropping a [`ChatStream`] drops the provider's request.

mod client;
mod echo;
mod error;
mod gateway;
mod openai;
mod policy;
mod sse;
mod stream;
mod target;
#[cfg_attr(
    not(test),
    expect(
        dead_code,
        unused_imports,
        reason = "the conversions come before the calls that use them"
    )
)]
mod vendor;

pub use error::{Error, Phase, Who};
pub use gateway::{Gateway, Model};
pub use policy::AttemptPolicy;
pub use stream::ChatStream;
pub use target::{MaxTokensField, OpenAi, Provider, Target, Timeouts};

#[doc(no_inline)]
pub use loomgate_wire::chat::{ChatEvent, ChatRequest};
