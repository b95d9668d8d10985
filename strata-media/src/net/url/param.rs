//! The parameters of a URL, one by one.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use super::super::config::Profile;
use super::super::socket::MAX_LATENCY;
use super::error::Reason;
use crate::rist::auth::Credentials;
use crate::rist::psk::{AesType, Passphrase, Rver};
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
const CONSTANT: &str = "the latency is constant: buffer sets it, and it is 1000 ms without";
const BY_DEADLINE: &str = "a packet is asked for again as long as it can come in time";
const PROTOCOL: &str = "chosen by the protocol";
const LOGS: &str = "what is logged is set for the whole program";

/// Names and meanings are librist's (`ristsender --help-url`), the ranges of `min-retries` and `max-retries` too.
const HINTS: [Hint; 18] = [
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
    hint(
        "return-bandwidth",
        0,
        100_000_000,
        "a report every 90 ms, and requests for what is missing, are all that is sent back",
    ),
    hint("rtt", 0, 60_000, MEASURED),
    hint("rtt-max", 0, 60_000, MEASURED),
    hint("rtt-min", 0, 60_000, MEASURED),
    hint("session-timeout", 1, 3_600_000, PROTOCOL),
    hint("timing-mode", 0, 2, "time stamps are RTP's"),
    hint("verbose-level", -1, 100, LOGS),
    hint("virt-src-port", 1, 65_535, "nobody looks where in a tunnel a stream comes from"),
];

/// Parameters of librist that stand for something this end does not do, and why.
const REFUSED: [(&str, &str); 2] = [
    (
        "multiplex-filter",
        "not supported: it picks from the IPv4 packets that multiplex-mode=2 has for payload, and a stream is not taken apart here",
    ),
    ("stream-id", "a parameter of udp:// and rtp:// URLs; that of a rist:// URL is virt-dst-port"),
];

/// What has a meaning here, in the order in which it is told.
const NAMES: [&str; 22] = [
    "buffer",
    "profile",
    "secret",
    "aes-type",
    "key-rotation",
    "rver",
    "username",
    "password",
    "cname",
    "null-packet-deletion",
    "sequence-extension",
    "full-datagrams",
    "virt-dst-port",
    "fec",
    "interface",
    "miface",
    "source",
    "ttl",
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
    Profile(Profile),
    Secret(Passphrase),
    AesType(AesType),
    KeyRotation(u32),
    Rver(Rver),
    Username(String),
    Password(Password),
    Cname(String),
    NullPacketDeletion(bool),
    SequenceExtension(bool),
    FullDatagrams(bool),
    VirtDstPort(u16),
    Fec(bool),
    Interface(String),
    Source(IpAddr),
    Ttl(u8),
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
            (
                "backup" | "metered" | "null-packet-deletion" | "sequence-extension" | "full-datagrams",
                None,
            ) => "1",
            _ if known => value.filter(|v| !v.is_empty()).ok_or(Reason::Expected("a value after ="))?,
            _ => return Err(unknown(name)),
        };
        match name {
            "buffer" => number(value, 1, MAX_LATENCY.as_millis() as i64).map(|ms| Self::Buffer(millis(ms))),
            "profile" => profile(value).map(Self::Profile),
            "secret" => Ok(Self::Secret(Passphrase::new(value)?)),
            "aes-type" => aes_type(value).map(Self::AesType),
            "key-rotation" => {
                let datagrams = number(value, i64::from(Psk::MIN_KEY_ROTATION), i64::from(u32::MAX))?;
                Ok(Self::KeyRotation(u32::try_from(datagrams).unwrap_or(u32::MAX)))
            }
            "rver" => rver(value).map(Self::Rver),
            "username" => credential(value).map(Self::Username),
            "password" => credential(value).map(|text| Self::Password(Password(text))),
            "cname" if value.len() > MAX_CNAME => Err(Reason::Expected("at most 255 bytes")),
            "cname" => Ok(Self::Cname(value.to_owned())),
            "interface" | "miface" => interface(value).map(Self::Interface),
            "source" => source(value).map(Self::Source),
            "ttl" => number(value, 0, 255).map(|hops| Self::Ttl(hops as u8)),
            "weight" => number(value, 0, MAX_WEIGHT).map(|weight| Self::Weight(weight as u32)),
            "null-packet-deletion" => flag(value).map(Self::NullPacketDeletion),
            "sequence-extension" => flag(value).map(Self::SequenceExtension),
            "full-datagrams" => flag(value).map(Self::FullDatagrams),
            "virt-dst-port" => port(value).map(Self::VirtDstPort),
            "fec" => flag(value).map(Self::Fec),
            "backup" => flag(value).map(Self::Backup),
            "metered" => flag(value).map(Self::Metered),
            "cap" => Ok(Self::Cap(number(value, 1, MAX_CAP)?.unsigned_abs())),
            _ => Self::hint(name, value),
        }
    }

    fn hint(name: &str, value: &str) -> Result<Self, Reason> {
        let hint = HINTS.iter().find(|hint| hint.name == name);
        let hint = hint.ok_or_else(|| unknown(name))?;
        Ok(Self::Hint(hint, number(value, hint.min, hint.max)?))
    }

    /// Whether it says how something is sent, which a receiver follows by itself.
    pub(super) fn is_of_a_sender(&self) -> bool {
        matches!(
            self,
            Self::Backup(_)
                | Self::Metered(_)
                | Self::Cap(_)
                | Self::NullPacketDeletion(_)
                | Self::SequenceExtension(_)
                | Self::FullDatagrams(_)
        )
    }

    /// Whether nobody is to see its value.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Secret(_) | Self::Password(_))
    }

    /// Its name; that of `miface` is `interface`.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Buffer(_) => "buffer",
            Self::Profile(_) => "profile",
            Self::Secret(_) => "secret",
            Self::AesType(_) => "aes-type",
            Self::KeyRotation(_) => "key-rotation",
            Self::Rver(_) => "rver",
            Self::Username(_) => "username",
            Self::Password(_) => "password",
            Self::Cname(_) => "cname",
            Self::NullPacketDeletion(_) => "null-packet-deletion",
            Self::SequenceExtension(_) => "sequence-extension",
            Self::FullDatagrams(_) => "full-datagrams",
            Self::VirtDstPort(_) => "virt-dst-port",
            Self::Fec(_) => "fec",
            Self::Interface(_) => "interface",
            Self::Source(_) => "source",
            Self::Ttl(_) => "ttl",
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
            Self::Profile(Profile::Simple) => f.write_str("simple"),
            Self::Profile(Profile::Main) => f.write_str("main"),
            Self::Secret(secret) => f.write_str(secret.expose()),
            Self::AesType(AesType::Aes128) => f.write_str("128"),
            Self::AesType(AesType::Aes256) => f.write_str("256"),
            Self::KeyRotation(datagrams) => write!(f, "{datagrams}"),
            Self::Rver(rver) => write!(f, "{}", rver.number()),
            Self::Password(Password(text)) => f.write_str(text),
            Self::Username(text) | Self::Cname(text) | Self::Interface(text) => f.write_str(text),
            Self::Source(ip @ IpAddr::V6(_)) => write!(f, "[{ip}]"),
            Self::Source(ip) => write!(f, "{ip}"),
            Self::Ttl(hops) => write!(f, "{hops}"),
            Self::Weight(weight) => write!(f, "{weight}"),
            Self::Backup(is)
            | Self::Metered(is)
            | Self::Fec(is)
            | Self::NullPacketDeletion(is)
            | Self::SequenceExtension(is)
            | Self::FullDatagrams(is) => f.write_str(if *is { "1" } else { "0" }),
            Self::VirtDstPort(port) => write!(f, "{port}"),
            Self::Cap(megabytes) => write!(f, "{megabytes}"),
            Self::Hint(_, value) => write!(f, "{value}"),
        }
    }
}

