//! The child's side of [`strata_agent_protocol::stream`].

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use strata_agent_protocol::stream::{PipelineCommand, PipelineConfig, PipelineEvent, STOP_LIMIT};
use strata_media::net::SenderUpdate;
use strata_media::pipeline::{
    self as media, EndReason, SendConfig, SendDriver, SendEvent, SendHandle, SendStats,
};
use strata_proto::control::{ConfigUpdate, LinkState, LinkStats, Source, SourceMode, StreamStats};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::bond;

/// Time the pipeline needs, when it has cut its stream off, to take its graph down and say so.
const LAST_WORDS: Duration = Duration::from_secs(1);

// Otherwise the agent would kill every stream whose links are slow.
const _: () = assert!(media::STOP_TIMEOUT.as_millis() + LAST_WORDS.as_millis() <= STOP_LIMIT.as_millis());

/// Reads a configuration from stdin and streams until it is told to stop.
///
/// # Errors
/// Whatever keeps the stream from going on, without a camera's password.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    let config: PipelineConfig = serde_json::from_str(&line)?;
    // The agent may have died before the kernel was told to watch it.
    anyhow::ensure!(nix::unistd::getppid().as_raw().cast_unsigned() == config.parent, "the agent is gone");
    log(&config.log)?;
    let source = config.source.clone();
    send(config).map_err(|error| anyhow::anyhow!(hide(&format!("{error:#}"), &source)))
}

/// Tells the agent why there is no stream.
pub(crate) fn failed(error: &anyhow::Error) {
    // The agent may be gone; then nobody needs to know.
    let _ = say(&PipelineEvent::Failed { message: format!("{error:#}") });
}

fn send(config: PipelineConfig) -> anyhow::Result<()> {
    let (handle, driver) = media::send(send_config(&config)?, bond::sender_config(&config)?)?;
    tracing::info!(encoder = handle.encoder(), "sending");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(stream(config, handle, driver, commands()))
}

/// Log lines for the agent, which adds the time.
fn log(filter: &str) -> anyhow::Result<()> {
    let lines = tracing_subscriber::fmt::layer().without_time().with_ansi(false).with_writer(std::io::stderr);
    tracing_subscriber::registry().with(filter.parse::<Targets>()?).with(lines).try_init()?;
    Ok(())
}

/// Commands from stdin, read by a thread of their own; its end is the channel's end.
fn commands() -> mpsc::Receiver<PipelineCommand> {
    let (sender, receiver) = mpsc::channel(COMMANDS);
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines().map_while(Result::ok) {
            match serde_json::from_str(&line) {
                Ok(command) => {
                    if sender.blocking_send(command).is_err() {
                        return;
                    }
                }
                Err(error) => tracing::warn!(%error, "a command is not understood"),
            }
        }
    });
    receiver
}

async fn stream(
    config: PipelineConfig,
    mut handle: SendHandle,
    driver: SendDriver,
    mut commands: mpsc::Receiver<PipelineCommand>,
) -> anyhow::Result<()> {
    // A service manager tells every process of the group; the agent stops this one in good order.
    let _ignored = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let driver = driver.run();
    tokio::pin!(driver);
    let mut told = Told::new(config);
    told.enable(&handle)?;
    let mut open = true;
    let ended = loop {
        tokio::select! {
            ended = &mut driver => break ended,
            Some(event) = handle.event() => told.event(event)?,
            command = commands.recv(), if open => match command {
                Some(PipelineCommand::Update { update }) => {
                    let error = told.update(&handle, &update).err().map(|error| format!("{error:#}"));
                    say(&PipelineEvent::Updated { error })?;
                }
                Some(PipelineCommand::Disable { interfaces }) => {
                    told.config.disabled = interfaces;
                    told.enable(&handle)?;
                }
                Some(PipelineCommand::StatsInterval { ms }) => told.config.stats_interval_ms = ms,
                Some(PipelineCommand::Stop) | None => {
                    open = false;
                    let _ = handle.stop();
                }
            },
        }
    };
    // What it said last may still wait.
    while let Some(event) = handle.event().await {
        told.event(event)?;
    }
    match ended.reason {
        EndReason::Error => anyhow::bail!(ended.error.unwrap_or_else(|| "the pipeline failed".to_owned())),
        _ => Ok(say(&PipelineEvent::Ended { total_bytes: ended.bytes.max(told.sent_bytes) })?),
    }
}

/// What the agent knows of the running pipeline.
struct Told {
    config: PipelineConfig,
    /// Second of the stream that was last reported.
    reported_s: u64,
    sent_bytes: u64,
    link_errors: Vec<Option<String>>,
}

impl Told {
    fn new(config: PipelineConfig) -> Self {
        Self { config, reported_s: 0, sent_bytes: 0, link_errors: Vec::new() }
    }

