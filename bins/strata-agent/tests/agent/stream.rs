//! A stream's life with the real pipeline: a test picture to a socket on loopback.

use nix::sys::prctl;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitStatus, waitpid};
use serde_json::{Value, json};
use strata_media::net;
use strata_proto::control::{
    AgentMessage, Command, CommandKind, EndReason, ErrorCode, Reply, StreamState, StreamStats,
};
use tokio::net::UdpSocket;

use crate::plane::{Device, Plane};
use crate::process::Agent;
use crate::run;

/// Where packets arrive: RTP on an even port; nothing answers.
struct Sink {
    rtp: UdpSocket,
}

impl Sink {
    async fn bind() -> Self {
        loop {
            let rtp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            if rtp.local_addr().unwrap().port().is_multiple_of(2) {
                return Self { rtp };
            }
        }
    }

    fn uri(&self) -> String {
        format!("rist://{}?buffer=100", self.rtp.local_addr().unwrap())
    }

    /// Waits for one RTP packet of MPEG-TS that was sent after all that waits now.
    async fn packet(&self) {
        let mut buffer = [0; 2048];
        while self.rtp.try_recv(&mut buffer).is_ok() {}
        let length = self.rtp.recv(&mut buffer).await.unwrap();
        assert_eq!((buffer[0] >> 6, buffer[1] & 0x7f, buffer[12], (length - 12) % 188), (2, 33, 0x47, 0));
    }
}

pub(crate) async fn ask(device: &mut Device, kind: CommandKind, payload: Value) -> Reply {
    device.ask(Command::decode(kind, &payload.to_string()).unwrap()).await
}

async fn start(device: &mut Device, sink: &Sink) -> Reply {
    let bond = json!({"version": 1, "links": [{"id": 7, "uri": sink.uri(), "interface": "lo"}]});
    let start = json!({
        "stream_id": "str_1", "source": {"mode": "test", "resolution": "320x240", "framerate": 15},
        "encoder": {"bitrate_kbps": 300}, "destinations": [sink.uri()], "bonding_config": bond,
    });
    device.status(|s| s.network_interfaces.iter().any(|i| i.name == "lo")).await;
    ask(device, CommandKind::StreamStart, start).await
}

pub(crate) async fn stats(device: &mut Device, fits: impl Fn(&StreamStats) -> bool) -> StreamStats {
    let pick = |message| match message {
        AgentMessage::StreamStats(stats) if fits(&stats) => Some(stats),
        _ => None,
    };
    device.find(pick).await.expect("a stream.stats")
}

#[test]
fn a_stream_starts_changes_and_stops() {
    run(async {
        let (plane, sink) = (Plane::start().await, Sink::bind().await);
        let agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        assert_eq!(start(&mut device, &sink).await, Reply::ok());
        sink.packet().await;
        let bond = std::fs::read_to_string(agent.state().join("run/str_1.toml")).unwrap();
        assert!(bond.contains("interface = \"lo\""), "{bond}");
        let first = stats(&mut device, |s| s.links[0].sent_bytes > 0).await;
        assert_eq!((first.links[0].id, first.target_bitrate_kbps), (7, Some(300)));

        let second = start_other(&mut device, &sink).await;
        assert_eq!(second.error.unwrap().code, ErrorCode::BUSY_STREAMING);
        let restart = ask(&mut device, CommandKind::PowerCommand, json!({"action": "restart_agent"})).await;
        assert_eq!(restart.error.unwrap().code, ErrorCode::BUSY_STREAMING);

        let update = json!({"encoder": {"bitrate_kbps": 200}, "scheduler": {"discard_deadline_ms": 90}});
        assert_eq!(ask(&mut device, CommandKind::ConfigUpdate, update).await, Reply::ok());
        stats(&mut device, |s| s.target_bitrate_kbps == Some(200)).await;

        let maps = std::fs::read_to_string(format!("/proc/{}/maps", agent.pid())).unwrap();
        assert!(!maps.contains("libgst"), "GStreamer is the pipeline's alone");

        let order = |action| json!({"interface": "lo", "action": action});
        assert!(ask(&mut device, CommandKind::InterfaceCommand, order("disable")).await.success);
        // What was sent before the link was given up; then the counter stands still.
        stats(&mut device, |_| true).await;
        let silent = stats(&mut device, |_| true).await.links[0].sent_bytes;
        assert_eq!(stats(&mut device, |_| true).await.links[0].sent_bytes, silent);
        assert!(ask(&mut device, CommandKind::InterfaceCommand, order("enable")).await.success);
        stats(&mut device, |s| s.links[0].sent_bytes > silent).await;

        let priority = |value| json!({"interface": "lo", "action": "priority", "value": value});
        let refused = ask(&mut device, CommandKind::InterfaceCommand, priority("first")).await;
        assert_eq!(refused.error.unwrap().field.as_deref(), Some("payload.value"));
        assert!(ask(&mut device, CommandKind::InterfaceCommand, priority("backup")).await.success);
        let kept = std::fs::read_to_string(agent.state().join("settings.toml")).unwrap();
        assert!(kept.contains("lo = \"backup\""), "{kept}");

        let other = ask(&mut device, CommandKind::StreamStop, json!({"stream_id": "str_2"})).await;
        assert_eq!(other.error.unwrap().code, ErrorCode::NOT_FOUND);
        let stop = json!({"stream_id": "str_1", "reason": "user_request"});
        assert_eq!(ask(&mut device, CommandKind::StreamStop, stop).await, Reply::ok());
        let ended = device.ended().await;
        assert_eq!((ended.reason, ended.error), (EndReason::UserStop, None));
        assert!(ended.total_bytes > 0);
        device.status(|s| s.stream_state == StreamState::Idle && s.running_streams == Some(vec![])).await;
        assert!(!agent.state().join("run/str_1.toml").exists());
    });
}

