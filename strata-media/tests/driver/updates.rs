//! Updates of a running sender, over sockets: good and bad ones at random. One that cannot be changes nothing, however much of it
//! could; of every other one there is what it says.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use strata_media::bond::{BondStats, Mode, SchedulerParams};
use strata_media::net::{
    LinkConfig, Profile, Receiver, ReceiverConfig, Sender, SenderConfig, SenderUpdate, receiver, sender,
};
use tokio::task::JoinHandle;
use tokio::time::{Instant, interval};

/// Longer than this process is held up.
const LATENCY: Duration = Duration::from_secs(1);
/// Updates of one stream.
const ROUNDS: usize = 30;
/// Links that are always there carry the stream, and copies of it; the numbers of the others.
const STEADY: u32 = 2;
const OTHERS: std::ops::Range<u32> = STEADY..6;

/// What a sender was last told.
#[derive(Debug, Clone)]
struct Told {
    links: BTreeMap<u32, (LinkConfig, bool)>,
    copies: bool,
}

impl Told {
    /// Whether the statistics say so of every link.
    fn shows(&self, stats: &BondStats) -> bool {
        let shown: BTreeMap<_, _> = stats.links.iter().map(|link| (link.id, link)).collect();
        shown.keys().eq(self.links.keys())
            && shown.iter().all(|(id, shown)| {
                let (link, enabled) = &self.links[id];
                // What its user cannot help is told first.
                let error = match &link.interface {
                    Some(name) if name != "lo" => Some("No such device"),
                    _ if !enabled => Some("it is disabled"),
                    _ => None,
                };
                let as_expected = match (&shown.error, error) {
                    (Some(shown), Some(error)) => shown.contains(error),
                    (shown, error) => shown.is_none() && error.is_none(),
                };
                shown.interface == link.interface && as_expected
            })
    }

    /// What can be, and that it was told.
    fn good(&mut self, random: &mut StdRng, remotes: &[SocketAddr]) -> SenderUpdate {
        let mut update = SenderUpdate::default();
        if random.random() {
            self.copies = random.random();
            let mut params = SchedulerParams::new(Mode::Economy);
            params.redundancy.enabled = self.copies;
            params.redundancy.spare_ratio = 1.0;
            update.scheduler = Some(params);
        }
        for id in OTHERS {
            let mut link = LinkConfig::new(id, remotes[random.random_range(0..remotes.len())]);
            match random.random_range(0..6) {
                0 if self.links.remove(&id).is_some() => update.remove.push(id),
                1 => link.interface = Some("lo".to_owned()),
                2 => link.interface = Some("nosuchif0".to_owned()),
                3 => (link.backup, link.weight) = (random.random(), random.random_range(0..10)),
                4 if let Some((_, enabled)) = self.links.get_mut(&id) => {
                    *enabled = !*enabled;
                    update.enabled.push((id, *enabled));
                }
                _ => {}
            }
            if random.random_range(0..4) == 0 && !update.remove.contains(&id) {
                let enabled = self.links.get(&id).is_none_or(|(_, enabled)| *enabled);
                self.links.insert(id, (link.clone(), enabled));
                update.links.push(link);
            }
        }
        update
    }
}

/// Makes of an update that can be one that cannot: the field that says so.
fn spoil(update: &mut SenderUpdate, random: &mut StdRng) -> String {
    let count = update.links.len();
    match random.random_range(0..7) {
        0 => {
            let mut params = SchedulerParams::new(Mode::Robust);
            params.failover.suspect_after = Duration::from_millis(49);
            update.scheduler = Some(params);
            "scheduler.failover_suspect_ms".to_owned()
        }
        1 => {
            update.latency = Some(Duration::from_secs(61));
            "latency".to_owned()
        }
        2 => {
            update.links.push(LinkConfig::new(99, ([127, 0, 0, 1], 0).into()));
            format!("links[{count}].remote")
        }
        3 => {
            let twice = LinkConfig::new(99, ([127, 0, 0, 1], 6000).into());
            update.links.extend([twice.clone(), twice]);
            format!("links[{}].id", count + 1)
        }
        4 => {
            update.remove.push(99);
            format!("remove[{}]", update.remove.len() - 1)
        }
        5 => {
            update.enabled.push((99, false));
            format!("enabled[{}]", update.enabled.len() - 1)
        }
        _ => {
            let many = 100..116;
            update.links.extend(many.map(|id| LinkConfig::new(id, ([127, 0, 0, 1], 6000).into())));
            "links".to_owned()
        }
    }
}

