//! The links of the scenarios by which bonding engines are compared.

use strata_media::testing::netem::{Config, Loss, Outage};

use super::{MS, SECOND};

/// One of 20 Mbit/s, 25 ms, 0.5 %.
pub(crate) fn s1() -> Vec<Config> {
    vec![Config::simple(20_000_000, MS * 25, 0.005)]
}

/// 10 Mbit/s 40 ms 1 % and 5 Mbit/s 80 ms 2 %, 200 ms of queue.
pub(crate) fn s2() -> Vec<Config> {
    vec![Config::simple(10_000_000, MS * 40, 0.01), Config::simple(5_000_000, MS * 80, 0.02)]
}

/// The same, with the first one gone for ten seconds.
pub(crate) fn s3() -> Vec<Config> {
    let mut links = s2();
    links[0].outages = vec![Outage { start: SECOND * 15, length: SECOND * 10 }];
    links
}

/// Three links, each too small alone, with losses in bursts.
pub(crate) fn s4() -> Vec<Config> {
    let link = |mbit: u64, ms: u32| Config {
        loss: Loss::bursts(0.01, 5.0),
        ..Config::simple(mbit * 1_000_000, MS * ms, 0.0)
    };
    vec![link(8, 30), link(6, 60), link(4, 120)]
}
