//! A client: it makes threads, asks questions in them, follows the runs, and writes down what it
//! did and was told. What it does follows from the seed; an answer that was lost is looked for.

mod drive;
mod look;
mod meddle;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Instant,
};

use anyhow::bail;
use loomgate_bench::statistics::Dice;
use serde_json::{Value, json};

pub(crate) use self::{
    drive::right_outputs,
    look::look,
    meddle::{AtOutputs, Plan, WhenLocked},
};
use crate::{
    api::{Answer, Api, Next, Opened, Stream},
    events::Event,
    history::{History, Message, Op, Outcome, text},
    question::Question,
};

/// Questions that one client has numbers for.
const QUESTIONS: u32 = 100_000;

/// What all clients share.
pub(crate) struct Shared {
    pub(crate) began: Instant,
    /// No new run is begun.
    pub(crate) is_over: AtomicBool,
    /// Runs that have ended, as far as clients know.
    pub(crate) ended: AtomicU64,
}

/// A question, and what is done about it.
#[derive(Debug, Clone)]
pub(crate) struct Round {
    pub(crate) question: Question,
    /// Its message is one of the run's.
    pub(crate) comes_with_run: bool,
    pub(crate) plan: Plan,
}

/// One client. It has one thread at a time.
pub(crate) struct Client {
    shared: Arc<Shared>,
    api: Api,
    assistant: String,
    may_cancel: bool,
    next_number: u32,
    dice: Dice,
    history: History,
}

/// A run that was begun.
struct Begun {
    run: String,
    name: String,
    question: Question,
    /// Its stream, if it was asked for and came.
    stream: Option<Stream>,
    /// What was read of it.
    events: Vec<Event>,
}

impl Client {
    /// The client `index` of a seed.
    pub(crate) fn new(
        shared: &Arc<Shared>,
        api: Api,
        assistant: &str,
        (seed, index): (u64, u32),
    ) -> Self {
        Self {
            shared: Arc::clone(shared),
            api,
            assistant: assistant.to_owned(),
            may_cancel: crate::stage::may_cancel(index),
            next_number: index * QUESTIONS,
            dice: Dice::new(seed ^ (u64::from(index) << 32)),
            history: History::default(),
        }
    }

    /// Works until all is over. One history for each thread.
    pub(crate) async fn work(mut self) -> Vec<History> {
        let mut histories = Vec::new();
        while !self.is_over() {
            if let Err(error) = self.thread().await {
                let what = error.to_string();
                self.log(Op::Wrong { what });
            }
            histories.push(std::mem::take(&mut self.history));
        }
        histories
    }

    fn is_over(&self) -> bool {
        self.shared.is_over.load(Ordering::Relaxed)
    }

    fn log(&mut self, op: Op) {
        let at_ms = self.shared.began.elapsed().as_millis();
        let at_ms = u64::try_from(at_ms).unwrap_or(u64::MAX);
        self.history.entries.push((at_ms, op));
    }

    /// Plays rounds on one thread, whatever becomes of it. The thread's history.
    pub(crate) async fn play(mut self, rounds: Vec<Round>) -> History {
        if let Err(error) = self.try_play(rounds).await {
            let what = error.to_string();
            self.log(Op::Wrong { what });
        }
        self.history
    }

    async fn try_play(&mut self, rounds: Vec<Round>) -> anyhow::Result<()> {
        self.open_thread().await?;
        for round in rounds {
            if !self.round(round).await? {
                break;
            }
            self.list().await?;
        }
        Ok(())
    }

    async fn open_thread(&mut self) -> anyhow::Result<()> {
        self.history.thread = loop {
            match self.api.post("/threads", &json!({})).await {
                Answer::Done(thread) => break text(&thread["id"]),
                Answer::Refused(status, body) => bail!("POST /threads: {status} {body}"),
                Answer::Lost => self.api.pause().await,
            }
        };
        Ok(())
    }

    /// The life of one thread.
    async fn thread(&mut self) -> anyhow::Result<()> {
        self.open_thread().await?;
        for _ in 0..=self.dice.below(4) {
            if self.is_over() {
                break;
            }
            let round = self.draw();
            if !self.round(round).await? {
                break;
            }
            if self.dice.below(3) == 0 {
                self.list().await?;
            }
        }
        Ok(())
    }

    /// The next round, as the dice fall.
    fn draw(&mut self) -> Round {
        self.next_number += 1;
        let question = Question {
            number: self.next_number,
            rounds: [0, 0, 1, 2][self.dice.below(4)],
        };
        Round {
            question,
            plan: Plan::draw(&mut self.dice, self.may_cancel),
            comes_with_run: self.dice.below(3) == 0,
        }
    }

    /// A question and its run. Whether the thread is free again.
    async fn round(&mut self, round: Round) -> anyhow::Result<bool> {
        let Round {
            question,
            comes_with_run,
            plan,
        } = round;
        if !comes_with_run {
            self.ask(question).await?;
        }
        let begun = self
            .begin(question, comes_with_run, plan.is_streamed)
            .await?;
        let is_free = self.drive(begun, plan).await?;
        self.shared
            .ended
            .fetch_add(u64::from(is_free), Ordering::Relaxed);
        Ok(is_free)
    }

    /// The path of something in the thread.
    fn path(&self, rest: &str) -> String {
        format!("/threads/{}{rest}", self.history.thread)
    }

