//! A model that answers every question as [`Question`] says, in one piece or streamed.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::Context as _;
use loomgate_bench::statistics::Dice;
use serde_json::{Value, json};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

use super::{Request, answer};
use crate::question::{Question, Usage};

/// The pauses of an even pace.
const EVEN: Duration = Duration::from_millis(3);
const SPARING: Duration = Duration::from_millis(30);
const SLOW: Duration = Duration::from_millis(1_500);

/// What it makes vectors of after [`A_WHILE`].
pub(crate) const LINGERING: &str = "This takes a while.";
/// Longer than a lease of a second is left alone.
const A_WHILE: Duration = Duration::from_millis(500);
/// What it makes no vectors of.
pub(crate) const UNEMBEDDABLE: &str = "There are no vectors of this.";

/// How it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// In some 10 to 600 ms, which the question's number decides; few take several seconds.
    Lively,
    /// In 3 ms and 3 ms a word. A question whose number ends with 0 waits a second and a half for its
    /// first; one whose number ends with 5 waits 30 ms for each, so that a server stores what it told before
    /// the end.
    Even,
    /// It never does.
    Never,
}

/// How far an answer is that is being given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Nothing was said yet.
    Silent,
    /// Its head, and perhaps some words.
    Telling,
}

/// What it is doing, and was asked.
#[derive(Debug, Default)]
struct Book {
    live: HashMap<u32, Stage>,
    asked: HashMap<u32, u32>,
}

/// Serves until it is dropped.
pub(crate) struct StandIn {
    pub(crate) address: SocketAddr,
    book: Arc<Mutex<Book>>,
    _serving: JoinSet<()>,
}

impl StandIn {
    /// On a free port.
    pub(crate) async fn start(pace: Pace) -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let book = Arc::default();
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, Arc::clone(&book), pace));
        Ok(Self {
            address,
            book,
            _serving: serving,
        })
    }

    /// The questions that are being answered, by number.
    pub(crate) fn live(&self) -> HashMap<u32, Stage> {
        lock(&self.book).live.clone()
    }

    /// How many different questions were asked since they were last forgotten.
    pub(crate) fn asked(&self) -> usize {
        lock(&self.book).asked.len()
    }

    /// Forgets what was asked.
    pub(crate) fn forget(&self) {
        lock(&self.book).asked.clear();
    }
}

/// A question while it is being answered.
struct Live {
    book: Arc<Mutex<Book>>,
    number: u32,
}

impl Live {
    fn begin(book: &Arc<Mutex<Book>>, number: u32) -> Self {
        let mut open = lock(book);
        open.live.insert(number, Stage::Silent);
        *open.asked.entry(number).or_default() += 1;
        Self {
            book: Arc::clone(book),
            number,
        }
    }

    fn tell(&self) {
        lock(&self.book).live.insert(self.number, Stage::Telling);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        lock(&self.book).live.remove(&self.number);
    }
}

