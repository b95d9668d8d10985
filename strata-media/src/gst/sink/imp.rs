//! The element as GStreamer sees it.

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::glib::subclass::Signal;
use gstreamer::subclass::prelude::*;
use gstreamer_base::prelude::*;
use gstreamer_base::subclass::prelude::*;

use super::super::cutter::Cutter;
use super::super::gate::Gate;
use super::super::ticker::Ticker;
use super::properties;
use super::session::{Given, Session};
use super::watch::{Shared, watch};

pub(super) static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("stratasink", gst::DebugColorFlags::empty(), Some("Bonded RIST sink"))
});

#[derive(Debug)]
pub struct StrataSink {
    settings: Shared,
    /// Held while they are changed, so that one change follows another.
    changing: Mutex<()>,
    running: Mutex<Option<Running>>,
    cutter: Mutex<Cutter>,
    gate: Gate,
}

#[derive(Debug)]
struct Running {
    session: Arc<Session>,
    ticker: Ticker,
}

impl StrataSink {
    fn running(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn session(&self) -> Option<Arc<Session>> {
        self.running().as_ref().map(|running| Arc::clone(&running.session))
    }

    fn cutter(&self) -> MutexGuard<'_, Cutter> {
        self.cutter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what comes next in the stream.
    fn take(&self, data: Bytes) -> Result<gst::FlowSuccess, gst::FlowError> {
        let session = self.session().ok_or(gst::FlowError::Flushing)?;
        let (payloads, skipped) = {
            let mut cutter = self.cutter();
            (cutter.cut(data), cutter.skipped())
        };
        if skipped > 0 {
            let reason = "bytes that are no packet of a transport stream left out";
            gst::element_imp_warning!(self, gst::StreamError::Format, ("{skipped} {reason}"));
        }
        payloads.iter().try_for_each(|payload| self.give(&session, payload))?;
        Ok(gst::FlowSuccess::Ok)
    }

    /// Gives the sender a payload; waits while the links are behind, or the element is paused.
    fn give(&self, session: &Session, payload: &Bytes) -> Result<(), gst::FlowError> {
        loop {
            match session.give(payload.clone(), &self.gate) {
                Ok(Given::Taken) => return Ok(()),
                Ok(Given::Unlocked) => drop(self.obj().wait_preroll()?),
                Err(error) => {
                    gst::element_imp_error!(self, gst::ResourceError::Write, ("{error}"));
                    return Err(gst::FlowError::Error);
                }
            }
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for StrataSink {
    const NAME: &'static str = "GstStrataSink";
    type Type = super::StrataSink;
    type ParentType = gstreamer_base::BaseSink;

    fn new() -> Self {
        Self {
            settings: Shared::default(),
            changing: Mutex::default(),
            running: Mutex::default(),
            cutter: Mutex::default(),
            gate: Gate::default(),
        }
    }
}

impl ObjectImpl for StrataSink {
    fn properties() -> &'static [glib::ParamSpec] {
        &properties::PROPERTIES
    }

    fn signals() -> &'static [Signal] {
        &properties::SIGNALS
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        properties::get(pspec.name(), &settings, self.session().as_deref())
    }

    /// What a running sender does not take changes nothing, and is told by a warning. Of two limits that do not fit each
    /// other the second one may be on its way: they are kept, and told of too.
    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let warning = {
            let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
            let settings = || self.settings.lock().unwrap_or_else(PoisonError::into_inner);
            let next = properties::set(pspec.name(), value, &settings());
            let session = self.session();
            let applied = session.as_ref().map_or(Ok(()), |session| session.apply(&next));
            let limits = session.is_some() && matches!(pspec.name(), "min-bitrate" | "max-bitrate");
            match applied {
                Err(error) => Some(error.to_string()),
                Ok(()) => {
                    let unfit = next.adaptation().err().filter(|_| limits);
                    *settings() = next;
                    unfit.map(|error| format!("{error}; until they fit, the source keeps the limits it has"))
                }
            }
        };
        if let Some(warning) = warning {
            gst::element_imp_warning!(self, gst::LibraryError::Settings, ("{warning}"));
        }
    }
}

impl GstObjectImpl for StrataSink {}

impl ElementImpl for StrataSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Strata bonded RIST sink",
                "Sink/Network",
                "Sends an MPEG transport stream by RIST over several links at once",
                "The Strata developers",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let caps = gst::Caps::builder("video/mpegts").field("systemstream", true).build();
            let (direction, presence) = (gst::PadDirection::Sink, gst::PadPresence::Always);
            gst::PadTemplate::new("sink", direction, presence, &caps).into_iter().collect()
        });
        &TEMPLATES
    }
}

impl BaseSinkImpl for StrataSink {
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let settings = self.settings.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let session = Session::start(&settings).map_err(|error| error.message())?;
        let session = Arc::new(session);
        let ticker = watch(&self.obj(), Arc::clone(&self.settings), Arc::clone(&session));
        let ticker = ticker.map_err(|error| error.message())?;
        *self.running() = Some(Running { session, ticker });
        Ok(())
    }

    fn stop(&self) -> Result<(), gst::ErrorMessage> {
        let running = self.running().take();
        if let Some(Running { session, ticker }) = running {
            drop(ticker);
            session.stop();
        }
        *self.cutter() = Cutter::default();
        Ok(())
    }

    fn set_caps(&self, caps: &gst::Caps) -> Result<(), gst::LoggableError> {
        let size = caps.structure(0).and_then(|structure| structure.get::<i32>("packetsize").ok());
        match size.filter(|size| *size != 188) {
            None => Ok(()),
            Some(size) => Err(gst::loggable_error!(CAT, "packets of {size} bytes; expected 188")),
        }
    }

    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        // Copied once: what is kept to be repeated would keep a pool of upstream's empty.
        self.take(Bytes::copy_from_slice(&map))
    }

    /// A multiplexer's list has a buffer for each packet; together they fill payloads.
    fn render_list(&self, list: &gst::BufferList) -> Result<gst::FlowSuccess, gst::FlowError> {
        let mut data = BytesMut::with_capacity(list.calculate_size());
        for buffer in list.iter() {
            data.extend_from_slice(&buffer.map_readable().map_err(|_| gst::FlowError::Error)?);
        }
        self.take(data.freeze())
    }

    fn event(&self, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Eos(_) => {
                if let Some(session) = self.session() {
                    session.drain(&self.gate);
                }
            }
            gst::EventView::FlushStop(_) => self.cutter().reset(),
            _ => {}
        }
        self.parent_event(event)
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