    fn event(&mut self, event: SendEvent) -> std::io::Result<()> {
        match event {
            SendEvent::Started => say(&PipelineEvent::Started),
            SendEvent::Stats(stats) => self.stats(&stats),
            SendEvent::Warning(text) => {
                tracing::warn!("{}", hide(&text, &self.config.source));
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// The pipeline counts every second; the agent may want to hear it less often.
    fn stats(&mut self, stats: &SendStats) -> std::io::Result<()> {
        self.sent_bytes = stats.bond.links.iter().map(|link| link.sent_bytes).sum();
        let errors: Vec<_> = stats.bond.links.iter().map(|link| link.error.clone()).collect();
        for (link, error) in stats.bond.links.iter().zip(&errors) {
            let before = self.link_errors.iter().zip(&stats.bond.links).find(|(_, l)| l.id == link.id);
            if let Some(error) =
                error.as_ref().filter(|_| before.and_then(|(e, _)| e.as_ref()) != error.as_ref())
            {
                tracing::warn!(link = link.id, interface = link.interface, "link cannot be used: {error}");
            }
        }
        self.link_errors = errors;
        let uptime_s = stats.uptime.as_secs();
        let interval_s = (self.config.stats_interval_ms / 1000).max(1);
        if self.reported_s != 0 && uptime_s < self.reported_s + interval_s {
            return Ok(());
        }
        self.reported_s = uptime_s;
        say(&PipelineEvent::Stats(StreamStats {
            stream_id: self.config.stream_id.clone(),
            uptime_s,
            encoder_bitrate_kbps: stats.encoder_kbps,
            target_bitrate_kbps: Some(stats.target_kbps),
            links: stats.bond.links.iter().map(link_stats).collect(),
        }))
    }

    /// Uses the links of all interfaces but the disabled ones.
    fn enable(&self, handle: &SendHandle) -> anyhow::Result<()> {
        let used = |interface: &Option<String>| {
            !interface.as_ref().is_some_and(|i| self.config.disabled.contains(i))
        };
        let enabled = self.config.bonding.links.iter().map(|link| (link.id, used(&link.interface))).collect();
        Ok(handle.update(SenderUpdate { enabled, ..SenderUpdate::default() })?)
    }

    fn update(&mut self, handle: &SendHandle, update: &ConfigUpdate) -> anyhow::Result<()> {
        let bitrate = update.encoder.as_ref().and_then(|encoder| encoder.bitrate_kbps);
        let mut merged = self.config.clone();
        merged.merge(update);
        // What may be refused comes before anything that applies.
        let scheduler = bond::scheduler(&merged.bonding.scheduler)?;
        if let Some(kbps) = bitrate {
            handle.set_bitrate(kbps)?;
        }
        if update.scheduler.is_some() {
            handle.update(SenderUpdate { scheduler: Some(scheduler), ..SenderUpdate::default() })?;
        }
        self.config = merged;
        Ok(())
    }
}

fn send_config(config: &PipelineConfig) -> anyhow::Result<SendConfig> {
    let needed =
        |text: &Option<String>| text.clone().ok_or_else(|| anyhow::anyhow!("the source is not complete"));
    let given: &Source = &config.source;
    let source = match given.mode {
        SourceMode::Test => media::Source::Test,
        SourceMode::File => media::Source::File {
            path: needed(&given.path)?.into(),
            repeat: given.repeat.unwrap_or(true),
            passthrough: given.passthrough.unwrap_or(false),
        },
        SourceMode::V4l2 => media::Source::V4l2 { device: needed(&given.device)?.into() },
        SourceMode::Rtsp => media::Source::Rtsp { uri: needed(&given.uri)? },
        _ => anyhow::bail!("this source is not known"),
    };
    let mut send = SendConfig::new(source);
    send.resolution = given.resolution.map(|size| (size.width, size.height));
    send.framerate = given.framerate;
    send.encoder.bitrate_kbps = config.encoder.bitrate_kbps.unwrap_or(send.encoder.bitrate_kbps);
    send.encoder.keyint_max = config.encoder.keyint_max;
    Ok(send)
}

fn link_stats(link: &strata_media::bond::LinkStats) -> LinkStats {
    use strata_media::bond::LinkState as Bond;
    LinkStats {
        id: link.id,
        interface: link.interface.clone(),
        state: match link.state {
            Bond::Probe => LinkState::Probe,
            Bond::Warm => LinkState::Warm,
            Bond::Live => LinkState::Live,
            Bond::Degraded => LinkState::Degraded,
            Bond::Cooldown => LinkState::Cooldown,
            _ => LinkState::Dead,
        },
        rtt_ms: link.rtt_ms,
        loss_rate: link.loss_rate,
        capacity_bps: link.capacity_bps,
        sent_bytes: link.sent_bytes,
        signal_dbm: None,
        sent_bps: Some(link.sent_bps),
        lost_packets: Some(link.lost),
        retransmitted_packets: Some(link.retransmitted),
        in_flight_bytes: Some(link.in_flight_bytes),
        queue_ms: Some(link.queue_ms),
    }
}

/// A message of GStreamer's without the password of a network camera, should it quote its address.
fn hide(message: &str, source: &Source) -> String {
    let url = source.uri.as_ref().and_then(|uri| url::Url::parse(uri).ok());
    match url.as_ref().and_then(|url| url.password()).filter(|password| !password.is_empty()) {
        Some(password) => message.replace(password, "…"),
        None => message.to_owned(),
    }
}

fn say(event: &PipelineEvent) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(event)?;
    line.push(b'\n');
    std::io::stdout().lock().write_all(&line)
}

const COMMANDS: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_camera_s_password_is_not_passed_on() {
        let uri = Some("rtsp://me:topsecret@cam/1".to_owned());
        let source = Source { mode: SourceMode::Rtsp, uri, ..Source::default() };
        let hidden = hide("cannot open rtsp://me:topsecret@cam/1: 401", &source);
        assert_eq!(hidden, "cannot open rtsp://me:…@cam/1: 401");
        assert_eq!(hide("plain", &Source::default()), "plain");
    }
}
