//! Authentication by user name and password: EAP-SRP-SHA256 in EAPOL, as librist does it in its tunnels. The password
//! does not pass, not even as a hash, and who listens cannot try passwords on what he heard.
//!
//! ```text
//!  client ── start ──────────────► server (listens)
//!         ◄─ identity? ───────────
//!         ── name ───────────────►
//!         ◄─ salt ────────────────   SRP-6a (RFC 2945, RFC 5054: 2048 bits)
//!         ── A ──────────────────►
//!         ◄─ B ───────────────────
//!         ── proof ──────────────►
//!         ◄─ proof ───────────────
//!         ── success ────────────►
//!         ◄─ success ─────────────
//! ```
//!
//! Version 3 of the messages marks hashes as they should be. Version 2 is that of librist 0.2.7 and before, where some
//! hashes start from zeros instead of the constants of SHA-256; both are spoken.

mod eap;
mod srp;
mod verifiers;

pub(super) use eap::Eap;
pub use verifiers::{Verifiers, VerifiersError};

use std::fmt;
use std::sync::Arc;
use std::time::Instant;

use aws_lc_rs::digest::{SHA256, digest};

/// Who a client says it is. `Debug` does not show the password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    name: Arc<str>,
    password: Arc<str>,
}

impl Credentials {
    /// Longest name and password, bytes: librist keeps 255.
    pub const MAX_LEN: usize = 255;

    /// A name and a password, 1 to 255 bytes each; `None` when they are not.
    #[must_use]
    pub fn new(name: &str, password: &str) -> Option<Self> {
        let fits = |text: &str| (1..=Self::MAX_LEN).contains(&text.len()) && !text.contains('\0');
        (fits(name) && fits(password)).then(|| Self { name: name.into(), password: password.into() })
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Who this end is, or whom it lets in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    Client(Credentials),
    Server(Verifiers),
}

/// One end's part in authentication. `Debug` does not show its secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Auth {
    pub(super) part: Part,
    entropy: [u8; 32],
}

impl Auth {
    /// An end that calls, and says who it is. `entropy` is to be random, and secret.
    #[must_use]
    pub fn client(credentials: Credentials, entropy: [u8; 32]) -> Self {
        Self { part: Part::Client(credentials), entropy }
    }

    /// An end that is called, and lets these users in. `entropy` is to be random, and secret.
    #[must_use]
    pub fn server(users: Verifiers, entropy: [u8; 32]) -> Self {
        Self { part: Part::Server(users), entropy }
    }

    /// An exchange with one peer; `number` is to be of it alone.
    pub(super) fn exchange(&self, now: Instant, number: u64) -> Eap {
        let entropy = self.derive(&[b"exchange", &number.to_be_bytes()]);
        Eap::new(now, self.part.clone(), entropy, self.derive(&[b"decoys"]))
    }

    /// A secret of its own for one purpose.
    fn derive(&self, purpose: &[&[u8]]) -> [u8; 32] {
        let mut out = [0; 32];
        out.copy_from_slice(digest(&SHA256, &[&self.entropy[..], &purpose.concat()].concat()).as_ref());
        out
    }
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Auth").field(&self.part).finish()
    }
}

#[cfg(test)]
mod tests;
