//! Session tokens: EdDSA JWTs, signed by a key that lives in the data directory.

use std::path::{Path, PathBuf};

use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use strata_proto::time::Timestamp;
use strata_proto::token::{Claims, Secret};
use thiserror::Error;
use zeroize::Zeroizing;

/// Issues and checks session tokens.
#[derive(Clone)]
pub struct Tokens {
    encoding: EncodingKey,
    decoding: DecodingKey,
    validation: Validation,
    issuer: String,
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Tokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// Why a token is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TokenRefusal {
    /// Not signed by this control plane, or not a token at all.
    #[error("token is not valid; log in again")]
    Invalid,
    /// Its time is over.
    #[error("token has expired; log in again")]
    Expired,
}

/// The signing key could not be read or made.
#[derive(Debug, Error)]
#[error("session key {path}: {reason}")]
pub struct KeyError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong with it.
    pub reason: String,
}

impl Tokens {
    /// With a key from 32 secret bytes.
    ///
    /// # Errors
    /// When the key cannot be used.
    pub fn from_seed(issuer: &str, seed: &[u8; 32]) -> Result<Self, String> {
        Self::from_key(issuer, &SigningKey::from_bytes(seed))
    }

    /// With the key in `path` (PKCS#8 PEM); makes one there, readable by its owner only, when missing.
    ///
    /// # Errors
    /// [`KeyError`] naming the file.
    pub(crate) fn load(issuer: &str, path: &Path) -> Result<Self, KeyError> {
        let failed = |reason: String| KeyError { path: path.to_owned(), reason };
        let key = match std::fs::read_to_string(path).map(Zeroizing::new) {
            Ok(pem) => SigningKey::from_pkcs8_pem(&pem).map_err(|e| failed(e.to_string()))?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let key = SigningKey::from_bytes(&crate::entropy::bytes());
                let pem = key.to_pkcs8_pem(Default::default()).map_err(|e| failed(e.to_string()))?;
                write_private(path, pem.as_bytes()).map_err(|e| failed(e.to_string()))?;
                key
            }
            Err(e) => return Err(failed(e.to_string())),
        };
        Self::from_key(issuer, &key).map_err(failed)
    }

    fn from_key(issuer: &str, key: &SigningKey) -> Result<Self, String> {
        let der = key.to_pkcs8_der().map_err(|e| e.to_string())?;
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[issuer]);
        validation.set_required_spec_claims(&["exp", "iss"]);
        // The expiry is checked against the caller's clock in `verify`.
        validation.validate_exp = false;
        validation.validate_aud = false;
        Ok(Self {
            encoding: EncodingKey::from_ed_der(der.as_bytes()),
            decoding: DecodingKey::from_ed_der(key.verifying_key().as_bytes()),
            validation,
            issuer: issuer.to_owned(),
        })
    }

    /// Who signs.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Signs claims.
    ///
    /// # Errors
    /// When the cryptographic library refuses; that is a defect.
    pub fn issue(&self, claims: &Claims) -> Result<Secret, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&Header::new(Algorithm::EdDSA), claims, &self.encoding).map(Secret::new)
    }

    /// Checks signature, issuer and expiry.
    ///
    /// # Errors
    /// [`TokenRefusal`].
    pub fn verify(&self, token: &str, now: Timestamp) -> Result<Claims, TokenRefusal> {
        let data = jsonwebtoken::decode::<Claims>(token, &self.decoding, &self.validation)
            .map_err(|_| TokenRefusal::Invalid)?;
        if data.claims.exp <= now.unix_seconds() {
            return Err(TokenRefusal::Expired);
        }
        Ok(data.claims)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    // A half-written key must not survive a crash: complete under another name, then renamed.
    let draft = path.with_extension("new");
    let mut file =
        std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    std::fs::rename(&draft, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(exp: i64) -> Claims {
        Claims {
            sub: "snd_1".into(),
            iss: "here".into(),
            iat: 0,
            exp,
            role: "sender".into(),
            owner: Some("usr_1".into()),
            epoch: 0,
        }
    }

    #[test]
    fn a_token_is_good_until_its_expiry_and_only_from_its_issuer() {
        let tokens = Tokens::from_seed("here", &[7; 32]).unwrap();
        let token = tokens.issue(&claims(100)).unwrap();
        let at = |s: i64| Timestamp::from_unix_millis(s * 1000);
        assert_eq!(tokens.verify(token.expose(), at(99)).unwrap(), claims(100));
        assert_eq!(tokens.verify(token.expose(), at(100)), Err(TokenRefusal::Expired));
        assert_eq!(tokens.verify("eyJ", at(0)), Err(TokenRefusal::Invalid));

        let other_key = Tokens::from_seed("here", &[8; 32]).unwrap();
        assert_eq!(other_key.verify(token.expose(), at(0)), Err(TokenRefusal::Invalid));
        let other_name = Tokens::from_seed("there", &[7; 32]).unwrap();
        assert_eq!(other_name.verify(token.expose(), at(0)), Err(TokenRefusal::Invalid));
    }

    #[test]
    fn the_key_survives_a_restart_and_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("session.key");
        let token = Tokens::load("here", &path).unwrap().issue(&claims(100)).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = Tokens::load("here", &path).unwrap();
        assert!(again.verify(token.expose(), Timestamp::from_unix_millis(0)).is_ok());
    }
}
