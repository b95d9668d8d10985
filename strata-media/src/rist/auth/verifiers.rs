//! What a server knows of its users: not their passwords, but what checks them.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use thiserror::Error;

use super::Credentials;
use super::srp::{self, Hashing};

/// Most users.
const MAX_USERS: usize = 10_000;
/// The group of 2048 bits, as `ristsrppasswd` numbers it.
const GROUP: &str = "3";
/// `ristsrppasswd` leaves the padding out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Users of a server, by name. `Debug` shows only how many.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Verifiers(Arc<Users>);

#[derive(Default, PartialEq, Eq)]
struct Users {
    by_name: HashMap<Arc<str>, User>,
    /// What they look like from outside, in the order of their names: to peers that know the old way alone, and to others.
    old: Vec<Look>,
    any: Vec<Look>,
}

/// How hashes are made, and the length of the salt.
type Look = (Hashing, usize);

impl Users {
    fn new(by_name: HashMap<Arc<str>, User>) -> Self {
        let mut names: Vec<_> = by_name.keys().collect();
        names.sort_unstable();
        let looks = |knows_fixed| {
            let found = names.iter().filter_map(|&name| by_name.get(name)?.find(knows_fixed));
            found.map(|(hashing, verifier)| (hashing, verifier.salt.len())).collect()
        };
        let (old, any) = (looks(false), looks(true));
        Self { by_name, old, any }
    }
}

/// A user, by either way to hash.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct User {
    old: Option<Verifier>,
    fixed: Option<Verifier>,
}

impl User {
    /// By the newest way that the peer knows too.
    fn find(&self, knows_fixed: bool) -> Option<(Hashing, &Verifier)> {
        let fixed = self.fixed.as_ref().filter(|_| knows_fixed).map(|fixed| (Hashing::Fixed, fixed));
        fixed.or(self.old.as_ref().map(|old| (Hashing::Old, old)))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verifier {
    pub(super) salt: Vec<u8>,
    pub(super) verifier: Vec<u8>,
}

/// A file of verifiers that cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifiersError {
    /// A line is not of the form.
    #[error("line {line}: {reason}; expected is name:verifier:salt:3, as ristsrppasswd prints it")]
    Line {
        /// Its number, from 1.
        line: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// There are too many.
    #[error("more than {MAX_USERS} users")]
    Crowd,
    /// There are none.
    #[error("no users")]
    Empty,
}

impl Verifiers {
    /// Reads what `ristsrppasswd` prints, a line per user: name, verifier, salt, group, and with later versions how
    /// hashes are made (1: as they should be). A name may have a line of each.
    ///
    /// # Errors
    /// [`VerifiersError`] names the line.
    pub fn parse(text: &str) -> Result<Self, VerifiersError> {
        let mut users = HashMap::<Arc<str>, User>::new();
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        for (index, line) in lines {
            let error = |reason| VerifiersError::Line { line: index + 1, reason };
            let (name, hashing, verifier) = read(line.trim()).map_err(error)?;
            let user = users.entry(name.into()).or_default();
            match hashing {
                Hashing::Old => user.old = Some(verifier),
                Hashing::Fixed => user.fixed = Some(verifier),
            }
            if users.len() > MAX_USERS {
                return Err(VerifiersError::Crowd);
            }
        }
        if users.is_empty() { Err(VerifiersError::Empty) } else { Ok(Self(Arc::new(Users::new(users)))) }
    }

    /// One user, for peers of any version. `salt` is to be random.
    #[must_use]
    pub fn of(credentials: &Credentials, salt: [u8; 32]) -> Self {
        let Credentials { name, password } = credentials;
        let made = |hashing| {
            let verifier = srp::verifier(name, password, &salt, hashing);
            Some(Verifier { salt: salt.to_vec(), verifier })
        };
        let user = User { old: made(Hashing::Old), fixed: made(Hashing::Fixed) };
        Self(Arc::new(Users::new(HashMap::from([(name.clone(), user)]))))
    }

    /// What checks a user, in the newest way that the peer knows too.
    pub(super) fn find(&self, name: &str, knows_fixed: bool) -> Option<(Hashing, &Verifier)> {
        self.0.by_name.get(name)?.find(knows_fixed)
    }

    /// What passes for the verifier of somebody unknown: it looks like that of some user, and is the same whenever the name comes. From
    /// `secret`, so that nobody can tell. `None` when there is no user that such a peer could be.
    pub(super) fn decoy(
        &self,
        name: &str,
        knows_fixed: bool,
        secret: &[u8; 32],
    ) -> Option<(Hashing, Verifier)> {
        let looks = if knows_fixed { &self.0.any } else { &self.0.old };
        let draw = |purpose: u8, part: u8| {
            digest(&SHA256, &[&secret[..], &[purpose, part], name.as_bytes()].concat())
        };
        let number =
            draw(0, 0).as_ref().iter().take(8).fold(0, |number, &byte| (number << 8) | usize::from(byte));
        let &(hashing, salt_len) = looks.get(number.checked_rem(looks.len())?)?;
        let bytes = |purpose, len| {
            let drawn = (0..=u8::MAX).map(|part| draw(purpose, part)).take(len / 32 + 1);
            drawn.flat_map(|part| part.as_ref().to_vec()).take(len).collect()
        };
        Some((hashing, Verifier { salt: bytes(1, salt_len), verifier: bytes(2, 256) }))
    }
}

fn read(line: &str) -> Result<(&str, Hashing, Verifier), &'static str> {
    let fields: Vec<&str> = line.split(':').collect();
    let (&[name, verifier, salt, group], rest) = fields.split_first_chunk().ok_or("less than four fields")?;
    if name.is_empty() || name.len() > Credentials::MAX_LEN {
        return Err("a name has 1 to 255 bytes");
    }
    if group != GROUP {
        return Err("another group than that of 2048 bits");
    }
    let hashing = match rest {
        [] | ["0"] => Hashing::Old,
        ["1"] => Hashing::Fixed,
        _ => return Err("unknown hashing"),
    };
    let verifier = BASE64.decode(verifier).map_err(|_| "the verifier is not base64")?;
    let salt = BASE64.decode(salt).map_err(|_| "the salt is not base64")?;
    if verifier.is_empty() || verifier.len() > 256 {
        return Err("a verifier has 1 to 256 bytes");
    }
    if salt.is_empty() || salt.len() > 256 {
        return Err("a salt has 1 to 256 bytes");
    }
    Ok((name, hashing, Verifier { salt, verifier }))
}

impl fmt::Debug for Verifiers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verifiers({} users)", self.0.by_name.len())
    }
}
