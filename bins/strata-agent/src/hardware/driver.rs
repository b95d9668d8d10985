//! Two loops that look: at interfaces when the kernel says so, at media and device nodes now and then.
#![expect(clippy::disallowed_methods, reason = "this is a driver: it waits for the next look")]

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use strata_agent_protocol::probe::{Answer, Request};
use strata_proto::control::{InputStatus, MediaInput};
use tokio::sync::{mpsc, watch};

use super::interfaces::{self, Sysfs};
use super::media::{self, Durations, File, Node};
use super::netlink::{self, Changes, Netlink};
use super::{Hardware, Options, Order, Seen, cpu, probe};

/// Looks at the device until its [`Hardware`] is dropped.
#[derive(Debug)]
pub(crate) struct Driver {
    network: Network,
    media: Media,
}

#[derive(Debug)]
struct Network {
    netlink: Netlink,
    changes: Changes,
    orders: mpsc::Receiver<Order>,
    disabled: BTreeSet<String>,
    seen: watch::Sender<Seen>,
}

#[derive(Debug)]
struct Media {
    program: PathBuf,
    root: PathBuf,
    interval: watch::Receiver<Duration>,
    nodes: Vec<Node>,
    durations: Durations,
    seen: watch::Sender<Seen>,
}

/// Opens the kernel's interface to the network. The third part must be run beside the driver.
///
/// # Errors
/// When the kernel refuses a netlink socket.
pub(crate) fn open(options: Options) -> io::Result<(Hardware, Driver, impl Future<Output = ()> + Send)> {
    let (netlink, changes, socket) = netlink::open()?;
    let (seen_tx, seen) = watch::channel(Seen::default());
    let (orders, orders_rx) = mpsc::channel(ORDERS);
    let (interval, interval_rx) = watch::channel(options.interval);
    let mut load = cpu::Load::default();
    if let Ok(ticks) = cpu::Ticks::read() {
        // The first report tells of the time since now, not since the system started.
        load.percent(ticks);
    }
    let network =
        Network { netlink, changes, orders: orders_rx, disabled: options.disabled, seen: seen_tx.clone() };
    let media = Media {
        program: options.program,
        root: options.media_dir,
        interval: interval_rx,
        nodes: Vec::new(),
        durations: Durations::new(),
        seen: seen_tx,
    };
    let hardware = Hardware { seen, orders, interval, load: Mutex::new(load) };
    Ok((hardware, Driver { network, media }, socket))
}

impl Driver {
    /// Looks at network interfaces once.
    pub(crate) async fn look_at_network(&mut self) {
        self.network.look().await;
    }

    /// Looks at everything once; [`Driver::run`] begins with it.
    pub(crate) async fn look(&mut self) {
        tokio::join!(self.network.look(), self.media.look());
    }

    /// Runs until the [`Hardware`] is dropped.
    pub(crate) async fn run(self) {
        tokio::join!(self.network.run(), self.media.run());
    }
}

impl Network {
    async fn run(mut self) {
        self.look().await;
        let mut told = true;
        loop {
            tokio::select! {
                order = self.orders.recv() => match order {
                    Some(Order::Scan(done)) => {
                        self.look().await;
                        let _ = done.send(());
                    }
                    Some(Order::Disabled(disabled)) => {
                        self.disabled = disabled;
                        self.look().await;
                    }
                    None => return,
                },
                open = self.changes.wait(), if told => {
                    told = open;
                    self.look().await;
                }
                // The kernel no longer tells: look now and then.
                () = tokio::time::sleep(UNTOLD), if !told => self.look().await,
            }
        }
    }

    async fn look(&mut self) {
        let tables = match self.netlink.tables().await {
            Ok(tables) => tables,
            Err(error) => return tracing::warn!(%error, "cannot list network interfaces"),
        };
        let sysfs = |name: &str| Sysfs::read(Path::new("/sys/class/net"), name);
        let interfaces = interfaces::report(&tables, sysfs, &self.disabled);
        show(&self.seen, interfaces, |seen| &mut seen.interfaces);
    }
}

