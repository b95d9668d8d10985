//! Sends the stream at its rate, which may change.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::datagram::{DATAGRAM_BYTES, fill};

/// Datagrams that are due are sent together, this often.
const TICK: Duration = Duration::from_millis(1);

/// Starts to send `rate_bps`, looked at for each datagram; ends after `length`. What it gives are the times of sending,
/// since `start`, in µs.
pub(crate) fn start(
    to: SocketAddr,
    rate_bps: Arc<AtomicU64>,
    start: Instant,
    length: Duration,
) -> Result<JoinHandle<Result<Vec<u64>>>> {
    let socket = UdpSocket::bind((to.ip(), 0))?;
    socket.connect(to)?;
    Ok(thread::spawn(move || {
        let mut sent = Vec::new();
        let mut datagram = [0; DATAGRAM_BYTES];
        let mut due = Duration::ZERO;
        for number in 0.. {
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
            let rate = rate_bps.load(Ordering::Relaxed).max(1) as f64;
            due += Duration::from_secs_f64((DATAGRAM_BYTES * 8) as f64 / rate);
        }
        Ok(sent)
    }))
}
