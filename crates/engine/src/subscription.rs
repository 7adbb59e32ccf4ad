//! Reading a run's stream.
//!
//! A subscription is a cursor: it reads what this process remembers while that reaches back far
//! enough, the table where it does not or where the run is carried out elsewhere, and the memory
//! again once it has caught up. A run whose events are not recorded is told by its states alone.

use std::{collections::VecDeque, fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use loomgate_domain::{
    Run,
    run::{EventId, RunEvent, RunStatus},
};
use loomgate_wire::event;
use tokio::time::Instant;

use crate::{
    bus::Reader,
    command::Place,
    engine::Shared,
    entry::{self, Slot},
    log::{End, Look},
};

/// The most rows that one look into the table brings.
const ROWS: u32 = 64;

/// How often one looks, although nothing said so, at a run that this process carries out, or that
/// has waited for a worker for long.
const IDLE: Duration = Duration::from_secs(1);

/// A reader of one leg of a run. Dropping it leaves the run alone.
pub struct Subscription {
    shared: Arc<Shared>,
    place: Place,
    reader: Reader,
    telling: Telling,
    /// Frames that come first.
    ready: VecDeque<Bytes>,
    /// When to look into the table, unless something says so sooner.
    next_look: Instant,
    /// Whether nothing has happened since the table had nothing.
    dry: bool,
    /// When the latest event was read.
    latest: Instant,
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("run", &self.place.run)
            .finish_non_exhaustive()
    }
}

/// Where the events come from.
enum Telling {
    /// The journal. Boxed, since a run is large.
    Events(Box<Cursor>),
    /// The run's states, from the one in which it is now.
    States(Option<RunStatus>),
    /// The leg has ended.
    Ended,
}

struct Cursor {
    /// The last event that was read.
    at: EventId,
    /// Events from the table that are not read yet.
    ahead: VecDeque<Slot>,
    /// Whose events these are; its metadata is what it was.
    run: Run,
}

enum Next {
    Frame(Bytes),
    /// Nothing more will come.
    End,
    /// The run is gone.
    Gone,
    /// The table has to be asked.
    Table,
    Wait {
        /// Until something is told here, and not until it is time to look.
        here: bool,
    },
}

/// What a look into the table brought.
enum Read {
    Events,
    State(Bytes),
    Nothing(RunStatus),
    Gone,
    /// The leg has ended with this state; its events are gone.
    Over(Box<Run>),
}

impl Subscription {
    /// A stream of what is told after an event.
    pub(crate) fn after(
        shared: &Arc<Shared>,
        reader: Reader,
        place: Place,
        (run, at): (Run, EventId),
    ) -> Self {
        reader.saw(at);
        let cursor = Cursor {
            at,
            ahead: VecDeque::new(),
            run,
        };
        Self::new(shared, reader, place, Telling::Events(Box::new(cursor)))
    }

    /// The same, where a command has just begun the leg: memory has its beginning.
    pub(crate) fn beginning(
        shared: &Arc<Shared>,
        reader: Reader,
        place: Place,
        from: (Run, EventId),
    ) -> Self {
        Self {
            next_look: Instant::now() + shared.settings.follow,
            ..Self::after(shared, reader, place, from)
        }
    }

    /// A stream of the run's states.
    pub(crate) fn states(shared: &Arc<Shared>, reader: Reader, place: Place) -> Self {
        Self::new(shared, reader, place, Telling::States(None))
    }

    /// A stream that is at its end.
    pub(crate) fn ended(shared: &Arc<Shared>, reader: Reader, place: Place) -> Self {
        Self::new(shared, reader, place, Telling::Ended)
    }

    fn new(shared: &Arc<Shared>, reader: Reader, place: Place, telling: Telling) -> Self {
        Self {
            shared: Arc::clone(shared),
            place,
            reader,
            telling,
            ready: VecDeque::new(),
            next_look: Instant::now(),
            dry: false,
            latest: Instant::now(),
        }
    }

