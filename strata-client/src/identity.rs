//! Who the device is: its Ed25519 key, made at first start, and the sender it enrolled as.
//!
//! All of it lies in one state directory that only the owner may read:
//!
//! | file | content |
//! |---|---|
//! | `device.key` | the private key, PKCS#8 PEM |
//! | `identity.json` | sender id, device key if the server issued one, hash of the token that was used |
//!
//! Files are created with mode 0600, written beside their place and renamed into it.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _};
use ed25519_dalek::{Signer as _, SigningKey};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use strata_proto::id::SenderId;
use strata_proto::token::{EnrollmentToken, Secret};
use zeroize::Zeroizing;

use crate::Error;

/// The device's key and what it enrolled as. `Debug` shows no secret.
#[derive(Clone)]
pub struct Identity {
    directory: Option<PathBuf>,
    key: SigningKey,
    enrolled: Enrolled,
}

/// What is kept after enrolment.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Enrolled {
    sender_id: Option<SenderId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    device_key: Option<Secret>,
    /// SHA-256 of the token used, so that a configuration that still holds it is not taken for a
    /// wish to enrol again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token_hash: Option<String>,
}

impl Identity {
    /// Loads the identity from `directory`, or makes it: the directory (0700) and a new key (0600).
    ///
    /// A key file that others may read is narrowed to 0600, with a warning: the key may be known.
    ///
    /// # Errors
    /// [`Error::File`] when a file cannot be read or written, [`Error::Damaged`] when it does not
    /// hold what it should, [`Error::Random`] without randomness.
    pub fn load_or_create(directory: impl Into<PathBuf>) -> Result<Self, Error> {
        let directory = directory.into();
        let key = directory.join(KEY_FILE);
        Self::load_or_create_with_key(directory, &key)
    }

    /// As [`Identity::load_or_create`], with the private key in a file of its own, on another disk for example.
    ///
    /// # Errors
    /// As [`Identity::load_or_create`].
    pub fn load_or_create_with_key(directory: impl Into<PathBuf>, key: &Path) -> Result<Self, Error> {
        let directory = directory.into();
        for directory in [Some(directory.as_path()), key.parent()].into_iter().flatten() {
            create_private_dir(directory).map_err(|e| file_error("create", directory, e))?;
        }
        let key = load_or_create_key(key)?;
        let enrolled = load_enrolled(&directory.join(IDENTITY_FILE))?;
        Ok(Self { directory: Some(directory), key, enrolled })
    }

    /// An identity in memory only, from the 32 bytes of an Ed25519 seed.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        Self { directory: None, key: SigningKey::from_bytes(&seed), enrolled: Enrolled::default() }
    }

    /// The sender this device enrolled as, if it has.
    #[must_use]
    pub fn sender_id(&self) -> Option<&SenderId> {
        self.enrolled.sender_id.as_ref()
    }

    /// The key the server issued at enrolment, if it did.
    #[must_use]
    pub fn device_key(&self) -> Option<&Secret> {
        self.enrolled.device_key.as_ref()
    }

    /// The public key as sent on the wire: 32 bytes in base64url without padding.
    #[must_use]
    pub fn public_key(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes())
    }

    /// The Ed25519 signature of `text`'s UTF-8 bytes, 64 bytes in base64url without padding.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.key.sign(text.as_bytes()).to_bytes())
    }

    /// The state directory; absent for an identity in memory.
    #[must_use]
    pub fn directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }

    /// Whether `token` is the one this device enrolled with.
    #[must_use]
    pub fn has_used(&self, token: &EnrollmentToken) -> bool {
        self.enrolled.token_hash.as_deref() == Some(&hash(token))
    }

    /// Remembers as what the device enrolled; [`Identity::save`] makes it last.
    pub fn enrol(
        &mut self,
        sender_id: SenderId,
        device_key: Option<Secret>,
        token: Option<&EnrollmentToken>,
    ) {
        self.enrolled = Enrolled { sender_id: Some(sender_id), device_key, token_hash: token.map(hash) };
    }

    /// Writes what [`Identity::enrol`] changed to the state directory. Nothing for an identity in memory.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be written.
    pub fn save(&self) -> Result<(), Error> {
        let Some(directory) = &self.directory else { return Ok(()) };
        let path = directory.join(IDENTITY_FILE);
        let text = serde_json::to_vec_pretty(&self.enrolled)
            .map_err(|e| file_error("write", &path, io::Error::other(e)))?;
        write_private(&path, &text).map_err(|e| file_error("write", &path, e))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("directory", &self.directory)
            .field("public_key", &self.public_key())
            .field("sender_id", &self.enrolled.sender_id)
            .finish_non_exhaustive()
    }
}

/// Random bytes of the system, for [`Session::new`](crate::session::Session::new).
///
/// # Errors
/// [`Error::Random`] when the system has none to give.
pub fn random_seed() -> Result<[u8; 32], Error> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(Error::Random)?;
    Ok(seed)
}

/// Writes a file that only its owner may read: beside its place with mode 0600, synced, renamed.
///
/// # Errors
/// The system's, unchanged.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("new");
    match fs::remove_file(&temporary) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    // The rename lasts only once the directory is on disk too.
    if let Some(directory) = path.parent() {
        fs::File::open(directory)?.sync_all()?;
    }
    Ok(())
}

