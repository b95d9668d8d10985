//! `diagnostics.network`: what the host's own tools can measure.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Map, Value, json};
use strata_client::role::agent::Context;
use strata_proto::control::{DiagnosticsKind, DiagnosticsNetwork, ErrorCode, Fault, NetworkInterface};
use tokio::process::Command;

/// The host's ping(8), if it has one.
pub(super) fn ping_program() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join("ping")).find(|program| program.is_file())
}

/// Measures, and gives what was measured.
///
/// # Errors
/// A [`Fault`]: `unsupported`, or naming the field that cannot be.
pub(super) async fn run(
    ctx: &Context,
    command: &DiagnosticsNetwork,
    interfaces: &[NetworkInterface],
) -> Result<Map<String, Value>, Fault> {
    let program = match command.kind {
        DiagnosticsKind::Ping => ping_program(),
        _ => None,
    };
    let unsupported = || {
        let message = format!("this device cannot measure {:?}", command.kind);
        Fault::new(ErrorCode::UNSUPPORTED, message).with_field("payload.kind")
    };
    let program = program.ok_or_else(unsupported)?;
    check_target(&command.target)?;
    let mut ping = Command::new(program);
    ping.args(["-n", "-q", "-c", COUNT, "-W", "2"]);
    if let Some(name) = &command.interface {
        if !interfaces.iter().any(|interface| interface.name == *name) {
            let message = format!("this device has no interface {name:.32}");
            return Err(Fault::new(ErrorCode::NOT_FOUND, message).with_field("payload.interface"));
        }
        ping.args(["-I", name]);
    }
    ping.arg("--").arg(&command.target);
    ping.stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .env("LC_ALL", "C");
    ctx.progress(0.0, Some(format!("ping {}", command.target)));
    let broken = |e: String| Fault::new(ErrorCode::INTERNAL, format!("ping: {e}"));
    let output = tokio::time::timeout(PATIENCE, ping.output())
        .await
        .map_err(|_| Fault::new(ErrorCode::TIMEOUT, "ping did not end in time"))?
        .map_err(|e| broken(e.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    parse(&text).ok_or_else(|| {
        let words = String::from_utf8_lossy(&output.stderr);
        broken(words.trim().chars().take(200).collect())
    })
}

/// An address or a host name; nothing that a program could take for an option or a shell for syntax.
fn check_target(target: &str) -> Result<(), Fault> {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
    };
    let name = target.len() <= 253 && target.trim_end_matches('.').split('.').all(label);
    if target.parse::<IpAddr>().is_ok() || name {
        return Ok(());
    }
    Err(Fault::new(ErrorCode::INVALID_FIELD, "expected a host name or an IP address")
        .with_field("payload.target"))
}

/// The summary of iputils' and busybox' ping.
fn parse(text: &str) -> Option<Map<String, Value>> {
    let counts = text.lines().find(|line| line.contains("packets transmitted"))?;
    let number = |word: &str| {
        let part = counts.split(',').find(|part| part.contains(word))?;
        part.split_ascii_whitespace().find_map(|token| token.trim_end_matches('%').parse::<f64>().ok())
    };
    let mut map = Map::new();
    map.insert("sent".to_owned(), json!(number("transmitted")? as u64));
    map.insert("received".to_owned(), json!(number("received")? as u64));
    map.insert("loss_rate".to_owned(), json!(number("packet loss")? / 100.0));
    let times = text.lines().find(|line| line.contains("min/avg/max")).and_then(|line| line.split_once('='));
    let times = times.map(|(_, values)| values.trim().trim_end_matches(" ms").split('/'));
    for (key, value) in
        ["rtt_min_ms", "rtt_avg_ms", "rtt_max_ms"].into_iter().zip(times.into_iter().flatten())
    {
        map.insert(key.to_owned(), json!(value.trim().parse::<f64>().ok()?));
    }
    Some(map)
}

const COUNT: &str = "4";
/// Four seconds, two for the last answer, and some for name lookup.
const PATIENCE: Duration = Duration::from_secs(15);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets() {
        for good in ["example.com", "example.com.", "10.0.0.1", "::1", "a_b-c"] {
            check_target(good).unwrap();
        }
        for bad in ["-f", "a;b", "a b", "", "..", "$(x)", "-I.x", "a/b", &"a".repeat(300)] {
            assert_eq!(check_target(bad).unwrap_err().field.as_deref(), Some("payload.target"), "{bad}");
        }
    }

    #[test]
    fn summaries() {
        let iputils = "4 packets transmitted, 3 received, 25% packet loss, time 3004ms\n\
                       rtt min/avg/max/mdev = 0.029/0.045/0.061/0.012 ms\n";
        let map = parse(iputils).unwrap();
        assert_eq!((&map["sent"], &map["received"], &map["loss_rate"]), (&json!(4), &json!(3), &json!(0.25)));
        assert_eq!((&map["rtt_min_ms"], &map["rtt_max_ms"]), (&json!(0.029), &json!(0.061)));
        let busybox = "4 packets transmitted, 0 packets received, 100% packet loss\n";
        let map = parse(busybox).unwrap();
        assert_eq!(
            (&map["received"], &map["loss_rate"], map.get("rtt_min_ms")),
            (&json!(0), &json!(1.0), None)
        );
        assert!(parse("ping: unknown host").is_none());
    }
}
