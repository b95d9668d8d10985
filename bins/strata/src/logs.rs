//! Logs on standard error, and a table that makes room for them.

use std::io::{self, IsTerminal as _, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strata::screen::{Screen, Target};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::LogFormat;

/// The table on a terminal; nothing where there is none.
#[derive(Debug, Clone)]
pub(crate) struct Shown(Option<Arc<Mutex<Screen>>>);

impl Shown {
    pub(crate) fn new(target: Option<Target>) -> Self {
        Self(target.map(|target| Arc::new(Mutex::new(Screen::new(target)))))
    }

    /// Shows what `text` makes, if somebody looks. A terminal that is gone is no reason to end.
    pub(crate) fn draw(&self, text: impl FnOnce() -> String) {
        if let Some(mut screen) = self.screen() {
            let _ = screen.draw(&text());
        }
    }

    /// Leaves the last table where it is.
    pub(crate) fn keep(&self) {
        if let Some(mut screen) = self.screen() {
            screen.keep();
        }
    }

    fn screen(&self) -> Option<MutexGuard<'_, Screen>> {
        Some(self.0.as_ref()?.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Logs from now on.
pub(crate) fn init(filter: Targets, format: LogFormat, shown: &Shown) {
    let terminal = io::stderr().is_terminal();
    let shown = shown.clone();
    let lines = tracing_subscriber::fmt::layer().with_ansi(terminal);
    let writer = move || Lines(if terminal { shown.clone() } else { Shown(None) });
    let registry = tracing_subscriber::registry().with(filter);
    match format {
        LogFormat::Text => registry.with(lines.with_writer(writer)).init(),
        LogFormat::Json => registry.with(lines.json().with_writer(writer)).init(),
    }
}

/// Standard error, where the table gives way.
struct Lines(Shown);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut screen = self.0.screen();
        if let Some(screen) = &mut screen {
            screen.clear()?;
        }
        io::stderr().lock().write(line)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().lock().flush()
    }
}
