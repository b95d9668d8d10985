//! The parameters of a URL, one by one.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::super::socket::MAX_LATENCY;
use super::error::Reason;
use crate::rist::auth::Credentials;
use crate::rist::psk::{AesType, Passphrase};
use crate::rist::tunnel::Psk;

/// A parameter of librist that needs no setting here: it is looked at, and has no effect.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Hint {
    pub(super) name: &'static str,
    /// What librist takes, or what makes sense.
    min: i64,
    max: i64,
    pub(super) why: &'static str,
}

const fn hint(name: &'static str, min: i64, max: i64, why: &'static str) -> Hint {
    Hint { name, min, max, why }
}

const MEASURED: &str = "measured, and followed as it changes";
const BY_CAPACITY: &str = "links share the stream by their measured capacity";
const CONSTANT: &str = "the latency is constant: buffer sets it";
const BY_DEADLINE: &str = "a packet is asked for again as long as it can come in time";
const PROTOCOL: &str = "chosen by the protocol";
const LOGS: &str = "what is logged is set for the whole program";

/// Names and meanings are librist's (`ristsender --help-url`), the ranges of `min-retries` and `max-retries` too.
const HINTS: [Hint; 17] = [
    hint("bandwidth", 0, 100_000_000, BY_CAPACITY),
    hint("buffer-max", 0, 60_000, CONSTANT),
    hint("buffer-min", 0, 60_000, CONSTANT),
    hint("compression", 0, 1, "not of the Simple and Main Profiles"),
    hint("congestion-control", 0, 2, "always on: no link is filled beyond a short queue"),
    hint("keepalive-interval", 1, 60_000, PROTOCOL),
    hint("max-retries", 2, 100, BY_DEADLINE),
    hint("min-retries", 2, 100, BY_DEADLINE),
    hint("multiplex-mode", -1, 2, "a tunnel carries one stream"),
    hint("reorder-buffer", 0, 60_000, "follows the measured skew between links"),
    hint("return-bandwidth", 0, 100_000_000, "reports take less than 5 % of the stream"),
    hint("rtt-max", 0, 60_000, MEASURED),
    hint("rtt-min", 0, 60_000, MEASURED),
    hint("session-timeout", 1, 3_600_000, PROTOCOL),
    hint("timing-mode", 0, 2, "time stamps are RTP's"),
    hint("verbose-level", -1, 100, LOGS),
    hint("virt-dst-port", 1, 65_535, "a tunnel carries one stream, whose receiver takes any port"),
];

/// What has a meaning here, in the order in which it is told.
const NAMES: [&str; 14] = [
    "buffer",
    "secret",
    "aes-type",
    "key-rotation",
    "username",
    "password",
    "cname",
    "interface",
    "miface",
    "source",
    "weight",
    "backup",
    "metered",
    "cap",
];

/// Largest weight; the proportion is what counts.
const MAX_WEIGHT: i64 = 1_000_000;
/// Largest cap, MB: beyond what a SIM is sold with.
const MAX_CAP: i64 = 1_000_000_000;

/// Longest name of an interface: `IFNAMSIZ` without its NUL.
const MAX_INTERFACE: usize = 15;
/// Longest canonical name (RFC 3550, 6.5: its length is one byte).
const MAX_CNAME: usize = 255;

/// One parameter with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Param {
    Buffer(Duration),
    Secret(Passphrase),
    AesType(AesType),
    KeyRotation(u32),
    Username(String),
    Password(Password),
    Cname(String),
    Interface(String),
    Source(IpAddr),
    Weight(u32),
    Backup(bool),
    Metered(bool),
    Cap(u64),
    Hint(&'static Hint, i64),
}