async fn serve(listener: TcpListener, book: Arc<Mutex<Book>>, pace: Pace) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let book = Arc::clone(&book);
        connections.spawn(async move {
            // A client that went away is no fault of anybody's.
            let _ = converse(stream, &book, pace).await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// One request and its answer.
async fn converse(
    mut stream: TcpStream,
    book: &Arc<Mutex<Book>>,
    pace: Pace,
) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let request = Request::read(&mut stream).await?;
    if request.path().ends_with("/threads") {
        let thread = r#"{"id":"thread_there","object":"thread"}"#;
        return answer(&mut stream, "200 OK", thread).await;
    }
    let body: Value = serde_json::from_slice(request.body())?;
    if request.path().ends_with("/embeddings") {
        let Some(made) = embeddings(&body) else {
            let refusal = r#"{"error":{"message":"not that"}}"#;
            return answer(&mut stream, "400 Bad Request", refusal).await;
        };
        if takes_a_while(&body) {
            tokio::time::sleep(A_WHILE).await;
        }
        return answer(&mut stream, "200 OK", &made.to_string()).await;
    }
    let Some(turn) = Turn::of(&body) else {
        return answer(
            &mut stream,
            "400 Bad Request",
            r#"{"error":{"message":"no question"}}"#,
        )
        .await;
    };
    let live = Live::begin(book, turn.question.number);
    if pace == Pace::Never {
        // Until the client leaves.
        stream.readable().await?;
        return Ok(());
    }
    let mut pauses = Pauses::of(&turn, pace);
    tokio::time::sleep(pauses.first()).await;
    live.tell();
    if body["stream"] != true {
        return answer(&mut stream, "200 OK", &turn.whole().to_string()).await;
    }
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\
                transfer-encoding: chunked\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await?;
    for delta in turn.deltas() {
        let choice = json!({"index": 0, "delta": delta, "finish_reason": null});
        let event = json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]});
        send(&mut stream, &format!("data: {event}\n\n")).await?;
        tokio::time::sleep(pauses.next()).await;
    }
    // The end is one piece, so that a cut takes all of it or nothing.
    let choice = json!({"index": 0, "delta": {}, "finish_reason": turn.reason()});
    let last = json!({"id": "c", "object": "chat.completion.chunk", "choices": [choice]});
    let usage = json!({"id": "c", "choices": [], "usage": turn.usage().json()});
    let end = format!("data: {last}\n\ndata: {usage}\n\ndata: [DONE]\n\n");
    send(&mut stream, &end).await?;
    stream.write_all(b"0\r\n\r\n").await?;
    Ok(())
}

/// Whether the vectors are long in coming.
fn takes_a_while(body: &Value) -> bool {
    let texts = body["input"].as_array().into_iter().flatten();
    texts.into_iter().any(|text| text == LINGERING)
}

/// Vectors of texts, the same for the same text; none where there is one that it refuses.
fn embeddings(body: &Value) -> Option<Value> {
    let texts = body["input"].as_array()?.iter();
    let vector = |text: &Value| {
        let text = text.as_str().filter(|text| *text != UNEMBEDDABLE)?;
        let sum: u64 = text.bytes().map(u64::from).sum();
        let numbers = json!([1, text.len() % 89, sum % 97, sum % 13]);
        Some(json!({"object": "embedding", "embedding": numbers}))
    };
    let data: Vec<Value> = texts.map(vector).collect::<Option<_>>()?;
    Some(json!({"object": "list", "model": "embedder", "data": data}))
}

/// How long it thinks.
enum Pauses {
    Lively { dice: Dice, slowness: usize },
    Even { first: Duration, next: Duration },
}

impl Pauses {
    fn of(turn: &Turn, pace: Pace) -> Self {
        let number = turn.question.number;
        if pace == Pace::Even {
            let (first, next) = match number % 10 {
                0 => (SLOW, EVEN),
                5 => (EVEN, SPARING),
                _ => (EVEN, EVEN),
            };
            return Self::Even { first, next };
        }
        let mut dice = Dice::new(u64::from(number) << 8 | u64::from(turn.number));
        let slowness = if dice.below(25) == 0 { 10 } else { 1 };
        Self::Lively { dice, slowness }
    }

    /// Before its first word.
    fn first(&mut self) -> Duration {
        match self {
            Self::Lively { dice, slowness } => lively(dice, 80, *slowness),
            Self::Even { first, .. } => *first,
        }
    }

    /// Behind a word.
    fn next(&mut self) -> Duration {
        match self {
            Self::Lively { dice, slowness } => lively(dice, 12, *slowness),
            Self::Even { next, .. } => *next,
        }
    }
}

fn lively(dice: &mut Dice, limit: usize, slowness: usize) -> Duration {
    Duration::from_millis((dice.below(limit) * slowness) as u64)
}

/// Sends a text as a chunk.
async fn send(stream: &mut TcpStream, text: &str) -> anyhow::Result<()> {
    let chunk = format!("{:x}\r\n{text}\r\n", text.len());
    stream
        .write_all(chunk.as_bytes())
        .await
        .context("the client left")
}

