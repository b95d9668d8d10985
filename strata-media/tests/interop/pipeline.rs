//! A GStreamer pipeline of a test.

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::{AppSink, AppSinkCallbacks};
use tokio::sync::mpsc;

/// A pipeline at work; ends when dropped.
pub(crate) struct Pipeline(pub(crate) gst::Pipeline);

impl Pipeline {
    pub(crate) fn start(description: &str) -> Self {
        let pipeline = Self::new(description);
        pipeline.0.set_state(gst::State::Playing).unwrap();
        pipeline
    }

    /// One that is to be started.
    pub(crate) fn new(description: &str) -> Self {
        gst::init().unwrap();
        strata_media::gst::register(None).unwrap();
        let element = gst::parse::launch(description).unwrap_or_else(|error| {
            panic!("{description}: {error}; `make setup` installs GStreamer's plugins")
        });
        Self(element.downcast().unwrap())
    }

    pub(crate) fn element<T: IsA<gst::Element>>(&self, name: &str) -> T {
        self.0.by_name(name).unwrap().downcast().unwrap_or_else(|_| panic!("{name} is of another type"))
    }

    /// What the `appsink` of this name is given.
    pub(crate) fn output(&self, name: &str) -> mpsc::UnboundedReceiver<Bytes> {
        self.taken(name, |sample| {
            let map = sample.buffer()?.map_readable().ok()?;
            Some(Bytes::copy_from_slice(&map))
        })
    }

    /// The same with its flags and time stamps.
    pub(crate) fn samples(&self, name: &str) -> mpsc::UnboundedReceiver<gst::Sample> {
        self.taken(name, Some)
    }

    fn taken<T: Send + 'static>(
        &self,
        name: &str,
        take: impl Fn(gst::Sample) -> Option<T> + Send + 'static,
    ) -> mpsc::UnboundedReceiver<T> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let take = move |sink: &AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let _ = sender.send(take(sample).ok_or(gst::FlowError::Error)?);
            Ok(gst::FlowSuccess::Ok)
        };
        self.element::<AppSink>(name).set_callbacks(AppSinkCallbacks::builder().new_sample(take).build());
        receiver
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}
