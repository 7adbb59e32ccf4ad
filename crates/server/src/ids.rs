//! The one real source of ids.

use loomgate_domain::IdGen;
use parking_lot::Mutex;

/// Bytes that are fetched at once: some forty ids for one system call.
const BUFFER: usize = 1024;

/// Random bytes of the operating system.
pub struct SystemIds {
    buffer: Mutex<Buffer>,
}

struct Buffer {
    bytes: [u8; BUFFER],
    used: usize,
}

impl SystemIds {
    /// Fetches the first bytes. Fails where the system has no source of randomness.
    pub fn new() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; BUFFER];
        getrandom::fill(&mut bytes)?;
        let buffer = Buffer { bytes, used: 0 };
        Ok(Self {
            buffer: Mutex::new(buffer),
        })
    }
}

impl Buffer {
    /// Hands out each byte once; it does not stay in memory.
    fn take(&mut self, mut wanted: &mut [u8]) {
        while !wanted.is_empty() {
            if self.used == BUFFER {
                self.refill();
            }
            let count = wanted.len().min(BUFFER - self.used);
            let (now, later) = wanted.split_at_mut(count);
            let taken = &mut self.bytes[self.used..self.used + count];
            now.copy_from_slice(taken);
            taken.fill(0);
            self.used += count;
            wanted = later;
        }
    }

    /// A system whose source worked at the start and then fails is broken beyond serving anybody.
    fn refill(&mut self) {
        if let Err(error) = getrandom::fill(&mut self.bytes) {
            tracing::error!(%error, "the system's source of randomness failed");
            std::process::abort();
        }
        self.used = 0;
    }
}

impl IdGen for SystemIds {
    fn fill(&self, bytes: &mut [u8]) {
        self.buffer.lock().take(bytes);
    }
}

impl std::fmt::Debug for SystemIds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SystemIds").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use loomgate_domain::{RunId, id::new_id};

    use super::*;

    #[test]
    fn ids_do_not_repeat_across_refills() {
        let ids = SystemIds::new().unwrap();
        let made: BTreeSet<RunId> = (0..1_000).map(|_| new_id(&ids)).collect();
        assert_eq!(made.len(), 1_000);
    }
}
