//! What a receiver says, bounded in two ways: by what it may say to whom, and by what it may say at all.

use std::collections::VecDeque;

use bytes::Bytes;

use super::allowance::Allowances;
use super::peers::Peer;
use super::receiver::Output;
use super::share::Share;

/// Datagrams to be sent.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    /// What may go to peers that have not shown where they are.
    pub(super) allowances: Allowances,
    /// What is left of the stream's share.
    pub(super) share: Share,
    out: VecDeque<Output>,
}

impl Outbox {
    /// Sends a peer what may go to it; whether it may.
    pub(super) fn tell(&mut self, peer: &Peer, data: Bytes) -> bool {
        let may = peer.may_take(&mut self.allowances, data.len());
        if may {
            self.share.spend(data.len());
            self.out.push_back(Output::Transmit { link: peer.link, to: peer.addr, data });
        }
        may
    }

    /// The next datagram.
    pub(super) fn pop(&mut self) -> Option<Output> {
        self.out.pop_front()
    }
}
