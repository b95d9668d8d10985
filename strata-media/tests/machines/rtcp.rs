//! What share of a stream RTCP takes, and how often it comes by each link (TR-06-1, 5.2.1). In virtual time.

use std::time::Duration;

use strata_media::testing::netem::Config;

use crate::world::spoken::HEADERS;
use crate::world::standard::Kind;
use crate::world::{MS, SECOND, World};

/// Between two datagrams of RTCP by a link there are at most 100 ms, however little is sent.
const MOST: Duration = MS.saturating_mul(100);
/// Of the bytes of media; headers of the network count with both.
const SHARE: f64 = 0.05;
/// Bit/s that a link must carry for the share to hold: with less, what is said every 90 ms decides. A Strata receiver says
/// 11 times in a second what arrived (76 bytes, and 12 per packet, each told twice), and twice asks for an echo (40 bytes); to
/// a standard one, a sender says as often that it is there, asks for an echo and answers one (104 bytes). That is a
/// twentieth of 221 and 176 kbit/s.
const LEAST: u64 = 225_000;
/// What was saved up before a stream began is used up after so many seconds at the latest, and so many are looked at.
const BEGIN: u32 = 6;
const LENGTH: u32 = 10;
const LINKS: [u64; 4] = [1, 2, 4, 16];
const BPS: [u64; 5] = [300_000, 1_000_000, 2_000_000, 5_000_000, 20_000_000];

/// Shares of RTCP there and back, and the longest times between two datagrams by a link, of a stream that has found what its
/// links carry.
fn spoken(links: u64, bps: u64, loss: f64, kind: Kind) -> [(f64, Duration); 2] {
    let link = |index: u64| Config::simple(40_000_000, MS * (20 + 10 * index as u32), loss);
    let configs: Vec<_> = (0..links).map(link).collect();
    let mut world = World::new(3, &configs, bps, SECOND).towards(kind);
    world.run(SECOND * BEGIN);
    world.spoken = Default::default();
    let media = |world: &World| world.seen.wire + world.seen.datagrams.0 * HEADERS;
    let before = media(&world);
    world.run(SECOND * LENGTH);
    let media = (media(&world) - before) as f64;
    world.spoken.each_ref().map(|spoken| (spoken.bytes as f64 / media, spoken.longest))
}

fn check(kind: Kind, ways: usize) {
    for (links, bps) in LINKS.into_iter().flat_map(|links| BPS.map(|bps| (links, bps))) {
        for loss in [0.0, 0.01] {
            for (way, (share, longest)) in spoken(links, bps, loss, kind).into_iter().take(ways).enumerate() {
                println!(
                    "{links} links, {bps} bit/s, loss {loss}, {way}: {:.2} %, {longest:?}",
                    share * 100.0
                );
                assert!(longest <= MOST, "{longest:?} by one of {links} links at {bps} bit/s");
                assert!(share <= SHARE || bps / links < LEAST, "{share} of {bps} bit/s by {links} links");
            }
        }
    }
}

#[test]
fn between_strata_ends_it_takes_a_twentieth_at_most() {
    check(Kind::Strata, 2);
}

/// What the receiver says is its own affair.
#[test]
fn so_it_does_towards_a_standard_receiver() {
    check(Kind::Standard, 1);
}
