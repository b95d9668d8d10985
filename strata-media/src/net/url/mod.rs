//! `rist://` URLs, in librist's syntax: one per link, joined by commas.
//!
//! ```text
//!  rist://host:6000?buffer=300&secret=…&interface=wwan0,rist://[2001:db8::1]:6002?backup=1     a sender's links
//!  rist://@0.0.0.0:6000?buffer=300,rist://@[::]:6002                                           a receiver's ports
//! ```
//!
//! With the Main Profile it may be the other way round: a sender's `rist://@0.0.0.0:6000` waits for a receiver to call, and a
//! receiver's `rist://host:6000` calls it.
//!
//! | parameter | value | of |
//! |---|---|---|
//! | `buffer` | latency, ms, 1 to 60 000 | the stream |
//! | `profile` | `simple` or `main`, or 0 or 1; of a sender, found by the rest if it is not given | the stream |
//! | `secret` | passphrase of the Main Profile, as it is: there are no escapes, so neither `&` nor `,` | the stream |
//! | `aes-type` | 128 or 256, bits of the key | the stream |
//! | `key-rotation` | datagrams per key, at least 500 | the stream |
//! | `rver` | 0 for the key's initial counter as in TR-06-2:2020, 1 (default) for later peers; of who calls | the stream |
//! | `username`, `password` | who it is that calls, 1 to 255 bytes each; only both | the stream |
//! | `cname` | canonical name in RTCP | the stream |
//! | `null-packet-deletion` | 1: null packets are left out, and restored by the receiver; of a sender by the Main Profile | the stream |
//! | `sequence-extension` | 1: sequence numbers of 32 bits; of a sender by the Main Profile | the stream |
//! | `full-datagrams` | 1: whole datagrams of IPv4 in the tunnel; of a sender by the Main Profile | the stream |
//! | `virt-dst-port` | the port within the tunnel that media goes to, an even one, 1968 by default; of a sender by the Main Profile | the stream |
//! | `fec` | 0: no repair packets ([`crate::fec`]) are sent, or taken | the stream |
//! | `interface` (or `miface`) | interface a sender's link is bound to, or a receiver's group is joined by | the link |
//! | `ttl` | how many routers what is sent to a multicast group may pass, and one more; 1 by default | the link |
//! | `source` | source address of a sender's link, or of a receiver's call | the link |
//! | `weight` | a hint: links of more weight get more, as far as they carry it; 0 is no hint; only a receiver of Strata tells enough for it | the link |
//! | `backup` | 1: the link is used only when the others do not suffice | the link |
//! | `metered` | 1: every byte costs; the link is used last of all | the link |
//! | `cap` | MB that the link may carry in all, both ways with all headers | the link |
//!
//! What is of the stream may stand in one of its URLs or in all, but not with different values. librist's other
//! parameters are taken and checked, and do nothing: [`RistUrls::unused`] tells which, and why. Anything else is an error
//! that names the parameter.

mod config;
mod error;
mod fault;
mod param;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::str::FromStr;

pub use config::{Unused, Use};
pub use error::{Reason, UrlError};
use param::Param;

/// The URLs of a sender's or receiver's links, at least one.
///
/// `Display` writes them so that they are read as the same again, **with its secrets**; `Debug` keeps that for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RistUrls {
    urls: Vec<RistUrl>,
}

/// One link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RistUrl {
    listens: bool,
    host: Host,
    port: u16,
    params: Vec<Param>,
}

/// Who is called, or where is listened.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Host {
    /// An address.
    Ip(IpAddr),
    /// A name, which [`RistUrls::resolve`] finds an address for.
    Name(String),
}

impl RistUrls {
    /// One per link.
    #[must_use]
    pub fn urls(&self) -> &[RistUrl] {
        &self.urls
    }

    fn error(&self, index: usize, field: &str, reason: Reason) -> UrlError {
        UrlError { index, url: self.urls[index].authority(), field: field.to_owned(), reason }
    }
}

impl RistUrl {
    /// Whether it waits to be called (`rist://@…`).
    #[must_use]
    pub fn listens(&self) -> bool {
        self.listens
    }

