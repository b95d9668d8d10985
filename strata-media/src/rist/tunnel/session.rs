//! One tunnel with one peer.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};

use super::super::auth::Eap;
use super::super::extension::{Extension, Nulls};
use super::super::gre::{AUTHENTICATION, Capabilities, KEEP_ALIVE, KeepAlive, Mode, Ports};
use super::super::rtcp::Writer;
use super::super::rtp::{HEADER_LEN, RETRANSMISSION_BIT};
use super::super::seed::Seed;
use super::open::{Open, Opened, Refusal};
use super::replay::Memory;
use super::seal::Seal;
use super::strangers::Stranger;
use super::{ABOUT, Config, Counters, DEFAULT_DESTINATION, NAME};

/// Time between two keep-alive messages (TR-06-2: 1 to 10 s). Reports, every 100 ms, keep the tunnel alive as well.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
/// Messages a client starts with, and says goodbye with (TR-06-2: 3 to 5).
const BURST: usize = 3;
/// Bytes of a keep-alive message with all headers, if over IPv4.
const GREETING: usize = 28 + 20 + ABOUT.len();
/// Most that is saved up for those, bytes.
const MOST_SAVED: usize = 16 * GREETING;
/// Ports within the tunnel: those of librist.
const RTP: Ports = Ports { source: 32769, destination: DEFAULT_DESTINATION };
const RTCP: Ports = Ports { source: 32768, destination: 1969 };
const ABILITIES: Capabilities = Capabilities::BONDING
    .with(Capabilities::SEAMLESS)
    .with(Capabilities::NULL_PACKETS)
    .with(Capabilities::REDUCED_OVERHEAD)
    .with(Capabilities::JSON);

/// Who called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// This end: it speaks first.
    Client,
    /// The other end: it is answered, in its own form.
    Server,
}

/// What happens to a session.
#[derive(Debug)]
#[non_exhaustive]
pub enum Input {
    /// A datagram came from the peer.
    Datagram(BytesMut),
    /// This end leaves; the peer is told.
    Close,
    /// The time of [`Output::Timeout`] has come.
    Timeout,
}

/// What a session wants.
#[derive(Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// RTP came out of the tunnel.
    Rtp(Bytes),
    /// RTCP came out of the tunnel.
    Rtcp(Bytes),
    /// Send this datagram to the peer.
    Transmit(Vec<u8>),
    /// The peer leaves.
    Closed,
    /// The peer asks this end, which called, to connect anew: by another session in place of this one.
    Reconnect,
    /// Nothing more until then, or until the next input.
    Timeout(Instant),
}

/// One tunnel with one peer.
#[derive(Debug)]
pub struct Session {
    role: Role,
    started: Instant,
    null_packet_deletion: bool,
    sequence_extension: bool,
    mode: Mode,
    sends: bool,
    seal: Seal,
    open: Open,
    /// What came, unless who holds this remembers it for several.
    memory: Memory,
    /// Who the peer is, if that matters.
    eap: Option<Eap>,
    /// In the form of a MAC address, of the range anyone may use.
    mac: [u8; 6],
    rtp: Ports,
    rtcp: Ports,
    next_keep_alive: Instant,
    /// Whether a keep-alive message is owed, and the bytes that came that it may have.
    owes: bool,
    saved: usize,
    heard: Instant,
    proven: bool,
    /// The port that RTP came to last, if any did.
    media: Option<u16>,
    counters: Counters,
    kept: Vec<u8>,
    out: VecDeque<Output>,
}

impl Session {
    /// A session that starts at `now`. `seed` gives the nonces; to be random outside of tests.
    #[must_use]
    pub fn new(now: Instant, config: &Config, role: Role, seed: impl Into<Seed>) -> Self {
        let mut seed: Seed = seed.into();
        let [_, m @ .., _] = seed.next().to_be_bytes();
        let mut session = Self {
            role,
            started: now,
            null_packet_deletion: config.null_packet_deletion,
            sequence_extension: config.sequence_extension,
            mode: config.mode,
            sends: config.sends,
            seal: Seal::new(config.psk.as_ref(), seed.next()),
            open: Open::new(now, config.psk.as_ref()),
            memory: Memory::default(),
            eap: config.auth.as_ref().map(|auth| auth.exchange(now, seed.next())),
            mac: [0x02, m[1], m[2], m[3], m[4], m[5]],
            rtp: Ports { destination: config.destination.unwrap_or(RTP.destination), ..RTP },
            rtcp: Ports { destination: config.destination.map_or(RTCP.destination, |port| port | 1), ..RTCP },
            next_keep_alive: now + KEEP_ALIVE_INTERVAL,
            owes: false,
            saved: 0,
            heard: now,
            proven: false,
            media: None,
            counters: Counters::default(),
            kept: Vec::new(),
            out: VecDeque::new(),
        };
        if role == Role::Client {
            session.say(BURST, ABILITIES);
        }
        session.authenticate();
        session
    }

