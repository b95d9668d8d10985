//! The control socket: JSON lines over a Unix socket, types in `strata_proto::control`.
//!
//! ```text
//!  control plane ──► {"cmd":"stats"}            receiver
//!                ◄── {"event":"ready",…}        first line of every connection
//!                ◄── {"event":"stats",…}        every second, and when asked
//!                ◄── {"event":"error",…}        an output, the input, or a line that was not understood
//!                ◄── {"event":"stopped",…}      last line
//! ```

use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use strata_proto::control::{ReceiverCommand, ReceiverEvent};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, broadcast, mpsc};

/// Connections served at once; one control plane needs one.
const MAX_CLIENTS: usize = 8;

/// Longest line that is read: an `update_forward` with every output there may be.
const MAX_LINE: u64 = 64 * 1024;

/// Events that a slow client may be behind; then it misses some.
const BEHIND: usize = 64;

/// Time for one line to be taken by a client.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Time between two attempts to accept that fail: ten a second are no load, and a control plane waits longer.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A bound socket, removed when dropped.
#[derive(Debug)]
pub(crate) struct ControlSocket {
    listener: UnixListener,
    path: PathBuf,
}

/// Sends events to all connections.
#[derive(Debug, Clone)]
pub(crate) struct Events(broadcast::Sender<Arc<str>>);

impl Events {
    pub(crate) fn new() -> Self {
        Self(broadcast::Sender::new(BEHIND))
    }

    pub(crate) fn send(&self, event: &ReceiverEvent) {
        let _ = self.0.send(line(event));
    }
}

impl ControlSocket {
    /// Binds the socket for its owner only. What a dead receiver left at this path is removed.
    ///
    /// The directory must be there: who may look into it is for those to say who run the receiver.
    pub(crate) fn bind(path: &Path) -> io::Result<Self> {
        if std::os::unix::net::UnixStream::connect(path).is_ok() {
            return Err(io::Error::new(ErrorKind::AddrInUse, "another process listens there"));
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        if let Some(parent) = parent.filter(|parent| !parent.is_dir()) {
            let reason = format!("there is no directory {}; make it first", parent.display());
            return Err(io::Error::new(ErrorKind::NotFound, reason));
        }
        // Bound under another name, so that nobody can connect before the mode is set.
        let hidden = path.with_extension(format!("{}.new", std::process::id()));
        let _ = std::fs::remove_file(&hidden);
        let listener = UnixListener::bind(&hidden)?;
        std::fs::set_permissions(&hidden, std::fs::Permissions::from_mode(0o600))?;
        std::fs::rename(&hidden, path)?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// Accepts connections; each is greeted with `ready` and gives its commands to `commands`.
    pub(crate) async fn serve(
        &self,
        ready: ReceiverEvent,
        events: Events,
        commands: mpsc::Sender<ReceiverCommand>,
    ) {
        let places = Arc::new(Semaphore::new(MAX_CLIENTS));
        loop {
            // One too many waits in the backlog until a place is free.
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            let (stream, _) = accepted(async || self.listener.accept().await).await;
            let (greeting, events, commands) = (line(&ready), events.clone(), commands.clone());
            tokio::spawn(async move {
                client(stream, greeting, events, commands).await;
                drop(place);
            });
        }
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// What `accept` gives in the end. It fails while the process or the system has no descriptors left; the
/// connection stays in the backlog then, and `accept` would fail again at once.
#[expect(clippy::disallowed_methods, reason = "nothing tells when there are descriptors again")]
async fn accepted<T>(accept: impl AsyncFn() -> io::Result<T>) -> T {
    let mut said = false;
    loop {
        match accept().await {
            Ok(connection) => return connection,
            Err(error) => {
                if !std::mem::replace(&mut said, true) {
                    tracing::warn!(%error, "the control socket takes no connections; trying again");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn client(
    stream: UnixStream,
    greeting: Arc<str>,
    events: Events,
    commands: mpsc::Sender<ReceiverCommand>,
) {
    let lines = events.0.subscribe();
    let (read, mut write) = stream.into_split();
    if put(&mut write, &greeting).await.is_err() {
        return;
    }
    let (answers, own) = mpsc::channel(8);
    tokio::select! {
        () = listen(read, &commands, &answers) => {}
        () = speak(write, lines, own) => {}
    }
}

/// Reads commands; a line that is none is answered.
async fn listen(
    read: OwnedReadHalf,
    commands: &mpsc::Sender<ReceiverCommand>,
    answers: &mpsc::Sender<Arc<str>>,
) {
    let mut read = BufReader::new(read);
    let mut text = Vec::new();
    loop {
        text.clear();
        match (&mut read).take(MAX_LINE).read_until(b'\n', &mut text).await {
            Ok(n) if n > 0 && text.ends_with(b"\n") => {}
            Ok(n) if n > 0 => {
                let _ = answers
                    .send(refusal(format!("a line has at most {MAX_LINE} bytes and ends with a newline")))
                    .await;
                return;
            }
            _ => return,
        }
        match ReceiverCommand::decode(&String::from_utf8_lossy(&text)) {
            Ok(command) => {
                if commands.send(command).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                // Kind and place only: the reason may quote a stream key.
                let message = format!("not a command: {} at {}", error.kind.code(), error.path);
                if answers.send(refusal(message)).await.is_err() {
                    return;
                }
            }
        }
    }
}

async fn speak(
    mut write: OwnedWriteHalf,
    mut lines: broadcast::Receiver<Arc<str>>,
    mut own: mpsc::Receiver<Arc<str>>,
) {
    loop {
        let line = tokio::select! {
            line = lines.recv() => match line {
                Ok(line) => line,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            },
            Some(line) = own.recv() => line,
        };
        if put(&mut write, &line).await.is_err() {
            return;
        }
    }
}

async fn put(write: &mut OwnedWriteHalf, line: &str) -> io::Result<()> {
    tokio::time::timeout(WRITE_TIMEOUT, write.write_all(line.as_bytes())).await?
}

fn refusal(message: String) -> Arc<str> {
    line(&ReceiverEvent::Error { part: "control".into(), message })
}

fn line(event: &ReceiverEvent) -> Arc<str> {
    let mut text = serde_json::to_string(event).unwrap_or_default();
    text.push('\n');
    text.into()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failing_accept_is_tried_again_after_a_pause() {
        let attempts = Cell::new(0);
        let accept = async || {
            attempts.set(attempts.get() + 1);
            // EMFILE
            if attempts.get() <= 30 { Err(io::Error::from_raw_os_error(24)) } else { Ok(()) }
        };
        let begun = tokio::time::Instant::now();
        accepted(accept).await;
        assert_eq!((attempts.get(), begun.elapsed()), (31, 30 * ACCEPT_PAUSE));
    }
}
