//! `strata netem`: a bad link between two real programs, which is `strata_media::testing::relay` with flags.

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use strata_daemon::Signals;
use strata_media::testing::netem::{Config, LinkStats, Loss, Outage, Queue, Trace};
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, RelayError, RelayStats, relay};

use crate::cli::{LOGS_PLACE, OF_LOGS};
use crate::end::{End, Failure};
use crate::lines::Lines;
use crate::units::{burst, duration, mappings, outage, queue, rate, share};

/// Emulate a bad network link between two programs that speak UDP.
///
/// Programs send to the address left of `=` instead of the one on its right. All ports given are one link: they share
/// its rate, its queue and its losses, each direction for itself. For several links start it several times.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Netem {
    /// Ports of the link, LISTEN=FORWARD; a range or single ports, both sides equally long; may be repeated
    #[arg(long = "map", value_name = "IP:PORT[-PORT]=IP:PORT[-PORT]", required = true, value_parser = mappings)]
    maps: Vec<Vec<Mapping>>,
    /// Rate in bit/s, headers included: 800k, 10M; unlimited if absent
    #[arg(long, value_parser = rate, conflicts_with = "trace")]
    rate: Option<u64>,
    /// Recorded capacity (Mahimahi format: per line the time in ms of a chance to send 1500 bytes) for clients → forward
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// One-way delay of each direction
    #[arg(long, default_value = "0ms", value_parser = duration)]
    delay: Duration,
    /// Additional random delay, from zero to this
    #[arg(long, default_value = "0ms", value_parser = duration)]
    jitter: Duration,
    /// Let jitter reorder packets
    #[arg(long)]
    jitter_reorders: bool,
    /// Share of packets lost: 1%, 0.01
    #[arg(long, default_value = "0%", value_parser = share)]
    loss: f64,
    /// Lose packets in bursts of this mean length instead of one by one
    #[arg(long, value_name = "PACKETS", value_parser = burst, requires = "loss")]
    burst: Option<f64>,
    /// Share of packets that arrive twice
    #[arg(long, default_value = "0%", value_parser = share)]
    duplicate: f64,
    /// Share of packets held back by 10 ms, so that later ones overtake them
    #[arg(long, default_value = "0%", value_parser = share)]
    reorder: f64,
    /// Room for waiting packets, as time at the rate (200ms) or bytes (256KB)
    #[arg(long, default_value = "200ms", value_parser = queue)]
    queue: Queue,
    /// Lose everything for a time, counted from the first packet: START+LENGTH, such as 10s+5s; may be repeated
    #[arg(long, value_name = "START+LENGTH", value_parser = outage)]
    outage: Vec<Outage>,
    /// Impair only clients → forward; answers pass with the delay alone
    #[arg(long)]
    up_only: bool,
    /// Address that packets are passed on from. Who tells links apart by their source, as librist does with the Simple
    /// Profile, needs another one for each
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    /// Same seed, same dice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print a line of statistics every second, as JSON
    #[arg(long, help_heading = OF_LOGS, display_order = LOGS_PLACE)]
    stats: bool,
}

const EXAMPLES: &str = "\
Examples:
  A cellular link in front of a RIST receiver that listens on 127.0.0.1:15000 (RTP) and 15001 (RTCP):
    strata netem --map 127.0.0.2:15000-15001=127.0.0.1:15000-15001 --rate 10M --delay 40ms --loss 1% --stats
  Bursts of five packets, a dead time of 10 s after 20 s:
    strata netem --map 127.0.0.2:15000-15001=127.0.0.1:15000-15001 --rate 5M --loss 1% --burst 5 --outage 20s+10s
  A recorded LTE uplink with 256 KB of buffer in the modem:
    strata netem --map 127.0.0.2:15000-15001=127.0.0.1:15000-15001 --trace Verizon.up --delay 45ms --queue 256KB

It runs until SIGINT or SIGTERM and then prints its statistics.

Exit codes:
  0  ended by a signal
  1  failed while running
  2  bad usage, or a trace that cannot be read
  3  an address cannot be listened on";

