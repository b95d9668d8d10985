//! One enum per direction, and the trait that reads and writes them.

use std::borrow::Cow;

use serde::{Deserialize, Serialize, Serializer};

use super::{
    Challenge, ChallengeResponse, Command, CommandKind, DeviceStatus, Fault, Login, LoginResponse, Reply,
    StreamEnded, StreamStats,
};
use crate::error::from_json;
use crate::id::MessageId;
use crate::range;
use crate::{DecodeError, DecodeErrorKind};

/// The messages of one direction. `Serialize` writes the payload alone.
pub trait Message: Serialize + Sized {
    /// Decodes the payload (JSON text) of a message of the given type.
    ///
    /// # Errors
    /// [`DecodeErrorKind::UnknownType`] for a type of no message of this direction; otherwise the
    /// field of the payload that did not fit.
    fn decode(message_type: &str, payload: &str) -> Result<Self, DecodeError>;

    /// The envelope's `type`.
    fn message_type(&self) -> Cow<'static, str>;
}

/// What an agent says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum AgentMessage {
    /// `auth.login`
    Login(Login),
    /// `auth.challenge.response`
    ChallengeResponse(ChallengeResponse),
    /// `device.status`
    DeviceStatus(Box<DeviceStatus>),
    /// `stream.stats`
    StreamStats(StreamStats),
    /// `stream.ended`
    StreamEnded(StreamEnded),
    /// `command.progress`
    Progress(CommandProgress),
    /// `<command>.response`
    Reply(CommandKind, Reply),
    /// `error`
    Error(Fault),
}

/// What a control plane says.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ControlMessage {
    /// `auth.challenge`
    Challenge(Challenge),
    /// `auth.login.response`
    LoginResponse(LoginResponse),
    /// A command, by its type.
    Command(Command),
    /// `device.status.response`
    DeviceStatusReply(Reply),
    /// `stream.ended.response`: the agent may forget the message.
    StreamEndedReply(Reply),
    /// `error`
    Error(Fault),
}

/// `command.progress`: how far a long command is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandProgress {
    /// Message id of the command.
    pub command_id: MessageId,
    /// How far it is, 0 to 100.
    #[serde(with = "range::percent")]
    pub percent: f64,
    /// What it does now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Message for AgentMessage {
    fn decode(message_type: &str, payload: &str) -> Result<Self, DecodeError> {
        Ok(match message_type {
            "auth.login" => Self::Login(from_json(payload, PAYLOAD)?),
            "auth.challenge.response" => Self::ChallengeResponse(from_json(payload, PAYLOAD)?),
            "device.status" => Self::DeviceStatus(from_json(payload, PAYLOAD)?),
            "stream.stats" => Self::StreamStats(from_json(payload, PAYLOAD)?),
            "stream.ended" => Self::StreamEnded(from_json(payload, PAYLOAD)?),
            "command.progress" => Self::Progress(from_json(payload, PAYLOAD)?),
            "error" => Self::Error(from_json(payload, PAYLOAD)?),
            other => match other.strip_suffix(RESPONSE).and_then(|kind| kind.parse().ok()) {
                Some(kind) => Self::Reply(kind, from_json(payload, PAYLOAD)?),
                None => return Err(unknown(other)),
            },
        })
    }

    fn message_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Login(_) => "auth.login",
            Self::ChallengeResponse(_) => "auth.challenge.response",
            Self::DeviceStatus(_) => "device.status",
            Self::StreamStats(_) => "stream.stats",
            Self::StreamEnded(_) => "stream.ended",
            Self::Progress(_) => "command.progress",
            Self::Error(_) => "error",
            Self::Reply(kind, _) => return Cow::Owned(format!("{kind}{RESPONSE}")),
        })
    }
}

impl Serialize for AgentMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Login(payload) => payload.serialize(serializer),
            Self::ChallengeResponse(payload) => payload.serialize(serializer),
            Self::DeviceStatus(payload) => payload.serialize(serializer),
            Self::StreamStats(payload) => payload.serialize(serializer),
            Self::StreamEnded(payload) => payload.serialize(serializer),
            Self::Progress(payload) => payload.serialize(serializer),
            Self::Reply(_, payload) => payload.serialize(serializer),
            Self::Error(payload) => payload.serialize(serializer),
        }
    }
}

impl Message for ControlMessage {
    fn decode(message_type: &str, payload: &str) -> Result<Self, DecodeError> {
        Ok(match message_type {
            "auth.challenge" => Self::Challenge(from_json(payload, PAYLOAD)?),
            "auth.login.response" => Self::LoginResponse(from_json(payload, PAYLOAD)?),
            "device.status.response" => Self::DeviceStatusReply(from_json(payload, PAYLOAD)?),
            "stream.ended.response" => Self::StreamEndedReply(from_json(payload, PAYLOAD)?),
            "error" => Self::Error(from_json(payload, PAYLOAD)?),
            other => match other.parse() {
                Ok(kind) => Self::Command(Command::decode(kind, payload)?),
                Err(_) => return Err(unknown(other)),
            },
        })
    }

    fn message_type(&self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Challenge(_) => "auth.challenge",
            Self::LoginResponse(_) => "auth.login.response",
            Self::DeviceStatusReply(_) => "device.status.response",
            Self::StreamEndedReply(_) => "stream.ended.response",
            Self::Error(_) => "error",
            Self::Command(command) => command.kind().as_str(),
        })
    }
}

impl Serialize for ControlMessage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Challenge(payload) => payload.serialize(serializer),
            Self::LoginResponse(payload) => payload.serialize(serializer),
            Self::Command(payload) => payload.serialize(serializer),
            Self::DeviceStatusReply(payload) | Self::StreamEndedReply(payload) => {
                payload.serialize(serializer)
            }
            Self::Error(payload) => payload.serialize(serializer),
        }
    }
}

fn unknown(message_type: &str) -> DecodeError {
    let shown: String = message_type.chars().take(64).collect();
    DecodeError::new(DecodeErrorKind::UnknownType, "type", format!("unknown message type {shown:?}"))
}

const PAYLOAD: &str = "payload";
const RESPONSE: &str = ".response";
