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
    fn next(&mut self) -> u8 {
        if self.used == BUFFER {
            self.refill();
        }
        // Each byte is handed out once and does not stay in memory.
        let byte = std::mem::take(&mut self.bytes[self.used]);
        self.used += 1;
        byte
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
        let mut buffer = self.buffer.lock();
        bytes.fill_with(|| buffer.next());
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