fn known_names() -> String {
    NAMES.into_iter().chain(HINTS.iter().map(|hint| hint.name)).collect::<Vec<_>>().join(", ")
}

/// What is said of a parameter that is not known, or not supported.
fn unknown(name: &str) -> Reason {
    match REFUSED.iter().find(|(refused, _)| *refused == name) {
        Some((_, reason)) => Reason::Misplaced(reason),
        None => Reason::Unknown { known: known_names() },
    }
}

fn number(value: &str, min: i64, max: i64) -> Result<i64, Reason> {
    let number = value.parse().ok().filter(|number| (min..=max).contains(number));
    number.ok_or_else(|| Reason::Range { value: value.to_owned(), min, max })
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.unsigned_abs())
}

/// As librist's numbers too.
fn profile(value: &str) -> Result<Profile, Reason> {
    match value {
        "simple" | "0" => Ok(Profile::Simple),
        "main" | "1" => Ok(Profile::Main),
        _ => Err(Reason::Expected("simple or main (0 or 1); the Advanced Profile is not supported")),
    }
}

/// Of media; reports go to the one above.
fn port(value: &str) -> Result<u16, Reason> {
    let port = number(value, 2, 65_534)?;
    if port % 2 != 0 {
        return Err(Reason::Expected("an even port: reports go to the one above"));
    }
    Ok(u16::try_from(port).unwrap_or(u16::MAX - 1))
}

fn aes_type(value: &str) -> Result<AesType, Reason> {
    match value {
        "128" => Ok(AesType::Aes128),
        "256" => Ok(AesType::Aes256),
        _ => Err(Reason::Expected("128 or 256")),
    }
}

fn rver(value: &str) -> Result<Rver, Reason> {
    match value {
        "0" => Ok(Rver::Zero),
        "1" => Ok(Rver::One),
        _ => Err(Reason::Expected("0 or 1")),
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
