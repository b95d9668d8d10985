//! What is said to the server: into the outbox, and out of it when it may be sent.

use std::borrow::Cow;

use strata_proto::control::{AgentMessage, Envelope, ErrorCode, Fault, Message as _, Reply};
use strata_proto::id::MessageId;

use super::login::TOKEN_ROOM;
use super::outbox::{Entry, Keep, Sent};
use super::{Event, Now, Output, Phase, Report, Session, Transmit};

impl Session {
    pub(super) fn on_send(&mut self, now: Now, report: Report) {
        let keep = match &report {
            Report::Ended(_) => Keep::Ended,
            Report::Status(_) => Keep::Status,
            Report::Stats(_) | Report::Progress(_) => Keep::Telemetry,
        };
        let is_open = matches!(self.phase, Phase::Ready | Phase::Renewing(_)) && self.shutdown.is_none();
        if keep.is_durable() || is_open {
            let id = self.message_id(now);
            self.enqueue(now, id, keep, report.into());
        }
    }

    pub(super) fn on_reply(&mut self, now: Now, id: MessageId, reply: Reply) {
        // One answer per request: a second one finds nothing running.
        let Some(kind) = self.record.finish(&id) else { return };
        let text = match self.encode(now, &id, AgentMessage::Reply(kind, reply)) {
            Ok(text) => text,
            Err(why) => {
                let fault = Fault::new(ErrorCode::INTERNAL, format!("the result was made, but {why}"));
                let reply = AgentMessage::Reply(kind, Reply::failed(fault));
                self.encode(now, &id, reply).unwrap_or_default()
            }
        };
        self.record.keep(id.clone(), text.clone());
        self.enqueue_text(Entry::new(id, Keep::Reply, Cow::Owned(format!("{kind}.response")), text));
    }

    /// Takes a message into the outbox; [`Session::flush`] sends it as soon as it may.
    pub(super) fn enqueue(&mut self, now: Now, id: MessageId, keep: Keep, message: AgentMessage) {
        let message_type = message.message_type();
        match self.encode(now, &id, message) {
            Ok(text) => self.enqueue_text(Entry::new(id, keep, message_type, text)),
            Err(why) => {
                let message_type = message_type.into_owned();
                self.event(Event::Dropped { message_type, reason: Cow::Borrowed(why) });
            }
        }
    }

    pub(super) fn enqueue_text(&mut self, entry: Entry) {
        self.journal_changed |= entry.keep.is_durable();
        for dropped in self.outbox.push(entry) {
            self.journal_changed |= dropped.keep.is_durable();
            self.dropped(&dropped, "the journal is full");
        }
    }

    pub(super) fn encode(
        &self,
        now: Now,
        id: &MessageId,
        message: AgentMessage,
    ) -> Result<String, &'static str> {
        let text = Envelope::new(id.clone(), now.wall, message).encode();
        let text = text.map_err(|_| "it cannot be written as JSON")?;
        let limit = self.config.max_message_bytes.saturating_sub(TOKEN_ROOM);
        if text.len() > limit { Err("it is over the size limit of a message") } else { Ok(text) }
    }

    /// Sends what waits, when it may be sent.
    pub(super) fn flush(&mut self, now: Now) {
        let (Phase::Ready, Some(grant)) = (&self.phase, &self.grant) else { return };
        let sent = Sent {
            generation: grant.generation,
            ping: self.heartbeat.next(),
            at: now.monotonic,
            is_postponed: false,
        };
        while let Some(entry) = self.outbox.next_unsent(sent) {
            let text = grant.stamp(&entry.text);
            self.outputs.push_back(Output::Transmit(Transmit::Text(text)));
        }
    }

    pub(super) fn dropped(&mut self, entry: &Entry, reason: &'static str) {
        self.journal_changed |= entry.keep.is_durable();
        let message_type = entry.message_type.clone().into_owned();
        self.event(Event::Dropped { message_type, reason: Cow::Borrowed(reason) });
    }
}
