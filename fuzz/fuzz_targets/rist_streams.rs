//! Many streams at one place, under any sequence of operations: packets of any source from any host, reports, farewells, raw datagrams,
//! time. There are never more than there is room for, each is told of before it gives packets and once when it is over, and each
//! gives its packets in order.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

#[path = "../../strata-media/tests/hostile/operations/mod.rs"]
mod operations;

use std::time::Instant;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| operations::streams::run(Instant::now(), data));
