use std::sync::Mutex;

use async_trait::async_trait;
use futures_util::FutureExt as _;
use strata_proto::control::{Fault, InterfacesScan, Presence, StreamEnded, StreamView};
use strata_proto::time::Timestamp;

use super::*;
use crate::session::Close;
use crate::session::connection::Outgoing;
use crate::store::{Binding, DeviceInfo, Enrollment, EnrollmentRefusal, SenderRow, StoreError};

/// A fleet on a fresh database, with one sender and an observer that says what streams.
struct Rig {
    fleet: Fleet,
    seen: Arc<Seen>,
    sender: SenderId,
    owner: UserId,
    _dir: tempfile::TempDir,
}

#[derive(Default)]
struct Seen {
    active: Mutex<Option<StreamId>>,
    presence: Mutex<Vec<(Presence, String)>>,
}

#[async_trait]
impl Observer for Seen {
    fn on_stream_stats(&self, _: &SenderId, _: &Arc<StreamStats>) {}

    async fn on_stream_ended(&self, _: &SenderId, _: StreamEnded) -> Result<(), Fault> {
        Ok(())
    }

    fn on_device_status(&self, _: &SenderId, _: &Arc<DeviceStatus>) {}

    fn on_presence(&self, _: &SenderId, presence: Presence, cause: &str) {
        // Whoever would overtake this word has the chance.
        std::thread::yield_now();
        self.presence.lock().unwrap().push((presence, cause.to_owned()));
    }

    fn active_stream(&self, _: &SenderId) -> Option<StreamId> {
        self.active.lock().unwrap().clone()
    }

    async fn on_sender_removed(&self, _: &SenderId) {}

    async fn stream_views(&self, _: &Scope, _: Option<&StreamId>) -> Result<Vec<StreamView>, StoreError> {
        Ok(Vec::new())
    }
}

impl Rig {
    async fn new(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("db")).await.unwrap();
        let mut config = Config::default();
        change(&mut config);
        let tokens = Tokens::from_seed("test", &[1; 32]).unwrap();
        let (fleet, _driver) = Fleet::new(&config, store, Events::new(), tokens);
        let seen = Arc::new(Seen::default());
        let observer: Weak<dyn Observer> = Arc::downgrade(&seen) as Weak<dyn Observer>;
        fleet.observe(observer);
        let owner: UserId = "usr_1".parse().unwrap();
        let sender = fleet.create_sender(&owner, "Camera", None).await.unwrap().view.id;
        Self { fleet, seen, sender, owner, _dir: dir }
    }

    fn connect(&self, at_ms: i64) -> Arc<crate::session::connection::Connection> {
        self.fleet.connected(&self.sender, &self.owner, None, at(at_ms)).unwrap()
    }

    fn presence(&self) -> Presence {
        self.fleet.presence(&self.sender).presence
    }
}

fn at(ms: i64) -> Timestamp {
    Timestamp::from_unix_millis(ms)
}

#[tokio::test]
async fn what_an_older_connection_says_or_does_changes_nothing() {
    let rig = Rig::new(|_| ()).await;
    let old = rig.connect(1);
    let new = rig.connect(2);
    assert!(new.generation > old.generation);
    assert_eq!(old.outgoing().now_or_never(), Some(Outgoing::Close(Close::Replaced)));
    assert_eq!(new.outgoing().now_or_never(), None);

    rig.fleet.connection_lost(&rig.sender, old.generation, "closed", at(3));
    rig.fleet.heard(&rig.sender, old.generation, at(4));
    rig.fleet.on_status(&rig.sender, old.generation, Box::default(), at(5));
    assert_eq!(rig.presence(), Presence::Online);
    assert_eq!(rig.fleet.presence(&rig.sender).last_seen, Some(at(2)));
    assert_eq!(rig.fleet.status(&rig.sender), None);

    rig.fleet.connection_lost(&rig.sender, new.generation, "closed", at(6));
    assert_eq!(rig.presence(), Presence::Offline);
}

