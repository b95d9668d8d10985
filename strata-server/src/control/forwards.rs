//! Where streams are forwarded, for those that may be taken up again.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use strata_proto::id::{SenderId, StreamId};
use strata_proto::token::Secret;

/// The destination of each sender's last stream, in memory only: it may hold a stream key, which the
/// database must not.
#[derive(Debug, Default)]
pub(super) struct Forwards(Mutex<HashMap<SenderId, (StreamId, Secret)>>);

impl Forwards {
    /// Keeps the destination of a stream that starts; that of the sender's one before is forgotten.
    pub(super) fn keep(&self, sender: &SenderId, stream: &StreamId, forward: Option<&Secret>) {
        let mut kept = self.lock();
        match forward {
            Some(forward) => kept.insert(sender.clone(), (stream.clone(), forward.clone())),
            None => kept.remove(sender),
        };
    }

    /// The destination of a stream.
    pub(super) fn of(&self, sender: &SenderId, stream: &StreamId) -> Option<Secret> {
        self.lock().get(sender).filter(|(id, _)| id == stream).map(|(_, forward)| forward.clone())
    }

    /// Forgets the destination of a stream that will not be taken up again.
    pub(super) fn forget(&self, sender: &SenderId, stream: &StreamId) {
        let mut kept = self.lock();
        if kept.get(sender).is_some_and(|(id, _)| id == stream) {
            kept.remove(sender);
        }
    }

    /// Forgets a sender.
    pub(super) fn remove(&self, sender: &SenderId) {
        self.lock().remove(sender);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SenderId, (StreamId, Secret)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_destination_is_kept_until_its_stream_or_its_sender_is_over() {
        let forwards = Forwards::default();
        let sender: SenderId = "snd_1".parse().unwrap();
        let [one, two]: [StreamId; 2] = ["str_1", "str_2"].map(|id| id.parse().unwrap());
        let there = Secret::new("srt://live.example.com:9000");
        let kept = |stream| forwards.of(&sender, stream).is_some();

        forwards.keep(&sender, &one, Some(&there));
        forwards.forget(&sender, &two);
        assert!(kept(&one) && !kept(&two));
        forwards.keep(&sender, &two, Some(&there));
        assert!(!kept(&one) && kept(&two), "one per sender");
        forwards.forget(&sender, &two);
        assert!(!kept(&two));

        forwards.keep(&sender, &one, Some(&there));
        forwards.keep(&sender, &two, None);
        assert!(!kept(&one) && !kept(&two));
        forwards.keep(&sender, &one, Some(&there));
        forwards.remove(&sender);
        assert!(!kept(&one));
    }
}
