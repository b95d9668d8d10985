use std::path::PathBuf;

use strata_proto::id::{SenderId, StreamId, UserId};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixListener;

use super::*;
use crate::config::Config;
use crate::control::driver::Job;
use crate::control::life::{Graces, Life};
use crate::control::streams::{NotStreaming, Streams};
use crate::control::task::Task;
use crate::event::Events;
use crate::fleet::Fleet;
use crate::session::token::Tokens;
use crate::store::{Store, StreamRow};

/// Streams on a fresh database, with one sender; receivers do not start.
struct Rig {
    streams: Streams,
    sender: SenderId,
    owner: UserId,
    _dir: tempfile::TempDir,
}

impl Rig {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        config.streams.receiver = Some(PathBuf::from("/bin/false"));
        let store = Store::open(&dir.path().join("db")).await.unwrap();
        let (events, tokens) = (Events::new(), Tokens::from_seed("test", &[1; 32]).unwrap());
        let (fleet, _driver) = Fleet::new(&config, store.clone(), events.clone(), tokens);
        let owner: UserId = "usr_owner".parse().unwrap();
        let sender = fleet.create_sender(&owner, "van", None).await.unwrap().view.id;
        let (streams, driver) = Streams::load(&config, fleet, store, events).await.unwrap();
        tokio::spawn(driver.run());
        Self { streams, sender, owner, _dir: dir }
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.streams.shared
    }

    fn row(&self, id: &str) -> StreamRow {
        StreamRow {
            id: id.parse().unwrap(),
            sender: self.sender.clone(),
            owner: self.owner.clone(),
            state: StreamLife::Starting,
            created_at: crate::clock::wall(),
            live_at: None,
            ended_at: None,
            reason: None,
            error: None,
            presumed: false,
            ports: vec![15_000],
            latency_ms: 100,
            recording: None,
            forwards: false,
            receiver_stats: None,
        }
    }

    /// A stream with a row, a port and a place in the index; nothing runs it yet.
    async fn stream(&self) -> Arc<Active> {
        let row = self.row("str_first");
        assert!(self.shared().claim(&row.ports));
        assert!(self.shared().store.insert_stream(&row).await.unwrap());
        self.shared().enlist(row, true)
    }

    async fn run(&self, active: &Arc<Active>, graces: Graces) {
        let life = Life::start(graces, crate::clock::mono());
        let launch = self.shared().launch(&active.row());
        let task = Task::new(Arc::clone(self.shared()), Arc::clone(active), life, launch);
        assert!(self.shared().jobs.send(Job::Run(Box::new(task))).await.is_ok());
    }

    async fn sql(&self, statement: &'static str) {
        sqlx::query(statement).execute(self.shared().store.writer()).await.unwrap();
    }
}

/// The receiver that the task leaves: greets, and ends with the first command, which is returned.
async fn receiver(socket: UnixListener, stream_id: StreamId) -> String {
    let (link, _) = socket.accept().await.unwrap();
    let mut link = BufReader::new(link);
    let ready = json!({"event": "ready", "stream_id": stream_id, "pid": 0, "ports": [15_000]});
    link.write_all(format!("{ready}\n").as_bytes()).await.unwrap();
    let mut command = String::new();
    link.read_line(&mut command).await.unwrap();
    command.trim_end().to_owned()
}

#[tokio::test]
async fn a_task_that_breaks_off_leaves_nothing_behind() {
    let rig = Rig::new().await;
    let active = rig.stream().await;
    let id = active.row().id;
    let socket = UnixListener::bind(rig.shared().socket(&id)).unwrap();
    let receiver = tokio::spawn(receiver(socket, id));
    // A time that cannot be reckoned is a fault in the middle of the task.
    let faulty = Graces { starting: Duration::MAX, ..Graces::default() };
    let (stopped, ()) = tokio::join!(rig.streams.stop(&rig.sender, None), rig.run(&active, faulty));
    assert_eq!(stopped.unwrap().state, StreamLife::Failed, "who waits is answered");
    assert_eq!(rig.streams.stop(&rig.sender, None).await, Err(NotStreaming));
    let row = rig.shared().store.stream(&active.row().id).await.unwrap().unwrap();
    assert_eq!((row.state, row.reason), (StreamLife::Failed, Some(EndReason::Error)));
    assert_eq!(row.error.as_deref(), Some("control plane: the task of the stream broke off"));
    assert_eq!(receiver.await.unwrap(), r#"{"cmd":"stop"}"#);
    while !rig.shared().claim(&row.ports) {
        tokio::task::yield_now().await;
    }
    assert!(rig.shared().store.insert_stream(&rig.row("str_second")).await.unwrap());
}

#[tokio::test]
async fn a_found_receiver_whose_ports_are_anothers_gives_none_back() {
    let rig = Rig::new().await;
    let row = rig.row("str_found");
    assert!(rig.shared().claim(&row.ports), "another stream has them");
    assert!(rig.shared().store.insert_stream(&row).await.unwrap());
    let socket = UnixListener::bind(rig.shared().socket(&row.id)).unwrap();
    let receiver = tokio::spawn(receiver(socket, row.id.clone()));
    let jobs = rig.shared().recover().await.unwrap();
    assert!(matches!(jobs.as_slice(), [Job::Run(_)]));
    rig.shared().release_of(&rig.shared().by_id(&row.id).unwrap());
    assert!(!rig.shared().claim(&row.ports), "they are still the other's");
    receiver.abort();
}

#[tokio::test]
async fn an_end_that_the_database_refuses_is_written_later() {
    let rig = Rig::new().await;
    let active = rig.stream().await;
    rig.sql("CREATE TRIGGER full BEFORE UPDATE ON streams BEGIN SELECT RAISE(ABORT, 'disk full'); END").await;
    let mut state = active.state.subscribe();
    rig.run(&active, Graces::default()).await;
    state.wait_for(|state| *state == StreamLife::Failed).await.unwrap();
    assert_eq!(rig.streams.stop(&rig.sender, None).await, Err(NotStreaming));
    assert!(
        !rig.shared().store.insert_stream(&rig.row("str_second")).await.unwrap(),
        "the row is unfinished"
    );
    rig.sql("DROP TRIGGER full").await;
    while rig.shared().of_sender(&rig.sender).is_some() {
        tokio::task::yield_now().await;
    }
    assert!(rig.shared().store.insert_stream(&rig.row("str_second")).await.unwrap());
}
