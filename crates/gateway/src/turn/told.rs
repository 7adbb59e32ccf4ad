//! A turn's events, with an end that is told.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures::{Stream, StreamExt as _};
use loomgate_domain::Usage;
use loomgate_wire::chat::ChatEvent;
use tokio::time::Instant;

use super::said::Said;
use crate::{
    ChatStream,
    error::Error,
    ledger::{Bill, Ledger},
    meter::Admitted,
    relay::{End, EndSink, Report},
};

/// A turn's events, whose end is told; at the latest when it is dropped.
pub(super) struct Told {
    pub(super) events: ChatStream,
    pub(super) began: Instant,
    pub(super) first_event: Option<Duration>,
    pub(super) usage: Option<Usage>,
    pub(super) error: Option<String>,
    pub(super) is_over: bool,
    pub(super) ledger: Arc<Ledger>,
    pub(super) bill: Bill,
    /// What was asked, for the log.
    pub(super) asked: Option<Bytes>,
    pub(super) said: Said,
    pub(super) report: Report,
    /// The place in the virtual key's concurrency cap.
    pub(super) _place: Option<Admitted>,
    pub(super) sink: Option<EndSink>,
}

impl Told {
    fn tell(&mut self) {
        let Some(sink) = self.sink.take() else {
            return;
        };
        let cut = (!self.is_over).then(|| "The run was stopped.".to_owned());
        let usage = self.usage;
        let end = End {
            usage,
            cost: usage.and_then(|usage| self.ledger.cost(&self.bill, &usage, None)),
            served_model: self.bill.model.clone(),
            first_byte: self.first_event,
            total: self.began.elapsed(),
            cut: self.error.take().or(cut),
            asked: self.asked.take(),
            body: self.said.body(),
        };
        sink(&self.report, end);
    }
}

impl Stream for Told {
    type Item = Result<ChatEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = self.events.poll_next_unpin(context);
        if let Poll::Ready(event) = &polled {
            if self.first_event.is_none() {
                self.first_event = Some(self.began.elapsed());
            }
            if let Some(Ok(event)) = event {
                self.said.take(event);
            }
            match event {
                Some(Ok(ChatEvent::Usage(usage))) => self.usage = Some(*usage),
                Some(Ok(ChatEvent::Finished(_))) => self.is_over = true,
                Some(Ok(_)) => {}
                Some(Err(error)) => self.error = Some(error.message.clone()),
                None => self.tell(),
            }
        }
        polled
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.tell();
    }
}
