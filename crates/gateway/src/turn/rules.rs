//! What the rules of a leaf say of a turn: limits, and guardrails on either side.

use std::collections::VecDeque;

use futures::{StreamExt as _, stream};
use loomgate_wire::chat::{ChatEvent, ChatMessage, UserContent, UserPart};
use serde_json::Value;
use tokio::time::Instant;

use super::{Begun, Outcome, TurnAttempt};
use crate::{
    ChatStream,
    error::Error,
    guardrail::{Hook, HookResult, Subject},
    meter::Refusal,
    plan::Way,
    relay::hook_results,
    retries::Verdict,
    walk::Attempt as _,
};

impl TurnAttempt<'_> {
    /// Whether limits let the turn go on. A rate that frees up soon is waited for.
    pub(super) async fn admit(&self, way: Way<'_>) -> Result<(), Refusal> {
        let ledger = &self.services.ledger;
        let since = Instant::now();
        loop {
            let now_ms = ledger.clock.now_ms();
            let key = self.call.caller.key.as_ref();
            let admitted = key
                .map_or(Ok(()), |key| ledger.meter.check(key, now_ms))
                .and_then(|()| ledger.admit(way.target));
            let refusal = match admitted {
                Ok(place) => {
                    self.visit.lock().place = place;
                    return Ok(());
                }
                Err(refusal) => refusal,
            };
            let most = self.services.policy.max_retry_after;
            match refusal.retry_after {
                Some(wait) if since.elapsed() + wait <= most => tokio::time::sleep(wait).await,
                _ => return Err(refusal),
            }
        }
    }

    pub(super) fn check_request(&self, way: Way<'_>) -> Option<Error> {
        let hooks = &way.leaf.rules.before;
        if hooks.is_empty() {
            return None;
        }
        let text = last_user_text(&self.request.messages);
        let body = self.params();
        let results = self.run_hooks(hooks, &text, &body);
        let denied = denial(&results);
        self.visit.lock().before = results;
        denied
    }

    fn run_hooks(&self, hooks: &[Hook], text: &str, body: &Value) -> Vec<HookResult> {
        let subject = Subject {
            text,
            body,
            model: Some(&self.request.model),
            metadata: &self.call.caller.metadata,
            endpoint: "chatComplete",
        };
        let now_ms = self.services.ledger.clock.now_ms();
        hooks
            .iter()
            .map(|hook| hook.run(&subject, now_ms))
            .collect()
    }

    /// Guardrails on an answer need all of it before a word goes out.
    pub(super) async fn check_answer(&self, way: Way<'_>, outcome: Outcome) -> (Outcome, Verdict) {
        let Outcome { mut report, result } = outcome;
        let Begun { events, bill, said } = match result {
            Ok(begun) => begun,
            Err(error) => return self.failed(way, error, None),
        };
        let (events, error) = collect(events).await;
        if let Some(error) = error {
            return self.failed(way, error, None);
        }
        let text: String = events.iter().filter_map(words).collect();
        let results = self.run_hooks(&way.leaf.rules.after, &text, &Value::from(text.as_str()));
        report.guardrails = hook_results(&self.visit.lock().before, &results);
        if let Some(error) = denial(&results) {
            // The provider has done its part, and is paid.
            let usage = events.iter().find_map(|event| match event {
                ChatEvent::Usage(usage) => Some(*usage),
                _ => None,
            });
            self.services.ledger.book(&bill, usage, None, 0);
            report.status = 446;
            let verdict = Verdict {
                repeatable: false,
                ..Verdict::of_status(446, None)
            };
            let outcome = Outcome {
                report,
                result: Err(error),
            };
            return (outcome, verdict);
        }
        let events = ChatStream::new(stream::iter(events.into_iter().map(Ok)));
        let outcome = Outcome {
            report,
            result: Ok(Begun { events, bill, said }),
        };
        (outcome, Verdict::of_status(200, None))
    }
}

/// What a denial says, where there is one.
fn denial(results: &[HookResult]) -> Option<Error> {
    let denied = results
        .iter()
        .find(|result| result.deny && !result.verdict)?;
    let message = format!(
        "The guardrail checks defined in the config failed: '{}' denied it.",
        denied.id
    );
    Some(Error::status(446, message))
}

fn last_user_text(messages: &[ChatMessage]) -> String {
    let last = messages.iter().rev().find_map(|message| match message {
        ChatMessage::User { content } => Some(content),
        _ => None,
    });
    match last {
        Some(UserContent::Text(text)) => text.clone(),
        Some(UserContent::Parts(parts)) => {
            let texts = parts.iter().filter_map(|part| match part {
                UserPart::Text { text } => Some(text.as_str()),
                UserPart::ImageUrl { .. } | UserPart::ImageFile { .. } => None,
            });
            texts.collect::<Vec<_>>().join("\n")
        }
        None => String::new(),
    }
}

fn words(event: &ChatEvent) -> Option<&str> {
    match event {
        ChatEvent::Text(text) => Some(text),
        _ => None,
    }
}

async fn collect(mut events: ChatStream) -> (VecDeque<ChatEvent>, Option<Error>) {
    let mut all = VecDeque::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(event) => all.push_back(event),
            Err(error) => return (all, Some(error)),
        }
    }
    (all, None)
}
