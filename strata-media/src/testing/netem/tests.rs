use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[expect(clippy::disallowed_methods, reason = "any point in time will do as the start of virtual time")]
fn start() -> Instant {
    Instant::now()
}

/// Pushes `count` packets of `size`, one every `every`, and gives arrival times (from the start) and numbers.
fn run(
    config: Config,
    seed: u64,
    count: u32,
    size: usize,
    every: Duration,
) -> (Vec<(Duration, u32)>, LinkStats) {
    let (mut link, t0) = (Link::new(config, seed), start());
    let mut out = Vec::new();
    let mut drain = |link: &mut Link<Vec<u8>>, until: Instant| {
        while let Some(at) = link.next_event().filter(|&at| at <= until) {
            while let Some(d) = link.poll(at) {
                out.push((d.at - t0, u32::from_be_bytes(d.packet[..4].try_into().unwrap())));
            }
        }
    };
    for n in 0..count {
        let now = t0 + every * n;
        drain(&mut link, now);
        let mut packet = vec![0; size];
        packet[..4].copy_from_slice(&n.to_be_bytes());
        link.push(now, packet);
    }
    drain(&mut link, t0 + Duration::from_secs(3600));
    let stats = link.stats();
    (out, stats)
}

fn rated(bps: u64) -> Config {
    Config { rate_bps: Some(bps), overhead: 0, queue: Queue::Bytes(usize::MAX), ..Config::default() }
}

#[test]
fn a_link_without_settings_passes_everything_at_once() {
    let (out, stats) = run(Config::default(), 0, 100, 1000, ms(1));
    assert!(out.iter().all(|&(at, n)| at == ms(1) * n));
    assert_eq!((out.len(), stats.delivered), (100, 100));
}

#[test]
fn rate_and_delay_add_up() {
    // 1000 bytes at 1 Mbit/s take 8 ms; all come at once and leave one after the other.
    let (out, stats) = run(Config { delay: ms(40), ..rated(1_000_000) }, 0, 10, 1000, Duration::ZERO);
    let expected: Vec<_> = (0..10).map(|n| (ms(48) + ms(8) * n, n)).collect();
    assert_eq!(out, expected);
    assert_eq!(stats.delay, expected.iter().map(|(took, _)| *took).sum());
}

#[test]
fn headers_take_their_time() {
    let (out, _) = run(Config { overhead: 28, ..rated(1_000_000) }, 0, 1, 972, Duration::ZERO);
    assert_eq!(out, [(ms(8), 0)]);
}

#[test]
fn a_full_queue_drops_its_tail() {
    let config = Config { queue: Queue::Bytes(3000), ..rated(1_000_000) };
    let (out, stats) = run(config, 0, 10, 1000, Duration::ZERO);
    assert_eq!(out.iter().map(|o| o.1).collect::<Vec<_>>(), [0, 1, 2]);
    assert_eq!((stats.queue_dropped, stats.queued_bytes_max, stats.queued_bytes), (7, 3000, 0));
}

#[test]
fn a_queue_in_time_is_worth_its_bytes() {
    let config = Config { queue: Queue::Time(ms(200)), ..rated(1_000_000) };
    let (out, _) = run(config, 0, 100, 1000, Duration::ZERO);
    assert_eq!(out.last(), Some(&(ms(200), 24)));
}

#[test]
fn jitter_keeps_order_unless_told() {
    let config = Config { delay: ms(20), jitter: ms(50), ..Config::default() };
    let (out, _) = run(config.clone(), 3, 500, 100, ms(1));
    assert!(out.windows(2).all(|w| w[0].1 < w[1].1));
    let (out, _) = run(Config { jitter_reorders: true, ..config }, 3, 500, 100, ms(1));
    assert!(out.windows(2).any(|w| w[0].1 > w[1].1));
    assert!(out.iter().all(|&(at, n)| (ms(20)..=ms(70)).contains(&(at - ms(1) * n))));
}

#[test]
fn reordering_and_duplication_happen_as_often_as_told() {
    let config = Config { reorder: 0.1, duplicate: 0.05, ..Config::default() };
    let (out, stats) = run(config, 4, 10_000, 100, ms(1));
    assert!((900..1100).contains(&stats.reordered), "{stats:?}");
    assert!((400..600).contains(&stats.duplicated), "{stats:?}");
    assert_eq!(out.len() as u64, 10_000 + stats.duplicated);
    assert!(out.windows(2).any(|w| w[0].1 > w[1].1));
}

