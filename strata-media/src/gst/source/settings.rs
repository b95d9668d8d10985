//! What a source was told, and what its receiver is made of.

use super::super::common::Common;
use super::super::error::SettingError;
use crate::net::{ReceiverConfig, RistUrls};

/// The receiver they ask for, at these places.
///
/// # Errors
/// The property that cannot be.
pub(super) fn receiver(urls: &RistUrls, settings: &Common) -> Result<ReceiverConfig, SettingError> {
    let mut config = urls.receiver()?;
    config.latency = settings.latency().unwrap_or(config.latency);
    config.users = settings.users()?;
    Ok(config)
}