    /// The next frame; `None` once the leg has ended, or the process is going away. Nothing is lost
    /// when the future is dropped.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            let log = Arc::clone(self.reader.log());
            let changed = log.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that no change is missed.
            changed.as_mut().enable();
            match self.look() {
                Next::Frame(frame) => return Some(frame),
                Next::End => return None,
                Next::Gone => self.gone(),
                Next::Table => self.read().await,
                Next::Wait { here: true } => changed.await,
                Next::Wait { here: false } => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(self.next_look) => {}
                    }
                    self.dry = false;
                }
            }
        }
    }

    /// Whether the last event has been read: without it, the stream was cut off.
    pub fn is_done(&self) -> bool {
        matches!(self.telling, Telling::Ended)
    }

    fn look(&mut self) -> Next {
        if let Some(frame) = self.ready.pop_front() {
            return Next::Frame(frame);
        }
        let due = Instant::now() >= self.next_look;
        let table = |ask| {
            if ask {
                Next::Table
            } else {
                Next::Wait { here: false }
            }
        };
        let Telling::Events(cursor) = &mut self.telling else {
            return match self.reader.look(EventId::START) {
                _ if self.is_done() => Next::End,
                Look::End(End::HungUp) => Next::End,
                Look::End(End::Deleted) => Next::Gone,
                // Only the table knows what has changed.
                Look::Slot(_) | Look::Behind { .. } | Look::Wait { .. } => table(due || !self.dry),
            };
        };
        let slot = if let Some(slot) = cursor.ahead.pop_front() {
            self.reader.saw(slot.id);
            slot
        } else {
            match self.reader.look(cursor.at) {
                Look::Slot(slot) => slot,
                Look::Behind { stored } => return table(due || (stored && !self.dry)),
                Look::Wait { here: false } => return table(due),
                Look::Wait { here: true } => return Next::Wait { here: true },
                Look::End(End::HungUp) => return Next::End,
                Look::End(End::Deleted) => return Next::Gone,
            }
        };
        cursor.at = slot.id;
        if slot.ends_leg {
            self.telling = Telling::Ended;
        }
        Next::Frame(slot.frame)
    }

    /// Looks into the table, and says when to do so again.
    async fn read(&mut self) {
        let read = match &mut self.telling {
            Telling::Events(cursor) => follow(&self.shared, &self.place, cursor).await,
            Telling::States(told) => state(&self.shared, &self.place, told).await,
            Telling::Ended => return,
        };
        match read {
            Ok(Read::Events) => {
                self.latest = Instant::now();
                self.next_look = self.latest;
            }
            Ok(Read::State(frame)) => self.ready.push_back(frame),
            Ok(Read::Nothing(status)) => {
                self.next_look = Instant::now() + self.pause(status);
                self.dry = true;
            }
            Ok(Read::Over(run)) => {
                let last = RunEvent::of(run.state.status());
                self.finish([event::run(last, &run), event::done()]);
            }
            Ok(Read::Gone) => self.gone(),
            Err(error) => {
                tracing::error!(run_id = %self.place.run, %error, "reading a stream failed");
                let message = "The events of this run could not be read. The run goes on: retrieve \
                               it to see how it ends.";
                self.finish([event::error(message), event::done()]);
            }
        }
    }

    fn gone(&mut self) {
        let message = "The thread of this run has been deleted.";
        self.finish([event::error(message), event::done()]);
    }

    fn finish(&mut self, frames: [Bytes; 2]) {
        self.ready.extend(frames);
        self.telling = Telling::Ended;
    }

    /// How long to wait for something in the table, give or take a quarter: readers do not look
    /// all at once.
    fn pause(&self, status: RunStatus) -> Duration {
        let here = self.shared.running.lock().contains_key(&self.place.run);
        let follow = self.shared.settings.follow;
        let pause = match status {
            _ if here => IDLE,
            // There may be many of them, and who takes them up is seldom another process.
            RunStatus::Queued => (self.latest.elapsed() / 4).clamp(follow, IDLE.max(follow)),
            _ => follow,
        };
        let mut byte = [0];
        self.shared.ids.fill(&mut byte);
        pause.mul_f64(0.75 + f64::from(byte[0]) / 512.0)
    }
}

/// What the table has of the journal behind the cursor.
async fn follow(
    shared: &Shared,
    place: &Place,
    cursor: &mut Cursor,
) -> Result<Read, loomgate_store::Error> {
    let events = shared.store.events();
    let followed = events
        .follow(&place.ws, &place.run, cursor.at, ROWS)
        .await?;
    let Some(followed) = followed else {
        return Ok(Read::Gone);
    };
    for stored in &followed.rows {
        let slots = entry::stored(stored, &mut cursor.run)?;
        let unread = slots.into_iter().filter(|slot| slot.id > cursor.at);
        cursor.ahead.extend(unread);
    }
    if !cursor.ahead.is_empty() {
        return Ok(Read::Events);
    }
    // Their time is over, or they were never told: what the run has come to is known all the same.
    if followed.status.ends_leg() {
        let runs = shared.store.runs();
        let run = runs.get(&place.ws, &place.thread, &place.run).await?;
        return Ok(run.map_or(Read::Gone, |run| Read::Over(Box::new(run))));
    }
    Ok(Read::Nothing(followed.status))
}

/// The run's state, if it is not the one that was `told`.
async fn state(
    shared: &Shared,
    place: &Place,
    told: &mut Option<RunStatus>,
) -> Result<Read, loomgate_store::Error> {
    let runs = shared.store.runs();
    let Some(run) = runs.get(&place.ws, &place.thread, &place.run).await? else {
        return Ok(Read::Gone);
    };
    let status = run.state.status();
    if status.ends_leg() {
        return Ok(Read::Over(Box::new(run)));
    }
    if *told == Some(status) {
        return Ok(Read::Nothing(status));
    }
    *told = Some(status);
    Ok(Read::State(event::run(RunEvent::of(status), &run)))
}
