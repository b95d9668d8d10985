use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use strata_media::net::{self, LinkConfig, ReceiverConfig, SenderConfig};
use strata_media::pipeline::{Encoder, EndReason, Ended, PipelineError, SendConfig, SendEvent, Source, send};

use crate::judge;

/// A receiver on loopback that writes what it gets to a file.
fn recorder(path: &Path) -> (SenderConfig, tokio::task::JoinHandle<()>) {
    let mut config = ReceiverConfig::new(vec!["127.0.0.1:0".parse().unwrap()]);
    config.latency = Duration::from_millis(100);
    let (mut receiver, driver) = net::receiver(config).unwrap();
    let mut bond = SenderConfig::new(vec![LinkConfig::new(0, receiver.local_addrs()[0])]);
    bond.latency = Duration::from_millis(100);
    tokio::spawn(driver.run());
    let mut file = std::fs::File::create(path).unwrap();
    let task = tokio::spawn(async move {
        while let Ok(Some(packet)) = tokio::time::timeout(Duration::from_secs(2), receiver.recv()).await {
            file.write_all(&packet.payload).unwrap();
        }
    });
    (bond, task)
}

fn file(path: PathBuf) -> Source {
    Source::File { path, repeat: true, passthrough: false }
}

fn config(source: Source) -> SendConfig {
    let encoder = Encoder { bitrate_kbps: 500, ..Encoder::default() };
    SendConfig { encoder, ..SendConfig::new(source) }
}

/// Sends for `seconds` and gives the recording's judgement a file.
async fn record(config: SendConfig, seconds: u64, dir: &Path) -> (PathBuf, Ended, Vec<SendEvent>) {
    let out = dir.join("out.ts");
    let (bond, recording) = recorder(&out);
    let (mut handle, driver) = send(config, bond).unwrap();
    let running = tokio::spawn(driver.run());
    let mut events = Vec::new();
    while let Some(event) = handle.event().await {
        if matches!(&event, SendEvent::Stats(s) if s.uptime.as_secs() >= seconds) {
            let _ = handle.stop();
        }
        events.push(event);
    }
    let ended = running.await.unwrap();
    recording.await.unwrap();
    (out, ended, events)
}

fn assert_whole(out: &Path, seconds: usize) {
    judge::assert_continuous(out);
    let video = judge::times(out, "v:0");
    assert!(video.len() >= (seconds - 1) * 25, "{} frames", video.len());
    judge::assert_uniform(&video, 3600);
    assert_eq!(judge::decode(out, "v:0"), video.len());
}

fn assert_audio(out: &Path) {
    let audio = judge::times(out, "a:0");
    judge::assert_uniform(&audio, 1920);
    // One frame more or less: an encoder's delay is not a frame of its own for every decoder.
    assert!(judge::decode(out, "a:0").abs_diff(audio.len()) <= 1);
    let video = judge::times(out, "v:0");
    let (a, v) = (audio[audio.len() - 1] - audio[0], video[video.len() - 1] - video[0]);
    assert!((a - v).abs() < 90_000 / 2, "audio of {a} ticks, video of {v}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_has_no_seam_with_longer_sound() {
    let dir = tempfile::tempdir().unwrap();
    let clip = judge::clip(dir.path(), "clip.mp4", 1.2, Some(1.25), &[]);
    let (out, ended, events) = record(config(file(clip)), 5, dir.path()).await;
    assert_eq!((ended.reason, ended.error), (EndReason::Stopped, None));
    assert_eq!(ended.bytes, std::fs::metadata(&out).unwrap().len());
    assert!(matches!(events.first(), Some(SendEvent::Started | SendEvent::Stats(_))));
    assert!(matches!(events.last(), Some(SendEvent::Ended(_))));
    assert_whole(&out, 5);
    assert_audio(&out);
}
