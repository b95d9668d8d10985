//! The sending end.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock and waits")]

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::channel::Inbox;
use super::config::{LinkConfig, Profile, SenderConfig, SenderUpdate};
use super::error::NetError;
use super::links;
use super::socket::{self, LinkSockets, Pair};
use super::tunnels::Tunnels;
use crate::bond::sender::{Input, Output};
use crate::bond::{self, BondConfig, BondStats, SchedulerParams};
use crate::rist::{extension, gre, tunnel};

/// Largest payload of one packet, bytes: what fits into 1500 with IPv6, UDP and RTP headers.
const MAX_PAYLOAD: usize = 1440;
/// The same beside the headers of a tunnel.
const MAX_TUNNEL_PAYLOAD: usize = MAX_PAYLOAD - gre::MAX_HEADER_LEN - gre::Ports::LEN - extension::LEN;
/// Payloads on their way to the driver; `send` waits when they are that many.
const QUEUE: usize = 256;
/// Commands on their way to the driver.
const COMMANDS: usize = 64;
/// Payloads taken at a time.
const BATCH: usize = 64;
/// How often statistics are published.
const STATS_INTERVAL: Duration = Duration::from_millis(50);
/// How often the sockets of a dead or broken link are opened anew: its address may have changed.
const REOPEN_INTERVAL: Duration = Duration::from_secs(2);

/// Gives payloads to a bonded stream. Dropping it ends the driver after what was sent had its latency.
#[derive(Debug)]
pub struct Sender {
    payloads: mpsc::Sender<Bytes>,
    commands: mpsc::Sender<Command>,
    stats: Shared,
    max_payload: usize,
    profile: Profile,
    /// The links there are, with all updates so far.
    links: Mutex<Vec<LinkConfig>>,
}

/// Statistics of bond and tunnels.
type Shared = Arc<Mutex<(BondStats, tunnel::Counters)>>;

#[derive(Debug)]
enum Command {
    Update(Box<SenderUpdate>),
    Finish(oneshot::Sender<()>),
}

/// Runs a bonded sender.
#[derive(Debug)]
pub struct SenderDriver {
    payloads: mpsc::Receiver<Bytes>,
    commands: mpsc::Receiver<Command>,
    stats: Shared,
    config: SenderConfig,
    tunnel: Option<tunnel::Config>,
    pairs: Vec<Result<Pair, String>>,
}

/// Opens the sockets of a bonded sender.
///
/// A link that cannot be opened is reported in [`LinkStats::error`](crate::bond::LinkStats::error), tried again
/// every two seconds, and the others go on.
///
/// # Errors
/// [`NetError::Config`] names the field that cannot work; [`NetError::NoLink`] when no link could be opened.
pub fn sender(config: SenderConfig) -> Result<(Sender, SenderDriver), NetError> {
    check(&config)?;
    let tunnel = config.tunnel()?;
    let connect = |link| socket::connect(link, config.profile).map_err(|e| e.to_string());
    let pairs: Vec<_> = config.links.iter().map(connect).collect();
    if pairs.iter().all(Result::is_err) {
        let reason = |(pair, link): (&Result<Pair, String>, &LinkConfig)| {
            pair.as_ref().err().map(|e| format!("link {}: {e}", link.id))
        };
        return Err(NetError::NoLink(pairs.iter().zip(&config.links).filter_map(reason).collect()));
    }
    let (payload_sender, payloads) = mpsc::channel(QUEUE);
    let (command_sender, commands) = mpsc::channel(COMMANDS);
    let stats = Shared::default();
    let max_payload = if tunnel.is_some() { MAX_TUNNEL_PAYLOAD } else { MAX_PAYLOAD };
    let handle = Sender {
        payloads: payload_sender,
        commands: command_sender,
        stats: stats.clone(),
        max_payload,
        profile: config.profile,
        links: Mutex::new(config.links.clone()),
    };
    Ok((handle, SenderDriver { payloads, commands, stats, config, tunnel, pairs }))
}

fn check(config: &SenderConfig) -> Result<(), NetError> {
    links::check(&config.links, config.profile)?;
    check_latency(config.latency)?;
    check_scheduler(&config.scheduler)
}

fn check_latency(latency: Duration) -> Result<(), NetError> {
    if latency.is_zero() || latency > socket::MAX_LATENCY {
        let (field, reason) = ("latency".to_owned(), "1 ms to 60 s are expected".to_owned());
        return Err(NetError::Config { field, reason });
    }
    Ok(())
}

fn check_scheduler(params: &SchedulerParams) -> Result<(), NetError> {
    params.check().map_err(|error| NetError::Config {
        field: format!("scheduler.{}", error.field),
        reason: error.reason,
    })
}

impl Sender {
    /// Sends one RTP payload, usually seven packets of transport stream (1316 bytes). Waits while the links are
    /// behind.
    ///
    /// # Errors
    /// [`NetError::PayloadSize`] for an empty payload or more than 1440 bytes (Main Profile: 1412),
    /// [`NetError::Closed`] when the driver has ended.
    pub async fn send(&self, payload: Bytes) -> Result<(), NetError> {
        self.check_size(&payload)?;
        self.payloads.send(payload).await.map_err(|_| NetError::Closed)
    }

