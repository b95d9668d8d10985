//! SRP-6a with SHA-256 and the group of 2048 bits (RFC 2945; RFC 5054, appendix A). Numbers are hashed without leading
//! zeros.

use std::sync::LazyLock;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U256, U2048};
use sha2::block_api::compress256;

const MODULUS: Odd<U2048> = Odd::<U2048>::from_be_hex(concat!(
    "AC6BDB41324A9A9BF166DE5E1389582FAF72B6651987EE07FC3192943DB56050A37329CBB4A099ED8193E0757767A13D",
    "D52312AB4B03310DCD7F48A9DA04FD50E8083969EDB767B0CF6095179A163AB3661A05FBD5FAAAE82918A9962F0B93B8",
    "55F97993EC975EEAA80D740ADBF4FF747359D041D5C33EA71D281E446B14773BCA97B43A23FB801676BD207A436C6481",
    "F1D2B9078717461A5B9D32E688F87748544523B524B0D57D5EA77A2775D2ECFA032CFBDBF52FB3786160279004E57AE6",
    "AF874E7303CE53299CCC041C7BC308D82A5698F3A8D0C38271AE35F8E9DBFBB694B5C803D89F7AE435DE236D525F5475",
    "9B65E372FCD68EF20FA7111F9E4AFF73",
));
const GENERATOR: U2048 = U2048::from_u8(2);
/// Bits of a + u·x, three numbers of 256.
const EXPONENT_BITS: u32 = 513;
/// Bytes of a number of the group.
const LEN: usize = 256;

type Hash = [u8; 32];
type Number = FixedMontyForm<{ U2048::LIMBS }>;

/// How some of the hashes are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hashing {
    /// From zeros: librist up to 0.2.7, version 2.
    Old,
    /// SHA-256, version 3.
    Fixed,
}

impl Hashing {
    fn hash(self, parts: &[&[u8]]) -> Hash {
        let data = parts.concat();
        match self {
            Self::Fixed => sha256(&data),
            Self::Old => from_zeros(data),
        }
    }
}

fn sha256(data: &[u8]) -> Hash {
    let mut out = [0; 32];
    out.copy_from_slice(digest(&SHA256, data).as_ref());
    out
}

/// SHA-256 (FIPS 180-4, 6.2), but for where it starts.
fn from_zeros(mut data: Vec<u8>) -> Hash {
    let bits = data.len() as u64 * 8;
    data.push(0x80);
    data.resize((data.len() + 8).next_multiple_of(64) - 8, 0);
    data.extend(bits.to_be_bytes());
    let (mut state, (blocks, _)) = ([0; 8], data.as_chunks::<64>());
    compress256(&mut state, blocks);
    let mut out = [0; 32];
    for (bytes, word) in out.chunks_exact_mut(4).zip(state) {
        bytes.copy_from_slice(&word.to_be_bytes());
    }
    out
}

fn number(value: &U2048) -> Number {
    static GROUP: LazyLock<FixedMontyParams<{ U2048::LIMBS }>> =
        LazyLock::new(|| FixedMontyParams::new(MODULUS));
    Number::new(&value.rem(MODULUS.as_nz_ref()), &GROUP)
}

/// Without leading zeros.
fn trim(bytes: &[u8]) -> &[u8] {
    let zeros = bytes.iter().take_while(|&&byte| byte == 0).count();
    &bytes[zeros..]
}

/// A number of the group as it is sent, and hashed.
fn bytes(value: &U2048) -> Vec<u8> {
    trim(value.to_be_bytes().as_ref()).to_vec()
}

/// What a peer sent; `None` when it is longer than the group's numbers, or 0 in it: who sends that knows the result.
fn received(data: &[u8]) -> Option<U2048> {
    let data = trim(data);
    let mut padded = [0; LEN];
    padded.get_mut(LEN.checked_sub(data.len())?..)?.copy_from_slice(data);
    let value = number(&U2048::from_be_slice(&padded)).retrieve();
    (value != U2048::ZERO).then_some(value)
}

fn short(hash: &Hash) -> U2048 {
    U256::from_be_slice(hash).resize()
}

fn power(base: &U2048, exponent: &U2048, bits: u32) -> U2048 {
    number(base).pow_bounded_exp(exponent, bits).retrieve()
}