/// Runs until a signal.
pub(crate) async fn run(args: Netem, signals: &mut Signals) -> Result<End, Failure> {
    let config = config(&args)?;
    let mut lines = Lines::stdout().map_err(|error| Failure::Open(format!("standard output: {error}")))?;
    let (relay, driver) = relay(config).map_err(|error| match error {
        RelayError::Bind { .. } => Failure::Open(format!("--map: {error}")),
        RelayError::Source { .. } => Failure::Open(format!("--source: {error}")),
        RelayError::Forward { .. } => Failure::Usage(format!("--map: {error}")),
        RelayError::Family { .. } => Failure::Usage(format!("--source: {error}")),
        _ => Failure::Usage(error.to_string()),
    })?;
    for (mapping, local) in args.maps.iter().flatten().zip(relay.local_addrs()) {
        // Standard error may be closed, which is no reason to end.
        let _ = writeln!(io::stderr(), "udp {local} -> {}", mapping.forward);
    }
    tokio::select! {
        () = driver.run() => return Err(Failure::Running("the relay ended by itself".to_owned())),
        _ = signals.next() => {}
        () = print_stats(&relay, &mut lines), if args.stats => {}
    }
    lines.write(&line(&relay.stats()));
    Ok(End::Signal)
}

async fn print_stats(relay: &Relay, lines: &mut Lines) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        lines.write(&line(&relay.stats()));
    }
}

fn line(stats: &RelayStats) -> Value {
    let direction = |s: &LinkStats| {
        json!({
            "pushed": s.pushed, "delivered": s.delivered, "delivered_bytes": s.delivered_bytes,
            "queue_dropped": s.queue_dropped, "lost": s.lost, "outage_lost": s.outage_lost,
            "duplicated": s.duplicated, "reordered": s.reordered,
            "queued_bytes": s.queued_bytes, "queued_bytes_max": s.queued_bytes_max,
        })
    };
    json!({
        "up": direction(&stats.up), "down": direction(&stats.down),
        "clients": stats.clients, "refused": stats.refused, "send_errors": stats.send_errors,
    })
}

/// The relay that the flags describe.
fn config(args: &Netem) -> Result<RelayConfig, Failure> {
    let maps = args.maps.concat();
    if let Some(Mapping { listen, forward }) = maps.iter().find(|mapping| comes_back(mapping, &maps)) {
        let reason = format!("--map: {listen}={forward}: what is passed on comes back, again and again");
        return Err(Failure::Usage(reason));
    }
    let mut config = RelayConfig::new(maps, link(args)?);
    config.seed = args.seed;
    config.source = args.source;
    if args.trace.is_some() {
        config.down = Config { trace: None, rate_bps: None, ..config.down };
    }
    if args.up_only {
        config.down = Config { delay: args.delay, ..Config::default() };
    }
    Ok(config)
}

/// Whether what comes to a mapping is passed on to it again, by itself or by way of others.
fn comes_back(first: &Mapping, maps: &[Mapping]) -> bool {
    let mut at = first.forward;
    // A way that is longer has been somewhere twice: that one comes back, and is found by itself.
    for _ in maps {
        if hears(first.listen, at) {
            return true;
        }
        let Some(next) = maps.iter().find(|mapping| hears(mapping.listen, at)) else { return false };
        at = next.forward;
    }
    false
}

/// Whether what is sent to `to` comes to who listens at `listen`.
fn hears(listen: SocketAddr, to: SocketAddr) -> bool {
    let own = listen.ip().is_unspecified() && to.ip().is_loopback() && listen.is_ipv4() == to.is_ipv4();
    listen.port() == to.port() && (listen.ip() == to.ip() || own)
}

