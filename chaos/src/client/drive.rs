//! Following a run to its end: by polling it, or by its stream.

use std::time::{Duration, Instant};

use anyhow::{bail, ensure};
use serde_json::{Value, json};

use super::{
    Begun, Client,
    meddle::{AtOutputs, Plan},
};
use crate::{
    api::{Answer, Next, Opened, Stream},
    events::Event,
    history::{Op, Outcome, is_active, text},
    question::right_output,
};

/// By then a run has to have come to its end. Far below its expiry.
const LONGEST: Duration = Duration::from_mins(4);

impl Client {
    /// Follows a run to its end. Whether the thread is free then.
    pub(super) async fn drive(&mut self, mut begun: Begun, mut plan: Plan) -> anyhow::Result<bool> {
        let since = Instant::now();
        let mut others = Vec::new();
        loop {
            ensure!(since.elapsed() < LONGEST, "{} does not end", begun.run);
            if plan.is_streamed {
                others.extend(self.follow(&mut begun, &mut plan).await?);
            }
            let run = self.see(&begun.run).await?;
            match run["status"].as_str().unwrap_or_default() {
                "requires_action" if plan.at_outputs == AtOutputs::Leave => return Ok(false),
                "requires_action" if plan.at_outputs == AtOutputs::Cancel => {
                    self.cancel(&begun.run).await;
                    // Its stream tells that as a leg of its own, which nobody reads here.
                    plan.is_streamed = false;
                }
                "requires_action" => {
                    begun.stream = self.submit(&begun, &run, &plan).await?;
                }
                status if !is_active(status) => break,
                // Cancelled where it waited: as above.
                "cancelling" => plan.is_streamed = false,
                status if plan.is_streamed => bail!("a leg of {} ended: {status}", begun.run),
                _ => {}
            }
            if !plan.is_streamed {
                plan.look();
                others.extend(self.meddle(&begun, &mut plan).await?);
                let pause = 5 + self.dice.below(40);
                tokio::time::sleep(Duration::from_millis(pause as u64)).await;
            }
        }
        for other in others {
            Box::pin(self.drive(other, Plan::quiet())).await?;
        }
        Ok(true)
    }

    /// Looks at a run.
    pub(super) async fn see(&mut self, run: &str) -> anyhow::Result<Value> {
        let seen = self.api.read(&self.path(&format!("/runs/{run}"))).await?;
        self.log(Op::Saw {
            run: run.to_owned(),
            status: text(&seen["status"]),
        });
        Ok(seen)
    }

    /// Reads a leg to its end, over all breaks. The runs that came in between.
    async fn follow(&mut self, begun: &mut Begun, plan: &mut Plan) -> anyhow::Result<Vec<Begun>> {
        let mut others = Vec::new();
        let mut events = std::mem::take(&mut begun.events);
        loop {
            let Some(mut stream) = begun.stream.take() else {
                begun.stream = self.reopen(&begun.run, &events).await?;
                continue;
            };
            loop {
                let event = match stream.next().await {
                    Next::Event(event) if event.id.is_some() => event,
                    // What only concerns this reader is as good as a break.
                    Next::Event(_) | Next::Broken => break,
                    Next::End => bail!("a stream of {} ended without `done`", begun.run),
                };
                let is_last = event.name == "done";
                events.push(event);
                if is_last {
                    self.log(Op::Read {
                        run: begun.run.clone(),
                        events,
                    });
                    return Ok(others);
                }
                let is_dropped = plan.look();
                others.extend(self.meddle(begun, plan).await?);
                if is_dropped {
                    break;
                }
            }
        }
    }

    /// Opens a run's stream behind the last event. None: there was no answer.
    async fn reopen(&mut self, run: &str, events: &[Event]) -> anyhow::Result<Option<Stream>> {
        let path = self.path(&format!("/runs/{run}/stream"));
        let last = events.last().and_then(|event| event.id);
        let last = last.map(|id| id.to_string());
        match self.api.open(&path, None, last.as_deref()).await {
            Opened::Stream(stream) => Ok(Some(stream)),
            Opened::Refused(status, body) => {
                bail!("the stream of {run} behind {last:?}: {status} {body}")
            }
            Opened::Lost => {
                self.api.pause().await;
                Ok(None)
            }
        }
    }

