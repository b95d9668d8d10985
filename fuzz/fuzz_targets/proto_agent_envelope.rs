//! Text frames that an agent may send.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strata_proto::control::{AgentMessage, Envelope, RawEnvelope};
use strata_proto::error::MAX_ERROR_TEXT;

fuzz_target!(|text: &str| {
    let _ = RawEnvelope::find_id(text);
    match Envelope::<AgentMessage>::decode(text) {
        Ok(envelope) => {
            let again = envelope.encode().expect("what was read can be written");
            assert_eq!(Envelope::<AgentMessage>::decode(&again).expect("and read"), envelope);
        }
        Err(error) => assert!(error.path.len() <= MAX_ERROR_TEXT && error.reason.len() <= MAX_ERROR_TEXT),
    }
});
