//! How a world comes to its end: nothing goes wrong any more, and nobody asks for anything new.

use std::{sync::Arc, time::Duration};

use loomgate_domain::{RunId, ThreadId, WhenLocked, run::EventId};
use parking_lot::Mutex;

use crate::{
    client::{short, workspace},
    history::{Answer, Frame, Heard, Op, What},
    trace::{Rule, Violation, holds},
    world::{BATCH, World},
};

/// How often the time of runs is over, until nobody waits for a thread any more.
const EXPIRIES: usize = 20;

impl World {
    /// Lets everything that has begun come to its end, with nobody in the way: first what needs no
    /// client, then what needs one, then whatever has a deadline.
    pub(crate) fn settle(&mut self) -> Result<(), Violation> {
        self.trace.note("no more trouble, and no more requests");
        self.is_calm = true;
        for slot in self.living(|it| it.driver.is_open()) {
            self.commit(slot)?;
        }
        for slot in 0..self.slots.len() {
            if self.slots[slot].is_none() {
                self.start(slot);
            }
            self.freeze(slot, false);
        }
        let soon = self.scenario.lease * 2 + Duration::from_secs(5);
        for _ in 0..4 {
            self.calm(soon)?;
            self.has_come_far()?;
            if !self.answer_calls() {
                break;
            }
        }
        // What waited for a run that expires may be a run that is in for the same.
        for _ in 0..EXPIRIES {
            self.pass(self.scenario.expiry);
            self.calm(soon)?;
            if self.is_done() {
                break;
            }
        }
        self.are_free(soon)?;
        self.look(None)?;
        for op in &self.ops {
            holds(Rule::Ends, op.answer.is_some() || op.is_lost, || {
                format!("request {} was never answered", op.number)
            })?;
        }
        Ok(())
    }

    /// With all runs at their ends, no thread is locked.
    fn are_free(&mut self, soon: Duration) -> Result<(), Violation> {
        let first = self.ops.len();
        for thread in self.threads.clone() {
            let text = format!("q{}", self.ops.len());
            if !self.is_gone(&thread) {
                let when = WhenLocked::Fail;
                self.request(0, What::PostMessage { thread, text, when });
            }
        }
        self.calm(soon)?;
        // One whose deletion nobody saw is missing.
        let is_taken = |op: &&Op| matches!(op.answer, Some((_, Answer::Done | Answer::Missing)));
        let refused = self.ops[first..].iter().find(|op| !is_taken(op));
        holds(Rule::Lock, refused.is_none(), || {
            format!("a thread is locked: {refused:?}")
        })
    }

    /// Lets time pass while everybody does what there is to do, until there is nothing left.
    pub(crate) fn calm(&mut self, time: Duration) -> Result<(), Violation> {
        let until = self.now_ms() + i64::try_from(time.as_millis()).unwrap();
        let mut steps = 0_u32;
        loop {
            self.quiesce()?;
            if self.now_ms() >= until || self.is_done() {
                return Ok(());
            }
            steps += 1;
            self.pass(match steps {
                0..=4 => Duration::from_millis(30),
                5..=7 => Duration::from_millis(400),
                _ => self.scenario.lease / 3 + Duration::from_secs(1),
            });
        }
    }

    /// Whether every run has ended, every request is answered, and every stream read.
    fn is_done(&self) -> bool {
        let mut runs = self.observer.runs.values();
        let ended = runs
            .all(|seen| !seen.run.state.status().is_active() || self.is_gone(&seen.run.thread_id));
        let mut readers = self.readers.iter();
        ended
            && self.ops.iter().all(|op| op.answer.is_some() || op.is_lost)
            && readers.all(|it| it.task.is_finished() || it.heard.lock().end.is_some())
    }

    /// Lets everybody do what there is to do now.
    fn quiesce(&mut self) -> Result<(), Violation> {
        let (mut is_quiet, mut rounds) = (0, 0);
        while is_quiet < 2 {
            self.trace.step += 1;
            is_quiet += 1;
            rounds += 1;
            holds(Rule::Ends, rounds < 5_000, || {
                "there is no end to it".to_owned()
            })?;
            for slot in 0..self.slots.len() {
                if self.slots[slot].is_none() {
                    self.start(slot);
                }
                self.work(slot, 12)?;
                for slot in self.living(|it| it.driver.is_open()) {
                    self.commit(slot)?;
                }
                while let Some(slot) = self.readable().first().copied() {
                    self.read(slot);
                    is_quiet = 0;
                }
                while let Some(slot) = self.writable().first().copied() {
                    self.begin(slot, BATCH);
                    self.commit(slot)?;
                    is_quiet = 0;
                }
            }
            let speaking = self.common.calls.lock().speaking();
            for call in speaking {
                self.say(call);
                is_quiet = 0;
            }
        }
        Ok(())
    }

    /// After a while in which nobody was in the way, runs have ended, or wait for their client or for
    /// a model that says nothing.
    fn has_come_far(&self) -> Result<(), Violation> {
        let calls = self.common.calls.lock();
        for seen in self.observer.runs.values() {
            let status = seen.run.state.status();
            let thread = &self.observer.threads[&seen.run.thread_id];
            let is_out = thread.is_gone || thread.waiting.contains(&seen.run.id);
            // One that says nothing may take the place of another.
            let is_full = self.common.settings.concurrency <= 2 && calls.is_any_silent();
            let waits = status.ends_leg() || calls.is_silent(&seen.run.id) || is_full;
            holds(Rule::Ends, is_out || waits, || {
                format!("{} does not go on: {:?}", short(&seen.run.id), seen.run)
            })?;
        }
        Ok(())
    }

    /// All that is told of a run after an event, or of its newest leg.
    pub(crate) fn replay(
        &mut self,
        (thread, run): (&ThreadId, &RunId),
        after: Option<EventId>,
    ) -> Result<Heard, Violation> {
        let heard: Arc<Mutex<Heard>> = Arc::default();
        let Some(process) = &self.slots[0] else {
            return Ok(Heard::default());
        };
        let (engine, thread, run) = (process.engine.clone(), thread.clone(), run.clone());
        let told = Arc::clone(&heard);
        process.spawn(async move {
            let opened = engine.reopen(&workspace(), &thread, &run, after).await;
            let Ok(mut events) = opened else {
                told.lock().end = Some(false);
                return;
            };
            while let Some(frame) = events.next().await {
                told.lock().frames.push(Frame::read(&frame));
            }
            told.lock().end = Some(events.is_done());
        });
        for _ in 0..100 {
            if heard.lock().end.is_some() {
                break;
            }
            self.quiesce()?;
        }
        Ok(std::mem::take(&mut heard.lock()))
    }
}