/// The scheduler of `control.md`'s own `stream.start`, then that of its `config.update`: most packets come by both links.
#[test]
fn the_scheduler_of_the_document_takes_effect() {
    run(async {
        let plane = Plane::start().await;
        let any = ([127, 0, 0, 1], 0).into();
        let (mut received, driver) = net::receiver(net::ReceiverConfig::new(vec![any; 2])).unwrap();
        tokio::spawn(driver.run());
        let _agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        let links: Vec<_> = received
            .local_addrs()
            .iter()
            .enumerate()
            .map(|(id, at)| json!({"id": id, "uri": format!("rist://{at}")}))
            .collect();
        let scheduler = json!({
            "storm_enabled": true, "discard_deadline_ms": 200, "redundancy_enabled": true, "critical_broadcast": true,
        });
        let start = json!({
            "stream_id": "str_1", "source": {"mode": "test", "resolution": "320x240", "framerate": 15},
            "encoder": {"bitrate_kbps": 300}, "destinations": [],
            "bonding_config": {"version": 1, "links": links, "scheduler": scheduler},
        });
        assert_eq!(ask(&mut device, CommandKind::StreamStart, start).await, Reply::ok());
        received.recv().await.unwrap();
        let update = json!({"scheduler": {"discard_deadline_ms": 300, "redundancy_spare_ratio": 0.4}});
        assert_eq!(ask(&mut device, CommandKind::ConfigUpdate, update).await, Reply::ok());
        // Not those of the start, when nothing is known of the links.
        for _ in 0..100 {
            received.recv().await.unwrap();
        }
        let before = received.stats().duplicate_packets;
        let mut packets = 0;
        while packets < 50 || (received.stats().duplicate_packets - before) * 2 < packets {
            received.recv().await.unwrap();
            packets += 1;
        }
        let wrong = json!({"scheduler": {"critical_broadcast": false, "storm_unreliable_max_age_ms": 0}});
        let fault = ask(&mut device, CommandKind::ConfigUpdate, wrong).await.error.unwrap();
        assert_eq!(fault.field.as_deref(), Some("payload.scheduler.storm_unreliable_max_age_ms"));
        let stop = json!({"stream_id": "str_1", "reason": "user_request"});
        assert_eq!(ask(&mut device, CommandKind::StreamStop, stop).await, Reply::ok());
    });
}

async fn start_other(device: &mut Device, sink: &Sink) -> Reply {
    let start = json!({"stream_id": "str_2", "source": {"mode": "test"}, "destinations": [sink.uri()]});
    ask(device, CommandKind::StreamStart, start).await
}

