//! Values with units, as people write them.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use strata_media::testing::netem::{Outage, Queue};
use strata_media::testing::relay::Mapping;

pub(crate) fn mappings(text: &str) -> Result<Vec<Mapping>, String> {
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

/// Bits per second.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "digits only: not negative; `as` saturates"
)]
pub(crate) fn bits(text: &str) -> Result<u64, String> {
    let (value, unit) = number(text)?;
    let factor = match unit {
        "" => 1.0,
        "k" | "K" => 1e3,
        "M" => 1e6,
        "G" => 1e9,
        _ => return Err("expected a rate in bit/s such as 800k, 10M or 1G".into()),
    };
    Ok((value * factor) as u64)
}

/// The same of a link.
pub(crate) fn rate(text: &str) -> Result<u64, String> {
    match bits(text)? {
        0 => Err("a rate of 0 carries nothing (a dead link is --outage)".into()),
        rate => Ok(rate),
    }
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let (value, unit) = number(text)?;
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" => 1.0,
        _ => return Err("expected a time with its unit, such as 40ms or 1.5s".into()),
    };
    Duration::try_from_secs_f64(value * factor).map_err(|e| e.to_string())
}

pub(crate) fn share(text: &str) -> Result<f64, String> {
    let (value, unit) = number(text)?;
    let value = match unit {
        "%" => value / 100.0,
        "" => value,
        _ => return Err("expected a share such as 1% or 0.01".into()),
    };
    if value <= 1.0 { Ok(value) } else { Err("more than all of them (100 %, or 1)".into()) }
}

pub(crate) fn burst(text: &str) -> Result<f64, String> {
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
pub(crate) fn queue(text: &str) -> Result<Queue, String> {
    let (value, unit) = number(text)?;
    match unit {
        "B" => Ok(Queue::Bytes(value as usize)),
        "KB" | "kB" => Ok(Queue::Bytes((value * 1e3) as usize)),
        "MB" => Ok(Queue::Bytes((value * 1e6) as usize)),
        _ => duration(text).map(Queue::Time).map_err(|_| "expected 200ms or 256KB".into()),
    }
}

pub(crate) fn outage(text: &str) -> Result<Outage, String> {
    let (start, length) = text.split_once('+').ok_or("expected START+LENGTH, such as 10s+5s")?;
    Ok(Outage { start: duration(start)?, length: duration(length)? })
}

#[cfg(test)]
mod tests {
    use super::*;

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
