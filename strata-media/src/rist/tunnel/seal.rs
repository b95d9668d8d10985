//! Outgoing datagrams: header, number, encryption.

use super::super::gre::Header;
use super::super::psk::{AesType, Key, Rver};
use super::super::seed::Seed;
use super::Psk;

/// The highest RVer that is written.
const MAX_VERSION: u8 = Rver::One.number();

#[derive(Debug)]
pub(super) struct Seal {
    keyed: Option<Keyed>,
}

#[derive(Debug)]
struct Keyed {
    psk: Psk,
    seed: Seed,
    version: u8,
    nonce: u32,
    /// Derived when it is first needed: a peer that is not answered costs nothing.
    key: Option<Key>,
    sequence: u32,
    /// Datagrams this key may still be used for.
    left: u32,
}

impl Seal {
    pub(super) fn new(psk: Option<&Psk>, seed: u64) -> Self {
        Self { keyed: psk.map(|psk| Keyed::new(psk.clone(), seed.into())) }
    }

    /// Speaks as the peer does.
    pub(super) fn mirror(&mut self, version: u8, aes_type: AesType) {
        let version = version.min(MAX_VERSION);
        if let Some(keyed) = &mut self.keyed
            && (keyed.version, keyed.psk.aes_type) != (version, aes_type)
        {
            (keyed.version, keyed.psk.aes_type) = (version, aes_type);
            keyed.rotate();
        }
    }

    /// Goes on after `sequence`.
    #[cfg(test)]
    pub(super) fn number_from(&mut self, sequence: u32) {
        if let Some(keyed) = &mut self.keyed {
            keyed.sequence = sequence;
        }
    }

    /// A datagram in clear.
    pub(super) fn clear(ether_type: u16, parts: &[&[u8]], out: &mut Vec<u8>) {
        // No sequence number: nothing here needs it, and it would cost four bytes.
        let header = Header { nonce: None, sequence: None, version: 0, key_256: false, ether_type };
        header.encode(out);
        parts.iter().for_each(|part| out.extend_from_slice(part));
    }

    /// Replaces `out` by a datagram with these parts; by nothing when it could not be encrypted.
    pub(super) fn datagram(&mut self, ether_type: u16, parts: &[&[u8]], out: &mut Vec<u8>) {
        out.clear();
        let Some(keyed) = &mut self.keyed else {
            return Self::clear(ether_type, parts, out);
        };
        // The nonce changes where the number wraps (TR-06-2), so that none is used twice with a key.
        if keyed.left == 0 || keyed.sequence == u32::MAX {
            keyed.rotate();
        }
        keyed.left -= 1;
        keyed.sequence = keyed.sequence.wrapping_add(1);
        let header = Header {
            nonce: Some(keyed.nonce),
            sequence: Some(keyed.sequence),
            version: keyed.version,
            key_256: keyed.psk.aes_type == AesType::Aes256,
            ether_type,
        };
        header.encode(out);
        let start = out.len();
        parts.iter().for_each(|part| out.extend_from_slice(part));
        let Keyed { psk, version, nonce, key, sequence, .. } = keyed;
        if key.is_none() {
            *key = Key::derive(&psk.secret, *nonce, psk.aes_type);
        }
        let sealed =
            key.as_ref().is_some_and(|key| key.apply(*version, *sequence, &mut out[start..]).is_ok());
        if !sealed {
            // Never in clear.
            out.clear();
        }
    }
}

impl Keyed {
    fn new(psk: Psk, mut seed: Seed) -> Self {
        let nonce = nonce(|| seed.next(), 0);
        let left = psk.key_rotation.unwrap_or(u32::MAX).max(1);
        // Random, and far from its wrap: below 2^31.
        let sequence = (seed.next() >> 33) as u32;
        let version = psk.rver.number();
        Self { psk, seed, version, nonce, key: None, sequence, left }
    }

    fn rotate(&mut self) {
        self.nonce = nonce(|| self.seed.next(), self.nonce);
        self.key = None;
        self.left = self.psk.key_rotation.unwrap_or(u32::MAX).max(1);
    }
}

/// Another nonce than the last one, and not 0 (TR-06-2).
fn nonce(mut draw: impl FnMut() -> u64, last: u32) -> u32 {
    loop {
        let nonce = (draw() >> 32) as u32;
        if nonce != 0 && nonce != last {
            return nonce;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::nonce;

    #[test]
    fn a_nonce_is_neither_0_nor_the_last_one() {
        let mut drawn = [0x1234_5678, 7 << 32, 9 << 32].into_iter();
        assert_eq!(nonce(|| drawn.next().expect("the third one will do"), 7), 9);
    }
}
