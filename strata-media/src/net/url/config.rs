//! From URLs to what `net` opens.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::config::{LinkConfig, Membership, Profile, ReceiverConfig, SenderConfig};
use super::error::{Reason, UrlError};
use super::param::{Param, Password};
use super::{Host, RistUrl, RistUrls};
use crate::rist::auth::Credentials;
use crate::rist::psk::{AesType, Passphrase, Rver};
use crate::rist::tunnel::Psk;

/// What URLs are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Use {
    /// The links of a sender.
    Sender,
    /// The ports and calls of a receiver.
    Receiver,
}

/// A parameter that has no effect.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unused {
    /// The place of its URL, from 0.
    pub index: usize,
    /// Its name.
    pub name: &'static str,
    /// Why it needs no setting.
    pub why: &'static str,
}

const OF_A_GROUP: &str = "only for a multicast group";
/// Bytes of a megabyte, as traffic is sold.
const MEGABYTE: u64 = 1_000_000;

/// What the links of one stream have in common.
struct Common {
    latency: Option<Duration>,
    profile: Option<Profile>,
    null_packet_deletion: Option<bool>,
    sequence_extension: Option<bool>,
    full_datagrams: Option<bool>,
    virtual_port: Option<u16>,
    cname: Option<String>,
    fec: Option<bool>,
    psk: Option<Psk>,
    credentials: Option<Credentials>,
}

impl RistUrls {
    /// Asks the system for the addresses of names. Of several, the first one is taken that is of the same family as
    /// the URL's `source`. Needs a tokio runtime with I/O.
    ///
    /// # Errors
    /// [`Reason::Resolve`] for the first name that has no such address.
    pub async fn resolve(mut self) -> Result<Self, UrlError> {
        for index in 0..self.urls.len() {
            let url = &self.urls[index];
            let Host::Name(name) = &url.host else { continue };
            let source = url.source();
            let fits = |addr: &SocketAddr| source.is_none_or(|source| source.is_ipv4() == addr.is_ipv4());
            let found = match tokio::net::lookup_host((name.as_str(), url.port)).await {
                Ok(mut addrs) => {
                    addrs.find(fits).ok_or_else(|| "no address of the family of source".to_owned())
                }
                Err(error) => Err(error.to_string()),
            };
            match found {
                Ok(addr) => self.urls[index].host = Host::Ip(addr.ip()),
                Err(reason) => return Err(self.error(index, "host", Reason::Resolve(reason))),
            }
        }
        Ok(self)
    }

    /// With these addresses for its hosts, URL by URL, for who looks up names by other means than
    /// [`resolve`](Self::resolve); hosts beyond them stay as they are.
    #[must_use]
    pub fn at(mut self, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        for (url, address) in self.urls.iter_mut().zip(addresses) {
            url.host = Host::Ip(address);
        }
        self
    }

    /// With this latency where no URL says another.
    #[must_use]
    pub fn or_buffer(self, buffer: Duration) -> Self {
        self.or(Param::Buffer(buffer))
    }

    /// With this passphrase where no URL says another.
    #[must_use]
    pub fn or_secret(self, secret: Passphrase) -> Self {
        self.or(Param::Secret(secret))
    }

    /// With this canonical name, of 255 bytes at most, where no URL says another.
    #[must_use]
    pub fn or_cname(self, cname: String) -> Self {
        self.or(Param::Cname(cname))
    }

