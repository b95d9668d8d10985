//! The session on tokio: a socket, two clocks and a file around the machine.
//!
//! [`Connection`] is all of it: give it [`Input`]s, await its [`Event`]s. It spawns nothing; it
//! runs while [`Connection::next`] is awaited. `role::agent` is made from it.

#![expect(clippy::disallowed_methods, reason = "this is where the clocks are read")]

mod dial;
mod link;

use std::future::poll_fn;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::{JoinError, JoinHandle};

use self::dial::Dialer;
use self::link::Link;
use crate::journal::JournalFile;
use crate::session::{Event, Input, Now, Output, Session, Transmit};
use crate::{Config, Error, Identity};

/// A session with its socket, its clocks and its journal on disk.
#[derive(Debug)]
pub struct Connection {
    session: Session,
    link: Link,
    journal: Option<JournalFile>,
    writing: Option<JoinHandle<Result<(), Error>>>,
    /// Why the journal's latest state is not on disk.
    unsaved: Option<Error>,
    is_over: bool,
}

impl Connection {
    /// A session of `identity`, with the journal of its state directory. It dials when
    /// [`Connection::next`] is awaited.
    ///
    /// # Errors
    /// [`Error::Address`] when the URL is not `wss://`, [`Error::NotEnrolled`] when the device has
    /// neither enrolled nor a token, [`Error::Tls`] without usable certificate authorities,
    /// [`Error::File`] when the journal cannot be read.
    pub fn new(config: &Config, identity: Identity) -> Result<Self, Error> {
        if config.url.scheme() != "wss" || !config.url.has_host() {
            return Err(Error::Address { url: config.url.to_string() });
        }
        let seed = crate::identity::random_seed()?;
        let dialer = Dialer::new(config)?;
        let journal = identity.directory().map(JournalFile::below);
        let mut session = Session::new(config, identity, seed, now())?;
        if let Some(journal) = &journal {
            journal.restore(&mut session)?;
        }
        Ok(Self { session, link: Link::new(dialer), journal, writing: None, unsaved: None, is_over: false })
    }

    /// The machine.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Why the journal is not on disk as it was when [`Event::JournalChanged`] came last; `None` when it is, or when
    /// the identity has no directory for one. Every change tries again.
    #[must_use]
    pub fn unsaved(&self) -> Option<&Error> {
        self.unsaved.as_ref()
    }

    /// What the agent can do, told to the server at the next login.
    pub fn set_capabilities(
        &mut self,
        capabilities: impl IntoIterator<Item = strata_proto::control::CommandKind>,
    ) {
        self.session.set_capabilities(capabilities);
    }

    /// Tells the machine something; what follows from it happens in [`Connection::next`].
    pub fn input(&mut self, input: Input<'_>) {
        self.session.handle_input(now(), input);
    }

    /// The next event; `None` once the session is over. May be dropped at any `await` and called
    /// again: nothing is lost.
    ///
    /// [`Event::JournalChanged`] and [`Event::Enrolled`] come when the files are written, or could not be:
    /// see [`Connection::unsaved`].
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(writing) = &mut self.writing {
                let written = writing.await;
                self.writing = None;
                self.note_written(written);
                // What changed meanwhile is on disk too before anybody hears of it.
                if self.session.take_journal_changed() {
                    self.write_journal();
                    continue;
                }
                return Some(Event::JournalChanged);
            }
            match self.session.poll_output() {
                Output::Transmit(transmit) => self.transmit(transmit),
                Output::Event(Event::JournalChanged) if self.journal.is_some() => self.write_journal(),
                Output::Event(event) => return Some(self.note(event)),
                Output::Timeout(None) if self.is_over => {
                    self.link.finish().await;
                    return None;
                }
                Output::Timeout(at) => self.wait(at).await,
            }
        }
    }

    /// Until something comes in or `at`.
    async fn wait(&mut self, at: Option<Instant>) {
        let link = &mut self.link;
        let incoming = poll_fn(|cx| link.poll(cx));
        let at = at.unwrap_or_else(|| Instant::now() + IDLE);
        match tokio::time::timeout_at(at.into(), incoming).await {
            Ok(incoming) => self.session.handle_input(now(), incoming.as_input()),
            Err(_) => self.session.handle_input(now(), Input::Timeout),
        }
    }

    fn transmit(&mut self, transmit: Transmit) {
        tracing::trace!(?transmit, "transmit");
        self.link.transmit(transmit);
    }

    fn note(&mut self, event: Event) -> Event {
        match &event {
            Event::Enrolled { .. } => {
                if let Err(error) = self.session.identity().save() {
                    tracing::error!(%error, "the identity is not saved: this device must enrol again after a restart");
                }
            }
            Event::Closed => self.is_over = true,
            _ => {}
        }
        event
    }

    fn note_written(&mut self, written: Result<Result<(), Error>, JoinError>) {
        let broken = |e: JoinError| Error::File {
            action: "write",
            path: self.journal.as_ref().map(|file| file.path().to_owned()).unwrap_or_default(),
            source: e.into(),
        };
        self.unsaved = written.map_err(broken).flatten().err();
        if let Some(error) = &self.unsaved {
            tracing::error!(%error, "the journal is not saved: it will not survive a restart");
        }
    }

    fn write_journal(&mut self) {
        if let Some(file) = self.journal.clone() {
            let bytes = self.session.journal();
            self.writing = Some(tokio::task::spawn_blocking(move || file.write(&bytes)));
        }
    }
}

/// The time. Tokio's clock for what waits, so that a test may stop it.
fn now() -> Now {
    Now { monotonic: tokio::time::Instant::now().into_std(), wall: SystemTime::now().into() }
}

/// A machine that waits for nothing is looked at once in a while nevertheless.
const IDLE: Duration = Duration::from_secs(3600);
