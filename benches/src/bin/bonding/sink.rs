//! Takes what comes out, and notes when.

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Result;
use socket2::SockRef;

use crate::datagram::{TS_BYTES, number};

/// What the kernel is asked to keep while this process does something else.
const BUFFER_BYTES: usize = 8 << 20;
const LOOK_UP: Duration = Duration::from_millis(100);

/// What came of one datagram.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Arrival {
    /// When its last packet came, µs since the start.
    pub(crate) at: u64,
    /// How many of its seven packets.
    pub(crate) packets: u8,
}

/// A thread that reads a socket until it is told to stop.
pub(crate) struct Sink {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Result<Vec<Arrival>>>,
}

impl Sink {
    /// Listens at `addr`; what comes is a stream of at most `datagrams`.
    pub(crate) fn listen(addr: SocketAddr, start: Instant, datagrams: usize) -> Result<Self> {
        let socket = UdpSocket::bind(addr)?;
        SockRef::from(&socket).set_recv_buffer_size(BUFFER_BYTES)?;
        socket.set_read_timeout(Some(LOOK_UP))?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || read(&socket, start, datagrams, &stopped));
        Ok(Self { stop, thread })
    }

    /// What came, by the datagrams' numbers.
    pub(crate) fn stop(self) -> Result<Vec<Arrival>> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}

fn read(socket: &UdpSocket, start: Instant, datagrams: usize, stop: &AtomicBool) -> Result<Vec<Arrival>> {
    let mut arrivals = vec![Arrival::default(); datagrams];
    let mut buffer = vec![0; 64 << 10];
    while !stop.load(Ordering::Relaxed) {
        let len = match socket.recv(&mut buffer) {
            Ok(len) => len,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => continue,
            Err(error) => return Err(error.into()),
        };
        let at = u64::try_from(start.elapsed().as_micros())?;
        for packet in buffer[..len].as_chunks::<TS_BYTES>().0 {
            let arrival = number(packet).and_then(|number| arrivals.get_mut(number as usize));
            // What comes twice is not counted twice.
            if let Some(arrival) = arrival.filter(|arrival| arrival.packets < 7) {
                *arrival = Arrival { at, packets: arrival.packets + 1 };
            }
        }
    }
    Ok(arrivals)
}
