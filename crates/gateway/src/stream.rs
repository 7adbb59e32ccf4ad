//! The events of one model turn, as they come.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll},
};

use futures::{Stream, StreamExt, stream::BoxStream};
use loomgate_wire::chat::ChatEvent;

use crate::Error;

/// One model turn's events. It ends after `Finished` (and `Usage`, where the provider counts), or
/// after the first error. Dropping it drops the provider's request.
pub struct ChatStream {
    events: BoxStream<'static, Result<ChatEvent, Error>>,
    attempts: u32,
}

impl ChatStream {
    pub(crate) fn new(
        events: impl Stream<Item = Result<ChatEvent, Error>> + Send + 'static,
    ) -> Self {
        Self {
            events: events.boxed(),
            attempts: 1,
        }
    }

    /// Errors of this stream say that it was the attempt of this number.
    pub(crate) fn at_attempt(self, attempts: u32) -> Self {
        Self { attempts, ..self }
    }
}

impl Stream for ChatStream {
    type Item = Result<ChatEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let attempts = self.attempts;
        self.events
            .poll_next_unpin(context)
            .map_err(|error| Error { attempts, ..error })
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ChatStream")
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}