impl Media {
    async fn run(mut self) {
        loop {
            self.look().await;
            let wait = tokio::time::sleep(*self.interval.borrow_and_update());
            tokio::select! {
                () = wait => {}
                changed = self.interval.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }

    async fn look(&mut self) {
        let root = self.root.clone();
        let look = move || (media::files(&root), media::video_nodes(Path::new("/dev")));
        // Disks may be slow; looking at them must not hold up the session.
        let Ok((files, nodes)) = tokio::task::spawn_blocking(look).await else { return };
        self.durations.retain(|file, _| files.binary_search(file).is_ok());
        self.show_files(&files);
        if nodes != self.nodes {
            self.inputs(&nodes).await;
            self.nodes = nodes;
        }
        let unknown: Vec<_> = files.iter().filter(|f| !self.durations.contains_key(*f)).cloned().collect();
        for batch in unknown.chunks(PROBED_AT_ONCE) {
            self.read_durations(batch).await;
            self.show_files(&files);
        }
    }

    fn show_files(&self, files: &[File]) {
        show(&self.seen, media::report(files, &self.durations), |seen| &mut seen.media);
    }

    async fn inputs(&self, nodes: &[Node]) {
        let mut inputs = Vec::new();
        if !nodes.is_empty() {
            let request = Request { inputs: true, files: Vec::new() };
            let (answers, finished) = probe::ask(&self.program, &request).await;
            inputs.extend(answers.into_iter().filter_map(|answer| match answer {
                Answer::Input(input) => Some(input),
                Answer::File { .. } => None,
            }));
            if !finished {
                inputs.extend(unprobed(nodes, &inputs));
            }
        }
        inputs.truncate(MAX_INPUTS);
        show(&self.seen, inputs, |seen| &mut seen.inputs);
    }

    /// Reads durations in one child. A file the child died on has none: it is not tried again until
    /// it changes.
    async fn read_durations(&mut self, batch: &[File]) {
        let mut left = batch.to_vec();
        while !left.is_empty() {
            let files = left.iter().map(|file| file.path.clone()).collect();
            let (answers, finished) = probe::ask(&self.program, &Request { inputs: false, files }).await;
            for answer in answers {
                let Answer::File { path, duration_s } = answer else { continue };
                if let Some(at) = left.iter().position(|file| file.path == path) {
                    self.durations.insert(left.remove(at), duration_s);
                }
            }
            if finished {
                self.durations.extend(left.drain(..).map(|file| (file, None)));
            } else if !left.is_empty() {
                // Files are looked at in order: the child died on the first one it did not answer.
                self.durations.insert(left.remove(0), None);
            }
        }
    }
}

/// Replaces one part of what is seen, and wakes whoever waits for a change if it is one.
fn show<T: PartialEq>(seen: &watch::Sender<Seen>, now: T, part: impl FnOnce(&mut Seen) -> &mut T) {
    seen.send_if_modified(|seen| {
        let part = part(seen);
        let changed = *part != now;
        *part = now;
        changed
    });
}

/// Nodes that the probe died on: they are there, and do not work.
fn unprobed(nodes: &[Node], known: &[MediaInput]) -> Vec<MediaInput> {
    let known: BTreeSet<&str> = known.iter().map(|input| input.device.as_str()).collect();
    let broken = |node: &Node| {
        let device = node.path.to_str().filter(|device| !known.contains(device))?;
        let name = node.path.file_name()?.to_str()?;
        let label = std::fs::read_to_string(format!("/sys/class/video4linux/{name}/name"));
        Some(MediaInput {
            device: device.to_owned(),
            kind: "v4l2".to_owned(),
            label: label.map_or_else(|_| name.to_owned(), |label| label.trim().to_owned()),
            capabilities: Vec::new(),
            status: InputStatus::Error,
        })
    };
    nodes.iter().filter_map(broken).collect()
}

const ORDERS: usize = 8;
const UNTOLD: Duration = Duration::from_secs(10);
const PROBED_AT_ONCE: usize = 16;
const MAX_INPUTS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Answers for `a.mp4`, then dies: a demuxer that crashes on the next file.
    const DYING_PROBE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dying-probe.sh");

    #[tokio::test]
    async fn a_file_that_kills_the_probe_costs_no_other_its_duration() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.mp4", "b.mp4", "c.mp4"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let files = media::files(dir.path());
        let mut media = Media {
            program: DYING_PROBE.into(),
            root: dir.path().to_owned(),
            interval: watch::channel(Duration::ZERO).1,
            nodes: Vec::new(),
            durations: Durations::new(),
            seen: watch::channel(Seen::default()).0,
        };
        media.read_durations(&files).await;
        let durations: Vec<_> = files.iter().map(|file| media.durations.get(file).copied()).collect();
        assert_eq!(durations, [Some(Some(3)), Some(None), Some(None)]);
    }

    #[tokio::test]
    async fn a_camera_that_kills_the_probe_is_reported_as_broken() {
        let request = Request { inputs: true, files: Vec::new() };
        let (answers, finished) = probe::ask(Path::new(DYING_PROBE), &request).await;
        assert!(answers.is_empty() && !finished);
        let nodes = media::video_nodes(Path::new("/dev"));
        let broken = unprobed(&nodes, &[]);
        assert!(broken.iter().all(|input| input.status == InputStatus::Error && input.kind == "v4l2"));
        assert_eq!(broken.len(), nodes.len());
    }
}
