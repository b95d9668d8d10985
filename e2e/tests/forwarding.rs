//! A stream that is passed on by SRT: another program gets what the receiver records, packet for packet, while the control plane
//! moves it from link to link by what they cost.

use std::net::SocketAddrV4;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use strata_e2e::clip::{self, Clip};
use strata_e2e::control::PATIENCE;
use strata_e2e::stage::{Setup, Stage};
use strata_e2e::wait::eventually;
use strata_proto::control::{StreamLife, StreamStats, StreamView, Topic};
use strata_proto::token::Secret;
use tokio::process::Command;

/// Whether the kernel lists a UDP socket bound to `address`. Looking does not take the port, as trying to bind would.
fn is_bound(address: SocketAddrV4) -> bool {
    let table = std::fs::read_to_string("/proc/net/udp").unwrap_or_default();
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    table.lines().any(|line| line.split_whitespace().nth(1) == Some(&local))
}

/// How many bytes of the recording lie before the copy, which is a contiguous part of it.
fn offset(copy: &[u8], recording: &[u8]) -> Option<usize> {
    (0..recording.len()).step_by(188).find(|at| recording[*at..].starts_with(copy))
}

fn length(file: &Path) -> u64 {
    std::fs::metadata(file).map_or(0, |meta| meta.len())
}

/// Says what links cost, and waits until link `most` carries more than `share` of what is sent between two `stream.stats`.
async fn moves(stage: &Stage, stream: &StreamView, links: Value, most: usize, share: f64) -> Result<()> {
    let mut live = stage.live(vec![Topic::Stream(stream.id.clone())]).await?;
    let change = serde_json::from_value(json!({"links": links}))?;
    stage.rest.update(&stream.sender_id, &change).await?;
    let mut before = None;
    let what = format!("link {most} carries {share} with {links}");
    let moved = live.until(&what, PATIENCE, |event| {
        (event.event == "stream.stats").then_some(())?;
        let stats: StreamStats = serde_json::from_value(event.data.clone()).ok()?;
        let sent: Vec<u64> = stats.links.iter().map(|link| link.sent_bytes).collect();
        let grown = |before: Vec<u64>| -> Vec<u64> {
            sent.iter().zip(before).map(|(now, then)| now - then).collect()
        };
        let grown = before.replace(sent.clone()).map(grown)?;
        (grown[most] as f64 > share * grown.iter().sum::<u64>() as f64).then_some(())
    });
    moved.await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_srt_destination_gets_what_is_recorded_whatever_the_links_cost() -> Result<()> {
    let stage = Stage::new(Setup::new(clip::from_environment(Clip::SMALL).await?)).await?;
    let (_agent, sender) = stage.device("agent").await?;
    let address = SocketAddrV4::new(stage.place().ip(3), 9000);
    let copy = stage.dir().join("copy.ts");
    let mut peer = Command::new("srt-live-transmit")
        .args(["-q", &format!("srt://{address}?mode=listener&latency=200"), "file://con"])
        .stdin(Stdio::null())
        .stdout(std::fs::File::create(&copy)?)
        .kill_on_drop(true)
        .spawn()
        .context("srt-live-transmit, of Debian's srt-tools")?;
    eventually("srt-live-transmit listens", PATIENCE, async || is_bound(address).then_some(())).await?;

    let mut broadcast = stage.broadcast()?;
    broadcast.platform_dest = Some(Secret::new(format!("srt://{address}?latency=200")));
    let started = stage.rest.start(&sender.id, &broadcast).await?;
    let stream = stage.state(&started.id, StreamLife::Live, Duration::from_secs(40)).await?;
    moves(&stage, &stream, json!([{"id": 0, "metered": true}, {"id": 1}]), 1, 0.8).await?;
    moves(&stage, &stream, json!([{"id": 0}, {"id": 1, "priority": "backup"}]), 0, 0.8).await?;
    moves(&stage, &stream, json!([{"id": 0, "weight": 1}, {"id": 1, "weight": 8}]), 1, 0.6).await?;
    stage.streamed(&stream.id, Duration::from_secs(5)).await?;
    eventually("the copy grows", PATIENCE, async || (length(&copy) > 100_000).then_some(())).await?;
    let (ended, stats) = stage.stop(&stream).await?;
    peer.kill().await?;

    assert_eq!(stats.lost_packets, 0);
    let recording = ended.recording.context("not recorded")?;
    let (copy, recording) = (std::fs::read(&copy)?, std::fs::read(recording)?);
    // What the connection's beginning and end take is not copied; half of it is far less than both leave.
    assert!(copy.len() * 2 > recording.len(), "{} of {} bytes", copy.len(), recording.len());
    assert!(offset(&copy, &recording).is_some(), "not a contiguous part");
    stage.done();
    Ok(())
}
