//! Incoming datagrams: decryption, and whether what comes out is what it should be.

use std::collections::HashMap;
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use serde::de::IgnoredAny;

use super::super::budget::Budget;
use super::super::gre::{AUTHENTICATION, Capabilities, Header, KeepAlive, Mode, Payload, Ports};
use super::super::psk::{AesType, Key};
use super::super::rtcp::Compound;
use super::super::rtp;
use super::replay::Memory;
use super::strangers::{DERIVED, Stranger};
use super::{ABOUT, Psk};

/// Keys per second for a peer that has shown its own: it may change keys often, and what comes with a key that was not derived is lost.
/// As nonces are in clear, someone who takes its address can use it up: a tenth of a core.
const TRUSTED: u32 = 200;
/// Sources that are known in one tunnel.
const MAX_SOURCES: usize = 4;

/// What was in a datagram.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opened {
    /// RTP, the port that it came to, and what was held back before it.
    Rtp(u16, Bytes, Option<Bytes>),
    /// RTP that may be noise; held back until the next of its source comes.
    Held,
    Rtcp(Mode, Ports, Bytes),
    KeepAlive {
        /// Whether it is one that this software writes.
        of_strata: bool,
    },
    /// A keep-alive message that says goodbye, or wants this end to connect anew.
    Wish {
        flags: Capabilities,
        /// Whether it tells something in JSON: noise does not.
        told: bool,
    },
    /// A message of the authentication.
    Authentication(Bytes),
    Other,
}

/// Why a datagram is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Rejected,
    Undecryptable,
    Unencrypted,
    Throttled,
    Replayed,
}

#[derive(Debug)]
pub(super) struct Open {
    psk: Option<Psk>,
    /// The key that was last proven to be the peer's; then the one before it, or one that is not proven.
    keys: [Option<Box<Slot>>; 2],
    /// Keys that are derived for this peer.
    budget: Budget,
    /// Sources whose packets are taken when they were encrypted, the latest first.
    sources: Vec<u32>,
    /// The last packet of no known source, and the nonce and number of its datagram.
    held: Option<(u32, (u32, u32), Bytes)>,
}

#[derive(Debug)]
struct Slot {
    nonce: u32,
    aes_type: AesType,
    key: Key,
}

impl Open {
    pub(super) fn new(now: Instant, psk: Option<&Psk>) -> Self {
        Self {
            psk: psk.cloned(),
            keys: [None, None],
            budget: Budget::new(now, DERIVED),
            sources: Vec::new(),
            held: None,
        }
    }

    /// Whether nothing is encrypted.
    pub(super) fn is_clear(&self) -> bool {
        self.psk.is_none()
    }

    /// Reads a datagram; and the version and length of its key, when it is certain that who has that key wrote it: it
    /// is RTCP, or RTP of a known source. That a nonce is known says nothing, as nonces are in clear.
    /// Who is not known yet shares a budget with other strangers.
    pub(super) fn open(
        &mut self,
        now: Instant,
        mut data: BytesMut,
        memory: &mut Memory,
        stranger: Option<&mut Stranger<'_>>,
    ) -> Result<(Opened, Option<(u8, AesType)>), Refusal> {
        let (header, start) = Header::decode(&data).map_err(|_| Refusal::Rejected)?;
        // Never encrypted (TR-06-2).
        if header.ether_type == AUTHENTICATION && header.nonce.is_none() {
            return Ok((Opened::Authentication(data.freeze().slice(start..)), None));
        }
        let Some(own_type) = self.psk.as_ref().map(|psk| psk.aes_type) else {
            if header.nonce.is_some() {
                return Err(Refusal::Undecryptable);
            }
            return plain(header.ether_type, data, start).map(|opened| (opened, None));
        };
        let (Some(nonce), Some(sequence)) = (header.nonce, header.sequence) else {
            return Err(Refusal::Unencrypted);
        };
        let aes_type = match header.version {
            0 => own_type,
            _ if header.key_256 => AesType::Aes256,
            _ => AesType::Aes128,
        };
        if !memory.is_fresh(nonce, sequence) {
            return Err(Refusal::Replayed);
        }
        let index = self.key(now, nonce, aes_type, memory, stranger)?;
        let slot = self.keys[index].as_ref().ok_or(Refusal::Undecryptable)?;
        slot.key.apply(header.version, sequence, &mut data[start..]).map_err(|_| Refusal::Undecryptable)?;
        let opened = plain(header.ether_type, data, start).map_err(|_| Refusal::Undecryptable)?;
        let (opened, certain) = match opened {
            Opened::Rtp(port, data, _) => self.rtp((nonce, sequence), port, data, memory)?,
            Opened::Rtcp(..) => (opened, true),
            _ => (opened, false),
        };
        let told = matches!(opened, Opened::KeepAlive { of_strata: true } | Opened::Wish { told: true, .. });
        if certain || told {
            memory.note(nonce, sequence);
        }
        if !certain {
            return Ok((opened, None));
        }
        if index == 1 {
            self.keys.swap(0, 1);
            self.budget.allow(TRUSTED);
        }
        Ok((opened, Some((header.version, aes_type))))
    }

