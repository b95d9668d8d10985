//! Everything that happens because time has passed, and when that is.

use std::time::Instant;

use super::{Disconnect, Event, Now, Phase, Session, Transmit};

impl Session {
    pub(super) fn on_time(&mut self, now: Now) {
        let over = |deadline: &Instant| *deadline <= now.monotonic;
        match &self.phase {
            Phase::Dialing { deadline } if over(deadline) => {
                self.close(now, 1000, "timeout", Disconnect::DialTimeout);
            }
            Phase::LoggingIn(login) | Phase::Renewing(login) if over(&login.deadline) => {
                self.close(now, 1000, "timeout", Disconnect::LoginTimeout);
            }
            Phase::Waiting { until } if over(until) => self.dial(now),
            _ => {}
        }
        if self.heartbeat.is_silent(now.monotonic) {
            self.close(now, 1000, "silence", Disconnect::Silent);
        }
        if self.shutdown.is_some_and(|deadline| over(&deadline)) {
            self.finish();
        }
        if let Some(payload) = self.heartbeat.ping(now.monotonic) {
            self.transmit(Transmit::Ping(payload));
        }
        if matches!(self.phase, Phase::Ready) {
            self.on_time_ready(now);
        }
    }

    pub(super) fn on_time_ready(&mut self, now: Now) {
        for message_type in self.outbox.overdue(now.monotonic, self.config.request_timeout) {
            self.event(Event::Unanswered { message_type: message_type.into_owned() });
        }
        if self.status.fire(now.monotonic) {
            self.event(Event::StatusDue);
        }
        if self.grant.as_ref().is_some_and(|grant| grant.renew_at.is_some_and(|at| at <= now.monotonic)) {
            self.renew(now);
        }
    }

    /// When to give [`Input::Timeout`].
    pub(super) fn timeout(&self) -> Option<Instant> {
        let phase = match &self.phase {
            Phase::Dialing { deadline: at } | Phase::Waiting { until: at } => Some(*at),
            Phase::LoggingIn(login) | Phase::Renewing(login) => Some(login.deadline),
            Phase::Ready | Phase::Closed => None,
        };
        let ready = matches!(self.phase, Phase::Ready).then(|| {
            let renew = self.grant.as_ref().and_then(|grant| grant.renew_at);
            [renew, self.status.timeout(), self.outbox.timeout(self.config.request_timeout)]
        });
        let always = [phase, self.heartbeat.timeout(), self.shutdown];
        always.into_iter().chain(ready.into_iter().flatten()).flatten().min()
    }
}
