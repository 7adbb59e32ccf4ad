//! From a name to addresses.

use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
};

use futures::future::BoxFuture;
use tokio::sync::Semaphore;

/// The most lookups at a time. Each holds a thread until the system gives an answer, even when
/// nobody waits for it any longer.
const LOOKUPS: usize = 64;

/// Finds the addresses of a host. The connector asks once for each connection.
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of a host name, in the order they are to be tried. The host is never an
    /// address itself.
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>>;
}

/// The system's resolver: its hosts file, its DNS servers, its order of addresses.
#[derive(Debug, Clone)]
pub struct SystemResolver {
    lookups: Arc<Semaphore>,
}

impl Default for SystemResolver {
    fn default() -> Self {
        Self {
            lookups: Arc::new(Semaphore::new(LOOKUPS)),
        }
    }
}

impl Resolve for SystemResolver {
    fn resolve<'a>(
        &'a self,
        host: &'a str,
        port: u16,
    ) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        Box::pin(async move {
            let permit = Arc::clone(&self.lookups).acquire_owned().await;
            let permit = permit.map_err(io::Error::other)?;
            let host = host.to_owned();
            // Not `tokio::net::lookup_host`: the permit has to last as long as the thread does.
            let lookup = tokio::task::spawn_blocking(move || {
                let _permit = permit;
                (host.as_str(), port)
                    .to_socket_addrs()
                    .map(Iterator::collect)
            });
            lookup.await.map_err(io::Error::other)?
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_system_knows_its_own_host() {
        let resolver = SystemResolver::default();
        let addresses = resolver.resolve("localhost", 81).await.unwrap();
        assert!(!addresses.is_empty());
        assert!(
            addresses
                .iter()
                .all(|address| address.ip().is_loopback() && address.port() == 81)
        );
        assert!(resolver.resolve("no name", 80).await.is_err());
        assert_eq!(resolver.lookups.available_permits(), LOOKUPS);
    }
}
