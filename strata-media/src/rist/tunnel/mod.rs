//! The tunnel of the Main Profile (TR-06-2): the Simple Profile's RTP and RTCP in GRE over one UDP port, in clear or
//! encrypted with a pre-shared key.
//!
//! ```text
//!             ┌ Session (client) ┐                          ┌ Listener (server) ────────┐
//!  RTP, RTCP ─┤ number, encrypt  ├═ GRE datagrams, one port ╪► Session per peer: decrypt, ├─► RTP, RTCP
//!       RTCP ◄┤ decrypt, sort    │◄════════════════════════╪═ sort; keep-alive, timeout ├◄─ RTCP
//!             └──────────────────┘                          └───────────────────────────┘
//! ```
//!
//! Who calls is the client, whether it sends or receives the stream. A server answers to where a client's datagrams
//! come from, in the client's form: with keys of the same length, and with the same RVer.
//!
//! With a key, nothing in clear is taken. As encryption does not protect from changes, what is decrypted is taken only
//! when it has the form of RTCP, or is the second packet of a source: noise does not pass. Nor does it change how a
//! peer is answered, or say goodbye for it: a farewell has to tell something in JSON.

mod budget;
mod listener;
mod open;
mod seal;
mod session;

pub use listener::{Input as ListenerInput, Listener, Output as ListenerOutput};
pub use session::{Input, Output, Role, Session};

use super::auth::Auth;
use super::psk::{AesType, Passphrase};

/// A pre-shared key.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Psk {
    /// The passphrase both ends know.
    pub secret: Passphrase,
    /// Length of the key that is sent with. What comes in says its own length; RVer 0 cannot, and is read with this.
    pub aes_type: AesType,
    /// So many datagrams are sent with a key before the next one (another nonce), at least
    /// [`MIN_KEY_ROTATION`](Self::MIN_KEY_ROTATION); when `None`, as many as can be numbered (2^32 − 1).
    pub key_rotation: Option<u32>,
}

impl Psk {
    /// The fewest datagrams for a key: a peer's 200 derivations a second are then enough for 100 000 datagrams, one
    /// Gbit/s. Checked by `net`; a [`Session`] does as it is told.
    pub const MIN_KEY_ROTATION: u32 = 500;

    /// AES-128, with one key for 2^32 − 1 datagrams.
    #[must_use]
    pub fn new(secret: Passphrase) -> Self {
        Self { secret, aes_type: AesType::Aes128, key_rotation: None }
    }
}

/// What a tunnel is made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Config {
    /// Encrypts, and takes nothing that is not encrypted; in clear when `None`.
    pub psk: Option<Psk>,
    /// Leaves the null packets of a transport stream out; the other end restores them.
    pub null_packet_deletion: bool,
    /// Tells the upper half of 32-bit sequence numbers: 16 bits name the packets of 1 s up to about 300 Mbit/s.
    pub sequence_extension: bool,
    /// Carries nothing until the peer has shown that it knows a password; anybody may be it when `None`.
    pub auth: Option<Auth>,
}

impl Config {
    /// In clear, or with a key; nothing is left out.
    #[must_use]
    pub fn new(psk: Option<Psk>) -> Self {
        Self { psk, ..Self::default() }
    }
}

/// Datagrams a tunnel has taken or refused, since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Datagrams with RTP or RTCP in them.
    pub taken: u64,
    /// Keep-alive messages.
    pub keep_alives: u64,
    /// Datagrams with something else in them; ignored.
    pub other: u64,
    /// Datagrams that are not GRE of this kind, truncated, or without RTP or RTCP where it should be.
    pub rejected: u64,
    /// Encrypted datagrams that gave noise: another passphrase, or none here.
    pub undecryptable: u64,
    /// Datagrams in clear where a passphrase is set.
    pub unencrypted: u64,
    /// Datagrams with a new nonce that came too soon after others.
    pub throttled: u64,
    /// Datagrams with RTP or RTCP of peers that have not shown a password where one is needed.
    pub unauthenticated: u64,
    /// Datagrams of peers there was no room for.
    pub crowded: u64,
}

impl std::ops::AddAssign for Counters {
    fn add_assign(&mut self, other: Self) {
        let Self {
            taken,
            keep_alives,
            other: ignored,
            rejected,
            undecryptable,
            unencrypted,
            throttled,
            unauthenticated,
            crowded,
        } = other;
        self.taken += taken;
        self.keep_alives += keep_alives;
        self.other += ignored;
        self.rejected += rejected;
        self.undecryptable += undecryptable;
        self.unencrypted += unencrypted;
        self.throttled += throttled;
        self.unauthenticated += unauthenticated;
        self.crowded += crowded;
    }
}

#[cfg(test)]
mod tests;
