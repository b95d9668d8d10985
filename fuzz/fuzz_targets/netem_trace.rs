//! A recorded capacity in Mahimahi's format, from a file that somebody names.
#![no_main]

use std::time::Duration;

use libfuzzer_sys::fuzz_target;
use strata_media::testing::netem::Trace;

fuzz_target!(|text: &str| {
    match text.parse::<Trace>() {
        Ok(trace) => {
            let lines = text.lines().filter(|line| !line.trim().is_empty()).count() as u64;
            let length = trace.length();
            assert!(!length.is_zero());
            // What is noted for the last ms comes before what is noted for 0: after the end of a round nothing of it is left.
            let until = |offset| trace.bytes_until(offset);
            assert_eq!(
                until(length + Duration::from_millis(1)) - until(Duration::from_millis(1)),
                lines * 1500
            );
            assert!(until(Duration::ZERO) <= until(length / 2) && until(length / 2) <= until(length));
            assert_eq!(trace.mean_rate_bps(), lines * 1500 * 8 * 1000 / length.as_millis() as u64);
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
