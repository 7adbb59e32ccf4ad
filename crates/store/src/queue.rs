//! Jobs and the way they travel to the threads that run them.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::timeout_at,
};

use crate::{Error, error::Panicked, failpoint::Boundary, tx::Tx};

const CLOSING: &str = "closing";

/// What callers are told whose job nobody has begun with in time.
const BUSY: &str = "no connection to the database was free in time";

/// What a job does, as far as an engine has to know before it runs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// Reads, from one consistent state.
    Read,
    /// Reads with one statement, which is consistent by itself.
    ReadOne,
    /// Writes.
    Write,
    /// Writes with one statement, and can not fail once that is done: there is nothing to undo, so
    /// no transaction has to be opened around it.
    WriteOne,
}

/// A job in a queue.
pub(crate) struct Ticket {
    pub(crate) job: Box<dyn Job>,
    pub(crate) access: Access,
    /// When its caller is told that nobody had time for it. None: it waits for as long as it takes.
    pub(crate) deadline: Option<Instant>,
    turn: Turn,
}

impl Ticket {
    /// Whether work on it may begin: its caller waits until it is done from then on.
    pub(crate) fn begin(&self) -> bool {
        self.turn.take()
    }
}

/// Taken once: by whoever begins a job, or by its caller, who does not wait any longer.
#[derive(Debug, Clone, Default)]
struct Turn(Arc<AtomicBool>);

impl Turn {
    fn take(&self) -> bool {
        !self.0.swap(true, Ordering::Relaxed)
    }
}

/// The end of a queue that takes orders, and how long a job may stand in it.
#[derive(Debug, Clone)]
pub(crate) struct Entrance {
    pub(crate) orders: mpsc::Sender<Order>,
    /// None: for as long as it takes.
    pub(crate) wait: Option<Duration>,
}

impl Entrance {
    /// One where jobs stand for as long as it takes.
    pub(crate) fn patient(orders: mpsc::Sender<Order>) -> Self {
        Self { orders, wait: None }
    }
}

/// What a thread's queue carries.
pub(crate) enum Order {
    /// Run this.
    Job(Ticket),
    /// Take no more orders, and end once those that are queued are done.
    Close,
}

/// The end of a queue that several threads share.
pub(crate) struct SharedQueue(Mutex<mpsc::Receiver<Order>>);

impl SharedQueue {
    pub(crate) fn new(queue: mpsc::Receiver<Order>) -> Self {
        Self(Mutex::new(queue))
    }

    /// Waits for a job, and says how many more wait. `None`: the queue is closed, and all jobs in it were taken.
    pub(crate) fn next(&self) -> Option<(Ticket, usize)> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match queue.blocking_recv()? {
                Order::Job(ticket) => return Some((ticket, queue.len())),
                // Under the same guard: another thread would wait for orders while holding it.
                Order::Close => queue.close(),
            }
        }
    }

    /// Takes a job that waits already, if there is one.
    pub(crate) fn take(&self) -> Option<Ticket> {
        let mut queue = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match queue.try_recv().ok()? {
                Order::Job(ticket) => return Some(ticket),
                Order::Close => queue.close(),
            }
        }
    }

    /// How many jobs wait.
    pub(crate) fn len(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// A closure over a transaction, with somebody who waits for its result.
pub(crate) trait Job: Send {
    /// Runs it, perhaps again. Returns whether its changes shall stand.
    fn run(&mut self, tx: &mut dyn Tx) -> bool;

    /// Whether it writes with one statement, and can not fail once that is done.
    fn is_one_statement(&self) -> bool;

    /// Its changes stand once what comes next is done: a commit.
    fn commits(&self);

    /// Hands the result over, or the reason why it does not count.
    fn answer(self: Box<Self>, kept: Result<(), Error>);
}

struct Task<T, F> {
    work: F,
    /// None until it has run.
    result: Option<Result<T, Error>>,
    reply: oneshot::Sender<Result<T, Error>>,
    boundary: Boundary,
    /// [`Access::WriteOne`]: it is committed with its statement where no transaction is opened around it.
    is_one_statement: bool,
}

impl<T, F> Job for Task<T, F>
where
    T: Send,
    F: Fn(&mut dyn Tx) -> Result<T, Error> + Send,
{
    fn run(&mut self, tx: &mut dyn Tx) -> bool {
        let (work, is_one) = (&self.work, self.is_one_statement);
        let run = AssertUnwindSafe(|| self.boundary.run(tx, is_one, work));
        let result = catch_unwind(run)
            .unwrap_or_else(|panic| Err(Error::driver(Panicked(panic_text(&*panic)))));
        self.result.insert(result).is_ok()
    }

    fn is_one_statement(&self) -> bool {
        self.is_one_statement
    }

    fn commits(&self) {
        self.boundary.before();
    }

    fn answer(self: Box<Self>, kept: Result<(), Error>) {
        if kept.is_ok() && matches!(self.result, Some(Ok(_))) {
            self.boundary.after();
        }
        let result = match (self.result, kept) {
            (Some(Ok(value)), Ok(())) => Ok(value),
            (Some(Err(error)), _) | (_, Err(error)) => Err(error),
            (None, Ok(())) => Err(Error::Unavailable(CLOSING)),
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
///
/// Error: [`Error::Unavailable`] where nobody has begun with it in time. Nothing was done then.
pub(crate) async fn submit<T, F>(
    entrance: &Entrance,
    (access, boundary): (Access, Boundary),
    work: F,
) -> Result<T, Error>
where
    T: Send + 'static,
    F: Fn(&mut dyn Tx) -> Result<T, Error> + Send + 'static,
{
    let (reply, mut answer) = oneshot::channel();
    let task = Task {
        work,
        result: None,
        reply,
        boundary,
        is_one_statement: access == Access::WriteOne,
    };
    let turn = Turn::default();
    let deadline = entrance.wait.map(|wait| Instant::now() + wait);
    let ticket = Ticket {
        job: Box::new(task),
        access,
        deadline,
        turn: turn.clone(),
    };
    let closing = |_| Error::Unavailable(CLOSING);
    let answered = async {
        let sent = entrance.orders.send(Order::Job(ticket)).await;
        sent.map_err(|_| Error::Unavailable(CLOSING))?;
        (&mut answer).await.map_err(closing)?
    };
    let Some(deadline) = deadline else {
        return answered.await;
    };
    match timeout_at(deadline.into(), answered).await {
        Ok(answered) => answered,
        Err(_) if turn.take() => Err(Error::Unavailable(BUSY)),
        // Somebody is at it, and will come to an end.
        Err(_) => answer.await.map_err(closing)?,
    }
}