/// What is asked of the model.
struct Turn {
    question: Question,
    /// From 0.
    number: u32,
    /// What the calls before it gave.
    outputs: Vec<String>,
}

impl Turn {
    /// The last question in a conversation, and how far it is with it.
    fn of(body: &Value) -> Option<Self> {
        let messages = body["messages"].as_array()?;
        let (at, question) = messages
            .iter()
            .enumerate()
            .rev()
            .find_map(|(at, message)| {
                let text = text_of(&message["content"]);
                let asked = (message["role"] == "user").then(|| Question::parse(&text));
                Some((at, asked??))
            })?;
        let after = &messages[at + 1..];
        let turns = after
            .iter()
            .filter(|message| message["tool_calls"].is_array());
        let outputs = after.iter().filter(|message| message["role"] == "tool");
        Some(Self {
            question,
            number: u32::try_from(turns.count()).ok()?,
            outputs: outputs
                .map(|message| text_of(&message["content"]))
                .collect(),
        })
    }

    fn is_answer(&self) -> bool {
        self.number >= self.question.rounds
    }

    fn reason(&self) -> &'static str {
        if self.is_answer() {
            "stop"
        } else {
            "tool_calls"
        }
    }

    fn usage(&self) -> Usage {
        self.question.usage(self.number)
    }

    /// The calls, each with its number in its round.
    fn calls(&self) -> impl Iterator<Item = Value> {
        let calls = self.question.calls(self.number).into_iter().enumerate();
        calls.map(|(index, id)| {
            let arguments = json!({ "of": id }).to_string();
            let function = json!({"name": "look_up", "arguments": arguments});
            json!({"index": index, "id": id, "type": "function", "function": function})
        })
    }

    fn deltas(&self) -> Vec<Value> {
        if self.is_answer() {
            let pieces = self.question.pieces(&self.outputs).into_iter();
            pieces.map(|piece| json!({ "content": piece })).collect()
        } else {
            self.calls()
                .map(|call| json!({"tool_calls": [call]}))
                .collect()
        }
    }

    /// A completion in one piece.
    fn whole(&self) -> Value {
        let message = if self.is_answer() {
            json!({"role": "assistant", "content": self.question.pieces(&self.outputs).concat()})
        } else {
            let calls: Vec<_> = self.calls().collect();
            json!({"role": "assistant", "content": null, "tool_calls": calls})
        };
        let choice = json!({"index": 0, "message": message, "finish_reason": self.reason()});
        json!({
            "id": "c",
            "object": "chat.completion",
            "choices": [choice],
            "usage": self.usage().json(),
        })
    }
}

/// A content, which is a text or a list of parts.
fn text_of(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect(),
        _ => String::new(),
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_told_by_what_stands_behind_the_last_question() {
        let question = Question {
            number: 5,
            rounds: 1,
        };
        let calls = json!([{"id": "call_5_0_0"}]);
        let mut messages = vec![
            json!({"role": "user", "content": "Question 4 of 0 rounds, attempt 1"}),
            json!({"role": "assistant", "content": "Answer 4:"}),
            json!({"role": "user", "content": [{"type": "text", "text": question.text(1)}]}),
            json!({"role": "user", "content": "A note."}),
        ];
        let turn = Turn::of(&json!({ "messages": messages })).unwrap();
        assert_eq!((turn.question, turn.number), (question, 0));
        assert_eq!(turn.whole()["choices"][0]["finish_reason"], "tool_calls");
        messages.push(json!({"role": "assistant", "tool_calls": calls}));
        messages.push(json!({"role": "tool", "content": "output of call_5_0_0"}));
        let turn = Turn::of(&json!({ "messages": messages })).unwrap();
        assert_eq!(turn.number, 1);
        let said = &turn.whole()["choices"][0]["message"]["content"];
        assert!(said.as_str().unwrap().ends_with(" [output of call_5_0_0]"));
    }
}
