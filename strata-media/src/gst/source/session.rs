//! A receiver at work: from the state READY to PAUSED, and back.

use std::collections::VecDeque;
use std::time::Duration;

use gstreamer as gst;

use super::super::common::Common;
use super::super::driver::Driver;
use super::super::error::SettingError;
use super::super::gate::Gate;
use super::super::stats;
use super::super::wait::{block_on, block_on_for};
use super::settings::receiver;
use crate::net::{self, Packet, Receiver, ReceiverMonitor};

/// Packets taken at a time.
const BATCH: usize = 64;

/// A receiver and the thread that drives it.
#[derive(Debug)]
pub(super) struct Session {
    receiver: Receiver,
    driver: Driver,
    /// Taken from the receiver, and not yet put out.
    packets: VecDeque<Packet>,
    /// Where they are taken to.
    batch: Vec<Packet>,
}

/// What a property needs to know of a session.
#[derive(Debug, Clone)]
pub(super) struct Monitor {
    receiver: ReceiverMonitor,
    pub(super) latency: Duration,
}

/// What a streaming thread waits for.
pub(super) enum Next {
    Packet(Packet),
    /// It is wanted elsewhere.
    Unlocked,
    /// The driver has ended.
    Ended,
}

impl Session {
    /// Opens the ports.
    pub(super) fn start(settings: &Common) -> Result<(Self, Monitor), SettingError> {
        let urls = settings.urls()?;
        let config = receiver(&urls, settings)?;
        let latency = config.latency;
        let (receiver, driver) = net::receiver(config).map_err(|error| SettingError::of(&urls, error))?;
        let monitor = Monitor { receiver: receiver.monitor(), latency };
        let driver = Driver::start("strata-src", driver.run())?;
        Ok((Self { receiver, driver, packets: VecDeque::new(), batch: Vec::new() }, monitor))
    }

    /// Waits for the next packet.
    pub(super) fn next(&mut self, gate: &Gate) -> Next {
        if let Some(packet) = self.packets.pop_front() {
            return Next::Packet(packet);
        }
        let Self { receiver, batch, .. } = self;
        let unlocked = gate.opened();
        let taken = block_on(async {
            tokio::select! {
                biased;
                () = unlocked => None,
                count = receiver.recv_many(batch, BATCH) => Some(count),
            }
        });
        self.packets.extend(self.batch.drain(..));
        match taken {
            None => Next::Unlocked,
            Some(_) => self.packets.pop_front().map_or(Next::Ended, Next::Packet),
        }
    }

    /// Forgets what was due while nobody took it.
    pub(super) fn drop_stale(&mut self) {
        self.packets.clear();
        while block_on_for(Duration::ZERO, self.receiver.recv_many(&mut self.batch, BATCH))
            .is_some_and(|n| n > 0)
        {
            self.batch.clear();
        }
    }

    /// Why the driver ended.
    pub(super) fn failure(&self) -> String {
        let failure = self.driver.failure();
        failure.map_or_else(|| "the driver has ended".to_owned(), |error| error.to_string())
    }

    /// Ends it; its ports are free then.
    pub(super) fn stop(self) {
        // The receiver's driver ends with its handle.
        drop(self.receiver);
        self.driver.stop(false);
    }
}

impl Monitor {
    /// Asks the sender's encoder for a keyframe.
    pub(super) fn request_keyframe(&self) {
        self.receiver.request_keyframe();
    }

    /// For the property and the message.
    pub(super) fn stats(&self) -> gst::Structure {
        stats::of_source(&self.receiver.stats(), self.latency, self.receiver.local_addrs())
    }
}
