//! What a client does to a run while it goes on.

use anyhow::ensure;
use loomgate_bench::statistics::Dice;
use serde_json::json;

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
        Self {
            is_streamed,
            at_outputs: match dice.below(48) {
                0 => AtOutputs::Leave,
                1..=6 if may_cancel => AtOutputs::Cancel,
                7..=22 => AtOutputs::SubmitTwice,
                _ => AtOutputs::Submit,
            },
            drops_at,
            modifies_at,
            cancels_at: cancels_at.filter(|_| may_cancel),
            intrudes_at,
            posts_at,
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
            self.post_beside(begun).await?;
        }
        if plan.intrudes_at == now {
            return self.intrude(begun).await;
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

    /// Posts a message where none is taken while the run is active.
    async fn post_beside(&mut self, begun: &Begun) -> anyhow::Result<()> {
        let text = format!("A note beside {}.", begun.name);
        if self.post(&text).await == Outcome::Done {
            self.expect_ended(begun, "a message").await?;
        }
        Ok(())
    }

    /// Asks for a second run on the thread.
    async fn intrude(&mut self, begun: &Begun) -> anyhow::Result<Option<Begun>> {
        let name = format!("{}-beside", begun.name);
        let body = self.run_of(&name);
        let answer = self.api.post(&self.path("/runs"), &body).await;
        let is_refused = matches!(answer, Answer::Refused(..));
        self.log(Op::Asked {
            name: name.clone(),
            text: None,
            outcome: answer.into(),
        });
        if is_refused {
            return Ok(None);
        }
        let found = self.find(&name, begun.question).await?;
        if let Some(other) = &found {
            self.know(other);
            self.expect_ended(begun, "a run").await?;
        }
        Ok(found)
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
