//! A real encoder follows the link that it has.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use strata_media::pipeline::{Encoder, SendStats, Source};
use strata_media::testing::netem;

use crate::forwarding::output;
use crate::rig::{config, recording, stream_while};

/// The most that is asked of the encoder, kbit/s.
const CEILING: u32 = 2000;
/// What the link carries while it is narrow, headers included, kbit/s.
const NARROW: u32 = 900;
/// Statistics, one a second, in which the encoder is below the narrow link and its pictures are recorded.
const RECORDED: usize = 4;

/// What the test waits for.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Phase {
    /// The encoder makes what it may.
    Wide,
    /// It makes less than the link carries, with sound and headers; so many times in turn.
    Narrow(usize),
    /// The link is wide again, and so is the encoder.
    WideAgain,
}

impl Phase {
    fn next(self, stats: &SendStats) -> Option<Self> {
        let made = stats.encoder_kbps;
        match self {
            Self::Wide if made > CEILING * 3 / 4 => Some(Self::Narrow(0)),
            Self::Narrow(RECORDED) => Some(Self::WideAgain),
            Self::Narrow(times) => Some(Self::Narrow(if made < NARROW * 4 / 5 { times + 1 } else { 0 })),
            Self::WideAgain if made > CEILING * 3 / 4 => None,
            _ => Some(self),
        }
    }
}

/// Pictures that a decoder finds in a file that begins anywhere.
fn decoded(file: &Path) -> usize {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "quiet", "-i"]).arg(file).args(["-map", "0:v:0", "-f", "framemd5", "-"]);
    let output = ffmpeg.stdin(Stdio::null()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).lines().filter(|line| !line.starts_with('#')).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_follows_a_link_that_becomes_narrow_and_wide_again() {
    let dir = tempfile::tempdir().unwrap();
    let (out, narrow) = (dir.path().join("out.ts"), dir.path().join("narrow.ts"));
    let mut source = config(Source::Test);
    source.framerate = Some(25);
    source.encoder =
        Encoder { bitrate_kbps: CEILING, keyint_max: Some(25), ramp_percent: 40, ..Encoder::default() };
    let mut sink = recording(&out);
    sink.net.latency = Duration::from_secs(1);
    let wide = netem::Config { delay: Duration::from_millis(20), ..netem::Config::default() };
    let limited = netem::Config { rate_bps: Some(u64::from(NARROW) * 1000), ..wide.clone() };
    let (mut phase, mut seen) = (Phase::Wide, Vec::new());
    stream_while(source, sink, wide.clone(), |stats, _, receive, relay| {
        seen.push((phase, stats.encoder_kbps, stats.target_kbps));
        let Some(next) = phase.next(stats) else { return false };
        match (phase, next) {
            (Phase::Wide, Phase::Narrow(_)) => relay.configure(limited.clone(), wide.clone()).unwrap(),
            (_, Phase::Narrow(1)) => {
                receive.set_outputs(vec![output(&format!("file://{}", narrow.display()))]).unwrap();
            }
            (_, Phase::WideAgain) if phase != next => {
                receive.set_outputs(Vec::new()).unwrap();
                relay.configure(wide.clone(), wide.clone()).unwrap();
            }
            _ => {}
        }
        phase = next;
        true
    })
    .await;
    // A file that begins between keyframes, of which there is one a second.
    let pictures = decoded(&narrow);
    assert!(pictures >= 25 * (RECORDED - 2), "{pictures}: {seen:?}");
}
