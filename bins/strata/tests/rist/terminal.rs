//! The table of links that a terminal shows: drawn over itself once per second, and nowhere else.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Lines, Read as _};
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::pty::{Winsize, openpty};
use nix::sys::signal::Signal;
use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;
use strata::screen::{LinkRow, megabytes};

use crate::Source;
use crate::common::strata;
use crate::program::{Running, number};

/// A terminal, as far as tables and logs ask for one: what is on it, and what has left it at the top.
struct Terminal {
    program: File,
    columns: usize,
    rows: usize,
    lines: Vec<Vec<char>>,
    /// Lines that have left it.
    scrolled: usize,
    row: usize,
    column: usize,
    /// How often something was drawn over.
    redrawn: usize,
    /// What is not whole yet: of a character, or of a command to the terminal.
    bytes: Vec<u8>,
    command: Option<String>,
}

impl Terminal {
    /// Of this size, and what a program writes to.
    fn open(columns: u16, rows: u16) -> (Self, Stdio) {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let (columns, rows) = (columns.into(), rows.into());
        let terminal = Self {
            program: pty.master.into(),
            columns,
            rows,
            lines: Vec::new(),
            scrolled: 0,
            row: 0,
            column: 0,
            redrawn: 0,
            bytes: Vec::new(),
            command: None,
        };
        (terminal, pty.slave.into())
    }

    /// Takes something of what is written; whether there will be more.
    fn take(&mut self) -> bool {
        let mut buffer = [0; 4096];
        // When nobody has the other end any more, Linux says EIO.
        let len = self.program.read(&mut buffer).unwrap_or(0);
        self.bytes.extend(&buffer[..len]);
        let whole = match str::from_utf8(&self.bytes) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        let text = String::from_utf8(self.bytes.drain(..whole).collect()).unwrap();
        text.chars().for_each(|char| self.put(char));
        len > 0
    }

    fn take_all(&mut self) {
        while self.take() {}
    }

    fn put(&mut self, char: char) {
        if let Some(command) = &mut self.command {
            command.push(char);
            if char.is_ascii_alphabetic() {
                let command = self.command.take().unwrap();
                self.obey(&command);
            }
            return;
        }
        match char {
            '\x1b' => self.command = Some(String::new()),
            '\r' => self.column = 0,
            '\n' => self.go_down(),
            _ => {
                if self.column == self.columns {
                    self.column = 0;
                    self.go_down();
                }
                self.lines.resize(self.lines.len().max(self.row + 1), Vec::new());
                let line = &mut self.lines[self.row];
                line.resize(line.len().max(self.column + 1), ' ');
                line[self.column] = char;
                self.column += 1;
            }
        }
    }

    fn go_down(&mut self) {
        self.row += 1;
        self.scrolled = self.scrolled.max((self.row + 1).saturating_sub(self.rows));
    }

    fn obey(&mut self, command: &str) {
        let (number, name) = command[1..].split_at(command.len() - 2);
        match name {
            "A" => self.row = self.row.saturating_sub(number.parse().unwrap()).max(self.scrolled),
            "J" => {
                assert_eq!((number, self.column), ("", 0));
                self.lines.truncate(self.row);
                self.redrawn += 1;
            }
            // Colours.
            "m" => {}
            _ => panic!("{command:?}"),
        }
    }

    /// What is on it now.
    fn lines(&self) -> Vec<String> {
        self.lines.iter().skip(self.scrolled).map(|line| line.iter().collect()).collect()
    }

    /// The line of the table's heads and those below it, with two about the stream. It is all there when the cursor is below.
    fn table(&self) -> Option<Vec<String>> {
        let lines = self.lines();
        let heads = |line: &&String| {
            let words = || line.split_whitespace();
            words().eq(LinkRow::HEADS) || words().eq(["port", "packets", "rate", "RTT", "received"])
        };
        assert!(lines.iter().filter(heads).count() <= 1, "{lines:#?}");
        let below = lines.iter().skip_while(|line| !heads(line)).cloned().collect::<Vec<_>>();
        let whole = below.last().is_some_and(|line| line.starts_with("        ")) && self.column == 0;
        whole.then_some(below)
    }
}

/// Seconds since the start that stand below a table.
fn uptime(table: &[String]) -> u64 {
    table[table.len() - 2].trim_start().split_once(" s  ").unwrap().0.parse().unwrap()
}

