//! What must not be lost, and the limits within which.

use strata_proto::control::ErrorCode;

use super::super::Restored;
use super::*;

fn stream_of(sent: &Envelope<AgentMessage>) -> u64 {
    match &sent.message {
        AgentMessage::StreamEnded(ended) => ended.duration_s,
        other => panic!("not a stream.ended: {other:?}"),
    }
}

fn acknowledge(rig: &mut Rig, sent: &Envelope<AgentMessage>) -> Vec<Did> {
    rig.hear(sent.id.as_str(), ControlMessage::StreamEndedReply(Reply::ok()))
}

#[test]
fn the_end_of_a_stream_is_journalled_before_it_is_sent_and_kept_until_acknowledged() {
    let mut rig = Rig::ready();
    let did = rig.input(ended(1));
    assert_eq!(did[0], Did::Event(Event::JournalChanged));
    assert_eq!(types(&did), ["stream.ended"]);
    rig.input(Input::Broken("reset"));
    rig.pass(2 * SECOND);
    let did = rig.log_in();
    let again = sent(&did)[0].clone();
    assert_eq!(stream_of(&again), 1);
    assert_eq!(acknowledge(&mut rig, &again), [Did::Event(Event::JournalChanged)]);
    rig.input(Input::Broken("reset"));
    rig.pass(4 * SECOND);
    assert_eq!(types(&rig.log_in()), Vec::<String>::new());
}

#[test]
fn an_unanswered_end_is_sent_again_and_a_late_answer_is_taken() {
    let mut rig = Rig::ready();
    let first = sent(&rig.input(ended(1)))[0].clone();
    let did = rig.pass(10 * SECOND);
    assert!(events(&did).contains(&&Event::Unanswered { message_type: "stream.ended".into() }));
    assert_eq!(sent(&did), [&first]);
    assert_eq!(acknowledge(&mut rig, &first), [Did::Event(Event::JournalChanged)], "the answer to the first");
    assert_eq!(acknowledge(&mut rig, &first), [], "the answer to the second");
    // A status is not sent again: it is stale.
    let status = sent(&rig.input(status()))[0].clone();
    let did = rig.pass(10 * SECOND);
    assert!(events(&did).contains(&&Event::Unanswered { message_type: "device.status".into() }));
    assert_eq!(sent(&did), Vec::<&Envelope<_>>::new());
    assert_eq!(rig.hear(status.id.as_str(), ControlMessage::DeviceStatusReply(Reply::ok())), []);
}

#[test]
fn a_server_that_is_only_busy_gets_it_again_and_one_that_rejects_it_does_not() {
    let mut rig = Rig::ready();
    let first = sent(&rig.input(ended(1)))[0].clone();
    let busy = Fault::new(ErrorCode::INTERNAL, "database");
    rig.hear(first.id.as_str(), ControlMessage::StreamEndedReply(Reply::failed(busy)));
    assert_eq!(sent(&rig.pass(10 * SECOND)), [&first]);
    let unknown = Fault::new(ErrorCode::NOT_FOUND, "no such stream");
    let did = rig.hear(first.id.as_str(), ControlMessage::StreamEndedReply(Reply::failed(unknown)));
    assert!(matches!(events(&did)[..], [Event::JournalChanged, Event::Faulted { .. }]));
    assert_eq!(types(&rig.pass_alive(30 * SECOND)), Vec::<String>::new());
}

