//! Sockets of multicast groups (TR-06-1, 5.1.1), at a sender and at a receiver.
use std::io;
use std::net::{IpAddr, SocketAddr};

use nix::net::if_::if_nametoindex;
use socket2::{Domain, InterfaceIndexOrAddress, Socket};

use super::config::{LinkConfig, Membership};
use super::socket::{Pair, above, bind_interface, bind_source, connect_one, open, unspecified};

/// Opens the sockets of a sender's link to a group: RTP, RTCP from a port of its own, which some receivers answer to, and
/// the group's port of RTCP, where the standard has them answer.
pub(super) fn send(link: &LinkConfig) -> io::Result<Pair> {
    let rtcp_group = above(link.remote)?;
    let rtcp = open(link.remote)?;
    go_by(&rtcp, link)?;
    bind_source(&rtcp, link)?;
    let group = open(rtcp_group)?;
    join(&group, rtcp_group, rtcp_group, link.interface.as_deref(), link.source)?;
    Ok(Pair {
        rtp: connect_one(link, link.remote)?,
        rtcp: Some(rtcp.into()),
        group: Some((group.into(), rtcp_group)),
    })
}

/// Opens the sockets of a receiver in a group.
pub(super) fn receive(group: SocketAddr, membership: &Membership) -> io::Result<Pair> {
    let rtcp_group = above(group)?;
    let interface = membership.interface.as_deref();
    let rtp = open(group)?;
    join(&rtp, group, group, interface, None)?;
    let rtcp = open(rtcp_group)?;
    set_hops(&rtcp, membership.hops)?;
    // Senders answer to this machine's own address too.
    let any = SocketAddr::new(unspecified(group), rtcp_group.port());
    join(&rtcp, any, rtcp_group, interface, None)?;
    Ok(Pair { rtp: rtp.into(), rtcp: Some(rtcp.into()), group: None })
}

/// Which way what is sent by a link goes, and how far if it goes to a group.
pub(super) fn go_by(socket: &Socket, link: &LinkConfig) -> io::Result<()> {
    if let Some(name) = &link.interface {
        bind_interface(socket, name)?;
    }
    if let Some(IpAddr::V4(source)) = link.source.filter(|_| link.remote.ip().is_multicast()) {
        socket.set_multicast_if_v4(&source)?;
    }
    set_hops(socket, link.hops)
}

fn set_hops(socket: &Socket, hops: Option<u8>) -> io::Result<()> {
    match hops.map(u32::from) {
        Some(hops) if socket.domain()? == Domain::IPV4 => socket.set_multicast_ttl_v4(hops),
        Some(hops) => socket.set_multicast_hops_v6(hops),
        None => Ok(()),
    }
}

/// Binds a socket to `bind` and joins a group with it, beside others on this machine that are in it too.
fn join(
    socket: &Socket,
    bind: SocketAddr,
    group: SocketAddr,
    interface: Option<&str>,
    source: Option<IpAddr>,
) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    if let Some(name) = interface {
        bind_interface(socket, name)?;
    }
    socket.bind(&bind.into())?;
    let index = interface.map(if_nametoindex).transpose()?;
    match group.ip() {
        IpAddr::V4(group) => {
            // Not what others on this machine have joined.
            socket.set_multicast_all_v4(false)?;
            let by = match (index, source) {
                (Some(index), _) => InterfaceIndexOrAddress::Index(index),
                (None, Some(IpAddr::V4(source))) => InterfaceIndexOrAddress::Address(source),
                _ => InterfaceIndexOrAddress::Index(0),
            };
            socket.join_multicast_v4_n(&group, &by)
        }
        IpAddr::V6(group) => {
            socket.set_multicast_all_v6(false)?;
            socket.join_multicast_v6(&group, index.unwrap_or(0))
        }
    }
}

#[cfg(test)]
mod tests;
