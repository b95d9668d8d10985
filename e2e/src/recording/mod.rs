//! What a viewer would see in a recorded file: every picture from the first keyframe on, sound, no errors.
//!
//! | looked at | by |
//! |---|---|
//! | continuity counters, sync bytes | [`ts`] |
//! | steps between presentation times, streams | ffprobe |
//! | errors, number of decoded pictures | a full decode with ffmpeg |

mod fault;
mod probe;
pub mod ts;

use std::fs::File;
use std::io::{BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};

pub use fault::Fault;
use probe::{Packet, Probe, Stream};
use ts::{Continuity, Hole, PACKET};

/// Ticks of a presentation time per second.
const TICKS: i64 = 90_000;
/// A step may differ by this share of the usual one: clocks of sources are rounded, up to milliseconds.
const STEP_TOLERANCE: f64 = 0.1;
/// Sound may start and end this much apart from the pictures.
const AUDIO_EDGE: i64 = TICKS / 2;
/// A hole in the sound that nobody hears: a clip's sound may be this much shorter than its pictures, where it starts over.
const AUDIO_HOLE: i64 = TICKS / 10;
/// Complaints kept of each kind.
const MAX_FAULTS: usize = 20;

/// What a file holds, and what is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Size of the file, bytes.
    pub bytes: u64,
    /// Bytes before the first keyframe, which nobody can decode.
    pub skipped_bytes: u64,
    /// Such as `h264 1280x720`.
    pub video: String,
    /// Such as `aac 48000 Hz`.
    pub audio: String,
    /// Coded pictures from the first keyframe on.
    pub frames: u64,
    /// Decoded pictures.
    pub decoded: u64,
    /// Decoded audio frames.
    pub audio_frames: u64,
    /// The usual time between two pictures.
    pub step: Duration,
    /// From the first picture to the end of the last.
    pub duration: Duration,
    /// What is wrong; empty for a whole recording.
    pub faults: Vec<Fault>,
}

impl Report {
    /// Pictures per second.
    #[must_use]
    pub fn fps(&self) -> f64 {
        if self.step.is_zero() { 0.0 } else { 1.0 / self.step.as_secs_f64() }
    }

    /// The report itself when nothing is wrong.
    ///
    /// # Errors
    /// Every fault, one per line.
    pub fn whole(self) -> Result<Self> {
        if self.faults.is_empty() {
            return Ok(self);
        }
        let faults: Vec<String> = self.faults.iter().map(Fault::to_string).collect();
        anyhow::bail!("the recording is not whole:\n  {}", faults.join("\n  "))
    }
}

/// Looks at a recorded transport stream that should hold at least `at_least` of pictures.
///
/// # Errors
/// When the file cannot be read or a tool is missing; what is wrong with the recording is in the report.
pub async fn check(file: &Path, at_least: Duration) -> Result<Report> {
    let bytes = std::fs::metadata(file).with_context(|| file.display().to_string())?.len();
    let probe = probe::probe(file).await.with_context(|| file.display().to_string())?;
    let mut report = Report {
        bytes,
        skipped_bytes: 0,
        video: String::new(),
        audio: String::new(),
        frames: 0,
        decoded: 0,
        audio_frames: 0,
        step: Duration::ZERO,
        duration: Duration::ZERO,
        faults: Vec::new(),
    };
    let Some(start) = pictures(&probe, &mut report) else { return Ok(report) };
    sound(&probe, &start, &mut report);
    report.faults.extend(continuity(file, start.offset)?);
    report.skipped_bytes = start.offset;
    if report.duration < at_least {
        report.faults.push(Fault::Short { expected: at_least, found: report.duration });
    }
    if !report.faults.contains(&Fault::NoAudio) {
        decoded(file, &start, &mut report).await?;
    }
    Ok(report)
}

/// Where decoding starts, and what time the pictures cover.
#[derive(Debug, Clone, Copy)]
struct Start {
    offset: u64,
    first_pts: i64,
    last_pts: i64,
}

/// Describes and checks the pictures.
fn pictures(probe: &Probe, report: &mut Report) -> Option<Start> {
    let Some(video) = probe.stream("video") else {
        report.faults.push(Fault::NoVideo);
        return None;
    };
    let size = video.width.zip(video.height).map(|(w, h)| format!(" {w}x{h}")).unwrap_or_default();
    report.video = format!("{}{size}", video.codec_name);
    let all = probe.packets_of(video);
    let key = all.iter().position(|packet| packet.is_key());
    let Some((first, offset, first_pts)) = key.and_then(|n| Some((n, all[n].offset()?, all[n].pts?))) else {
        report.faults.push(Fault::NoKeyframe { frames: all.len() });
        return None;
    };
    // What was written before the first picture may be its tables: nothing is skipped then.
    let offset = if first == 0 { 0 } else { offset };
    report.frames = (all.len() - first) as u64;
    let times = times(&all[first..], first_pts);
    let step = usual_step(&times);
    for pair in times.windows(2) {
        let found = pair[1] - pair[0];
        if (found - step).abs() as f64 > step as f64 * STEP_TOLERANCE {
            report.push(Fault::Step {
                at: time(pair[0] - first_pts),
                expected: time(step),
                found: time(found),
            });
        }
    }
    let last_pts = times.last().copied().unwrap_or(first_pts);
    report.step = time(step);
    report.duration = time(last_pts - first_pts + step);
    Some(Start { offset, first_pts, last_pts })
}