    /// Whom it calls, or where it listens; all IPv4 addresses when there is nothing but a port.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The port of RTP, or of the tunnel.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The value of a parameter, written as it is read; `miface` is an `interface`. Nobody is told that of a `secret` or
    /// `password`.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<String> {
        let param = self.params.iter().find(|param| param.name() == name && !param.is_secret())?;
        param.to_string().split_once('=').map(|(_, value)| value.to_owned())
    }

    /// The URL up to its parameters, which is nothing secret.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("rist://{}{}:{}", if self.listens { "@" } else { "" }, self.host, self.port)
    }

    /// Reads one; an error is a field and what is wrong with it.
    fn read(text: &str) -> Result<Self, (String, Reason)> {
        let fault = |field: &str, reason| (field.to_owned(), reason);
        let rest = text.strip_prefix(SCHEME);
        let rest = rest.ok_or_else(|| fault("scheme", Reason::Expected("rist://")))?;
        let (authority, query) = rest.split_once('?').map_or((rest, None), |(a, q)| (a, Some(q)));
        let authority = authority.strip_suffix('/').unwrap_or(authority);
        let (listens, address) = authority.strip_prefix('@').map_or((false, authority), |a| (true, a));
        let (host, port) = address.rsplit_once(':').unwrap_or((address, ""));
        let port = port.parse().ok().filter(|&port| listens || port != 0);
        let host = match host {
            "" if listens => Some(Host::Ip(Ipv4Addr::UNSPECIFIED.into())),
            host => Host::read(host),
        };
        let host = host.ok_or_else(|| {
            let scoped = address.starts_with('[') && address.contains('%');
            fault("host", if scoped { Reason::Misplaced(SCOPE) } else { Reason::Expected(HOST) })
        })?;
        let port = port.ok_or_else(|| fault("port", Reason::Expected(PORT)))?;
        let mut params = Vec::<Param>::new();
        for part in query.into_iter().flat_map(|query| query.split('&')).filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').map_or((part, None), |(n, v)| (n, Some(v)));
            let secret = params.iter().rfind(|param| param.is_secret()).map(Param::name);
            let param = Param::read(name, value).map_err(|reason| match (&reason, secret) {
                // It could be the rest of a passphrase with an & in it.
                (Reason::Unknown { .. }, Some(secret)) => (format!("a parameter after {secret}"), reason),
                _ => fault(name, reason),
            })?;
            if params.iter().any(|other| other.name() == param.name()) {
                return Err(fault(name, Reason::Twice));
            }
            params.push(param);
        }
        Ok(Self { listens, host, port, params })
    }
}

impl Host {
    fn read(text: &str) -> Option<Self> {
        if let Some(bracketed) = text.strip_prefix('[') {
            let ip = bracketed.strip_suffix(']')?.parse().ok()?;
            return Some(Self::Ip(IpAddr::V6(ip)));
        }
        if let Ok(ip) = text.parse::<Ipv4Addr>() {
            return Some(Self::Ip(ip.into()));
        }
        let of_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        // Digits and dots alone are an address with a mistake.
        let numeric = text.chars().all(|c| c.is_ascii_digit() || c == '.');
        let name = (1..=MAX_NAME).contains(&text.len()) && text.chars().all(of_name) && !numeric;
        name.then(|| Self::Name(text.to_owned()))
    }
}

const SCHEME: &str = "rist://";
const HOST: &str =
    "an address (IPv6 in brackets) or a name; a receiver's begins with @, as in rist://@0.0.0.0:6000";
const SCOPE: &str = "an address without a scope (%…) is expected; interface=NAME says by which interface a link-local one is \
                     reached, and who listens for one does so at [::]";
const PORT: &str = "a port from 1 to 65535 after the host and a colon; a receiver's may be 0 for any";
/// Longest name of a host (RFC 1035, 2.3.4).
const MAX_NAME: usize = 253;

impl FromStr for RistUrls {
    type Err = UrlError;

    fn from_str(text: &str) -> Result<Self, UrlError> {
        let mut urls = Vec::new();
        let mut secret = false;
        for (index, text) in text.split(',').map(str::trim_start).enumerate() {
            // What stands before an @ could be a password, and is none of librist's forms.
            let shown = text.split_once(['?', '&']).map_or(text, |(shown, _)| shown);
            let shown = match shown.rsplit_once('@') {
                // It could be the rest of a passphrase with a comma in it.
                _ if secret && !text.starts_with(SCHEME) => "…".to_owned(),
                Some((before, after)) if before != SCHEME => format!("…@{after}"),
                _ => shown.to_owned(),
            };
            let error = |(field, reason)| UrlError { index, url: shown, field, reason };
            let url = RistUrl::read(text).map_err(error)?;
            secret |= url.params.iter().any(Param::is_secret);
            urls.push(url);
        }
        Ok(Self { urls })
    }
}

impl fmt::Display for RistUrls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.urls.iter().enumerate().try_for_each(|(index, url)| {
            f.write_str(if index > 0 { "," } else { "" })?;
            url.fmt(f)
        })
    }
}

impl fmt::Display for RistUrl {
    /// As it is read, secrets included.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.authority())?;
        self.params.iter().enumerate().try_for_each(|(index, param)| {
            f.write_str(if index > 0 { "&" } else { "?" })?;
            param.fmt(f)
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
            Self::Ip(ip) => ip.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

#[cfg(test)]
mod tests;
