//! How workers learn that there is something to do.

use tokio::sync::watch;

/// Where the store tells that runs may have become free.
#[derive(Debug, Clone)]
pub(crate) struct WorkSignal(watch::Sender<()>);

impl WorkSignal {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(()))
    }

    /// Wakes everybody who waits, and those who are about to.
    pub(crate) fn send(&self) {
        self.0.send_replace(());
    }

    pub(crate) fn wakeups(&self) -> Wakeups {
        Wakeups(self.0.subscribe())
    }
}

/// Tells that a run may have become free for a worker: by a commit of this process or, where
/// processes share a database, of another one. It is a hint: a worker looks into the queue from time
/// to time all the same.
///
/// [`Wakeups::arm`] comes first, then the look into the queue, then [`Wakeups::woken`]: what
/// happens in between is not missed.
#[derive(Debug)]
pub struct Wakeups(watch::Receiver<()>);

impl Wakeups {
    /// Forgets what was told so far.
    pub fn arm(&mut self) {
        self.0.mark_unchanged();
    }

    /// Waits until something was told since [`Wakeups::arm`].
    pub async fn woken(&mut self) {
        if self.0.changed().await.is_err() {
            // The store is closed, and tells nothing any more.
            std::future::pending::<()>().await;
        }
    }
}
