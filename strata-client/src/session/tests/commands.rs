//! Requests: answered once, whatever happens.

use strata_proto::control::{CommandKind, ErrorCode};

use super::*;

fn command(rig: &mut Rig, name: &str) -> Vec<Did> {
    rig.hear(name, ControlMessage::Command(stop()))
}

fn answer(rig: &mut Rig, name: &str) -> Vec<Did> {
    rig.input(Input::Reply { id: id(name), reply: Reply::ok() })
}

#[test]
fn a_repeated_request_is_carried_out_once_and_answered_from_the_record() {
    let mut rig = Rig::ready();
    let did = command(&mut rig, "c1");
    let expected = Event::Command { id: id("c1"), command: Box::new(stop()) };
    assert_eq!(events(&did), [&expected]);
    assert_eq!(command(&mut rig, "c1"), [], "it still runs: its one answer is yet to come");
    let first = answer(&mut rig, "c1");
    assert_eq!(types(&first), ["stream.stop.response"]);
    assert_eq!(answer(&mut rig, "c1"), [], "a second answer is not sent");
    let again = command(&mut rig, "c1");
    assert_eq!(sent(&again), sent(&first));
}

#[test]
fn a_request_outlives_the_connection_it_came_by() {
    let mut rig = Rig::ready();
    command(&mut rig, "c1");
    rig.input(Input::Broken("reset"));
    let did = answer(&mut rig, "c1");
    assert_eq!(events(&did), [&Event::JournalChanged], "kept");
    rig.pass(2 * SECOND);
    let did = rig.log_in();
    assert_eq!(types(&did), ["stream.stop.response"]);
    // The server repeats the request too: answered, not carried out.
    let did = command(&mut rig, "c1");
    assert_eq!(types(&did), ["stream.stop.response"]);
}

#[test]
fn an_answer_comes_again_until_a_later_ping_is_answered() {
    let mut rig = Rig::ready();
    command(&mut rig, "c1");
    answer(&mut rig, "c1");
    rig.input(Input::Broken("reset"));
    rig.pass(2 * SECOND);
    assert_eq!(types(&rig.log_in()), ["stream.stop.response"], "it may have been lost");
    rig.pass_alive(15 * SECOND);
    rig.input(Input::Broken("reset"));
    rig.pass(4 * SECOND);
    assert_eq!(types(&rig.log_in()), Vec::<String>::new(), "it has arrived");
}

#[test]
fn an_answer_the_server_cannot_take_now_goes_out_again_later() {
    let mut rig = Rig::ready();
    command(&mut rig, "c1");
    let first = answer(&mut rig, "c1");
    rig.hear("c1", ControlMessage::Error(Fault::new(ErrorCode::RATE_LIMITED, "slow down")));
    let did = rig.pass_alive(9 * SECOND);
    assert_eq!(types(&did), Vec::<String>::new());
    let did = rig.pass_alive(SECOND);
    assert_eq!(sent(&did)[0], sent(&first)[0]);
}

#[test]
fn commands_beyond_the_limit_are_refused_and_not_recorded() {
    let config = Config { max_running: 2, ..Config::default() };
    let mut rig = Rig::with(config);
    rig.log_in();
    command(&mut rig, "c1");
    command(&mut rig, "c2");
    let did = command(&mut rig, "c3");
    let AgentMessage::Reply(CommandKind::StreamStop, reply) = &sent(&did)[0].message else {
        panic!("{did:?}")
    };
    assert_eq!(reply.error.as_ref().unwrap().code, ErrorCode::RATE_LIMITED);
    answer(&mut rig, "c1");
    assert!(matches!(events(&command(&mut rig, "c3"))[..], [Event::Command { .. }]));
}

#[test]
fn an_answer_that_is_too_big_becomes_a_failure() {
    let mut rig = Rig::ready();
    command(&mut rig, "c1");
    let mut reply = Reply::ok();
    reply.result.insert("lines".into(), "x".repeat(1024 * 1024).into());
    let did = rig.input(Input::Reply { id: id("c1"), reply });
    let AgentMessage::Reply(_, reply) = &sent(&did)[0].message else { panic!("{did:?}") };
    assert_eq!(reply.error.as_ref().unwrap().code, ErrorCode::INTERNAL);
}

#[test]
fn shutdown_waits_for_answers_within_its_time_and_takes_no_new_commands() {
    let mut rig = Rig::ready();
    rig.input(ended(1));
    assert_eq!(rig.input(Input::Shutdown), []);
    assert_eq!(rig.session.state(), State::Closing);
    let did = command(&mut rig, "c1");
    let AgentMessage::Reply(_, reply) = &sent(&did)[0].message else { panic!("{did:?}") };
    assert_eq!(reply.error.as_ref().unwrap().code, ErrorCode::CANCELLED);
    let did = rig.pass(3 * SECOND);
    assert_eq!(did, [Did::Close(1000), Did::Event(Event::Closed)]);
    assert_eq!(rig.session.state(), State::Closed);
    assert_eq!(rig.pass(1000 * SECOND), []);
}
