//! Pre-shared keys of the Main Profile (TR-06-2): AES in counter mode, with a key made of a passphrase and a nonce.
//!
//! There is no integrity check: who does not know the passphrase gets noise, and noise that is changed on its way is
//! other noise. A [tunnel](super::tunnel) tells noise from a stream by its form.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use aws_lc_rs::cipher::{AES_128, AES_256, EncryptingKey, EncryptionContext, UnboundCipherKey};
use aws_lc_rs::error::Unspecified;
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use thiserror::Error;

/// Rounds of PBKDF2 (TR-06-2).
const ITERATIONS: NonZeroU32 = NonZeroU32::new(1024).unwrap();
/// Longest passphrase, bytes: librist keeps 127.
const MAX_PASSPHRASE: usize = 127;

/// The secret both ends know. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct Passphrase(Arc<str>);

impl Passphrase {
    /// Takes a text as it is, without a closing NUL.
    ///
    /// # Errors
    /// [`PassphraseError`] when it is empty, longer than 127 bytes, or holds a NUL.
    pub fn new(text: &str) -> Result<Self, PassphraseError> {
        match text.len() {
            0 => Err(PassphraseError::Empty),
            1..=MAX_PASSPHRASE if !text.contains('\0') => Ok(Self(text.into())),
            1..=MAX_PASSPHRASE => Err(PassphraseError::Nul),
            len => Err(PassphraseError::Long(len)),
        }
    }

    /// The text, for what is told to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Passphrase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passphrase(…)")
    }
}

/// A text that cannot be a passphrase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PassphraseError {
    /// Nothing.
    #[error("an empty passphrase")]
    Empty,
    /// Peers could not be given it.
    #[error("a passphrase of {0} bytes, at most {MAX_PASSPHRASE} are expected")]
    Long(usize),
    /// Peers would end it there.
    #[error("a passphrase with a NUL in it")]
    Nul,
}

/// Length of the key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum AesType {
    /// 128 bits.
    #[default]
    Aes128,
    /// 256 bits.
    Aes256,
}

/// RVer of the GRE header, which says where the initial counter has the sequence number of a datagram.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Rver {
    /// In its last bytes, as TR-06-2:2020 has it, for peers that know nothing else: neighbours share most of their
    /// keystream, and the length of the key is not told (librist 0.2.7 takes it for 128 bits, whatever it is set to).
    Zero,
    /// In its first bytes, as later peers have it.
    #[default]
    One,
}

impl Rver {
    /// As it is written.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Zero => 0,
            Self::One => 1,
        }
    }
}

/// A key: passphrase and nonce, stretched.
pub(super) struct Key(EncryptingKey);

impl Key {
    /// Derives the key by PBKDF2-HMAC-SHA256. Takes a good part of a millisecond: who lets strangers choose nonces has
    /// to count. `None` when the cryptographic library refuses, which it does not say why it should.
    pub(super) fn derive(passphrase: &Passphrase, nonce: u32, aes_type: AesType) -> Option<Self> {
        let mut key = [0; 32];
        let (algorithm, len) = match aes_type {
            AesType::Aes128 => (&AES_128, 16),
            AesType::Aes256 => (&AES_256, 32),
        };
        stretch(passphrase, nonce, &mut key[..len]);
        let cipher = UnboundCipherKey::new(algorithm, &key[..len]).and_then(EncryptingKey::ctr);
        key.fill(0);
        cipher.ok().map(Self)
    }

    /// Encrypts or decrypts, which is the same, what stands behind the GRE header of datagram `sequence`.
    pub(super) fn apply(&self, version: u8, sequence: u32, data: &mut [u8]) -> Result<(), Unspecified> {
        let context = EncryptionContext::Iv128(iv(version, sequence).into());
        self.0.less_safe_encrypt(data, context).map(drop)
    }
}

fn stretch(passphrase: &Passphrase, nonce: u32, key: &mut [u8]) {
    derive(PBKDF2_HMAC_SHA256, ITERATIONS, &nonce.to_be_bytes(), passphrase.0.as_bytes(), key);
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}

