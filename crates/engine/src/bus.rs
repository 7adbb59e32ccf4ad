//! The event bus: one shared log of SSE frames for each run that somebody listens to, and
//! subscriptions that are cursors over it.
//!
//! A log is opened by a request that asks for a stream, *before* the command commits, so that
//! nothing is missed. Until the command has succeeded the worker's frames wait behind the opening
//! ones ([`RunLog::begin`]). A log belongs to one leg: the next submit opens another.
//!
//! Invariant: memory is bounded. Frames that every reader has seen are dropped; a reader that
//! falls more than `MAX_BYTES` behind is cut off with an error event.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
};

use bytes::Bytes;
use loomgate_domain::RunId;
use loomgate_wire::event;
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The most bytes of frames that wait for a slow reader.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// All logs that are open.
#[derive(Debug, Default)]
pub(crate) struct Bus {
    logs: Mutex<HashMap<RunId, Arc<RunLog>>>,
}

/// The frames of one leg of one run.
#[derive(Debug, Default)]
pub(crate) struct RunLog {
    state: Mutex<LogState>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct LogState {
    frames: VecDeque<Bytes>,
    /// The number of the first frame in `frames`.
    base: u64,
    bytes: usize,
    begun: bool,
    closed: bool,
    /// Whether it was closed by the end of the leg, and not by that of the process.
    done: bool,
    readers: usize,
}

/// A reader of one leg. Dropping it leaves the run alone.
#[derive(Debug)]
pub struct Subscription {
    bus: Weak<Bus>,
    run: RunId,
    log: Arc<RunLog>,
    cursor: u64,
    ended: bool,
}

impl Bus {
    /// Opens a log for a new leg of the run, in place of an older one.
    pub(crate) fn open(self: &Arc<Self>, run: &RunId) -> Subscription {
        let log = Arc::new(RunLog::default());
        log.state.lock().readers = 1;
        self.logs.lock().insert(run.clone(), Arc::clone(&log));
        Subscription {
            bus: Arc::downgrade(self),
            run: run.clone(),
            log,
            cursor: 0,
            ended: false,
        }
    }

    /// The log of the run's present leg, if somebody listens.
    pub(crate) fn get(&self, run: &RunId) -> Option<Arc<RunLog>> {
        self.logs.lock().get(run).cloned()
    }

    fn remove(&self, run: &RunId, log: &Arc<RunLog>) {
        let mut logs = self.logs.lock();
        if logs.get(run).is_some_and(|known| Arc::ptr_eq(known, log)) {
            logs.remove(run);
        }
    }

    /// How many streams are open.
    pub(crate) fn open_streams(&self) -> usize {
        self.logs.lock().len()
    }

    /// Ends every stream without a last event: the process is going away.
    pub(crate) fn hang_up(&self) {
        for log in self.logs.lock().values() {
            log.close();
        }
    }
}

impl RunLog {
    /// The command has succeeded: these frames come first, then what the worker wrote meanwhile.
    pub(crate) fn begin(&self, opening: Vec<Bytes>) {
        let mut state = self.state.lock();
        for frame in opening.into_iter().rev() {
            state.bytes += frame.len();
            state.frames.push_front(frame);
        }
        state.begun = true;
        drop(state);
        self.changed.notify_waiters();
    }

    /// Adds a frame.
    pub(crate) fn push(&self, frame: Bytes) {
        let mut state = self.state.lock();
        if state.readers == 0 || state.closed {
            return;
        }
        state.bytes += frame.len();
        state.frames.push_back(frame);
        while state.bytes > MAX_BYTES && state.begun {
            state.drop_first();
        }
        drop(state);
        self.changed.notify_waiters();
    }

    /// Adds the last frame of the leg.
    pub(crate) fn finish(&self) {
        self.push(event::done());
        let mut state = self.state.lock();
        state.closed = true;
        state.done = true;
        drop(state);
        self.changed.notify_waiters();
    }

    /// No frame will follow, although the leg has not ended.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_waiters();
    }
}

impl LogState {
    fn drop_first(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.bytes -= frame.len();
            self.base += 1;
        }
    }
}

/// What a reader finds at its cursor.
enum Next {
    Frame(Bytes),
    Behind,
    End,
    Wait,
}

impl Subscription {
    /// The command has succeeded; see [`RunLog::begin`].
    pub(crate) fn begin(&self, opening: Vec<Bytes>) {
        self.log.begin(opening);
    }

