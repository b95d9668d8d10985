//! Small bridges to GStreamer: building from text, and errors in our terms.

use std::path::Path;

use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use tokio::sync::mpsc;

use super::error::PipelineError;

/// Messages of a bus that wait for the driver; more of them are dropped, which can only hide warnings.
pub(super) const BUS_QUEUE: usize = 64;

/// Builds a pipeline from its description.
pub(super) fn parse(description: &str) -> Result<gst::Pipeline, PipelineError> {
    let element = gst::parse::launch(description).map_err(|e| {
        let text = e.message().to_owned();
        match e.kind::<gst::ParseError>() {
            Some(gst::ParseError::NoSuchElement) => {
                let element = text.split('"').nth(1).unwrap_or(&text).to_owned();
                PipelineError::MissingElement { element }
            }
            _ => PipelineError::Element { element: "pipeline".into(), reason: text },
        }
    })?;
    element.downcast().map_err(|_| PipelineError::Element {
        element: "pipeline".into(),
        reason: "the description is not a pipeline".into(),
    })
}

/// An element that the description named.
pub(super) fn named<T: IsA<gst::Element>>(pipeline: &gst::Pipeline, name: &str) -> Result<T, PipelineError> {
    let found = pipeline.by_name(name).and_then(|e| e.downcast().ok());
    found.ok_or_else(|| PipelineError::MissingElement { element: name.to_owned() })
}

/// Starts it; what is wrong comes from the bus if it says more than that it failed.
pub(super) fn play(pipeline: &gst::Pipeline) -> Result<(), PipelineError> {
    pipeline.set_state(gst::State::Playing).map(drop).map_err(|_| {
        let message = pipeline.bus().and_then(|bus| bus.pop_filtered(&[gst::MessageType::Error]));
        match message.as_ref().map(|m| m.view()) {
            Some(gst::MessageView::Error(error)) => from_message(error),
            _ => PipelineError::Element { element: "pipeline".into(), reason: "it does not start".into() },
        }
    })
}

/// Where GStreamer finds a file.
pub(super) fn file_uri(path: &Path) -> Result<String, PipelineError> {
    let absolute = std::path::absolute(path).map_err(|e| PipelineError::Config {
        field: "source.path",
        reason: format!("{}: {e}", path.display()),
    })?;
    glib::filename_to_uri(&absolute, None).map(String::from).map_err(|e| PipelineError::Config {
        field: "source.path",
        reason: format!("{}: {e}", path.display()),
    })
}

/// What a bus says that a driver must know.
#[derive(Debug)]
pub(super) enum BusEvent {
    Eos,
    Error(PipelineError),
    Warning(String),
}

/// Hands the messages of a pipeline's bus to a driver, wrapped by `wrap`.
pub(super) fn watch<T: Send + 'static>(
    pipeline: &gst::Pipeline,
    events: mpsc::Sender<T>,
    wrap: impl Fn(BusEvent) -> T + Send + Sync + 'static,
) {
    let Some(bus) = pipeline.bus() else { return };
    bus.set_sync_handler(move |_, message| {
        if let Some(event) = event(message) {
            // The last places are for what ends a pipeline.
            if !matches!(event, BusEvent::Warning(_)) || events.capacity() > BUS_QUEUE / 2 {
                let _ = events.try_send(wrap(event));
            }
        }
        gst::BusSyncReply::Drop
    });
}

/// What a message means to a driver, if anything.
pub(super) fn event(message: &gst::Message) -> Option<BusEvent> {
    match message.view() {
        gst::MessageView::Eos(_) => Some(BusEvent::Eos),
        gst::MessageView::Error(error) => Some(BusEvent::Error(from_message(error))),
        gst::MessageView::Warning(warning) => {
            let element = source_name(warning.src());
            Some(BusEvent::Warning(format!("{element}: {}", warning.error().message())))
        }
        _ => None,
    }
}

fn from_message(message: &gst::message::Error) -> PipelineError {
    let detail = message.debug().map(|text| text.to_string());
    from_error(source_name(message.src()), &message.error(), detail.as_deref())
}

/// Whose fault an error is.
pub(super) fn from_error(element: String, error: &glib::Error, detail: Option<&str>) -> PipelineError {
    // The last line of the detail says what the message leaves out; the first ones are GStreamer's own sources.
    let detail = detail.and_then(|text| text.lines().next_back()).filter(|line| !line.contains(".c("));
    let reason = match detail {
        Some(detail) if detail != error.message() => format!("{} ({detail})", error.message()),
        _ => error.message().to_owned(),
    };
    match (error.kind::<gst::ResourceError>(), error.kind::<gst::StreamError>()) {
        (Some(gst::ResourceError::NotFound), _) => PipelineError::NotFound { element, reason },
        (Some(_), _) => PipelineError::Unusable { element, reason },
        (
            _,
            Some(
                gst::StreamError::TypeNotFound
                | gst::StreamError::WrongType
                | gst::StreamError::CodecNotFound,
            ),
        ) => PipelineError::Unsupported { element, reason },
        _ => PipelineError::Element { element, reason },
    }
}

fn source_name(object: Option<&gst::Object>) -> String {
    object.map_or_else(|| "pipeline".to_owned(), |o| o.name().to_string())
}
