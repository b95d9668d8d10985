//! What is written can be read, and is the same: for every message and every text form.

mod any;

use any::{
    agent_message, control_message, destination_create, enroll_uri, envelope, live_frame, live_request,
    problem, receiver_command, receiver_event, reply, sender_view, start_stream, stream_view, timestamp,
    topic, update_stream,
};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strata_proto::control::{
    AgentMessage, ControlMessage, Envelope, FilesList, LiveFrame, LiveRequest, RawEnvelope, ReceiverCommand,
    ReceiverEvent, Reply, Resolution, StreamState, Topic,
};
use strata_proto::error::{MAX_ERROR_TEXT, from_json};
use strata_proto::id::{MessageId, SenderId, StreamId};
use strata_proto::time::Timestamp;
use strata_proto::token::{EnrollUri, EnrollmentToken, Fingerprint};

fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("serialisable")
}

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T) {
    assert_eq!(&from_json::<T>(&json(value), "").expect("decodes"), value);
}

proptest! {
    #[test]
    fn agent_messages(message in envelope(agent_message())) {
        let text = message.encode().unwrap();
        prop_assert_eq!(Envelope::<AgentMessage>::decode(&text).unwrap(), message);
    }

    #[test]
    fn control_messages(message in envelope(control_message())) {
        let text = message.encode().unwrap();
        prop_assert_eq!(Envelope::<ControlMessage>::decode(&text).unwrap(), message);
    }

    #[test]
    fn live_requests(request in live_request()) {
        prop_assert_eq!(LiveRequest::decode(&json(&request)).unwrap(), request);
    }

    #[test]
    fn live_frames(frame in live_frame()) {
        let text = json(&frame);
        prop_assert_eq!(&LiveFrame::decode(&text).unwrap(), &frame);
        // The plain serde form, without paths, agrees.
        prop_assert_eq!(serde_json::from_str::<LiveFrame>(&text).unwrap(), frame);
    }

    #[test]
    fn receiver_commands(command in receiver_command()) {
        let text = json(&command);
        prop_assert_eq!(&ReceiverCommand::decode(&text).unwrap(), &command);
        prop_assert_eq!(serde_json::from_str::<ReceiverCommand>(&text).unwrap(), command);
    }

    #[test]
    fn receiver_events(event in receiver_event()) {
        let text = json(&event);
        prop_assert_eq!(&ReceiverEvent::decode(&text).unwrap(), &event);
        prop_assert_eq!(serde_json::from_str::<ReceiverEvent>(&text).unwrap(), event);
    }

    #[test]
    fn rest_bodies(
        start in start_stream(), sender in sender_view(), stream in stream_view(),
        destination in destination_create(), problem in problem(), update in update_stream(),
    ) {
        round_trip(&start);
        round_trip(&update);
        round_trip(&sender);
        round_trip(&stream);
        round_trip(&destination);
        round_trip(&problem);
    }

    #[test]
    fn replies_carry_typed_results(path in any::<Option<String>>(), reply in reply()) {
        let result = FilesList { path };
        prop_assert_eq!(Reply::with(&result).unwrap().parse::<FilesList>().unwrap(), result);
        // A reply inside a reply keeps the outer fields whole.
        let nested = Reply::with(&reply).unwrap();
        prop_assert!(nested.success && nested.error.is_none());
        round_trip(&nested);
    }

    #[test]
    fn time_stamps(time in timestamp()) {
        prop_assert_eq!(time.to_string().parse::<Timestamp>().unwrap(), time);
        prop_assert_eq!(time.to_string().len(), "2026-02-14T10:30:00.000Z".len());
    }

    #[test]
    fn time_stamps_at_any_offset(time in timestamp(), hours in -23i64..=23, minutes in 0i64..60) {
        let sign = if hours < 0 { '-' } else { '+' };
        let offset_ms = (hours * 60 + hours.signum() * minutes) * 60_000;
        let local = Timestamp::from_unix_millis(time.unix_millis() + offset_ms);
        prop_assume!(local.unix_millis() == time.unix_millis() + offset_ms);
        let text = local.to_string();
        let text = format!("{}{sign}{:02}:{:02}", text.trim_end_matches('Z'), hours.abs(),
            if hours == 0 { 0 } else { minutes });
        prop_assert_eq!(text.parse::<Timestamp>().unwrap(), time, "{}", text);
    }

    #[test]
    fn generated_ids(time in timestamp(), random in any::<[u8; 10]>(), later in 1i64..1_000_000_000) {
        let id = SenderId::generate(time, random);
        prop_assert_eq!(id.as_str().parse::<SenderId>().unwrap(), id.clone());
        prop_assert!(id.as_str().parse::<StreamId>().is_err());
        let message = MessageId::generate(time, random);
        prop_assert_eq!(message.as_str().parse::<MessageId>().unwrap(), message);
        // Ordered by time, whatever the random part.
        prop_assume!(time.unix_millis() >= 0);
        let next = Timestamp::from_unix_millis(time.unix_millis() + later);
        prop_assume!(next > time);
        prop_assert!(SenderId::generate(next, [0; 10]) > id);
    }

    #[test]
    fn topics(topic in topic()) {
        prop_assert_eq!(topic.to_string().parse::<Topic>().unwrap(), topic);
    }

    #[test]
    fn resolutions(width in 8u32..=4096, height in 8u32..=4096) {
        let resolution = Resolution { width: width * 2, height: height * 2 };
        prop_assert_eq!(resolution.to_string().parse::<Resolution>().unwrap(), resolution);
    }

    #[test]
    fn enrollment_strings(uri in enroll_uri()) {
        prop_assert_eq!(uri.to_string().parse::<EnrollUri>().unwrap(), uri.clone());
        let shown = format!("{uri:?}");
        prop_assert!(!shown.contains(uri.token.expose()), "the token shows in {}", shown);
    }

    #[test]
    fn fingerprints(bytes in any::<[u8; 32]>()) {
        let fingerprint = Fingerprint(bytes);
        let text = fingerprint.to_string();
        prop_assert_eq!(text.parse::<Fingerprint>().unwrap(), fingerprint);
        prop_assert_eq!(text.to_uppercase().replace("SHA256", "sha256").parse::<Fingerprint>().unwrap(), fingerprint);
    }

    #[test]
    fn enrollment_tokens(random in any::<[u8; 32]>()) {
        let token = EnrollmentToken::generate(random);
        prop_assert_eq!(token.expose().parse::<EnrollmentToken>().unwrap(), token);
    }

    #[test]
    fn measured_values_are_written_within_their_bounds(load in any::<f64>()) {
        let status = strata_proto::control::DeviceStatus {
            stream_state: StreamState::Idle, cpu_percent: load, ..Default::default()
        };
        let read: strata_proto::control::DeviceStatus = from_json(&json(&status), "").unwrap();
        prop_assert!((0.0..=100.0).contains(&read.cpu_percent));
    }

    #[test]
    fn texts_of_strangers_never_panic(text in ".*", message_type in ".*") {
        let _ = text.parse::<Timestamp>();
        let _ = text.parse::<EnrollUri>();
        let _ = text.parse::<Topic>();
        let _ = text.parse::<Resolution>();
        let _ = text.parse::<Fingerprint>();
        let frame = serde_json::json!({
            "id": "1", "type": message_type, "ts": "2026-02-14T10:30:00Z", "payload": { "reason": text },
        }).to_string();
        for error in [
            Envelope::<AgentMessage>::decode(&frame).err(),
            Envelope::<AgentMessage>::decode(&text).err(),
            ReceiverEvent::decode(&text).err(),
            LiveFrame::decode(&text).err(),
        ].into_iter().flatten() {
            prop_assert!(error.reason.len() <= MAX_ERROR_TEXT && error.path.len() <= MAX_ERROR_TEXT);
        }
        prop_assert!(RawEnvelope::decode(&frame).is_ok());
    }
}
