//! The one HTTP client: a shared pool of connections, TLS by rustls with ring.

use std::time::Duration;

use reqwest::redirect;

use crate::{
    egress::tls,
    error::{Error, Who},
};

/// Idle connections kept for each host.
const IDLE_CONNECTIONS: usize = 256;

/// A client that follows no redirects and reads no proxy from the environment.
pub(crate) fn build(connect_timeout: Duration) -> Result<reqwest::Client, Error> {
    let local = |error: &dyn std::error::Error| {
        Error::new(Who::Local, false, format!("no HTTP client: {error}"))
    };
    let tls = tls::config().map_err(|error| local(&error))?;
    reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .user_agent(concat!("loomgate/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .no_proxy()
        .connect_timeout(connect_timeout)
        .tcp_nodelay(true)
        .tcp_keepalive(Duration::from_secs(30))
        .pool_max_idle_per_host(IDLE_CONNECTIONS)
        .build()
        .map_err(|error| local(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_be_built() {
        assert!(build(Duration::from_secs(1)).is_ok());
    }
}