    /// This is over: its keys are no longer there.
    pub(super) fn close(&mut self, memory: &mut Memory) {
        for key in self.keys.iter_mut().filter_map(Option::take) {
            memory.release(key.nonce);
        }
    }

    /// RTP of a source that is known, or that comes for the second time: noise names another source each time, unless it
    /// is the same datagram again.
    fn rtp(
        &mut self,
        number: (u32, u32),
        port: u16,
        data: Bytes,
        memory: &mut Memory,
    ) -> Result<(Opened, bool), Refusal> {
        let (header, _) = rtp::Header::decode(&data).map_err(|_| Refusal::Undecryptable)?;
        let source = header.stream();
        if self.sources.contains(&source) {
            return Ok((Opened::Rtp(port, data, None), true));
        }
        match self.held.take() {
            Some((held, before, first)) if held == source && before == number => {
                self.held = Some((held, before, first));
                Err(Refusal::Undecryptable)
            }
            Some((held, (nonce, before), first)) if held == source => {
                if nonce == number.0 {
                    memory.note(nonce, before);
                }
                self.sources.truncate(MAX_SOURCES - 1);
                self.sources.insert(0, source);
                Ok((Opened::Rtp(port, data, Some(first)), true))
            }
            before => {
                // A copy, as what it is part of may be much larger.
                self.held = Some((source, number, Bytes::copy_from_slice(&data)));
                if before.is_some() { Err(Refusal::Undecryptable) } else { Ok((Opened::Held, false)) }
            }
        }
    }

    /// Which of the keys; a new one takes the second place.
    fn key(
        &mut self,
        now: Instant,
        nonce: u32,
        aes_type: AesType,
        memory: &mut Memory,
        stranger: Option<&mut Stranger<'_>>,
    ) -> Result<usize, Refusal> {
        let is = |slot: &Option<Box<Slot>>| {
            slot.as_ref().is_some_and(|slot| slot.nonce == nonce && slot.aes_type == aes_type)
        };
        if let Some(index) = self.keys.iter().position(is) {
            return Ok(index);
        }
        let known = self.keys[0].is_some();
        let may = stranger.filter(|_| !known).is_none_or(|stranger| stranger.may_derive(now, nonce));
        let Some(psk) = self.psk.as_ref().filter(|_| may && self.budget.take(now)) else {
            return Err(Refusal::Throttled);
        };
        let key = Key::derive(&psk.secret, nonce, aes_type).ok_or(Refusal::Undecryptable)?;
        memory.hold(nonce);
        if let Some(before) = self.keys[1].replace(Box::new(Slot { nonce, aes_type, key })) {
            memory.release(before.nonce);
        }
        Ok(1)
    }
}

/// Reads what is no longer encrypted.
fn plain(ether_type: u16, data: BytesMut, start: usize) -> Result<Opened, Refusal> {
    let rejected = |_| Refusal::Rejected;
    match Payload::decode(ether_type, &data[start..]).map_err(rejected)? {
        Payload::Datagram { mode, ports, data: place } => {
            let inner = data.freeze().slice(start + place.start..start + place.end);
            if is_rtcp(&inner) {
                Compound::parse(&inner).map_err(rejected)?;
                Ok(Opened::Rtcp(mode, ports, inner))
            } else {
                rtp::Header::decode(&inner).map_err(rejected)?;
                Ok(Opened::Rtp(ports.destination, inner, None))
            }
        }
        Payload::KeepAlive(place) => {
            let message =
                KeepAlive::decode(&data[start + place.start..start + place.end]).map_err(rejected)?;
            if !message.json.is_empty() && (message.json[0] != b'{' || !message.json.ends_with(b"}")) {
                return Err(Refusal::Rejected);
            }
            let flags = message.capabilities;
            if flags.has(Capabilities::DISCONNECT) || flags.has(Capabilities::RECONNECT) {
                Ok(Opened::Wish { flags, told: tells(message.json) })
            } else {
                Ok(Opened::KeepAlive { of_strata: message.json == ABOUT })
            }
        }
        Payload::Other { .. } => Ok(Opened::Other),
    }
}

/// Whether it is a JSON object with something in it.
fn tells(json: &[u8]) -> bool {
    serde_json::from_slice::<HashMap<String, IgnoredAny>>(json).is_ok_and(|members| !members.is_empty())
}

/// RTCP by its packet types (RFC 5761, 4), whatever the ports: they are for the peer to choose.
fn is_rtcp(data: &[u8]) -> bool {
    data.get(1).is_some_and(|kind| (192..=223).contains(kind))
}
