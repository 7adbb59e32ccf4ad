//! The threads that read. Each job sees one consistent state: whatever was answered before it
//! was sent.

use std::sync::Arc;

use rusqlite::Connection;

use crate::{
    Error,
    queue::{Access, Job, SharedQueue, Ticket},
    sqlite::Open,
    writer::Tally,
};

/// One reader of several that share a queue.
pub(crate) struct Reader {
    pub(crate) connection: Connection,
    pub(crate) queue: Arc<SharedQueue>,
    pub(crate) tally: Arc<Tally>,
}

impl Reader {
    /// Works until the store is closed or dropped and the queue is empty.
    pub(crate) fn run(self) {
        while let Some(ticket) = self.queue.next() {
            self.serve(ticket);
        }
    }

    /// Runs a job and answers it.
    pub(crate) fn serve(&self, ticket: Ticket) {
        let Ticket {
            mut job, access, ..
        } = ticket;
        let kept = match access {
            // A statement is a transaction by itself.
            Access::ReadOne => {
                self.run_job(&mut *job);
                Ok(())
            }
            Access::Read | Access::Write | Access::WriteOne => self.transaction(&mut *job),
        };
        job.answer(kept);
    }

    fn run_job(&self, job: &mut dyn Job) {
        job.run(&mut Open::new(&self.connection, &self.tally));
    }

    fn transaction(&self, job: &mut dyn Job) -> Result<(), Error> {
        self.connection.prepare_cached("BEGIN")?.execute([])?;
        self.run_job(job);
        // Never left open: an open one would show the next job an old state.
        self.connection.prepare_cached("ROLLBACK")?.execute([])?;
        Ok(())
    }
}
