//! A model that does what its question says: calls a function some times, then tells so many tokens, at once or
//! at a pace. Every token names its stream, its place in it, and the time at which it was told.

use std::{
    net::SocketAddr,
    sync::LazyLock,
    time::{Duration, Instant},
};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use futures::stream;
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response,
    body::{Frame, Incoming},
    header,
};
use serde_json::Value;
use tokio::sync::watch;

use crate::{
    events::{Events, string_at},
    frame::NO_KEY,
    http::Connection,
    stand_in::StandIn,
};

/// From which times are counted; of this process, which is both the model and its reader.
static EPOCH: LazyLock<Instant> = LazyLock::new(Instant::now);

/// Bytes of a token, its space included.
pub(crate) const TOKEN: usize = 33;
/// A function that the model calls.
pub(crate) const FUNCTION: &str = "look_up";
/// Between tokens: until the model is let go.
pub(crate) const HELD: Duration = Duration::MAX;
/// Whether models that hold go on.
static IS_LET_GO: LazyLock<watch::Sender<bool>> = LazyLock::new(|| watch::Sender::new(false));

/// What a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Question {
    /// Of the stream.
    pub(crate) number: u64,
    /// Function calls, one a turn, before the answer.
    pub(crate) calls: usize,
    /// Of the answer.
    pub(crate) tokens: usize,
    /// Between two of them; the first one comes at once.
    pub(crate) gap: Duration,
}

impl Question {
    /// What the user says.
    pub(crate) fn text(&self) -> String {
        let Self {
            number,
            calls,
            tokens,
            gap,
        } = self;
        let gap = u64::try_from(gap.as_micros()).unwrap_or(u64::MAX);
        format!("{number} {calls} {tokens} {gap}")
    }

    /// The body of a chat that asks it.
    pub(crate) fn chat(&self) -> String {
        let text = self.text();
        format!(
            r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"{text}"}}]}}"#
        )
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let numbers = text.split(' ').map(str::parse::<u64>);
        let numbers: Vec<_> = numbers.collect::<Result<_, _>>().context("no question")?;
        let [number, calls, tokens, gap] = numbers[..] else {
            anyhow::bail!("no question: {text}");
        };
        Ok(Self {
            number,
            calls: usize::try_from(calls)?,
            tokens: usize::try_from(tokens)?,
            gap: match gap {
                u64::MAX => HELD,
                micros => Duration::from_micros(micros),
            },
        })
    }

    fn token(&self, place: usize) -> String {
        let micros = EPOCH.elapsed().as_micros();
        format!("{:012}.{place:06}.{micros:012} ", self.number)
    }
}

/// Tokens of one answer, as they come: each has to be the next.
#[derive(Debug)]
pub(crate) struct Answer {
    question: Question,
    pub(crate) text: String,
    /// How many were looked at.
    read: usize,
    /// How long ago each had been told when it came; seconds.
    pub(crate) delays: Vec<f64>,
}

impl Answer {
    pub(crate) fn to(question: Question) -> Self {
        Self {
            question,
            text: String::new(),
            read: 0,
            delays: Vec::new(),
        }
    }

    /// Error: a token that is not the next.
    pub(crate) fn push(&mut self, text: &str) -> anyhow::Result<()> {
        self.text.push_str(text);
        while let Some(token) = self.text.get(self.read * TOKEN..(self.read + 1) * TOKEN) {
            let due = format!("{:012}.{:06}.", self.question.number, self.read);
            let micros = token.strip_prefix(&due);
            let micros = micros.with_context(|| format!("{token:?} where {due} was due"))?;
            let told = Duration::from_micros(micros.trim_end().parse()?);
            let delay = EPOCH.elapsed().saturating_sub(told);
            self.delays.push(delay.as_secs_f64());
            self.read += 1;
        }
        Ok(())
    }

    /// Reads the model's own stream.
    pub(crate) async fn read_chat(
        &mut self,
        connection: &mut Connection,
        request: &[u8],
    ) -> anyhow::Result<()> {
        let mut events = Events::open(connection, request).await?;
        while let Some(event) = events.next().await? {
            if let Some(text) = string_at(event, r#""content":""#) {
                self.push(text)?;
            }
        }
        Ok(())
    }

    /// Error: tokens are missing, or there are too many.
    pub(crate) fn is_whole(&self) -> anyhow::Result<()> {
        let due = self.question.tokens;
        ensure!(
            self.read == due && self.text.len() == due * TOKEN,
            "{} tokens of {due}",
            self.read
        );
        Ok(())
    }
}

/// Holds models whose questions say so, or lets them go.
pub(crate) fn hold(does_hold: bool) {
    IS_LET_GO.send_replace(!does_hold);
}

/// A configuration whose runs ask it, with what it says besides.
pub(crate) fn config(address: SocketAddr, besides: &str) -> String {
    format!(
        "default_virtual_key = \"model\"\n{besides}[virtual_keys.model]\nprovider = \"openai\"\n\
         base_url = \"http://{address}/v1\"\napi_key = \"{NO_KEY}\"\n"
    )
}

