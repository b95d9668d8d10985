//! A bad link between two real programs: `strata_media::testing::relay` with flags.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Parser;
use strata_media::testing::netem::{Config, Loss, Outage, Queue, Trace};
use strata_media::testing::relay::{Mapping, Relay, RelayConfig, RelayStats, relay};

/// Emulate a bad network link between two programs that speak UDP.
///
/// Programs send to the address left of `=` instead of the one on its right. All ports given are one link: they share
/// its rate, its queue and its losses, each direction for itself. For several links start netem several times.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Args {
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
    #[arg(long, value_name = "PACKETS", value_parser = burst)]
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
    /// Same seed, same dice
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Print a line of statistics every second, as JSON
    #[arg(long)]
    stats: bool,
}

const EXAMPLES: &str = "\
Examples:
  A cellular link in front of a RIST receiver that listens on 127.0.0.1:15000 (RTP) and 15001 (RTCP):
    netem --map 127.0.0.2:15000-15001=127.0.0.1:15000-15001 --rate 10M --delay 40ms --loss 1% --stats
  Bursts of five packets, a dead time of 10 s after 20 s:
    netem --map 127.0.0.2:15000-15001=127.0.0.1:15000-15001 --rate 5M --loss 1% --burst 5 --outage 20s+10s
  A recorded LTE uplink with 256 KB of buffer in the modem:
    netem --map 127.0.0.2:15000-15001=127.0.0.1:15000-15001 --trace Verizon.up --delay 45ms --queue 256KB

It runs until SIGINT or SIGTERM and then prints its statistics. Exit codes: 0 ended so, 1 cannot start, 2 bad usage.";

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let mut config = RelayConfig::new(args.maps.concat(), link(&args)?);
    config.seed = args.seed;
    if args.trace.is_some() || args.up_only {
        config.down = Config { trace: None, rate_bps: None, ..config.down };
    }
    if args.up_only {
        config.down = Config { delay: args.delay, ..Config::default() };
    }
    let (relay, driver) = relay(config)?;
    for (mapping, local) in args.maps.iter().flatten().zip(relay.local_addrs()) {
        eprintln!("udp {local} -> {}", mapping.forward);
    }
    let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
    tokio::select! {
        () = driver.run() => bail!("the relay ended by itself"),
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = print_stats(&relay), if args.stats => {}
    }
    print_line(&relay.stats());
    Ok(())
}

async fn print_stats(relay: &Relay) {
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    loop {
        tick.tick().await;
        print_line(&relay.stats());
    }
}

fn print_line(stats: &RelayStats) {
    let direction = |s: &strata_media::testing::netem::LinkStats| {
        serde_json::json!({
            "pushed": s.pushed, "delivered": s.delivered, "delivered_bytes": s.delivered_bytes,
            "queue_dropped": s.queue_dropped, "lost": s.lost, "outage_lost": s.outage_lost,
            "duplicated": s.duplicated, "reordered": s.reordered,
            "queued_bytes": s.queued_bytes, "queued_bytes_max": s.queued_bytes_max,
        })
    };
    let line = serde_json::json!({
        "up": direction(&stats.up), "down": direction(&stats.down),
        "clients": stats.clients, "refused": stats.refused, "send_errors": stats.send_errors,
    });
    println!("{line}");
}

