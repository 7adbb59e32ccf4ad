//! What goes wrong: processes are killed, frozen and sent away, and clients go away.

use std::time::Duration;

use crate::{check, trace::Violation, world::World};

#[derive(Debug, Clone, Copy)]
enum Trouble {
    Crash,
    Start,
    Freeze,
    Thaw,
    Leave,
    Hint,
    DropReader,
}

impl World {
    /// Something goes wrong.
    pub(crate) fn trouble(&mut self) -> Result<(), Violation> {
        let trouble = self.random.weighted(&[
            (30, Trouble::Crash),
            (40, Trouble::Start),
            (15, Trouble::Freeze),
            (20, Trouble::Thaw),
            (8, Trouble::Leave),
            (10, Trouble::Hint),
            (20, Trouble::DropReader),
        ]);
        let empty = self.slots.iter().position(Option::is_none);
        // Nobody is attached while a transaction is open.
        let empty = empty.filter(|_| !self.is_open());
        match trouble {
            Trouble::Start | Trouble::Crash | Trouble::Leave if empty.is_some() => {
                self.start(empty.unwrap_or_default());
            }
            Trouble::Crash => {
                if let Some(slot) = self.any(|_| true) {
                    self.trace.note(format!("process in slot {slot} is killed"));
                    self.end(slot);
                    check::acknowledged(self)?;
                }
            }
            Trouble::Freeze => {
                // One that holds the database would only stop the others.
                if let Some(slot) = self.any(|it| !it.is_frozen && !it.driver.is_open()) {
                    self.freeze(slot, true);
                }
            }
            Trouble::Thaw => {
                if let Some(slot) = self.any(|it| it.is_frozen) {
                    self.freeze(slot, false);
                }
            }
            Trouble::Leave => {
                let grace = Duration::from_secs(self.random.pick(&[0, 1, 10]));
                if let Some(slot) = self.any(|it| !it.is_leaving && !it.is_frozen)
                    && let Some(process) = &mut self.slots[slot]
                {
                    self.trace
                        .note(format!("process {} is told to go", process.number));
                    process.leave(grace);
                }
            }
            Trouble::Hint => {
                if let Some(slot) = self.any(|_| true)
                    && let Some(process) = &self.slots[slot]
                {
                    process.driver.hint();
                }
            }
            Trouble::DropReader => {
                if !self.readers.is_empty() {
                    let reader = &self.readers[self.random.below(self.readers.len())];
                    self.trace
                        .note(format!("the reader of request {} goes away", reader.op));
                    reader.task.abort();
                }
            }
            Trouble::Start => {}
        }
        Ok(())
    }

    pub(crate) fn freeze(&mut self, slot: usize, is_frozen: bool) {
        if let Some(process) = &mut self.slots[slot] {
            process.is_frozen = is_frozen;
            self.trace
                .note(format!("process {} frozen: {is_frozen}", process.number));
        }
    }

    /// Ends a process: what it had not committed is lost, and so are its answers.
    pub(crate) fn end(&mut self, slot: usize) {
        if let Some(process) = self.slots[slot].take() {
            let lost = self
                .ops
                .iter_mut()
                .filter(|op| op.process == process.number);
            for op in lost.filter(|op| op.answer.is_none()) {
                op.is_lost = true;
            }
        }
    }
}
