//! Debian's ffmpeg, which speaks RIST by librist: the stream goes in and comes out by a pipe, as the bytes they are.

use std::process::Stdio;
use std::time::Duration;

use nix::fcntl::{FcntlArg, fcntl};
use strata_media::net::{self, LinkConfig, Profile, ReceiverConfig, SenderConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::kernel::bound;
use crate::rig::{LATENCY, PATIENCE, link, own};
use crate::stream::{Check, DATAGRAM_BYTES, stream};

/// How long the stream that is compared lasts.
const LENGTH: Duration = Duration::from_secs(3);

/// The least that a pipe holds, bytes; what is written to it in pieces no longer than this is not split.
const PAGE: i32 = 4096;

/// Copies bytes, in pieces of a datagram, with `rist` before the one of them that is RIST's.
fn ffmpeg(profile: Profile, from: &str, to: &str) -> Child {
    let (latency, size) = (LATENCY.as_millis().to_string(), DATAGRAM_BYTES.to_string());
    let profile = if profile == Profile::Simple { "simple" } else { "main" };
    let rist = ["-rist_profile", profile, "-buffer_size", &latency];
    let mut command = Command::new("ffmpeg");
    command.args(["-hide_banner", "-loglevel", "warning", "-nostdin"]);
    command.args(if from.starts_with("rist") { &rist[..] } else { &[] });
    command.args(["-f", "data", "-raw_packet_size", &size, "-i", from, "-map", "0", "-c", "copy"]);
    command.args(if to.starts_with("rist") { &rist[..] } else { &[] });
    command.args(["-f", "data", "-flush_packets", "1", to]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    command.spawn().unwrap_or_else(|error| panic!("cannot start ffmpeg ({error}); `make setup` installs it"))
}

async fn ffmpeg_receives(test: u8, profile: Profile) {
    let receiver = own(test, 1, 5000);
    let (relay, link) = link(0, receiver);
    let mut ffmpeg = ffmpeg(profile, &format!("rist://@{receiver}"), "pipe:1");
    bound(receiver).await;
    let config =
        SenderConfig::new(vec![LinkConfig::new(0, link)]).with_profile(profile).with_latency(LATENCY);
    let (sender, driver) = net::sender(config).unwrap();
    tokio::spawn(driver.run());
    let into = [receiver];
    let sending = stream(LENGTH, &into, async |payload| sender.send(payload).await.unwrap());
    let checking = async {
        let mut output = ffmpeg.stdout.take().unwrap();
        let (mut check, mut buffer) = (Check::new(LENGTH), [0; DATAGRAM_BYTES]);
        loop {
            output.read_exact(&mut buffer).await.unwrap();
            if check.take(&buffer) {
                return output;
            }
        }
    };
    timeout(PATIENCE, async { tokio::join!(checking, sending) }).await.unwrap();
    let (stats, relay) = (sender.stats(), relay.stats());
    println!("{stats:#?}\n{relay:#?}");
    assert!(stats.retransmitted > 0 && relay.up.lost > 0, "the link loses");
}

async fn ffmpeg_sends(test: u8, profile: Profile) {
    let config = ReceiverConfig::new(vec![own(test, 1, 5000)]).with_latency(LATENCY);
    let (mut receiver, driver) = net::receiver(config).unwrap();
    tokio::spawn(driver.run());
    let (relay, link) = link(0, receiver.local_addrs()[0]);
    let mut ffmpeg = ffmpeg(profile, "pipe:0", &format!("rist://{link}"));
    let input = ffmpeg.stdin.take().unwrap();
    // It reads what there is, and cuts it where its buffer ends: a page of whole datagrams is less.
    fcntl(&input, FcntlArg::F_SETPIPE_SZ(PAGE)).unwrap();
    let input = Mutex::new(input);
    let sending = stream(LENGTH, &[], async |payload| input.lock().await.write_all(&payload).await.unwrap());
    let checking = Check::new(LENGTH).whole(&mut receiver);
    timeout(PATIENCE, async { tokio::join!(checking, sending) }).await.unwrap();
    let (stats, relay) = (receiver.stats(), relay.stats());
    println!("{stats:#?}\n{relay:#?}");
    assert!(stats.recovered_packets > 0 && relay.up.lost > 0, "the link loses");
    assert_eq!(stats.tunnel.taken > 0, profile == Profile::Main, "{:?}", stats.tunnel);
}

#[tokio::test]
async fn ffmpeg_receives_by_the_simple_profile() {
    ffmpeg_receives(15, Profile::Simple).await;
}

#[tokio::test]
async fn ffmpeg_receives_by_the_main_profile() {
    ffmpeg_receives(16, Profile::Main).await;
}

#[tokio::test]
async fn strata_receives_what_ffmpeg_sends_by_the_simple_profile() {
    ffmpeg_sends(17, Profile::Simple).await;
}

#[tokio::test]
async fn strata_receives_what_ffmpeg_sends_by_the_main_profile() {
    ffmpeg_sends(18, Profile::Main).await;
}
