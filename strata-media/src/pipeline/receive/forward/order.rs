//! What goes out of a multiplexer goes forward in time.

use std::sync::{Mutex, PoisonError};

use gstreamer as gst;
use gstreamer::prelude::*;

/// Where one of its streams is.
#[derive(Debug, Default)]
struct Order {
    /// Time of what passed last.
    last: Option<gst::ClockTime>,
    /// Something was left out that pictures need until one that stands alone.
    broken: bool,
}

impl Order {
    /// Whether what has this time passes; `delta` needs what was before it.
    fn passes(&mut self, time: Option<gst::ClockTime>, delta: bool) -> bool {
        let back = time.is_some() && time < self.last;
        self.broken = back || self.broken && delta;
        self.last = self.last.max(time);
        !self.broken
    }
}

/// Leaves out what a stream that began anew gives before the time it has reached: servers end connections over it.
pub(super) fn keep(pad: &gst::Pad) {
    let order = Mutex::new(Order::default());
    pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(buffer) = info.buffer() else { return gst::PadProbeReturn::Ok };
        let delta = buffer.flags().contains(gst::BufferFlags::DELTA_UNIT);
        let passes = order.lock().unwrap_or_else(PoisonError::into_inner).passes(buffer.dts_or_pts(), delta);
        if passes { gst::PadProbeReturn::Ok } else { gst::PadProbeReturn::Drop }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_back_is_left_out_and_what_needs_it() {
        let mut order = Order::default();
        let mut passes = |ms: u64, delta: bool| order.passes(Some(gst::ClockTime::from_mseconds(ms)), delta);
        assert!(passes(0, false) && passes(40, true) && passes(40, true));
        assert!(!passes(20, false) && !passes(60, true), "no picture to begin with");
        assert!(passes(80, false) && passes(120, true));
        assert!(order.passes(None, true), "what has no time is the multiplexer's");
        assert!(!order.passes(Some(gst::ClockTime::ZERO), false));
    }
}
