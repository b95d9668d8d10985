//! What is on its way to the server: kept until it is known to have arrived, within limits.
//!
//! | message | leaves the outbox when | without a connection |
//! |---|---|---|
//! | `stream.ended` | the server has answered it | kept, journalled |
//! | `<command>.response` | a later ping is answered | kept, journalled |
//! | `device.status` | the server has answered it, or not in time | dropped |
//! | `stream.stats`, `command.progress` | a later ping is answered | dropped |

use std::borrow::Cow;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

use strata_proto::id::MessageId;

/// What kind of message it is, and so how it is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keep {
    Ended,
    Reply,
    Status,
    Telemetry,
}

impl Keep {
    /// Outlives the connection and the process.
    pub(super) fn is_durable(self) -> bool {
        matches!(self, Self::Ended | Self::Reply)
    }

    /// The server answers it; the others are known to have arrived by a pong.
    fn is_answered(self) -> bool {
        matches!(self, Self::Ended | Self::Status)
    }
}

/// One message on its way.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) id: MessageId,
    pub(super) keep: Keep,
    pub(super) message_type: Cow<'static, str>,
    /// The envelope's text, without token.
    pub(super) text: String,
    sent: Option<Sent>,
}

impl Entry {
    pub(super) fn new(id: MessageId, keep: Keep, message_type: Cow<'static, str>, text: String) -> Self {
        Self { id, keep, message_type, text, sent: None }
    }
}

/// How and when a message was handed to the transport.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sent {
    /// Which session token it carried.
    pub(super) generation: u64,
    /// The ping whose pong proves its arrival.
    pub(super) ping: u64,
    pub(super) at: Instant,
    /// The server could not take it then: no pong proves its arrival, and it goes out again later.
    pub(super) is_postponed: bool,
}

/// Messages in the order they were made.
#[derive(Debug)]
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    bytes: usize,
    max_messages: usize,
    max_bytes: usize,
}

impl Outbox {
    pub(super) fn new(max_messages: usize, max_bytes: usize) -> Self {
        Self { entries: VecDeque::new(), bytes: 0, max_messages, max_bytes }
    }

    /// Takes a message; returns what had to go for it: the oldest telemetry first.
    pub(super) fn push(&mut self, entry: Entry) -> Vec<Entry> {
        if entry.keep == Keep::Status {
            // A state that was not sent yet is stale now.
            self.remove_where(|e| e.keep == Keep::Status && e.sent.is_none());
        }
        self.bytes += entry.text.len();
        self.entries.push_back(entry);
        let mut dropped = Vec::new();
        while self.entries.len() > self.max_messages || self.bytes > self.max_bytes {
            match self.remove(self.least_valuable()) {
                Some(entry) => dropped.push(entry),
                None => break,
            }
        }
        dropped
    }

    /// The oldest message that is to be sent, if any; it counts as sent from now on.
    pub(super) fn next_unsent(&mut self, sent: Sent) -> Option<&Entry> {
        let entry = self.entries.iter_mut().find(|e| e.sent.is_none())?;
        entry.sent = Some(sent);
        Some(entry)
    }

    /// The server answered message `id`, or it is given up.
    pub(super) fn settle(&mut self, id: &MessageId) -> Option<Entry> {
        self.position(id).and_then(|at| self.remove(at))
    }

    /// The type of message `id`.
    pub(super) fn message_type(&self, id: &MessageId) -> Option<&str> {
        self.position(id).map(|at| &*self.entries[at].message_type)
    }

    /// Message `id` is to be sent again; how it was sent before.
    pub(super) fn unsend(&mut self, id: &MessageId) -> Option<Sent> {
        self.position(id).and_then(|at| self.entries[at].sent.take())
    }

    /// The server cannot take message `id` now.
    pub(super) fn postpone(&mut self, id: &MessageId) {
        if let Some(sent) = self.position(id).and_then(|at| self.entries[at].sent.as_mut()) {
            sent.is_postponed = true;
        }
    }

