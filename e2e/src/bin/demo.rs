//! The main job, for everybody to see: a device enrols, streams over two bad links, its recording is checked.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::Parser;
use strata_e2e::agent::Agent;
use strata_e2e::clip::{self, Clip};
use strata_e2e::control::PATIENCE;
use strata_e2e::links::LinkSpec;
use strata_e2e::recording;
use strata_e2e::show;
use strata_e2e::stage::{Setup, Stage};
use strata_proto::control::{ReceiverStats, StreamLife, StreamView};
use strata_proto::id::StreamId;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// A device enrols with nothing but an enrolment string, is told over REST to broadcast a clip, sends it
/// as RIST over two emulated links, and the receiver's recording is checked picture by picture.
///
/// Links: 10 Mbit/s, 40 ms, 1 % loss, and 5 Mbit/s, 80 ms, 2 % loss, each way.
/// Exits with 0 only when the recording is whole.
#[derive(Debug, Parser)]
#[command(name = "demo", version)]
struct Cli {
    /// Clip to send, over and over, with video and audio; one with moving picture and tone is generated when absent.
    #[arg(long, value_name = "FILE", env = clip::MEDIA)]
    media: Option<OsString>,
    /// How long to stream; 0 = until Ctrl-C.
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    seconds: u64,
    /// Time a packet may take, repeats included, ms: a machine that stands still for longer loses pictures.
    #[arg(long, value_name = "MS", default_value_t = 1000)]
    latency_ms: u32,
    /// Directory for data, logs and the recording; a new one below the system's temporary directory when absent.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What may be missing of the time streamed: the start up to the first keyframe, and the end of the last second.
const EDGES: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    match demo(cli).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\ndemo failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn demo(cli: Cli) -> Result<()> {
    let clip = match cli.media.filter(|media| !media.is_empty()) {
        Some(media) => clip::named(media.as_ref())?,
        None => Clip::DEMO.file().await?,
    };
    let dir = match cli.dir {
        Some(dir) => dir,
        None => tempfile::Builder::new().prefix("strata-demo-").tempdir()?.keep(),
    };
    println!("clip           {}\ndata, logs     {}", clip.display(), dir.display());
    let mut interrupt = Interrupt::new()?;
    let setup = Setup { dir: Some(dir), ..Setup::new(clip) };
    let setup = setup.set("streams", "latency_ms", i64::from(cli.latency_ms));
    let mut stage = interrupt.or(Stage::new(setup)).await?;
    let shown = perform(&mut stage, &mut interrupt, cli.seconds).await;
    shown.map_err(|error| error.context(format!("{}\n", stage.logs())))
}

/// Being asked to end: Ctrl-C, SIGTERM or the terminal's end. It ends a running stream in order; before and
/// after, it ends the demo. No daemon outlives it.
struct Interrupt([Signal; 3]);

impl Interrupt {
    fn new() -> Result<Self> {
        let [a, b, c] = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()].map(signal);
        Ok(Self([a?, b?, c?]))
    }

    async fn asked(&mut self) {
        let [a, b, c] = &mut self.0;
        tokio::select! {
            _ = a.recv() => {}
            _ = b.recv() => {}
            _ = c.recv() => {}
        }
    }

    async fn or<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            () = self.asked() => bail!("interrupted"),
        }
    }
}

async fn perform(stage: &mut Stage, interrupt: &mut Interrupt, seconds: u64) -> Result<()> {
    println!("control plane  {}", stage.control.base);
    for (link, LinkSpec { rate_bps, delay, loss }) in stage.links.iter().zip(LinkSpec::DEMO) {
        let (rate, loss) = (rate_bps / 1_000_000, loss * 100.0);
        println!("link           {}: {rate} Mbit/s, {delay:?}, {loss} % loss", link.address);
    }
    let (mut agent, stream) = interrupt.or(begin(stage)).await?;
    let streamed = watch(stage, &mut agent, interrupt, &stream.id, seconds).await?;
    println!("\nstopping");
    interrupt.or(finish(stage, &mut agent, &stream, streamed)).await
}

async fn begin(stage: &Stage) -> Result<(Agent, StreamView)> {
    let (agent, sender) = stage.device("agent").await?;
    println!("agent          enrolled as {}, online", sender.id);
    let spare = stage.rest.create_sender("your own agent").await?;
    println!("join yourself  {}", spare.enrollment_uri);
    let stream = stage.go_live(&sender.id).await?;
    println!("stream         {} live on ports {:?}\n", stream.id, stream.ports);
    Ok((agent, stream))
}

async fn finish(stage: &mut Stage, agent: &mut Agent, stream: &StreamView, streamed: Duration) -> Result<()> {
    let (ended, stats) = stage.stop(stream).await?;
    examine(&ended, &stats, streamed.saturating_sub(EDGES)).await?;
    for daemon in [&mut agent.daemon, &mut stage.control.daemon] {
        let status = daemon.terminate(PATIENCE).await?;
        if !status.success() {
            bail!("{} ended with {status}", daemon.name());
        }
    }
    Ok(())
}

/// Shows the stream until its time is over or the demo is asked to end; gives how long it was watched.
async fn watch(
    stage: &mut Stage,
    agent: &mut Agent,
    interrupt: &mut Interrupt,
    id: &StreamId,
    seconds: u64,
) -> Result<Duration> {
    let (start, mut screen) = (Instant::now(), show::Screen::default());
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while seconds == 0 || start.elapsed() < Duration::from_secs(seconds) {
        tokio::select! {
            _ = ticks.tick() => {}
            () = interrupt.asked() => break,
        }
        let stream = stage.rest.stream(id).await.context("streams")?;
        for daemon in [&mut agent.daemon, &mut stage.control.daemon] {
            if let Some(status) = daemon.ended()? {
                bail!("{} ended ({status})", daemon.name());
            }
        }
        if stream.state != StreamLife::Live {
            let error = stream.error.unwrap_or_default();
            bail!("the stream is {:?}: {:?} {error}", stream.state, stream.end_reason);
        }
        screen.update(&stream, start.elapsed())?;
    }
    Ok(start.elapsed())
}

/// Checks the recording, and says what was found.
async fn examine(stream: &StreamView, stats: &ReceiverStats, at_least: Duration) -> Result<()> {
    let path = stream.recording.as_deref().context("the stream was not recorded")?;
    println!("\nrecording      {path}");
    let report = recording::check(path.as_ref(), at_least).await?;
    println!("{}", show::summary(&report, stats));
    report.whole()?;
    if stats.lost_packets > 0 {
        bail!("the receiver misses {} packets", stats.lost_packets);
    }
    println!("  result     whole: no errors, every picture from the first keyframe on, sound");
    Ok(())
}
