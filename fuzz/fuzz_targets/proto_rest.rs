//! Bodies of the REST API; the first byte chooses which.

#![no_main]

use std::fmt::Debug;

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strata_proto::control::{
    DestinationCreate, DestinationUpdate, DestinationView, LoginRequest, LoginTokens, Problem,
    RefreshRequest, SenderCreate, SenderCreated, SenderUpdate, SenderView, StartStream, StopStream,
    StreamView, UpdateStream,
};
use strata_proto::error::from_json;

fuzz_target!(|input: (u8, &str)| {
    let bodies: [fn(&str); 15] = [
        check::<DestinationCreate>,
        check::<DestinationUpdate>,
        check::<DestinationView>,
        check::<LoginRequest>,
        check::<LoginTokens>,
        check::<Problem>,
        check::<RefreshRequest>,
        check::<SenderCreate>,
        check::<SenderCreated>,
        check::<SenderUpdate>,
        check::<SenderView>,
        check::<StartStream>,
        check::<StopStream>,
        check::<StreamView>,
        check::<UpdateStream>,
    ];
    bodies[usize::from(input.0) % bodies.len()](input.1);
});

fn check<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &str) {
    if let Ok(body) = from_json::<T>(text, "") {
        let again = serde_json::to_string(&body).expect("what was read can be written");
        assert_eq!(from_json::<T>(&again, "").expect("and read"), body);
    }
}
