//! Live events: one publisher side, many subscribers, each with a bounded queue of its own.
//!
//! Topics are indexed, so an event costs only those who asked for it; it is encoded once and its bytes
//! are shared. A subscriber that falls behind loses its queue, is told how much it missed, and takes
//! fresh snapshots: nobody waits for it and it never sees stale data in silence.
//!
//! Ownership is part of the index: a subscription is made within a [`Scope`], and events of other
//! accounts never reach it.

mod mailbox;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use strata_proto::control::Topic;
use strata_proto::id::UserId;
use strata_proto::time::Timestamp;

use crate::fleet::Scope;
use mailbox::Mailbox;

pub use mailbox::{Delivery, Room};

/// The hub; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Events {
    hub: Arc<Mutex<Hub>>,
}

#[derive(Debug, Default)]
struct Hub {
    seq: u64,
    next_subscriber: u64,
    index: HashMap<Key, Vec<(u64, Arc<Mailbox>)>>,
}

type Key = (Topic, Scope);

impl Events {
    /// A hub without subscribers; the first event has number 1.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Tells everybody who subscribed `topic` and may see what belongs to `owner`.
    ///
    /// `event` is the event's name, such as `stream.state`; `data` must serialise to JSON. Change the
    /// state that snapshots are taken from before publishing. Returns the event's number.
    pub fn publish(
        &self,
        ts: Timestamp,
        owner: &UserId,
        topic: Topic,
        event: &str,
        data: &impl Serialize,
    ) -> u64 {
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        hub.seq += 1;
        let seq = hub.seq;
        let keys = keys_of(&topic, owner);
        if keys.iter().all(|key| !hub.index.contains_key(key)) {
            return seq;
        }
        let frame = Frame { kind: "event", seq, ts, topic: &topic, event, data };
        let text: bytes::Bytes = match serde_json::to_string(&frame) {
            Ok(text) => text.into(),
            Err(error) => {
                tracing::error!(%error, event, "event cannot be written as JSON");
                return seq;
            }
        };
        for mailbox in keys.iter().filter_map(|key| hub.index.get(key)).flatten() {
            mailbox.1.push(seq, &text);
        }
        seq
    }

    /// A subscriber that hears nothing yet, within `scope`, with `room` for waiting events.
    #[must_use]
    pub fn subscriber(&self, scope: Scope, room: Room) -> Subscriber {
        let mut hub = self.hub.lock().unwrap_or_else(PoisonError::into_inner);
        hub.next_subscriber += 1;
        Subscriber {
            events: self.clone(),
            id: hub.next_subscriber,
            scope,
            topics: Vec::new(),
            mailbox: Arc::new(Mailbox::new(room)),
        }
    }

    /// Number of the last event.
    #[must_use]
    pub fn seq(&self) -> u64 {
        self.hub.lock().unwrap_or_else(PoisonError::into_inner).seq
    }
}

/// One subscriber; dropping it ends its subscriptions.
#[derive(Debug)]
pub struct Subscriber {
    events: Events,
    id: u64,
    scope: Scope,
    topics: Vec<Topic>,
    mailbox: Arc<Mailbox>,
}

impl Subscriber {
    /// Hears `topic` from now on. Returns the number of the last event before that, so a snapshot taken
    /// afterwards contains at least everything up to it.
    pub fn subscribe(&mut self, topic: Topic) -> u64 {
        let mut hub = self.events.hub.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.topics.contains(&topic) {
            let key = (topic.clone(), self.scope.clone());
            hub.index.entry(key).or_default().push((self.id, Arc::clone(&self.mailbox)));
            self.topics.push(topic);
        }
        hub.seq
    }

    /// No longer hears `topic`. Events that already wait are still delivered.
    pub fn unsubscribe(&mut self, topic: &Topic) {
        self.topics.retain(|t| t != topic);
        self.remove(topic);
    }

    /// What is subscribed.
    #[must_use]
    pub fn topics(&self) -> &[Topic] {
        &self.topics
    }

    /// Within what it hears.
    #[must_use]
    pub fn scope(&self) -> &Scope {
        &self.scope
    }

    /// The next event, or that some were missed. Cancel safe.
    pub async fn next(&mut self) -> Delivery {
        self.mailbox.next().await
    }

    fn remove(&self, topic: &Topic) {
        let mut hub = self.events.hub.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (topic.clone(), self.scope.clone());
        if let Some(list) = hub.index.get_mut(&key) {
            list.retain(|(id, _)| *id != self.id);
            if list.is_empty() {
                hub.index.remove(&key);
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        for topic in &self.topics {
            self.remove(topic);
        }
    }
}

/// `LiveFrame::Event` without a copy of its data.
#[derive(Serialize)]
struct Frame<'a, D> {
    #[serde(rename = "type")]
    kind: &'static str,
    seq: u64,
    ts: Timestamp,
    topic: &'a Topic,
    event: &'a str,
    data: &'a D,
}

/// Everything a subscription to which hears an event on `topic` of `owner`.
fn keys_of(topic: &Topic, owner: &UserId) -> [Key; 4] {
    let all = match topic {
        Topic::Stream(_) | Topic::AllStreams => Topic::AllStreams,
        _ => Topic::AllSenders,
    };
    [
        (topic.clone(), Scope::All),
        (topic.clone(), Scope::Account(owner.clone())),
        (all.clone(), Scope::All),
        (all, Scope::Account(owner.clone())),
    ]
}

#[cfg(test)]
mod tests;
