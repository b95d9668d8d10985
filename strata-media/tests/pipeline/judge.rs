//! ffmpeg and ffprobe say what a recording is worth.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs a program to its end; its standard output.
pub(crate) fn run(program: &str, args: &[&str]) -> String {
    let Output { status, stdout, stderr } =
        Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{program} {args:?}: {stderr}");
    assert!(program != "ffmpeg" || stderr.is_empty(), "{program} {args:?}: {stderr}");
    String::from_utf8_lossy(&stdout).into_owned()
}

/// A clip of moving picture and, if any, a tone of another length, made by ffmpeg.
pub(crate) fn clip(dir: &Path, name: &str, video_s: f64, audio_s: Option<f64>, extra: &[&str]) -> PathBuf {
    let path = dir.join(name);
    let picture = format!("testsrc2=size=320x240:rate=25:duration={video_s}");
    let tone = format!("sine=frequency=440:sample_rate=44100:duration={}", audio_s.unwrap_or(1.0));
    let mut args = vec!["-v", "error", "-y", "-f", "lavfi", "-i", &picture];
    if audio_s.is_some() {
        args.extend(["-f", "lavfi", "-i", &tone]);
    }
    args.extend(["-pix_fmt", "yuv420p", "-g", "25"]);
    args.extend(extra);
    let path_text = path.display().to_string();
    args.push(&path_text);
    run("ffmpeg", &args);
    path
}

/// Presentation times of all packets of a stream (`v:0`, `a:0`), sorted, in ticks of 90 kHz.
pub(crate) fn times(file: &Path, stream: &str) -> Vec<i64> {
    let args = ["-v", "error", "-select_streams", stream, "-show_entries", "packet=pts", "-of", "csv=p=0"];
    let file = file.display().to_string();
    let text = run("ffprobe", &[&args[..], &[&file]].concat());
    let first = |line: &str| line.split(',').next().unwrap_or_default().trim().parse().ok();
    let mut times: Vec<i64> = text.lines().filter_map(first).collect();
    times.sort_unstable();
    times
}

/// Frames of a stream that a full decode gives; any word of the decoder fails the test.
pub(crate) fn decode(file: &Path, stream: &str) -> usize {
    let file = file.display().to_string();
    let map = format!("0:{stream}");
    let args = ["-v", "error", "-xerror", "-i", &file, "-map", &map, "-f", "framemd5", "-"];
    run("ffmpeg", &args).lines().filter(|line| !line.starts_with('#')).count()
}

/// Asserts that presentation times go up by `step` ticks, give or take one.
pub(crate) fn assert_uniform(times: &[i64], step: i64) {
    for (n, pair) in times.windows(2).enumerate() {
        let found = pair[1] - pair[0];
        assert!((found - step).abs() <= 1, "packet {n}: a step of {found} instead of {step}");
    }
}

/// Asserts that a transport stream is whole: sync bytes, and continuity counters of every PID without a gap.
pub(crate) fn assert_continuous(file: &Path) {
    let data = std::fs::read(file).unwrap();
    assert_eq!(data.len() % 188, 0, "not whole packets");
    let mut last = std::collections::HashMap::new();
    for (n, packet) in data.chunks(188).enumerate() {
        assert_eq!(packet[0], 0x47, "packet {n} has no sync byte");
        let pid = u16::from_be_bytes([packet[1] & 0x1f, packet[2]]);
        let (payload, counter) = (packet[3] & 0x10 != 0, packet[3] & 0x0f);
        if pid == 0x1fff || !payload {
            continue;
        }
        if let Some(before) = last.insert(pid, counter) {
            assert_eq!(counter, (before + 1) & 0x0f, "packet {n}, PID {pid}");
        }
    }
}

/// Checksums of the first `count` pictures.
pub(crate) fn pictures(file: &Path, count: usize) -> Vec<String> {
    let file = file.display().to_string();
    let frames = count.to_string();
    let args = ["-v", "error", "-i", &file, "-map", "0:v:0", "-frames:v", &frames, "-f", "framemd5", "-"];
    let sum = |line: &str| line.rsplit(',').next().unwrap_or_default().trim().to_owned();
    run("ffmpeg", &args).lines().filter(|line| !line.starts_with('#')).map(sum).collect()
}
