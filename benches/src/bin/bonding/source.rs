//! Sends the stream at a constant rate.

use std::net::{SocketAddr, UdpSocket};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::stream::{DATAGRAM_BYTES, fill};

/// Datagrams that are due are sent together, this often.
const TICK: Duration = Duration::from_millis(1);

/// When datagram `number` of a stream of `rate_bps` is sent, from its start.
pub(crate) fn due(number: u32, rate_bps: u64) -> Duration {
    Duration::from_secs_f64(f64::from(number) * (DATAGRAM_BYTES * 8) as f64 / rate_bps as f64)
}

/// Starts to send; ends after `length`. What it gives are the times of sending, since `start`, in µs.
pub(crate) fn start(
    to: SocketAddr,
    rate_bps: u64,
    start: Instant,
    length: Duration,
) -> Result<JoinHandle<Result<Vec<u64>>>> {
    let socket = UdpSocket::bind((to.ip(), 0))?;
    socket.connect(to)?;
    Ok(thread::spawn(move || {
        let mut sent = Vec::new();
        let mut datagram = [0; DATAGRAM_BYTES];
        for number in 0.. {
            let due = due(number, rate_bps);
            if due >= length {
                break;
            }
            while start.elapsed() < due {
                thread::sleep(TICK);
            }
            fill(number, &mut datagram);
            sent.push(u64::try_from(start.elapsed().as_micros())?);
            // A tool that does not listen has lost it; what it did not get is counted by the sink.
            let _ = socket.send(&datagram);
        }
        Ok(sent)
    }))
}
