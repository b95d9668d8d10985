//! Why a property cannot be what it was set to.

use gstreamer as gst;
use thiserror::Error;

use crate::bond::ParamsError;
use crate::net::url::UrlError;
use crate::net::{NetError, RistUrls};

/// A setting that cannot be, or cannot be had.
#[derive(Debug, Error)]
pub(super) enum SettingError {
    #[error(
        "uri: none is set; expected rist://HOST:PORT to call, rist://@ADDRESS:PORT to be called, several joined by commas"
    )]
    NoUri,
    #[error("uri: {0}")]
    Uri(#[from] UrlError),
    #[error("uri: no answer about a host's address within {0} s")]
    Resolve(u64),
    #[error("{0} cannot change while the element runs")]
    Fixed(&'static str),
    #[error("scheduler: {0}")]
    Scheduler(#[from] ParamsError),
    #[error("scheduler: {field}: {reason}")]
    Field { field: String, reason: String },
    #[error("min-bitrate: {min} bit/s are more than max-bitrate, {max}")]
    Bitrates { min: u32, max: u32 },
    #[error("users-file: {0}")]
    Users(String),
    #[error("uri: {0}")]
    Refused(String),
    #[error(transparent)]
    Net(#[from] NetError),
    #[error("no thread to run in: {0}")]
    Thread(std::io::Error),
}

impl SettingError {
    /// Of a configuration that was made of these URLs: by the names of properties, as nobody who set them knows its fields.
    pub(super) fn of(urls: &RistUrls, error: NetError) -> Self {
        match (urls.explain(&error), error) {
            (Some(reason), _) => Self::Refused(reason),
            (None, NetError::Config { field, reason }) if field == "users" => Self::Users(reason),
            (None, error) => Self::Net(error),
        }
    }

    /// What an element says when it cannot start.
    pub(super) fn message(&self) -> gst::ErrorMessage {
        match self {
            Self::Net(NetError::NoLink(_) | NetError::Bind { .. } | NetError::Call { .. }) => {
                gst::error_msg!(gst::ResourceError::OpenReadWrite, ("{self}"))
            }
            Self::Resolve(_) => gst::error_msg!(gst::ResourceError::NotFound, ("{self}")),
            Self::Net(NetError::Io { .. }) | Self::Thread(_) => {
                gst::error_msg!(gst::ResourceError::Failed, ("{self}"))
            }
            _ => gst::error_msg!(gst::ResourceError::Settings, ("{self}")),
        }
    }
}
