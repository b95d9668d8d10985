//! Which requests run and which are answered, so that one that comes again is not carried out again.

use std::collections::{HashMap, VecDeque};

use strata_proto::control::CommandKind;
use strata_proto::id::MessageId;

/// What is known of a request's id.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Known {
    /// Never seen, or forgotten.
    New,
    /// Its answer is on its way to be made.
    Running,
    /// It was answered with this envelope.
    Answered(String),
}

/// Bounded memory of requests.
#[derive(Debug)]
pub(super) struct Record {
    running: HashMap<MessageId, CommandKind>,
    /// Oldest first; the envelope's text without token.
    answered: VecDeque<(MessageId, String)>,
    bytes: usize,
    max_replies: usize,
    max_bytes: usize,
    max_running: usize,
}

impl Record {
    pub(super) fn new(max_replies: usize, max_bytes: usize, max_running: usize) -> Self {
        let (running, answered) = (HashMap::new(), VecDeque::new());
        Self { running, answered, bytes: 0, max_replies, max_bytes, max_running }
    }

    pub(super) fn lookup(&self, id: &MessageId) -> Known {
        if self.running.contains_key(id) {
            return Known::Running;
        }
        match self.answered.iter().find(|(known, _)| known == id) {
            Some((_, text)) => Known::Answered(text.clone()),
            None => Known::New,
        }
    }

    /// Notes that a request runs; `false` when too many do.
    pub(super) fn begin(&mut self, id: MessageId, kind: CommandKind) -> bool {
        let has_room = self.running.len() < self.max_running;
        if has_room {
            self.running.insert(id, kind);
        }
        has_room
    }

    /// The running request's kind; it runs no longer.
    pub(super) fn finish(&mut self, id: &MessageId) -> Option<CommandKind> {
        self.running.remove(id)
    }

    /// Keeps an answer, and forgets the oldest beyond the limits.
    pub(super) fn keep(&mut self, id: MessageId, text: String) {
        self.bytes += text.len();
        self.answered.push_back((id, text));
        while self.answered.len() > self.max_replies || self.bytes > self.max_bytes {
            let Some((_, text)) = self.answered.pop_front() else { break };
            self.bytes -= text.len();
        }
    }

    /// The answers, oldest first.
    pub(super) fn answers(&self) -> impl Iterator<Item = &str> {
        self.answered.iter().map(|(_, text)| text.as_str())
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize, usize) {
        (self.running.len(), self.answered.len(), self.bytes)
    }
}
