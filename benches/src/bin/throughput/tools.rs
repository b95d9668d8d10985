//! The tools of librist and SRT, between a thread that feeds them and one that reads them.
#![expect(clippy::disallowed_types, reason = "programs that speak UDP are measured")]

use std::io::ErrorKind;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::{Ends, PAYLOAD, Process, Way, due};

/// What feeds a tool and reads what comes out.
pub(crate) struct Around {
    over: Arc<AtomicBool>,
    feeding: JoinHandle<u64>,
    reading: JoinHandle<Read>,
}

/// What came out: the first number, how many different ones.
struct Read {
    first: u64,
    count: u64,
}

/// Starts both ends with a feeder and a reader; `None` when they are not installed.
pub(crate) fn start(way: Way, rate: u64, latency: Duration) -> Result<Option<Ends>> {
    // Addresses of this process's own, so that fixed ports meet nobody.
    let [.., high, low] = std::process::id().to_be_bytes();
    let at = |port: u16| SocketAddr::from(([127, 200, high, low], port));
    let (input, link, output) = (at(5000), at(6000), at(7000));
    let reader = UdpSocket::bind(output)?;
    enlarge(&reader);
    let (sender, receiver) = match way {
        Way::Srt => srt(latency, input, link, output),
        _ => librist(way, latency, input, link, output)?,
    };
    let installed = |command: &Command| Command::new("which").arg(command.get_program()).output();
    if !installed(&sender)?.status.success() || !installed(&receiver)?.status.success() {
        return Ok(None);
    }
    let receiver = Process::start(receiver)?;
    std::thread::sleep(Duration::from_millis(500));
    let sender = Process::start(sender)?;
    std::thread::sleep(Duration::from_millis(1000));
    let over = Arc::new(AtomicBool::new(false));
    let (feeder_over, reader_over) = (over.clone(), over.clone());
    let feeder = UdpSocket::bind(at(0))?;
    feeder.connect(input)?;
    let feeding = std::thread::spawn(move || feed(&feeder, rate, &feeder_over));
    let reading = std::thread::spawn(move || read(&reader, &reader_over, latency));
    Ok(Some(Ends { sender, receiver, around: Some(Around { over, feeding, reading }) }))
}

/// As large as the system allows.
fn enlarge(socket: &UdpSocket) {
    let _ = socket2::SockRef::from(socket).set_recv_buffer_size(64 << 20);
}

fn librist(
    way: Way,
    latency: Duration,
    input: SocketAddr,
    link: SocketAddr,
    output: SocketAddr,
) -> Result<(Command, Command)> {
    let (profile, key) = match way {
        Way::LibristSimple => ("0", ""),
        Way::LibristMain => ("1", ""),
        Way::LibristAes128 => ("1", "&secret=correct-horse&aes-type=128"),
        _ => bail!("not by librist: {way:?}"),
    };
    let buffer = format!("buffer={}&bandwidth=2000000{key}", latency.as_millis());
    let tool = |name: &str, from: String, to: String| {
        let mut command = Command::new(name);
        command.args(["-p", profile, "-S", "0", "-v", "4", "-i", &from, "-o", &to]);
        command
    };
    Ok((
        tool("ristsender", format!("udp://@{input}"), format!("rist://{link}?{buffer}")),
        tool("ristreceiver", format!("rist://@{link}?{buffer}"), format!("udp://{output}")),
    ))
}

fn srt(latency: Duration, input: SocketAddr, link: SocketAddr, output: SocketAddr) -> (Command, Command) {
    // Buffers that hold the latency at 1 Gbit/s.
    let options = format!(
        "transtype=live&latency={}&rcvbuf=200000000&sndbuf=200000000&fc=200000&payloadsize={PAYLOAD}",
        latency.as_millis()
    );
    let tool = |from: String, to: String| {
        let mut command = Command::new("srt-live-transmit");
        command.args(["-q", "-chunk", &PAYLOAD.to_string(), &from, &to]);
        command
    };
    (
        tool(format!("udp://{input}?mode=listener"), format!("srt://{link}?mode=caller&{options}")),
        tool(format!("srt://{link}?mode=listener&{options}"), format!("udp://{output}")),
    )
}

/// Sends numbered payloads, those that are due every ms; how many.
fn feed(socket: &UdpSocket, rate: u64, over: &AtomicBool) -> u64 {
    let mut payload = [0x47; PAYLOAD];
    let (start, mut sent) = (Instant::now(), 0u64);
    while !over.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(1));
        let due = due(start.elapsed().as_secs_f64(), rate);
        while sent < due {
            payload[4..12].copy_from_slice(&sent.to_be_bytes());
            let _ = socket.send(&payload);
            sent += 1;
        }
    }
    sent
}

/// Reads until it is over and what was under way came.
fn read(socket: &UdpSocket, over: &AtomicBool, latency: Duration) -> Read {
    let _ = socket.set_read_timeout(Some(latency + Duration::from_millis(500)));
    let (mut buffer, mut seen) = ([0; 2048], Vec::new());
    let mut read = Read { first: u64::MAX, count: 0 };
    loop {
        match socket.recv(&mut buffer) {
            Ok(PAYLOAD) => {
                let mut bytes = [0; 8];
                bytes.copy_from_slice(&buffer[4..12]);
                let number = u64::from_be_bytes(bytes);
                read.first = read.first.min(number);
                let index = number as usize;
                seen.resize(seen.len().max(index + 1), false);
                read.count += u64::from(!std::mem::replace(&mut seen[index], true));
            }
            Ok(_) => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                if over.load(Ordering::Relaxed) {
                    return read;
                }
            }
            Err(_) => return read,
        }
    }
}

impl Around {
    /// Ends the stream; how many payloads after the first one that came did not.
    pub(crate) fn finish(self, latency: Duration) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        let sent = self.feeding.join().unwrap_or(0);
        std::thread::sleep(latency);
        let read = self.reading.join().unwrap_or(Read { first: 0, count: 0 });
        sent.saturating_sub(read.first.min(sent)).saturating_sub(read.count)
    }
}
