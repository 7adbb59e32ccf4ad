//! Where the API is to be had: the doors of all servers, some of them open.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::watch;

/// The doors of all servers.
#[derive(Debug)]
pub(crate) struct Doors(watch::Sender<Vec<Option<SocketAddr>>>);

/// One client's way to them, as through a load balancer. Clones go the same way.
#[derive(Debug, Clone)]
pub(crate) struct Way {
    doors: watch::Receiver<Vec<Option<SocketAddr>>>,
    /// Which of them it prefers.
    preferred: Arc<AtomicUsize>,
}

impl Doors {
    /// So many, all closed.
    pub(crate) fn new(count: usize) -> Self {
        Self(watch::Sender::new(vec![None; count]))
    }

    /// Opens one, or with none closes it.
    pub(crate) fn set(&self, door: usize, address: Option<SocketAddr>) {
        self.0.send_modify(|doors| doors[door] = address);
    }

    /// A way that begins at any of them.
    pub(crate) fn way(&self, preferred: usize) -> Way {
        Way {
            doors: self.0.subscribe(),
            preferred: Arc::new(AtomicUsize::new(preferred)),
        }
    }
}

impl Way {
    /// The door that it prefers, or the next one that is open; waits until there is one. None: it
    /// is all over.
    pub(crate) async fn find(&self) -> Option<SocketAddr> {
        let mut doors = self.doors.clone();
        let is_any_open = |doors: &Vec<Option<SocketAddr>>| doors.iter().any(Option::is_some);
        let doors = doors.wait_for(is_any_open).await.ok()?;
        let preferred = self.preferred.load(Ordering::Relaxed) % doors.len();
        let (before, from) = doors.split_at(preferred);
        from.iter().chain(before).copied().flatten().next()
    }

    /// Prefers another one from now on.
    pub(crate) fn turn(&self) {
        self.preferred.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_way_leads_to_the_next_door_that_is_open() {
        let doors = Doors::new(3);
        let at = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let way = doors.way(1);
        let waits = tokio::time::timeout(std::time::Duration::ZERO, way.find());
        assert!(waits.await.is_err());
        doors.set(0, Some(at(10)));
        assert_eq!(way.find().await, Some(at(10)));
        doors.set(2, Some(at(12)));
        assert_eq!(way.find().await, Some(at(12)));
        doors.set(1, Some(at(11)));
        assert_eq!(way.find().await, Some(at(11)));
        way.turn();
        assert_eq!(way.find().await, Some(at(12)));
        doors.set(2, None);
        assert_eq!(way.find().await, Some(at(10)));
    }
}