    /// The same from a thread that is not part of a runtime, such as a GStreamer streaming thread.
    ///
    /// # Errors
    /// As [`Sender::send`].
    ///
    /// # Panics
    /// When called from within a runtime.
    pub fn blocking_send(&self, payload: Bytes) -> Result<(), NetError> {
        self.check_size(&payload)?;
        self.payloads.blocking_send(payload).map_err(|_| NetError::Closed)
    }

    /// Statistics, at most 100 ms old.
    #[must_use]
    pub fn stats(&self) -> BondStats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }

    /// What came back by the tunnels of all links, at most 100 ms old; nothing with the Simple Profile.
    #[must_use]
    pub fn tunnel_stats(&self) -> tunnel::Counters {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).1
    }

    /// Changes a running sender. All of an update is checked before any of it applies.
    ///
    /// # Errors
    /// [`NetError::Config`] names the field that cannot be, [`NetError::Closed`] when the driver has ended,
    /// [`NetError::Busy`] when it does not keep up with updates.
    pub fn update(&self, update: SenderUpdate) -> Result<(), NetError> {
        update.scheduler.as_ref().map_or(Ok(()), check_scheduler)?;
        update.latency.map_or(Ok(()), check_latency)?;
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let next = links::updated(&links, &update, self.profile)?;
        let sent = self.commands.try_send(Command::Update(Box::new(update))).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => NetError::Busy,
            mpsc::error::TrySendError::Closed(_) => NetError::Closed,
        });
        if sent.is_ok() {
            *links = next;
        }
        sent
    }

    /// Waits until everything sent so far had its latency to be repeated in.
    ///
    /// # Errors
    /// [`NetError::Closed`] when the driver has ended.
    pub async fn finish(&self) -> Result<(), NetError> {
        let (done, wait) = oneshot::channel();
        self.commands.send(Command::Finish(done)).await.map_err(|_| NetError::Closed)?;
        wait.await.map_err(|_| NetError::Closed)
    }

    fn check_size(&self, payload: &Bytes) -> Result<(), NetError> {
        let (len, max) = (payload.len(), self.max_payload);
        if (1..=max).contains(&len) { Ok(()) } else { Err(NetError::PayloadSize { len, max }) }
    }
}

impl SenderDriver {
    /// Runs until the handle is dropped and what was sent had its latency.
    ///
    /// # Errors
    /// [`NetError::Io`] when the sockets cannot be given to the runtime.
    pub async fn run(self) -> Result<(), NetError> {
        Running::start(self)?.run().await;
        Ok(())
    }
}

/// A driver at work.
pub(super) struct Running {
    payloads: mpsc::Receiver<Bytes>,
    commands: mpsc::Receiver<Command>,
    stats: Shared,
    pub(super) config: SenderConfig,
    pub(super) bond: bond::Sender,
    pub(super) tunnels: Tunnels,
    pub(super) sockets: Vec<Option<LinkSockets>>,
    /// Places that no link has.
    pub(super) removed: Vec<bool>,
    finishing: Vec<oneshot::Sender<()>>,
    closed: bool,
    next_stats: Instant,
    next_reopen: Instant,
    inbox: Inbox,
    /// Payloads just taken.
    batch: Vec<Bytes>,
}

/// What woke the driver.
enum Wake {
    /// So many are in the batch; none when the handle is gone.
    Payloads(usize),
    Command(Option<Command>),
    Readable,
    Time,
}

impl Running {
    fn start(driver: SenderDriver) -> Result<Self, NetError> {
        let SenderDriver { payloads, commands, stats, config, tunnel, pairs } = driver;
        let now = Instant::now();
        let mut bond_config =
            BondConfig::new(config.links.iter().map(LinkConfig::bond).collect(), socket::seed());
        bond_config.latency = config.latency;
        bond_config.scheduler = config.scheduler.clone();
        bond_config.cname.clone_from(&config.cname);
        let mut bond = bond::Sender::new(now, bond_config);
        let mut sockets = Vec::new();
        for (link, pair) in pairs.into_iter().enumerate() {
            match pair {
                Ok(pair) => sockets.push(Some(LinkSockets::register(pair)?)),
                Err(error) => {
                    bond.handle_input(now, Input::LinkError { link, error: Some(error) });
                    sockets.push(None);
                }
            }
        }
        Ok(Self {
            payloads,
            commands,
            stats,
            tunnels: Tunnels::new(now, config.links.len(), tunnel.as_ref()),
            removed: vec![false; config.links.len()],
            config,
            bond,
            sockets,
            finishing: Vec::new(),
            closed: false,
            next_stats: now,
            next_reopen: now + REOPEN_INTERVAL,
            inbox: Inbox::default(),
            batch: Vec::new(),
        })
    }