#[test]
fn ends_made_without_a_connection_go_out_in_order_and_telemetry_does_not() {
    let mut rig = Rig::enrolled();
    rig.input(Input::DialFailed("no route"));
    for number in 0..5 {
        rig.input(ended(number));
        assert_eq!(rig.input(stats(number)), []);
        assert_eq!(rig.input(status()), []);
    }
    rig.pass(2 * SECOND);
    let did = rig.log_in();
    assert_eq!(sent(&did).into_iter().map(stream_of).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[test]
fn the_journal_survives_the_process() {
    let mut rig = Rig::ready();
    rig.hear("c1", ControlMessage::Command(stop()));
    rig.hear("c2", ControlMessage::Command(stop()));
    rig.input(Input::Reply { id: id("c1"), reply: Reply::ok() });
    rig.pass_alive(15 * SECOND);
    rig.input(ended(7));
    rig.input(Input::Reply { id: id("c2"), reply: Reply::ok() });
    let journal = rig.session.journal();
    assert!(!String::from_utf8(journal.clone()).unwrap().contains("token-1"), "no secret of the session");

    let mut rig = Rig::enrolled();
    // Two answers in the record, one of them perhaps not yet arrived, and the end.
    assert_eq!(rig.session.restore(&journal), Restored { entries: 4, damaged: 0 });
    assert_eq!(rig.session.journal(), journal);
    let did = rig.log_in();
    assert_eq!(types(&did), ["stream.ended", "stream.stop.response"]);
    let did = rig.hear("c1", ControlMessage::Command(stop()));
    assert_eq!(types(&did), ["stream.stop.response"], "not carried out again");
    assert!(!events(&did).iter().any(|event| matches!(event, Event::Command { .. })));
}

#[test]
fn a_damaged_journal_loses_only_what_is_damaged() {
    let mut rig = Rig::ready();
    for number in 0..3 {
        rig.input(ended(number));
    }
    let journal = String::from_utf8(rig.session.journal()).unwrap();
    let mut lines: Vec<&str> = journal.lines().collect();
    lines[2] = &lines[2][..20];
    lines.push(r#"{"keep":"ended","envelope":{"id":"x","type":"auth.login","ts":"2026-02-14T10:30:00Z","payload":{}}}"#);
    lines.push(r#"{"keep":"dust","envelope":{}}"#);
    let mut rig = Rig::enrolled();
    assert_eq!(rig.session.restore(lines.join("\n").as_bytes()), Restored { entries: 2, damaged: 3 });
    for (bytes, damaged) in
        [(&b""[..], 0), (b"\n\n", 0), (b"\0\xff", 1), (b"{\"strata_journal\":2}\nx\ny\n", 3), (b"[]", 1)]
    {
        let mut rig = Rig::enrolled();
        assert_eq!(rig.session.restore(bytes), Restored { entries: 0, damaged });
    }
}

#[test]
fn the_journal_is_bounded_and_drops_stale_telemetry_first() {
    let config = Config { journal_max_messages: 10, ..Config::default() };
    let mut rig = Rig::with(config);
    rig.log_in();
    for number in 0..6 {
        rig.input(stats(number));
    }
    let mut dropped = Vec::new();
    for number in 0..12 {
        for event in events(&rig.input(ended(number))) {
            if let Event::Dropped { message_type, .. } = event {
                dropped.push(message_type.clone());
            }
        }
    }
    // 6 + 12 messages, 10 stay: all telemetry goes before the two oldest ends.
    assert_eq!(dropped, [vec!["stream.stats"; 6], vec!["stream.ended"; 2]].concat());
    assert_eq!(rig.session.outbox.size().0, 10);
    rig.input(Input::Broken("reset"));
    rig.pass(2 * SECOND);
    let did = rig.log_in();
    assert_eq!(sent(&did).into_iter().map(stream_of).collect::<Vec<_>>(), (2..12).collect::<Vec<_>>());
}

#[test]
fn the_journal_and_the_record_are_bounded_in_bytes() {
    let config = Config {
        journal_max_bytes: 10_000,
        record_max_bytes: 10_000,
        record_max_replies: 20,
        ..Config::default()
    };
    let mut rig = Rig::with(config);
    rig.log_in();
    for number in 0..500 {
        let name = format!("c{number}");
        rig.hear(&name, ControlMessage::Command(stop()));
        let mut reply = Reply::ok();
        reply.result.insert("text".into(), "x".repeat(number * 3).into());
        rig.input(Input::Reply { id: id(&name), reply });
        rig.input(ended(number as u64));
        let (_, bytes) = rig.session.outbox.size();
        let (running, answers, recorded) = rig.session.record.size();
        assert!(bytes <= 10_000 && recorded <= 10_000 && answers <= 20 && running == 0);
    }
}

#[test]
fn a_message_the_server_finds_too_big_is_not_sent_for_ever() {
    let mut rig = Rig::ready();
    rig.input(ended(1));
    let did = rig.input(Input::Closed { code: 1009, reason: "" });
    assert!(events(&did).iter().any(|event| matches!(event, Event::Dropped { .. })));
    rig.pass(2 * SECOND);
    assert_eq!(types(&rig.log_in()), Vec::<String>::new());
}
