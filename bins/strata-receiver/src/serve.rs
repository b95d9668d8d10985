//! The life of a receiver process: bind, say `ready`, run, drain.

#![expect(clippy::disallowed_methods, reason = "a daemon has a clock")]

use std::io::{BufRead as _, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use strata_daemon::Signals;
use strata_media::net::{NetError, ReceiverConfig};
use strata_media::pipeline::{
    Output, PipelineError, Receive, ReceiveConfig, ReceiveDriver, ReceiveEvent, receive,
};
use strata_proto::control::{ReceiverCommand, ReceiverEvent, ReceiverOutput};
use tokio::sync::mpsc;

use crate::args::Args;
use crate::control::{ControlSocket, Events};
use crate::stats::stats;

/// Time for connections to take the last line.
const LAST_LINE: Duration = Duration::from_millis(100);

/// Why it ended as it should.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    Stop,
    Idle,
    Signal,
    /// A second signal, of this number, while what is buffered was being written.
    Cut(u8),
}

impl Reason {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Idle => "idle",
            Self::Signal | Self::Cut(_) => "signal",
        }
    }
}

/// Why it ended otherwise.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The outputs on standard input.
    Input(String),
    /// A port.
    Bind(PipelineError),
    /// The control socket.
    Control(String),
    /// What every process is given, and this one was not.
    System(std::io::Error),
    /// Something that happened later.
    Running(PipelineError),
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Input(text) | Self::Control(text) => f.write_str(text),
            Self::Bind(error) | Self::Running(error) => error.fmt(f),
            Self::System(error) => error.fmt(f),
        }
    }
}

/// Runs a receiver to its end.
pub(crate) async fn serve(args: Args) -> Result<Reason, Failure> {
    let (receive, driver) = open(&args)?;
    let ports: Vec<u16> = receive.local_addrs().iter().map(SocketAddr::port).collect();
    let ready = ReceiverEvent::Ready {
        stream_id: args.stream_id.clone(),
        pid: std::process::id(),
        ports: ports.clone(),
    };
    let socket = args.control_socket.as_deref().map(bind).transpose()?;
    // A terminal that closes does not end a recording.
    let mut signals = Signals::listen().and_then(Signals::without_hangup).map_err(Failure::System)?;
    tracing::info!(stream = %args.stream_id, bind = %args.bind, ?ports, latency_ms = args.latency_ms, "ready");

    let (command_sender, commands) = mpsc::channel(16);
    let events = Events::new();
    let control = async {
        match &socket {
            Some(socket) => socket.serve(ready, events.clone(), command_sender).await,
            None => {
                // Kept: a closed channel would look like a control plane that said stop.
                let _open = command_sender;
                std::future::pending().await
            }
        }
    };
    let mut life =
        Life { receive, events: events.clone(), started: Instant::now(), idle: args.idle_timeout_s };
    let running = async {
        let driver = driver.run();
        tokio::pin!(driver);
        let reason = tokio::select! {
            result = &mut driver => return result.map(|()| Reason::Stop),
            reason = life.run(&mut signals, commands) => reason,
        };
        tracing::info!(reason = reason.name(), "ending");
        let _ = life.receive.stop();
        tokio::select! {
            result = driver => result.map(|()| reason),
            signal = signals.next() => Ok(Reason::Cut(signal)),
        }
    };
    let outcome = tokio::select! {
        outcome = running => outcome,
        () = control => Ok(Reason::Stop),
    };
    life.last_words();
    let word = outcome.as_ref().map_or("error", |reason| reason.name());
    if let Err(error) = &outcome {
        events.send(&ReceiverEvent::Error { part: "input".into(), message: error.to_string() });
    }
    events.send(&ReceiverEvent::Stopped { reason: word.into() });
    tokio::time::sleep(LAST_LINE).await;
    drop(socket);
    outcome.map_err(Failure::Running)
}

fn open(args: &Args) -> Result<(Receive, ReceiveDriver), Failure> {
    let mut config = ReceiveConfig::new(net(args));
    config.record = args.record.clone();
    config.outputs = args.outputs.clone();
    if args.output_stdin_json {
        config.outputs.extend(outputs_from_stdin().map_err(Failure::Input)?);
    }
    receive(config).map_err(|error| match error {
        PipelineError::Net(
            NetError::Bind { .. } | NetError::Config { .. } | NetError::Unsupported { .. },
        ) => Failure::Bind(error),
        error => Failure::Running(error),
    })
}