/// Describes and checks the sound.
fn sound(probe: &Probe, pictures: &Start, report: &mut Report) {
    let Some(audio) = probe.stream("audio") else {
        report.faults.push(Fault::NoAudio);
        return;
    };
    report.audio = describe_audio(audio);
    let times = times(&probe.packets_of(audio), i64::MIN);
    let (Some(&first), Some(&last)) = (times.first(), times.last()) else {
        report.faults.push(Fault::NoAudio);
        return;
    };
    if first > pictures.first_pts + AUDIO_EDGE || last < pictures.last_pts - AUDIO_EDGE {
        let (starts, ends) = (time(first - pictures.first_pts), time(pictures.last_pts - last));
        report.push(Fault::AudioEdge { late_start: starts, early_end: ends });
    }
    let step = usual_step(&times);
    for pair in times.windows(2) {
        if pair[1] - pair[0] > step + AUDIO_HOLE {
            let at = time(pair[0] - pictures.first_pts);
            report.push(Fault::AudioHole { at, length: time(pair[1] - pair[0] - step) });
        }
    }
}

/// Decodes everything from the first keyframe on.
async fn decoded(file: &Path, start: &Start, report: &mut Report) -> Result<()> {
    let cut = if start.offset > 0 { Some(cut(file, start.offset)?) } else { None };
    let decoded = probe::decode(cut.as_ref().map_or(file, |cut| cut.path())).await?;
    report.decoded = decoded.video_frames;
    report.audio_frames = decoded.audio_frames;
    if decoded.video_frames != report.frames {
        report.push(Fault::Decoded { coded: report.frames, decoded: decoded.video_frames });
    }
    if decoded.audio_frames == 0 {
        report.push(Fault::NoAudio);
    }
    decoded.complaints.into_iter().for_each(|line| report.push(Fault::Decoder(line)));
    Ok(())
}

impl Report {
    fn push(&mut self, fault: Fault) {
        let alike = |other: &&Fault| std::mem::discriminant(*other) == std::mem::discriminant(&fault);
        if self.faults.iter().filter(alike).count() < MAX_FAULTS {
            self.faults.push(fault);
        }
    }
}

/// Presentation times not before `from`, in order.
fn times(packets: &[&Packet], from: i64) -> Vec<i64> {
    let mut times: Vec<i64> =
        packets.iter().filter_map(|packet| packet.pts).filter(|pts| *pts >= from).collect();
    times.sort_unstable();
    times
}

/// The median of the steps; 0 for fewer than two times.
fn usual_step(times: &[i64]) -> i64 {
    let mut steps: Vec<i64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    steps.sort_unstable();
    steps.get(steps.len() / 2).copied().unwrap_or(0)
}

fn time(ticks: i64) -> Duration {
    Duration::from_micros(u64::try_from(ticks.max(0) * 1_000_000 / TICKS).unwrap_or(0))
}

fn describe_audio(audio: &Stream) -> String {
    let rate = audio.sample_rate.as_ref().map(|rate| format!(" {rate} Hz")).unwrap_or_default();
    format!("{}{rate}", audio.codec_name)
}

/// Holes from `offset` on.
fn continuity(file: &Path, offset: u64) -> Result<Vec<Fault>> {
    let mut faults = Vec::new();
    let mut continuity = Continuity::at(offset);
    read_packets(file, offset, |packet| {
        let hole = continuity.push(packet);
        faults.extend(hole.filter(|_| faults.len() < MAX_FAULTS).map(Fault::Hole));
    })?
    .into_iter()
    .for_each(|hole| faults.push(Fault::Hole(hole)));
    Ok(faults)
}

/// Hands out every whole packet from `offset` on; gives the hole at the end, if there is one.
fn read_packets(file: &Path, offset: u64, mut each: impl FnMut(&[u8; PACKET])) -> Result<Option<Hole>> {
    let mut reader = File::open(file)?;
    reader.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::with_capacity(1 << 18, reader);
    let mut packet = [0; PACKET];
    loop {
        let mut filled = 0;
        while filled < PACKET {
            match reader.read(&mut packet[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Ok(Some(Hole::Tail { bytes: filled as u64 })),
                n => filled += n,
            }
        }
        each(&packet);
    }
}

/// A copy of `file` that starts with its tables and then with the packet at `offset`.
fn cut(file: &Path, offset: u64) -> Result<tempfile::NamedTempFile> {
    let mut copy = tempfile::Builder::new().suffix(".ts").tempfile()?;
    // PAT is PID 0; what it announces comes before any media in what a muxer writes, and is small.
    let mut tables: Vec<(u16, [u8; PACKET])> = Vec::new();
    let mut position = 0;
    read_packets(file, 0, |packet| {
        let pid = ts::pid(packet);
        if position < offset && is_table(packet) {
            tables.retain(|(known, _)| *known != pid);
            tables.push((pid, *packet));
        }
        position += PACKET as u64;
    })?;
    tables.sort_by_key(|(pid, _)| *pid);
    for (_, packet) in &tables {
        copy.write_all(packet)?;
    }
    let mut rest = File::open(file)?;
    rest.seek(SeekFrom::Start(offset))?;
    std::io::copy(&mut rest, &mut copy)?;
    copy.flush()?;
    Ok(copy)
}

/// Whether a packet starts a section of a PAT (table 0) or PMT (table 2).
fn is_table(packet: &[u8; PACKET]) -> bool {
    let starts = packet[1] & 0x40 != 0 && packet[3] & 0x30 == 0x10;
    let section = 5 + usize::from(packet[4]);
    let pes = packet[4..7] == [0, 0, 1];
    starts && !pes && packet.get(section).is_some_and(|table| matches!(table, 0 | 2))
}

/// The file of a recording, once it exists and is not empty.
#[must_use]
pub fn exists(path: &str) -> Option<PathBuf> {
    let file = PathBuf::from(path);
    std::fs::metadata(&file).is_ok_and(|meta| meta.len() > 0).then_some(file)
}
