//! A stream whose links have a secret: with its key and no other, and nothing of it in clear.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use strata_media::net::{self, AesType, Passphrase, Psk};
use strata_media::rist::gre::Header;
use strata_proto::control::{CommandKind, Reply};
use tokio::net::UdpSocket;

use crate::plane::Plane;
use crate::process::Agent;
use crate::run;
use crate::stream::{ask, stats};

const SECRET: &str = "correct horse battery";
/// Longer than a machine stands still.
const LATENCY: Duration = Duration::from_secs(4);

/// A way to `far`, on which all that goes there is looked at.
struct Tap {
    near: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Tap {
    async fn to(far: SocketAddr) -> Self {
        let near = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let ahead = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        ahead.connect(far).await.unwrap();
        let tap = Self { near: near.local_addr().unwrap(), seen: Arc::default() };
        let seen = Arc::clone(&tap.seen);
        tokio::spawn(async move {
            let (mut there, mut back, mut sender) = ([0; 2048], [0; 2048], None);
            loop {
                tokio::select! {
                    Ok((length, from)) = near.recv_from(&mut there) => {
                        sender = Some(from);
                        seen.lock().unwrap().push(there[..length].to_vec());
                        // A receiver that has gone is no concern of the way to it.
                        let _ = ahead.send(&there[..length]).await;
                    }
                    Ok(length) = ahead.recv(&mut back) => {
                        let Some(to) = sender else { continue };
                        let _ = near.send_to(&back[..length], to).await;
                    }
                }
            }
        });
        tap
    }
}

/// Whether packets of a transport stream stand in it: of seven together at least five in a row.
fn shows_transport_stream(datagram: &[u8]) -> bool {
    let syncs = |from: usize| (0..5).all(|n| datagram.get(from + n * 188) == Some(&0x47));
    (0..188).any(syncs)
}

fn shows(datagram: &[u8], text: &str) -> bool {
    datagram.windows(text.len()).any(|part| part == text.as_bytes())
}

#[test]
fn a_stream_with_a_secret_is_sent_with_its_key_alone() {
    run(async {
        let plane = Plane::start().await;
        let mut sink = net::ReceiverConfig::new(vec![([127, 0, 0, 1], 0).into()]);
        let mut psk = Psk::new(Passphrase::new(SECRET).unwrap());
        psk.aes_type = AesType::Aes128;
        (sink.latency, sink.psk) = (LATENCY, Some(psk));
        let (mut received, driver) = net::receiver(sink).unwrap();
        tokio::spawn(driver.run());
        let tap = Tap::to(received.local_addrs()[0]).await;
        let agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        let uri = format!("rist://{}?buffer={}&secret={SECRET}&aes-type=128", tap.near, LATENCY.as_millis());
        let start = json!({
            "stream_id": "str_1", "source": {"mode": "test", "resolution": "320x240", "framerate": 15},
            "encoder": {"bitrate_kbps": 300}, "destinations": [uri],
            "bonding_config": {"version": 1, "links": [{"id": 0, "uri": uri}]},
        });
        assert_eq!(ask(&mut device, CommandKind::StreamStart, start).await, Reply::ok());
        for _ in 0..50 {
            let packet = received.recv().await.unwrap();
            assert!(packet.payload.chunks(188).all(|packet| packet[0] == 0x47));
        }
        let bond = std::fs::read_to_string(agent.state().join("run/str_1.toml")).unwrap();
        assert!(bond.contains("secret=…&aes-type=128") && !bond.contains(SECRET), "{bond}");

        // It stays, whatever becomes of the links.
        let clear = json!({"links": [{"id": 0, "uri": format!("rist://{}", received.local_addrs()[0])}]});
        let fault = ask(&mut device, CommandKind::ConfigUpdate, clear).await.error.unwrap();
        assert_eq!(fault.field.as_deref(), Some("payload.links[0].uri"), "{}", fault.message);
        let weighed = json!({"links": [{"id": 0, "uri": uri, "weight": 5}]});
        assert_eq!(ask(&mut device, CommandKind::ConfigUpdate, weighed).await, Reply::ok());
        let told = stats(&mut device, |_| true).await;
        assert!(!format!("{told:?}{}", agent.log()).contains(SECRET));
        let stop = json!({"stream_id": "str_1", "reason": "user_request"});
        assert_eq!(ask(&mut device, CommandKind::StreamStop, stop).await, Reply::ok());

        let seen = tap.seen.lock().unwrap();
        assert!(seen.len() > 50, "{} datagrams", seen.len());
        for datagram in seen.iter() {
            let (header, _) = Header::decode(datagram).unwrap();
            assert!(header.nonce.is_some() && !header.key_256, "{header:?}");
            let plain =
                shows_transport_stream(datagram) || shows(datagram, "str_1") || shows(datagram, SECRET);
            assert!(!plain, "{datagram:02x?}");
        }
    });
}
