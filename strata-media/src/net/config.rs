//! What to open, and with which latency.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::error::NetError;
use crate::bond::{Cost, SchedulerParams};
use crate::rist::auth::{Auth, Credentials, Verifiers};
use crate::rist::tunnel::{self, Psk};
use crate::rist::{Seed, gre};

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
    /// Who may call links that [listen](LinkConfig::listens); anybody when `None`.
    pub users: Option<Verifiers>,
    /// Leaves the null packets of a transport stream out, which the receiver restores; only with the Main Profile.
    pub null_packet_deletion: bool,
    /// Tells sequence numbers of 32 bits, which streams of more than 100 Mbit/s need at a latency of 1 s; only with the
    /// Main Profile, and only for a receiver that knows them.
    pub sequence_extension: bool,
    /// Sends whole datagrams of IPv4 in the tunnel (TR-06-2, full datagram mode), for a receiver that takes no others; only with the
    /// Main Profile, at 24 bytes more for each, and payloads of at most 1388 bytes.
    pub full_datagrams: bool,
    /// The port within the tunnels that media goes to, an even one, by which a receiver may tell streams apart; 1968 when `None`, as
    /// librist has it. Only with the Main Profile.
    pub virtual_port: Option<u16>,
    /// Whether the source can be asked for a keyframe: Strata's receivers are told so, and what they ask for is waited for by
    /// [`Sender::keyframe_wanted`](super::Sender::keyframe_wanted).
    pub keyframes: bool,
    /// Whether payloads are of a live source, which cannot wait: they are taken when they come, and those that cannot
    /// arrive in time are discarded. Otherwise, as for a file, giving them waits while a quarter of the latency is spent
    /// waiting for the links, and while no link carries anything; none is discarded for being late before it was sent.
    pub live: bool,
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
            users: None,
            null_packet_deletion: false,
            sequence_extension: false,
            full_datagrams: false,
            virtual_port: None,
            keyframes: false,
            live: true,
        }
    }

    /// What its tunnels are made of: of links that call, and of links that listen.
    ///
    /// # Errors
    /// [`NetError::Config`] names the field that does not go with the others.
    pub(super) fn tunnels(&self) -> Result<Option<[tunnel::Config; 2]>, NetError> {
        let simple = self.profile == Profile::Simple;
        let only_main = [
            ("psk", self.psk.is_some()),
            ("null_packet_deletion", self.null_packet_deletion),
            ("credentials", self.credentials.is_some()),
            ("users", self.users.is_some()),
            ("sequence_extension", self.sequence_extension),
            ("full_datagrams", self.full_datagrams),
            ("virtual_port", self.virtual_port.is_some()),
        ];
        if let Some((field, _)) = only_main.into_iter().find(|(_, is)| simple && *is) {
            let reason = "only with the profile Main: the Simple Profile does not know it".to_owned();
            return Err(NetError::Config { field: field.to_owned(), reason });
        }
        if self.users.is_some() && !self.links.iter().any(|link| link.listens) {
            let reason = "only with a link that listens: who calls is asked for credentials".to_owned();
            return Err(NetError::Config { field: "users".to_owned(), reason });
        }
        if self.credentials.is_some() && self.links.iter().all(|link| link.listens) {
            let reason = "only with a link that calls: one that listens has users".to_owned();
            return Err(NetError::Config { field: "credentials".to_owned(), reason });
        }
        if self.virtual_port.is_some_and(|port| port == 0 || !port.is_multiple_of(2)) {
            let reason = "an even port is expected: reports go to the one above".to_owned();
            return Err(NetError::Config { field: "virtual_port".to_owned(), reason });
        }
        check_psk(self.psk.as_ref())?;
        let mut calls = tunnel::Config::new(self.psk.clone());
        calls.null_packet_deletion = self.null_packet_deletion;
        calls.sequence_extension = self.sequence_extension;
        calls.mode = if self.full_datagrams { gre::Mode::Full } else { gre::Mode::Reduced };
        calls.destination = self.virtual_port;
        let mut listens = calls.clone();
        calls.auth = client(self.credentials.as_ref())?;
        if let Some(users) = &self.users {
            listens.auth = Some(Auth::server(users.clone(), entropy()?));
        }
        Ok((!simple).then_some([calls, listens]))
    }
}

/// Who says who it is.
pub(super) fn client(credentials: Option<&Credentials>) -> Result<Option<Auth>, NetError> {
    let Some(credentials) = credentials else { return Ok(None) };
    Ok(Some(Auth::client(credentials.clone(), entropy()?)))
}

