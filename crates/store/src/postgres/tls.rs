//! How the server proves who it is: TLS by rustls with ring.

use std::{path::PathBuf, sync::Arc};

use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error as TlsError, RootCertStore,
    SignatureScheme,
    client::{
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
        verify_server_cert_signed_by_trust_anchor,
    },
    crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature},
    pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject as _},
    server::ParsedCertificate,
};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::UrlError;

/// What of a certificate is checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verify {
    /// Nothing: the line is private, but to whom is not known.
    Nothing,
    /// That an authority gave it out.
    Authority(Roots),
    /// That, and that it is for the host.
    Host(Roots),
}

/// Which authorities are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Roots {
    /// Those of the operating system.
    System,
    /// These.
    These(Vec<CertificateDer<'static>>),
}

impl Roots {
    /// Those in a file of PEM.
    pub(super) fn of_file(path: PathBuf) -> Result<Self, UrlError> {
        let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect);
        let refused = |reason| UrlError::RootCert { path, reason };
        let certificates: Vec<_> = match read {
            Ok(certificates) => certificates,
            Err(error) => return Err(refused(error.to_string())),
        };
        if certificates.is_empty() {
            return Err(refused("there is no certificate in it".to_owned()));
        }
        Ok(Self::These(certificates))
    }

    fn store(&self) -> RootCertStore {
        let mut store = RootCertStore::empty();
        let certificates = match self {
            Self::System => rustls_native_certs::load_native_certs().certs,
            Self::These(certificates) => certificates.clone(),
        };
        let (_, ignored) = store.add_parsable_certificates(certificates);
        if ignored > 0 {
            tracing::debug!(ignored, "authorities that are not understood");
        }
        store
    }
}

/// What connects with TLS.
pub(super) fn connector(verify: &Verify) -> Result<MakeRustlsConnect, TlsError> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let lenient = |roots| {
        Arc::new(LenientVerifier {
            roots,
            provider: Arc::clone(&provider),
        })
    };
    let config = match verify {
        Verify::Host(roots) => builder.with_root_certificates(roots.store()),
        Verify::Authority(roots) => builder
            .dangerous() // rustls's word for any verifier that is not its own
            .with_custom_certificate_verifier(lenient(Some(roots.store()))),
        Verify::Nothing => builder
            .dangerous()
            .with_custom_certificate_verifier(lenient(None)),
    };
    Ok(MakeRustlsConnect::new(config.with_no_client_auth()))
}

/// Does not ask whose name is in the certificate, nor, without roots, who gave it out.
#[derive(Debug)]
struct LenientVerifier {
    roots: Option<RootCertStore>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for LenientVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, TlsError> {
        if let Some(roots) = &self.roots {
            if roots.is_empty() {
                return Err(CertificateError::UnknownIssuer.into());
            }
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                roots,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, TlsError> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let algorithms = &self.provider.signature_verification_algorithms;
        algorithms.supported_schemes()
    }
}