fn create_private_dir(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

fn load_or_create_key(path: &Path) -> Result<SigningKey, Error> {
    match fs::read_to_string(path).map(Zeroizing::new) {
        Ok(pem) => {
            narrow(path)?;
            SigningKey::from_pkcs8_pem(&pem).map_err(|e| damaged(path, e))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            let mut seed = Zeroizing::new([0; 32]);
            getrandom::fill(&mut *seed).map_err(Error::Random)?;
            let key = SigningKey::from_bytes(&seed);
            let pem = key.to_pkcs8_pem(Default::default()).map_err(|e| damaged(path, e))?;
            write_private(path, pem.as_bytes()).map_err(|e| file_error("write", path, e))?;
            Ok(key)
        }
        Err(e) => Err(file_error("read", path, e)),
    }
}

fn load_enrolled(path: &Path) -> Result<Enrolled, Error> {
    match fs::read(path) {
        Ok(bytes) => {
            narrow(path)?;
            // Not serde's own words: they may quote the device key.
            serde_json::from_slice(&bytes)
                .map_err(|e| damaged(path, format_args!("line {}, column {}", e.line(), e.column())))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Enrolled::default()),
        Err(e) => Err(file_error("read", path, e)),
    }
}

/// Takes away what others may do with a secret file.
fn narrow(path: &Path) -> Result<(), Error> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(path).map_err(|e| file_error("read", path, e))?.permissions().mode() & 0o7777;
        if mode & 0o077 != 0 {
            tracing::warn!(path = %path.display(), mode = format!("{mode:o}"),
                "secret file was readable by others; set to 600, but consider it known");
            fs::set_permissions(path, fs::Permissions::from_mode(0o600))
                .map_err(|e| file_error("set the mode of", path, e))?;
        }
    }
    Ok(())
}

fn hash(token: &EnrollmentToken) -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(token.expose()))
}

pub(crate) fn file_error(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::File { action, path: path.to_owned(), source }
}

fn damaged(path: &Path, reason: impl fmt::Display) -> Error {
    Error::Damaged { path: path.to_owned(), reason: reason.to_string() }
}

const KEY_FILE: &str = "device.key";
const IDENTITY_FILE: &str = "identity.json";

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").permissions().mode() & 0o777
    }

    #[test]
    fn the_key_is_made_once_and_only_the_owner_may_read_it() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("a/b");
        let first = Identity::load_or_create(&directory).unwrap();
        assert_eq!(mode(&directory), 0o700);
        assert_eq!(mode(&directory.join(KEY_FILE)), 0o600);
        let second = Identity::load_or_create(&directory).unwrap();
        assert_eq!(first.public_key(), second.public_key());
        assert_eq!(second.sender_id(), None);
    }

    #[test]
    fn enrolment_survives_and_the_token_is_known_as_used() {
        let directory = tempfile::tempdir().unwrap();
        let token: EnrollmentToken = "enr_abc".parse().unwrap();
        let mut identity = Identity::load_or_create(directory.path()).unwrap();
        identity.enrol("snd_1".parse().unwrap(), Some(Secret::new("key")), Some(&token));
        identity.save().unwrap();
        let text = fs::read_to_string(directory.path().join(IDENTITY_FILE)).unwrap();
        assert!(!text.contains("enr_abc"), "only its hash is kept: {text}");
        assert_eq!(mode(&directory.path().join(IDENTITY_FILE)), 0o600);
        let identity = Identity::load_or_create(directory.path()).unwrap();
        assert_eq!(identity.sender_id().unwrap().as_str(), "snd_1");
        assert_eq!(identity.device_key().unwrap().expose(), "key");
        assert!(identity.has_used(&token) && !identity.has_used(&"enr_other".parse().unwrap()));
        assert!(!format!("{identity:?}").contains("key\""), "no secret in Debug");
    }

    #[test]
    fn files_that_others_may_read_are_narrowed() {
        let directory = tempfile::tempdir().unwrap();
        Identity::load_or_create(directory.path()).unwrap();
        let key = directory.path().join(KEY_FILE);
        fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
        Identity::load_or_create(directory.path()).unwrap();
        assert_eq!(mode(&key), 0o600);
    }

    #[test]
    fn damaged_files_are_named_and_their_content_is_not_shown() {
        let directory = tempfile::tempdir().unwrap();
        Identity::load_or_create(directory.path()).unwrap();
        fs::write(directory.path().join(IDENTITY_FILE), "{\"sender_id\":\"sesame\"}").unwrap();
        let error = Identity::load_or_create(directory.path()).unwrap_err();
        assert!(
            error.to_string().contains(IDENTITY_FILE) && !error.to_string().contains("sesame"),
            "{error}"
        );
        fs::write(directory.path().join(KEY_FILE), "-----BEGIN PRIVATE KEY-----\nsesame").unwrap();
        let error = Identity::load_or_create(directory.path()).unwrap_err();
        assert!(error.to_string().contains(KEY_FILE) && !error.to_string().contains("sesame"), "{error}");
    }

    #[test]
    fn a_file_left_by_a_crash_is_in_nobodys_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal.jsonl");
        fs::write(path.with_extension("new"), "half of it").unwrap();
        write_private(&path, b"whole").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"whole");
        assert!(!path.with_extension("new").exists());
    }
}
