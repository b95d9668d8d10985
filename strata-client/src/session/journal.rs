//! What outlives the process: messages that must not be lost, and answers already given.
//!
//! JSON, one entry a line, so that damage to one costs only that one:
//!
//! ```text
//! {"strata_journal":1}
//! {"keep":"ended","envelope":{"id":"…","type":"stream.ended","ts":"…","payload":{…}}}
//! {"keep":"reply","envelope":{"id":"…","type":"stream.stop.response",…}}
//! {"keep":"record","envelope":{"id":"…","type":"stream.start.response",…}}
//! ```

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use strata_proto::control::{AgentMessage, Envelope, Message as _};

use super::Session;
use super::outbox::{Entry, Keep};

/// What [`Session::restore`] found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Restored {
    /// Messages that will be sent, and answers that are remembered.
    pub entries: usize,
    /// Lines that are damaged.
    pub damaged: usize,
}

#[derive(Serialize, Deserialize)]
struct Header {
    strata_journal: u32,
}

#[derive(Serialize, Deserialize)]
struct Line<'a> {
    keep: Kept,
    #[serde(borrow)]
    envelope: &'a RawValue,
}

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    Ended,
    Reply,
    Record,
}

impl Session {
    /// The journal's content, to be written to disk at every
    /// [`Event::JournalChanged`](super::Event::JournalChanged). Holds no secret of the session, but the results of commands.
    #[must_use]
    pub fn journal(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_line(&mut bytes, &Header { strata_journal: VERSION });
        let record = self.record.answers().map(|text| (Kept::Record, text));
        let outbox = self.outbox.durable().map(|entry| match entry.keep {
            Keep::Ended => (Kept::Ended, entry.text.as_str()),
            _ => (Kept::Reply, entry.text.as_str()),
        });
        for (keep, text) in record.chain(outbox) {
            if let Ok(envelope) = serde_json::from_str(text) {
                write_line(&mut bytes, &Line { keep, envelope });
            }
        }
        bytes
    }

    /// Takes back a journal, within the limits of the configuration. To be called before the first
    /// input. Damaged lines are left out and counted: keep a copy of the file if there are any.
    pub fn restore(&mut self, journal: &[u8]) -> Restored {
        let mut restored = Restored::default();
        let mut lines = journal.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        match lines.next().map(serde_json::from_slice::<Header>) {
            None => return restored,
            Some(Ok(Header { strata_journal: VERSION })) => {}
            // An unknown version is not ours to interpret.
            Some(_) => return Restored { entries: 0, damaged: 1 + lines.count() },
        }
        for line in lines {
            match self.restore_line(line) {
                Some(()) => restored.entries += 1,
                None => restored.damaged += 1,
            }
        }
        self.journal_changed = false;
        restored
    }

    /// Most bytes of messages and answers in the journal.
    pub(crate) fn journal_limit(&self) -> usize {
        self.config.journal_max_bytes.saturating_add(self.config.record_max_bytes)
    }

    fn restore_line(&mut self, line: &[u8]) -> Option<()> {
        let line: Line<'_> = serde_json::from_slice(line).ok()?;
        let text = line.envelope.get();
        let envelope = Envelope::<AgentMessage>::decode(text).ok()?;
        let message_type = envelope.message.message_type();
        match (line.keep, &envelope.message) {
            (Kept::Record, AgentMessage::Reply(..)) => self.record.keep(envelope.id, text.to_owned()),
            (Kept::Reply, AgentMessage::Reply(..)) => {
                self.enqueue_text(Entry::new(envelope.id, Keep::Reply, message_type, text.to_owned()));
            }
            (Kept::Ended, AgentMessage::StreamEnded(_)) => {
                self.enqueue_text(Entry::new(envelope.id, Keep::Ended, message_type, text.to_owned()));
            }
            _ => return None,
        }
        Some(())
    }
}

fn write_line(bytes: &mut Vec<u8>, line: &impl Serialize) {
    // Writing to memory what consists of strings cannot fail.
    if serde_json::to_writer(&mut *bytes, line).is_ok() {
        bytes.push(b'\n');
    }
}

const VERSION: u32 = 1;
