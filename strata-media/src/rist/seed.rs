//! Numbers from a seed, so that a machine needs no source of randomness.

use std::fmt;

use aws_lc_rs::digest::{Digest, SHA256, digest};

/// Where a machine's numbers come from: 32 random bytes, or in tests a number. What is drawn is SHA-256 over the seed and a count. Numbers
/// go out, as time stamps and nonces: who sees some of them must know nothing of the seed, nor of what else comes from it.
#[derive(Clone)]
pub struct Seed {
    key: Key,
    drawn: u64,
}

#[derive(Clone, Copy)]
enum Key {
    Number(u64),
    Bytes([u8; 32]),
}

/// For tests: a number can be found out by trying.
impl From<u64> for Seed {
    fn from(number: u64) -> Self {
        Self { key: Key::Number(number), drawn: 0 }
    }
}

impl From<[u8; 32]> for Seed {
    fn from(bytes: [u8; 32]) -> Self {
        Self { key: Key::Bytes(bytes), drawn: 0 }
    }
}

impl fmt::Debug for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seed")
    }
}

impl Seed {
    pub(crate) fn next(&mut self) -> u64 {
        self.draw().as_ref().iter().take(8).fold(0, |number, &byte| (number << 8) | u64::from(byte))
    }

    /// A seed for a part of the machine: what is known of that tells nothing of the others.
    pub(crate) fn child(&mut self) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.draw().as_ref());
        bytes.into()
    }

    fn draw(&mut self) -> Digest {
        self.drawn += 1;
        let (mut input, drawn) = ([0; 40], self.drawn.to_be_bytes());
        let len = match self.key {
            Key::Number(number) => {
                input[..8].copy_from_slice(&number.to_be_bytes());
                8
            }
            Key::Bytes(bytes) => {
                input[..32].copy_from_slice(&bytes);
                32
            }
        };
        input[len..len + 8].copy_from_slice(&drawn);
        digest(&SHA256, &input[..len + 8])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: u64 = 0x532d_eabf_8872_9cb4;
    const SECOND: u64 = 0x8c76_54ec_fd7b_0b62;
    const OF_BYTES: u64 = 0xf222_a20b_2192_7d88;

    /// Of SHA-256 over 16 bytes, by `sha256sum`.
    #[test]
    fn numbers_are_hashes_of_seed_and_count() {
        let mut seed = Seed::from(1);
        assert_eq!([seed.next(), seed.next()], [FIRST, SECOND]);
        assert_eq!(Seed::from(1).next(), FIRST);
        assert_ne!(Seed::from(2).next(), FIRST);
    }

    /// Of SHA-256 over 32 bytes 0x07 and a count of 8, by `sha256sum`.
    #[test]
    fn and_of_bytes_and_count() {
        let mut seed = Seed::from([7; 32]);
        assert_eq!(seed.next(), OF_BYTES);
        let (mut child, mut twin) = (Seed::from(1).child(), Seed::from(1).child());
        assert_eq!((child.next(), format!("{child:?}")), (twin.next(), "Seed".to_owned()));
        assert_ne!(child.next(), SECOND);
    }
}
