//! A table of links on a terminal, drawn over the one before.

use std::io::{self, IsTerminal as _, Write};

use comfy_table::{CellAlignment, LineStyle, Table, presets};
use rustix::termios::tcgetwinsize;

/// Where it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Target {
    /// Whether somebody looks at it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        match self {
            Self::Stdout => io::stdout().is_terminal(),
            Self::Stderr => io::stderr().is_terminal(),
        }
    }

    /// Columns and rows there are now; no end of them where that is not known.
    fn size(self) -> (usize, usize) {
        let size = match self {
            Self::Stdout => tcgetwinsize(io::stdout()),
            Self::Stderr => tcgetwinsize(io::stderr()),
        };
        let known = |of: u16| if of == 0 { usize::MAX } else { of.into() };
        size.map_or((usize::MAX, usize::MAX), |size| (known(size.ws_col), known(size.ws_row)))
    }
}

/// Text that is replaced by the next one.
#[derive(Debug)]
pub struct Screen {
    target: Target,
    /// What was shown last.
    text: String,
    /// Lines of what is there now.
    drawn: usize,
}

impl Screen {
    /// Nothing is shown yet.
    #[must_use]
    pub fn new(target: Target) -> Self {
        Self { target, text: String::new(), drawn: 0 }
    }

    /// Shows `text` instead of what was shown before, as much of it as the terminal has room for: what is longer would
    /// scroll, and could not be drawn over any more.
    ///
    /// # Errors
    /// The system's, when it cannot be written.
    pub fn draw(&mut self, text: &str) -> io::Result<()> {
        text.clone_into(&mut self.text);
        self.again()
    }

    /// Shows once more what was taken away.
    ///
    /// # Errors
    /// The system's, when it cannot be written.
    pub fn again(&mut self) -> io::Result<()> {
        let fitting = fitting(&self.text, self.target.size());
        let text = self.erased() + &fitting;
        self.drawn = fitting.lines().count();
        self.write(&text)
    }

    /// Takes away what is shown, so that other lines can be written.
    ///
    /// # Errors
    /// The system's, when it cannot be written.
    pub fn clear(&mut self) -> io::Result<()> {
        let text = self.erased();
        self.drawn = 0;
        self.write(&text)
    }

    /// Leaves what is shown where it is: what comes next goes below.
    pub fn keep(&mut self) {
        (self.text, self.drawn) = (String::new(), 0);
    }

    /// Up over what was drawn, and clear to the end of the screen.
    fn erased(&self) -> String {
        if self.drawn > 0 { format!("\x1b[{}A\x1b[J", self.drawn) } else { String::new() }
    }

    fn write(&self, text: &str) -> io::Result<()> {
        fn to(mut out: impl Write, text: &str) -> io::Result<()> {
            out.write_all(text.as_bytes())?;
            out.flush()
        }
        match self.target {
            Target::Stdout => to(io::stdout().lock(), text),
            Target::Stderr => to(io::stderr().lock(), text),
        }
    }
}

/// Lines of `text` that are cut where a terminal of so many columns and rows ends; the cursor stands below them.
fn fitting(text: &str, (columns, rows): (usize, usize)) -> String {
    let cut = |line: &str| match line.char_indices().nth(columns) {
        Some(_) => line.chars().take(columns - 1).chain("…\n".chars()).collect(),
        None => format!("{line}\n"),
    };
    let room = rows.saturating_sub(1).max(1);
    let more = text.lines().count() > room;
    let whole = text.lines().take(if more { room - 1 } else { room });
    whole.map(cut).chain(more.then(|| "…\n".to_owned())).collect()
}

/// One link of a sender.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkRow {
    /// Its name.
    pub link: String,
    /// Its state.
    pub state: String,
    /// Rate in the last second, bit/s.
    pub rate_bps: Option<u64>,
    /// Round trip, ms, if one was measured.
    pub rtt_ms: Option<f64>,
    /// Share lost in the last seconds, 0 to 1.
    pub loss_rate: f64,
    /// Estimated capacity, bit/s, if anything is known of it.
    pub capacity_bps: Option<u64>,
    /// Bytes sent.
    pub sent_bytes: u64,
    /// Packets sent again.
    pub resent: Option<u64>,
}

impl LinkRow {
    /// The heads of the columns of [`LinkRow::cells`].
    pub const HEADS: [&str; 8] = ["link", "state", "rate", "RTT", "loss", "capacity", "sent", "resent"];

    /// What stands in its columns.
    #[must_use]
    pub fn cells(&self) -> [String; 8] {
        let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
        [
            self.link.clone(),
            self.state.clone(),
            or_dash(self.rate_bps.map(megabits)),
            or_dash(self.rtt_ms.map(|ms| format!("{ms:.0} ms"))),
            format!("{:.2} %", self.loss_rate * 100.0),
            or_dash(self.capacity_bps.map(megabits)),
            megabytes(self.sent_bytes),
            or_dash(self.resent.map(|n| n.to_string())),
        ]
    }
}

/// A table of `rows` below `heads`. The first `texts` columns are aligned left, the others, numbers, right.
#[must_use]
pub fn table<const N: usize>(
    heads: [&str; N],
    rows: impl IntoIterator<Item = [String; N]>,
    texts: usize,
) -> String {
    let mut table = Table::new();
    // A line for each row, so that many fit on a terminal.
    table.load_style(presets::UTF8_HORIZONTAL_ONLY.row_separator(LineStyle::none()));
    table.set_header(heads);
    table.add_rows(rows);
    for column in table.column_iter_mut().skip(texts) {
        column.set_cell_alignment(CellAlignment::Right);
    }
    table.to_string()
}

/// A rate for people.
#[must_use]
pub fn megabits(bps: u64) -> String {
    format!("{:.2} Mbit/s", bps as f64 / 1e6)
}

/// A size for people.
#[must_use]
pub fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_below_each_other() {
        let row = |link: &str, rate| LinkRow {
            link: link.to_owned(),
            state: "Live".to_owned(),
            rate_bps: rate,
            rtt_ms: Some(80.4),
            loss_rate: 0.01,
            capacity_bps: Some(10_000_000),
            sent_bytes: 1_500_000,
            resent: None,
        };
        let rows = [row("0 wwan0", Some(4_200_000)), row("1", None)];
        let text = table(LinkRow::HEADS, rows.iter().map(LinkRow::cells), 2);
        let lines: Vec<_> = text.lines().collect();
        let last = |line: &str, word: &str| line.find(word).map(|at| line[..at + word.len()].chars().count());
        assert_eq!(last(lines[3], "4.20 Mbit/s"), last(lines[1], "rate"), "{text}");
        assert!(lines.iter().any(|line| line.contains("0 wwan0") && line.contains("1.00 %")), "{text}");
    }
}
