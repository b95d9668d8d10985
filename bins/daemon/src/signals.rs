//! Signals that end a program.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// POSIX numbers, the same on every system.
const SIGINT: u8 = 2;
const SIGTERM: u8 = 15;

/// SIGTERM and SIGINT, from when they are listened to.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    /// Taken from the system too, and nothing follows.
    _hangup: Option<Signal>,
}

impl Signals {
    /// Takes them from the system, which would end the process. In a runtime.
    ///
    /// # Errors
    /// The system's, unchanged.
    pub fn listen() -> io::Result<Self> {
        let (terminate, interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        Ok(Self { terminate, interrupt, _hangup: None })
    }

    /// The same, and SIGHUP ends nothing: a terminal that closes is none of the program's business.
    ///
    /// # Errors
    /// The system's, unchanged.
    pub fn without_hangup(self) -> io::Result<Self> {
        Ok(Self { _hangup: Some(signal(SignalKind::hangup())?), ..self })
    }

    /// The next one: its number. The exit code of a process that it cuts short is 128 more, as a shell has it.
    pub async fn next(&mut self) -> u8 {
        tokio::select! {
            _ = self.terminate.recv() => SIGTERM,
            _ = self.interrupt.recv() => SIGINT,
        }
    }
}