    /// Whether the stream is encrypted, by a passphrase in any of the URLs.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.urls.iter().flat_map(|url| &url.params).any(|param| matches!(param, Param::Secret(_)))
    }

    /// By this profile where no URL says another, whatever else they say; without it, a sender's is found by that.
    #[must_use]
    pub fn or_profile(self, profile: Profile) -> Self {
        self.or(Param::Profile(profile))
    }

    /// Without null packets if `wanted`, unless a URL says otherwise.
    #[must_use]
    pub fn or_null_packet_deletion(self, wanted: bool) -> Self {
        if wanted { self.or(Param::NullPacketDeletion(true)) } else { self }
    }

    /// With sequence numbers of 32 bits if `wanted`, unless a URL says otherwise.
    #[must_use]
    pub fn or_sequence_extension(self, wanted: bool) -> Self {
        if wanted { self.or(Param::SequenceExtension(true)) } else { self }
    }

    /// With whole datagrams of IPv4 in the tunnels if `wanted`, unless a URL says otherwise.
    #[must_use]
    pub fn or_full_datagrams(self, wanted: bool) -> Self {
        if wanted { self.or(Param::FullDatagrams(true)) } else { self }
    }

    /// With keys of this length where no URL says another.
    #[must_use]
    pub fn or_aes_type(self, aes_type: AesType) -> Self {
        self.or(Param::AesType(aes_type))
    }

    fn or(mut self, param: Param) -> Self {
        let mut all = self.urls.iter().flat_map(|url| &url.params);
        if !all.any(|other| other.name() == param.name())
            && let Some(first) = self.urls.first_mut()
        {
            first.params.push(param);
        }
        self
    }

    /// The sender whose links these are, numbered from 0, once every name is [resolved](Self::resolve). Its profile is the one they
    /// say; else Main if there is a secret or a password, something else that only Main has, or a URL that listens; else Simple.
    ///
    /// # Errors
    /// [`UrlError`] names the URL and the parameter that does not go with a sender or with the other URLs. Whether
    /// the ports are those of the profile is checked by [`sender`](crate::net::sender()).
    pub fn sender(&self) -> Result<SenderConfig, UrlError> {
        let links = self.urls.iter().enumerate().map(|(index, url)| self.link(index, url));
        let mut config = SenderConfig::new(links.collect::<Result<_, _>>()?);
        let common = self.common()?;
        config.latency = common.latency.unwrap_or(config.latency);
        config.cname = common.cname.unwrap_or(config.cname);
        let fec = &mut config.scheduler.fec.enabled;
        *fec = common.fec.unwrap_or(*fec);
        config.null_packet_deletion = common.null_packet_deletion.unwrap_or_default();
        config.sequence_extension = common.sequence_extension.unwrap_or_default();
        config.full_datagrams = common.full_datagrams.unwrap_or_default();
        config.virtual_port = common.virtual_port;
        (config.psk, config.credentials) = (common.psk, common.credentials);
        let is_main = config.psk.is_some()
            || config.credentials.is_some()
            || config.virtual_port.is_some()
            || config.null_packet_deletion
            || config.sequence_extension
            || config.full_datagrams
            || config.links.iter().any(|link| link.listens);
        config.profile = common.profile.unwrap_or(if is_main { Profile::Main } else { Profile::Simple });
        Ok(config)
    }

    /// The receiver that listens there, and calls senders that do, once every name is [resolved](Self::resolve).
    ///
    /// # Errors
    /// [`UrlError`] names the URL and the parameter that does not go with a receiver or with the other URLs. Whether
    /// the ports can be used is checked by [`receiver`](crate::net::receiver()).
    pub fn receiver(&self) -> Result<ReceiverConfig, UrlError> {
        let mut config = ReceiverConfig::new(Vec::new());
        for (index, url) in self.urls.iter().enumerate() {
            self.refuse_what_a_sender_does(index, url)?;
            if url.listens {
                config.memberships.extend(membership(config.binds.len(), url));
                config.binds.push(self.address(index, url)?);
            } else {
                config.calls.push(self.link(index, url)?);
            }
        }
        let common = self.common()?;
        config.latency = common.latency.unwrap_or(config.latency);
        config.cname = common.cname.unwrap_or(config.cname);
        config.fec = common.fec.unwrap_or(config.fec);
        (config.psk, config.credentials) = (common.psk, common.credentials);
        Ok(config)
    }

    /// Parameters that were taken and have no effect.
    #[must_use]
    pub fn unused(&self, of: Use) -> Vec<Unused> {
        let of_url = |(index, url): (usize, &RistUrl)| {
            let unused = url.params.iter().filter_map(move |param| match param {
                Param::Hint(hint, _) => Some(Unused { index, name: hint.name, why: hint.why }),
                Param::Weight(_) if of == Use::Receiver => {
                    Some(Unused { index, name: param.name(), why: "only a sender shares its stream" })
                }
                Param::Profile(_) if of == Use::Receiver => {
                    Some(Unused { index, name: param.name(), why: "a receiver understands both profiles" })
                }
                Param::VirtDstPort(_) if of == Use::Receiver => Some(Unused {
                    index,
                    name: param.name(),
                    why: "a receiver takes what comes to any port of a tunnel",
                }),
                _ => None,
            });
            unused.collect::<Vec<_>>()
        };
        self.urls.iter().enumerate().flat_map(of_url).collect()
    }

    fn link(&self, index: usize, url: &RistUrl) -> Result<LinkConfig, UrlError> {
        let mut link = LinkConfig::new(u32::try_from(index).unwrap_or(u32::MAX), self.address(index, url)?);
        link.listens = url.listens;
        for param in &url.params {
            match param {
                Param::Interface(name) => link.interface = Some(name.clone()),
                Param::Source(ip) => link.source = Some(*ip),
                Param::Ttl(hops) if link.remote.ip().is_multicast() => link.hops = Some(*hops),
                Param::Ttl(_) => return Err(self.error(index, "ttl", Reason::Misplaced(OF_A_GROUP))),
                Param::Weight(weight) => link.weight = *weight,
                Param::Backup(backup) => link.backup = *backup,
                Param::Metered(metered) => link.metered = *metered,
                Param::Cap(megabytes) => link.cap_bytes = Some(megabytes * MEGABYTE),
                _ => {}
            }
        }
        Ok(link)
    }

    fn refuse_what_a_sender_does(&self, index: usize, url: &RistUrl) -> Result<(), UrlError> {
        let of_a_caller = |param: &&Param| matches!(param, Param::Username(_) | Param::Password(_));
        if let Some(param) = url.params.iter().find(of_a_caller).filter(|_| url.listens) {
            let reason =
                "only for who calls, and says who it is; a receiver that listens has a list of its users";
            return Err(self.error(index, param.name(), Reason::Misplaced(reason)));
        }
        let group = matches!(url.host, Host::Ip(ip) if ip.is_multicast());
        let of_a_sender = |param: &&Param| match param {
            Param::Interface(_) | Param::Ttl(_) => url.listens && !group,
            Param::Source(_) => url.listens,
            param => param.is_of_a_sender(),
        };
        match url.params.iter().find(of_a_sender) {
            Some(param) => {
                let reason = "only for a sender's links; source and interface for a receiver that calls, interface and ttl for \
                              one in a group";
                Err(self.error(index, param.name(), Reason::Misplaced(reason)))
            }
            None => Ok(()),
        }
    }

    fn address(&self, index: usize, url: &RistUrl) -> Result<SocketAddr, UrlError> {
        match url.host {
            Host::Ip(ip) => Ok(SocketAddr::new(ip, url.port)),
            Host::Name(_) => Err(self.error(index, "host", Reason::Unresolved)),
        }
    }

    fn common(&self) -> Result<Common, UrlError> {
        let buffer = |param: &Param| if let Param::Buffer(time) = param { Some(*time) } else { None };
        let profile = |param: &Param| if let Param::Profile(profile) = param { Some(*profile) } else { None };
        let port = |param: &Param| if let Param::VirtDstPort(port) = param { Some(*port) } else { None };
        let nulls = |param: &Param| if let Param::NullPacketDeletion(is) = param { Some(*is) } else { None };
        let long = |param: &Param| if let Param::SequenceExtension(is) = param { Some(*is) } else { None };
        let full = |param: &Param| if let Param::FullDatagrams(is) = param { Some(*is) } else { None };
        let cname = |param: &Param| if let Param::Cname(name) = param { Some(name.clone()) } else { None };
        let fec = |param: &Param| if let Param::Fec(fec) = param { Some(*fec) } else { None };
        Ok(Common {
            psk: self.psk()?,
            latency: self.agreed(buffer)?,
            profile: self.agreed(profile)?,
            null_packet_deletion: self.agreed(nulls)?,
            sequence_extension: self.agreed(long)?,
            full_datagrams: self.agreed(full)?,
            virtual_port: self.agreed(port)?,
            cname: self.agreed(cname)?,
            fec: self.agreed(fec)?,
            credentials: self.credentials()?,
        })
    }

    /// The key, if there is a secret; what is said of one may stand in other URLs.
    fn psk(&self) -> Result<Option<Psk>, UrlError> {
        let secret = |param: &Param| if let Param::Secret(text) = param { Some(text.clone()) } else { None };
        let aes_type = |param: &Param| if let Param::AesType(bits) = param { Some(*bits) } else { None };
        let rotation = |param: &Param| if let Param::KeyRotation(n) = param { Some(*n) } else { None };
        let rver = |param: &Param| if let Param::Rver(rver) = param { Some(*rver) } else { None };
        let secret: Option<Passphrase> = self.agreed(secret)?;
        let aes_type: Option<AesType> = self.agreed(aes_type)?;
        let key_rotation: Option<u32> = self.agreed(rotation)?;
        let rver: Option<Rver> = self.agreed(rver)?;
        let psk = secret.map(|secret| {
            let mut psk = Psk::new(secret);
            psk.aes_type = aes_type.unwrap_or(psk.aes_type);
            psk.key_rotation = key_rotation;
            psk.with_rver(rver.unwrap_or_default())
        });
        if psk.is_none() {
            self.refuse_without_secret()?;
        }
        Ok(psk)
    }

    /// Who a sender says it is; the name and the password may stand in different URLs.
    fn credentials(&self) -> Result<Option<Credentials>, UrlError> {
        let name = |param: &Param| if let Param::Username(name) = param { Some(name.clone()) } else { None };
        let password =
            |param: &Param| if let Param::Password(password) = param { Some(password.clone()) } else { None };
        let alone = |field: &str, reason| {
            let has = |url: &RistUrl| url.params.iter().any(|param| param.name() == field);
            let index = self.urls.iter().position(has).unwrap_or_default();
            Err(self.error(index, field, Reason::Misplaced(reason)))
        };
        match (self.agreed(name)?, self.agreed(password)?) {
            (None, None) => Ok(None),
            // Either was checked when it was read.
            (Some(name), Some(Password(password))) => Ok(Credentials::new(&name, &password)),
            (Some(_), None) => alone("username", "only with a password"),
            (None, Some(_)) => alone("password", "only with a username"),
        }
    }

    fn refuse_without_secret(&self) -> Result<(), UrlError> {
        for (index, url) in self.urls.iter().enumerate() {
            let of_a_key =
                |param: &&Param| matches!(param, Param::AesType(_) | Param::KeyRotation(_) | Param::Rver(_));
            if let Some(param) = url.params.iter().find(of_a_key) {
                let reason = Reason::Misplaced("only with a secret, which is missing");
                return Err(self.error(index, param.name(), reason));
            }
        }
        Ok(())
    }

    /// The value that `get` finds in any of the URLs, if it is the same in all that have one.
    fn agreed<T: PartialEq>(&self, get: impl Fn(&Param) -> Option<T>) -> Result<Option<T>, UrlError> {
        let mut agreed: Option<(usize, T)> = None;
        for (index, url) in self.urls.iter().enumerate() {
            let Some((name, value)) = url.params.iter().find_map(|p| Some((p.name(), get(p)?))) else {
                continue;
            };
            match &agreed {
                Some((first, known)) if *known != value => {
                    return Err(self.error(index, name, Reason::Conflict { first: *first }));
                }
                Some(_) => {}
                None => agreed = Some((index, value)),
            }
        }
        Ok(agreed.map(|(_, value)| value))
    }
}

/// How a group is joined, if something is said of it.
fn membership(bind: usize, url: &RistUrl) -> Option<Membership> {
    let mut membership = Membership::new(bind);
    for param in &url.params {
        match param {
            Param::Interface(name) => membership.interface = Some(name.clone()),
            Param::Ttl(hops) => membership.hops = Some(*hops),
            _ => {}
        }
    }
    (membership != Membership::new(bind)).then_some(membership)
}

impl RistUrl {
    /// The address it is bound to, if it says so: one that is called must be of the same family.
    #[must_use]
    pub fn source(&self) -> Option<IpAddr> {
        self.params.iter().find_map(|param| if let Param::Source(ip) = param { Some(*ip) } else { None })
    }
}