/// Where the counter starts. TR-06-2:2020 puts the sequence number into the last bytes, where the blocks of a packet
/// are counted too, so that neighbours share most of their keystream; from RVer 1 on it is in the first ones.
fn iv(version: u8, sequence: u32) -> [u8; 16] {
    let mut iv = [0; 16];
    let place = if version == 0 { 12..16 } else { 0..4 };
    iv[place].copy_from_slice(&sequence.to_be_bytes());
    iv
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first datagrams of `ristsender --secret secret`, behind their headers.
    const NONCE_128: u32 = 0x53d1_fa3a;
    const CAPTURED_128: [u8; 48] = [
        0x28, 0x8f, 0x48, 0x02, 0xf2, 0x9a, 0x82, 0x61, 0x8f, 0x0d, 0x44, 0x3c, 0xde, 0x09, 0x64, 0xb9, 0x4b,
        0xd7, 0xee, 0x46, 0x62, 0xe7, 0x96, 0xfa, 0x0a, 0x36, 0xbc, 0x79, 0xee, 0xf4, 0xbe, 0xea, 0x0b, 0x38,
        0x9a, 0x09, 0x2c, 0xdb, 0xdd, 0xb8, 0x31, 0x02, 0x65, 0x2d, 0x05, 0x66, 0x44, 0xef,
    ];
    const NONCE_256: u32 = 0x2588_659e;
    const CAPTURED_256: [u8; 48] = [
        0x04, 0x0c, 0xa2, 0x01, 0x32, 0xbe, 0x35, 0xbd, 0xf3, 0x2f, 0xc4, 0xdd, 0x56, 0xdc, 0x92, 0x2d, 0x18,
        0x74, 0xe0, 0x3e, 0x5c, 0x2c, 0x7b, 0x7b, 0x91, 0x2c, 0x7b, 0xfe, 0x8a, 0x9d, 0x3e, 0xfc, 0xd4, 0x3f,
        0xeb, 0xd8, 0x9d, 0x23, 0x09, 0x0c, 0x24, 0x05, 0x51, 0x7e, 0xe8, 0x54, 0xdd, 0xc2,
    ];

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The test vector of TR-06-2, appendix B.
    #[test]
    fn keys_are_those_of_the_specification() {
        let passphrase = Passphrase::new("Reliable Internet Stream Transport").unwrap();
        let mut key = [0; 32];
        stretch(&passphrase, 0x5249_5354, &mut key);
        assert_eq!(hex(&key), "1c2b0cfc90ae2638fea78c7fb297704718bff7f4052743001a9b7ebb51cc9f1c");
        stretch(&passphrase, 0x5249_5354, &mut key[..16]);
        assert_eq!(hex(&key[..16]), "1c2b0cfc90ae2638fea78c7fb2977047");
    }

    /// A sender report librist 0.2.7 sent with the passphrase "secret": RVer 1, datagram 0.
    #[test]
    fn a_captured_packet_is_read() {
        let key = Key::derive(&Passphrase::new("secret").unwrap(), NONCE_128, AesType::Aes128).unwrap();
        let mut data = CAPTURED_128;
        key.apply(1, 0, &mut data).unwrap();
        assert_eq!(data[..8], [0x80, 0x00, 0x07, 0xb1, 0x80, 0xc8, 0x00, 0x06], "{}", hex(&data));
        let key = Key::derive(&Passphrase::new("secret").unwrap(), NONCE_256, AesType::Aes256).unwrap();
        let mut data = CAPTURED_256;
        key.apply(1, 0, &mut data).unwrap();
        assert_eq!(data[..8], [0x80, 0x00, 0x07, 0xb1, 0x80, 0xc8, 0x00, 0x06], "{}", hex(&data));
    }

    #[test]
    fn the_counter_starts_where_the_version_says() {
        assert_eq!(iv(0, 0x0102_0304), [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
        assert_eq!(iv(1, 0x0102_0304), [1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(iv(2, 0x0102_0304), iv(1, 0x0102_0304));
    }

    #[test]
    fn the_counter_carries_beyond_32_bits() {
        let key = Key::derive(&Passphrase::new("secret").unwrap(), 1, AesType::Aes128).unwrap();
        let (mut whole, mut rest) = ([0; 48], [0; 16]);
        key.apply(0, u32::MAX, &mut whole).unwrap();
        // The second block of number 2^32 - 1 is block 2^32, not block 0.
        key.apply(0, 0, &mut rest).unwrap();
        assert_ne!(whole[16..32], rest);
        assert_ne!(whole[..16], whole[16..32]);
    }

    #[test]
    fn passphrases_that_cannot_be() {
        assert_eq!(Passphrase::new(""), Err(PassphraseError::Empty));
        assert_eq!(Passphrase::new("a\0b"), Err(PassphraseError::Nul));
        assert_eq!(Passphrase::new(&"x".repeat(128)), Err(PassphraseError::Long(128)));
        let longest = Passphrase::new(&"x".repeat(127)).unwrap();
        assert_eq!(format!("{longest:?}"), "Passphrase(…)");
    }
}
