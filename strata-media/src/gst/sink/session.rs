//! A sender at work: from the state READY to PAUSED, and back.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::driver::Driver;
use super::super::error::SettingError;
use super::super::gate::Gate;
use super::super::wait::{block_on, block_on_for};
use super::super::{links, stats};
use super::settings::Settings;
use crate::net::{self, NetError, RistUrls, Sender, SenderConfig};
use bytes::Bytes;
use gstreamer as gst;

/// Beyond the latency that what was sent is repeated for: a stalled machine.
const DRAIN_MARGIN: Duration = Duration::from_secs(2);

/// A sender and the thread that drives it.
#[derive(Debug)]
pub(super) struct Session {
    sender: Sender,
    driver: Mutex<Option<Driver>>,
    plan: Mutex<Plan>,
    /// Whether everything had its time to be repeated in.
    drained: AtomicBool,
    /// What the source should make, bit/s; 0 when it is not told.
    pub(super) target_bps: AtomicU32,
}

/// What runs, with all changes.
struct Plan {
    uri: Option<String>,
    /// The same, its names looked up.
    urls: RistUrls,
    users_file: Option<String>,
    config: SenderConfig,
    numbers: links::Numbers,
}

/// Without the URLs, which have secrets.
impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Plan").finish_non_exhaustive()
    }
}

/// What became of a payload.
pub(super) enum Given {
    Taken,
    /// The streaming thread is wanted elsewhere.
    Unlocked,
}

impl Session {
    /// Opens the links.
    pub(super) fn start(settings: &Settings) -> Result<Self, SettingError> {
        let common = &settings.common;
        let urls = common.urls()?;
        let config = settings.sender(&urls, common.users()?.as_ref())?;
        settings.adaptation()?;
        let (uri, users_file) = (common.uri.clone(), common.users_file.clone());
        let (sender, driver) = net::sender(config.clone()).map_err(|error| SettingError::of(&urls, error))?;
        let driver = Driver::start("strata-sink", driver.run())?;
        Ok(Self {
            sender,
            driver: Mutex::new(Some(driver)),
            plan: Mutex::new(Plan {
                uri,
                urls,
                users_file,
                numbers: links::Numbers::of(&config.links),
                config,
            }),
            drained: AtomicBool::new(false),
            target_bps: AtomicU32::new(settings.max_bitrate),
        })
    }

    /// Changes what runs.
    pub(super) fn apply(&self, settings: &Settings) -> Result<(), SettingError> {
        // A name is looked up once, and nobody waits for it who only wants to know something.
        let known = {
            let plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
            if plan.users_file != settings.common.users_file {
                return Err(SettingError::Fixed("users-file"));
            }
            (plan.uri == settings.common.uri).then(|| plan.urls.clone())
        };
        let urls = known.map_or_else(|| settings.common.urls(), Ok)?;
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        // The file may say something else by now: what it said at the start holds.
        let mut after = settings.sender(&urls, plan.config.users.as_ref())?;
        let mut numbers = plan.numbers.clone();
        let update = links::update(&plan.config, &mut after, &mut numbers)?;
        self.sender.update(update).map_err(|error| SettingError::of(&urls, error))?;
        (plan.uri, plan.urls, plan.config) = (settings.common.uri.clone(), urls, after);
        plan.numbers = numbers;
        Ok(())
    }

    /// Gives the sender a payload, as soon as it takes it.
    pub(super) fn give(&self, payload: Bytes, gate: &Gate) -> Result<Given, NetError> {
        self.drained.store(false, Ordering::Relaxed);
        block_on(async {
            tokio::select! {
                biased;
                sent = self.sender.send(payload) => sent.map(|()| Given::Taken),
                () = gate.opened() => Ok(Given::Unlocked),
            }
        })
    }

    /// Waits until everything had its time to be repeated in, but no longer than that takes.
    pub(super) fn drain(&self, gate: &Gate) {
        let unlocked = gate.opened();
        let limit = self.latency() * 2 + DRAIN_MARGIN;
        let finish = async {
            tokio::select! {
                finished = self.sender.finish() => finished.is_ok(),
                () = unlocked => false,
            }
        };
        let drained = block_on_for(limit, finish).unwrap_or_default();
        self.drained.store(drained, Ordering::Relaxed);
    }

    /// Why it does not work any more, if so.
    pub(super) fn failure(&self) -> Option<NetError> {
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner);
        driver.as_ref().and_then(Driver::failure)
    }

    /// How long what is lost is repeated.
    pub(super) fn latency(&self) -> Duration {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).config.latency
    }

    pub(super) fn bond_stats(&self) -> crate::bond::BondStats {
        self.sender.stats()
    }

    /// For the property and the message.
    pub(super) fn stats(&self) -> gst::Structure {
        let target_bps = self.target_bps.load(Ordering::Relaxed);
        let beside = (&self.sender.tunnel_stats(), &self.sender.group_stats());
        stats::of_sink(&self.sender.stats(), beside, self.latency(), target_bps)
    }

    /// Ends it: a peer of a stream that was drained is told.
    pub(super) fn stop(self: Arc<Self>) {
        let driver = self.driver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let drained = self.drained.load(Ordering::Relaxed);
        // The sender's driver ends with its handle.
        drop(self);
        if let Some(driver) = driver {
            driver.stop(!drained);
        }
    }
}