#[test]
fn bursts_have_their_rate_and_mean_length() {
    let config = Config { loss: Loss::bursts(0.02, 5.0), ..Config::default() };
    let (out, stats) = run(config, 5, 200_000, 4, ms(1));
    let rate = stats.lost as f64 / 200_000.0;
    let bursts = out.windows(2).filter(|w| w[1].1 - w[0].1 > 1).count();
    let mean = stats.lost as f64 / bursts as f64;
    assert!((0.017..0.023).contains(&rate), "{rate}");
    assert!((4.5..5.5).contains(&mean), "{mean}");
}

#[test]
fn an_outage_loses_what_is_sent_in_it() {
    let outages = vec![Outage { start: ms(10), length: ms(20) }];
    let (out, stats) = run(Config { outages, delay: ms(100), ..Config::default() }, 0, 50, 10, ms(1));
    let left: Vec<_> = (0..10).chain(30..50).collect();
    assert_eq!(out.iter().map(|o| o.1).collect::<Vec<_>>(), left);
    assert_eq!(stats.outage_lost, 20);
}

#[test]
fn an_outage_by_hand_begins_and_ends() {
    let (mut link, t0) = (Link::new(Config::default(), 0), start());
    link.set_down(t0, true);
    link.push(t0, vec![1]);
    link.set_down(t0, false);
    link.push(t0, vec![2]);
    assert_eq!(link.poll(t0).map(|d| d.packet), Some(vec![2]));
    assert_eq!(link.poll(t0), None);
}

#[test]
fn a_new_rate_counts_from_where_the_packet_is() {
    let (mut link, t0) = (Link::new(rated(8_000), 0), start());
    link.push(t0, vec![0; 1000]);
    assert_eq!(link.next_event(), Some(t0 + ms(1000)));
    link.configure(t0 + ms(500), rated(80_000));
    assert_eq!(link.next_event(), Some(t0 + ms(550)));
}

#[test]
fn a_trace_gives_its_chances_and_starts_over() {
    let trace: Trace = "5\n5\n10\n".parse().unwrap();
    assert_eq!((trace.length(), trace.mean_rate_bps()), (ms(10), 3_600_000));
    let config = Config {
        trace: Some(Arc::new(trace)),
        overhead: 0,
        queue: Queue::Bytes(usize::MAX),
        ..Config::default()
    };
    let (out, _) = run(config.clone(), 0, 7, 1500, Duration::ZERO);
    let times: Vec<_> = out.iter().map(|o| o.0.as_millis()).collect();
    assert_eq!(times, [5, 5, 10, 15, 15, 20, 25]);
    // Small packets share a chance, big ones take several, and an unused chance is gone.
    let (out, _) = run(config.clone(), 0, 5, 750, Duration::ZERO);
    assert_eq!(out.iter().map(|o| o.0.as_millis()).collect::<Vec<_>>(), [5, 5, 5, 5, 10]);
    let (out, _) = run(config.clone(), 0, 2, 3000, Duration::ZERO);
    assert_eq!(out.iter().map(|o| o.0.as_millis()).collect::<Vec<_>>(), [5, 15]);
    let (out, _) = run(config, 0, 3, 1500, ms(6));
    assert_eq!(out.iter().map(|o| o.0.as_millis()).collect::<Vec<_>>(), [5, 10, 15]);
}

#[test]
fn a_trace_tells_what_it_carries_until_then() {
    let trace: Trace = "1\n1\n4\n".parse().unwrap();
    let bytes: Vec<_> =
        [0, 1, 2, 4, 5, 6, 8].map(|ms| trace.bytes_until(Duration::from_millis(ms)) / 1500).into();
    assert_eq!(bytes, [0, 0, 2, 2, 3, 5, 5]);
}

#[test]
fn bad_traces_name_their_line() {
    let error = |text: &str| text.parse::<Trace>().unwrap_err();
    assert_eq!(error("1\nx\n"), TraceError::NotATime { line: 2, text: "x".into() });
    assert_eq!(error("1\n-3\n"), TraceError::NotATime { line: 2, text: "-3".into() });
    assert_eq!(error("1\n\n9\n8\n"), TraceError::Decreases { line: 4, time: 8, previous: 9 });
    assert_eq!(error("\n \n"), TraceError::Empty);
    assert_eq!(error("0\n0\n"), TraceError::NoLength);
    assert_eq!(error("1\nx\n").to_string(), "line 2: \"x\" is not a time in whole milliseconds");
}

