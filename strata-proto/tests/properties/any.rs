//! Strategies: any value of every type that goes over the wire.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value};
use strata_proto::control::{
    AgentMessage, AgentSettings, AgentUpdate, BondingConfig, BondingLink, BondingMode, Challenge,
    ChallengeResponse, Command, CommandCancel, CommandKind, CommandProgress, ConfigGet, ConfigSet,
    ConfigUpdate, ControlMessage, DestinationCreate, DeviceStatus, DiagnosticsKind, DiagnosticsNetwork,
    Encoder, EncoderUpdate, EndReason, Envelope, ErrorCode, Fault, FilesList, InputStatus, InterfaceAction,
    InterfaceCommand, InterfaceState, InterfaceType, InterfacesScan, LATENCY_MS, LinkPriority, LinkState,
    LinkStats, LiveEvent, LiveFrame, LiveRequest, Login, LoginResponse, LogsGet, MediaDelete, MediaInput,
    NetworkInterface, Platform, PowerAction, PowerCommand, Presence, Problem, ReceiverCommand, ReceiverEvent,
    ReceiverLinkStats, ReceiverOutput, ReceiverStats, Reply, Resolution, SavedMedia, Scheduler, SenderView,
    Source, SourceMode, SourceSwitch, StartLink, StartStream, StreamEnded, StreamLife, StreamStart,
    StreamState, StreamStats, StreamStop, StreamView, Topic, UpdateLink, UpdateStream,
};
use strata_proto::id::{MessageId, SenderId, StreamId, UserId};
use strata_proto::time::Timestamp;
use strata_proto::token::{EnrollUri, EnrollmentToken, Fingerprint, Secret};

/// A function that gives any value of a struct, from a strategy for each field.
macro_rules! any_struct {
    ($($vis:vis $name:ident -> $type:ident { $($field:ident: $strategy:expr,)* })*) => {$(
        $vis fn $name() -> BoxedStrategy<$type> {
            prop_compose! {
                fn whole()($($field in $strategy),*) -> $type {
                    $type { $($field),* }
                }
            }
            // On the heap: a tree of all fields of all fields is more than a test's stack holds.
            whole().boxed()
        }
    )*};
}