fn link(args: &Netem) -> Result<Config, Failure> {
    let trace = match &args.trace {
        None => None,
        Some(path) => {
            let refused = |error: String| Failure::Usage(format!("--trace: {}: {error}", path.display()));
            let text = std::fs::read_to_string(path).map_err(|error| refused(error.to_string()))?;
            Some(Arc::new(text.parse::<Trace>().map_err(|error| refused(error.to_string()))?))
        }
    };
    let loss = match args.burst {
        Some(mean) => Loss::bursts(args.loss, mean),
        None => Loss::Random { rate: args.loss },
    };
    Ok(Config {
        rate_bps: args.rate,
        trace,
        queue: args.queue,
        delay: args.delay,
        jitter: args.jitter,
        jitter_reorders: args.jitter_reorders,
        loss,
        duplicate: args.duplicate,
        reorder: args.reorder,
        outages: args.outage.clone(),
        ..Config::default()
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        netem: Netem,
    }

    const MS: Duration = Duration::from_millis(1);

    fn flags(flags: &str) -> RelayConfig {
        let mapped = ["netem", "--map", "127.0.0.2:7000=127.0.0.1:7000"];
        let cli = Cli::parse_from(mapped.into_iter().chain(flags.split_whitespace()));
        config(&cli.netem).unwrap_or_else(|_| panic!("refused: {flags}"))
    }

    /// Both directions, unless it is said to be one.
    #[test]
    fn each_flag_does_what_it_says() {
        let plain = Config { loss: Loss::Random { rate: 0.0 }, ..Config::default() };
        let cases = [
            ("", plain.clone()),
            ("--rate 10M", Config { rate_bps: Some(10_000_000), ..plain.clone() }),
            ("--delay 40ms", Config { delay: MS * 40, ..plain.clone() }),
            ("--jitter 30ms", Config { jitter: MS * 30, ..plain.clone() }),
            ("--jitter-reorders", Config { jitter_reorders: true, ..plain.clone() }),
            ("--loss 2%", Config { loss: Loss::Random { rate: 0.02 }, ..plain.clone() }),
            ("--loss 2% --burst 5", Config { loss: Loss::bursts(0.02, 5.0), ..plain.clone() }),
            ("--duplicate 3%", Config { duplicate: 0.03, ..plain.clone() }),
            ("--reorder 4%", Config { reorder: 0.04, ..plain.clone() }),
            ("--queue 100ms", Config { queue: Queue::Time(MS * 100), ..plain.clone() }),
            ("--queue 256KB", Config { queue: Queue::Bytes(256_000), ..plain.clone() }),
            (
                "--outage 10s+5s --outage 20s+1s",
                Config {
                    outages: [(10, 5), (20, 1)]
                        .map(|(start, length)| Outage {
                            start: MS * 1000 * start,
                            length: MS * 1000 * length,
                        })
                        .into(),
                    ..plain.clone()
                },
            ),
        ];
        for (given, link) in cases {
            let config = flags(given);
            assert_eq!((&config.up, &config.down), (&link, &link), "{given}");
        }
        let up_only = flags("--up-only --rate 1M --delay 40ms --loss 2%");
        assert_eq!((up_only.up.rate_bps, up_only.up.loss), (Some(1_000_000), Loss::Random { rate: 0.02 }));
        assert_eq!(up_only.down, Config { delay: MS * 40, ..Config::default() });
        let of_all = flags("--seed 7 --source 127.0.0.9");
        assert_eq!((of_all.seed, of_all.source), (7, Some([127, 0, 0, 9].into())));
        assert_eq!((flags("").seed, flags("").source), (1, None));
    }

    /// Two links one after the other are none that comes back.
    #[test]
    fn a_mapping_may_lead_to_another() {
        let config = flags("--map 127.0.0.1:7000=127.0.0.3:7000 --map 0.0.0.0:7001=127.0.0.1:7002");
        assert_eq!(config.mappings.len(), 3);
    }

    /// A trace is of one direction; the other has what else is said, and no rate.
    #[test]
    fn a_trace_is_of_what_is_sent() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("up.trace");
        std::fs::write(&file, "5\n10\n").unwrap();
        let config = flags(&format!("--trace {} --delay 20ms", file.display()));
        assert_eq!(config.up.trace.map(|trace| trace.mean_rate_bps()), Some(2_400_000));
        assert_eq!((config.down.trace, config.down.rate_bps, config.down.delay), (None, None, MS * 20));
    }
}
