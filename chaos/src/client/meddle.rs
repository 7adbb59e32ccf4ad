//! What a client does to a run while it goes on.

use anyhow::{bail, ensure};
use hyper::Method;
use loomgate_bench::statistics::Dice;
use serde_json::{Value, json};

use super::{Begun, Client};
use crate::{
    api::Answer,
    history::{Op, Outcome, is_active},
};

/// What is done to a run that waits for outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtOutputs {
    Leave,
    Cancel,
    Submit,
    /// The same again, and then others.
    SubmitTwice,
}

/// What a message or a run wants of a thread that is locked (`docs/locked-threads.md`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenLocked {
    Fail,
    Enqueue,
    Wait,
    CancelPrevious,
}

impl WhenLocked {
    pub(crate) const ALL: [Self; 4] = [Self::Fail, Self::Enqueue, Self::Wait, Self::CancelPrevious];

    /// As the server is told.
    pub(crate) fn header(self) -> &'static str {
        match self {
            Self::Fail => "fail",
            Self::Enqueue => "enqueue",
            Self::Wait => "wait=1",
            Self::CancelPrevious => "cancel_previous=10",
        }
    }
}

/// What will be done to a run, and at which look at it.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) is_streamed: bool,
    pub(crate) at_outputs: AtOutputs,
    /// The stream is dropped by the client at this look.
    pub(crate) drops_at: Option<usize>,
    pub(crate) modifies_at: Option<usize>,
    pub(crate) cancels_at: Option<usize>,
    pub(crate) intrudes_at: Option<usize>,
    pub(crate) posts_at: Option<usize>,
    /// What is wanted of those two.
    pub(crate) when_locked: WhenLocked,
    pub(crate) looks: usize,
    pub(crate) modified: u32,
}

impl Plan {
    pub(super) fn draw(dice: &mut Dice, may_cancel: bool) -> Self {
        let is_streamed = dice.below(2) == 0;
        // A streamed run is looked at with every event.
        let looks = if is_streamed { 40 } else { 6 };
        let mut at = |one_in: usize| (dice.below(one_in) == 0).then(|| 1 + dice.below(looks));
        let (modifies_at, drops_at, posts_at) = (at(2), at(4), at(10));
        let (intrudes_at, cancels_at) = (at(6), at(3));
        let when_locked = match dice.below(10) {
            0..=3 => WhenLocked::Enqueue,
            4 => WhenLocked::Wait,
            5 if may_cancel => WhenLocked::CancelPrevious,
            _ => WhenLocked::Fail,
        };
        Self {
            is_streamed,
            at_outputs: match dice.below(48) {
                // What waits for a run that waits for its client is for the tests of the engine.
                0 if when_locked != WhenLocked::Enqueue => AtOutputs::Leave,
                1..=6 if may_cancel => AtOutputs::Cancel,
                7..=22 => AtOutputs::SubmitTwice,
                _ => AtOutputs::Submit,
            },
            drops_at,
            modifies_at,
            cancels_at: cancels_at.filter(|_| may_cancel),
            intrudes_at,
            posts_at,
            when_locked,
            looks: 0,
            modified: 0,
        }
    }

    /// The run is only waited for, as those of others are.
    pub(crate) fn quiet() -> Self {
        Self {
            is_streamed: false,
            at_outputs: AtOutputs::Submit,
            drops_at: None,
            modifies_at: None,
            cancels_at: None,
            intrudes_at: None,
            posts_at: None,
            when_locked: WhenLocked::Fail,
            looks: 0,
            modified: 0,
        }
    }

    /// Counts a look. Whether the stream is to be dropped at it.
    pub(super) fn look(&mut self) -> bool {
        self.looks += 1;
        self.drops_at == Some(self.looks)
    }
}

impl Client {
    /// Does what is due at this look. The run that came in between, if one did.
    pub(super) async fn meddle(
        &mut self,
        begun: &Begun,
        plan: &mut Plan,
    ) -> anyhow::Result<Option<Begun>> {
        let now = Some(plan.looks);
        if plan.modifies_at == now {
            self.modify(begun, plan).await;
        }
        if plan.cancels_at == now {
            self.cancel(&begun.run).await;
        }
        if plan.posts_at == now {
            self.post_beside(begun, plan.when_locked).await?;
        }
        if plan.intrudes_at == now {
            return self.intrude(begun, plan.when_locked).await;
        }
        Ok(None)
    }

