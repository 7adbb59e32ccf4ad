//! How a provider's answer becomes one in OpenAI's form: as it is, or through a vendor's
//! conversions.

use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use tokio::time::timeout;

use crate::{
    Gathered, Timeouts,
    error::{Error, Who, presentable, without_key},
    http_client::Incoming,
    sse::Splitter,
    vendor::{
        self, AnswerFacts, anthropic,
        google::{self, EmbeddingFacts},
    },
};

/// The most bytes of an answer that is read whole.
pub(crate) const WHOLE_BYTES: usize = 16 * 1024 * 1024;

/// What the answer has to say when the vendor does not.
pub(crate) type Facts = AnswerFacts;

/// A vendor with a form of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Vendor {
    Anthropic,
    Google,
}

/// How to read an answer.
pub(crate) struct Reading(Option<Conversion>);

struct Conversion {
    vendor: Vendor,
    what: Converted,
    /// What no message must contain.
    key: Option<SecretString>,
}

/// What is converted.
pub(crate) enum Converted {
    /// A chat completion in one piece.
    Chat(Facts),
    /// A streamed one.
    Stream(Facts),
    /// Vectors.
    Embeddings(EmbeddingFacts),
    /// The list of models.
    Models,
    /// One of them.
    Model,
}

impl Reading {
    /// It is in OpenAI's form already.
    pub(crate) fn as_is() -> Self {
        Self(None)
    }

    pub(crate) fn of_vendor(vendor: Vendor, what: Converted, key: Option<&SecretString>) -> Self {
        Self(Some(Conversion {
            vendor,
            what,
            key: key.cloned(),
        }))
    }

    /// Whether the provider's bytes are the caller's.
    pub(crate) fn is_as_is(&self) -> bool {
        self.0.is_none()
    }

    /// An answer that came whole.
    pub(crate) fn whole(&self, status: u16, body: Bytes) -> Result<Bytes, Error> {
        let Some(Conversion { vendor, what, key }) = &self.0 else {
            return Ok(body);
        };
        if !(200..300).contains(&status) {
            let error = match vendor {
                Vendor::Anthropic => anthropic::error_body(status, &body),
                Vendor::Google => google::error_body(status, &body),
            };
            return Ok(without_key(&error.to_string(), key.as_ref()).into());
        }
        let answer = serde_json::from_slice(&body)
            .map_err(|_| Error::nonsense("The provider sent something else than JSON."))?;
        let said = match (vendor, what) {
            (Vendor::Anthropic, Converted::Models) => anthropic::models(&answer),
            (Vendor::Google, Converted::Models) => google::models(&answer),
            (Vendor::Anthropic, Converted::Model) => anthropic::model(&answer),
            (Vendor::Google, Converted::Model) => google::model(&answer),
            (_, Converted::Embeddings(facts)) => google::embeddings_response(&answer, facts),
            (Vendor::Anthropic, Converted::Chat(facts) | Converted::Stream(facts)) => {
                anthropic::chat_response(&answer, facts)
            }
            (Vendor::Google, Converted::Chat(facts) | Converted::Stream(facts)) => {
                google::chat_response(&answer, facts)
            }
        };
        let said = said.map_err(Error::nonsense)?;
        Ok(said.to_string().into())
    }

    /// Begins to read a body that comes piece by piece.
    pub(crate) fn stream(self, body: Incoming) -> Wire {
        let Some(Conversion {
            vendor,
            what: Converted::Stream(facts),
            key,
        }) = self.0
        else {
            return Wire(Source::AsIs(body));
        };
        let stream = match vendor {
            Vendor::Anthropic => VendorStream::Anthropic(anthropic::ChatStream::new(facts)),
            Vendor::Google => VendorStream::Google(google::ChatStream::new(facts)),
        };
        let converter = Converter {
            key,
            splitter: Splitter::default(),
            stream,
            ended: false,
            failure: None,
        };
        Wire(Source::Converted(body, Box::new(converter)))
    }
}

/// A body in OpenAI's form, as it comes.
pub(crate) struct Wire(Source);

enum Source {
    /// The provider's own bytes.
    AsIs(Incoming),
    /// A vendor's, converted.
    Converted(Incoming, Box<Converter>),
    /// Made here.
    Frames(BoxStream<'static, Bytes>),
}

struct Converter {
    key: Option<SecretString>,
    splitter: Splitter,
    stream: VendorStream,
    ended: bool,
    /// What ended it, once the frames before have gone on.
    failure: Option<Error>,
}

enum VendorStream {
    Anthropic(anthropic::ChatStream),
    Google(google::ChatStream),
}

impl Wire {
    /// Bytes that are made here.
    pub(crate) fn of_frames(frames: BoxStream<'static, Bytes>) -> Self {
        Self(Source::Frames(frames))
    }

