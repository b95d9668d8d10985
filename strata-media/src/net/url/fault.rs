//! What of the URLs a configuration that was made of them is refused for.

use super::super::error::NetError;
use super::{RistUrl, RistUrls};

impl RistUrls {
    /// Says by the URLs' own words what [`NetError::Config`] and [`NetError::Unsupported`] say by the fields of a configuration
    /// that was made of them: which URL, and its part or parameter, or the parameter that all have in common. `None` for other
    /// errors, and for fields that no URL is the reason of.
    #[must_use]
    pub fn explain(&self, error: &NetError) -> Option<String> {
        let (field, reason, of_an_address) = match error {
            NetError::Config { field, reason } => (field, reason, "port"),
            NetError::Unsupported { field, reason } => (field, reason, "host"),
            _ => return None,
        };
        if let Some((_, name)) = IN_COMMON.iter().find(|(known, _)| known == field) {
            return Some(format!("{name}: {reason}"));
        }
        let (list, rest) = field.split_once('[')?;
        let (place, member) = rest.split_once(']')?;
        let among = |url: &RistUrl| match list {
            "binds" => url.listens,
            "calls" => !url.listens,
            _ => true,
        };
        let mut urls = self.urls.iter().enumerate().filter(|(_, url)| among(url));
        let (index, url) = urls.nth(place.parse().ok()?)?;
        let part = match member {
            "" | ".remote" => of_an_address,
            ".listens" => "the @ before the host",
            ".hops" => "ttl",
            member => member.strip_prefix('.')?,
        };
        Some(format!("URL {} ({}): {part}: {reason}", index + 1, url.authority()))
    }
}

/// Fields of senders and receivers, and the parameters they are made of.
const IN_COMMON: [(&str, &str); 10] = [
    ("links", "URLs"),
    ("binds", "URLs"),
    ("latency", "buffer"),
    ("psk", "secret"),
    ("psk.key_rotation", "key-rotation"),
    ("credentials", "username"),
    ("null_packet_deletion", "null-packet-deletion"),
    ("sequence_extension", "sequence-extension"),
    ("full_datagrams", "full-datagrams"),
    ("virtual_port", "virt-dst-port"),
];