    /// Sets the run's number, some times in a row.
    async fn modify(&mut self, begun: &Begun, plan: &mut Plan) {
        for _ in 0..=self.dice.below(3) {
            plan.modified += 1;
            let number = plan.modified;
            let metadata = json!({"name": begun.name, "number": number.to_string()});
            let path = self.path(&format!("/runs/{}", begun.run));
            let answer = self.api.post(&path, &json!({ "metadata": metadata })).await;
            self.log(Op::Modified {
                run: begun.run.clone(),
                number,
                outcome: answer.into(),
            });
        }
    }

    pub(super) async fn cancel(&mut self, run: &str) {
        let path = self.path(&format!("/runs/{run}/cancel"));
        let answer = self.api.post(&path, &json!({})).await;
        self.log(Op::Cancelled {
            run: run.to_owned(),
            outcome: answer.into(),
        });
    }

    /// Posts a message while the run locks its thread.
    async fn post_beside(&mut self, begun: &Begun, when: WhenLocked) -> anyhow::Result<()> {
        let text = format!("A note beside {}.", begun.name);
        let body = json!({"role": "user", "content": text});
        let key = format!("{}-note", begun.name);
        let (outcome, _) = self.beside("/messages", &body, &key, when).await?;
        let is_done = outcome == Outcome::Done;
        self.log(Op::Posted { text, outcome });
        if is_done && when != WhenLocked::Enqueue {
            self.expect_ended(begun, "a message").await?;
        }
        Ok(())
    }

    /// Asks for a second run on the thread, with a message of its own.
    async fn intrude(&mut self, begun: &Begun, when: WhenLocked) -> anyhow::Result<Option<Begun>> {
        let name = format!("{}-beside", begun.name);
        let text = format!("A note with {name}.");
        let mut body = self.run_of(&name);
        body["additional_messages"] = json!([{"role": "user", "content": text}]);
        let (outcome, answer) = self.beside("/runs", &body, &name, when).await?;
        self.log(Op::Asked {
            name: name.clone(),
            text: Some(text),
            outcome,
        });
        if answer.is_none() {
            return Ok(None);
        }
        let found = self.find(&name, begun.question).await?;
        if let Some(other) = &found {
            self.know(other);
            if when != WhenLocked::Enqueue {
                self.expect_ended(begun, "a run").await?;
            }
        }
        Ok(found)
    }

    /// Asks for something on a thread that is locked, until there is an answer: whatever was lost, it
    /// is done once. What came of it, and what was made.
    async fn beside(
        &mut self,
        path: &str,
        body: &Value,
        key: &str,
        when: WhenLocked,
    ) -> anyhow::Result<(Outcome, Option<Value>)> {
        let path = self.path(path);
        let headers = [
            ("x-loomgate-when-locked", when.header()),
            ("idempotency-key", key),
        ];
        let mut was_lost = false;
        let (outcome, made) = loop {
            let answer = self.api.call(Method::POST, &path, Some(body), &headers);
            match answer.await {
                Answer::Done(made) => break (Outcome::Done, Some(made)),
                // A server that was frozen may yet carry the first one out.
                Answer::Refused(..) if was_lost => break (Outcome::Lost, None),
                Answer::Refused(status, body) if when == WhenLocked::Enqueue => {
                    bail!("POST {path} was not enqueued: {status} {body}")
                }
                refused @ Answer::Refused(..) => break (refused.into(), None),
                Answer::Lost => self.api.pause().await,
            }
            was_lost = true;
        };
        self.log(Op::Beside {
            when,
            outcome: outcome.clone(),
        });
        Ok((outcome, made))
    }

    /// The thread took `what`, so this run does not lock it any more.
    async fn expect_ended(&mut self, begun: &Begun, what: &str) -> anyhow::Result<()> {
        let run = self.see(&begun.run).await?;
        let status = &run["status"];
        let is_locking = status.as_str().is_some_and(is_active);
        ensure!(
            !is_locking,
            "{what} was taken while {} was {status}",
            begun.run
        );
        Ok(())
    }
}
