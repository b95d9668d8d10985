use std::fmt::Write as _;

use super::*;

const STARTS: &[(&str, &[Input])] = &[
    ("Launching", &[]),
    ("Asking", &[Input::Ready]),
    ("Waiting", &[Input::Ready, Input::Accepted]),
    ("Live", &[Input::Ready, Input::Accepted, Input::Media]),
    ("Live, unobserved", &[Input::Ready, Input::Accepted, Input::Media, Input::AgentAway]),
    ("Live, unlisted", &[Input::Ready, Input::Accepted, Input::Media, Input::Listed(false)]),
    ("Stopping", &[Input::Ready, Input::Accepted, Input::Media, Input::StopWanted(EndReason::UserStop)]),
    (
        "Draining",
        &[Input::Ready, Input::Accepted, Input::Media, Input::AgentEnded(EndReason::AgentShutdown, None)],
    ),
    ("Over", &[Input::LaunchFailed(String::new())]),
];

fn inputs() -> Vec<Input> {
    vec![
        Input::Ready,
        Input::LaunchFailed("no such program".to_owned()),
        Input::Accepted,
        Input::Refused("unsupported".to_owned()),
        Input::Media,
        Input::StopWanted(EndReason::UserStop),
        Input::AgentEnded(EndReason::AgentShutdown, None),
        Input::AgentEnded(EndReason::PipelineCrash, Some("camera gone".to_owned())),
        Input::Listed(true),
        Input::Listed(false),
        Input::AgentHere,
        Input::AgentAway,
        Input::ReceiverGone(Gone::Stopped),
        Input::ReceiverGone(Gone::Idle),
        Input::ReceiverGone(Gone::Crashed("signal 9".to_owned())),
        Input::Timeout,
    ]
}

#[expect(clippy::disallowed_methods, reason = "the start of virtual time")]
fn epoch() -> Instant {
    Instant::now()
}

fn drain(life: &mut Life) -> Vec<Output> {
    std::iter::from_fn(|| life.poll_output()).collect()
}

fn after(setup: &[Input], now: Instant) -> Life {
    let mut life = Life::start(Graces::default(), now);
    for input in setup {
        life.handle_input(now, input.clone());
    }
    drain(&mut life);
    life
}

#[test]
fn every_state_and_input() {
    let t0 = epoch();
    let mut table = String::new();
    for (name, setup) in STARTS {
        writeln!(table, "{name}").unwrap();
        for input in inputs() {
            let mut life = after(setup, t0);
            let now = life.timeout().filter(|_| input == Input::Timeout).unwrap_or(t0);
            let before = (life.phase, life.observed, life.unlisted);
            life.handle_input(now, input.clone());
            let outputs = drain(&mut life);
            if before == (life.phase, life.observed, life.unlisted) && outputs.is_empty() {
                continue;
            }
            write!(table, "  {input:?} -> {:?}", life.phase).unwrap();
            if let Some(outcome) = life.outcome().filter(|_| !outputs.is_empty()) {
                let kind = if outcome.failed { "failed" } else { "ended" };
                let presumed = if outcome.presumed { ", presumed" } else { "" };
                write!(table, " ({kind} {:?}{presumed})", outcome.reason).unwrap();
            }
            writeln!(table, " {outputs:?}").unwrap();
        }
    }
    insta::assert_snapshot!(table);
}

#[test]
fn media_keep_an_unobserved_stream_alive() {
    let t0 = epoch();
    let mut life = after(STARTS[3].1, t0);
    assert_eq!(life.timeout(), None);
    life.handle_input(t0, Input::AgentAway);
    let grace = Graces::default().unobserved;
    assert_eq!(life.timeout(), Some(t0 + grace));
    let later = t0 + Duration::from_secs(60);
    life.handle_input(later, Input::Media);
    assert_eq!(life.timeout(), Some(later + grace));
    life.handle_input(t0 + grace, Input::Timeout);
    assert_eq!(life.state(), StreamLife::Live, "a timer of the past changes nothing");
    life.handle_input(later + grace, Input::Timeout);
    assert_eq!(life.state(), StreamLife::Stopping);
    assert!(life.outcome().unwrap().presumed);
}

#[test]
fn an_agent_that_returns_is_observed_again_and_keeps_its_stream() {
    let t0 = epoch();
    let mut life = after(STARTS[4].1, t0);
    life.handle_input(t0 + Duration::from_secs(89), Input::AgentHere);
    assert_eq!(drain(&mut life), [Output::Changed]);
    assert_eq!((life.state(), life.observed(), life.timeout()), (StreamLife::Live, true, None));
}

#[test]
fn a_revived_stream_waits_for_media_without_asking_the_agent() {
    let t0 = epoch();
    let mut life = Life::revive(Graces::default(), t0);
    assert_eq!(drain(&mut life), [Output::Changed, Output::LaunchReceiver]);
    life.handle_input(t0, Input::Ready);
    assert_eq!(drain(&mut life), []);
    life.handle_input(t0, Input::Media);
    assert_eq!((life.state(), drain(&mut life)), (StreamLife::Live, vec![Output::Changed]));

    let mut life = Life::revive(Graces::default(), t0);
    drain(&mut life);
    life.handle_input(t0, Input::LaunchFailed("ports taken".to_owned()));
    assert_eq!(drain(&mut life), [Output::TellAgent, Output::FreePorts, Output::Changed]);
}

#[test]
fn an_adopted_stream_is_unobserved_until_its_agent_returns() {
    let t0 = epoch();
    let mut life = Life::adopt(Graces::default(), StreamLife::Live, None, t0);
    assert_eq!((life.state(), life.observed()), (StreamLife::Live, false));
    assert_eq!(life.timeout(), Some(t0 + Graces::default().unobserved));
    life.handle_input(t0, Input::AgentHere);
    life.handle_input(t0, Input::Listed(true));
    assert_eq!((life.state(), life.observed(), life.timeout()), (StreamLife::Live, true, None));

    let mut stopping = Life::adopt(Graces::default(), StreamLife::Stopping, None, t0);
    drain(&mut stopping);
    stopping.handle_input(t0, Input::AgentHere);
    assert_eq!(drain(&mut stopping), [Output::TellAgent, Output::Changed]);
}

#[test]
fn a_receiver_that_does_not_drain_is_killed_until_it_is_gone() {
    let t0 = epoch();
    let mut life = after(STARTS[7].1, t0);
    let due = life.timeout().unwrap();
    life.handle_input(due, Input::Timeout);
    assert_eq!(drain(&mut life), [Output::KillReceiver]);
    let again = life.timeout().unwrap();
    assert!(again > due);
    life.handle_input(again, Input::Timeout);
    assert_eq!(drain(&mut life), [Output::KillReceiver]);
    life.handle_input(again, Input::ReceiverGone(Gone::Crashed("killed".to_owned())));
    assert_eq!((life.state(), life.timeout()), (StreamLife::Ended, None));
}
