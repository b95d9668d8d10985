//! The envelope every message travels in (`control.md` §3).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::Message;
use crate::DecodeError;
use crate::error::from_json;
use crate::id::MessageId;
use crate::time::Timestamp;
use crate::token::Secret;

/// One message with its envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope<M> {
    /// Unique id; a response carries the request's.
    pub id: MessageId,
    /// When the sender wrote it.
    pub ts: Timestamp,
    /// Session token, on an agent's messages after login.
    pub token: Option<Secret>,
    /// Version of the envelope; absent means 1.
    pub proto_version: Option<u32>,
    /// The message.
    pub message: M,
}

impl<M: Message> Envelope<M> {
    /// An envelope without token and version.
    #[must_use]
    pub fn new(id: MessageId, ts: Timestamp, message: M) -> Self {
        Self { id, ts, token: None, proto_version: None, message }
    }

    /// Decodes one text frame.
    ///
    /// To answer a message whose payload is bad, decode in two steps: [`RawEnvelope::decode`] gives
    /// the id, [`RawEnvelope::open`] the message.
    ///
    /// # Errors
    /// [`DecodeError`] naming the field that did not fit.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        RawEnvelope::decode(text)?.open()
    }

    /// Writes one text frame.
    ///
    /// # Errors
    /// When a payload holds what JSON cannot express.
    pub fn encode(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(&Wire {
            id: &self.id,
            message_type: &self.message.message_type(),
            ts: self.ts,
            token: self.token.as_ref(),
            proto_version: self.proto_version,
            payload: &self.message,
        })
    }
}

/// An envelope whose payload is still text.
#[derive(Debug, Clone, Deserialize)]
pub struct RawEnvelope<'a> {
    /// Unique id; a response carries the request's.
    pub id: MessageId,
    /// The message's type, such as `device.status`.
    #[serde(rename = "type", borrow)]
    pub message_type: std::borrow::Cow<'a, str>,
    /// When the sender wrote it.
    pub ts: Timestamp,
    /// Session token, on an agent's messages after login.
    #[serde(default)]
    pub token: Option<Secret>,
    /// Version of the envelope; absent means 1.
    #[serde(default)]
    pub proto_version: Option<u32>,
    /// The payload's JSON text.
    #[serde(borrow)]
    pub payload: &'a RawValue,
}

impl<'a> RawEnvelope<'a> {
    /// Decodes the envelope and leaves the payload as text.
    ///
    /// # Errors
    /// [`DecodeError`] naming the field of the envelope that did not fit.
    pub fn decode(text: &'a str) -> Result<Self, DecodeError> {
        from_json(text, "")
    }

    /// The id of a message that does not decode, so that the `error` which answers it can carry it.
    #[must_use]
    pub fn find_id(text: &str) -> Option<MessageId> {
        #[derive(Deserialize)]
        struct OnlyId {
            id: MessageId,
        }
        from_json::<OnlyId>(text, "").ok().map(|found| found.id)
    }

    /// Decodes the payload.
    ///
    /// # Errors
    /// [`DecodeError`] for an unknown type, or naming the field that did not fit.
    pub fn open<M: Message>(self) -> Result<Envelope<M>, DecodeError> {
        let message = M::decode(&self.message_type, self.payload.get())?;
        Ok(Envelope {
            id: self.id,
            ts: self.ts,
            token: self.token,
            proto_version: self.proto_version,
            message,
        })
    }
}

#[derive(Serialize)]
struct Wire<'a, M> {
    id: &'a MessageId,
    #[serde(rename = "type")]
    message_type: &'a str,
    ts: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    token: Option<&'a Secret>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proto_version: Option<u32>,
    payload: &'a M,
}