/// Starts it.
pub(crate) async fn start() -> anyhow::Result<StandIn> {
    LazyLock::force(&EPOCH);
    StandIn::serving(converse).await
}

type Body = UnsyncBoxBody<Bytes, std::convert::Infallible>;

async fn converse(request: Request<Incoming>) -> anyhow::Result<Response<Body>> {
    let body = request.into_body().collect().await?.to_bytes();
    let body: Value = serde_json::from_slice(&body)?;
    let messages = body["messages"].as_array().context("no messages")?;
    let said = |role: &'static str| {
        messages
            .iter()
            .filter(move |message| message["role"] == role)
    };
    let question = said("user")
        .next_back()
        .and_then(|message| message["content"].as_str());
    let question = Question::parse(question.context("no question")?)?;
    let body: Body = if said("tool").count() < question.calls {
        Full::from(call(&question, said("tool").count())).boxed_unsync()
    } else if question.gap.is_zero() {
        let told = (0..question.tokens).map(move |place| chunk(&question, place));
        StreamBody::new(stream::iter(
            told.chain([LAST.into()]).map(|data| Ok(Frame::data(data))),
        ))
        .boxed_unsync()
    } else {
        StreamBody::new(paced(question)).boxed_unsync()
    };
    let mut response = Response::new(body);
    let kind = header::HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(response)
}

type Told = Result<Frame<Bytes>, std::convert::Infallible>;

/// Tokens at a pace.
fn paced(question: Question) -> impl futures::Stream<Item = Told> {
    let began = tokio::time::Instant::now();
    stream::unfold(0, move |place| async move {
        if place > question.tokens {
            return None;
        }
        if place == question.tokens {
            return Some((Ok(Frame::data(LAST.into())), place + 1));
        }
        if question.gap == HELD {
            let mut waiting = IS_LET_GO.subscribe();
            // The sender is there for ever.
            let _ = waiting.wait_for(|is_let_go| *is_let_go || place == 0).await;
        } else {
            let due = question.gap * u32::try_from(place).unwrap_or(u32::MAX);
            tokio::time::sleep_until(began + due).await;
        }
        Some((Ok(Frame::data(chunk(&question, place))), place + 1))
    })
}

fn chunk(question: &Question, place: usize) -> Bytes {
    let token = question.token(place);
    format!(
        r#"data: {{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1700000000,"model":"m","choices":[{{"index":0,"delta":{{"content":"{token}"}},"finish_reason":null}}]}}"#
    )
    .into_bytes()
    .into_iter()
    .chain(*b"\n\n")
    .collect()
}

const LAST: &str = "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":12,\"completion_tokens\":34,\"total_tokens\":46}}\n\ndata: [DONE]\n\n";

/// A turn that calls the function.
fn call(question: &Question, turn: usize) -> String {
    let id = format!("call_{}_{turn}", question.number);
    format!(
        "data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{\"tool_calls\":[{{\"index\":0,\"id\":\"{id}\",\"type\":\"function\",\"function\":{{\"name\":\"{FUNCTION}\",\"arguments\":\"{{}}\"}}}}]}},\"finish_reason\":null}}]}}\n\n\
         data: {{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1700000000,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{{}},\"finish_reason\":\"tool_calls\"}}],\"usage\":{{\"prompt_tokens\":12,\"completion_tokens\":34,\"total_tokens\":46}}}}\n\ndata: [DONE]\n\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: Question = Question {
        number: 17,
        calls: 2,
        tokens: 3,
        gap: Duration::from_millis(20),
    };

    #[test]
    fn a_question_is_what_was_asked() {
        let held = Question {
            gap: HELD,
            ..QUESTION
        };
        for question in [QUESTION, held] {
            assert_eq!(Question::parse(&question.text()).unwrap(), question);
        }
        assert!(Question::parse("hello").is_err());
    }

    #[test]
    fn tokens_that_are_lost_repeated_or_anothers_are_noticed() {
        let token = |place| QUESTION.token(place);
        assert_eq!(token(0).len(), TOKEN);
        let read = |tokens: &[String]| {
            let mut answer = Answer::to(QUESTION);
            tokens.iter().try_for_each(|token| answer.push(token))?;
            answer.is_whole()
        };
        assert!(read(&[token(0), token(1), token(2)]).is_ok());
        assert!(read(&[token(0) + &token(1), token(2)]).is_ok());
        assert!(read(&[token(0), token(1)]).is_err());
        assert!(read(&[token(0), token(2), token(1)]).is_err());
        assert!(read(&[token(0), token(1), token(1), token(2)]).is_err());
        assert!(read(&[token(0), token(1), token(2), token(3)]).is_err());
        let other = Question {
            number: 18,
            ..QUESTION
        };
        assert!(read(&[other.token(0), token(1), token(2)]).is_err());
    }
}
