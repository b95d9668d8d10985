//! What the packets that are still kept are worth.

use std::collections::VecDeque;

use crate::rist::history::MAX_PACKETS;
use crate::ts::{Classifier, Priority};

/// Priorities by sequence number, of as many packets as are kept to be repeated.
#[derive(Debug, Default)]
pub(super) struct Priorities {
    classifier: Classifier,
    /// Number of the first one.
    first: u64,
    list: VecDeque<Priority>,
    /// How many were critical.
    pub(super) critical: u64,
}

impl Priorities {
    /// Looks at the next payload.
    pub(super) fn classify(&mut self, payload: &[u8]) -> Priority {
        let priority = self.classifier.classify(payload);
        self.critical += u64::from(priority == Priority::Critical);
        priority
    }

    /// The next payload got this number.
    pub(super) fn push(&mut self, number: u64, priority: Priority) {
        if self.list.len() == MAX_PACKETS {
            self.list.pop_front();
        }
        self.list.push_back(priority);
        self.first = (number + 1).saturating_sub(self.list.len() as u64);
    }

    pub(super) fn get(&self, number: u64) -> Priority {
        let index = number.checked_sub(self.first).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.list.get(index)).copied().unwrap_or_default()
    }
}