any_struct! {
    login -> Login {
        enrollment_token: of(enrollment_token()), sender_id: of(sender_id()), device_key: of(secret()),
        device_public_key: of(text()), agent_version: text(), hostname: text(), arch: text(),
        capabilities: of(vec(text(), 0..4)),
    }
    challenge -> Challenge { challenge: text(), sender_id: of(sender_id()), }
    challenge_response -> ChallengeResponse { sender_id: sender_id(), signature: text(), }
    login_response -> LoginResponse {
        success: any::<bool>(), error: of(fault()), sender_id: of(sender_id()), session_token: of(secret()),
        device_key: of(secret()), config: of(agent_settings()),
    }
    agent_settings -> AgentSettings {
        status_interval_s: of(1u32..=3600), stats_interval_s: of(1u32..=3600),
    }
    device_status -> DeviceStatus {
        network_interfaces: vec(network_interface(), 0..3), media_inputs: vec(media_input(), 0..3),
        saved_media: vec(saved_media(), 0..3), stream_state: stream_state(), cpu_percent: 0.0..=100.0,
        mem_used_mb: any::<u64>(), uptime_s: any::<u64>(), running_streams: of(vec(stream_id(), 0..3)),
    }
    network_interface -> NetworkInterface {
        name: text(), kind: interface_type(), state: interface_state(), ip: of(text()), carrier: of(text()),
        signal_dbm: of(any::<i32>()), technology: of(text()), enabled: of(any::<bool>()), driver: of(text()),
        bus: of(text()), product: of(text()), subnet: of(text()), gateway: of(text()),
        has_default_route: of(any::<bool>()), band: of(text()), rsrp: of(-200.0..200.0),
        rsrq: of(-200.0..200.0), sinr: of(-200.0..200.0),
    }
    media_input -> MediaInput {
        device: text(), kind: text(), label: text(), capabilities: vec(text(), 0..3), status: input_status(),
    }
    saved_media -> SavedMedia {
        path: text(), name: text(), size_mb: any::<u64>(), duration_s: of(any::<u64>()),
    }
    stream_stats -> StreamStats {
        stream_id: stream_id(), uptime_s: any::<u64>(), encoder_bitrate_kbps: any::<u32>(),
        target_bitrate_kbps: of(any::<u32>()), links: vec(link_stats(), 0..4),
    }
    link_stats -> LinkStats {
        id: any::<u32>(), interface: of(text()), state: link_state(), rtt_ms: 0.0..1e6, loss_rate: 0.0..=1.0,
        capacity_bps: any::<u64>(), sent_bytes: any::<u64>(), signal_dbm: of(any::<i32>()),
        sent_bps: of(any::<u64>()), lost_packets: of(any::<u64>()),
        retransmitted_packets: of(any::<u64>()), in_flight_bytes: of(any::<u64>()), queue_ms: of(0.0..1e6),
        rtt_min_ms: of(0.0..1e6), delivery_bps: of(any::<u64>()), capacity_confidence: of(0.0..=1.0),
        error: of(text()),
    }
    stream_ended -> StreamEnded {
        stream_id: stream_id(), reason: end_reason(), duration_s: any::<u64>(), total_bytes: any::<u64>(),
        error: of(text()),
    }
    progress -> CommandProgress {
        command_id: message_id(), percent: 0.0..=100.0, message: of(text()),
    }
    fault -> Fault { code: error_code(), message: text(), field: of(text()), }
    pub(crate) reply -> Reply { success: any::<bool>(), error: of(fault()), result: fields(), }
    stream_start -> StreamStart {
        stream_id: stream_id(), source: source(), encoder: encoder(), destinations: vec(text(), 0..3),
        bonding_config: of(bonding_config()),
    }
    source -> Source {
        mode: source_mode(), device: of(text()), path: of(text()), uri: of(text()),
        resolution: of(resolution()), framerate: of(1u32..=480), repeat: of(any::<bool>()),
        passthrough: of(any::<bool>()),
    }
    encoder -> Encoder {
        bitrate_kbps: of(1u32..=1_000_000), tune: of(text()), keyint_max: of(1u32..=100_000),
        adaptive: of(any::<bool>()), min_bitrate_kbps: of(1u32..=1_000_000), ramp_percent: of(1u32..=1000),
    }
    encoder_update -> EncoderUpdate {
        bitrate_kbps: of(1u32..=1_000_000), adaptive: of(any::<bool>()), min_bitrate_kbps: of(1u32..=1_000_000),
        ramp_percent: of(1u32..=1000),
    }
    bonding_config -> BondingConfig {
        version: any::<u32>(), links: vec(bonding_link(), 0..3), scheduler: scheduler(),
    }
    bonding_link -> BondingLink {
        id: any::<u32>(), uri: text(), interface: of(text()), priority: of(link_priority()),
        weight: of(0u32..=1_000_000), metered: of(any::<bool>()), cap_mb: of(1u32..=1_000_000_000),
    }
    scheduler -> Scheduler {
        mode: of(bonding_mode()),
        storm_enabled: of(any::<bool>()), storm_reliable_weight: of(0.0..=1.0),
        storm_unreliable_max_age_ms: of(any::<u32>()), discard_deadline_ms: of(any::<u32>()),
        max_ahead_ms: of(any::<u32>()), critical_target_links: of(1u32..=64),
        redundancy_enabled: of(any::<bool>()), redundancy_spare_ratio: of(0.0..=1.0),
        redundancy_max_packet_bytes: of(any::<u32>()), redundancy_target_links: of(1u32..=64),
        critical_broadcast: of(any::<bool>()), failover_suspect_ms: of(any::<u32>()),
        failover_readmit_ms: of(any::<u32>()), fec_enabled: of(any::<bool>()), fec_max_ratio: of(0.0..=1.0),
    }
    stream_stop -> StreamStop { stream_id: stream_id(), reason: of(text()), }
    config_update -> ConfigUpdate {
        scheduler: of(scheduler()), encoder: of(encoder_update()), links: of(vec(bonding_link(), 0..3)),
    }
    agent_update -> AgentUpdate {
        binary_url: text(), sha256: text(), signature: of(text()), restart_after: any::<bool>(),
        force: of(any::<bool>()),
    }
    source_switch -> SourceSwitch { stream_id: stream_id(), source: source(), }
    interface_command -> InterfaceCommand {
        interface: text(), action: interface_action(), value: of(some_json()),
    }
    files_list -> FilesList { path: of(text()), }
    media_delete -> MediaDelete { path: text(), }
    logs_get -> LogsGet { lines: of(any::<u32>()), level: of(text()), }
    diagnostics -> DiagnosticsNetwork { kind: diagnostics_kind(), target: text(), interface: of(text()), }
    power_command -> PowerCommand { action: power_action(), force: of(any::<bool>()), }
    config_set -> ConfigSet { values: fields(), }
    command_cancel -> CommandCancel { command_id: message_id(), }
    pub(crate) live_request -> LiveRequest {
        token: of(secret()), subscribe: vec(topic(), 0..3), unsubscribe: vec(topic(), 0..3),
    }
    live_event -> LiveEvent {
        seq: any::<u64>(), ts: timestamp(), topic: topic(), event: text(), data: json(),
    }
    receiver_output -> ReceiverOutput { uri: secret(), }
    receiver_stats -> ReceiverStats {
        uptime_ms: any::<u64>(), idle_ms: of(any::<u64>()), delivered_packets: any::<u64>(),
        delivered_bytes: any::<u64>(), lost_packets: any::<u64>(), recovered_packets: any::<u64>(),
        duplicate_packets: any::<u64>(), late_packets: any::<u64>(), latency_ms: any::<u32>(),
        links: vec(receiver_link(), 0..3),
    }
    receiver_link -> ReceiverLinkStats {
        port: any::<u16>(), packets: any::<u64>(), bytes: any::<u64>(), rtt_ms: of(0.0..1e6),
    }
    pub(crate) start_stream -> StartStream {
        source: source(), encoder: encoder(), platform_dest: of(secret()), links: of(vec(start_link(), 0..3)),
        scheduler: of(scheduler()), latency_ms: of(LATENCY_MS), record: of(any::<bool>()),
    }
    start_link -> StartLink {
        interface: of(text()), priority: of(link_priority()), weight: of(0u32..=1_000_000),
        metered: of(any::<bool>()), cap_mb: of(1u32..=1_000_000_000),
    }
    pub(crate) update_stream -> UpdateStream {
        scheduler: of(scheduler()), encoder: of(encoder_update()), links: of(vec(update_link(), 0..3)),
    }
    update_link -> UpdateLink {
        id: any::<u32>(), interface: of(text()), priority: of(link_priority()), weight: of(0u32..=1_000_000),
        metered: of(any::<bool>()), cap_mb: of(1u32..=1_000_000_000),
    }
    pub(crate) sender_view -> SenderView {
        id: sender_id(), name: text(), owner: user_id(), created_at: timestamp(), enrolled: any::<bool>(),
        presence: presence(), presence_cause: of(text()), last_seen: of(timestamp()), hostname: of(text()),
        agent_version: of(text()), arch: of(text()), capabilities: of(vec(text(), 0..3)),
        stream_id: of(stream_id()), status: of(device_status().prop_map(Box::new)),
    }
    pub(crate) stream_view -> StreamView {
        id: stream_id(), sender_id: sender_id(), state: stream_life(), observed: any::<bool>(),
        created_at: timestamp(), live_at: of(timestamp()), ended_at: of(timestamp()),
        end_reason: of(end_reason()), error: of(text()), ports: vec(any::<u16>(), 0..3),
        recording: of(text()), sender_stats: of(stream_stats()), receiver_stats: of(receiver_stats()),
    }
    pub(crate) destination_create -> DestinationCreate {
        name: text(), platform: platform(), url: of(text()), stream_key: of(secret()),
    }
    pub(crate) problem -> Problem {
        kind: text(), title: text(), status: any::<u16>(), code: text(), detail: text(), field: of(text()),
        extra: fields(),
    }
}

