//! A subscriber's queue: bounded in events and bytes, emptied when it overflows.

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

/// How much may wait for one subscriber.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Events; at least one.
    pub events: usize,
    /// Bytes of them all together; one event alone may be larger.
    pub bytes: usize,
}

impl Default for Room {
    /// 256 events, 1 MiB.
    fn default() -> Self {
        Self { events: 256, bytes: 1024 * 1024 }
    }
}

#[derive(Debug)]
pub(super) struct Mailbox {
    queue: Mutex<Queue>,
    room: Room,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    missed: u64,
    last_seq: u64,
}

impl Mailbox {
    pub(super) fn new(room: Room) -> Self {
        Self { queue: Mutex::default(), room, wake: Notify::new() }
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
        if queue.is_full(self.room, event.len()) {
            queue.missed = queue.waiting.len() as u64 + 1;
            queue.waiting = VecDeque::new();
            queue.bytes = 0;
        } else {
            queue.bytes += event.len();
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
        let event = queue.waiting.pop_front()?;
        queue.bytes -= event.len();
        Some(Delivery::Event(event))
    }
}

impl Queue {
    /// Whether an event of so many bytes has no room; alone every one has.
    fn is_full(&self, room: Room, bytes: usize) -> bool {
        !self.waiting.is_empty() && (self.waiting.len() >= room.events || self.bytes + bytes > room.bytes)
    }
}