/// k = H(N | g).
fn multiplier() -> Number {
    number(&short(&sha256(&[&bytes(&MODULUS)[..], &bytes(&GENERATOR)].concat())))
}

/// x = H(salt | H(name : password)).
fn private(name: &str, password: &str, salt: &[u8], hashing: Hashing) -> U2048 {
    let inner = hashing.hash(&[name.as_bytes(), b":", password.as_bytes()]);
    short(&sha256(&[trim(salt), &inner].concat()))
}

/// What a server keeps of a password: v = g^x.
pub(super) fn verifier(name: &str, password: &str, salt: &[u8], hashing: Hashing) -> Vec<u8> {
    bytes(&power(&GENERATOR, &private(name, password, salt, hashing), 256))
}

/// Both proofs, of a session whose key is H(S).
fn proofs(hashing: Hashing, name: &str, salt: &[u8], a: &U2048, b: &U2048, secret: &U2048) -> (Hash, Hash) {
    let key = sha256(&bytes(secret));
    let (modulus, generator) = (sha256(&bytes(&MODULUS)), sha256(&bytes(&GENERATOR)));
    let group: Vec<u8> = modulus.iter().zip(generator).map(|(n, g)| n ^ g).collect();
    let (a, b) = (bytes(a), bytes(b));
    let client = hashing.hash(&[&group, &sha256(name.as_bytes()), trim(salt), &a, &b, &key]);
    (client, hashing.hash(&[&a, &client, &key]))
}

/// u = H(A | B).
fn scrambler(a: &U2048, b: &U2048) -> U2048 {
    short(&sha256(&[bytes(a), bytes(b)].concat()))
}

/// The client's half.
pub(super) struct Client {
    secret: U2048,
    public: U2048,
    salt: Vec<u8>,
    hashing: Hashing,
}

impl Client {
    /// `secret` is to be random.
    pub(super) fn new(secret: &Hash, salt: &[u8], hashing: Hashing) -> Self {
        let secret = short(secret);
        let public = power(&GENERATOR, &secret, 256);
        Self { secret, public, salt: salt.to_vec(), hashing }
    }

    /// A.
    pub(super) fn public(&self) -> Vec<u8> {
        bytes(&self.public)
    }

    /// This end's proof, and the one expected from the server; `None` when B cannot be.
    pub(super) fn prove(&self, name: &str, password: &str, public: &[u8]) -> Option<(Hash, Hash)> {
        let b = received(public)?;
        let x = private(name, password, &self.salt, self.hashing);
        let known = multiplier().mul(&number(&power(&GENERATOR, &x, 256)));
        let base = number(&b).sub(&known).retrieve();
        let exponent = self.secret.wrapping_add(&scrambler(&self.public, &b).wrapping_mul(&x));
        let secret = power(&base, &exponent, EXPONENT_BITS);
        Some(proofs(self.hashing, name, &self.salt, &self.public, &b, &secret))
    }
}

/// The server's half.
pub(super) struct Server {
    public: U2048,
    client: Hash,
    proof: Hash,
}

impl Server {
    /// After A came; `secret` is to be random. `None` when A or the verifier cannot be.
    pub(super) fn new(
        secret: &Hash,
        name: &str,
        salt: &[u8],
        verifier: &[u8],
        hashing: Hashing,
        public: &[u8],
    ) -> Option<Self> {
        let (secret, v, a) = (short(secret), received(verifier)?, received(public)?);
        let own = number(&power(&GENERATOR, &secret, 256));
        let b = multiplier().mul(&number(&v)).add(&own).retrieve();
        let u = scrambler(&a, &b);
        let base = number(&a).mul(&number(&power(&v, &u, 256))).retrieve();
        let (client, proof) = proofs(hashing, name, salt, &a, &b, &power(&base, &secret, 256));
        Some(Self { public: b, client, proof })
    }

    /// B.
    pub(super) fn public(&self) -> Vec<u8> {
        bytes(&self.public)
    }

    /// This end's proof, when the client's is right.
    pub(super) fn verify(&self, client: &[u8]) -> Option<Hash> {
        is_same(client, &self.client).then_some(self.proof)
    }
}

/// Takes the same time whatever the difference.
pub(super) fn is_same(one: &[u8], other: &Hash) -> bool {
    verify_slices_are_equal(one, other).is_ok()
}
