//! A stream that is not over, as its task, the API and the agents' messages see it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use strata_proto::control::{StreamLife, StreamStats, StreamView};
use tokio::sync::watch;

use super::inbox::Inbox;
use crate::store::StreamRow;

#[derive(Debug)]
pub(super) struct Active {
    pub(super) inbox: Inbox,
    /// The state, for those who wait for it.
    pub(super) state: watch::Sender<StreamLife>,
    now: Mutex<Present>,
}

/// What is known of the stream now.
#[derive(Debug)]
pub(super) struct Present {
    pub(super) row: StreamRow,
    pub(super) observed: bool,
    /// Whether the row's ports are still its own: they are given back once.
    pub(super) holds_ports: bool,
    /// What the agent is told of why it is to stop.
    pub(super) stop_reason: Option<String>,
    pub(super) sender_stats: Option<Arc<StreamStats>>,
    /// Whether a receiver process runs for it.
    pub(super) receiving: bool,
}

impl Active {
    pub(super) fn new(row: StreamRow, observed: bool) -> Self {
        Self {
            inbox: Inbox::default(),
            state: watch::Sender::new(row.state),
            now: Mutex::new(Present {
                row,
                observed,
                holds_ports: true,
                stop_reason: None,
                sender_stats: None,
                receiving: false,
            }),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Present> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn row(&self) -> StreamRow {
        self.lock().row.clone()
    }

    /// Whether it has ended; it may still have to be written down.
    pub(super) fn over(&self) -> bool {
        self.lock().row.ended_at.is_some()
    }

    pub(super) fn view(&self, with_stats: bool) -> StreamView {
        let now = self.lock();
        let mut view = view(now.row.clone());
        view.observed = now.observed;
        if with_stats {
            view.sender_stats = now.sender_stats.as_deref().cloned();
            view.receiver_stats.clone_from(&now.row.receiver_stats);
        }
        view
    }
}

/// A stream as the API shows it alone: with the statistics that were written down.
pub(super) fn full_view(row: StreamRow) -> StreamView {
    let receiver_stats = row.receiver_stats.clone();
    StreamView { receiver_stats, ..view(row) }
}

/// A stream as lists show it, without statistics.
pub(super) fn view(row: StreamRow) -> StreamView {
    StreamView {
        id: row.id,
        sender_id: row.sender,
        state: row.state,
        observed: false,
        created_at: row.created_at,
        live_at: row.live_at,
        ended_at: row.ended_at,
        end_reason: row.reason,
        error: row.error,
        ports: row.ports,
        recording: row.recording,
        sender_stats: None,
        receiver_stats: None,
    }
}
