//! A provider's response, read piece by piece.

use std::{collections::VecDeque, time::Duration};

use loomgate_wire::chat::ChatEvent;
use tokio::time::timeout;

use super::chunk::{Decoder, Ending};
use crate::{
    Timeouts,
    error::{Error, Phase},
    reading::Wire,
    sse::{Event, Splitter},
};

/// How long a whole answer waits for the token counts that may follow it.
const AFTER_THE_ANSWER: Duration = Duration::from_secs(5);

/// How long the body may take to end after `[DONE]`.
const AFTER_DONE: Duration = Duration::from_millis(20);

/// A streamed answer in the middle of its way.
pub(crate) struct Body {
    wire: Wire,
    timeouts: Timeouts,
    splitter: Splitter,
    decoder: Decoder,
    ready: VecDeque<ChatEvent>,
    /// What comes after the events that are ready.
    then: Then,
    /// An event was handed out.
    begun: bool,
}

enum Then {
    More,
    Failure(Error),
    /// The server said that it was done.
    Done,
    End,
}

impl Body {
    pub(crate) fn new(wire: Wire, decoder: Decoder, timeouts: Timeouts) -> Self {
        Self {
            wire,
            timeouts,
            splitter: Splitter::default(),
            decoder,
            ready: VecDeque::new(),
            then: Then::More,
            begun: false,
        }
    }

    /// An answer that comes in one piece, although a stream was asked for.
    pub(crate) fn in_one_piece(
        bytes: &[u8],
        decoder: Decoder,
    ) -> Result<VecDeque<ChatEvent>, Error> {
        let mut decoder = decoder;
        let mut events = VecDeque::new();
        decoder.chunk(bytes, false, &mut events)?;
        decoder.end(Ending::Said, &mut events)?;
        Ok(events)
    }

    /// The next event; `None` at the end, and after an error.
    pub(crate) async fn next(&mut self) -> Option<Result<ChatEvent, Error>> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                self.begun = true;
                return Some(Ok(event));
            }
            match std::mem::replace(&mut self.then, Then::End) {
                Then::More => self.then = self.read().await,
                Then::Failure(error) => {
                    let phase = if self.begun {
                        Phase::MidStream
                    } else {
                        Phase::BeforeFirstEvent
                    };
                    return Some(Err(Error { phase, ..error }));
                }
                Then::Done => self.read_out().await,
                Then::End => return None,
            }
        }
    }

    async fn read(&mut self) -> Then {
        let Timeouts { first_byte, idle } = self.timeouts;
        let patience = if self.decoder.is_finished() {
            idle.min(AFTER_THE_ANSWER)
        } else if self.begun {
            idle
        } else {
            // Models that reason send headers at once, and then nothing while they think.
            idle.max(first_byte)
        };
        let progress = match self.wire.next(patience).await {
            Ok(Some(bytes)) => self.take(&bytes),
            Ok(None) => self.cut(None),
            Err(error) => self.cut(Some(error)),
        };
        progress.unwrap_or_else(Then::Failure)
    }

    /// Reads the end of the body, which mostly came along with the last event: only a connection
    /// whose response was read to its end can serve the next call.
    async fn read_out(&mut self) {
        let end = async { while let Ok(Some(_)) = self.wire.next(AFTER_DONE).await {} };
        // Late is as good as never: the connection is closed then.
        timeout(AFTER_DONE, end).await.ok();
    }

    fn take(&mut self, bytes: &[u8]) -> Result<Then, Error> {
        let mut events = Vec::new();
        let pushed = self.splitter.push(bytes, &mut events);
        for event in events {
            if self.event(&event)? {
                return Ok(Then::Done);
            }
        }
        pushed.map_err(|too_large| Error::nonsense(format!("The provider sent {too_large}.")))?;
        Ok(Then::More)
    }

    /// Takes one event; true when it was the last.
    fn event(&mut self, event: &Event) -> Result<bool, Error> {
        match event.data.trim_ascii() {
            b"" => {}
            b"[DONE]" => {
                self.decoder.end(Ending::Said, &mut self.ready)?;
                return Ok(true);
            }
            data => {
                let result = self.decoder.chunk(data, event.is_error, &mut self.ready);
                // What comes after a whole answer can only add usage to it.
                if !self.decoder.is_finished() {
                    result?;
                }
            }
        }
        Ok(false)
    }

    /// The bytes have ended, or cannot be read.
    fn cut(&mut self, error: Option<Error>) -> Result<Then, Error> {
        if let Some(error) = error.filter(|_| !self.decoder.is_finished()) {
            return Err(error);
        }
        // Some servers leave out the blank line after their last event.
        if let Some(event) = std::mem::take(&mut self.splitter).finish()
            && event.is_whole()
            && self.event(&event)?
        {
            return Ok(Then::End);
        }
        self.decoder.end(Ending::Cut, &mut self.ready)?;
        Ok(Then::End)
    }
}