    /// Whether message `id` is on its way.
    pub(super) fn contains(&self, id: &MessageId) -> bool {
        self.position(id).is_some()
    }

    /// The answer to ping number `ping` came: whether something durable is known to have arrived.
    pub(super) fn confirm(&mut self, ping: u64) -> bool {
        let proves = |sent: Sent| sent.ping <= ping && !sent.is_postponed;
        self.remove_where(|e| !e.keep.is_answered() && e.sent.is_some_and(proves))
    }

    /// Messages without an answer for `limit`: telemetry is given up, the rest is to be sent again.
    /// Returns their types.
    pub(super) fn overdue(&mut self, now: Instant, limit: Duration) -> Vec<Cow<'static, str>> {
        let mut types = Vec::new();
        for entry in &mut self.entries {
            if entry.is_overdue(now, limit) {
                types.push(entry.message_type.clone());
                if entry.keep.is_durable() {
                    entry.sent = None;
                }
            }
        }
        if !types.is_empty() {
            self.remove_where(|e| e.is_overdue(now, limit));
        }
        types
    }

    /// When the first request becomes overdue.
    pub(super) fn timeout(&self, limit: Duration) -> Option<Instant> {
        let awaited = self.entries.iter().filter_map(Entry::awaited_since);
        awaited.min().map(|at| at + limit)
    }

    /// The connection is gone: telemetry is stale, the rest is to be sent again.
    pub(super) fn disconnect(&mut self) {
        self.remove_where(|e| !e.keep.is_durable());
        self.entries.iter_mut().for_each(|e| e.sent = None);
    }

    /// The largest message that was sent, which a server with a smaller limit chokes on.
    pub(super) fn remove_largest_sent(&mut self) -> Option<Entry> {
        let sent = self.entries.iter().enumerate().filter(|(_, e)| e.sent.is_some());
        let largest = sent.max_by_key(|(_, e)| e.text.len()).map(|(at, _)| at);
        largest.and_then(|at| self.remove(at))
    }

    /// Whether everything durable is sent, and what asks for an answer is answered.
    pub(super) fn is_handed_over(&self) -> bool {
        !self.entries.iter().any(|e| e.keep == Keep::Ended || (e.keep == Keep::Reply && e.sent.is_none()))
    }

    /// What outlives the process, oldest first.
    pub(super) fn durable(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|e| e.keep.is_durable())
    }

    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.entries.len(), self.bytes)
    }

    /// The oldest telemetry; or else the oldest answer, which the server can ask for again; or else
    /// the oldest of all.
    fn least_valuable(&self) -> usize {
        let telemetry = self.entries.iter().position(|e| !e.keep.is_durable());
        let reply = || self.entries.iter().position(|e| e.keep == Keep::Reply);
        telemetry.or_else(reply).unwrap_or(0)
    }

    fn position(&self, id: &MessageId) -> Option<usize> {
        self.entries.iter().position(|e| e.id == *id)
    }

    fn remove(&mut self, at: usize) -> Option<Entry> {
        let entry = self.entries.remove(at)?;
        self.bytes -= entry.text.len();
        Some(entry)
    }

    /// Removes the matching messages; whether a durable one was among them.
    fn remove_where(&mut self, matches: impl Fn(&Entry) -> bool) -> bool {
        let mut durable = false;
        let bytes = &mut self.bytes;
        self.entries.retain(|entry| {
            let gone = matches(entry);
            if gone {
                *bytes -= entry.text.len();
                durable |= entry.keep.is_durable();
            }
            !gone
        });
        durable
    }
}

impl Entry {
    fn is_overdue(&self, now: Instant, limit: Duration) -> bool {
        self.awaited_since().is_some_and(|at| at + limit <= now)
    }

    /// Since when an answer, or another attempt, is due.
    fn awaited_since(&self) -> Option<Instant> {
        self.sent.filter(|sent| self.keep.is_answered() || sent.is_postponed).map(|sent| sent.at)
    }
}
