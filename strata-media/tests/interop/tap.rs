//! A place on the way of a tunnel from which its datagrams can be looked at.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use strata_media::rist::extension::Extension;
use strata_media::rist::gre::{Header, Payload};
use strata_media::rist::rtp;
use tokio::net::UdpSocket;

/// What passed towards one end, of all that has a header of GRE.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen {
    pub(crate) nonces: BTreeSet<u32>,
    pub(crate) ether_types: BTreeSet<u16>,
    pub(crate) datagrams: u64,
    pub(crate) clear: Clear,
}

/// Media among it that is not encrypted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clear {
    pub(crate) packets: u64,
    /// Of their payloads, as they passed.
    pub(crate) bytes: u64,
    /// Null packets that were left out of them.
    pub(crate) removed: u64,
    /// How many tell the upper half of their number.
    pub(crate) extended: u64,
}

/// What passed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tap(Arc<Mutex<[Seen; 2]>>);

impl Tap {
    /// Passes on what comes to `at`, which one program sends to, to `to`, and the answers.
    pub(crate) async fn before(at: SocketAddr, to: SocketAddr) -> Self {
        let (front, back) =
            (UdpSocket::bind(at).await.unwrap(), UdpSocket::bind((at.ip(), 0)).await.unwrap());
        back.connect(to).await.unwrap();
        let tap = Self::default();
        let noted = tap.clone();
        tokio::spawn(async move {
            let (mut caller, mut there, mut here) = (None, [0; 2048], [0; 2048]);
            // Who is not there yet, or no more, says so.
            loop {
                tokio::select! {
                    Ok((len, from)) = front.recv_from(&mut there) => {
                        caller = Some(from);
                        noted.note(0, &there[..len]);
                        let _gone = back.send(&there[..len]).await;
                    }
                    came = back.recv(&mut here) => if let (Ok(len), Some(caller)) = (came, caller) {
                        noted.note(1, &here[..len]);
                        let _gone = front.send_to(&here[..len], caller).await;
                    },
                }
            }
        });
        tap
    }

    fn note(&self, towards: usize, datagram: &[u8]) {
        let Ok((header, start)) = Header::decode(datagram) else { return };
        let seen = &mut self.0.lock().unwrap()[towards];
        seen.ether_types.insert(header.ether_type);
        seen.datagrams += 1;
        match header.nonce {
            Some(nonce) => _ = seen.nonces.insert(nonce),
            None => seen.clear.note(header.ether_type, &datagram[start..]),
        }
    }

    /// Towards who is called, and back.
    pub(crate) fn seen(&self) -> [Seen; 2] {
        self.0.lock().unwrap().clone()
    }
}

impl Clear {
    fn note(&mut self, ether_type: u16, plain: &[u8]) {
        let Ok(Payload::Datagram { data, .. }) = Payload::decode(ether_type, plain) else { return };
        let packet = &plain[data];
        let Ok((header, payload)) = rtp::Header::decode(packet) else { return };
        // A report's type is no media's.
        if header.payload_type != rtp::PAYLOAD_TYPE_TS {
            return;
        }
        let extension = Extension::find(packet).unwrap_or_default();
        self.packets += 1;
        self.bytes += payload.len() as u64;
        self.removed += u64::from(extension.nulls.map_or(0, |nulls| nulls.removed.count_ones()));
        self.extended += u64::from(extension.sequence.is_some());
    }
}
