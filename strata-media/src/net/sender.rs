//! The sending end.
#![expect(clippy::disallowed_methods, reason = "a driver reads the clock and waits")]

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc, oneshot};

use super::channel::Inbox;
use super::config::{LinkConfig, Profile, SenderConfig, SenderUpdate, seed};
use super::error::NetError;
use super::groups::Groups;
use super::links::{self, UNCALLED};
use super::news::News;
use super::socket::{self, LinkSockets, Pair};
use super::tunnels::{Heard, Tunnels};
use crate::bond::sender::{Input, Output};
use crate::bond::{self, BondConfig, BondStats, SchedulerParams};
use crate::rist::rtp::MAX_PAYLOAD;
use crate::rist::{GroupStats, extension, gre, tunnel};

/// Largest payload of one packet beside the headers of any tunnel, bytes.
fn max_tunnel_payload(mode: gre::Mode) -> usize {
    MAX_PAYLOAD - gre::MAX_HEADER_LEN - mode.head_len() - extension::LEN
}

/// Payloads on their way to the driver; `send` waits when they are that many.
const QUEUE: usize = 256;
/// Commands on their way to the driver.
const COMMANDS: usize = 64;
/// Payloads taken at a time.
const BATCH: usize = 64;
/// When it is tried again to send what the system had no room for.
const HELD_UP: Duration = Duration::from_millis(1);
/// How often statistics are published.
const STATS_INTERVAL: Duration = Duration::from_millis(50);
/// How often it is tried to open the sockets anew of a link that has none or is dead: its address may have changed.
const REOPEN_INTERVAL: Duration = Duration::from_secs(2);

/// Gives payloads to a bonded stream. Dropping it ends the driver as [`Sender::finish`] does.
#[derive(Debug)]
pub struct Sender {
    payloads: mpsc::Sender<Bytes>,
    commands: mpsc::Sender<Command>,
    stats: Shared,
    wanted: Arc<Notify>,
    max_payload: usize,
    profile: Profile,
    /// The links there are, with all updates so far.
    links: Mutex<Vec<LinkConfig>>,
}

/// Statistics of bond, tunnels and groups.
type Shared = Arc<Mutex<(BondStats, tunnel::Counters, GroupStats)>>;

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
    wanted: Arc<Notify>,
    config: SenderConfig,
    tunnels: Option<[tunnel::Config; 2]>,
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
    let tunnels = config.tunnels()?;
    let connect = |link| socket::connect(link, config.profile).map_err(|e| e.to_string());
    let pairs: Vec<_> = config.links.iter().map(connect).collect();
    if pairs.iter().all(Result::is_err) {
        let reason = |(pair, link): (&Result<Pair, String>, &LinkConfig)| {
            pair.as_ref().err().map(|e| format!("link {}: {e}", link.id))
        };
        return Err(NetError::NoLink(pairs.iter().zip(&config.links).filter_map(reason).collect()));
    }
    if config.links.iter().any(|link| link.weight > 0) {
        tracing::info!(
            "weight is a hint that takes effect with a receiver of Strata; only that tells what arrives by each link"
        );
    }
    let (payload_sender, payloads) = mpsc::channel(QUEUE);
    let (command_sender, commands) = mpsc::channel(COMMANDS);
    let (stats, wanted) = (Shared::default(), Arc::<Notify>::default());
    let max_payload = tunnels.as_ref().map_or(MAX_PAYLOAD, |[calls, _]| max_tunnel_payload(calls.mode));
    let handle = Sender {
        payloads: payload_sender,
        commands: command_sender,
        stats: stats.clone(),
        wanted: wanted.clone(),
        max_payload,
        profile: config.profile,
        links: Mutex::new(config.links.clone()),
    };
    Ok((handle, SenderDriver { payloads, commands, stats, wanted, config, tunnels, pairs }))
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
    /// Sends one RTP payload, usually seven packets of transport stream (1316 bytes). Unless the source is live
    /// ([`SenderConfig::live`]), waits while the links are behind.
    ///
    /// # Errors
    /// [`NetError::PayloadSize`] for an empty payload or more than 1440 bytes (Main Profile: 1412, with
    /// full datagrams 1388),
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

    /// What was heard of multicast groups' members, over all links, at most 100 ms old.
    #[must_use]
    pub fn group_stats(&self) -> GroupStats {
        self.stats.lock().unwrap_or_else(PoisonError::into_inner).2
    }

    /// Waits until the receiver wants a keyframe ([`SenderConfig::keyframes`]), or has wanted one since this was last awaited; at
    /// most two and a half times in a second. For ever if it never does.
    pub async fn keyframe_wanted(&self) {
        self.wanted.notified().await;
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

    /// Waits until everything given so far was sent, and had its latency to be repeated in. That of a source that waits
    /// ([`SenderConfig::live`]) is given up when no link has carried anything for as long as the latency.
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
    /// Notified when a keyframe is wanted, and how often it was.
    wanted: (Arc<Notify>, u64),
    pub(super) config: SenderConfig,
    pub(super) bond: bond::Sender,
    pub(super) tunnels: Tunnels,
    pub(super) groups: Groups,
    pub(super) sockets: Vec<Option<LinkSockets>>,
    /// Where the sockets of a link were bound last.
    pub(super) addresses: Vec<Option<IpAddr>>,
    /// Places that no link has.
    pub(super) removed: Vec<bool>,
    /// What removed links have carried, by their numbers: they may come again, with what is left of their caps.
    pub(super) spent: BTreeMap<u32, u64>,
    finishing: Vec<Finishing>,
    /// Whether the handle is gone; what it gave may still wait outside.
    leaving: bool,
    /// Whether everything it gave was taken.
    closed: bool,
    next_stats: Instant,
    news: News,
    pub(super) next_reopen: Instant,
    inbox: Inbox,
    /// Payloads just taken.
    batch: Vec<Bytes>,
}

