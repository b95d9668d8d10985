//! A subscriber's queue: bounded, emptied when it overflows.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::Notify;

/// What a subscriber hears.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery {
    /// An event: the JSON text of a `LiveFrame::Event`, shared between subscribers.
    Event(Bytes),
    /// The subscriber was too slow: take fresh snapshots of everything subscribed.
    Lagged {
        /// How many events were dropped.
        missed: u64,
    },
}

#[derive(Debug)]
pub(super) struct Mailbox {
    queue: Mutex<Queue>,
    limit: usize,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Bytes>,
    missed: u64,
    last_seq: u64,
}

impl Mailbox {
    pub(super) fn new(limit: usize) -> Self {
        Self { queue: Mutex::default(), limit: limit.max(1), wake: Notify::new() }
    }

    /// Adds an event; one that came by another topic already is skipped.
    pub(super) fn push(&self, seq: u64, event: &Bytes) {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.last_seq == seq {
            return;
        }
        queue.last_seq = seq;
        if queue.missed > 0 {
            queue.missed += 1;
            return;
        }
        if queue.waiting.len() >= self.limit {
            queue.missed = queue.waiting.len() as u64 + 1;
            queue.waiting = VecDeque::new();
        } else {
            queue.waiting.push_back(event.clone());
        }
        drop(queue);
        self.wake.notify_one();
    }

    pub(super) async fn next(&self) -> Delivery {
        loop {
            if let Some(delivery) = self.take() {
                return delivery;
            }
            self.wake.notified().await;
        }
    }

    fn take(&self) -> Option<Delivery> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        if queue.missed > 0 {
            return Some(Delivery::Lagged { missed: std::mem::take(&mut queue.missed) });
        }
        queue.waiting.pop_front().map(Delivery::Event)
    }
}
