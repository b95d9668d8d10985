//! What the demo shows while a stream runs, and at its end.

use std::fmt::Write as _;
use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use comfy_table::{CellAlignment, Table, presets};
use strata_proto::control::{LinkStats, ReceiverStats, StreamView};

use crate::recording::Report;

/// Time between two lines on what is not a terminal.
const LINES_APART: Duration = Duration::from_secs(5);

/// Shows a stream on stdout: a table drawn over the one before, or a line now and then.
#[derive(Debug)]
pub struct Screen {
    terminal: bool,
    drawn: usize,
    last: Option<Duration>,
}

impl Default for Screen {
    fn default() -> Self {
        Self { terminal: io::stdout().is_terminal(), drawn: 0, last: None }
    }
}

impl Screen {
    /// Shows what a stream does, `elapsed` after it went live.
    ///
    /// # Errors
    /// When stdout was closed.
    pub fn update(&mut self, stream: &StreamView, elapsed: Duration) -> io::Result<()> {
        let mut out = io::stdout().lock();
        if self.terminal {
            let table = table(stream, elapsed);
            if self.drawn > 0 {
                // Up over the table drawn before, and clear to the end of the screen.
                write!(out, "\x1b[{}A\x1b[J", self.drawn)?;
            }
            self.drawn = table.lines().count();
            writeln!(out, "{table}")?;
        } else if self.last.is_none_or(|last| elapsed >= last + LINES_APART) {
            self.last = Some(elapsed);
            writeln!(out, "{}", line(stream, elapsed))?;
        }
        out.flush()
    }
}

/// A table of the links and a line about the stream.
#[must_use]
pub fn table(stream: &StreamView, elapsed: Duration) -> String {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header(["link", "state", "rate", "RTT", "loss", "capacity", "sent", "resent"]);
    for link in stream.sender_stats.iter().flat_map(|stats| &stats.links) {
        table.add_row(row(link));
    }
    for column in table.column_iter_mut().skip(2) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    format!("{table}\n{}", stream_line(stream, elapsed))
}

/// Everything in one line, for output that is not a terminal.
#[must_use]
pub fn line(stream: &StreamView, elapsed: Duration) -> String {
    let mut text = stream_line(stream, elapsed);
    for link in stream.sender_stats.iter().flat_map(|stats| &stats.links) {
        let [id, state, rate, rtt, loss, capacity, ..] = row(link);
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

fn row(link: &LinkStats) -> [String; 8] {
    [
        link.id.to_string(),
        format!("{:?}", link.state),
        link.sent_bps.map_or_else(|| "–".to_owned(), megabits),
        format!("{:.0} ms", link.rtt_ms),
        format!("{:.2} %", link.loss_rate * 100.0),
        megabits(link.capacity_bps),
        format!("{:.1} MB", link.sent_bytes as f64 / 1e6),
        link.retransmitted_packets.map_or_else(|| "–".to_owned(), |n| n.to_string()),
    ]
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

fn megabits(bps: u64) -> String {
    format!("{:.2} Mbit/s", bps as f64 / 1e6)
}