/// What a machine's numbers come from, that nobody can guess.
pub(super) fn seed() -> Result<Seed, NetError> {
    Ok(entropy()?.into())
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
    /// With the Main Profile everything goes to this port, which may be any. A multicast group, of the Simple Profile only,
    /// is any number of receivers.
    pub remote: SocketAddr,
    /// Whether the receiver calls this end, which only the Main Profile knows: `remote` is then the address of this machine
    /// that it calls. Media goes to the first one that has shown where it is, and what [`SenderConfig::psk`] and
    /// [`SenderConfig::users`] ask for; others are refused until it is silent.
    pub listens: bool,
    /// Interface the sockets are bound to (`SO_BINDTODEVICE`); the system's choice when `None`. One that has no address of its own is an
    /// error on this link, unless [`source`](Self::source) says which it borrows.
    pub interface: Option<String>,
    /// Source address of the sockets; the system's choice when `None`.
    pub source: Option<IpAddr>,
    /// How many routers what is sent to a group may pass, and one more; the system's default, 1, when `None`.
    pub hops: Option<u8>,
    /// Used only when the other links do not suffice.
    pub backup: bool,
    /// Every byte costs: used last of all, and without copies that are sent beforehand. What goes by it while the others suffice
    /// is said at [`crate::bond::Cost`].
    pub metered: bool,
    /// Bytes it may carry in all, both ways, as they are billed: headers of IP, UDP and tunnel included, with all that comes to its
    /// sockets; then it is not used any more.
    pub cap_bytes: Option<u64>,
    /// Bytes that it has carried before, as in an earlier sender, which count towards its cap. Without effect on a link that is
    /// there. What a link of this number has carried in this sender counts of itself, also when it was removed meanwhile.
    pub spent_bytes: u64,
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

    /// A link to whoever calls at `addr`, an address of this machine.
    #[must_use]
    pub fn listening(id: u32, addr: SocketAddr) -> Self {
        Self { listens: true, ..Self::new(id, addr) }
    }

    /// A link to `remote` over whatever interface the system chooses.
    #[must_use]
    pub fn new(id: u32, remote: SocketAddr) -> Self {
        Self {
            id,
            remote,
            listens: false,
            interface: None,
            source: None,
            hops: None,
            backup: false,
            metered: false,
            cap_bytes: None,
            spent_bytes: 0,
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
    /// RTP addresses; RTCP is one port above each. Even ports, or 0 to let the system choose a pair. Multicast groups are
    /// joined; they are of the Simple Profile only.
    pub binds: Vec<SocketAddr>,
    /// Senders that wait to be called, by the Main Profile: where they listen, and by which interface and from which
    /// source address they are called. Nothing else of a [`LinkConfig`] matters. They are socket pairs after those of `binds`.
    pub calls: Vec<LinkConfig>,
    /// Says who this end is, to senders that are called.
    pub credentials: Option<Credentials>,
    /// How groups among `binds` are joined; as the system chooses where nothing is said.
    pub memberships: Vec<Membership>,
    /// Constant time from the arrival of an undelayed packet to its playout.
    pub latency: Duration,
    /// Canonical name in RTCP (RFC 3550, 6.5.1).
    pub cname: String,
    /// Whether repair packets are taken, and Strata's senders told so ([`crate::fec`]).
    pub fec: bool,
    /// The key senders have too. With it, nothing is taken in clear, and so nothing of the Simple Profile.
    pub psk: Option<Psk>,
    /// Who is let in. With it, nothing of who has not shown a password is taken, and so nothing of the Simple Profile.
    pub users: Option<Verifiers>,
    /// Packets kept for a consumer that does not take them; more are dropped and counted.
    pub output_capacity: usize,
}

/// How a receiver belongs to a multicast group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Membership {
    /// The group: its place among [`ReceiverConfig::binds`].
    pub bind: usize,
    /// Interface it is joined by, and RTCP goes out by; the system's choice when `None`.
    pub interface: Option<String>,
    /// How many routers RTCP to the group may pass, and one more; the system's default, 1, when `None`.
    pub hops: Option<u8>,
}

impl Membership {
    /// Of the group at this place, as the system chooses.
    #[must_use]
    pub fn new(bind: usize) -> Self {
        Self { bind, ..Self::default() }
    }

    /// By an interface.
    #[must_use]
    pub fn with_interface(self, name: impl Into<String>) -> Self {
        Self { interface: Some(name.into()), ..self }
    }

    /// With RTCP that passes so many routers, less one.
    #[must_use]
    pub fn with_hops(self, hops: u8) -> Self {
        Self { hops: Some(hops), ..self }
    }
}

impl ReceiverConfig {
    /// Listens at `binds` with a latency of 1000 ms.
    #[must_use]
    pub fn new(binds: Vec<SocketAddr>) -> Self {
        Self {
            binds,
            calls: Vec::new(),
            credentials: None,
            memberships: Vec::new(),
            latency: Duration::from_millis(1000),
            cname: "strata".to_owned(),
            fec: true,
            psk: None,
            users: None,
            output_capacity: 8192,
        }
    }
}
