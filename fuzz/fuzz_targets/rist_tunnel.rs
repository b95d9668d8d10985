//! A listener under any sequence of operations: raw datagrams, those of clients with the right and a wrong key, changed
//! and repeated ones, time. What it keeps and answers is bounded, and who has another key is never heard: nothing it
//! sends, whole or cut off, gives RTP or RTCP, or is answered. What is changed on its way may be heard, as there is no
//! integrity check.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

#[path = "../../strata-media/tests/hostile/operations/mod.rs"]
mod operations;

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| operations::tunnel::run(Instant::now(), data));
