//! TLS: the control plane's certificate, and the loop that serves HTTP over it.
//!
//! A control plane without certificates of its own makes a certificate authority at its first start;
//! agents pin it by its [`Fingerprint`], which the enrolment string carries.
//!
//! ```text
//! Identity::from_own_ca ─┐
//! Identity::from_files ──┴─► server_config() ─► Server { listener, router } ─► (ServerHandle, driver)
//! ```

mod authority;
mod serve;
mod write;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::ServerConfig;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use sha2::{Digest as _, Sha256};
use strata_proto::time::Timestamp;
use strata_proto::token::Fingerprint;
use thiserror::Error;

pub use serve::{ServeLimits, Server};

/// What a control plane shows to those who connect: a certificate chain and its key.
pub struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    ca: Option<Fingerprint>,
}

/// Certificates could not be made, read or used.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file could not be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("{}: {reason}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What was expected, and what is wrong.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("making a certificate: {0}")]
    Issue(#[from] rcgen::Error),
    /// Certificate and key do not make a server.
    #[error("certificate and key cannot be used: {0}")]
    Unusable(#[from] rustls::Error),
}

impl TlsError {
    /// The file it is about, if it is about one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::File { path, .. } | Self::Content { path, .. } => Some(path),
            Self::Issue(_) | Self::Unusable(_) => None,
        }
    }

    fn file(path: &Path, source: std::io::Error) -> Self {
        Self::File { path: path.to_owned(), source }
    }

    fn content(path: &Path, reason: impl Into<String>) -> Self {
        Self::Content { path: path.to_owned(), reason: reason.into() }
    }
}

impl Identity {
    /// The certificate of the control plane's own CA in `dir`; both are made when they are missing.
    ///
    /// `names` are the host names and IP addresses clients connect to. The certificate is issued
    /// anew, by the same CA, when `names` change or less than 90 days of its 397 remain at `now`.
    /// Files: `ca.pem` (CA certificate and key, mode 0600), `ca.crt` (the certificate alone, for
    /// clients), `server.pem` (chain and key, mode 0600). Blocks on the file system.
    ///
    /// # Errors
    /// [`TlsError`] naming the file that could not be read, written or understood. A damaged CA is
    /// never replaced, since every enrolled agent trusts it.
    pub fn from_own_ca(dir: &Path, names: &[String], now: Timestamp) -> Result<Self, TlsError> {
        authority::identity(dir, names, now)
    }

    /// Certificates from files: `cert` holds the chain (PEM, own certificate first), `key` its key.
    ///
    /// # Errors
    /// [`TlsError`] naming the file that could not be read or understood.
    pub fn from_files(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        Ok(Self { chain: read_chain(cert)?, key: read_key(key)?, ca: None })
    }

    /// Fingerprint of the own CA, which agents pin; `None` for certificates from files.
    #[must_use]
    pub fn ca(&self) -> Option<Fingerprint> {
        self.ca
    }

    /// The chain that is presented, own certificate first.
    #[must_use]
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        &self.chain
    }

    /// The rustls configuration of a server with this identity: aws-lc-rs, TLS 1.2 and 1.3, stateless
    /// tickets, ALPN `http/1.1` (WebSockets need it).
    ///
    /// # Errors
    /// [`TlsError::Unusable`] when the key does not belong to the certificate.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())?;
        config.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        // Sessions kept in memory would cost every idle agent some KiB.
        config.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity")
            .field("chain", &self.chain.len())
            .field("ca", &self.ca)
            .finish_non_exhaustive()
    }
}

/// SHA-256 of a certificate's DER.
#[must_use]
pub fn fingerprint(certificate: &CertificateDer<'_>) -> Fingerprint {
    Fingerprint(Sha256::digest(certificate.as_ref()).into())
}

fn read_chain(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let pem = std::fs::read(path).map_err(|e| TlsError::file(path, e))?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    match chain {
        Ok(chain) if !chain.is_empty() => Ok(chain),
        Ok(_) => Err(TlsError::content(path, "expected PEM certificates, found none")),
        Err(e) => Err(TlsError::content(path, format!("expected PEM certificates: {e}"))),
    }
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let pem = std::fs::read(path).map_err(|e| TlsError::file(path, e))?;
    PrivateKeyDer::from_pem_slice(&pem)
        .map_err(|e| TlsError::content(path, format!("expected a PEM private key: {e}")))
}

#[cfg(test)]
mod tests;