    /// Hands in the right outputs until they are taken. The next leg's stream, if it is wanted and
    /// came.
    async fn submit(
        &mut self,
        begun: &Begun,
        waiting: &Value,
        plan: &Plan,
    ) -> anyhow::Result<Option<Stream>> {
        let calls = pending(waiting);
        ensure!(!calls.is_empty(), "{} waits for nothing", begun.run);
        let path = self.path(&format!("/runs/{}/submit_tool_outputs", begun.run));
        let mut stream = None;
        let are_taken = loop {
            let mut body = body(&calls, "");
            body["stream"] = plan.is_streamed.into();
            let outcome = if plan.is_streamed {
                match self.api.open(&path, Some(&body), None).await {
                    Opened::Stream(opened) => {
                        stream = Some(opened);
                        Outcome::Done
                    }
                    Opened::Refused(status, body) => Outcome::Refused(format!("{status} {body}")),
                    Opened::Lost => Outcome::Lost,
                }
            } else {
                self.api.post(&path, &body).await.into()
            };
            self.submitted(&begun.run, &calls, outcome.clone());
            match outcome {
                Outcome::Done => break true,
                Outcome::Refused(why) => bail!("outputs of {} were refused: {why}", begun.run),
                Outcome::Lost => self.api.pause().await,
            }
            let run = self.see(&begun.run).await?;
            if pending(&run) != calls {
                // A cancellation whose answer was lost may have come before them.
                let status = run["status"].as_str().unwrap_or_default();
                break !matches!(status, "cancelling" | "cancelled" | "expired");
            }
        };
        if plan.at_outputs == AtOutputs::SubmitTwice {
            // The run is returned as it is, also if it has gone on to its next calls.
            let again = self.api.post(&path, &body(&calls, "")).await;
            if let Answer::Refused(status, body) = &again
                && are_taken
            {
                bail!(
                    "outputs of {} were refused the second time: {status} {body}",
                    begun.run
                );
            }
            self.submitted(&begun.run, &calls, again.into());
            if let Answer::Done(run) = self.api.post(&path, &body(&calls, "another ")).await {
                bail!("other outputs were taken, too: {run}");
            }
        }
        Ok(stream)
    }

    fn submitted(&mut self, run: &str, calls: &[Pending], outcome: Outcome) {
        let output = |call: &Pending| (call.id.clone(), call.right.clone());
        self.log(Op::Submitted {
            run: run.to_owned(),
            outputs: calls.iter().map(output).collect(),
            outcome,
        });
    }
}

/// A call that a run waits for. A turn that is asked for again calls by the same ids, which the server
/// then replaces by others, so what is right follows from the arguments.
#[derive(Debug, PartialEq, Eq)]
struct Pending {
    id: String,
    right: String,
}

/// The calls that a run waits for.
fn pending(run: &Value) -> Vec<Pending> {
    let calls = &run["required_action"]["submit_tool_outputs"]["tool_calls"];
    let calls = calls.as_array().into_iter().flatten();
    let pending = |call: &Value| {
        let arguments = text(&call["function"]["arguments"]);
        let arguments: Value = serde_json::from_str(&arguments).unwrap_or_default();
        Pending {
            id: text(&call["id"]),
            right: right_output(&text(&arguments["of"])),
        }
    };
    calls.map(pending).collect()
}

/// What is handed in to a run that waits.
pub(crate) fn right_outputs(run: &Value) -> Value {
    body(&pending(run), "")
}

fn body(calls: &[Pending], prefix: &str) -> Value {
    let output = |Pending { id, right }: &Pending| json!({"tool_call_id": id, "output": format!("{prefix}{right}")});
    let outputs: Vec<_> = calls.iter().map(output).collect();
    json!({ "tool_outputs": outputs })
}
