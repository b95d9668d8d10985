//! A change of a running stream: checked as a whole, then told to the agent, whose answer is the answer.

use std::collections::BTreeSet;

use strata_proto::control::{
    BITRATE_KBPS, BondingLink, ConfigUpdate, EncoderUpdate, ErrorCode, Fault, Scheduler, StreamLife,
    StreamView, UpdateLink, UpdateStream,
};
use strata_proto::id::SenderId;
use thiserror::Error;

use super::links;
use super::plan::{in_range, invalid};
use super::streams::{NotStreaming, Streams, fault_of};
use crate::fleet::CommandError;
use crate::store::StreamRow;

/// Why a stream was not changed; nothing of the change applies then, unless the answer was lost on its way.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum UpdateError {
    /// The request cannot be carried out; the fault names the field.
    #[error("{}", .0.message)]
    Invalid(Fault),
    /// The sender has no stream that runs.
    #[error(transparent)]
    NotStreaming(#[from] NotStreaming),
    /// The agent could not be asked, or did not answer.
    #[error("changing the stream: {0}")]
    Command(#[from] CommandError),
    /// The agent refused.
    #[error("the sender refused: {}", .0.message)]
    Refused(Fault),
}

impl Streams {
    /// Changes the running stream of a sender by `config.update`; returns when the agent has carried it out. Its links lead to the
    /// ports that the stream was started with, whose receiver goes on.
    ///
    /// Unlike [`Streams::start`] it leaves to the device which interfaces there are: the links of a running stream may stay
    /// while theirs is unplugged.
    ///
    /// # Errors
    /// [`UpdateError`]; what the device refused, it refused as a whole.
    pub async fn update(&self, sender: &SenderId, body: UpdateStream) -> Result<StreamView, UpdateError> {
        let shared = &self.shared;
        let active = shared.of_sender(sender).ok_or(NotStreaming)?;
        let row = active.row();
        if !matches!(row.state, StreamLife::Starting | StreamLife::Live) {
            return Err(NotStreaming.into());
        }
        let command = command(body, &row, &shared.hosts).map_err(UpdateError::Invalid)?;
        let reply = shared.fleet.request(sender, command, shared.command_timeout()).await?;
        if !reply.success {
            return Err(UpdateError::Refused(fault_of(reply)));
        }
        tracing::info!(stream = %row.id, %sender, "stream changed");
        Ok(active.view(true))
    }
}

/// What the agent is told.
fn command(body: UpdateStream, row: &StreamRow, hosts: &[String]) -> Result<ConfigUpdate, Fault> {
    check(&body)?;
    let links = body.links.map(|links| bonded(&links, row, hosts)).transpose()?;
    Ok(ConfigUpdate { scheduler: body.scheduler, encoder: body.encoder, links })
}

/// Unknown fields of the scheduler are passed over on the wire: without this, a request of nothing else would change nothing
/// and succeed.
fn check(body: &UpdateStream) -> Result<(), Fault> {
    let empty = |field: &str, expected: &str| {
        Err(Fault::new(ErrorCode::MISSING_FIELD, format!("expected {expected}")).with_field(field))
    };
    if body.scheduler.is_none() && body.encoder.is_none() && body.links.is_none() {
        return empty(".", "scheduler, encoder or links");
    }
    if body.scheduler == Some(Scheduler::default()) {
        return empty("scheduler", "a field of the scheduler");
    }
    if body.encoder == Some(EncoderUpdate::default()) {
        return empty("encoder.bitrate_kbps", "a bitrate");
    }
    match body.encoder.as_ref().and_then(|encoder| encoder.bitrate_kbps) {
        Some(bitrate) => in_range("encoder.bitrate_kbps", bitrate, BITRATE_KBPS),
        None => Ok(()),
    }
}

/// The links, led to the stream's ports.
fn bonded(links: &[UpdateLink], row: &StreamRow, hosts: &[String]) -> Result<Vec<BondingLink>, Fault> {
    let ports = &row.ports;
    links::check(links.iter().map(|link| (link.interface.as_ref(), link.priority)), ports.len())?;
    let mut known = BTreeSet::new();
    let lead = |(i, link): (usize, &UpdateLink)| {
        let bad = |message| Err(invalid(format!("links[{i}].id"), message));
        let id = link.id;
        let to = usize::try_from(id).ok().and_then(|to| Some((to, *ports.get(to)?)));
        let Some((to, port)) = to else {
            return bad(format!("is {id}, must be below {}, the number of the stream's ports", ports.len()));
        };
        if !known.insert(id) {
            return bad(format!("{id} is the id of another link too"));
        }
        Ok(link.bonded(id, links::uri(to, port, row.latency_ms, hosts)))
    };
    links.iter().enumerate().map(lead).collect()
}