/// A password, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Password(pub(super) String);

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Param {
    /// Reads `name=value`; `None` stands for a name alone.
    pub(super) fn read(name: &str, value: Option<&str>) -> Result<Self, Reason> {
        let known = NAMES.contains(&name) || HINTS.iter().any(|hint| hint.name == name);
        let value = match (name, value) {
            ("backup" | "metered", None) => "1",
            _ if known => value.filter(|v| !v.is_empty()).ok_or(Reason::Expected("a value after ="))?,
            _ => return Err(Reason::Unknown { known: known_names() }),
        };
        match name {
            "buffer" => number(value, 1, MAX_LATENCY.as_millis() as i64).map(|ms| Self::Buffer(millis(ms))),
            "secret" => Ok(Self::Secret(Passphrase::new(value)?)),
            "aes-type" => aes_type(value).map(Self::AesType),
            "key-rotation" => {
                let datagrams = number(value, i64::from(Psk::MIN_KEY_ROTATION), i64::from(u32::MAX))?;
                Ok(Self::KeyRotation(u32::try_from(datagrams).unwrap_or(u32::MAX)))
            }
            "username" => credential(value).map(Self::Username),
            "password" => credential(value).map(|text| Self::Password(Password(text))),
            "cname" if value.len() > MAX_CNAME => Err(Reason::Expected("at most 255 bytes")),
            "cname" => Ok(Self::Cname(value.to_owned())),
            "interface" | "miface" => interface(value).map(Self::Interface),
            "source" => source(value).map(Self::Source),
            "weight" => number(value, 0, MAX_WEIGHT).map(|weight| Self::Weight(weight as u32)),
            "backup" => flag(value).map(Self::Backup),
            "metered" => flag(value).map(Self::Metered),
            "cap" => Ok(Self::Cap(number(value, 1, MAX_CAP)?.unsigned_abs())),
            _ => Self::hint(name, value),
        }
    }

    fn hint(name: &str, value: &str) -> Result<Self, Reason> {
        let hint = HINTS.iter().find(|hint| hint.name == name);
        let hint = hint.ok_or_else(|| Reason::Unknown { known: known_names() })?;
        Ok(Self::Hint(hint, number(value, hint.min, hint.max)?))
    }

    /// Whether nobody is to see its value.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_) | Self::Password(_))
    }

    /// Its name; that of `miface` is `interface`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Buffer(_) => "buffer",
            Self::Secret(_) => "secret",
            Self::AesType(_) => "aes-type",
            Self::KeyRotation(_) => "key-rotation",
            Self::Username(_) => "username",
            Self::Password(_) => "password",
            Self::Cname(_) => "cname",
            Self::Interface(_) => "interface",
            Self::Source(_) => "source",
            Self::Weight(_) => "weight",
            Self::Backup(_) => "backup",
            Self::Metered(_) => "metered",
            Self::Cap(_) => "cap",
            Self::Hint(hint, _) => hint.name,
        }
    }
}

impl fmt::Display for Param {
    /// As it is read, secrets included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.name())?;
        match self {
            Self::Buffer(time) => write!(f, "{}", time.as_millis()),
            Self::Secret(secret) => f.write_str(secret.expose()),
            Self::AesType(AesType::Aes128) => f.write_str("128"),
            Self::AesType(AesType::Aes256) => f.write_str("256"),
            Self::KeyRotation(datagrams) => write!(f, "{datagrams}"),
            Self::Password(Password(text)) => f.write_str(text),
            Self::Username(text) | Self::Cname(text) | Self::Interface(text) => f.write_str(text),
            Self::Source(ip @ IpAddr::V6(_)) => write!(f, "[{ip}]"),
            Self::Source(ip) => write!(f, "{ip}"),
            Self::Weight(weight) => write!(f, "{weight}"),
            Self::Backup(is) | Self::Metered(is) => f.write_str(if *is { "1" } else { "0" }),
            Self::Cap(megabytes) => write!(f, "{megabytes}"),
            Self::Hint(_, value) => write!(f, "{value}"),
        }
    }
}

fn known_names() -> String {
    NAMES.into_iter().chain(HINTS.iter().map(|hint| hint.name)).collect::<Vec<_>>().join(", ")
}

fn number(value: &str, min: i64, max: i64) -> Result<i64, Reason> {
    let number = value.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| Reason::Range { value: value.to_owned(), min, max })
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

fn aes_type(value: &str) -> Result<AesType, Reason> {
    match value {
        "128" => Ok(AesType::Aes128),
        "256" => Ok(AesType::Aes256),
        _ => Err(Reason::Expected("128 or 256")),
    }
}

fn credential(value: &str) -> Result<String, Reason> {
    // Which of the two it is does not matter to the check.
    match Credentials::new(value, value) {
        Some(_) => Ok(value.to_owned()),
        None => Err(Reason::Expected("1 to 255 bytes, without a NUL")),
    }
}

fn interface(value: &str) -> Result<String, Reason> {
    let odd = |c: char| c == '/' || c.is_whitespace() || c.is_control();
    if value.len() > MAX_INTERFACE || value.contains(odd) {
        return Err(Reason::Expected("the name of an interface, such as wwan0, of at most 15 bytes"));
    }
    Ok(value.to_owned())
}

fn source(value: &str) -> Result<IpAddr, Reason> {
    let bare = value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(value);
    bare.parse().map_err(|_| Reason::Expected("an address of this machine, such as 10.0.0.2 or [fd00::2]"))
}

fn flag(value: &str) -> Result<bool, Reason> {
    match value {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(Reason::Expected("1 or 0")),
    }
}
