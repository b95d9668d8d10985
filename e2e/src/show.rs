//! What the demo shows while a stream runs, and at its end.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::time::Duration;

use strata::screen::{self, LinkRow, Target, megabits};
use strata_proto::control::{LinkStats, ReceiverStats, StreamView};

use crate::recording::Report;

/// Time between two lines on what is not a terminal.
const LINES_APART: Duration = Duration::from_secs(5);

/// Shows a stream on stdout: a table drawn over the one before, or a line now and then.
#[derive(Debug)]
pub struct Screen {
    /// The table, on a terminal.
    drawn: Option<screen::Screen>,
    last: Option<Duration>,
}

impl Default for Screen {
    fn default() -> Self {
        let stdout = Target::Stdout;
        Self { drawn: stdout.is_terminal().then(|| screen::Screen::new(stdout)), last: None }
    }
}

impl Screen {
    /// Shows what a stream does, `elapsed` after it went live.
    ///
    /// # Errors
    /// When stdout was closed.
    pub fn update(&mut self, stream: &StreamView, elapsed: Duration) -> io::Result<()> {
        if let Some(screen) = &mut self.drawn {
            screen.draw(&table(stream, elapsed))?;
        } else if self.last.is_none_or(|last| elapsed >= last + LINES_APART) {
            self.last = Some(elapsed);
            writeln!(io::stdout(), "{}", line(stream, elapsed))?;
        }
        Ok(())
    }
}

/// A table of the links and a line about the stream.
#[must_use]
pub fn table(stream: &StreamView, elapsed: Duration) -> String {
    let links = stream.sender_stats.iter().flat_map(|stats| &stats.links);
    let table = screen::table(LinkRow::HEADS, links.map(|link| row(link).cells()), 2);
    format!("{table}\n{}", stream_line(stream, elapsed))
}

/// Everything in one line, for output that is not a terminal.
#[must_use]
pub fn line(stream: &StreamView, elapsed: Duration) -> String {
    let mut text = stream_line(stream, elapsed);
    for link in stream.sender_stats.iter().flat_map(|stats| &stats.links) {
        let [id, state, rate, rtt, loss, capacity, ..] = row(link).cells();
        let _ = write!(text, " │ link {id} {state} {rate}, RTT {rtt}, loss {loss}, capacity {capacity}");
    }
    text
}

/// What was checked, for people.
#[must_use]
pub fn summary(report: &Report, stats: &ReceiverStats) -> String {
    let mut text = format!(
        "  video      {}, {:.2} pictures/s: {} pictures, {} decoded, {:.1} s\n  audio      {}: {} frames decoded\n",
        report.video,
        report.fps(),
        report.frames,
        report.decoded,
        report.duration.as_secs_f64(),
        report.audio,
        report.audio_frames,
    );
    let _ = writeln!(
        text,
        "  receiver   {} packets, {} recovered, {} lost, {} too late, {} ms latency",
        stats.delivered_packets,
        stats.recovered_packets,
        stats.lost_packets,
        stats.late_packets,
        stats.latency_ms,
    );
    let _ = write!(text, "  size       {:.1} MB", report.bytes as f64 / 1e6);
    text
}

fn row(link: &LinkStats) -> LinkRow {
    // The message always has both: 0 before the first answer.
    let measured = link.rtt_ms > 0.0;
    LinkRow {
        link: link.id.to_string(),
        state: format!("{:?}", link.state),
        rate_bps: link.sent_bps,
        rtt_ms: measured.then_some(link.rtt_ms),
        loss_rate: link.loss_rate,
        capacity_bps: measured.then_some(link.capacity_bps),
        sent_bytes: link.sent_bytes,
        resent: link.retransmitted_packets,
    }
}

fn stream_line(stream: &StreamView, elapsed: Duration) -> String {
    let mut text = format!("{:>4} s  {:?}", elapsed.as_secs(), stream.state).to_lowercase();
    if let Some(stats) = &stream.sender_stats {
        let _ = write!(text, "  encoder {}", megabits(u64::from(stats.encoder_bitrate_kbps) * 1000));
    }
    if let Some(stats) = &stream.receiver_stats {
        let _ = write!(
            text,
            "  received {:.1} MB, {} recovered, {} lost",
            stats.delivered_bytes as f64 / 1e6,
            stats.recovered_packets,
            stats.lost_packets
        );
    }
    text
}