#[test]
fn links_that_cannot_be_are_refused() {
    let error = |config: Config| config.check().unwrap_err().to_string();
    assert_eq!(
        error(Config { duplicate: 1.5, ..Config::default() }),
        "duplicate is 1.5, expected a share from 0 to 1"
    );
    assert!(
        error(Config { loss: Loss::Random { rate: f64::NAN }, ..Config::default() }).starts_with("loss.rate")
    );
    assert!(error(Config { rate_bps: Some(0), ..Config::default() }).starts_with("rate_bps is 0"));
    assert_eq!(Config::simple(1, ms(1), 0.5).check(), Ok(()));
}

fn any_config() -> impl Strategy<Value = Config> {
    let loss = prop_oneof![
        Just(Loss::None),
        (0.0..0.5f64).prop_map(|rate| Loss::Random { rate }),
        (0.0..0.3f64, 1.0..10.0f64).prop_map(|(rate, mean)| Loss::bursts(rate, mean)),
    ];
    let trace = proptest::option::of(proptest::collection::vec(1..200u32, 1..20).prop_map(|mut times| {
        times.sort_unstable();
        let text: String = times.iter().map(|t| format!("{t}\n")).collect();
        Arc::new(text.parse::<Trace>().unwrap())
    }));
    (
        10_000..50_000_000u64,
        trace,
        2000..100_000usize,
        0..100u64,
        any::<bool>(),
        loss,
        0.0..0.2f64,
        0.0..0.2f64,
    )
        .prop_map(|(rate, trace, queue, jitter, jitter_reorders, loss, duplicate, reorder)| Config {
            rate_bps: Some(rate),
            trace,
            queue: Queue::Bytes(queue),
            delay: ms(30),
            jitter: ms(jitter),
            jitter_reorders,
            loss,
            duplicate,
            reorder,
            ..Config::default()
        })
}

proptest! {
    #[test]
    fn the_same_seed_does_the_same(config in any_config(), seed: u64, size in 4..1500usize) {
        prop_assert_eq!(run(config.clone(), seed, 200, size, ms(2)), run(config, seed, 200, size, ms(2)));
    }

    #[test]
    fn every_packet_is_accounted_for_and_the_queue_stays_bounded(
        config in any_config(), seed: u64, size in 4..1500usize, every in 0..5u64,
    ) {
        let Queue::Bytes(limit) = config.queue else { unreachable!() };
        let (out, s) = run(config, seed, 300, size, ms(every));
        prop_assert_eq!(s.pushed + s.duplicated, s.delivered + s.queue_dropped + s.lost + s.outage_lost);
        prop_assert_eq!(out.len() as u64, s.delivered);
        prop_assert!(s.queued_bytes_max <= limit);
        prop_assert_eq!(s.queued_bytes, 0);
    }

    #[test]
    fn a_busy_link_carries_its_rate_and_no_more(bps in 100_000..100_000_000u64, size in 100..1500usize, seed: u64) {
        let (out, _) = run(rated(bps), seed, 500, size, Duration::ZERO);
        let took = out.last().unwrap().0.as_secs_f64();
        let rate = (500 * size * 8) as f64 / took;
        prop_assert!((rate / bps as f64 - 1.0).abs() < 1e-3, "{} instead of {}", rate, bps);
    }

    #[test]
    fn polling_more_often_changes_nothing(config in any_config(), seed: u64) {
        let (mut eager, mut lazy, t0) = (Link::new(config.clone(), seed), Link::new(config, seed), start());
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for n in 0..400u32 {
            let now = t0 + ms(1) * n;
            if n % 3 == 0 && n < 300 {
                eager.push(now, vec![0; 4 + n as usize]);
                lazy.push(now, vec![0; 4 + n as usize]);
            }
            a.extend(std::iter::from_fn(|| eager.poll(now)));
        }
        let end = t0 + Duration::from_secs(600);
        a.extend(std::iter::from_fn(|| eager.poll(end)));
        b.extend(std::iter::from_fn(|| lazy.poll(end)));
        prop_assert_eq!(a, b);
    }

    #[test]
    fn any_text_is_a_trace_or_an_error(text in "[0-9 \n\\-x]{0,60}") {
        let _ = text.parse::<Trace>();
    }
}
