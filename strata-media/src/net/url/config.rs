//! From URLs to what `net` opens.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::super::config::{LinkConfig, Profile, ReceiverConfig, SenderConfig};
use super::error::{Reason, UrlError};
use super::param::{Param, Password};
use super::{Host, RistUrl, RistUrls};
use crate::rist::auth::Credentials;
use crate::rist::psk::{AesType, Passphrase};
use crate::rist::tunnel::Psk;

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

/// Bytes of a megabyte, as traffic is sold.
const MEGABYTE: u64 = 1_000_000;

/// What the links of one stream have in common.
struct Common {
    latency: Option<Duration>,
    cname: Option<String>,
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

    /// Whether the stream is encrypted, by a passphrase in any of the URLs.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.urls.iter().flat_map(|url| &url.params).any(|param| matches!(param, Param::Secret(_)))
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

    /// The sender whose links these are, numbered from 0, once every name is [resolved](Self::resolve). Its profile is
    /// Main if there is a secret or a password, else Simple.
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
        if common.psk.is_some() || common.credentials.is_some() {
            config.profile = Profile::Main;
        }
        (config.psk, config.credentials) = (common.psk, common.credentials);
        Ok(config)
    }

    /// The receiver that listens there, once every name is [resolved](Self::resolve).
    ///
    /// # Errors
    /// [`UrlError`] names the URL and the parameter that does not go with a receiver or with the other URLs. Whether
    /// the ports can be used is checked by [`receiver`](crate::net::receiver()).
    pub fn receiver(&self) -> Result<ReceiverConfig, UrlError> {
        let binds = self.urls.iter().enumerate().map(|(index, url)| self.bind(index, url));
        let mut config = ReceiverConfig::new(binds.collect::<Result<_, _>>()?);
        let common = self.common()?;
        config.latency = common.latency.unwrap_or(config.latency);
        config.cname = common.cname.unwrap_or(config.cname);
        config.psk = common.psk;
        Ok(config)
    }

    /// Parameters that were taken and have no effect.
    #[must_use]
    pub fn unused(&self) -> Vec<Unused> {
        let of_url = |(index, url): (usize, &RistUrl)| {
            let unused = url.params.iter().filter_map(move |param| match param {
                Param::Hint(hint, _) => Some(Unused { index, name: hint.name, why: hint.why }),
                Param::Weight(_) if url.listens => {
                    Some(Unused { index, name: param.name(), why: "only a sender shares its stream" })
                }
                _ => None,
            });
            unused.collect::<Vec<_>>()
        };
        self.urls.iter().enumerate().flat_map(of_url).collect()
    }

    fn link(&self, index: usize, url: &RistUrl) -> Result<LinkConfig, UrlError> {
        if url.listens {
            let reason = "a sender calls its receiver: rist://HOST:PORT, without the @";
            return Err(self.error(index, "host", Reason::Misplaced(reason)));
        }
        let mut link = LinkConfig::new(u32::try_from(index).unwrap_or(u32::MAX), self.address(index, url)?);
        for param in &url.params {
            match param {
                Param::Interface(name) => link.interface = Some(name.clone()),
                Param::Source(ip) => link.source = Some(*ip),
                Param::Weight(weight) => link.weight = *weight,
                Param::Backup(backup) => link.backup = *backup,
                Param::Metered(metered) => link.metered = *metered,
                Param::Cap(megabytes) => link.cap_bytes = Some(megabytes * MEGABYTE),
                _ => {}
            }
        }
        Ok(link)
    }

    fn bind(&self, index: usize, url: &RistUrl) -> Result<SocketAddr, UrlError> {
        if !url.listens {
            let reason = "a receiver listens: rist://@ADDRESS:PORT, with an @";
            return Err(self.error(index, "host", Reason::Misplaced(reason)));
        }
        let of_a_link = |param: &&Param| {
            matches!(
                param,
                Param::Interface(_) | Param::Source(_) | Param::Backup(_) | Param::Metered(_) | Param::Cap(_)
            )
        };
        let of_a_caller = |param: &&Param| matches!(param, Param::Username(_) | Param::Password(_));
        if let Some(param) = url.params.iter().find(of_a_caller) {
            let reason = "only for a sender, which says who it is; a receiver has a list of its users";
            return Err(self.error(index, param.name(), Reason::Misplaced(reason)));
        }
        match url.params.iter().find(of_a_link) {
            Some(param) => {
                let reason = "only for a sender's links; a receiver listens at the address after the @";
                Err(self.error(index, param.name(), Reason::Misplaced(reason)))
            }
            None => self.address(index, url),
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
        let secret = |param: &Param| if let Param::Secret(text) = param { Some(text.clone()) } else { None };
        let aes_type = |param: &Param| if let Param::AesType(bits) = param { Some(*bits) } else { None };
        let rotation = |param: &Param| if let Param::KeyRotation(n) = param { Some(*n) } else { None };
        let cname = |param: &Param| if let Param::Cname(name) = param { Some(name.clone()) } else { None };
        let secret: Option<Passphrase> = self.agreed(secret)?;
        let aes_type: Option<AesType> = self.agreed(aes_type)?;
        let key_rotation: Option<u32> = self.agreed(rotation)?;
        let psk = secret.map(|secret| {
            let mut psk = Psk::new(secret);
            psk.aes_type = aes_type.unwrap_or(psk.aes_type);
            psk.key_rotation = key_rotation;
            psk
        });
        if psk.is_none() {
            self.refuse_without_secret()?;
        }
        Ok(Common {
            latency: self.agreed(buffer)?,
            cname: self.agreed(cname)?,
            psk,
            credentials: self.credentials()?,
        })
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
            let of_a_key = |param: &&Param| matches!(param, Param::AesType(_) | Param::KeyRotation(_));
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

impl RistUrl {
    fn source(&self) -> Option<IpAddr> {
        self.params.iter().find_map(|param| if let Param::Source(ip) = param { Some(*ip) } else { None })
    }
}
