//! A client of runs: makes one, follows it, hands in what its functions gave, and reads the answer.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use crate::{
    api::{Api, id, text},
    events::{Events, field},
    frame::load::{self, Caller},
    http::encode,
    model::{Answer, FUNCTION, Question},
    server::Server,
};

/// How a client follows a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// `GET /runs/{run_id}` after 1 ms, 2 ms, 4 ms, .., then the newest message.
    Polled,
    /// `stream: true`
    Streamed,
}

impl Form {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Polled => "polled",
            Self::Streamed => "streamed",
        }
    }
}

/// The pauses before the first look at a run, and between any two.
const PAUSES: [Duration; 2] = [Duration::from_millis(1), Duration::from_millis(16)];

/// Tokens of an answer.
const TOKENS: usize = 8;
/// Runs that one client has in a block, at most.
const NUMBERS: u64 = 1_000_000;

/// Numbers of questions that were given out: none is asked twice.
#[derive(Debug, Default)]
pub(crate) struct Asked(u64);

impl Asked {
    /// The first question of each client of a block, with so many function calls.
    pub(crate) fn by(&mut self, clients: u32, calls: usize) -> impl Iterator<Item = Question> {
        let first = self.0;
        self.0 += u64::from(clients) * NUMBERS;
        (0..clients).map(move |client| Question {
            number: first + u64::from(client) * NUMBERS,
            calls,
            tokens: TOKENS,
            gap: Duration::ZERO,
        })
    }
}

/// One client.
pub(crate) struct Client {
    api: Api,
    assistant: String,
    /// The next.
    question: Question,
    form: Form,
}

/// Makes an assistant with a function.
pub(crate) async fn assistant(server: &Server) -> anyhow::Result<String> {
    let function = json!({"name": FUNCTION, "parameters": {"type": "object", "properties": {}}});
    let body = json!({"model": "m", "tools": [{"type": "function", "function": function}]});
    id(&Api::of(server).await?.post("/v1/assistants", &body).await?)
}

/// The body that makes a thread and a run.
pub(crate) fn body(assistant: &str, question: Question, stream: bool) -> Value {
    let message = json!({"role": "user", "content": question.text()});
    json!({"assistant_id": assistant, "thread": {"messages": [message]}, "stream": stream})
}

impl Client {
    pub(crate) async fn open(
        server: &Server,
        assistant: &str,
        question: Question,
        form: Form,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            api: Api::of(server).await?,
            assistant: assistant.to_owned(),
            question,
            form,
        })
    }

    async fn poll(&mut self) -> anyhow::Result<()> {
        let body = body(&self.assistant, self.question, false);
        let mut run = self.api.post("/v1/threads/runs", &body).await?;
        let thread = text(&run, "thread_id")?;
        let path = format!("/v1/threads/{thread}/runs/{}", id(&run)?);
        let (mut calls, mut pause) = (0, PAUSES[0]);
        loop {
            match run["status"].as_str().unwrap_or_default() {
                "queued" | "in_progress" => {
                    load::at(Instant::now() + pause).await;
                    pause = (pause * 2).min(PAUSES[1]);
                    run = self.api.get(&path).await?;
                }
                "requires_action" => {
                    let submit = format!("{path}/submit_tool_outputs");
                    run = self.api.post(&submit, &outputs(&run)?).await?;
                    (calls, pause) = (calls + 1, PAUSES[0]);
                }
                "completed" => break,
                status => bail!("a run is {status}"),
            }
        }
        ensure!(calls == self.question.calls, "{calls} function calls");
        let path = format!("/v1/threads/{thread}/messages?limit=1");
        let page = self.api.get(&path).await?;
        let message = &page["data"][0];
        ensure!(message["run_id"] == run["id"], "a wrong message: {message}");
        self.check(message)
    }

    async fn stream(&mut self) -> anyhow::Result<()> {
        ensure!(self.question.calls == 0, "streams have no calls here");
        let body = body(&self.assistant, self.question, true).to_string();
        let request = encode("POST", "/v1/threads/runs", &self.api.key, &body);
        let mut events = Events::open(&mut self.api.connection, &request).await?;
        let (mut message, mut is_completed) = (None, false);
        while let Some(event) = events.next().await? {
            match field(event, "event: ") {
                Some(b"thread.message.completed") => {
                    let data = field(event, "data: ").context("no data")?;
                    message = Some(serde_json::from_slice(data)?);
                }
                Some(b"thread.run.completed") => is_completed = true,
                _ => {}
            }
        }
        ensure!(is_completed, "a stream ended before its run");
        self.check(&message.context("no message")?)
    }

    /// Error: not the answer to the question.
    fn check(&self, message: &Value) -> anyhow::Result<()> {
        let mut answer = Answer::to(self.question);
        answer.push(&text(&message["content"][0]["text"], "value")?)?;
        answer.is_whole()
    }
}

impl Caller for Client {
    async fn call(&mut self) -> anyhow::Result<()> {
        self.question.number += 1;
        match self.form {
            Form::Polled => self.poll().await,
            Form::Streamed => self.stream().await,
        }
    }
}

/// What the functions gave that a run waits for.
fn outputs(run: &Value) -> anyhow::Result<Value> {
    let calls = run["required_action"]["submit_tool_outputs"]["tool_calls"].as_array();
    let calls = calls.context("no calls")?.iter();
    let outputs: Vec<_> = calls
        .map(|call| json!({"tool_call_id": call["id"], "output": "42"}))
        .collect();
    Ok(json!({"tool_outputs": outputs}))
}