#[tokio::test]
async fn a_sender_that_drops_while_streaming_is_unobserved_until_its_stream_is_over() {
    let rig = Rig::new(|_| ()).await;
    let connection = rig.connect(1);
    *rig.seen.active.lock().unwrap() = Some("str_1".parse().unwrap());
    rig.fleet.connection_lost(&rig.sender, connection.generation, "heartbeat_timeout", at(2));
    assert_eq!(rig.presence(), Presence::Unobserved);
    rig.fleet.settle(&rig.sender);
    assert_eq!(rig.presence(), Presence::Unobserved);
    *rig.seen.active.lock().unwrap() = None;
    rig.fleet.settle(&rig.sender);
    let view = rig.fleet.presence(&rig.sender);
    assert_eq!((view.presence, view.cause.as_deref()), (Presence::Offline, Some("heartbeat_timeout")));
    let told = rig.seen.presence.lock().unwrap().clone();
    let told: Vec<_> = told.iter().map(|(presence, cause)| (*presence, cause.as_str())).collect();
    assert_eq!(
        told,
        [
            (Presence::Online, "connected"),
            (Presence::Unobserved, "heartbeat_timeout"),
            (Presence::Offline, "heartbeat_timeout")
        ]
    );
}

#[tokio::test]
async fn the_last_word_on_presence_is_what_is_so() {
    let rig = Rig::new(|_| ()).await;
    let mut now = rig.connect(1);
    for round in 0..2_000 {
        let start = std::sync::Barrier::new(2);
        let old = now.generation;
        now = std::thread::scope(|scope| {
            scope.spawn(|| {
                start.wait();
                rig.fleet.connection_lost(&rig.sender, old, "closed", at(2));
            });
            start.wait();
            rig.connect(3)
        });
        let told = rig.seen.presence.lock().unwrap().last().cloned();
        assert_eq!(told, Some((Presence::Online, "connected".to_owned())), "round {round}");
    }
}

#[tokio::test]
async fn a_login_that_was_checked_before_the_revocation_does_not_open() {
    let rig = Rig::new(|_| ()).await;
    let connection = rig.connect(1);
    rig.fleet.remove_sender(&Scope::All, &rig.sender).await.unwrap();
    assert_eq!(connection.outgoing().now_or_never(), Some(Outgoing::Close(Close::Revoked)));
    assert_eq!(rig.presence(), Presence::Offline);
    assert!(rig.fleet.connected(&rig.sender, &rig.owner, None, at(2)).is_none());
}

#[tokio::test]
async fn last_seen_is_written_in_batches_not_by_heartbeats() {
    let rig = Rig::new(|_| ()).await;
    let stored = async || rig.fleet.inner.store.sender(&rig.sender).await.unwrap().unwrap().last_seen;
    let connection = rig.connect(1);
    for ms in 2..50 {
        rig.fleet.on_status(&rig.sender, connection.generation, Box::default(), at(ms));
        rig.fleet.heard(&rig.sender, connection.generation, at(ms));
    }
    assert_eq!(stored().await, None);
    rig.fleet.flush().await;
    assert_eq!(stored().await, Some(at(49)));
}

#[tokio::test]
async fn who_is_long_gone_is_forgotten_and_who_comes_back_is_known_again() {
    let rig = Rig::new(|config| config.fleet.offline_memory_s = 10).await;
    let entries = || rig.fleet.inner.devices.read().unwrap().len();
    let connection = rig.connect(1_000);
    rig.fleet.flush().await;
    rig.fleet.forget_idle(at(3_600_000));
    assert_eq!(entries(), 1, "who is connected stays");

    rig.fleet.connection_lost(&rig.sender, connection.generation, "heartbeat_timeout", at(2_000));
    rig.fleet.forget_idle(at(3_600_000));
    assert_eq!(entries(), 1, "what is not written down stays");
    rig.fleet.flush().await;
    rig.fleet.forget_idle(at(11_999));
    assert_eq!(entries(), 1);
    let held = rig.fleet.device_or_new(&rig.sender, &rig.owner);
    rig.fleet.forget_idle(at(12_000));
    assert_eq!(entries(), 0);
    let view = rig.fleet.sender(&Scope::All, &rig.sender).await.unwrap();
    assert_eq!(
        (view.presence, view.presence_cause.as_deref()),
        (Presence::Offline, Some("heartbeat_timeout"))
    );
    assert_eq!(view.last_seen, Some(at(2_000)));

    rig.connect(13_000);
    assert_eq!(rig.presence(), Presence::Online);
    assert!(held.lock().connection.is_none(), "a login does not use an entry that nobody finds");
}