fn link(args: &Args) -> anyhow::Result<Config> {
    let trace = match &args.trace {
        None => None,
        Some(path) => {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            let trace: Trace = text.parse().with_context(|| format!("{} is not a trace", path.display()))?;
            Some(Arc::new(trace))
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

fn mappings(text: &str) -> Result<Vec<Mapping>, String> {
    let (listen, forward) = text.split_once('=').ok_or("expected LISTEN=FORWARD")?;
    let (listen, forward) = (addresses(listen)?, addresses(forward)?);
    if listen.len() != forward.len() {
        return Err(format!("{} ports on the left, {} on the right", listen.len(), forward.len()));
    }
    Ok(listen.into_iter().zip(forward).map(|(listen, forward)| Mapping { listen, forward }).collect())
}

fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let expected = || format!("{text:?} is not IP:PORT or IP:PORT-PORT");
    let (ip, ports) = text.rsplit_once(':').ok_or_else(expected)?;
    let ip: IpAddr = ip.trim_matches(['[', ']']).parse().map_err(|_| expected())?;
    let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
    let port = |text: &str| text.parse::<u16>().map_err(|_| expected());
    let (first, last) = (port(first)?, port(last)?);
    if last < first || last - first >= 256 {
        return Err(format!("{text:?}: a range has 1 to 256 ports, the smaller first"));
    }
    Ok((first..=last).map(|port| SocketAddr::new(ip, port)).collect())
}

/// A number and what follows it.
fn number(text: &str) -> Result<(f64, &str), String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let value = text[..end].parse().map_err(|_| format!("{text:?} does not start with a number"))?;
    Ok((value, text[end..].trim()))
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "digits only: not negative; `as` saturates"
)]
fn rate(text: &str) -> Result<u64, String> {
    let (value, unit) = number(text)?;
    let factor = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return Err("expected a rate in bit/s such as 800k, 10M or 1G".into()),
    };
    match (value * factor) as u64 {
        0 => Err("a link of no rate carries nothing; for a dead link use --outage".into()),
        rate => Ok(rate),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let (value, unit) = number(text)?;
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err("expected a time with its unit, such as 40ms or 1.5s".into()),
    };
    Duration::try_from_secs_f64(value * factor).map_err(|e| e.to_string())
}

fn share(text: &str) -> Result<f64, String> {
    let (value, unit) = number(text)?;
    let value = match unit {
        "%" => value / 100.0,
        "" => value,
        _ => return Err("expected a share such as 1% or 0.01".into()),
    };
    if value <= 1.0 { Ok(value) } else { Err("more than all of them (100 %, or 1)".into()) }
}

fn burst(text: &str) -> Result<f64, String> {
    match number(text)? {
        (mean, "") if mean >= 1.0 => Ok(mean),
        _ => Err("expected a number of packets, at least 1".into()),
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "digits only: not negative; `as` saturates"
)]
fn queue(text: &str) -> Result<Queue, String> {
    let (value, unit) = number(text)?;
    match unit {
        "B" => Ok(Queue::Bytes(value as usize)),
        "KB" | "kB" => Ok(Queue::Bytes((value * 1e3) as usize)),
        "MB" => Ok(Queue::Bytes((value * 1e6) as usize)),
        _ => duration(text).map(Queue::Time).map_err(|_| "expected 200ms or 256KB".into()),
    }
}

fn outage(text: &str) -> Result<Outage, String> {
    let (start, length) = text.split_once('+').ok_or("expected START+LENGTH, such as 10s+5s")?;
    Ok(Outage { start: duration(start)?, length: duration(length)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn units_are_read() {
        assert_eq!(rate("10M"), Ok(10_000_000));
        assert_eq!(rate("800k"), Ok(800_000));
        assert_eq!(duration("1.5s"), Ok(Duration::from_millis(1500)));
        assert_eq!(share("1%"), Ok(0.01));
        assert_eq!(queue("256KB"), Ok(Queue::Bytes(256_000)));
        assert_eq!(queue("200ms"), Ok(Queue::Time(Duration::from_millis(200))));
        let five = Duration::from_secs(5);
        assert_eq!(outage("10s+5s"), Ok(Outage { start: five * 2, length: five }));
    }

    #[test]
    fn bad_values_say_what_was_expected() {
        assert!(duration("40").unwrap_err().contains("unit"));
        assert!(rate("0").unwrap_err().contains("--outage"));
        assert!(share("101%").is_err());
        assert!(burst("0.5").is_err());
        assert!(mappings("127.0.0.1:1-2=127.0.0.1:3").unwrap_err().contains("2 ports on the left, 1"));
        assert!(mappings("localhost:1=127.0.0.1:3").unwrap_err().contains("not IP:PORT"));
        assert!(mappings("127.0.0.1:9-2=127.0.0.1:9-2").unwrap_err().contains("smaller first"));
    }

    #[test]
    fn a_range_maps_port_by_port() {
        let all = mappings("127.0.0.2:15000-15003=[::1]:16000-16003").unwrap();
        assert_eq!(all.len(), 4);
        assert_eq!(all[3].listen, "127.0.0.2:15003".parse().unwrap());
        assert_eq!(all[3].forward, "[::1]:16003".parse().unwrap());
    }
}
