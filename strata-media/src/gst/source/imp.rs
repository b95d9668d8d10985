//! The element as GStreamer sees it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use gstreamer::subclass::prelude::*;
use gstreamer_base::prelude::*;
use gstreamer_base::subclass::base_src::CreateSuccess;
use gstreamer_base::subclass::prelude::*;

use super::super::common::Common;
use super::super::gate::Gate;
use super::super::ticker::Ticker;
use super::super::timeline::Timeline;
use super::properties;
use super::session::{Monitor, Next, Session};
use crate::net::Packet;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("stratasrc", gst::DebugColorFlags::empty(), Some("Bonded RIST source"))
});

/// How often it is looked whether a message is due.
const PERIOD: Duration = Duration::from_millis(100);

#[derive(Debug, Default)]
pub struct StrataSrc {
    settings: Arc<Mutex<Common>>,
    /// Held by the streaming thread.
    stream: Mutex<Option<Stream>>,
    watched: Mutex<Option<Watched>>,
    /// What is due was not taken for a while.
    paused: AtomicBool,
    gate: Gate,
}

/// What the streaming thread needs.
#[derive(Debug)]
struct Stream {
    session: Session,
    latency: Duration,
    timeline: Timeline,
    /// The next buffer has nothing to do with the one before.
    discont: bool,
}

/// What everybody else needs.
#[derive(Debug)]
struct Watched {
    monitor: Monitor,
    _ticker: Ticker,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl StrataSrc {
    fn monitor(&self) -> Option<Monitor> {
        lock(&self.watched).as_ref().map(|watched| watched.monitor.clone())
    }

    /// Posts statistics at their interval.
    fn watch(&self, monitor: Monitor) -> Result<Ticker, gst::ErrorMessage> {
        let (source, settings) = (self.obj().downgrade(), Arc::clone(&self.settings));
        let mut last: Option<Instant> = None;
        let tick = move |now: Instant| {
            let Some(source) = source.upgrade() else { return false };
            let interval = Duration::from_millis(lock(&settings).stats_interval_ms.into());
            let since = now - *last.get_or_insert(now);
            if !interval.is_zero() && since >= interval {
                last = Some(now);
                let message = gst::message::Element::builder(monitor.stats()).src(&source).build();
                // A bus that takes nothing is one nobody reads.
                let _ = source.post_message(message);
            }
            true
        };
        Ticker::start("strata-watch", PERIOD, tick).map_err(|error| error.message())
    }

    fn buffer(&self, stream: &mut Stream, packet: Packet) -> gst::Buffer {
        let lost = packet.lost_before > 0;
        let now = self.obj().current_running_time();
        let stamp = now.map(|now| stream.timeline.stamp(now.into(), stream.latency, packet.timestamp));
        let jump = stamp.is_some_and(|stamp| stamp.jump);
        let begins = std::mem::take(&mut stream.discont);
        let mut buffer = gst::Buffer::from_slice(packet.payload);
        if let Some(buffer) = buffer.get_mut() {
            buffer.set_pts(stamp.and_then(|stamp| gst::ClockTime::try_from(stamp.time).ok()));
            if lost || jump || begins {
                buffer.set_flags(gst::BufferFlags::DISCONT);
            }
        }
        if lost {
            gst::debug!(CAT, imp = self, "{} packets lost", packet.lost_before);
        }
        buffer
    }
}

#[glib::object_subclass]
impl ObjectSubclass for StrataSrc {
    const NAME: &'static str = "GstStrataSrc";
    type Type = super::StrataSrc;
    type ParentType = gstreamer_base::PushSrc;
}

impl ObjectImpl for StrataSrc {
    fn properties() -> &'static [glib::ParamSpec] {
        &properties::PROPERTIES
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings).clone();
        properties::get(pspec.name(), &settings, self.monitor().as_ref())
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let name = pspec.name();
        if self.monitor().is_some() && !properties::is_live(name) {
            let reason = "cannot change while the element runs";
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{name}: {reason}"));
            return;
        }
        lock(&self.settings).set(name, value);
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.set_live(true);
        obj.set_format(gst::Format::Time);
    }
}

impl GstObjectImpl for StrataSrc {}

impl ElementImpl for StrataSrc {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Strata bonded RIST source",
                "Source/Network",
                "Receives an MPEG transport stream by RIST over several links at once",
                "The Strata developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps =
                gst::Caps::builder("video/mpegts").field("systemstream", true).field("packetsize", 188);
            let (direction, presence) = (gst::PadDirection::Src, gst::PadPresence::Always);
            gst::PadTemplate::new("src", direction, presence, &caps.build()).into_iter().collect()
        });
        &TEMPLATES
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        if transition == gst::StateChange::PausedToPlaying {
            self.paused.store(true, Ordering::Relaxed);
        }
        self.parent_change_state(transition)
    }
}

impl BaseSrcImpl for StrataSrc {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let (session, monitor) = Session::start(&settings).map_err(|error| error.message())?;
        let ticker = self.watch(monitor.clone())?;
        let latency = monitor.latency;
        *lock(&self.watched) = Some(Watched { monitor, _ticker: ticker });
        *lock(&self.stream) = Some(Stream { session, latency, timeline: Timeline::default(), discont: true });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let watched = lock(&self.watched).take();
        drop(watched);
        let stream = lock(&self.stream).take();
        if let Some(stream) = stream {
            stream.session.stop();
        }
        Ok(())
    }

    fn is_seekable(&self) -> bool {
        false
    }

    /// What comes out was sent `latency` ago, as its time stamps say; beyond that nothing need be waited for.
    fn query(&self, query: &mut gst::QueryRef) -> bool {
        match (query.view_mut(), self.monitor()) {
            (gst::QueryViewMut::Latency(query), Some(monitor)) => {
                let latency = gst::ClockTime::try_from(monitor.latency).unwrap_or(gst::ClockTime::MAX);
                query.set(true, latency, gst::ClockTime::NONE);
                true
            }
            _ => BaseSrcImplExt::parent_query(self, query),
        }
    }

    /// What a decoder wants goes to the sender, whose sink tells its encoder.
    fn event(&self, event: &gst::Event) -> bool {
        let wants = event.type_() == gst::EventType::CustomUpstream && event.has_name("GstForceKeyUnit");
        match self.monitor().filter(|_| wants) {
            Some(monitor) => {
                monitor.request_keyframe();
                true
            }
            None => self.parent_event(event),
        }
    }

    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.gate.open();
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.gate.close();
        Ok(())
    }
}

impl PushSrcImpl for StrataSrc {
    fn create(&self, _buffer: Option<&mut gst::BufferRef>) -> Result<CreateSuccess, gst::FlowError> {
        let mut stream = lock(&self.stream);
        let stream = stream.as_mut().ok_or(gst::FlowError::Flushing)?;
        if self.paused.swap(false, Ordering::Relaxed) {
            stream.session.drop_stale();
            stream.timeline.reset();
            stream.discont = true;
        }
        match stream.session.next(&self.gate) {
            Next::Packet(packet) => Ok(CreateSuccess::NewBuffer(self.buffer(stream, packet))),
            Next::Unlocked => Err(gst::FlowError::Flushing),
            Next::Ended => {
                gst::element_imp_error!(self, gst::ResourceError::Read, ("{}", stream.session.failure()));
                Err(gst::FlowError::Error)
            }
        }
    }
}
