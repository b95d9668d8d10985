//! A whole Strata on one machine: control plane, links, devices, in a directory of its own.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strata_proto::control::{
    Presence, ReceiverStats, SenderCreated, SenderView, Source, SourceMode, StartLink, StartStream,
    StreamLife, StreamView, Topic,
};
use strata_proto::id::{SenderId, StreamId};
use toml::{Table, Value};

use crate::agent::Agent;
use crate::control::{ControlPlane, PATIENCE};
use crate::links::{Link, LinkSpec};
use crate::live::Live;
use crate::place::Place;
use crate::rest::Rest;
use crate::wait::eventually;

/// What a stage is made of.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Links between devices and receivers.
    pub links: Vec<LinkSpec>,
    /// Ports of receivers.
    pub ports: RangeInclusive<u16>,
    /// What is sent.
    pub clip: PathBuf,
    /// Where everything is kept; a temporary directory when absent.
    pub dir: Option<PathBuf>,
    /// Settings of the control plane, by section.
    pub settings: Table,
}

/// The machine may stand still for about so long, and a stream is whole.
const LATENCY_MS: i64 = 3000;

impl Setup {
    /// The demo's links, ports for one stream over both, and the control plane's default settings, but for a latency of 3 s.
    #[must_use]
    pub fn new(clip: PathBuf) -> Self {
        Self {
            links: LinkSpec::DEMO.to_vec(),
            ports: 15_000..=15_003,
            clip,
            dir: None,
            settings: Table::new(),
        }
        .set("streams", "latency_ms", LATENCY_MS)
    }

    /// Changes a setting of the control plane.
    #[must_use]
    pub fn set(mut self, section: &str, key: &str, value: impl Into<Value>) -> Self {
        let section = self.settings.entry(section).or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(section) = section {
            section.insert(key.to_owned(), value.into());
        }
        self
    }
}

/// A whole Strata. Dropping it ends every process that belongs to it, receivers included.
///
/// Unless it was [`done`](Self::done), a temporary directory is kept then and its logs are shown.
#[derive(Debug)]
pub struct Stage {
    /// The control plane.
    pub control: ControlPlane,
    /// Its REST API.
    pub rest: Rest,
    /// The links.
    pub links: Vec<Link>,
    dir: Dir,
    clip: PathBuf,
    place: Place,
}

impl Stage {
    /// Starts links and control plane.
    ///
    /// # Errors
    /// When one of them does not start.
    pub async fn new(setup: Setup) -> Result<Self> {
        let place = Place::take()?;
        let dir = Dir::new(setup.dir.as_deref())?;
        let mut links = Vec::new();
        for (n, spec) in setup.links.iter().enumerate() {
            links.push(Link::new(&place, n, setup.ports.clone(), *spec).await?);
        }
        let hosts = links.iter().map(|link| Value::String(link.address.to_string())).collect();
        let ports = format!("{}-{}", setup.ports.start(), setup.ports.end());
        let settings =
            setup.clone().set("streams", "hosts", Value::Array(hosts)).set("streams", "ports", ports);
        let control = ControlPlane::start(&place, &dir.path, settings.settings).await?;
        let rest = control.rest().await?;
        Ok(Self { control, rest, links, dir, clip: setup.clip, place })
    }

