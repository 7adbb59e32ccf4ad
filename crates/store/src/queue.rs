//! Jobs and the way they travel to the threads that run them.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
};

use tokio::sync::{mpsc, oneshot};

use crate::{Error, error::Panicked, tx::Tx};

/// What a thread's queue carries.
pub(crate) enum Order {
    /// Run this.
    Job(Box<dyn Job>),
    /// Take no more orders, and end once those that are queued are done.
    Close,
}

/// A closure over a transaction, with somebody who waits for its result.
pub(crate) trait Job: Send {
    /// Runs it. Returns whether its changes shall stand.
    fn run(&mut self, tx: &mut dyn Tx) -> bool;

    /// Hands the result over, or the reason why it does not count.
    fn answer(self: Box<Self>, kept: Result<(), Error>);
}

struct Task<T, F> {
    work: Option<F>,
    /// None until it has run.
    result: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: FnOnce(&mut dyn Tx) -> Result<T, Error> + Send,
{
    fn run(&mut self, tx: &mut dyn Tx) -> bool {
        if let Some(work) = self.work.take() {
            let result = catch_unwind(AssertUnwindSafe(|| work(tx)))
                .unwrap_or_else(|panic| Err(Error::driver(Panicked(panic_text(&*panic)))));
            self.result = Some(result);
        }
        matches!(self.result, Some(Ok(_)))
    }

    fn answer(self: Box<Self>, kept: Result<(), Error>) {
        let result = match (self.result, kept) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(Error::Unavailable("closing")),
        };
        // Nobody listens any more when the caller's future was dropped.
        let _ = self.reply.send(result);
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let owned = panic.downcast_ref::<String>().map(String::as_str);
    text.or(owned).unwrap_or("no message").to_owned()
}

/// Sends a job and waits for its result. Waits for room in the queue first.
pub(crate) async fn submit<T, F>(queue: &mpsc::Sender<Order>, work: F) -> Result<T, Error>
where
    T: Send + 'static,
    F: FnOnce(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    let task = Task {
        work: Some(work),
        result: None,
        reply,
    };
    let sent = queue.send(Order::Job(Box::new(task))).await;
    sent.map_err(|_| Error::Unavailable("closing"))?;
    answer.await.map_err(|_| Error::Unavailable("closing"))?
}