fn bind(path: &Path) -> Result<ControlSocket, Failure> {
    let failed = |e: std::io::Error| Failure::Control(format!("control socket {}: {e}", path.display()));
    ControlSocket::bind(path).map_err(failed)
}

fn net(args: &Args) -> ReceiverConfig {
    let binds = args.ports.iter().map(|&port| SocketAddr::new(args.bind, port)).collect();
    let mut config = ReceiverConfig::new(binds);
    config.latency = Duration::from_millis(args.latency_ms);
    config
}

struct Life {
    receive: Receive,
    events: Events,
    started: Instant,
    /// Idle timeout, s; 0 = never.
    idle: u64,
}

impl Life {
    /// Runs until there is a reason to end.
    async fn run(&mut self, signals: &mut Signals, mut commands: mpsc::Receiver<ReceiverCommand>) -> Reason {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tokio::select! {
                _ = signals.next() => return Reason::Signal,
                Some(event) = self.receive.event() => self.tell(event),
                Some(command) = commands.recv() => match command {
                    ReceiverCommand::Stop => return Reason::Stop,
                    ReceiverCommand::Stats => self.stats(),
                    ReceiverCommand::UpdateForward { outputs } => self.update(&outputs),
                    _ => self.error("control", "this receiver does not know that command".to_owned()),
                },
                _ = tick.tick() => {
                    self.stats();
                    if self.is_idle() {
                        return Reason::Idle;
                    }
                }
            }
        }
    }

    fn update(&self, outputs: &[ReceiverOutput]) {
        let parsed = outputs.iter().enumerate().map(|(n, o)| parse(n, o)).collect::<Result<Vec<_>, _>>();
        match parsed {
            Ok(outputs) => {
                tracing::info!(?outputs, "forwarding");
                if let Err(error) = self.receive.set_outputs(outputs) {
                    self.error("control", error.to_string());
                }
            }
            Err((part, message)) => self.error(&part, message),
        }
    }

    fn tell(&self, event: ReceiveEvent) {
        match event {
            ReceiveEvent::Recording { part, path } => {
                let path = path.display().to_string();
                tracing::info!(part, path, "recording");
                self.events.send(&ReceiverEvent::Recording { part, path });
            }
            ReceiveEvent::Error { part, message } => self.error(&part, message),
            _ => {}
        }
    }

    fn error(&self, part: &str, message: String) {
        tracing::warn!(part, message, "error");
        self.events.send(&ReceiverEvent::Error { part: part.to_owned(), message });
    }

    fn stats(&self) {
        let stats = stats(self.started.elapsed(), self.receive.local_addrs(), &self.receive.stats());
        self.events.send(&ReceiverEvent::Stats(stats));
    }

    fn is_idle(&self) -> bool {
        let idle = self.receive.stats().net.idle.unwrap_or_else(|| self.started.elapsed());
        self.idle > 0 && idle >= Duration::from_secs(self.idle)
    }

    /// What the outputs said while they ended, and the final statistics.
    fn last_words(&self) {
        self.stats();
        let stats = self.receive.stats();
        for output in &stats.outputs {
            tracing::info!(part = output.part, bytes = output.bytes, dropped = output.dropped, "output");
        }
        let net = &stats.net;
        tracing::info!(
            delivered = net.delivered_packets,
            bytes = net.delivered_bytes,
            recovered = net.recovered_packets,
            lost = net.lost_packets,
            "input"
        );
    }
}

/// Blocks: nothing else runs yet.
fn outputs_from_stdin() -> Result<Vec<Output>, String> {
    let expected = r#"standard input: expected {"cmd":"update_forward","outputs":[{"uri":"…"}]}"#;
    let mut line = Vec::new();
    std::io::stdin()
        .lock()
        .take(64 * 1024)
        .read_until(b'\n', &mut line)
        .map_err(|e| format!("standard input: {e}"))?;
    match serde_json::from_slice(&line) {
        Ok(ReceiverCommand::UpdateForward { outputs }) => {
            let parsed = outputs.iter().enumerate().map(|(n, o)| parse(n, o)).collect::<Result<_, _>>();
            parsed.map_err(|(part, message)| format!("standard input: {part}: {message}"))
        }
        _ => Err(expected.to_owned()),
    }
}

fn parse(index: usize, output: &ReceiverOutput) -> Result<Output, (String, String)> {
    let parsed = output.uri.expose().parse::<Output>();
    parsed.map_err(|error| (format!("output {}", index + 1), error.to_string()))
}