    /// What was taken and refused.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// When the peer was last heard: with a key, by something only it could have sent.
    pub(super) fn heard(&self) -> Instant {
        self.heard
    }

    /// The session is over, says who remembers what came to it.
    pub(super) fn end(&mut self, memory: &mut Memory) {
        self.open.close(memory);
    }

    /// Whether RTP or RTCP came; with a key, whether the peer has it too.
    pub(super) fn proven(&self) -> bool {
        self.proven
    }

    /// Whether RTP came.
    pub(super) fn carries(&self) -> bool {
        self.media.is_some()
    }

    /// The port within the tunnel that RTP comes to, once any has.
    pub(super) fn media_port(&self) -> Option<u16> {
        self.media
    }

    /// Takes what happened. Then [`Session::poll_output`] until it gives a timeout.
    pub fn handle_input(&mut self, now: Instant, input: Input) {
        match input {
            Input::Datagram(data) => {
                let mut memory = std::mem::take(&mut self.memory);
                self.receive(now, data, &mut memory, None);
                self.memory = memory;
            }
            Input::Close => self.say(BURST, ABILITIES.with(Capabilities::DISCONNECT)),
            Input::Timeout => {
                if let Some(eap) = &mut self.eap {
                    eap.timeout(now);
                    self.authenticate();
                }
                if now >= self.next_keep_alive {
                    self.next_keep_alive = now + KEEP_ALIVE_INTERVAL;
                    // A server does not speak to who may not have called.
                    self.owes = self.role == Role::Client || self.proven;
                    self.keep_alive();
                }
            }
        }
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Output {
        self.out.pop_front().unwrap_or_else(|| {
            let due = self.eap.as_ref().and_then(Eap::due);
            Output::Timeout(due.map_or(self.next_keep_alive, |due| due.min(self.next_keep_alive)))
        })
    }

    /// Replaces `out` by the datagram for an RTP packet; by nothing, if it could not be encrypted.
    /// `upper` is the upper half of its sequence number, which is told if that is configured.
    pub fn rtp(&mut self, header: &[u8; HEADER_LEN], upper: u16, payload: &[u8], out: &mut Vec<u8>) {
        self.kept.clear();
        if !self.is_open() {
            return out.clear();
        }
        let nulls = if self.null_packet_deletion { Nulls::remove(payload, &mut self.kept) } else { None };
        let sequence = self.sequence_extension.then_some(upper);
        if nulls.is_none() && sequence.is_none() {
            let head = self.mode.head(self.rtp, header.len() + payload.len());
            return self.seal.datagram(head.ether_type(), &[head.bytes(), header, payload], out);
        }
        let mut header = *header;
        header[0] |= 0x10;
        let extension = Extension { nulls, sequence }.encode();
        let payload = if nulls.is_some() { &self.kept } else { payload };
        let head = self.mode.head(self.rtp, header.len() + extension.len() + payload.len());
        self.seal.datagram(head.ether_type(), &[head.bytes(), &header, &extension, payload], out);
    }

    /// Replaces `out` by the datagram for an RTCP packet; by nothing, if it could not be encrypted.
    pub fn rtcp(&mut self, data: &[u8], out: &mut Vec<u8>) {
        // Also before the peer is known: librist takes notice of a client by its RTCP.
        let head = self.mode.head(self.rtcp, data.len());
        self.seal.datagram(head.ether_type(), &[head.bytes(), data], out);
    }

    /// Takes the place of a session, and knows what came to that.
    pub(super) fn succeed(&mut self, mut before: Self) {
        before.open.close(&mut before.memory);
        self.memory = before.memory;
    }

    /// Takes a datagram, with the memory of what came to others too; who is not known yet shares a budget with others.
    pub(super) fn receive(
        &mut self,
        now: Instant,
        data: BytesMut,
        memory: &mut Memory,
        mut stranger: Option<Stranger<'_>>,
    ) {
        self.saved = (self.saved + data.len() + 28).min(MOST_SAVED);
        let (opened, key) = match self.open.open(now, data, memory, stranger.as_mut()) {
            Ok(opened) => opened,
            Err(refusal) => return self.refuse(refusal),
        };
        if let (Some(eap), Opened::Authentication(message)) = (&mut self.eap, &opened) {
            eap.receive(now, message, || stranger.is_none_or(|mut stranger| stranger.may_compute(now)));
            return self.authenticate();
        }
        if let (Some(eap), Opened::KeepAlive { of_strata: true }) = (&mut self.eap, &opened) {
            eap.remembers();
        }
        if !self.is_open() {
            let keeps_alive = matches!(opened, Opened::KeepAlive { .. });
            *if keeps_alive { &mut self.counters.keep_alives } else { &mut self.counters.unauthenticated } +=
                1;
            // Of keep-alive messages too: librist says but once that it is there, and then nothing else.
            if let Some(eap) = &mut self.eap {
                eap.challenge(now);
            }
            return self.authenticate();
        }
        if let (Some((version, aes_type)), Role::Server) = (key, self.role) {
            self.seal.mirror(version, aes_type);
        }
        let is_heard = key.is_some() || self.open.is_clear();
        if is_heard {
            self.heard = now;
        }
        match opened {
            Opened::Rtp(port, data, held) => {
                self.media = Some(port);
                held.into_iter().for_each(|held| self.take(Output::Rtp(held)));
                self.take(Output::Rtp(data));
            }
            Opened::Held => {}
            Opened::Rtcp(mode, ports, data) => {
                if self.role == Role::Server {
                    // Media is as long as was reckoned with.
                    self.mode = if self.sends { self.mode } else { mode };
                    self.rtcp = Ports { source: ports.destination, destination: ports.source };
                }
                self.take(Output::Rtcp(data));
                if self.eap.is_some() && self.role == Role::Server && self.media.is_none() && !self.sends {
                    self.greet();
                }
            }
            Opened::KeepAlive { .. } => self.counters.keep_alives += 1,
            Opened::Wish { flags, told } => {
                self.counters.keep_alives += 1;
                // Half of all noise has the bit set; who only falls silent is missed soon enough.
                if self.proven && (told || self.open.is_clear()) {
                    self.comply(now, flags);
                }
            }
            Opened::Authentication(_) | Opened::Other => self.counters.other += 1,
        }
        // What is owed is not sent because of noise.
        if is_heard {
            self.keep_alive();
        }
    }

    fn comply(&mut self, now: Instant, flags: Capabilities) {
        if self.role == Role::Client && flags.has(Capabilities::RECONNECT) {
            // In clear anybody may ask for it, and an exchange of passwords takes time.
            if now >= self.started + KEEP_ALIVE_INTERVAL {
                self.out.push_back(Output::Reconnect);
            }
        } else if flags.has(Capabilities::DISCONNECT) {
            self.say(1, ABILITIES.with(Capabilities::DISCONNECT));
            self.out.push_back(Output::Closed);
        }
    }

    /// Whether RTP passes, and RTCP is taken.
    fn is_open(&self) -> bool {
        self.eap.as_ref().is_none_or(Eap::is_authenticated)
    }

    /// Sends what the authentication has to say.
    fn authenticate(&mut self) {
        while let Some(message) = self.eap.as_mut().and_then(Eap::poll) {
            let mut datagram = Vec::new();
            Seal::clear(AUTHENTICATION, &[&message], &mut datagram);
            self.out.push_back(Output::Transmit(datagram));
        }
    }

    /// Sends an empty report: librist sends no media before it hears RTCP, and a receiver reports on media.
    pub fn greet(&mut self) {
        let [_, _, a, b, c, d] = self.mac;
        let ssrc = u32::from_be_bytes([a, b, c, d]) & !RETRANSMISSION_BIT;
        let mut writer = Writer::new();
        writer.receiver_report(ssrc, None);
        writer.source_description(ssrc, NAME);
        let mut datagram = Vec::new();
        self.rtcp(&writer.finish(), &mut datagram);
        if !datagram.is_empty() {
            self.out.push_back(Output::Transmit(datagram));
        }
    }

    fn take(&mut self, output: Output) {
        self.counters.taken += 1;
        self.out.push_back(output);
        if !self.proven {
            self.proven = true;
            // Who calls for a stream in clear may have forged its address: it is asked where it is, and told nothing before.
            if self.role == Role::Server && !(self.sends && self.open.is_clear()) {
                self.owes = true;
            }
        }
    }

    /// Sends the keep-alive message that is owed: a server, whose peer may have forged its address, when as much has come.
    fn keep_alive(&mut self) {
        if self.owes && (self.role == Role::Client || self.saved >= GREETING) {
            (self.owes, self.saved) = (false, self.saved.saturating_sub(GREETING));
            self.say(1, ABILITIES);
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        *match refusal {
            Refusal::Rejected => &mut self.counters.rejected,
            Refusal::Undecryptable => &mut self.counters.undecryptable,
            Refusal::Unencrypted => &mut self.counters.unencrypted,
            Refusal::Throttled => &mut self.counters.throttled,
            Refusal::Replayed => &mut self.counters.replayed,
        } += 1;
    }

    /// Sends keep-alive messages.
    fn say(&mut self, times: usize, capabilities: Capabilities) {
        let mut message = Vec::new();
        KeepAlive { mac: self.mac, capabilities, json: ABOUT }.encode(&mut message);
        for _ in 0..times {
            let mut datagram = Vec::new();
            self.seal.datagram(KEEP_ALIVE, &[&message], &mut datagram);
            if !datagram.is_empty() {
                self.out.push_back(Output::Transmit(datagram));
            }
        }
    }
}
