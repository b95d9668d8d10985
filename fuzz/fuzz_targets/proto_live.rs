//! Text frames of the live WebSocket, both directions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strata_proto::control::{LiveFrame, LiveRequest};

fuzz_target!(|text: &str| {
    if let Ok(request) = LiveRequest::decode(text) {
        let again = serde_json::to_string(&request).expect("what was read can be written");
        assert_eq!(LiveRequest::decode(&again).expect("and read"), request);
    }
    if let Ok(frame) = LiveFrame::decode(text) {
        let again = serde_json::to_string(&frame).expect("what was read can be written");
        assert_eq!(LiveFrame::decode(&again).expect("and read"), frame);
    }
});
