//! Lines of a receiver's control socket, both directions.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strata_proto::control::{ReceiverCommand, ReceiverEvent};

fuzz_target!(|line: &str| {
    if let Ok(command) = ReceiverCommand::decode(line) {
        let again = serde_json::to_string(&command).expect("what was read can be written");
        assert_eq!(ReceiverCommand::decode(&again).expect("and read"), command);
    }
    if let Ok(event) = ReceiverEvent::decode(line) {
        let again = serde_json::to_string(&event).expect("what was read can be written");
        assert_eq!(ReceiverEvent::decode(&again).expect("and read"), event);
    }
});
