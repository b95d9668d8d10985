//! Signs of life in both directions, and what a pong proves.

use std::time::{Duration, Instant};

/// Pings that number themselves: a connection delivers in order, so the pong of a ping proves that
/// everything sent before that ping has arrived.
#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Duration,
    limit: Duration,
    next: u64,
    alive: Option<Alive>,
}

#[derive(Debug)]
struct Alive {
    heard: Instant,
    ping_at: Instant,
    /// The first ping of this connection: pongs of earlier ones prove nothing.
    first: u64,
}

impl Heartbeat {
    pub(super) fn new(interval: Duration, limit: Duration) -> Self {
        Self { interval, limit, next: 0, alive: None }
    }

    /// The transport opened.
    pub(super) fn start(&mut self, now: Instant) {
        self.alive = Some(Alive { heard: now, ping_at: now + self.interval, first: self.next });
    }

    /// The transport is gone.
    pub(super) fn stop(&mut self) {
        self.alive = None;
    }

    /// Something came in.
    pub(super) fn heard(&mut self, now: Instant) {
        if let Some(alive) = &mut self.alive {
            alive.heard = now;
        }
    }

    /// The number of the next ping: its pong will confirm what is sent now.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// Which ping a pong answers, if it is one of this connection's.
    pub(super) fn answered(&self, payload: &[u8]) -> Option<u64> {
        let number = u64::from_be_bytes(payload.try_into().ok()?);
        let alive = self.alive.as_ref()?;
        (alive.first..self.next).contains(&number).then_some(number)
    }

    /// Whether the peer has been silent for too long.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        self.alive.as_ref().is_some_and(|alive| alive.heard + self.limit <= now)
    }

    /// The ping to send now, if it is time.
    pub(super) fn ping(&mut self, now: Instant) -> Option<[u8; 8]> {
        let alive = self.alive.as_mut().filter(|alive| alive.ping_at <= now)?;
        alive.ping_at = now + self.interval;
        let number = self.next;
        self.next += 1;
        Some(number.to_be_bytes())
    }

    /// When to look again.
    pub(super) fn timeout(&self) -> Option<Instant> {
        self.alive.as_ref().map(|alive| alive.ping_at.min(alive.heard + self.limit))
    }
}
