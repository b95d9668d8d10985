//! A link that waits to be called, under any sequence of operations: receivers that call and answer or do not, from any address, with the
//! right and a wrong key, changed and repeated datagrams, media, time. Media goes only to an address that has answered what it was
//! asked, and what is said to others is bounded.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

#[path = "../../strata-media/tests/hostile/operations/mod.rs"]
mod operations;

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| operations::host::run(Instant::now(), data));
