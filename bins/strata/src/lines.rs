//! Lines of JSON for a program or a file, which nobody here waits for: a stream goes on whether they are read or not.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::time::Duration;

use serde::Serialize;

use crate::remote::Remote;

/// Lines that may wait for their reader; what is more is left out.
const ROOM: usize = 64;
/// What the last lines get to be taken, when the program ends.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where lines go; nowhere, if nobody asked.
#[derive(Debug, Default)]
pub(crate) struct Lines {
    writer: Option<Writer>,
    remote: Option<Remote>,
    /// Lines left out, as nobody took those before.
    dropped: u64,
}

/// A thread that writes: a pipe that is not read holds up who writes to it.
#[derive(Debug)]
struct Writer {
    queue: SyncSender<String>,
    /// Closed when the thread is through.
    ended: Receiver<()>,
}

impl Lines {
    /// To standard output.
    ///
    /// # Errors
    /// The system's, unchanged.
    pub(crate) fn stdout() -> io::Result<Self> {
        // Not by `io::stdout`, whose lock is held as long as a line waits.
        Self::to(File::from(io::stdout().as_fd().try_clone_to_owned()?))
    }

    /// To a file, which is emptied; `-` is standard output.
    ///
    /// # Errors
    /// The system's, unchanged.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return Self::stdout();
        }
        // Opening one waits for who reads it.
        if std::fs::metadata(path).is_ok_and(|file| file.file_type().is_fifo()) {
            let path = path.to_owned();
            return Self::with(move || File::create(path));
        }
        Self::to(File::create(path)?)
    }

    fn to(out: impl Write + Send + 'static) -> io::Result<Self> {
        Self::with(move || Ok(out))
    }

    /// To what `open` opens, which may take its time.
    fn with<W: Write>(open: impl FnOnce() -> io::Result<W> + Send + 'static) -> io::Result<Self> {
        let (queue, lines) = mpsc::sync_channel::<String>(ROOM);
        let (through, ended) = mpsc::channel::<()>();
        let work = move || {
            let written = open().and_then(|mut out| {
                lines
                    .into_iter()
                    .try_for_each(|line| out.write_all(line.as_bytes()).and_then(|()| out.flush()))
            });
            if let Err(error) = written {
                tracing::warn!(%error, "no more statistics are written");
            }
            drop(through);
        };
        std::thread::Builder::new().name("lines".to_owned()).spawn(work)?;
        Ok(Self { writer: Some(Writer { queue, ended }), remote: None, dropped: 0 })
    }

    /// The same, and to `remote` as well.
    pub(crate) fn with_remote(mut self, remote: Option<Remote>) -> Self {
        self.remote = remote;
        self
    }

    /// Writes a line, or leaves it out when too many wait already.
    pub(crate) fn write(&mut self, line: &impl Serialize) {
        if self.writer.is_none() && self.remote.is_none() {
            return;
        }
        let text = match serde_json::to_string(line) {
            Ok(text) => text + "\n",
            Err(error) => return tracing::warn!(%error, "a line of statistics cannot be written"),
        };
        self.remote.iter().for_each(|remote| remote.send(text.as_bytes()));
        let Some(writer) = &self.writer else { return };
        match writer.queue.try_send(text) {
            Ok(()) => {}
            Err(TrySendError::Full(_)) => {
                if self.dropped == 0 {
                    tracing::warn!("statistics are not read; lines are left out");
                }
                self.dropped += 1;
            }
            // The thread has said why.
            Err(TrySendError::Disconnected(_)) => self.writer = None,
        }
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        if let Some(Writer { queue, ended }) = self.writer.take() {
            drop(queue);
            let _ = ended.recv_timeout(PATIENCE);
        }
        if self.dropped > 0 {
            tracing::warn!(lines = self.dropped, "statistics were left out");
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Takes nothing before it may, and then everything.
    pub(crate) struct Slow(pub(crate) Receiver<()>, pub(crate) mpsc::Sender<String>);

    impl Write for Slow {
        fn write(&mut self, line: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(String::from_utf8_lossy(line).into_owned());
            Ok(line.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn who_does_not_read_holds_nobody_up() {
        let ((go, may), (taken, lines)) = (mpsc::channel(), mpsc::channel());
        let mut out = Lines::to(Slow(may, taken)).unwrap();
        (0..200).for_each(|number| out.write(&number));
        // One may have left the queue, and be at the writer.
        assert!((135..=136).contains(&out.dropped), "{}", out.dropped);
        let left_out = out.dropped as usize;
        drop(go);
        drop(out);
        let read: Vec<_> = lines.into_iter().collect();
        assert_eq!(read.len(), 200 - left_out);
        assert_eq!(read[..2], ["0\n", "1\n"]);
    }

    /// Nobody has opened the other end.
    #[test]
    fn a_pipe_without_a_reader_holds_nobody_up() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stats");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let mut out = Lines::open(&path).unwrap();
        out.write(&1);
        let reader = std::thread::spawn(move || std::fs::read_to_string(path));
        drop(out);
        assert_eq!(reader.join().unwrap().unwrap(), "1\n");
    }

    #[test]
    fn a_reader_that_is_gone_holds_nobody_up() {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        let mut out = Lines::to(write).unwrap();
        while out.writer.is_some() {
            out.write(&0);
        }
    }
}
