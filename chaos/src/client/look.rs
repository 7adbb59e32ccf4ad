//! What stands in a thread in the end.

use std::time::{Duration, Instant};

use anyhow::ensure;
use loomgate_bench::statistics::Dice;
use serde_json::{Value, json};

use crate::{
    api::{Answer, Api, Next, Opened},
    events::{Event, EventId},
    history::{Facts, History, Message, Op, Run, Step, is_active},
};

/// How long runs may take to end, once nothing disturbs them.
const LONGEST: Duration = Duration::from_mins(2);

/// Waits until the runs of a thread have ended, or wait for their client; then reads everything.
pub(crate) async fn look(api: &Api, history: &History, dice: &mut Dice) -> anyhow::Result<Facts> {
    let at = |rest: &str| format!("/threads/{}{rest}", history.thread);
    let began = Instant::now();
    let runs = loop {
        let runs = list(api, &at("/runs?order=asc&limit=100")).await?;
        let works = |run: &Value| {
            let status = run["status"].as_str().unwrap_or_default();
            is_active(status) && status != "requires_action"
        };
        // Those that do not end are seen by the checker.
        if began.elapsed() > LONGEST || !runs.iter().any(works) {
            break runs;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    let mut facts = Facts::default();
    for json in &runs {
        facts.runs.push(run(api, history, json).await?);
    }
    let messages = list(api, &at("/messages?order=asc&limit=100")).await?;
    facts.messages = messages.iter().map(Message::of).collect();
    for (_, op) in &history.entries {
        let Op::Read { run, events } = op else {
            continue;
        };
        let any = &events[dice.below(events.len())];
        for id in [events.first(), Some(any)].into_iter().flatten() {
            if let Some(id) = id.id {
                let replay = replay(api, &at(&format!("/runs/{run}/stream")), id).await?;
                facts.replays.push((run.clone(), id, replay));
            }
        }
    }
    facts.locked = free(api, history, &mut facts.runs).await?;
    Ok(facts)
}

/// A run with its steps.
async fn run(api: &Api, history: &History, json: &Value) -> anyhow::Result<Run> {
    let mut run = Run::of(json);
    let steps = format!("/threads/{}/runs/{}/steps", history.thread, run.id);
    let steps = list(api, &format!("{steps}?order=asc&limit=100")).await?;
    run.steps = steps.iter().map(Step::of).collect();
    Ok(run)
}

/// A list that fits into one page.
async fn list(api: &Api, path: &str) -> anyhow::Result<Vec<Value>> {
    let mut list = api.read(path).await?;
    ensure!(list["has_more"] == false, "{path}: more than one page");
    match list["data"].take() {
        Value::Array(items) => Ok(items),
        other => anyhow::bail!("{path}: {other}"),
    }
}

/// Reads a leg behind an event.
async fn replay(api: &Api, path: &str, after: EventId) -> anyhow::Result<Vec<Event>> {
    let mut stream = match api.open(path, None, Some(&after.to_string())).await {
        Opened::Stream(stream) => stream,
        Opened::Refused(status, body) => anyhow::bail!("{path} behind {after}: {status} {body}"),
        Opened::Lost => anyhow::bail!("{path} behind {after}: no answer"),
    };
    let mut events = Vec::new();
    loop {
        match stream.next().await {
            Next::Event(event) => events.push(event),
            Next::End => return Ok(events),
            Next::Broken => anyhow::bail!("{path} behind {after}: broke off"),
        }
    }
}

/// Cancels what waits for its client, and posts a message. What it was refused with. What those runs
/// took is told once they have ended.
async fn free(api: &Api, history: &History, runs: &mut [Run]) -> anyhow::Result<Option<String>> {
    let at = |rest: &str| format!("/threads/{}{rest}", history.thread);
    for waiting in runs {
        if waiting.status != "requires_action" {
            continue;
        }
        let path = at(&format!("/runs/{}", waiting.id));
        api.post(&format!("{path}/cancel"), &json!({})).await;
        let began = Instant::now();
        let ended = loop {
            let now = api.read(&path).await?;
            if now["status"] != "cancelling" || began.elapsed() > LONGEST {
                break now;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        let ended = run(api, history, &ended).await?;
        (waiting.usage, waiting.steps) = (ended.usage, ended.steps);
    }
    let body = json!({"role": "user", "content": "Is anybody there?"});
    Ok(match api.post(&at("/messages"), &body).await {
        Answer::Done(_) => None,
        Answer::Refused(status, body) => Some(format!("{status} {body}")),
        Answer::Lost => Some("no answer".to_owned()),
    })
}
