//! The threads that read. Each job sees one consistent state: whatever was answered before it
//! was sent.

use std::sync::Arc;

use rusqlite::Connection;

use crate::{
    Error,
    queue::{Job, SharedQueue, Ticket},
    sqlite::Open,
};

/// One reader of several that share a queue.
pub(crate) struct Reader {
    pub(crate) connection: Connection,
    pub(crate) queue: Arc<SharedQueue>,
}

impl Reader {
    /// Works until the store is closed or dropped and the queue is empty.
    pub(crate) fn run(self) {
        while let Some(ticket) = self.queue.next() {
            self.serve(ticket);
        }
    }

    /// Runs a job and answers it.
    pub(crate) fn serve(&self, Ticket { mut job, .. }: Ticket) {
        let kept = self.transaction(&mut *job);
        job.answer(kept);
    }

    fn transaction(&self, job: &mut dyn Job) -> Result<(), Error> {
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        job.run(&mut Open::new(&self.connection));
        // Never left open: an open one would show the next job an old state.
        self.connection.prepare_cached("ROLLBACK")?.execute([])?;
        Ok(())
    }
}
