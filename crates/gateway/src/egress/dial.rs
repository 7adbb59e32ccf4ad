//! The connector: resolve once, check everything, connect to what was checked.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures::future::BoxFuture;
use http::{Uri, uri::Scheme};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use socket2::{SockRef, TcpKeepalive};
use tokio::{net::TcpStream, time::Instant};
use tower_service::Service;

use super::{Guard, Resolve};
use crate::http_client::SendError;

/// The most addresses of a host that are tried.
const ADDRESSES: usize = 8;

/// How long a connection is silent before the system asks whether the other end is there, and
/// between two such questions.
const KEEPALIVE: Duration = Duration::from_secs(30);

/// Makes TCP connections, through a guard or without one.
#[derive(Clone)]
pub(crate) struct Dial {
    pub(crate) resolver: Arc<dyn Resolve>,
    pub(crate) guard: Option<Arc<Guard>>,
    pub(crate) timeout: Duration,
}

/// Makes TCP connections, and TLS over them for `https`, within the connect timeout in all.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<Dial>,
    timeout: Duration,
}

impl Connector {
    pub(crate) fn new(dial: Dial, tls: Arc<ClientConfig>) -> Self {
        Self {
            timeout: dial.timeout,
            inner: HttpsConnector::from((dial, tls)),
        }
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = SendError;
    type Future = BoxFuture<'static, Result<Self::Response, SendError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.inner.call(uri.clone());
        let connecting = tokio::time::timeout(self.timeout, connecting);
        Box::pin(async move {
            let Ok(connected) = connecting.await else {
                return Err(SendError::ConnectTimeout);
            };
            connected.map_err(|error| match error.downcast::<SendError>() {
                Ok(error) => *error,
                Err(reason) => {
                    // What is not the dial's is the handshake's; its words end here.
                    let host = uri.host().unwrap_or_default();
                    tracing::warn!(host, %reason, "TLS handshake failed");
                    SendError::Tls
                }
            })
        })
    }
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TcpStream>;
    type Error = SendError;
    type Future = BoxFuture<'static, Result<Self::Response, SendError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let dial = self.clone();
        Box::pin(async move { dial.connect(&uri).await.map(TokioIo::new) })
    }
}

impl Dial {
    async fn connect(&self, uri: &Uri) -> Result<TcpStream, SendError> {
        let deadline = Instant::now() + self.timeout;
        let (host, port) = place(uri);
        let addresses = self.addresses(host, port).await?;
        if let Some(guard) = &self.guard {
            guard.check(host, port, &addresses)?;
        }
        let mut failure = SendError::Dns("the name has no address".to_owned());
        let count = addresses.len().min(ADDRESSES);
        for (tried, &address) in addresses.iter().take(count).enumerate() {
            // A dead address may use up its share of the time, and no more.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(count - tried).unwrap_or(1);
            match tokio::time::timeout(share, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => return self.connected(stream),
                Ok(Err(error)) => failure = SendError::Connect(error.to_string()),
                Err(_) => failure = SendError::ConnectTimeout,
            }
        }
        Err(failure)
    }

    /// All addresses of the host; an address stands for itself.
    async fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, SendError> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![(address, port).into()]);
        }
        let addresses = self.resolver.resolve(host, port).await;
        addresses.map_err(|error| SendError::Dns(error.to_string()))
    }

    fn connected(&self, stream: TcpStream) -> Result<TcpStream, SendError> {
        let broken = |error: io::Error| SendError::Connect(error.to_string());
        if let Some(guard) = &self.guard {
            let local = stream.local_addr().map_err(broken)?;
            let peer = stream.peer_addr().map_err(broken)?;
            guard.check_connected(local, peer)?;
        }
        stream.set_nodelay(true).map_err(broken)?;
        let keepalive = TcpKeepalive::new()
            .with_time(KEEPALIVE)
            .with_interval(KEEPALIVE);
        let socket = SockRef::from(&stream);
        socket.set_tcp_keepalive(&keepalive).map_err(broken)?;
        Ok(stream)
    }
}

/// Host, without the brackets of an IPv6 address, and port.
fn place(uri: &Uri) -> (&str, u16) {
    let host = uri.host().unwrap_or_default();
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    let default = if uri.scheme() == Some(&Scheme::HTTPS) {
        443
    } else {
        80
    };
    (bare.unwrap_or(host), uri.port_u16().unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;
    use crate::egress::{Exceptions, Refusal, SystemResolver};

    /// What a public address of this machine would show, seen on loopback: the check before the
    /// connection is left out.
    #[tokio::test]
    async fn a_connection_that_turns_out_to_end_at_this_server_is_not_used() {
        let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
        let own = listener.local_addr().unwrap();
        let guard = Guard::new(Exceptions::default(), [own]);
        let dial = Dial {
            resolver: Arc::new(SystemResolver::default()),
            guard: Some(Arc::new(guard)),
            timeout: Duration::from_secs(5),
        };
        let inside = SocketAddr::new([127, 0, 0, 1].into(), own.port());
        let stream = TcpStream::connect(inside).await.unwrap();
        let refused = dial.connected(stream).unwrap_err();
        assert_eq!(refused, SendError::Refused(Refusal::OwnAddress(inside)));

        let trusted = Dial {
            guard: None,
            ..dial
        };
        let stream = TcpStream::connect(inside).await.unwrap();
        let stream = trusted.connected(stream).unwrap();
        assert!(stream.nodelay().unwrap());
        assert!(SockRef::from(&stream).keepalive().unwrap());
    }

    #[test]
    fn a_place_has_its_schemes_port_and_no_brackets() {
        for (uri, expected) in [
            ("http://a.example/", ("a.example", 80)),
            ("https://a.example/", ("a.example", 443)),
            ("https://[::1]:8443/", ("::1", 8443)),
        ] {
            assert_eq!(place(&uri.parse().unwrap()), expected);
        }
    }
}
