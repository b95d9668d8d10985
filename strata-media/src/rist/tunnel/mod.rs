//! The tunnel of the Main Profile (TR-06-2): the Simple Profile's RTP and RTCP in GRE over one UDP port, in clear or
//! encrypted with a pre-shared key.
//!
//! ```text
//!             ┌ Client ──────────┐                         ┌ Listener (server) ─────────┐
//!  RTP, RTCP ─┤ number, encrypt  ├═ GRE datagrams, one ═══►│ Session per peer: decrypt; ├─► RTP, RTCP
//!       RTCP ◄┤ decrypt          │◄═ port ═════════════════╡ keep-alive, timeout        ├◄─ RTCP
//!             └──────────────────┘                         └────────────────────────────┘
//! ```
//!
//! Who calls is the client, whether it sends or receives the stream. A server answers to where a client's datagrams
//! come from, in the client's form: with keys of the same length, and with the same RVer.
//!
//! Datagrams are not put into the order of their GRE numbers, as the receiver sorts RTP by its own and RTCP needs no order. What is
//! written is reduced overhead, or full datagrams where that is asked for or a client speaks so; of these, UDP over IPv4 is read.
//!
//! With a key, nothing in clear is taken. As encryption does not protect from changes, what is decrypted is taken only
//! when it has the form of RTCP, or is the second packet of a source: noise does not pass. Nor does it change how a
//! peer is answered, or say goodbye for it: a farewell has to tell something in JSON. What came before, by nonce and number, is not
//! taken again, from wherever: a listener remembers it for all its sessions, and a client over those it had.

mod client;
mod host;
mod listener;
mod open;
mod replay;
mod seal;
mod session;
mod strangers;

pub use client::{Client, Output as ClientOutput};
pub use host::{Host, Input as HostInput, Output as HostOutput};
pub use listener::{Input as ListenerInput, Listener, Output as ListenerOutput};
pub use session::{Input, Output, Role, Session};

use super::auth::Auth;
use super::psk::{AesType, Passphrase, Rver};
use super::{extension, gre};

/// Canonical name in a tunnel's own reports.
const NAME: &str = "strata";
/// What is told of this end in keep-alive messages.
const ABOUT: &[u8] = br#"{"vendor":"Strata"}"#;

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
    /// How this end speaks when it calls; who is called answers in the caller's form.
    pub rver: Rver,
}

impl Psk {
    /// The fewest datagrams for a key: a peer's 200 derivations a second are then enough for 100 000 datagrams, one
    /// Gbit/s. Checked by `net`; a [`Session`] does as it is told.
    pub const MIN_KEY_ROTATION: u32 = 500;

    /// AES-128, with one key for 2^32 − 1 datagrams, RVer 1.
    #[must_use]
    pub fn new(secret: Passphrase) -> Self {
        Self { secret, aes_type: AesType::Aes128, key_rotation: None, rver: Rver::One }
    }

    /// With this RVer.
    #[must_use]
    pub fn with_rver(self, rver: Rver) -> Self {
        Self { rver, ..self }
    }
}

/// Where media goes within a tunnel that has no [`Config::destination`], as in librist.
pub const DEFAULT_DESTINATION: u16 = 1968;

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
    /// How media and reports stand in the tunnel. Who is called and receives does as the caller.
    pub mode: gre::Mode,
    /// The port within the tunnel that media goes to, an even one, by which a receiver may tell streams apart; reports of who calls
    /// go to the one above. [`DEFAULT_DESTINATION`] when `None`.
    pub destination: Option<u16>,
    /// This end sends the stream: it greets nobody, since its own reports tell what comes.
    pub sends: bool,
    /// Carries nothing until the peer has shown that it knows a password; anybody may be it when `None`.
    pub auth: Option<Auth>,
}

impl Config {
    /// In clear, or with a key; nothing is left out.
    #[must_use]
    pub fn new(psk: Option<Psk>) -> Self {
        Self { psk, ..Self::default() }
    }

    /// Bytes before an RTP packet's header, and between that and its payload, at most. Where null packets were left out there are
    /// some more, and a packet of 188 bytes less.
    #[must_use]
    pub fn overhead(&self) -> usize {
        let header = if self.psk.is_some() { gre::KEYED_HEADER_LEN } else { gre::HEADER_LEN };
        header + self.mode.head_len() + if self.sequence_extension { extension::LEN } else { 0 }
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
    /// Datagrams with a key that came before, or are so old that this is no longer known.
    pub replayed: u64,
    /// Datagrams with RTP or RTCP of peers that have not shown a password where one is needed.
    pub unauthenticated: u64,
    /// Datagrams of peers there was no room for, and peers that made room for others.
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
            replayed,
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
        self.replayed += replayed;
        self.unauthenticated += unauthenticated;
        self.crowded += crowded;
    }
}

#[cfg(test)]
mod tests;