    async fn run(mut self) {
        let mut timer = std::pin::pin!(tokio::time::sleep(Duration::ZERO));
        loop {
            let due = self.perform().min(self.next_stats);
            let now = Instant::now();
            self.housekeeping(now);
            if self.closed && self.bond.is_drained(now) && self.bond.wait(now).is_zero() {
                self.bond.handle_input(now, Input::Bye);
                self.perform();
                self.tunnels.close(now);
                self.perform();
                return;
            }
            let due = tokio::time::Instant::from(due);
            if timer.deadline() != due || timer.is_elapsed() {
                timer.as_mut().reset(due);
            }
            // Payloads wait outside while a quarter of the latency is already spent waiting inside.
            let ready = !self.closed && self.bond.wait(now) < self.config.latency / 4;
            let wake = tokio::select! {
                biased;
                () = timer.as_mut() => Wake::Time,
                command = self.commands.recv(), if !self.closed => Wake::Command(command),
                () = socket::readable(&self.sockets) => Wake::Readable,
                count = self.payloads.recv_many(&mut self.batch, BATCH), if ready => Wake::Payloads(count),
            };
            self.handle(wake);
        }
    }

    fn handle(&mut self, wake: Wake) {
        let now = Instant::now();
        match wake {
            Wake::Payloads(0) | Wake::Command(None) => self.close(now),
            Wake::Payloads(_) => {
                for payload in self.batch.drain(..) {
                    self.bond.handle_input(now, Input::Payload(payload));
                }
            }
            Wake::Command(Some(Command::Update(update))) => self.update(now, *update),
            Wake::Command(Some(Command::Finish(done))) => {
                self.take_pending(now);
                self.finishing.push(done);
            }
            Wake::Readable => self.receive(now),
            Wake::Time => {
                self.tunnels.timeout(now);
                self.bond.handle_input(now, Input::Timeout);
            }
        }
    }

    /// The handle is gone: what it still gave is sent.
    fn close(&mut self, now: Instant) {
        self.take_pending(now);
        self.closed = true;
    }

    fn take_pending(&mut self, now: Instant) {
        while let Ok(payload) = self.payloads.try_recv() {
            self.bond.handle_input(now, Input::Payload(payload));
        }
    }

    fn update(&mut self, now: Instant, update: SenderUpdate) {
        if let Some(latency) = update.latency {
            self.config.latency = latency;
            self.bond.handle_input(now, Input::Latency(self.config.latency));
        }
        if let Some(scheduler) = update.scheduler {
            self.bond.handle_input(now, Input::Scheduler(scheduler));
        }
        for id in update.remove {
            self.remove_link(now, id);
        }
        for link in update.links {
            self.set_link(now, link);
        }
        for (id, enabled) in update.enabled {
            if let Some(link) = self.place(id) {
                self.bond.handle_input(now, Input::Enable { link, enabled });
            }
        }
    }

    fn receive(&mut self, now: Instant) {
        for (link, sockets) in self.sockets.iter().enumerate() {
            let Some(sockets) = sockets else { continue };
            if self.tunnels.receive(now, link, sockets, &mut self.inbox) {
                continue;
            }
            let Some(rtcp) = &sockets.rtcp else { continue };
            for (data, _) in self.inbox.receive(rtcp) {
                self.bond.handle_input(now, Input::Rtcp { link, data: &data });
            }
        }
        let bond = &mut self.bond;
        self.tunnels
            .drain(&mut self.sockets, |link, data| bond.handle_input(now, Input::Rtcp { link, data }));
    }

    /// Does what the machine wants; until when it wants nothing more.
    fn perform(&mut self) -> Instant {
        let due = self.fill();
        self.sockets.iter_mut().flatten().for_each(LinkSockets::flush);
        due
    }

    /// Gathers what is to be sent; until when nothing more is wanted.
    fn fill(&mut self) -> Instant {
        let due = self.tunnels.drain(&mut self.sockets, |_, _| {});
        loop {
            match self.bond.poll_output() {
                Output::Rtp { link, media } => {
                    if let Some(sockets) = &mut self.sockets[link] {
                        self.tunnels.send_rtp(link, &media, sockets);
                    }
                }
                Output::Rtcp { link, data } => {
                    if let Some(sockets) = &mut self.sockets[link] {
                        self.tunnels.send_rtcp(link, &data, sockets);
                    }
                }
                Output::Timeout(at) => return due.map_or(at, |due| at.min(due)),
            }
        }
    }

    fn housekeeping(&mut self, now: Instant) {
        if !self.finishing.is_empty() && self.bond.is_drained(now) {
            for done in self.finishing.drain(..) {
                // A caller that no longer waits is no failure.
                let _ = done.send(());
            }
        }
        if now >= self.next_stats {
            self.next_stats = now + STATS_INTERVAL;
            let stats = self.bond.stats(now);
            if now >= self.next_reopen {
                self.next_reopen = now + REOPEN_INTERVAL;
                self.reopen(now, &stats);
            }
            *self.stats.lock().unwrap_or_else(PoisonError::into_inner) = (stats, self.tunnels.counters());
        }
    }
}
