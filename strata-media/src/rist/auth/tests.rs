use std::time::{Duration, Instant};

use super::srp::{Client, Hashing, Server, verifier};
use super::*;
use crate::rist::seed::Seed;

#[expect(clippy::disallowed_methods, reason = "virtual time starts anywhere")]
fn start() -> Instant {
    Instant::now()
}

/// `ristsrppasswd user1 pass1` of librist 0.2.7.
const LINE: &str = "user1:k/fDHlhxsAgnEYr6lSzynpDfWWURMEGWz6uPO+oRxEux25I4RtnWO51jtjH4zbaTshYoEtCOrNopRKZplusVC4AFocxNPThYctNOLNNtx0s3LbldD4TIa1+oZfRpcGnYIq1z68SvGMvmS58e1oUIbY///N6mtllpHqiubuXyDEnSjGf5k4NCrFOKEJn2x8h4uJRLf5726GWNvb95dpYJIRP6LFydvrcMvNo2eXP5fVCeNQOAlEY23vjJuEn24wJ/WgFWzNRsPdyPgschkbrZC5k619uPXfgrLsvC6f0HjKCE+NVmKIbOQmq9doDTx1LZXxZzrqy9FkmqMej8sQU5QQ:QOctdigsJrxFHHWc/0D8w1phJkxmcNoIeMFYMaxuv6U:3";

fn credentials(password: &str) -> Credentials {
    Credentials::new("user1", password).unwrap()
}

#[test]
fn a_line_of_ristsrppasswd_is_what_this_end_makes_of_the_password() {
    let verifiers = Verifiers::parse(LINE).unwrap();
    let (hashing, user) = verifiers.find("user1", true).unwrap();
    assert_eq!(hashing, Hashing::Old);
    assert_eq!(verifier("user1", "pass1", &user.salt, hashing), user.verifier);
    assert_ne!(verifier("user1", "pass1", &user.salt, Hashing::Fixed), user.verifier);
    assert_eq!(verifiers.find("user2", true), None);
    assert_eq!(
        format!("{verifiers:?} {:?}", credentials("p")),
        "Verifiers(1 users) Credentials { name: \"user1\", .. }"
    );
}

#[test]
fn lines_that_cannot_be_are_named() {
    let reason = |text: &str| Verifiers::parse(text).unwrap_err().to_string();
    assert_eq!(reason("\n"), "no users");
    assert!(reason(&format!("{LINE}\nuser2:aGVq:aGVq")).starts_with("line 2: less than four fields"));
    assert!(reason("u:aGVq:aGVq:2").starts_with("line 1: another group"));
    assert!(reason("u:***:aGVq:3").starts_with("line 1: the verifier is not base64"));
    assert!(reason("u:aGVq:aGVq:3:7").starts_with("line 1: unknown hashing"));
}

#[test]
fn both_ends_prove_the_password_and_no_other() {
    for hashing in [Hashing::Old, Hashing::Fixed] {
        let salt = [7; 32];
        let v = verifier("user1", "pass1", &salt, hashing);
        for (password, right) in [("pass1", true), ("pass2", false)] {
            let client = Client::new(&[1; 32], &salt, hashing);
            let server = Server::new(&[2; 32], "user1", &salt, &v, hashing, &client.public()).unwrap();
            let (own, servers) = client.prove("user1", password, &server.public()).unwrap();
            assert_eq!(server.verify(&own).is_some_and(|proof| proof == servers), right);
        }
        // What lets a peer know the key without the password.
        for forged in [&[][..], &[0; 256], &[1; 257]] {
            assert!(Server::new(&[2; 32], "user1", &salt, &v, hashing, forged).is_none());
            assert!(Client::new(&[1; 32], &salt, hashing).prove("user1", "pass1", forged).is_none());
        }
    }
}

