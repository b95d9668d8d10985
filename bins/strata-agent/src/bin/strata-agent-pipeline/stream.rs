//! The child's side of [`strata_agent_protocol::stream`].

use std::collections::BTreeMap;
use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use strata_agent_protocol::interfaces::Rules;
use strata_agent_protocol::stream::{PipelineCommand, PipelineConfig, PipelineEvent, STOP_LIMIT};
use strata_media::pipeline::{
    self as media, EndReason, PipelineError, SendConfig, SendDriver, SendEvent, SendHandle, SendStats,
};
use strata_proto::control::{
    ConfigUpdate, EncoderUpdate, LinkState, LinkStats, Source, SourceMode, StreamStats,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::bond;
use crate::change::{self, Change};
use crate::links::{self, Addresses};

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
    let addresses = links::addresses(&config.bonding.links, &Addresses::default())?;
    let sender = bond::sender_config(&config, &addresses)?;
    let (handle, driver) = media::send(send_config(&config)?, sender)?;
    tracing::info!(encoder = handle.encoder(), "sending");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(stream(Told::new(config, addresses), handle, driver, commands()))
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
    mut told: Told,
    mut handle: SendHandle,
    driver: SendDriver,
    mut commands: mpsc::Receiver<PipelineCommand>,
) -> anyhow::Result<()> {
    // A service manager tells every process of the group; the agent stops this one in good order.
    let _ignored = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    // Beside this loop, which waits for its answers.
    let mut driver = tokio::spawn(driver.run());
    told.rules(&handle, told.config.rules.clone()).await?;
    let mut changes = JoinSet::<anyhow::Result<Change>>::new();
    let mut open = true;
    let ended = loop {
        tokio::select! {
            ended = &mut driver => break ended?,
            Some(event) = handle.event() => told.event(event)?,
            Some(change) = changes.join_next() => {
                let change = change.unwrap_or_else(|panic| Err(panic.into()));
                let changed = match change {
                    Ok(change) => told.change(&handle, change).await,
                    Err(error) => Err(error),
                };
                let error = changed.err().map(|error| format!("{error:#}"));
                say(&PipelineEvent::Updated { error })?;
            }
            command = commands.recv(), if open => match command {
                Some(PipelineCommand::Update { update }) => {
                    let merged = told.merged(&update);
                    let addresses = told.addresses.clone();
                    // Looking a name up takes long; the stream goes on meanwhile.
                    changes.spawn_blocking(move || Change::new(update, &merged, &addresses));
                }
                Some(PipelineCommand::Rules { rules }) => told.rules(&handle, rules).await?,
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
    /// What was wrong with links, by their id.
    link_errors: BTreeMap<u32, String>,
    /// Where links lead.
    addresses: Addresses,
}

impl Told {
    fn new(config: PipelineConfig, addresses: Addresses) -> Self {
        Self { config, reported_s: 0, sent_bytes: 0, link_errors: BTreeMap::new(), addresses }
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
        say(&PipelineEvent::Spent {
            links: stats.bond.links.iter().map(|link| (link.id, link.spent_bytes)).collect(),
        })?;
        let errors = stats.bond.links.iter().filter_map(|link| Some((link.id, link.error.clone()?)));
        let errors: BTreeMap<_, _> = errors.collect();
        for (link, error) in &errors {
            if self.link_errors.get(link) != Some(error) {
                tracing::warn!(link, "link cannot be used: {error}");
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

    /// Uses links as is said of their interfaces.
    ///
    /// # Errors
    /// When that cannot be: nothing may go by a link that was forbidden, and the next child is told from the start.
    async fn rules(&mut self, handle: &SendHandle, rules: Rules) -> anyhow::Result<()> {
        let changed = PipelineConfig { rules, ..self.config.clone() };
        let update = change::between(&self.config, &changed, &self.addresses)?;
        match handle.update(update, media::EncoderUpdate::default()).await {
            // A stream that is over uses no links; how it ended is said elsewhere.
            Ok(()) | Err(PipelineError::Closed) => self.config = changed,
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The configuration with an update laid over it.
    fn merged(&self, update: &ConfigUpdate) -> PipelineConfig {
        let mut merged = self.config.clone();
        merged.merge(update);
        merged
    }

    async fn change(&mut self, handle: &SendHandle, change: Change) -> anyhow::Result<()> {
        let merged = self.merged(&change.update);
        let update = change::between(&self.config, &merged, &change.addresses)?;
        handle.update(update, encoder_update(change.update.encoder)).await?;
        (self.config, self.addresses) = (merged, change.addresses);
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
    send.encoder.adaptive = config.encoder.adaptive.unwrap_or(send.encoder.adaptive);
    send.encoder.min_bitrate_kbps = config.encoder.min_bitrate_kbps;
    send.encoder.ramp_percent = config.encoder.ramp_percent.unwrap_or(send.encoder.ramp_percent);
    Ok(send)
}

fn encoder_update(given: Option<EncoderUpdate>) -> media::EncoderUpdate {
    let EncoderUpdate { bitrate_kbps, adaptive, min_bitrate_kbps, ramp_percent } = given.unwrap_or_default();
    media::EncoderUpdate { bitrate_kbps, adaptive, min_bitrate_kbps, ramp_percent }
}

fn link_stats(link: &strata_media::bond::LinkStats) -> LinkStats {
    use strata_media::bond::{LinkState as Bond, rounded};
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
        // The message always has both.
        rtt_ms: link.rtt_ms.map_or(0.0, rounded),
        loss_rate: rounded(link.loss_rate),
        capacity_bps: link.known_capacity_bps().unwrap_or(0),
        sent_bytes: link.sent_bytes,
        signal_dbm: None,
        sent_bps: Some(link.sent_bps),
        lost_packets: Some(link.lost),
        retransmitted_packets: Some(link.retransmitted),
        in_flight_bytes: Some(link.in_flight_bytes),
        queue_ms: Some(rounded(link.queue_ms)),
        rtt_min_ms: link.rtt_min_ms.map(rounded),
        delivery_bps: Some(link.delivery_bps),
        capacity_confidence: Some(rounded(link.capacity_confidence)),
        error: link.error.clone(),
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
    use serde_json::json;

    use super::*;

    /// What the agent should have refused, and did not, is refused as a whole, and said.
    #[tokio::test]
    async fn a_change_that_the_bond_refuses_changes_nothing() {
        let link = |port: u16| json!({"id": 0, "uri": format!("rist://127.91.0.1:{port}")});
        let config: PipelineConfig = serde_json::from_value(json!({
            "stream_id": "str_1", "source": {"mode": "test", "resolution": "320x240"},
            "encoder": {"bitrate_kbps": 300}, "latency_ms": 100, "stats_interval_ms": 1000, "parent": 1,
            "log": "info", "bonding": {"version": 1, "links": [link(15_000)]},
        }))
        .unwrap();
        let addresses = links::addresses(&config.bonding.links, &Addresses::default()).unwrap();
        let sender = bond::sender_config(&config, &addresses).unwrap();
        let mut send = send_config(&config).unwrap();
        // Nobody is there whose links it could follow.
        send.encoder.adaptive = false;
        let (mut handle, driver) = media::send(send, sender).unwrap();
        let driver = tokio::spawn(driver.run());
        let mut told = Told::new(config.clone(), addresses);
        let change = |kbps: u32, port: u16| {
            let update = json!({"encoder": {"bitrate_kbps": kbps}, "links": [link(port)]});
            let update: ConfigUpdate = serde_json::from_value(update).unwrap();
            let mut merged = config.clone();
            merged.merge(&update);
            Change::new(update, &merged, &Addresses::default()).unwrap()
        };
        let error = told.change(&handle, change(900, 15_001)).await.unwrap_err();
        assert!(error.to_string().contains("links[0].remote"), "{error}");
        assert_eq!(told.config, config);
        // More than a pipeline encodes with, beside a link that is good.
        let error = told.change(&handle, change(200_001, 15_002)).await.unwrap_err();
        assert!(error.to_string().contains("encoder.bitrate_kbps"), "{error}");
        assert_eq!(told.config, config);
        assert_eq!(target(&mut handle).await, 300);
        told.change(&handle, change(400, 15_002)).await.unwrap();
        assert_eq!(told.config.encoder.bitrate_kbps, Some(400));
        while target(&mut handle).await != 400 {}
        handle.stop().unwrap();
        driver.await.unwrap();
        // Nobody is left to refuse or to take it.
        told.change(&handle, change(500, 15_004)).await.unwrap_err();
        assert_eq!(told.config.encoder.bitrate_kbps, Some(400));
        told.rules(&handle, Rules::default()).await.unwrap();
    }

    /// What is asked of the encoder, as the next statistics say.
    async fn target(handle: &mut SendHandle) -> u32 {
        loop {
            if let SendEvent::Stats(stats) = handle.event().await.unwrap() {
                return stats.target_kbps;
            }
        }
    }

    /// Neither a capacity that would only be tried nor a digit that means nothing is told.
    #[test]
    fn what_is_not_known_of_a_link_is_no_number_of_its_own() {
        let mut link = strata_media::bond::LinkStats::default();
        (link.capacity_bps, link.queue_ms, link.loss_rate) = (4_000_000, 0.139_999_999_999_999_99, 0.1 + 0.2);
        let told = link_stats(&link);
        assert_eq!((told.rtt_ms, told.rtt_min_ms, told.capacity_bps), (0.0, None, 0));
        assert_eq!((told.queue_ms, told.loss_rate), (Some(0.14), 0.3));
        (link.rtt_ms, link.rtt_min_ms) = (Some(12.5), Some(12.0));
        let told = link_stats(&link);
        assert_eq!((told.rtt_ms, told.rtt_min_ms, told.capacity_bps), (12.5, Some(12.0), 4_000_000));
    }

    #[test]
    fn a_camera_s_password_is_not_passed_on() {
        let uri = Some("rtsp://me:topsecret@cam/1".to_owned());
        let source = Source { mode: SourceMode::Rtsp, uri, ..Source::default() };
        let hidden = hide("cannot open rtsp://me:topsecret@cam/1: 401", &source);
        assert_eq!(hidden, "cannot open rtsp://me:…@cam/1: 401");
        assert_eq!(hide("plain", &Source::default()), "plain");
    }
}