    /// The directory in which everything is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir.path
    }

    /// The addresses it has for itself.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A new sender, its agent, enrolled and online, with what the control plane says about it.
    ///
    /// # Errors
    /// When it does not come online in time.
    pub async fn device(&self, name: &str) -> Result<(Agent, SenderView)> {
        let created = self.rest.create_sender(name).await?;
        let mut agent = self.enroll(name, &created)?;
        let online = self.presence(&created.sender.id, Presence::Online).await;
        match (online, agent.daemon.ended()?) {
            (Ok(sender), _) => Ok((agent, sender)),
            (Err(_), Some(status)) => bail!("{name} ended ({status})\n{}", agent.daemon.tail()),
            (Err(error), None) => Err(error.context(agent.daemon.tail())),
        }
    }

    /// An agent with the enrolment string of `created`.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn enroll(&self, name: &str, created: &SenderCreated) -> Result<Agent> {
        Agent::enroll(name, &self.dir.path, &created.enrollment_uri, &self.clip)
    }

    /// Waits until a sender's presence is `presence`.
    ///
    /// # Errors
    /// When it is not in time.
    pub async fn presence(&self, id: &SenderId, presence: Presence) -> Result<SenderView> {
        eventually(format!("{id} {presence:?}"), PATIENCE, async || {
            self.rest.sender(id).await.ok().filter(|sender| sender.presence == presence)
        })
        .await
    }

    /// What is asked of the control plane to send the clip over every link, again and again.
    ///
    /// # Errors
    /// When the clip has no name.
    pub fn broadcast(&self) -> Result<StartStream> {
        let name = self.clip.file_name().and_then(|name| name.to_str()).context("the clip's name")?;
        let source = Source {
            mode: SourceMode::File,
            path: Some(name.to_owned()),
            repeat: Some(true),
            ..Source::default()
        };
        let links = Some(vec![StartLink::default(); self.links.len()]);
        Ok(StartStream { source, links, record: Some(true), ..StartStream::default() })
    }

    /// Starts the clip's broadcast and waits until media flow.
    ///
    /// # Errors
    /// When they do not in time, or the stream ends.
    pub async fn go_live(&self, sender: &SenderId) -> Result<StreamView> {
        let started = self.rest.start(sender, &self.broadcast()?).await.context("stream/start")?;
        self.state(&started.id, StreamLife::Live, Duration::from_secs(40)).await
    }

    /// Waits until a stream is in a state.
    ///
    /// # Errors
    /// When it is not in time, or is over in another way.
    pub async fn state(&self, id: &StreamId, state: StreamLife, deadline: Duration) -> Result<StreamView> {
        let over = |state| matches!(state, StreamLife::Ended | StreamLife::Failed);
        let found = eventually(format!("{id} {state:?}"), deadline, async || {
            self.rest.stream(id).await.ok().filter(|stream| stream.state == state || over(stream.state))
        });
        let stream = found.await?;
        if stream.state != state {
            let (reason, error) = (stream.end_reason, stream.error.unwrap_or_default());
            bail!("{id} is {:?}, not {state:?}: {reason:?} {error}", stream.state);
        }
        Ok(stream)
    }

    /// Waits until a stream was live for `length`, by the receiver's own count.
    ///
    /// # Errors
    /// When it takes much longer, or the stream ends.
    pub async fn streamed(&self, id: &StreamId, length: Duration) -> Result<StreamView> {
        let wanted = u64::try_from(length.as_millis())?;
        eventually(format!("{length:?} of {id}"), length + PATIENCE, async || {
            let stream = self.rest.stream(id).await.ok()?;
            let stats = stream.receiver_stats.as_ref()?;
            (stats.delivered_packets > 0 && stats.uptime_ms >= wanted).then_some(stream)
        })
        .await
    }

    /// Stops a stream, and waits until it is over; gives it with the receiver's last statistics.
    ///
    /// # Errors
    /// When it cannot be stopped, or ends otherwise.
    pub async fn stop(&self, stream: &StreamView) -> Result<(StreamView, ReceiverStats)> {
        let topic = Topic::Stream(stream.id.clone());
        let mut live = self.live(vec![topic]).await?;
        self.rest.stop(&stream.sender_id).await.context("stream/stop")?;
        let mut last = stream.receiver_stats.clone();
        let over = live.until("the stream is over", PATIENCE, |event| {
            if event.event == "stream.receiver_stats" {
                last = serde_json::from_value(event.data.clone()).ok();
            }
            let over = matches!(event.data.get("state")?.as_str()?, "ended" | "failed");
            (event.event == "stream.state" && over).then_some(())
        });
        over.await?;
        let ended = self.state(&stream.id, StreamLife::Ended, PATIENCE).await?;
        Ok((ended, last.context("the receiver gave no statistics")?))
    }

    /// A live WebSocket.
    ///
    /// # Errors
    /// When it cannot be reached.
    pub async fn live(&self, topics: Vec<Topic>) -> Result<Live> {
        self.control.live(&self.rest, topics).await
    }

    /// Receiver processes of this stage that run now.
    #[must_use]
    pub fn receivers(&self) -> Vec<u32> {
        self.dir.processes("strata-receiver")
    }

    /// All went well: nothing needs to be kept.
    pub fn done(mut self) {
        self.dir.done = true;
    }

    /// The last lines of everything that was logged.
    #[must_use]
    pub fn logs(&self) -> String {
        self.dir.logs()
    }
}

/// A directory, and the processes that have its name on their command line.
#[derive(Debug)]
struct Dir {
    path: PathBuf,
    temporary: bool,
    done: bool,
}

impl Dir {
    fn new(path: Option<&Path>) -> Result<Self> {
        match path {
            Some(path) => {
                std::fs::create_dir_all(path).with_context(|| path.display().to_string())?;
                Ok(Self { path: path.canonicalize()?, temporary: false, done: false })
            }
            None => {
                let dir = tempfile::Builder::new().prefix("strata-").tempdir()?;
                Ok(Self { path: dir.keep(), temporary: true, done: false })
            }
        }
    }

    /// Processes of a program that were started with this directory.
    fn processes(&self, program: &str) -> Vec<u32> {
        let own = self.path.as_os_str().as_encoded_bytes();
        let pids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let name = line.split(|byte| *byte == 0).next().unwrap_or_default();
            name.ends_with(program.as_bytes()) && line.windows(own.len()).any(|window| window == own)
        })
        .collect()
    }

    fn logs(&self) -> String {
        let mut files: Vec<PathBuf> = Vec::new();
        for dir in [self.path.clone(), self.path.join("control/run")] {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            files.extend(entries.map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "log")));
        }
        files.sort();
        let tails = files.iter().map(|f| format!("── {}\n{}", f.display(), crate::program::tail(f, 30)));
        tails.collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        for pid in
            ["strata-agent", "strata-control", "strata-receiver"].iter().flat_map(|p| self.processes(p))
        {
            if let Ok(pid) = i32::try_from(pid) {
                // It may have ended since it was listed.
                let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
            }
        }
        if !self.temporary {
            return;
        }
        if !self.done {
            eprintln!("{}\nkept: {}", self.logs(), self.path.display());
        } else {
            // What is left in the temporary directory is the system's to clean.
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}
