//! The one HTTP client: a shared pool of connections, TLS by rustls with ring.

use std::{sync::Arc, time::Duration};

use reqwest::redirect;
use rustls::{ClientConfig, crypto::CryptoProvider};
use rustls_platform_verifier::Verifier;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

use crate::error::{Error, Who};

/// Idle connections kept for each host.
const IDLE_CONNECTIONS: usize = 256;

/// A client that follows no redirects and reads no proxy from the environment.
pub(crate) fn build(connect_timeout: Duration) -> Result<reqwest::Client, Error> {
    let local = |error: &dyn std::error::Error| {
        Error::new(Who::Local, false, format!("no HTTP client: {error}"))
    };
    let tls = tls().map_err(|error| local(&error))?;
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

/// Certificates are checked against the system's store, so that an operator's own authority
/// counts; where there is none (an image from scratch), against the roots compiled in.
fn tls() -> Result<ClientConfig, rustls::Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        Verifier::new(Arc::clone(&provider)).or_else(|_| bundled(Arc::clone(&provider)))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous() // rustls's word for any verifier that is not its own
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

fn bundled(provider: Arc<CryptoProvider>) -> Result<Verifier, rustls::Error> {
    Verifier::new_with_extra_roots(TLS_SERVER_ROOT_CERTS.iter().cloned(), provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_can_be_built_with_and_without_the_systems_certificates() {
        assert!(build(Duration::from_secs(1)).is_ok());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        assert!(bundled(provider).is_ok());
    }
}