    /// All bytes, when they are not too many.
    pub(crate) async fn collect(mut self, timeouts: Timeouts) -> Result<Bytes, Error> {
        let mut all = Vec::new();
        let patience = timeouts.idle.max(timeouts.first_byte);
        while let Some(bytes) = self.next(patience).await? {
            if all.len() + bytes.len() > WHOLE_BYTES {
                return Err(Error::nonsense("The provider's answer is too large."));
            }
            all.extend_from_slice(&bytes);
        }
        Ok(all.into())
    }

    /// The next bytes; `None` at the end.
    pub(crate) async fn next(&mut self, patience: Duration) -> Result<Option<Bytes>, Error> {
        match &mut self.0 {
            Source::AsIs(body) => piece(body, patience).await,
            Source::Frames(frames) => Ok(frames.next().await),
            Source::Converted(body, converter) => loop {
                if let Some(failure) = converter.failure.take() {
                    return Err(failure);
                }
                if converter.ended {
                    return Ok(None);
                }
                let mut out = Vec::new();
                let taken = match piece(body, patience).await? {
                    Some(bytes) => converter.take(&bytes, &mut out),
                    None => converter.finish(&mut out),
                };
                if let Err(failure) = taken {
                    converter.ended = true;
                    converter.failure = Some(failure);
                }
                if !out.is_empty() {
                    return Ok(Some(out.into()));
                }
            },
        }
    }
}

impl Converter {
    fn take(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        let mut events = Vec::new();
        let pushed = self.splitter.push(bytes, &mut events);
        for event in events {
            self.event(&event.data, out)?;
        }
        pushed.map_err(|too_large| Error::nonsense(format!("The provider sent {too_large}.")))
    }

    fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), Error> {
        if let Some(event) = std::mem::take(&mut self.splitter).finish() {
            self.event(&event.data, out)?;
        }
        self.ended = true;
        let result = match &mut self.stream {
            VendorStream::Anthropic(stream) => stream.finish(out),
            VendorStream::Google(stream) => stream.finish(out),
        };
        result.map_err(|error| of_stream(&error, self.key.as_ref()))
    }

    fn event(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), Error> {
        // Proxies in between keep connections alive with nothing, and end as OpenAI does.
        if matches!(data.trim_ascii(), b"" | b"[DONE]") {
            return Ok(());
        }
        let result = match &mut self.stream {
            VendorStream::Anthropic(stream) => stream.event(None, data, out),
            VendorStream::Google(stream) => stream.event(None, data, out),
        };
        result.map_err(|error| of_stream(&error, self.key.as_ref()))
    }
}

fn of_stream(error: &vendor::StreamError, key: Option<&SecretString>) -> Error {
    let message = presentable(&error.message, key);
    match error.status {
        Some(status) => Error::status(status, message),
        None => Error::new(Who::Upstream, true, message),
    }
}

/// The next piece of a body.
async fn piece(body: &mut Incoming, patience: Duration) -> Result<Option<Bytes>, Error> {
    loop {
        match timeout(patience, body.frame()).await {
            Ok(None) => return Ok(None),
            Ok(Some(Ok(frame))) => match frame.into_data() {
                Ok(bytes) if bytes.is_empty() => {}
                Ok(bytes) => return Ok(Some(bytes)),
                // Trailers say nothing that anybody here reads.
                Err(_) => {}
            },
            Ok(Some(Err(error))) => {
                let message = format!("The connection to the provider broke: {}.", cause(&error));
                return Err(Error::new(Who::Network, true, message));
            }
            Err(_) => {
                return Err(Error::new(
                    Who::Timeout,
                    true,
                    format!("The provider sent nothing for {patience:?}."),
                ));
            }
        }
    }
}

fn cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// A whole body, when it is not too large.
pub(crate) async fn whole(
    body: &mut Incoming,
    most: usize,
    idle: Duration,
) -> Result<Bytes, Error> {
    let mut gathered = Gathered::of(body);
    while let Some(bytes) = piece(body, idle).await? {
        if gathered.bytes().len() + bytes.len() > most {
            return Err(Error::nonsense("The provider's answer is too large."));
        }
        gathered.push(bytes);
    }
    Ok(gathered.into())
}
