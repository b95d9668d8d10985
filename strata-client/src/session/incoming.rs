//! What the server says.

use serde::Deserialize;
use strata_proto::control::{
    AgentMessage, Command, CommandKind, ControlMessage, ErrorCode, Fault, RawEnvelope, Reply,
};
use strata_proto::id::MessageId;
use strata_proto::{DecodeError, DecodeErrorKind};

use super::outbox::{Entry, Keep};
use super::record::Known;
use super::{Event, Now, Phase, Session};

impl Session {
    pub(super) fn on_text(&mut self, now: Now, text: &str) {
        if !self.is_connected() {
            return;
        }
        self.heartbeat.heard(now.monotonic);
        if text.len() > self.config.max_message_bytes {
            return self.abort(now, 1009, "message too big", "it sent a message over the size limit");
        }
        let raw = match RawEnvelope::decode(text) {
            Ok(raw) => raw,
            Err(error) => return self.on_bad_envelope(now, text, error),
        };
        let (id, message_type) = (raw.id.clone(), raw.message_type.clone());
        match raw.open::<ControlMessage>() {
            Ok(envelope) => self.on_message(now, id, envelope.message),
            Err(error) => self.on_bad_payload(now, id, &message_type, error),
        }
    }

    fn on_message(&mut self, now: Now, id: MessageId, message: ControlMessage) {
        match message {
            ControlMessage::Challenge(challenge) => self.on_challenge(now, id, &challenge),
            ControlMessage::LoginResponse(response) => self.on_login_response(now, &id, response),
            ControlMessage::Command(command) => self.on_command(now, id, command),
            ControlMessage::DeviceStatusReply(reply) | ControlMessage::StreamEndedReply(reply) => {
                self.on_answer(now, &id, reply);
            }
            ControlMessage::Error(fault) => self.on_fault(now, &id, fault),
            // A message of a newer protocol, which this crate decodes but does not know what for.
            _ => {}
        }
    }

    fn on_command(&mut self, now: Now, id: MessageId, command: Command) {
        let kind = command.kind();
        if !self.is_open() {
            let error =
                DecodeError::new(DecodeErrorKind::Invalid, "type", format!("{kind} before the login"));
            return self.event(Event::Misbehaved(error));
        }
        match self.record.lookup(&id) {
            Known::Running => {}
            Known::Answered(text) => self.answer_again(id, kind, text),
            Known::New if self.shutdown.is_some() => {
                let fault = Fault::new(ErrorCode::CANCELLED, "the agent is shutting down");
                self.answer_at_once(now, id, kind, fault);
            }
            Known::New if self.record.begin(id.clone(), kind) => {
                self.event(Event::Command { id, command: Box::new(command) });
            }
            Known::New => {
                let fault = Fault::new(ErrorCode::RATE_LIMITED, "too many commands are running");
                self.answer_at_once(now, id, kind, fault);
            }
        }
    }

    /// The same request came again: the answer was lost, or is still on its way.
    fn answer_again(&mut self, id: MessageId, kind: CommandKind, text: String) {
        if self.outbox.contains(&id) {
            self.outbox.unsend(&id);
        } else {
            self.enqueue_text(Entry::new(id, Keep::Reply, format!("{kind}.response").into(), text));
        }
    }

    /// An answer that is not recorded: the same request may fare better later.
    fn answer_at_once(&mut self, now: Now, id: MessageId, kind: CommandKind, fault: Fault) {
        self.transmit_as_it_is(now, id, AgentMessage::Reply(kind, Reply::failed(fault)));
    }

    /// The answer to a request of ours.
    fn on_answer(&mut self, now: Now, id: &MessageId, reply: Reply) {
        if !reply.success {
            let unexplained = || Fault::new(ErrorCode::INTERNAL, "the server gave no reason");
            return self.on_fault(now, id, reply.error.unwrap_or_else(unexplained));
        }
        if let Some(entry) = self.outbox.settle(id) {
            self.journal_changed |= entry.keep.is_durable();
        }
    }

    /// The server found fault with message `id`.
    fn on_fault(&mut self, now: Now, id: &MessageId, fault: Fault) {
        if self.is_about_login(id) {
            return self.refused(now, fault);
        }
        if [ErrorCode::TOKEN_EXPIRED, ErrorCode::TOKEN_INVALID].contains(&fault.code) {
            return self.on_token_refused(now, id);
        }
        let message_type = self.outbox.message_type(id).map(str::to_owned);
        let may_pass =
            [ErrorCode::INTERNAL, ErrorCode::RATE_LIMITED, ErrorCode::TIMEOUT].contains(&fault.code);
        if may_pass {
            self.outbox.postpone(id);
        } else if let Some(entry) = self.outbox.settle(id) {
            self.journal_changed |= entry.keep.is_durable();
        }
        self.event(Event::Faulted { message_type, fault });
    }

    /// Not an envelope. If it has at least an id, the server is told.
    fn on_bad_envelope(&mut self, now: Now, text: &str, error: DecodeError) {
        #[derive(Deserialize)]
        struct Bare {
            id: MessageId,
            /// Which may itself be the fault.
            #[serde(rename = "type", default)]
            message_type: serde_json::Value,
        }
        match serde_json::from_str::<Bare>(text) {
            Ok(bare) => {
                self.on_bad_payload(now, bare.id, bare.message_type.as_str().unwrap_or_default(), error);
            }
            Err(_) => self.event(Event::Misbehaved(error)),
        }
    }

    fn on_bad_payload(&mut self, now: Now, id: MessageId, message_type: &str, error: DecodeError) {
        // An answer to an answer, or to an error, would go round in circles.
        let is_request = message_type != "error" && !message_type.ends_with(".response");
        if is_request && self.is_open() {
            let fault = Fault::from(&error);
            match message_type.parse() {
                Ok(kind) => self.answer_at_once(now, id, kind, fault),
                Err(_) => self.transmit_as_it_is(now, id, AgentMessage::Error(fault)),
            }
        }
        self.event(Event::Misbehaved(error));
    }

    /// Whether the login was accepted.
    fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Ready | Phase::Renewing(_))
    }
}
