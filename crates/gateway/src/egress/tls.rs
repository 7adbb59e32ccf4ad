//! How a server proves who it is: TLS by rustls with ring.

use std::sync::Arc;

use rustls::{ClientConfig, crypto::CryptoProvider};
use rustls_platform_verifier::Verifier;
use webpki_root_certs::TLS_SERVER_ROOT_CERTS;

/// Certificates are checked against the system's store, so that an operator's own authority
/// counts; where there is none (an image from scratch), against the roots compiled in.
pub(crate) fn config() -> Result<ClientConfig, rustls::Error> {
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
    fn tls_works_with_and_without_the_systems_certificates() {
        assert!(config().is_ok());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        assert!(bundled(provider).is_ok());
    }
}
