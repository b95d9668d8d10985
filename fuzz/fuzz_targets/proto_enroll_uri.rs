//! What somebody types or scans to enrol a device.

#![no_main]

use libfuzzer_sys::fuzz_target;
use strata_proto::token::EnrollUri;

fuzz_target!(|text: &str| {
    if let Ok(uri) = text.parse::<EnrollUri>() {
        assert_eq!(uri.to_string().parse::<EnrollUri>().expect("what was written can be read"), uri);
    }
});
