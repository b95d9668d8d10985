//! The control plane's certificate: pinned by its CA's fingerprint, or checked as the system does.
//!
//! A control plane with a CA of its own presents `[leaf, ca]`, and the enrolment string carries the
//! SHA-256 of the CA's certificate. Pinning means: the certificate with that fingerprint is looked
//! for in the presented chain, becomes the only trust anchor, and from it leaf, validity and host
//! name are verified as always. So the leaf may be renewed, and nobody else can make one.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use sha2::{Digest as _, Sha256};
use strata_proto::token::Fingerprint;

use crate::Error;

/// A TLS configuration that trusts the CA with this fingerprint only, or without one the system's
/// certificate authorities. It uses aws-lc-rs and touches no process-wide default.
///
/// # Errors
/// [`Error::Tls`] when the system has no certificate authorities.
pub fn client_config(ca: Option<Fingerprint>) -> Result<Arc<ClientConfig>, Error> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|e| Error::Tls(e.to_string()))?;
    let config = match ca {
        Some(ca) => builder
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned { ca, provider }))
            .with_no_client_auth(),
        None => builder.with_root_certificates(system_roots()?).with_no_client_auth(),
    };
    Ok(Arc::new(config))
}

fn system_roots() -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    let (usable, _) = roots.add_parsable_certificates(found.certs);
    if usable == 0 {
        let why = found.errors.first().map(ToString::to_string).unwrap_or_default();
        let advice = "no certificate authorities on this system: install ca-certificates, or give the \
                      control plane's CA by its fingerprint (sha256:…)";
        return Err(Error::Tls(format!("{advice} {why}").trim_end().to_owned()));
    }
    Ok(roots)
}

/// Verifies as always, from the one trust anchor that has the fingerprint.
#[derive(Debug)]
struct Pinned {
    ca: Fingerprint,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let is_pinned = |der: &&CertificateDer<'_>| Sha256::digest(der)[..] == self.ca.0;
        let anchor = intermediates
            .iter()
            .find(is_pinned)
            .ok_or(rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(anchor.clone().into_owned())?;
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|e| rustls::Error::General(e.to_string()))?
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
