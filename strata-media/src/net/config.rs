//! What to open, and with which latency.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::error::NetError;
use crate::bond::{Cost, SchedulerParams};
use crate::rist::auth::{Auth, Credentials, Verifiers};
use crate::rist::tunnel::{self, Psk};

/// How a sender speaks; a receiver understands both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Profile {
    /// TR-06-1: RTP and RTCP on a pair of ports, in clear.
    #[default]
    Simple,
    /// TR-06-2: a tunnel to one port, encrypted if there is a key.
    Main,
}

/// A bonded sender: links, latency, scheduler.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SenderConfig {
    /// One entry per link, at least one, at most 16.
    pub links: Vec<LinkConfig>,
    /// How long a packet may be repeated after it was first sent: at least the receiver's latency.
    pub latency: Duration,
    /// How packets are spread.
    pub scheduler: SchedulerParams,
    /// Canonical name in RTCP (RFC 3550, 6.5.1).
    pub cname: String,
    /// How it speaks.
    pub profile: Profile,
    /// Encrypts everything with a key the receiver has too; only with the Main Profile.
    pub psk: Option<Psk>,
    /// Says who this end is, to a receiver that lets only its users in; only with the Main Profile.
    pub credentials: Option<Credentials>,
    /// Leaves the null packets of a transport stream out, which the receiver restores; only with the Main Profile.
    pub null_packet_deletion: bool,
    /// Tells sequence numbers of 32 bits, which streams of more than 100 Mbit/s need at a latency of 1 s; only with the
    /// Main Profile, and only for a receiver that knows them.
    pub sequence_extension: bool,
}

impl SenderConfig {
    /// Links with a latency of 1000 ms, default scheduling, and the Simple Profile.
    #[must_use]
    pub fn new(links: Vec<LinkConfig>) -> Self {
        Self {
            links,
            latency: Duration::from_millis(1000),
            scheduler: SchedulerParams::default(),
            cname: "strata".to_owned(),
            profile: Profile::Simple,
            psk: None,
            credentials: None,
            null_packet_deletion: false,
            sequence_extension: false,
        }
    }

    /// What its tunnels are made of.
    ///
    /// # Errors
    /// [`NetError::Config`] names the field that does not go with the others.
    pub(super) fn tunnel(&self) -> Result<Option<tunnel::Config>, NetError> {
        let simple = self.profile == Profile::Simple;
        let reason = "only with the profile Main: the Simple Profile does not know it";
        if simple && self.psk.is_some() {
            return Err(NetError::Config { field: "psk".to_owned(), reason: reason.to_owned() });
        }
        if simple && self.null_packet_deletion {
            let field = "null_packet_deletion".to_owned();
            return Err(NetError::Config { field, reason: reason.to_owned() });
        }
        if simple && self.credentials.is_some() {
            return Err(NetError::Config { field: "credentials".to_owned(), reason: reason.to_owned() });
        }
        if simple && self.sequence_extension {
            let field = "sequence_extension".to_owned();
            return Err(NetError::Config { field, reason: reason.to_owned() });
        }
        check_psk(self.psk.as_ref())?;
        let mut config = tunnel::Config::new(self.psk.clone());
        config.null_packet_deletion = self.null_packet_deletion;
        config.sequence_extension = self.sequence_extension;
        if let Some(credentials) = &self.credentials {
            config.auth = Some(Auth::client(credentials.clone(), entropy()?));
        }
        Ok((!simple).then_some(config))
    }
}

/// Random bytes for what must not be guessed.
pub(super) fn entropy() -> Result<[u8; 32], NetError> {
    let mut out = [0; 32];
    let error = |_| NetError::Io { what: "no random numbers", source: std::io::ErrorKind::Other.into() };
    aws_lc_rs::rand::fill(&mut out).map_err(error)?;
    Ok(out)
}

