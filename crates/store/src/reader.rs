//! The threads that read. Each job sees one consistent state: whatever was answered before it
//! was sent.

use std::{
    path::PathBuf,
    sync::Arc,
    thread::{self, JoinHandle},
};

use rusqlite::Connection;

use crate::{
    Error,
    queue::{Access, Job, SharedQueue, Ticket},
    sqlite::{self, Open},
    writer::Tally,
};

/// One reader of several that share a queue.
pub(crate) struct Reader {
    pub(crate) connection: Connection,
    pub(crate) queue: Arc<SharedQueue>,
    pub(crate) tally: Arc<Tally>,
    /// Further readers that there may be.
    pub(crate) spare: Option<Spare>,
}

/// Readers that are started once jobs wait: each takes a megabyte, and a server at rest needs one.
pub(crate) struct Spare {
    pub(crate) path: PathBuf,
    pub(crate) readers: usize,
}

impl Reader {
    /// Starts a thread that works until the store is closed or dropped and the queue is empty.
    pub(crate) fn start(self, database: &'static str) -> Result<JoinHandle<()>, Error> {
        let thread = thread::Builder::new().name(format!("{database}-reader"));
        Ok(thread.spawn(move || self.run(database))?)
    }

    fn run(mut self, database: &'static str) {
        let mut next = None;
        while let Some((ticket, waiting)) = self.queue.next() {
            if waiting > 0
                && let Some(spare) = self.spare.take_if(|spare| spare.readers > 0)
            {
                next = self.another(&spare, database);
                self.spare = next.is_none().then_some(spare);
            }
            self.serve(ticket);
        }
        next.into_iter().for_each(join);
    }

    /// Starts the next reader, who starts the one after that.
    fn another(&self, spare: &Spare, database: &'static str) -> Option<JoinHandle<()>> {
        let connection = sqlite::reader(&spare.path);
        let started = connection.and_then(|connection| {
            let reader = Self {
                connection,
                queue: Arc::clone(&self.queue),
                tally: Arc::clone(&self.tally),
                spare: Some(Spare {
                    path: spare.path.clone(),
                    readers: spare.readers - 1,
                }),
            };
            reader.start(database)
        });
        if let Err(error) = &started {
            tracing::warn!(%error, "no further thread that reads the database: others do its work");
        }
        started.ok()
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

/// Waits for a reader to end.
pub(crate) fn join(reader: JoinHandle<()>) {
    if reader.join().is_err() {
        tracing::error!("a thread that reads the database ended in a panic");
    }
}
