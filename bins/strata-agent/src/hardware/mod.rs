//! What the device is and does, as `device.status` says it.
//!
//! ```text
//!   rtnetlink (told of changes) ─► interfaces ─┐
//!   /dev ─► probe child ─► inputs ─────────────┼─► Seen ─► device.status, on change
//!   media directory ─► probe child ─► durations┘
//!   /proc ─► cpu, memory, uptime  (asked for at each report)
//! ```

mod cpu;
mod driver;
mod interfaces;
mod media;
mod netlink;
mod probe;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use strata_proto::control::{
    DeviceStatus, InputStatus, MediaInput, NetworkInterface, SavedMedia, StreamState,
};
use strata_proto::id::StreamId;
use tokio::sync::{mpsc, oneshot, watch};

pub(crate) use driver::open;

/// Everything that is looked at in the background, as it was last seen.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Seen {
    /// Network interfaces, by name.
    pub(crate) interfaces: Vec<NetworkInterface>,
    /// Cameras and capture cards.
    pub(crate) inputs: Vec<MediaInput>,
    /// Media files.
    pub(crate) media: Vec<SavedMedia>,
}

/// What to look at, and how often.
#[derive(Debug, Clone)]
pub(crate) struct Options {
    /// The pipeline's program, which is also the probe.
    pub(crate) program: PathBuf,
    /// Directory of saved media.
    pub(crate) media_dir: PathBuf,
    /// Time between two looks at what does not report changes itself.
    pub(crate) interval: Duration,
    /// Interfaces that streams must not use.
    pub(crate) disabled: BTreeSet<String>,
}

/// The device, as the rest of the agent sees it.
#[derive(Debug)]
pub(crate) struct Hardware {
    seen: watch::Receiver<Seen>,
    orders: mpsc::Sender<Order>,
    interval: watch::Sender<Duration>,
    load: Mutex<cpu::Load>,
}

/// What the driver is told to do about interfaces.
#[derive(Debug)]
enum Order {
    /// Look now, and say when it is done.
    Scan(oneshot::Sender<()>),
    /// These interfaces must not be used from now on.
    Disabled(BTreeSet<String>),
}

/// What the agent does with its camera now, for the report.
#[derive(Debug, Clone, Default)]
pub(crate) struct Activity {
    /// State of the one stream.
    pub(crate) state: StreamState,
    /// Streams that run.
    pub(crate) running: Vec<StreamId>,
    /// Device node the stream has open.
    pub(crate) device: Option<String>,
    /// Interfaces that links of the stream are bound to.
    pub(crate) interfaces: BTreeSet<String>,
}

impl Hardware {
    /// What was last seen.
    pub(crate) fn seen(&self) -> Seen {
        self.seen.borrow().clone()
    }

    /// A receiver that is told when what is seen changes.
    pub(crate) fn changes(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    /// Looks at network interfaces now.
    pub(crate) async fn scan(&self) {
        let (done, scanned) = oneshot::channel();
        if self.orders.send(Order::Scan(done)).await.is_ok() {
            let _ = scanned.await;
        }
    }

    /// Changes how often media and device nodes are looked at.
    pub(crate) fn set_interval(&self, interval: Duration) {
        self.interval.send_replace(interval);
    }

    /// Changes which interfaces streams must not use.
    pub(crate) async fn set_disabled(&self, disabled: BTreeSet<String>) {
        let _ = self.orders.send(Order::Disabled(disabled)).await;
    }

    /// The report of this moment.
    pub(crate) fn status(&self, activity: &Activity) -> DeviceStatus {
        let Seen { interfaces, mut inputs, media } = self.seen();
        for input in &mut inputs {
            if activity.device.as_deref() == Some(&input.device) {
                input.status = InputStatus::InUse;
            }
        }
        let mut load = self.load.lock().unwrap_or_else(PoisonError::into_inner);
        let read = |what: &str, value: std::io::Result<u64>| {
            value.inspect_err(|error| tracing::warn!(%error, "cannot read {what}")).unwrap_or(0)
        };
        DeviceStatus {
            network_interfaces: interfaces,
            media_inputs: inputs,
            saved_media: media,
            stream_state: activity.state,
            cpu_percent: cpu::Ticks::read().map_or(0.0, |ticks| load.percent(ticks)),
            mem_used_mb: read("memory", cpu::memory_used_mb()),
            uptime_s: read("uptime", cpu::uptime_s()),
            running_streams: Some(activity.running.clone()),
        }
    }
}