/// What a link's line has to say by a line of statistics; of a receiver's, "…" for its rate, which that has not.
fn row(link: &Value) -> String {
    let text = |name: &str| link[name].as_str();
    if let Some(addr) = text("addr") {
        let rtt = link["rtt_ms"].as_f64().map_or_else(|| "–".to_owned(), |rtt| format!("{rtt:.0} ms"));
        let (packets, bytes) = (&link["packets"], megabytes(number(link, "/bytes")));
        return format!("{addr} {packets} … Mbit/s {rtt} {bytes}");
    }
    let row = LinkRow {
        link: format!("{} {}", link["id"], text("interface").unwrap_or_default()),
        state: text("state").unwrap().to_owned(),
        rate_bps: link["sent_bps"].as_u64(),
        rtt_ms: link["rtt_ms"].as_f64(),
        loss_rate: link["loss_rate"].as_f64().unwrap(),
        capacity_bps: link["capacity_bps"].as_u64(),
        sent_bytes: number(link, "/sent_bytes"),
        resent: link["retransmitted"].as_u64(),
    };
    row.cells().join(" ")
}

/// Whether a table says of every link what a line of statistics does, and nothing more.
fn is_of(table: &[String], stats: &Value) -> bool {
    let is_row = |line: &String, link: &Value| {
        let expected = row(link);
        let (mut words, mut expected) = (line.split_whitespace(), expected.split_whitespace());
        expected.by_ref().all(|word| words.next().is_some_and(|shown| shown == word || word == "…"))
            && words.next().is_none()
    };
    let links = stats["links"].as_array().unwrap();
    let end = 2 + table[2..].iter().position(|line| line.starts_with('─')).unwrap();
    let (rows, told) = (&table[2..end], &table[end + 1..table.len() - 2]);
    let errors = links.iter().filter_map(|link| {
        Some(format!("{} {}: {}", link["id"], link["interface"].as_str()?, link["error"].as_str()?))
    });
    let seconds = number(stats, "/uptime_ms") / 1000;
    uptime(table) == seconds
        && rows.len() == links.len()
        && rows.iter().zip(links).all(|(line, link)| is_row(line, link))
        && errors.eq(told.iter().cloned())
}

/// Reads on until the table of these statistics is there.
fn shows(terminal: &mut Terminal, stats: &Value) {
    let seconds = number(stats, "/uptime_ms") / 1000;
    loop {
        if let Some(table) = terminal.table() {
            if is_of(&table, stats) {
                return;
            }
            assert!(uptime(&table) <= seconds, "{table:#?} instead of {stats}");
        }
        assert!(terminal.take(), "{:#?} without {stats}", terminal.lines());
    }
}

fn start(command: &mut Command) -> Running {
    Running(command.stdin(Stdio::null()).spawn().unwrap())
}

/// All that a program has written to a pipe.
fn written(child: &mut Child) -> String {
    let mut text = String::new();
    child.stdout.iter_mut().for_each(|out| assert!(out.read_to_string(&mut text).is_ok()));
    child.stderr.iter_mut().for_each(|out| assert!(out.read_to_string(&mut text).is_ok()));
    text
}

/// A program with a table on a terminal, and the same statistics on a pipe.
struct Shown {
    child: Running,
    terminal: Terminal,
    lines: Lines<BufReader<ChildStdout>>,
    stats: Value,
}

impl Shown {
    /// Starts it, and waits for the first table.
    fn start(line: &str) -> Self {
        let (terminal, other_end) = Terminal::open(120, 40);
        let mut command = strata();
        command.arg("rist").args(line.split(' ')).args(["--stats", "-"]);
        let mut child = start(command.stdout(Stdio::piped()).stderr(other_end));
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut shown = Self { child, terminal, lines, stats: Value::Null };
        shown.next();
        shown
    }

    /// Waits for the next table, and that it is what the statistics are.
    fn next(&mut self) {
        self.stats = serde_json::from_str(&self.lines.next().unwrap().unwrap()).unwrap();
        shows(&mut self.terminal, &self.stats);
    }

    /// Ends it: the last table stays below what was logged, and nothing else was ever there.
    fn end(mut self) {
        self.child.signal(Signal::SIGTERM);
        let last = self.lines.last().unwrap().unwrap();
        self.terminal.take_all();
        assert_eq!(self.child.0.wait().unwrap().code(), Some(0));
        let (table, lines) = (self.terminal.table().unwrap(), self.terminal.lines());
        assert!(is_of(&table, &serde_json::from_str(&last).unwrap()), "{table:#?} {last}");
        let logged = lines.iter().take_while(|line| !line.starts_with('─')).collect::<Vec<_>>();
        assert!(logged.iter().any(|line| line.contains("ending: ")), "{lines:#?}");
        assert_eq!(
            (logged.len() + 1 + table.len(), self.terminal.row),
            (lines.len(), lines.len()),
            "{lines:#?}"
        );
        assert_eq!(self.terminal.scrolled, 0);
    }
}

