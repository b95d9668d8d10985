//! What is sent is whole.

use std::path::Path;
use std::time::Duration;

use strata_media::pipeline::{EndReason, SendEvent, Source};
use strata_media::testing::netem::{self, Loss};

use crate::judge;
use crate::rig::{config, file, record, recording, stream, stream_while};

/// Every frame there, evenly spaced, and decodable.
fn assert_video(out: &Path, seconds: usize) {
    judge::assert_continuous(out);
    let video = judge::times(out, "v:0");
    assert!(video.len() >= (seconds - 1) * 25, "{} frames", video.len());
    judge::assert_uniform(&video, 3600);
    assert_eq!(judge::decode(out, "v:0"), video.len());
}

/// Sound without a gap, and no shorter than the pictures. These take longer to be encoded: when a stream is stopped where the machine is
/// held up, the last of them are missing.
fn assert_audio(out: &Path) {
    let audio = judge::times(out, "a:0");
    judge::assert_uniform(&audio, 1920);
    // One frame more or less: an encoder's delay is not a frame of its own for every decoder.
    assert!(judge::decode(out, "a:0").abs_diff(audio.len()) <= 1);
    let video = judge::times(out, "v:0");
    let (a, v) = (audio[audio.len() - 1] - audio[0], video[video.len() - 1] - video[0]);
    assert!(v - a < 90_000 / 2, "audio of {a} ticks, video of {v}");
    assert!((audio[0] - video[0]).abs() < 90_000 / 10, "audio starts at {}, video at {}", audio[0], video[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_has_no_seam_with_longer_sound() {
    let dir = tempfile::tempdir().unwrap();
    let clip = judge::clip(dir.path(), "clip.mp4", 1.2, Some(1.25), &[]);
    let (out, outcome) = record(config(file(clip)), 4, dir.path()).await;
    assert_eq!((outcome.ended.reason, outcome.ended.error), (EndReason::Stopped, None));
    assert!(matches!(outcome.sent.last(), Some(SendEvent::Ended(_))));
    assert_eq!(outcome.sent.iter().filter(|e| matches!(e, SendEvent::Started)).count(), 1);
    assert_video(&out, 4);
    assert_audio(&out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_loop_has_no_seam_with_shorter_sound() {
    let dir = tempfile::tempdir().unwrap();
    let clip = judge::clip(dir.path(), "clip.mkv", 1.2, Some(1.03), &[]);
    let (out, _) = record(config(file(clip)), 4, dir.path()).await;
    assert_video(&out, 4);
    assert_audio(&out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transport_stream_without_sound_loops_too() {
    let dir = tempfile::tempdir().unwrap();
    let clip = judge::clip(dir.path(), "clip.ts", 1.2, None, &[]);
    let (out, _) = record(config(file(clip)), 4, dir.path()).await;
    assert_video(&out, 4);
    assert!(judge::times(&out, "a:0").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn h264_passes_through_with_its_b_frames() {
    let dir = tempfile::tempdir().unwrap();
    let clip = judge::clip(dir.path(), "clip.mp4", 1.2, Some(1.2), &["-bf", "2", "-c:v", "libx264"]);
    let source = Source::File { path: clip.clone(), repeat: true, passthrough: true };
    let (out, _) = record(config(source), 4, dir.path()).await;
    judge::assert_continuous(&out);
    assert_audio(&out);
    let video = judge::times(&out, "v:0");
    assert!(video.len() > 75, "{} frames", video.len());
    // It is cut in decoding order: of the last pictures those in between may be missing.
    judge::assert_uniform(&video[..video.len() - 3], 3600);
    assert_eq!(judge::decode(&out, "v:0"), video.len());
    assert_eq!(judge::pictures(&out, 30), judge::pictures(&clip, 30));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_repeated_is_sent_once_and_whole() {
    let dir = tempfile::tempdir().unwrap();
    let clip = judge::clip(dir.path(), "clip.mp4", 1.2, Some(1.2), &[]);
    let source = Source::File { path: clip, repeat: false, passthrough: false };
    let (out, outcome) = record(config(source), 60, dir.path()).await;
    assert_eq!(outcome.ended.reason, EndReason::EndOfSource);
    assert_eq!(judge::decode(&out, "v:0"), 30);
    judge::assert_uniform(&judge::times(&out, "v:0"), 3600);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_test_picture_survives_a_bad_link() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.ts");
    let mut sink = recording(&out);
    sink.net.latency = Duration::from_millis(700);
    let link = netem::Config {
        loss: Loss::bursts(0.05, 2.0),
        jitter: Duration::from_millis(10),
        ..netem::Config::simple(5_000_000, Duration::from_millis(30), 0.0)
    };
    let mut source = config(Source::Test);
    source.framerate = Some(25);
    let outcome = stream(source, 4, sink, link, |_, _, _| {}).await;
    assert_eq!(outcome.stats.net.lost_packets, 0);
    assert_eq!(outcome.ended.bytes, std::fs::metadata(&out).unwrap().len());
    assert!(outcome.stats.net.recovered_packets > 0, "{:?}", outcome.stats.net);
    assert_video(&out, 4);
    assert_audio(&out);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bitrate_changes_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("out.ts");
    let mut source = config(Source::Test);
    source.encoder.bitrate_kbps = 400;
    source.encoder.keyint_max = Some(15);
    // However many seconds it takes on a machine that may stand still: each rate is seen, the first one before the change.
    let expected = [300..600, 1500..2500];
    let (mut seen, mut rates) = (0, Vec::new());
    stream_while(source, recording(&out), netem::Config::default(), |stats, handle, _, _| {
        rates.push(stats.encoder_kbps);
        assert!(rates.len() < 60, "{rates:?}");
        // Not the first second, in which there is the first picture.
        if seen < 2 && rates.len() > 2 && expected[seen].contains(&stats.encoder_kbps) {
            seen += 1;
            handle.set_bitrate(2000).unwrap();
        }
        seen < expected.len()
    })
    .await;
    assert_eq!(seen, 2, "{rates:?}");
    judge::assert_continuous(&out);
}
