//! The driver of [`super::interfaces`]: asks rtnetlink, and waits for it to say that something changed.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use rtnetlink::packet_core::NetlinkMessage;
use rtnetlink::packet_route::RouteNetlinkMessage;
use rtnetlink::sys::SocketAddr;
use rtnetlink::{Handle, MulticastGroup, RouteMessageBuilder};

use super::interfaces::Tables;

/// Asks the kernel for the tables.
#[derive(Debug, Clone)]
pub(crate) struct Netlink {
    handle: Handle,
}

/// What the kernel says without being asked.
pub(crate) struct Changes {
    messages: futures_util::stream::BoxStream<'static, (NetlinkMessage<RouteNetlinkMessage>, SocketAddr)>,
    /// Something changed that nobody was told of yet.
    pending: bool,
}

impl std::fmt::Debug for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").finish_non_exhaustive()
    }
}

/// Opens a netlink socket that is told of changes. The third part drives the socket and must be run.
///
/// # Errors
/// When the kernel refuses the socket.
pub(crate) fn open() -> io::Result<(Netlink, Changes, impl Future<Output = ()> + Send)> {
    let (connection, handle, messages) = rtnetlink::new_multicast_connection(&[
        MulticastGroup::Link,
        MulticastGroup::Ipv4Ifaddr,
        MulticastGroup::Ipv6Ifaddr,
        MulticastGroup::Ipv4Route,
        MulticastGroup::Ipv6Route,
    ])?;
    Ok((Netlink { handle }, Changes { messages: messages.boxed(), pending: false }, connection))
}

impl Netlink {
    /// Dumps links, addresses and default routes.
    ///
    /// # Errors
    /// When the kernel refuses, or does not answer in time.
    pub(crate) async fn tables(&self) -> io::Result<Tables> {
        let dump = async {
            Ok::<_, rtnetlink::Error>(Tables {
                links: self.handle.link().get().execute().try_collect().await?,
                addresses: self.handle.address().get().execute().try_collect().await?,
                routes: self.default_routes().await?,
            })
        };
        let tables = tokio::time::timeout(PATIENCE, dump).await;
        tables.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map_err(io::Error::other)
    }

    async fn default_routes(
        &self,
    ) -> Result<Vec<rtnetlink::packet_route::route::RouteMessage>, rtnetlink::Error> {
        let four = RouteMessageBuilder::<Ipv4Addr>::new().build();
        let six = RouteMessageBuilder::<Ipv6Addr>::new().build();
        let mut routes = Vec::new();
        for family in [four, six] {
            let mut dump = self.handle.route().get(family).execute();
            while let Some(route) = dump.try_next().await? {
                if route.header.destination_prefix_length == 0 {
                    routes.push(route);
                }
            }
        }
        Ok(routes)
    }
}

impl Changes {
    /// Waits until something changed, and then until nothing changed for a moment (an interface that
    /// comes up says so in a dozen messages). `false` when the kernel closed the socket. Nothing is lost
    /// when the future is dropped.
    pub(crate) async fn wait(&mut self) -> bool {
        if !self.pending && self.messages.next().await.is_none() {
            return false;
        }
        self.pending = true;
        let settled = async {
            loop {
                match tokio::time::timeout(QUIET, self.messages.next()).await {
                    Ok(Some(_)) => {}
                    Ok(None) => return false,
                    Err(_) => return true,
                }
            }
        };
        // A route daemon can talk without a pause; then a look now and then must do.
        let open = tokio::time::timeout(LONGEST, settled).await.unwrap_or(true);
        self.pending = false;
        open
    }
}

/// The kernel answers a dump within milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
const QUIET: Duration = Duration::from_millis(300);
const LONGEST: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use strata_proto::control::{InterfaceState, InterfaceType};

    use super::super::interfaces::{Sysfs, report};
    use super::*;

    #[tokio::test]
    async fn this_machine_has_a_loopback_interface() {
        let (netlink, _changes, driver) = open().unwrap();
        tokio::spawn(driver);
        let tables = netlink.tables().await.unwrap();
        let all = report(&tables, |name| Sysfs::read(Path::new("/sys/class/net"), name), &BTreeSet::new());
        let lo = all.iter().find(|i| i.name == "lo").expect("every Linux has lo");
        assert_eq!((lo.kind, lo.state), (InterfaceType::Loopback, InterfaceState::Connected));
        assert_eq!((lo.ip.as_deref(), lo.subnet.as_deref()), (Some("127.0.0.1"), Some("127.0.0.0/8")));
    }
}
