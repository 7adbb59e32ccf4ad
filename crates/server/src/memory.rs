//! Memory goes back to the system once nobody needs it.
//!
//! mimalloc keeps pages that were freed for a second, in case they are wanted again, and looks at those whose time
//! is over when a thread needs a fresh page, or ends. A server at rest does neither, and would keep what its busiest
//! moment took; so a thread comes and goes.

use std::{thread, time::Duration};

/// How often that happens: a fraction of a thousandth of a core.
pub(crate) const EVERY: Duration = Duration::from_secs(2);

/// Enough for a thread that does nothing.
const STACK: usize = 64 << 10;

/// Has the allocator look at what it keeps.
pub(crate) fn give_back() {
    let ended = thread::Builder::new()
        .name("memory".to_owned())
        .stack_size(STACK)
        // A thread that takes nothing has nothing to be looked at when it ends.
        .spawn(|| drop(std::hint::black_box(Box::new(0_u64))));
    if let Err(error) = ended {
        tracing::debug!(%error, "no thread to give memory back with");
    }
}