/// A function that gives any variant of an enum without fields.
macro_rules! any_of {
    ($($name:ident -> $type:ident { $($variant:ident)* })*) => {$(
        fn $name() -> impl Strategy<Value = $type> {
            select(vec![$($type::$variant),*])
        }
    )*};
}

any_of! {
    stream_state -> StreamState { Idle Starting Streaming Stopping Unknown }
    interface_type -> InterfaceType { Cellular Ethernet Wifi Loopback Other }
    interface_state -> InterfaceState { Connected Connecting Disconnected Unknown }
    input_status -> InputStatus { Available InUse Error Unknown }
    link_state -> LinkState { Probe Warm Live Degraded Cooldown Dead Unknown }
    end_reason -> EndReason {
        UserStop Error ControlPlaneStop AgentShutdown Timeout PipelineCrash Unknown
    }
    source_mode -> SourceMode { Test File V4l2 Rtsp }
    bonding_mode -> BondingMode { Economy Balanced Robust }
    link_priority -> LinkPriority { Normal Backup Unknown }
    interface_action -> InterfaceAction { Enable Disable Priority BandLock Apn }
    diagnostics_kind -> DiagnosticsKind { Ping Traceroute Throughput }
    power_action -> PowerAction { RestartAgent Reboot Shutdown }
    presence -> Presence { Online Unobserved Offline }
    stream_life -> StreamLife { Starting Live Stopping Ended Failed }
    platform -> Platform { Youtube Twitch Rtmp Srt }
}