/// Two links that work, and one that has no interface: each line is what the statistics of the same
/// second are.
#[test]
fn a_line_for_each_link_is_drawn_over_every_second() {
    let receive = "receive -i rist://@127.0.0.1:0,rist://@127.0.0.1:0 -o udp://127.0.0.1:9";
    let mut receiver = Shown::start(receive);
    let [first, second] =
        [0, 1].map(|link| receiver.stats["links"][link]["addr"].as_str().unwrap().to_owned());
    let links =
        format!("rist://{first}?buffer=50&interface=lo,rist://{second},rist://{first}?interface=nosuchif0");
    let mut sender = Shown::start(&format!("send -i udp://127.0.0.1:0 -o {links}"));
    let source = Source::start(sender.stats["input_addr"].as_str().unwrap().parse().unwrap());
    for _ in 0..3 {
        sender.next();
        receiver.next();
    }
    let table = sender.terminal.table().unwrap();
    assert!(table[2].contains("0 lo") && table[4].contains("2 nosuchif0"), "{table:#?}");
    assert!(!table[2].contains(" 0.00 Mbit/s") && table[4].contains("Dead"), "{table:#?}");
    // Of the round trip and the capacity of what was never used nothing is known.
    let unknown: Vec<_> = table[4].split_whitespace().filter(|word| *word == "–").collect();
    assert_eq!(unknown.len(), 2, "{table:#?}");
    // What is wrong with it is said below, so that it leaves the numbers their room.
    let error = "2 nosuchif0: interface nosuchif0: No such device (os error 19)";
    assert!(table[6] == error && table[..6].iter().all(|line| line.chars().count() < 100), "{table:#?}");
    source.stop();
    sender.end();
    receiver.end();
}

/// Of a table that is wider, and then higher too, than the terminal there is what it has room for, and it does not scroll.
#[test]
fn a_small_terminal_shows_what_it_has_room_for() {
    for rows in [24, 6] {
        let (mut terminal, other_end) = Terminal::open(40, rows);
        let links = ["rist://127.0.0.1:9"; 8].join(",") + "?interface=nosuchif0";
        let mut command = strata();
        command.args(["rist", "send", "-S", "50", "-i", "udp://127.0.0.1:0", "-o", &links]);
        let mut child = start(command.stdout(other_end).stderr(Stdio::piped()));
        drop(command);
        while terminal.redrawn < 5 {
            assert!(terminal.take());
        }
        child.signal(Signal::SIGTERM);
        terminal.take_all();
        let (lines, rows) = (terminal.lines(), usize::from(rows));
        assert_eq!(terminal.scrolled, 0, "{lines:#?}");
        assert!(lines[1].trim_start().starts_with("link") && lines[1].ends_with('…'), "{lines:#?}");
        for (index, line) in lines[3..].iter().take(8.min(rows - 5)).enumerate() {
            let state = if index == 7 { "Dead" } else { "Probe" };
            assert!(
                line.trim_start().starts_with(&format!("{index} ")) && line.contains(state),
                "{lines:#?}"
            );
        }
        if let Some(error) = lines.get(12) {
            assert_eq!(error, "7 nosuchif0: interface nosuchif0: No su…");
        }
        // All of it, or as much as leaves a line for the cursor.
        assert_eq!(lines.len(), 15.min(rows - 1), "{lines:#?}");
        assert_eq!(lines.iter().any(|line| line == "…"), rows == 6, "{lines:#?}");
        assert!(!written(&mut child.0).contains(['\x1b', '─']));
        assert_eq!(child.0.wait().unwrap().code(), Some(0));
    }
}

/// Statistics go on, and a second's table would have been drawn, but there is no terminal.
#[test]
fn nothing_of_a_table_goes_into_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stats");
    mkfifo(&path, Mode::S_IRWXU).unwrap();
    for line in [
        "send -i udp://127.0.0.1:0 -o rist://127.0.0.1:9",
        "receive -i rist://@127.0.0.1:0 -o udp://127.0.0.1:9",
    ] {
        let mut command = strata();
        command.arg("rist").args(line.split(' ')).args(["-S", "50", "--stats"]).arg(&path);
        let mut child = start(command.stdout(Stdio::piped()).stderr(Stdio::piped()));
        let stats = BufReader::new(File::open(&path).unwrap()).lines();
        assert_eq!(stats.take(5).filter(|line| line.as_ref().unwrap().starts_with('{')).count(), 5);
        child.signal(Signal::SIGTERM);
        let text = written(&mut child.0);
        assert!(text.contains("ending: ") && !text.contains(['\x1b', '─']), "{text}");
        assert_eq!(child.0.wait().unwrap().code(), Some(0));
    }
}