    /// Posts a question until it is there.
    async fn ask(&mut self, question: Question) -> anyhow::Result<()> {
        for attempt in 1.. {
            let text = question.text(attempt);
            match self.post(&text).await {
                Outcome::Done => break,
                Outcome::Refused(why) => bail!("a message to a free thread was refused: {why}"),
                Outcome::Lost => self.api.pause().await,
            }
            if self
                .list()
                .await?
                .iter()
                .any(|message| message.text == text)
            {
                break;
            }
        }
        Ok(())
    }

    async fn post(&mut self, text: &str) -> Outcome {
        let body = json!({"role": "user", "content": text});
        let answer = self.api.post(&self.path("/messages"), &body).await;
        let outcome = Outcome::from(answer);
        let text = text.to_owned();
        self.log(Op::Posted {
            text,
            outcome: outcome.clone(),
        });
        outcome
    }

    /// All messages, oldest first.
    async fn list(&mut self) -> anyhow::Result<Vec<Message>> {
        let list = self
            .api
            .read(&self.path("/messages?order=asc&limit=100"))
            .await?;
        let list = list["data"].as_array().into_iter().flatten();
        let messages: Vec<_> = list.map(Message::of).collect();
        let finished = messages.iter().filter(|message| message.is_finished);
        let ids = finished.map(|message| message.id.clone()).collect();
        self.log(Op::Listed { messages: ids });
        Ok(messages)
    }

    /// Asks for a run until it is there.
    async fn begin(
        &mut self,
        question: Question,
        comes_with_run: bool,
        is_streamed: bool,
    ) -> anyhow::Result<Begun> {
        let mut lost = Vec::new();
        for attempt in 1.. {
            let name = format!("{}-{attempt}", question.number);
            let text = comes_with_run.then(|| question.text(attempt));
            let mut body = self.run_of(&name);
            body["stream"] = is_streamed.into();
            if let Some(text) = &text {
                body["additional_messages"] = json!([{"role": "user", "content": text}]);
            }
            let (outcome, begun) = self.create(&body, question).await?;
            self.log(Op::Asked {
                name: name.clone(),
                text,
                outcome: outcome.clone(),
            });
            if let Some(mut begun) = begun {
                begun.name = name;
                self.know(&begun);
                return Ok(begun);
            }
            if outcome == Outcome::Lost {
                lost.push(name);
                self.api.pause().await;
            }
            // One that was lost may be there, and may have come after it was looked for.
            for name in &lost {
                if let Some(begun) = self.find(name, question).await? {
                    self.know(&begun);
                    return Ok(begun);
                }
            }
            let refused = matches!(outcome, Outcome::Refused(_));
            anyhow::ensure!(!refused, "a run on a free thread was refused: {outcome:?}");
        }
        bail!("no attempt is left")
    }

    fn know(&mut self, begun: &Begun) {
        self.log(Op::Known {
            run: begun.run.clone(),
            name: begun.name.clone(),
            question: begun.question,
        });
    }

    /// What a run is asked for with.
    fn run_of(&self, name: &str) -> Value {
        json!({
            "assistant_id": self.assistant,
            "metadata": {"name": name, "number": "0"},
        })
    }

    /// One attempt. None: nobody knows, or it was refused.
    async fn create(
        &mut self,
        body: &Value,
        question: Question,
    ) -> anyhow::Result<(Outcome, Option<Begun>)> {
        let path = self.path("/runs");
        let begun = |run| Begun {
            run,
            name: String::new(),
            question,
            stream: None,
            events: Vec::new(),
        };
        if body["stream"] != true {
            let answer = self.api.post(&path, body).await;
            let run = match &answer {
                Answer::Done(run) => Some(begun(text(&run["id"]))),
                Answer::Refused(..) | Answer::Lost => None,
            };
            return Ok((Outcome::from(answer), run));
        }
        let mut stream = match self.api.open(&path, Some(body), None).await {
            Opened::Stream(stream) => stream,
            Opened::Refused(status, body) => {
                return Ok((Outcome::Refused(format!("{status} {body}")), None));
            }
            Opened::Lost => return Ok((Outcome::Lost, None)),
        };
        let Next::Event(event) = stream.next().await else {
            return Ok((Outcome::Lost, None));
        };
        anyhow::ensure!(
            event.name == "thread.run.created",
            "it began with {event:?}"
        );
        let run: Value = serde_json::from_str(&event.data)?;
        let begun = Begun {
            stream: Some(stream),
            events: vec![event],
            ..begun(text(&run["id"]))
        };
        Ok((Outcome::Done, Some(begun)))
    }

    /// A run by its name.
    async fn find(&mut self, name: &str, question: Question) -> anyhow::Result<Option<Begun>> {
        let list = self.api.read(&self.path("/runs?limit=100")).await?;
        let mut list = list["data"].as_array().into_iter().flatten();
        let found = list.find(|run| run["metadata"]["name"] == name);
        Ok(found.map(|run| Begun {
            run: text(&run["id"]),
            name: name.to_owned(),
            question,
            stream: None,
            events: Vec::new(),
        }))
    }
}

impl From<Answer> for Outcome {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Done(_) => Self::Done,
            Answer::Refused(status, body) => Self::Refused(format!("{status} {body}")),
            Answer::Lost => Self::Lost,
        }
    }
}
