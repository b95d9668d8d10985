//! Frames of the live WebSocket, `/api/ws` (`control.md` §5, control-facts *Control plane*).

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::DecodeError;
use crate::error::from_json;
use crate::id::{SenderId, StreamId};
use crate::tagged::from_tagged_json;
use crate::time::Timestamp;
use crate::token::Secret;

/// What a client sends: the token first, then what it wants to hear. Fields may be combined.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LiveRequest {
    /// Access token; in the first frame, and again before the old one expires.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<Secret>,
    /// Topics to hear from now on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subscribe: Vec<Topic>,
    /// Topics no longer wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsubscribe: Vec<Topic>,
}

impl LiveRequest {
    /// Decodes one text frame.
    ///
    /// # Errors
    /// [`DecodeError`] naming the field that did not fit.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        from_json(text, "")
    }
}

/// What events are about: `sender:snd_…`, `stream:str_…`, `sender:*`, `stream:*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Topic {
    /// One sender.
    Sender(SenderId),
    /// One stream.
    Stream(StreamId),
    /// Every sender the user may see.
    AllSenders,
    /// Every stream the user may see.
    AllStreams,
}

/// A text that is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid topic {0:?}, expected sender:snd_…, stream:str_…, sender:* or stream:*")]
pub struct TopicError(String);

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sender(id) => write!(f, "sender:{id}"),
            Self::Stream(id) => write!(f, "stream:{id}"),
            Self::AllSenders => f.write_str("sender:*"),
            Self::AllStreams => f.write_str("stream:*"),
        }
    }
}

impl FromStr for Topic {
    type Err = TopicError;

    fn from_str(text: &str) -> Result<Self, TopicError> {
        let topic = match text.split_once(':') {
            Some(("sender", "*")) => Some(Self::AllSenders),
            Some(("stream", "*")) => Some(Self::AllStreams),
            Some(("sender", id)) => id.parse().ok().map(Self::Sender),
            Some(("stream", id)) => id.parse().ok().map(Self::Stream),
            _ => None,
        };
        topic.ok_or_else(|| TopicError(text.chars().take(64).collect()))
    }
}

impl Serialize for Topic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Topic {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// What the server pushes: one JSON object per text frame, told apart by `type`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum LiveFrame {
    /// The token was accepted.
    Ready {
        /// Number of the last event; the next one carries a larger one.
        seq: u64,
    },
    /// The present state of a topic just subscribed, or after a lag.
    Snapshot {
        /// The topic.
        topic: Topic,
        /// Number of the last event that is contained in the data.
        seq: u64,
        /// `SenderView`s or `StreamView`s.
        data: Vec<Value>,
    },
    /// Something happened.
    Event(LiveEvent),
    /// The client was too slow; a snapshot follows for each topic.
    Lagged {
        /// How many events were not sent.
        missed: u64,
    },
    /// A request could not be served; the connection lives on.
    Error(super::Fault),
}

impl LiveFrame {
    /// Decodes one text frame.
    ///
    /// # Errors
    /// [`DecodeError`] naming the field that did not fit.
    pub fn decode(text: &str) -> Result<Self, DecodeError> {
        #[derive(Deserialize)]
        #[serde(remote = "LiveFrame", rename_all = "snake_case")]
        enum Fields {
            Ready { seq: u64 },
            Snapshot { topic: Topic, seq: u64, data: Vec<Value> },
            Event(LiveEvent),
            Lagged { missed: u64 },
            Error(super::Fault),
        }
        #[derive(Deserialize)]
        struct Frame(#[serde(with = "Fields")] LiveFrame);
        from_tagged_json::<Frame>(text, "type").map(|frame| frame.0)
    }
}

/// One event.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LiveEvent {
    /// Number of the event, growing by at least one from event to event.
    pub seq: u64,
    /// When it happened.
    pub ts: Timestamp,
    /// What it is about.
    pub topic: Topic,
    /// What happened, such as `sender.status`, `sender.presence`, `stream.state`, `stream.stats`, `alert`.
    pub event: String,
    /// The event's own data.
    pub data: Value,
}