/// A client and a server; `lose` of 256 messages are lost.
fn exchange(password: &str, verifiers: Verifiers, lose: u8) -> (Eap, Eap) {
    let mut now = start();
    let mut client = Eap::new(now, Part::Client(credentials(password)), [3; 32]);
    let mut server = Eap::new(now, Part::Server(verifiers), [4; 32]);
    let mut dice = Seed::new(1);
    let mut comes = || dice.next() as u8 >= lose;
    for _ in 0..1200 {
        now += Duration::from_millis(50);
        client.timeout(now);
        server.timeout(now);
        while let Some(frame) = client.poll() {
            if comes() {
                server.receive(now, &frame, || true);
            }
        }
        while let Some(frame) = server.poll() {
            if comes() {
                client.receive(now, &frame, || true);
            }
        }
    }
    (client, server)
}

#[test]
fn who_knows_the_password_is_let_in_whatever_is_lost() {
    let made = Verifiers::of(&credentials("pass1"), [9; 32]);
    for verifiers in [Verifiers::parse(LINE).unwrap(), made] {
        for lose in [0, 64, 128] {
            let (client, server) = exchange("pass1", verifiers.clone(), lose);
            assert!(client.is_authenticated() && server.is_authenticated(), "{lose}: {client:?} {server:?}");
        }
        let (client, server) = exchange("pass2", verifiers, 0);
        assert!(!client.is_authenticated() && !server.is_authenticated());
    }
}

#[test]
fn an_unknown_user_is_refused_and_noise_does_nothing() {
    let others = Verifiers::of(&Credentials::new("user2", "pass1").unwrap(), [9; 32]);
    let (mut client, mut server) = exchange("pass1", others, 0);
    assert!(!client.is_authenticated() && !server.is_authenticated());
    let now = start();
    for len in 0..64 {
        for first in [0u8, 1, 2, 3, 4, 19, 255] {
            let frame: Vec<u8> = (0..len).map(|i| if i < 2 { first } else { i ^ first }).collect();
            client.receive(now, &frame, || true);
            server.receive(now, &frame, || true);
        }
    }
    assert!(!client.is_authenticated() && !server.is_authenticated());
}

/// What came too soon is neither answered nor held against who sent it; who is in is not a stranger.
#[test]
fn who_comes_while_there_is_no_time_is_let_in_later() {
    let mut now = start();
    let verifiers = Verifiers::of(&credentials("pass1"), [9; 32]);
    let mut client = Eap::new(now, Part::Client(credentials("pass1")), [3; 32]);
    let mut server = Eap::new(now, Part::Server(verifiers), [4; 32]);
    let mut pass = |client: &mut Eap, server: &mut Eap, seconds: u64, may_work: bool| {
        let mut refused = 0;
        for _ in 0..seconds * 20 {
            now += Duration::from_millis(50);
            client.timeout(now);
            server.timeout(now);
            while let Some(frame) = client.poll() {
                server.receive(now, &frame, || may_work);
            }
            while let Some(frame) = server.poll() {
                refused += usize::from(frame[4] == 4);
                client.receive(now, &frame, || true);
            }
        }
        refused
    };
    assert_eq!(pass(&mut client, &mut server, 20, false), 0);
    assert!(!server.is_authenticated());
    pass(&mut client, &mut server, 5, true);
    assert!(client.is_authenticated() && server.is_authenticated());
    // Another client at the same address, as after a restart.
    let mut again = Eap::new(start(), Part::Client(credentials("pass1")), [5; 32]);
    pass(&mut again, &mut server, 5, false);
    assert!(again.is_authenticated() && server.is_authenticated());
}

/// Nobody who only knows the address makes a client fail.
#[test]
fn a_failure_nobody_waits_for_changes_nothing() {
    let (mut client, _) = exchange("pass1", Verifiers::of(&credentials("pass1"), [9; 32]), 0);
    for identifier in 0..=255 {
        client.receive(start(), &[3, 0, 0, 4, 4, identifier, 0, 4], || true);
    }
    assert!(client.is_authenticated());
    let mut client = Eap::new(start(), Part::Client(credentials("pass1")), [3; 32]);
    client.receive(start(), &[3, 0, 0, 5, 1, 7, 0, 5, 1], || true);
    let due = client.due();
    client.receive(start(), &[3, 0, 0, 4, 4, 6, 0, 4], || true);
    assert_eq!(client.due(), due, "of another question");
    client.receive(start(), &[3, 0, 0, 4, 4, 7, 0, 4], || true);
    assert_ne!(client.due(), due);
}