    /// The next frame; `None` once the leg has ended.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            let log = Arc::clone(&self.log);
            let changed = log.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that no change is missed.
            changed.as_mut().enable();
            match self.look() {
                Next::Frame(frame) => return Some(frame),
                Next::Behind => {
                    self.ended = true;
                    let error = event::error(
                        "This stream was read too slowly and has been cut off. The run goes on: \
                         retrieve it to see how it ends.",
                    );
                    return Some([error, event::done()].concat().into());
                }
                Next::End => return None,
                Next::Wait => changed.await,
            }
        }
    }

    /// Whether the last event has been read: without it, the stream was cut off.
    pub fn is_done(&self) -> bool {
        self.ended || self.log.state.lock().done
    }

    fn look(&mut self) -> Next {
        if self.ended {
            return Next::End;
        }
        let mut state = self.log.state.lock();
        if !state.begun {
            return if state.closed { Next::End } else { Next::Wait };
        }
        let Some(offset) = self.cursor.checked_sub(state.base) else {
            return Next::Behind;
        };
        let frame = usize::try_from(offset)
            .ok()
            .and_then(|offset| state.frames.get(offset).cloned());
        match frame {
            Some(frame) => {
                self.cursor += 1;
                if state.readers == 1 {
                    state.drop_first();
                }
                Next::Frame(frame)
            }
            None if state.closed => Next::End,
            None => Next::Wait,
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let last = {
            let mut state = self.log.state.lock();
            state.readers -= 1;
            state.readers == 0
        };
        if last && let Some(bus) = self.bus.upgrade() {
            bus.remove(&self.run, &self.log);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bus() -> (Arc<Bus>, RunId) {
        (Arc::new(Bus::default()), RunId::trusted("run_1"))
    }

    #[tokio::test]
    async fn opening_frames_come_before_what_the_worker_wrote_meanwhile() {
        let (bus, run) = bus();
        let mut reader = bus.open(&run);
        let log = bus.get(&run).unwrap();
        log.push(Bytes::from_static(b"in_progress"));
        reader.begin(vec![
            Bytes::from_static(b"created"),
            Bytes::from_static(b"queued"),
        ]);
        log.close();
        let mut seen = Vec::new();
        while let Some(frame) = reader.next().await {
            seen.push(frame);
        }
        assert_eq!(seen, ["created", "queued", "in_progress"]);
    }

    #[tokio::test]
    async fn a_reader_waits_for_what_is_still_to_come() {
        let (bus, run) = bus();
        let mut reader = bus.open(&run);
        reader.begin(Vec::new());
        let log = bus.get(&run).unwrap();
        let (frame, ()) = tokio::join!(reader.next(), async {
            log.push(Bytes::from_static(b"late"));
        });
        assert_eq!(frame.unwrap(), "late");
    }

    #[tokio::test]
    async fn a_slow_reader_is_cut_off_and_costs_no_more_than_the_cap() {
        let (bus, run) = bus();
        let mut reader = bus.open(&run);
        reader.begin(Vec::new());
        let log = bus.get(&run).unwrap();
        let frame = Bytes::from(vec![b'x'; MAX_BYTES / 4]);
        for _ in 0..8 {
            log.push(frame.clone());
        }
        assert!(log.state.lock().bytes <= MAX_BYTES);
        let error = reader.next().await.unwrap();
        assert!(error.starts_with(b"event: error\n"));
        assert!(reader.next().await.is_none());
    }

    #[tokio::test]
    async fn read_frames_are_let_go_and_a_dropped_reader_closes_the_log() {
        let (bus, run) = bus();
        let mut reader = bus.open(&run);
        reader.begin(vec![Bytes::from_static(b"a")]);
        let log = bus.get(&run).unwrap();
        assert_eq!(reader.next().await.unwrap(), "a");
        assert_eq!(log.state.lock().bytes, 0);
        drop(reader);
        assert_eq!(log.state.lock().readers, 0);
        assert!(bus.get(&run).is_none());
    }

    #[tokio::test]
    async fn a_new_leg_has_a_log_of_its_own() {
        let (bus, run) = bus();
        let first = bus.open(&run);
        let old = bus.get(&run).unwrap();
        let mut second = bus.open(&run);
        second.begin(Vec::new());
        old.push(Bytes::from_static(b"old leg"));
        drop(first);
        let log = bus.get(&run).unwrap();
        log.push(Bytes::from_static(b"new leg"));
        assert_eq!(second.next().await.unwrap(), "new leg");
    }
}