#[test]
fn a_source_that_cannot_be_is_refused_and_leaves_nothing() {
    run(async {
        let plane = Plane::start().await;
        let agent = Agent::enroll(&plane.enrollment());
        std::fs::write(agent.media().join("broken.mp4"), "this is no video").unwrap();
        let mut device = plane.device().await;
        let start = |path: &str| {
            json!({
                "stream_id": "str_1", "source": {"mode": "file", "path": path}, "destinations": ["rist://127.0.0.1:2"],
            })
        };
        let reply = ask(&mut device, CommandKind::StreamStart, start("../log")).await;
        assert_eq!(reply.error.unwrap().field.as_deref(), Some("payload.source.path"));
        let reply = ask(&mut device, CommandKind::StreamStart, start("broken.mp4")).await;
        let fault = reply.error.unwrap();
        assert_eq!(fault.code, ErrorCode::other("pipeline_failed"));
        let status = device.status(|s| s.stream_state == StreamState::Idle).await;
        assert_eq!(status.running_streams, Some(vec![]));
    });
}

#[test]
fn a_pipeline_that_is_killed_is_started_again() {
    run(async {
        let (plane, sink) = (Plane::start().await, Sink::bind().await);
        let agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        assert!(start(&mut device, &sink).await.success);
        let before = stats(&mut device, |s| s.links[0].sent_bytes > 0).await;
        let first = agent.pipeline();
        kill(first, Signal::SIGKILL).unwrap();
        let status = device.status(|s| s.stream_state == StreamState::Starting).await;
        assert_eq!(status.running_streams.unwrap().len(), 1, "the stream is not over");
        device.status(|s| s.stream_state == StreamState::Streaming).await;
        sink.packet().await;
        let after = stats(&mut device, |s| s.links[0].sent_bytes > before.links[0].sent_bytes).await;
        assert!(after.uptime_s >= before.uptime_s, "counters and time go on");
        assert_ne!(agent.pipeline(), first);
        assert!(agent.log().contains("killed by SIGKILL"), "{}", agent.log());
    });
}

#[test]
fn the_stream_outlives_the_connection_and_sigterm_ends_it_in_order() {
    run(async {
        let (plane, sink) = (Plane::start().await, Sink::bind().await);
        let mut agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        assert!(start(&mut device, &sink).await.success);
        let pipeline = agent.pipeline();
        drop(device);
        sink.packet().await;
        let mut device = plane.device().await;
        let status = device.status(|_| true).await;
        assert_eq!(status.running_streams.unwrap()[0].as_str(), "str_1");
        assert_eq!((status.stream_state, agent.pipeline()), (StreamState::Streaming, pipeline));

        agent.signal(Signal::SIGTERM);
        let ended = device.ended().await;
        assert_eq!((ended.reason, ended.error), (EndReason::AgentShutdown, None));
        assert!(device.find(|_| None::<()>).await.is_none());
        assert_eq!(agent.ended().await.code(), Some(0));
    });
}

#[test]
fn a_second_signal_ends_the_agent_at_once() {
    run(async {
        let (plane, sink) = (Plane::start().await, Sink::bind().await);
        let mut agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        assert!(start(&mut device, &sink).await.success);
        // A pipeline that cannot hear keeps the end waiting.
        kill(agent.pipeline(), Signal::SIGSTOP).unwrap();
        agent.signal(Signal::SIGTERM);
        device.status(|s| s.stream_state == StreamState::Stopping).await;
        agent.signal(Signal::SIGINT);
        assert_eq!(agent.ended().await.code(), Some(128 + 2));
        assert!(agent.log().contains("ends at once"), "{}", agent.log());
    });
}

#[test]
fn the_pipeline_dies_with_the_agent() {
    run(async {
        prctl::set_child_subreaper(true).unwrap();
        let (plane, sink) = (Plane::start().await, Sink::bind().await);
        let mut agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        assert!(start(&mut device, &sink).await.success);
        let pipeline = agent.pipeline();
        agent.signal(Signal::SIGKILL);
        agent.ended().await;
        // Orphans become children of this process, which can wait for them.
        let end = tokio::task::spawn_blocking(move || waitpid(pipeline, None)).await.unwrap();
        assert_eq!(end, Ok(WaitStatus::Signaled(pipeline, Signal::SIGKILL, false)));
    });
}