/// A caller that waits for what was given.
struct Finishing {
    /// Payloads of it that are not taken yet.
    ahead: usize,
    done: oneshot::Sender<()>,
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
    pub(super) fn start(driver: SenderDriver) -> Result<Self, NetError> {
        let SenderDriver { payloads, commands, stats, wanted, config, tunnels, pairs } = driver;
        let now = Instant::now();
        let mut bond_config = BondConfig::new(config.links.iter().map(LinkConfig::bond).collect(), seed()?);
        bond_config.latency = config.latency;
        bond_config.scheduler = config.scheduler.clone();
        bond_config.cname.clone_from(&config.cname);
        bond_config.keyframes = config.keyframes;
        bond_config.null_packet_deletion = config.null_packet_deletion;
        let overhead = tunnels.iter().flatten().map(tunnel::Config::overhead).max();
        bond_config.max_payload = MAX_PAYLOAD - overhead.unwrap_or(0);
        bond_config.live = config.live;
        let mut bond = bond::Sender::new(now, bond_config);
        let tunnels = tunnels.map(|tunnels| seed().map(|seed| (tunnels, seed))).transpose()?;
        let mut sockets = Vec::new();
        for (link, pair) in pairs.into_iter().enumerate() {
            match pair {
                Ok(pair) => {
                    if config.links[link].listens {
                        bond.handle_input(now, Input::LinkError { link, error: Some(UNCALLED.to_owned()) });
                    }
                    sockets.push(Some(LinkSockets::register(now, pair)?));
                }
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
            wanted: (wanted, 0),
            tunnels: Tunnels::new(now, &config.links, tunnels, bond.ssrc()),
            groups: Groups::new(bond.ssrc(), &config.cname),
            removed: vec![false; config.links.len()],
            spent: BTreeMap::new(),
            config,
            bond,
            addresses: sockets.iter().map(|pair| pair.as_ref().and_then(LinkSockets::ip)).collect(),
            sockets,
            finishing: Vec::new(),
            leaving: false,
            closed: false,
            next_stats: now,
            news: News::default(),
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
            if self.closed && self.bond.is_drained(now) {
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
            let ready = !self.closed && self.has_room(now);
            let wake = tokio::select! {
                biased;
                () = timer.as_mut() => Wake::Time,
                command = self.commands.recv(), if !self.leaving => Wake::Command(command),
                () = socket::readable(&self.sockets) => Wake::Readable,
                count = self.payloads.recv_many(&mut self.batch, BATCH), if ready => Wake::Payloads(count),
            };
            self.handle(wake);
        }
    }

    fn handle(&mut self, wake: Wake) {
        let now = Instant::now();
        match wake {
            Wake::Payloads(0) => (self.leaving, self.closed) = (true, true),
            Wake::Command(None) => self.leaving = true,
            Wake::Payloads(count) => self.take(now, count),
            Wake::Command(Some(Command::Update(update))) => self.update(now, *update),
            Wake::Command(Some(Command::Finish(done))) => {
                self.finishing.push(Finishing { ahead: self.payloads.len(), done });
            }
            Wake::Readable => {
                self.receive(now);
                self.take_beside(now);
            }
            Wake::Time => {
                self.tunnels.timeout(now);
                self.bond.handle_input(now, Input::Timeout);
            }
        }
    }

    /// Gives the batch to the machine.
    fn take(&mut self, now: Instant, count: usize) {
        for finishing in &mut self.finishing {
            finishing.ahead = finishing.ahead.saturating_sub(count);
        }
        for payload in self.batch.drain(..) {
            self.bond.handle_input(now, Input::Payload(payload));
        }
    }

    /// Takes payloads that wait, so that no flood of datagrams keeps them waiting.
    fn take_beside(&mut self, now: Instant) {
        if !self.has_room(now) {
            return;
        }
        while self.batch.len() < BATCH
            && let Ok(payload) = self.payloads.try_recv()
        {
            self.batch.push(payload);
        }
        self.take(now, self.batch.len());
    }

    /// Whether payloads are to be taken. Those of a source that waits do so outside, but not for ever when it is at its end.
    fn has_room(&self, now: Instant) -> bool {
        let ending = self.leaving || !self.finishing.is_empty();
        self.bond.has_room(now) || ending && self.bond.gives_up(now)
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
        let bond = &mut self.bond;
        for (link, sockets) in self.sockets.iter_mut().enumerate() {
            let Some(sockets) = sockets else { continue };
            if self.tunnels.receive(now, link, sockets, &mut self.inbox) {
                continue;
            }
            let take = |data: &[u8]| bond.handle_input(now, Input::Rtcp { link, data });
            if self.groups.receive(now, link, sockets, &mut self.inbox, take) {
                continue;
            }
            let Some(rtcp) = &sockets.rtcp else { continue };
            for (data, _) in self.inbox.receive(rtcp) {
                bond.handle_input(now, Input::Rtcp { link, data: &data });
            }
        }
        self.tunnels.drain(&mut self.sockets, |link, heard| tell(bond, now, link, heard));
    }

    /// Does what the machine wants; until when it wants nothing more.
    fn perform(&mut self) -> Instant {
        let now = Instant::now();
        let due = self.fill(now);
        self.sockets.iter_mut().flatten().for_each(LinkSockets::flush);
        if self.sockets.iter().flatten().any(LinkSockets::is_held_up) { due.min(now + HELD_UP) } else { due }
    }

    /// Gathers what is to be sent; until when nothing more is wanted.
    fn fill(&mut self, now: Instant) -> Instant {
        let bond = &mut self.bond;
        let due = self.tunnels.drain(&mut self.sockets, |link, heard| tell(bond, now, link, heard));
        loop {
            match self.bond.poll_output() {
                Output::Rtp { link, media } => {
                    if let Some(sockets) = &mut self.sockets[link] {
                        self.tunnels.send_rtp(link, &media, sockets);
                    }
                }
                Output::Rtcp { link, data } => {
                    if let Some(sockets) = &mut self.sockets[link] {
                        self.groups.sent(now, link, sockets, &data);
                        self.tunnels.send_rtcp(link, &data, sockets);
                    }
                }
                Output::Timeout(at) => return due.map_or(at, |due| at.min(due)),
            }
        }
    }

    fn housekeeping(&mut self, now: Instant) {
        if !self.finishing.is_empty() && self.bond.is_drained(now) {
            for finishing in self.finishing.extract_if(.., |finishing| finishing.ahead == 0) {
                // A caller that no longer waits is no failure.
                let _ = finishing.done.send(());
            }
        }
        if now >= self.next_stats {
            self.next_stats = now + STATS_INTERVAL;
            (0..self.sockets.len()).for_each(|link| self.settle(now, link));
            let stats = self.bond.stats(now);
            if std::mem::replace(&mut self.wanted.1, stats.keyframe_requests) < stats.keyframe_requests {
                self.wanted.0.notify_one();
            }
            self.mend(now, &stats);
            if now >= self.next_reopen {
                self.next_reopen = now + REOPEN_INTERVAL;
                self.reopen(now, &stats);
            }
            let counters = self.tunnels.counters();
            self.news.links(&stats.links);
            self.news.tunnel(&counters);
            *self.stats.lock().unwrap_or_else(PoisonError::into_inner) =
                (stats, counters, self.groups.stats(now));
        }
    }
}

/// Tells the bond what a tunnel has to say.
fn tell(bond: &mut bond::Sender, now: Instant, link: usize, heard: Heard<'_>) {
    match heard {
        Heard::Rtcp(data) => bond.handle_input(now, Input::Rtcp { link, data }),
        Heard::Called(receiver) => {
            tracing::info!(link, %receiver, "called");
            bond.handle_input(now, Input::Readdress { link });
            bond.handle_input(now, Input::LinkError { link, error: None });
        }
        Heard::Left(why) => {
            tracing::info!(link, "the receiver has left");
            bond.handle_input(now, Input::LinkError { link, error: Some(why.to_owned()) });
        }
        Heard::Back => bond.handle_input(now, Input::LinkError { link, error: None }),
    }
}