#[tokio::test]
async fn a_decommissioned_sender_is_forgotten_when_no_login_can_be_under_way() {
    let rig = Rig::new(|_| ()).await;
    rig.fleet.remove_sender(&Scope::All, &rig.sender).await.unwrap();
    let revoked = crate::clock::wall();
    rig.fleet.forget_idle(revoked);
    assert!(rig.fleet.connected(&rig.sender, &rig.owner, None, revoked).is_none());
    rig.fleet.forget_idle(revoked.after(Duration::from_secs(60)));
    assert!(rig.fleet.device(&rig.sender).is_none());
}

#[tokio::test]
async fn last_seen_times_that_could_not_be_written_come_with_the_next_batch() {
    let rig = Rig::new(|_| ()).await;
    rig.connect(5);
    let writer = rig.fleet.inner.store.writer();
    sqlx::query("CREATE TRIGGER full BEFORE UPDATE ON senders BEGIN SELECT RAISE(ABORT, 'disk full'); END")
        .execute(writer)
        .await
        .unwrap();
    rig.fleet.flush().await;
    sqlx::query("DROP TRIGGER full").execute(writer).await.unwrap();
    rig.fleet.flush().await;
    let row = rig.fleet.inner.store.sender(&rig.sender).await.unwrap().unwrap();
    assert_eq!(row.last_seen, Some(at(5)));
}

#[tokio::test]
async fn an_agent_that_does_not_read_is_closed_and_one_that_does_not_answer_is_spared() {
    let rig = Rig::new(|config| {
        config.session.outgoing_queue = 2;
        config.session.pending_requests = 3;
    })
    .await;
    let ask = || rig.fleet.request(&rig.sender, InterfacesScan {}, Duration::from_secs(3600));

    let connection = rig.connect(1);
    let mut waiting = Vec::new();
    for _ in 0..3 {
        let mut request = Box::pin(ask());
        assert_eq!(request.as_mut().now_or_never(), None);
        assert!(matches!(connection.outgoing().now_or_never(), Some(Outgoing::Text(_))));
        waiting.push(request);
    }
    assert_eq!(ask().await, Err(CommandError::Busy));
    // A caller that goes away frees its place.
    waiting.pop();
    let mut request = Box::pin(ask());
    assert_eq!(request.as_mut().now_or_never(), None);

    let connection = rig.connect(2);
    waiting.clear();
    for _ in 0..2 {
        let mut request = Box::pin(ask());
        assert_eq!(request.as_mut().now_or_never(), None);
        waiting.push(request);
    }
    assert_eq!(ask().await, Err(CommandError::Gone));
    assert_eq!(connection.outgoing().now_or_never(), Some(Outgoing::Close(Close::SlowPeer)));
    connection.ended();
    for request in waiting {
        assert_eq!(request.await, Err(CommandError::Gone));
    }
}

#[tokio::test]
async fn a_device_whose_enrolment_answer_was_lost_gets_it_again_for_a_while() {
    let rig = Rig::new(|_| ()).await;
    let store = &rig.fleet.inner.store;
    let sender: SenderId = "snd_lost".parse().unwrap();
    let row = SenderRow::new(sender.clone(), rig.owner.clone(), "Lost".to_owned(), at(0));
    store.insert_sender(&row, "hash", at(3_600_000)).await.unwrap();
    let enroll = async |binding: Binding, ms| {
        store.enroll("hash", &binding, &DeviceInfo::default(), at(ms)).await.unwrap()
    };
    let key = |text: &str| Binding::PublicKey(text.to_owned());
    assert_eq!(enroll(key("mine"), 1_000).await, Ok(Enrollment::Bound(sender.clone(), rig.owner.clone())));
    assert_eq!(enroll(key("mine"), 121_000).await, Ok(Enrollment::Repeated(sender.clone())));
    assert_eq!(enroll(key("mine"), 121_001).await, Err(EnrollmentRefusal::Used));
    assert_eq!(enroll(key("theirs"), 1_001).await, Err(EnrollmentRefusal::Used));
    let issued = Binding::DeviceKeyHash("mine".to_owned());
    assert_eq!(enroll(issued, 1_001).await, Err(EnrollmentRefusal::Used));
}
