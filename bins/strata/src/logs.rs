//! Logs on standard error, and a table that makes room for them. Nobody here waits for who reads them: a stream goes on
//! when a terminal is held, or a pipe is full.

use std::io::{self, IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::time::Duration;

use strata::screen::{Screen, Target};
use strata_daemon::logs::{self, LogFormat};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::util::TryInitError;

use crate::remote::Remote;

/// Lines and tables that may wait to be shown; what is more is left out.
const ROOM: usize = 1024;
/// What the last ones get to be taken, when the program ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// What is shown: logs, and a table on a terminal, by a thread that may be held up.
#[derive(Debug, Clone)]
pub(crate) struct Shown {
    queue: Sender<Piece>,
    counts: Arc<Counts>,
    /// Whether there is a terminal for the table.
    draws: bool,
    /// Where lines go too.
    remote: Option<Remote>,
}

#[derive(Debug, Default)]
struct Counts {
    /// Pieces that wait. Those of the end are queued however many do: they are few, and none of them may be lost.
    waiting: AtomicUsize,
    /// Lines left out, as nobody took those before.
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Piece {
    /// A line for standard error.
    Line(Vec<u8>),
    /// The table, instead of the one before.
    Table(String),
    /// The last table stays where it is.
    Keep,
    /// All before it is shown.
    Through(SyncSender<()>),
}

impl Shown {
    /// With a table on `target`, and lines to `remote` as well.
    ///
    /// # Errors
    /// The system's, when there can be no thread.
    pub(crate) fn new(target: Option<Target>, remote: Option<Remote>) -> io::Result<Self> {
        Ok(Self { remote, ..Self::to(io::stderr(), target)? })
    }

    /// Where lines go too.
    pub(crate) fn remote(&self) -> Option<&Remote> {
        self.remote.as_ref()
    }

    fn to(out: impl Write + Send + 'static, target: Option<Target>) -> io::Result<Self> {
        let (queue, pieces) = mpsc::channel();
        let counts = Arc::<Counts>::default();
        let (draws, counted) = (target.is_some(), counts.clone());
        let screen = target.map(Screen::new);
        let work = move || show(&pieces, out, screen, &counted);
        std::thread::Builder::new().name("shown".to_owned()).spawn(work)?;
        Ok(Self { queue, counts, draws, remote: None })
    }

    /// Shows what `text` makes, if somebody looks.
    pub(crate) fn draw(&self, text: impl FnOnce() -> String) {
        if self.draws {
            // If there is no room, the next one is newer.
            self.push_if_room(Piece::Table(text()));
        }
    }

    /// Shows a line, if there is room for it.
    pub(crate) fn line(&self, line: Vec<u8>) {
        self.remote.iter().for_each(|remote| remote.send(&line));
        if !self.push_if_room(Piece::Line(line)) {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Leaves the last table where it is, shows a last line, and waits a moment until all is shown.
    pub(crate) fn end(&self, last: Option<String>) {
        self.remote.iter().zip(&last).for_each(|(remote, line)| remote.send(line.as_bytes()));
        let (through, wait) = mpsc::sync_channel(1);
        let line = last.map(|line| Piece::Line(line.into()));
        for piece in [Piece::Keep].into_iter().chain(line).chain([Piece::Through(through)]) {
            self.counts.waiting.fetch_add(1, Ordering::Relaxed);
            self.push(piece);
        }
        let _ = wait.recv_timeout(PATIENCE);
    }

    fn push_if_room(&self, piece: Piece) -> bool {
        let room = self.counts.waiting.fetch_add(1, Ordering::Relaxed) < ROOM;
        if room {
            self.push(piece);
        } else {
            self.counts.waiting.fetch_sub(1, Ordering::Relaxed);
        }
        room
    }

    fn push(&self, piece: Piece) {
        // A thread that is gone has panicked, which was shown.
        let _ = self.queue.send(piece);
    }
}

/// Shows pieces until nobody has any. A terminal that is gone is no reason to end.
fn show(pieces: &Receiver<Piece>, mut out: impl Write, mut screen: Option<Screen>, counts: &Counts) {
    let terminal = io::stderr().is_terminal();
    for piece in pieces {
        counts.waiting.fetch_sub(1, Ordering::Relaxed);
        // The table gives way to lines on the same terminal only, and stands below them then.
        let beside = screen.as_mut().filter(|_| terminal);
        match piece {
            Piece::Line(line) => write(&mut out, beside, &line),
            Piece::Table(text) => screen.as_mut().into_iter().for_each(|screen| {
                let _ = screen.draw(&text);
            }),
            Piece::Keep => screen.as_mut().into_iter().for_each(Screen::keep),
            Piece::Through(through) => {
                let _ = through.send(());
            }
        }
        let left_out = counts.dropped.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            let line = format!("… {left_out} lines left out, which nobody took\n");
            write(&mut out, screen.as_mut().filter(|_| terminal), line.as_bytes());
        }
    }
}

/// Writes a line above what the screen shows.
fn write(out: &mut impl Write, mut screen: Option<&mut Screen>, line: &[u8]) {
    if let Some(screen) = &mut screen {
        let _ = screen.clear();
    }
    let _ = out.write_all(line);
    let _ = out.flush();
    if let Some(screen) = screen {
        let _ = screen.again();
    }
}

/// Logs from now on.
///
/// # Errors
/// When this process has a log already.
pub(crate) fn init(filter: Targets, format: LogFormat, shown: &Shown) -> Result<(), TryInitError> {
    let shown = shown.clone();
    // Who reads elsewhere may have no terminal for colours.
    let colours = io::stderr().is_terminal() && shown.remote.is_none();
    logs::init(filter, format, colours, move || Lines(shown.clone()))
}

/// Where logs go.
struct Lines(Shown);

impl Write for Lines {
    /// Takes a whole line, as the layer writes them.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.line(line.to_vec());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::tests::Slow;

    #[test]
    fn a_terminal_that_is_held_holds_nobody_up() {
        let ((go, may), (taken, lines)) = (mpsc::channel(), mpsc::channel());
        let shown = Shown::to(Slow(may, taken), None).unwrap();
        (0..3 * ROOM).for_each(|number| shown.line(format!("{number}\n").into()));
        // One may have left the queue, and be at the writer.
        let left_out = shown.counts.dropped.load(Ordering::Relaxed) as usize;
        assert!((2 * ROOM - 1..=2 * ROOM).contains(&left_out), "{left_out}");
        drop(go);
        // There is room for what is said last, and it is waited for.
        shown.end(Some("the end\n".to_owned()));
        drop(shown);
        let text: String = lines.into_iter().collect();
        assert!(text.starts_with("0\n…") && text.ends_with("\nthe end\n"), "{text}");
        assert_eq!(text.lines().count(), 3 * ROOM - left_out + 2);
        assert!(text.contains(&format!("{left_out} lines left out")), "{text}");
    }
}