pub(crate) fn envelope<M: std::fmt::Debug>(
    message: impl Strategy<Value = M>,
) -> impl Strategy<Value = Envelope<M>> {
    (message_id(), timestamp(), of(secret()), of(any::<u32>()), message).prop_map(
        |(id, ts, token, proto_version, message)| Envelope { id, ts, token, proto_version, message },
    )
}

pub(crate) fn agent_message() -> impl Strategy<Value = AgentMessage> {
    prop_oneof![
        login().prop_map(AgentMessage::Login),
        challenge_response().prop_map(AgentMessage::ChallengeResponse),
        device_status().prop_map(|status| AgentMessage::DeviceStatus(Box::new(status))),
        stream_stats().prop_map(AgentMessage::StreamStats),
        stream_ended().prop_map(AgentMessage::StreamEnded),
        progress().prop_map(AgentMessage::Progress),
        (select(CommandKind::ALL), reply()).prop_map(|(kind, reply)| AgentMessage::Reply(kind, reply)),
        fault().prop_map(AgentMessage::Error),
    ]
}

pub(crate) fn control_message() -> impl Strategy<Value = ControlMessage> {
    prop_oneof![
        challenge().prop_map(ControlMessage::Challenge),
        login_response().prop_map(ControlMessage::LoginResponse),
        reply().prop_map(ControlMessage::DeviceStatusReply),
        reply().prop_map(ControlMessage::StreamEndedReply),
        fault().prop_map(ControlMessage::Error),
        command().prop_map(ControlMessage::Command),
    ]
}

fn command() -> impl Strategy<Value = Command> {
    let streams = prop_oneof![
        stream_start().prop_map(Command::from),
        stream_stop().prop_map(Command::from),
        config_update().prop_map(Command::from),
        source_switch().prop_map(Command::from),
    ];
    let device = prop_oneof![
        agent_update().prop_map(Command::from),
        interface_command().prop_map(Command::from),
        Just(Command::from(InterfacesScan {})),
        files_list().prop_map(Command::from),
        media_delete().prop_map(Command::from),
        logs_get().prop_map(Command::from),
        diagnostics().prop_map(Command::from),
        power_command().prop_map(Command::from),
        Just(Command::from(ConfigGet {})),
        config_set().prop_map(Command::from),
        command_cancel().prop_map(Command::from),
    ];
    prop_oneof![streams, device]
}

pub(crate) fn live_frame() -> impl Strategy<Value = LiveFrame> {
    prop_oneof![
        any::<u64>().prop_map(|seq| LiveFrame::Ready { seq }),
        (topic(), any::<u64>(), vec(json(), 0..3)).prop_map(|(topic, seq, data)| LiveFrame::Snapshot {
            topic,
            seq,
            data
        }),
        live_event().prop_map(LiveFrame::Event),
        any::<u64>().prop_map(|missed| LiveFrame::Lagged { missed }),
        fault().prop_map(LiveFrame::Error),
    ]
}