/// A stream that goes on, and must arrive in order and without a gap.
struct Stream {
    sender: Arc<Sender>,
    received: Receiver,
    /// Payloads that were given.
    given: Arc<AtomicU32>,
    next: u32,
    source: JoinHandle<()>,
}

impl Stream {
    fn start(profile: Profile) -> (Self, Told) {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let config = ReceiverConfig::new(vec![any; 3]).with_latency(LATENCY);
        let (received, driver) = receiver(config).unwrap();
        tokio::spawn(driver.run());
        let links: Vec<_> =
            (0..STEADY).map(|id| LinkConfig::new(id, received.local_addrs()[id as usize])).collect();
        // So long that it would be seen if it stayed.
        let config = SenderConfig::new(links.clone()).with_latency(LATENCY * 60).with_profile(profile);
        let (handle, driver) = sender(config.with_waiting_source()).unwrap();
        tokio::spawn(driver.run());
        let (sender, given) = (Arc::new(handle), Arc::<AtomicU32>::default());
        let (giving, counted) = (sender.clone(), given.clone());
        let source = tokio::spawn(async move {
            let mut tick = interval(Duration::from_millis(2));
            for number in 0u32.. {
                tick.tick().await;
                giving.send(Bytes::from([number.to_be_bytes(); 50].concat())).await.unwrap();
                counted.store(number + 1, Ordering::Relaxed);
            }
        });
        let links = links.into_iter().map(|link| (link.id, (link, true))).collect();
        (Self { sender, received, given, next: 0, source }, Told { links, copies: false })
    }

    /// Goes on until the statistics are as they should be.
    async fn until(&mut self, wanted: impl Fn(&BondStats) -> bool) -> BondStats {
        loop {
            let stats = self.sender.stats();
            if wanted(&stats) {
                return stats;
            }
            let packet = self.received.recv().await.unwrap();
            assert_eq!((&packet.payload[..4], packet.lost_before), (&self.next.to_be_bytes()[..], 0));
            self.next += 1;
        }
    }

    /// Statistics of a time when so many payloads were sent that are not given yet.
    async fn later(&mut self, payloads: u32) -> BondStats {
        let given = self.given.load(Ordering::Relaxed) + payloads;
        self.until(|stats| stats.packets >= u64::from(given)).await
    }
}

async fn updates_at_random(seed: u64, profile: Profile) {
    let mut random = StdRng::seed_from_u64(seed);
    let (mut stream, mut told) = Stream::start(profile);
    let remotes = stream.received.local_addrs().to_vec();
    stream.until(|stats| stats.links.iter().all(|link| link.rtt_ms > Some(0.0))).await;
    let (mut refused, mut copied) = (0, [0, 0]);
    for _ in 0..ROUNDS {
        let mut next = told.clone();
        let mut update = next.good(&mut random, &remotes);
        if random.random() {
            let field = spoil(&mut update, &mut random);
            let error = stream.sender.update(update).unwrap_err().to_string();
            assert!(error.starts_with(&format!("invalid {field}: ")), "{error}, not of {field}");
            refused += 1;
        } else {
            stream.sender.update(update).unwrap();
            told = next;
            stream.until(|stats| told.shows(stats)).await;
        }
        let before = stream.later(1).await;
        let after = stream.later(40).await;
        assert!(told.shows(&after), "seed {seed}: {told:?}, {after:?}");
        if told.copies {
            // A link that is behind, as this process was held up, gets none until it no longer is.
            stream.until(|stats| stats.copied > before.copied).await;
        } else {
            assert_eq!(after.copied, before.copied, "seed {seed}: {before:?}, {after:?}");
        }
        copied[usize::from(told.copies)] += 1;
    }
    assert!((5..ROUNDS - 5).contains(&refused) && copied.iter().all(|rounds| *rounds > 2), "{copied:?}");
    stream.source.abort();
    // Before any of these it would have taken as long as it was told at first.
    for latency in [Duration::from_millis(400), Duration::from_millis(100)] {
        let changed = SenderUpdate { latency: Some(latency), ..SenderUpdate::default() };
        stream.sender.update(changed).unwrap();
        stream.sender.finish().await.unwrap();
        let start = Instant::now();
        stream.sender.send(Bytes::from_static(b"last")).await.unwrap();
        stream.sender.finish().await.unwrap();
        let took = start.elapsed();
        assert!(took >= latency, "{took:?} of {latency:?}");
    }
}

#[tokio::test]
async fn an_update_applies_as_a_whole_or_not_at_all() {
    for (seed, profile) in [(1, Profile::Simple), (2, Profile::Main)] {
        updates_at_random(seed, profile).await;
    }
}