/// Checks a key.
pub(super) fn check_psk(psk: Option<&Psk>) -> Result<(), NetError> {
    if let Some(rotation @ ..Psk::MIN_KEY_ROTATION) = psk.and_then(|psk| psk.key_rotation) {
        let reason = format!(
            "a new key every {rotation} datagrams; at least {} are expected, or the peer could not keep up",
            Psk::MIN_KEY_ROTATION
        );
        return Err(NetError::Config { field: "psk.key_rotation".to_owned(), reason });
    }
    Ok(())
}

/// One link of a bonded sender.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkConfig {
    /// Number of the link, unique in the bond; only a name.
    pub id: u32,
    /// RTP address of the receiver; RTCP goes to the port above. The port must be even and not 0 (TR-06-1, 5.1.1).
    /// With the Main Profile everything goes to this port, which may be any.
    pub remote: SocketAddr,
    /// Interface the sockets are bound to (`SO_BINDTODEVICE`); the system's choice when `None`.
    pub interface: Option<String>,
    /// Source address of the sockets; the system's choice when `None`.
    pub source: Option<IpAddr>,
    /// Used only when the other links do not suffice.
    pub backup: bool,
    /// Every byte costs: used last of all, and nothing is sent by it to find out how it is.
    pub metered: bool,
    /// Bytes it may carry in all, headers of IP and UDP included; then it is not used any more.
    pub cap_bytes: Option<u64>,
    /// A hint: links of more weight get more, in proportion, as far as they carry it. 0 is no hint.
    /// Only with a receiver of Strata, which tells what arrives by each link; of others that is not known.
    pub weight: u32,
}

impl LinkConfig {
    /// When it is used.
    pub(super) fn cost(&self) -> Cost {
        match (self.metered, self.backup) {
            (true, _) => Cost::Metered,
            (false, true) => Cost::Backup,
            (false, false) => Cost::Free,
        }
    }

    /// A link to `remote` over whatever interface the system chooses.
    #[must_use]
    pub fn new(id: u32, remote: SocketAddr) -> Self {
        Self {
            id,
            remote,
            interface: None,
            source: None,
            backup: false,
            metered: false,
            cap_bytes: None,
            weight: 0,
        }
    }
}

/// What changes on a running sender; `None` leaves a value as it is.
#[derive(Debug, Clone, Default)]
pub struct SenderUpdate {
    /// New latency.
    pub latency: Option<Duration>,
    /// New scheduling.
    pub scheduler: Option<SchedulerParams>,
    /// Links (by id) that are to be used or not, without being closed.
    pub enabled: Vec<(u32, bool)>,
    /// Links that are added, or changed if there is one of the same id. One that leads elsewhere, or by another interface or
    /// source address, is opened anew. One that cannot be opened says why in its statistics, and is tried again.
    pub links: Vec<LinkConfig>,
    /// Links (by id) that are removed, before others are added. One must be left.
    pub remove: Vec<u32>,
}

/// A receiver: where it listens, and its latency. It recognizes the profile of a sender by itself: the Main Profile's
/// tunnels come to the RTP addresses.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ReceiverConfig {
    /// RTP addresses; RTCP is one port above each. Even ports, or 0 to let the system choose a pair.
    pub binds: Vec<SocketAddr>,
    /// Constant time from the arrival of an undelayed packet to its playout.
    pub latency: Duration,
    /// Canonical name in RTCP (RFC 3550, 6.5.1).
    pub cname: String,
    /// The key senders have too. With it, nothing is taken in clear, and so nothing of the Simple Profile.
    pub psk: Option<Psk>,
    /// Who is let in. With it, nothing of who has not shown a password is taken, and so nothing of the Simple Profile.
    pub users: Option<Verifiers>,
    /// Packets kept for a consumer that does not take them; more are dropped and counted.
    pub output_capacity: usize,
}

impl ReceiverConfig {
    /// Listens at `binds` with a latency of 1000 ms.
    #[must_use]
    pub fn new(binds: Vec<SocketAddr>) -> Self {
        Self {
            binds,
            latency: Duration::from_millis(1000),
            cname: "strata".to_owned(),
            psk: None,
            users: None,
            output_capacity: 8192,
        }
    }
}