pub(crate) fn receiver_command() -> impl Strategy<Value = ReceiverCommand> {
    prop_oneof![
        Just(ReceiverCommand::Stop),
        Just(ReceiverCommand::Stats),
        vec(receiver_output(), 0..3).prop_map(|outputs| ReceiverCommand::UpdateForward { outputs }),
    ]
}

pub(crate) fn receiver_event() -> impl Strategy<Value = ReceiverEvent> {
    prop_oneof![
        (stream_id(), any::<u32>(), vec(any::<u16>(), 0..3))
            .prop_map(|(stream_id, pid, ports)| ReceiverEvent::Ready { stream_id, pid, ports }),
        (text(), text()).prop_map(|(part, path)| ReceiverEvent::Recording { part, path }),
        receiver_stats().prop_map(ReceiverEvent::Stats),
        (text(), text()).prop_map(|(part, message)| ReceiverEvent::Error { part, message }),
        text().prop_map(|reason| ReceiverEvent::Stopped { reason }),
    ]
}

pub(crate) fn topic() -> impl Strategy<Value = Topic> {
    prop_oneof![
        sender_id().prop_map(Topic::Sender),
        stream_id().prop_map(Topic::Stream),
        Just(Topic::AllSenders),
        Just(Topic::AllStreams),
    ]
}

pub(crate) fn timestamp() -> impl Strategy<Value = Timestamp> {
    // Every day RFC 3339 can write; from_unix_millis limits what lies outside.
    prop_oneof![any::<i64>(), -62_167_219_200_000i64..=253_402_300_799_999]
        .prop_map(Timestamp::from_unix_millis)
}

pub(crate) fn enroll_uri() -> impl Strategy<Value = EnrollUri> {
    let host = prop_oneof!["[a-z]{1,8}\\.example", Just("127.0.0.1".to_owned()), Just("[::1]".to_owned())];
    let url = (host, of(1u16..), "[ -~]{0,12}").prop_filter_map("a URL", |(host, port, path)| {
        let port = port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("wss://{host}{port}/{path}").parse().ok()
    });
    (url, enrollment_token(), of(any::<[u8; 32]>().prop_map(Fingerprint)))
        .prop_map(|(url, token, ca)| EnrollUri { url, token, ca })
}

fn resolution() -> impl Strategy<Value = Resolution> {
    (8u32..=4096, 8u32..=4096).prop_map(|(w, h)| Resolution { width: w * 2, height: h * 2 })
}

/// Any text, the hard ones included: quotes, control characters, other scripts.
fn text() -> BoxedStrategy<String> {
    prop_oneof!["[a-z0-9 ]{0,12}", ".{0,12}", any::<String>().prop_map(|s| s.chars().take(12).collect())]
        .boxed()
}

fn secret() -> impl Strategy<Value = Secret> {
    text().prop_map(Secret::new)
}

fn error_code() -> impl Strategy<Value = ErrorCode> {
    prop_oneof![Just(ErrorCode::UNSUPPORTED), text().prop_map(ErrorCode::other)]
}

fn message_id() -> impl Strategy<Value = MessageId> {
    "[!-~]{1,128}".prop_map(|text| text.parse().expect("a message id"))
}

fn enrollment_token() -> impl Strategy<Value = EnrollmentToken> {
    "enr_[!-~]{1,128}".prop_map(|text| text.parse().expect("a token"))
}

macro_rules! ids {
    ($($name:ident -> $type:ident;)*) => {$(
        fn $name() -> impl Strategy<Value = $type> {
            "[A-Za-z0-9_-]{1,64}".prop_map(|body| format!("{}{body}", $type::PREFIX).parse().expect("an id"))
        }
    )*};
}

ids! {
    sender_id -> SenderId;
    stream_id -> StreamId;
    user_id -> UserId;
}

fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::btree_map(text(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

/// `null` for a field that may be absent means absent.
fn some_json() -> impl Strategy<Value = Value> {
    json().prop_filter("not null", |value| !value.is_null())
}

fn fields() -> impl Strategy<Value = Map<String, Value>> {
    // Names the surrounding objects do not use themselves.
    proptest::collection::btree_map("x_[a-z]{1,6}", json(), 0..3).prop_map(|map| map.into_iter().collect())
}
