//! The threads that read. Each job sees one consistent state: whatever was answered before it
//! was sent.

use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::Connection;
use tokio::sync::mpsc;

use crate::{
    Error,
    queue::{Job, Order},
    sqlite::Open,
};

/// One reader of several that share a queue.
pub(crate) struct Reader {
    pub(crate) connection: Connection,
    pub(crate) queue: Arc<Mutex<mpsc::Receiver<Order>>>,
}

impl Reader {
    /// Works until the store is closed or dropped and the queue is empty.
    pub(crate) fn run(self) {
        while let Some(mut job) = self.next() {
            let kept = self.transaction(&mut *job);
            job.answer(kept);
        }
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match queue.blocking_recv()? {
                Order::Job(job) => return Some(job),
                // Under the same guard: another reader would wait for orders while holding it.
                Order::Close => queue.close(),
            }
        }
    }

    fn transaction(&self, job: &mut dyn Job) -> Result<(), Error> {
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        job.run(&mut Open(&self.connection));
        // Never left open: an open one would show the next job an old state.
        self.connection.prepare_cached("ROLLBACK")?.execute([])?;
        Ok(())
    }
}
