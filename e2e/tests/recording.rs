//! The check of recordings itself: a whole file passes, damage of every kind is seen.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use strata_e2e::clip::Clip;
use strata_e2e::program::run_tool;
use strata_e2e::recording::{Fault, Report, check, ts};

struct Sample {
    dir: tempfile::TempDir,
    bytes: Vec<u8>,
}

impl Sample {
    /// The small clip as a transport stream.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clip = Clip::SMALL.file().await.unwrap();
        let file = dir.path().join("whole.ts");
        let (clip, out) = (clip.to_str().unwrap(), file.to_str().unwrap());
        run_tool("ffmpeg", &["-v", "error", "-nostdin", "-i", clip, "-c", "copy", out]).await.unwrap();
        Self { bytes: std::fs::read(&file).unwrap(), dir }
    }

    fn write(&self, bytes: &[u8]) -> PathBuf {
        let file = self.dir.path().join("sample.ts");
        std::fs::write(&file, bytes).unwrap();
        file
    }

    fn packets(&self) -> Vec<[u8; ts::PACKET]> {
        self.bytes.chunks_exact(ts::PACKET).map(|packet| packet.try_into().unwrap()).collect()
    }

    /// The packets of one coded picture or audio frame: number `n` of a PID.
    fn frame(&self, pid: u16, n: usize) -> Vec<usize> {
        let packets = self.packets();
        let mut frame = 0;
        let mut found = Vec::new();
        for (index, packet) in packets.iter().enumerate().filter(|(_, packet)| ts::pid(packet) == pid) {
            frame += usize::from(packet[1] & 0x40 != 0);
            if frame == n + 1 {
                found.push(index);
            }
        }
        assert!(!found.is_empty());
        found
    }

    /// The file without some packets, counters made to follow again when `hidden`.
    fn without(&self, gone: &[usize], hidden: bool) -> PathBuf {
        let mut counters = std::collections::HashMap::new();
        let mut bytes = Vec::new();
        for (index, mut packet) in self.packets().into_iter().enumerate() {
            if gone.contains(&index) {
                continue;
            }
            let counter = counters.entry(ts::pid(&packet)).or_insert(packet[3] & 0x0F);
            if hidden {
                packet[3] = packet[3] & 0xF0 | *counter;
                *counter = (*counter + u8::from(packet[3] & 0x10 != 0)) & 0x0F;
            }
            bytes.extend_from_slice(&packet);
        }
        self.write(&bytes)
    }
}

const VIDEO: u16 = 0x100;
const AUDIO: u16 = 0x101;
const TWO_SECONDS: Duration = Duration::from_secs(2);

async fn report(file: &Path) -> Report {
    check(file, TWO_SECONDS).await.unwrap()
}

#[tokio::test]
async fn a_whole_recording_has_no_fault() {
    let sample = Sample::new().await;
    let report = report(&sample.write(&sample.bytes)).await;
    assert_eq!(report.faults, []);
    assert_eq!((report.frames, report.decoded, report.skipped_bytes), (75, 75, 0));
    assert_eq!((report.video.as_str(), report.audio.as_str()), ("h264 320x180", "aac 48000 Hz"));
    assert_eq!((report.step, report.duration), (Duration::from_millis(40), Duration::from_secs(3)));
    report.whole().unwrap();
}

#[tokio::test]
async fn one_missing_packet_is_seen() {
    let sample = Sample::new().await;
    let frame = sample.frame(VIDEO, 0);
    let report = report(&sample.without(&[frame[frame.len() / 2]], false)).await;
    assert!(report.faults.iter().any(|fault| matches!(fault, Fault::Hole(ts::Hole::Gap { pid: VIDEO, .. }))));
    assert!(report.whole().is_err());
}

#[tokio::test]
async fn one_missing_packet_is_seen_in_the_picture_when_the_counters_hide_it() {
    let sample = Sample::new().await;
    let frame = sample.frame(VIDEO, 0);
    let report = report(&sample.without(&[frame[frame.len() / 2]], true)).await;
    assert!(!report.faults.iter().any(|fault| matches!(fault, Fault::Hole(_))));
    assert!(report.faults.iter().any(|fault| matches!(fault, Fault::Decoder(_))), "{:?}", report.faults);
}

#[tokio::test]
async fn a_missing_picture_is_seen_by_its_time() {
    let sample = Sample::new().await;
    let report = report(&sample.without(&sample.frame(VIDEO, 30), true)).await;
    let (at, step) = (Duration::from_millis(29 * 40), Duration::from_millis(40));
    assert!(
        report.faults.contains(&Fault::Step { at, expected: step, found: 2 * step }),
        "{:?}",
        report.faults
    );
}

#[tokio::test]
async fn missing_sound_is_seen() {
    let sample = Sample::new().await;
    let packets = sample.packets();
    let audio: Vec<usize> = (0..packets.len()).filter(|n| ts::pid(&packets[*n]) == AUDIO).collect();
    let (third, rest) = (audio.len() / 3, &audio);
    let hole = report(&sample.without(&rest[third..2 * third], true)).await;
    assert!(hole.faults.iter().any(|fault| matches!(fault, Fault::AudioHole { .. })), "{:?}", hole.faults);
    let end = report(&sample.without(&rest[third..], true)).await;
    assert!(end.faults.iter().any(|fault| matches!(fault, Fault::AudioEdge { .. })), "{:?}", end.faults);
    let none = report(&sample.without(rest, true)).await;
    assert!(none.faults.contains(&Fault::NoAudio), "{:?}", none.faults);
}

#[tokio::test]
async fn a_recording_may_start_anywhere_but_counts_from_its_first_keyframe() {
    let sample = Sample::new().await;
    let tables: Vec<_> = sample.packets().into_iter().take(3).flatten().collect();
    let from = sample.frame(VIDEO, 10)[1] * ts::PACKET;
    let file = sample.write(&[&tables, &sample.bytes[from..]].concat());
    let report = check(&file, Duration::from_millis(500)).await.unwrap();
    assert_eq!(report.faults, []);
    // Keyframes are 50 pictures apart: 25 are left of 75.
    assert_eq!((report.frames, report.decoded), (25, 25));
    assert!(report.skipped_bytes > 0);
}

#[tokio::test]
async fn an_early_end_is_seen() {
    let sample = Sample::new().await;
    let half = sample.bytes.len() / 2;
    let report = report(&sample.write(&sample.bytes[..half])).await;
    assert!(report.faults.iter().any(|fault| matches!(fault, Fault::Short { .. })), "{:?}", report.faults);
    assert!(
        report.faults.iter().any(|fault| matches!(fault, Fault::Hole(ts::Hole::Tail { .. })))
            == (half % ts::PACKET != 0)
    );
}

#[tokio::test]
async fn a_file_that_is_no_recording_is_an_error_that_names_it() {
    let sample = Sample::new().await;
    let error = check(&sample.write(b"no video at all"), TWO_SECONDS).await.unwrap_err();
    assert!(format!("{error:#}").contains("sample.ts"), "{error:#}");
}
