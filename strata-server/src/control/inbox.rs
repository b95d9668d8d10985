//! What others tell a stream's task: a slot per kind, so that nothing is lost and nothing grows.

use std::sync::{Mutex, PoisonError};

use strata_proto::control::EndReason;
use tokio::sync::Notify;

use super::life::Input;

/// The latest word of each kind; a newer one replaces an older one that was not taken yet.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    slots: Mutex<Slots>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Slots {
    here: Option<bool>,
    stop: Option<EndReason>,
    ended: Option<(EndReason, Option<String>)>,
    listed: Option<bool>,
}

impl Inbox {
    pub(super) fn presence(&self, here: bool) {
        self.fill(|slots| slots.here = Some(here));
    }

    pub(super) fn stop(&self, reason: EndReason) {
        self.fill(|slots| slots.stop = Some(reason));
    }

    pub(super) fn ended(&self, reason: EndReason, error: Option<String>) {
        self.fill(|slots| slots.ended = Some((reason, error)));
    }

    pub(super) fn listed(&self, listed: bool) {
        self.fill(|slots| slots.listed = Some(listed));
    }

    /// The next word. Cancel-safe.
    pub(super) async fn next(&self) -> Input {
        loop {
            let filled = self.filled.notified();
            if let Some(input) = self.take() {
                return input;
            }
            filled.await;
        }
    }

    fn fill(&self, set: impl FnOnce(&mut Slots)) {
        set(&mut self.slots.lock().unwrap_or_else(PoisonError::into_inner));
        self.filled.notify_one();
    }

    fn take(&self) -> Option<Input> {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(here) = slots.here.take() {
            return Some(if here { Input::AgentHere } else { Input::AgentAway });
        }
        if let Some(reason) = slots.stop.take() {
            return Some(Input::StopWanted(reason));
        }
        if let Some((reason, error)) = slots.ended.take() {
            return Some(Input::AgentEnded(reason, error));
        }
        slots.listed.take().map(Input::Listed)
    }
}
