//! Heartbeats, time limits, backoff, and clocks that jump.

use strata_proto::control::ErrorCode;

use super::*;

#[test]
fn pings_every_15_seconds_and_gives_up_after_45_of_silence() {
    let mut rig = Rig::ready();
    let start = rig.elapsed();
    let mut pings = Vec::new();
    loop {
        let did = rig.pass(SECOND);
        if did.iter().any(|did| matches!(did, Did::Ping(_))) {
            pings.push((rig.elapsed() - start).as_secs());
        }
        if let Some((cause, _)) = disconnect(&did) {
            assert_eq!(*cause, Disconnect::Silent);
            assert!(did.contains(&Did::Close(1000)));
            break;
        }
    }
    assert_eq!((rig.elapsed() - start).as_secs(), 45);
    assert_eq!(pings, [15, 30]);
}

#[test]
fn anything_heard_is_a_sign_of_life() {
    let mut rig = Rig::ready();
    for number in 0..20 {
        let did = rig.pass(40 * SECOND);
        assert_eq!(disconnect(&did), None, "after {number} rounds");
        match number % 4 {
            0 => rig.input(Input::Ping),
            1 => rig.input(Input::Pong(b"of somebody else's ping")),
            2 => rig.input(Input::Text("garbage")),
            _ => rig.hear("c", ControlMessage::Command(stop())),
        };
    }
}

#[test]
fn a_wall_clock_that_jumps_disturbs_nothing() {
    let mut rig = Rig::ready();
    for jump in [i64::MIN / 2, 0, 2_000_000_000_000, -5, i64::MAX / 2] {
        rig.now.wall = Timestamp::from_unix_millis(jump);
        assert_eq!(disconnect(&rig.pass_alive(60 * SECOND)), None);
        let did = rig.input(status());
        assert_eq!(types(&did), ["device.status"]);
    }
    assert_eq!(rig.session.state(), State::Ready);
}

#[test]
fn dial_and_login_have_time_limits() {
    let mut rig = Rig::enrolled();
    assert_eq!(rig.drain(), [Did::Dial]);
    let did = rig.pass(20 * SECOND);
    assert_eq!(did[0], Did::Close(1000), "the attempt is given up");
    assert_eq!(disconnect(&did).unwrap().0, &Disconnect::DialTimeout);
    rig.pass(2 * SECOND);
    assert_eq!(rig.session.state(), State::Dialing);
    rig.input(Input::Connected);
    assert_eq!(disconnect(&rig.pass(9 * SECOND)), None);
    assert_eq!(disconnect(&rig.pass(SECOND)).unwrap().0, &Disconnect::LoginTimeout);
}

/// The longest of many waits tells the step they are drawn from.
fn widest_waits(mut failure: impl FnMut(&mut Rig) -> Duration, attempts: usize) -> Vec<u64> {
    let mut widest = vec![Duration::ZERO; attempts];
    for seed in 0..200 {
        let mut rig = Rig::enrolled();
        rig.session.rng = rand::SeedableRng::seed_from_u64(seed);
        for widest in &mut widest {
            let wait = failure(&mut rig);
            *widest = (*widest).max(wait);
            rig.pass(wait);
            assert_eq!(rig.session.state(), State::Dialing, "it dials when it said so");
        }
    }
    widest.into_iter().map(|wait| wait.as_secs_f64().ceil() as u64).collect()
}

#[test]
fn waits_1_2_4_to_30_seconds_at_most() {
    let fail = |rig: &mut Rig| disconnect(&rig.input(Input::DialFailed("no route"))).unwrap().1;
    assert_eq!(widest_waits(fail, 7), [1, 2, 4, 8, 16, 30, 30]);
}

#[test]
fn a_session_of_60_seconds_starts_the_backoff_anew_and_a_shorter_one_does_not() {
    let session_of = |lasting: Duration| {
        move |rig: &mut Rig| {
            rig.log_in();
            rig.pass_alive(lasting);
            // Not a clean close: that must not matter.
            disconnect(&rig.input(Input::Broken("reset"))).unwrap().1
        }
    };
    assert_eq!(widest_waits(session_of(60 * SECOND), 4), [1, 1, 1, 1]);
    assert_eq!(widest_waits(session_of(59 * SECOND), 4), [1, 2, 4, 8]);
}

#[test]
fn does_not_fight_whoever_replaces_it() {
    for _ in 0..20 {
        let mut rig = Rig::ready();
        rig.pass_alive(100 * SECOND);
        let did = rig.input(Input::Closed { code: 4001, reason: "replaced" });
        let (cause, wait) = disconnect(&did).unwrap();
        assert_eq!(*cause, Disconnect::Replaced);
        assert!((15..=30).contains(&wait.as_secs()), "{wait:?}");
    }
}

#[test]
fn a_refused_login_is_reported_and_tried_again_slowly() {
    for code in [ErrorCode::REVOKED, ErrorCode::INVALID_CREDENTIALS] {
        let mut rig = Rig::enrolled();
        let login = login_id(&rig.input(Input::Connected));
        let fault = Fault::new(code, "no");
        let did = rig.hear(login.as_str(), refused(fault.clone()));
        assert_eq!(events(&did)[0], &Event::Refused(fault));
        let (_, wait) = disconnect(&did).unwrap();
        assert!((15..=30).contains(&wait.as_secs()), "{wait:?}");
    }
    // A server that is only broken is tried again as soon as any other.
    let mut rig = Rig::enrolled();
    let login = login_id(&rig.input(Input::Connected));
    let did = rig.hear(login.as_str(), refused(Fault::new(ErrorCode::INTERNAL, "database")));
    assert!(disconnect(&did).unwrap().1 <= SECOND);
}

#[test]
fn status_is_due_after_login_at_each_interval_and_soon_after_a_change() {
    let mut rig = Rig::enrolled();
    let due = |did: &[Did]| events(did).iter().filter(|event| ***event == Event::StatusDue).count();
    assert_eq!(due(&rig.log_in()), 1, "at once");
    assert_eq!(due(&rig.pass_alive(30 * SECOND)), 3, "every 10 s");
    // A hundred changes within 100 ms make one.
    for _ in 0..100 {
        rig.input(Input::StatusChanged);
        rig.pass(Duration::from_millis(1));
    }
    assert_eq!(due(&rig.pass(Duration::from_secs(1))), 1);
    // A device that changes without end is heard once a second.
    let mut count = 0;
    for _ in 0..100 {
        rig.input(Input::StatusChanged);
        count += due(&rig.pass_alive(Duration::from_millis(100)));
    }
    assert!((9..=11).contains(&count), "{count}");
}
