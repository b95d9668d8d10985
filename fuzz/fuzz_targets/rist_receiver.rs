//! A receiver under any sequence of operations: raw datagrams, valid packets with any header, reports, time.
//! Output is in order, and what it keeps and sends is bounded.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

#[path = "../../strata-media/tests/hostile/operations/mod.rs"]
mod operations;

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| operations::receiver::run(Instant::now(), data));
