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
    let mut client = Eap::new(now, Part::Client(credentials(password)), [3; 32], [0; 32]);
    let mut server = Eap::new(now, Part::Server(verifiers), [4; 32], [0; 32]);
    let mut dice = Seed::from(1);
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

/// What a server says to one that gives a name, a key and no proof; the salt, and the rest without what is random.
fn said(server: &mut Eap, name: &str) -> (Vec<u8>, Vec<Vec<u8>>) {
    let (now, mut salt, mut kinds) = (start(), Vec::new(), Vec::new());
    server.receive(now, &[3, 1, 0, 0], || true);
    let mut identifier = server.poll().unwrap()[5];
    let key = [&[19, 1][..], &[2; 256]].concat();
    for body in [[&[1], name.as_bytes()].concat(), key, [&[19, 2][..], &[0; 36]].concat()] {
        let len = (body.len() as u16 + 4).to_be_bytes();
        let header = [3, 0, len[0], len[1], 2, identifier, len[0], len[1]];
        server.receive(now, &[&header[..], &body].concat(), || true);
        let frame = server.poll().unwrap();
        if frame[8..].starts_with(&[19, 1]) {
            salt = frame[14..frame.len() - 2].to_vec();
        }
        // The version, the code, and the types.
        kinds.push([frame[0], frame[4]].into_iter().chain(frame[8..].iter().copied().take(2)).collect());
        identifier = frame[5];
    }
    (salt, kinds)
}

/// Who is not known is asked as others are, and fails as with a wrong password.
#[test]
fn nobody_learns_who_is_known() {
    for verifiers in [Verifiers::parse(LINE).unwrap(), Verifiers::of(&credentials("pass1"), [9; 32])] {
        let auth = Auth::server(verifiers.clone(), [1; 32]);
        let ask = |auth: &Auth, number, name| said(&mut auth.exchange(start(), number), name);
        let (known, unknown) = (ask(&auth, 1, "user1"), ask(&auth, 2, "user2"));
        assert_eq!((known.0.len(), &known.1), (unknown.0.len(), &unknown.1));
        assert_eq!(unknown.1.last().unwrap()[1], 4, "a failure");
        // By any session the same; another one for another name, and of another server.
        assert_eq!(ask(&auth, 3, "user2"), unknown);
        assert_ne!(ask(&auth, 3, "user3").0, unknown.0);
        assert_ne!(ask(&Auth::server(verifiers, [2; 32]), 2, "user2").0, unknown.0);
    }
}

/// What came too soon is neither answered nor held against who sent it; who is in is not a stranger.
#[test]
fn who_comes_while_there_is_no_time_is_let_in_later() {
    let mut now = start();
    let verifiers = Verifiers::of(&credentials("pass1"), [9; 32]);
    let mut client = Eap::new(now, Part::Client(credentials("pass1")), [3; 32], [0; 32]);
    let mut server = Eap::new(now, Part::Server(verifiers), [4; 32], [0; 32]);
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
    let mut again = Eap::new(start(), Part::Client(credentials("pass1")), [5; 32], [0; 32]);
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
    let mut client = Eap::new(start(), Part::Client(credentials("pass1")), [3; 32], [0; 32]);
    client.receive(start(), &[3, 0, 0, 5, 1, 7, 0, 5, 1], || true);
    let due = client.due();
    client.receive(start(), &[3, 0, 0, 4, 4, 6, 0, 4], || true);
    assert_eq!(client.due(), due, "of another question");
    client.receive(start(), &[3, 0, 0, 4, 4, 7, 0, 4], || true);
    assert_ne!(client.due(), due);
}

/// The client of librist 0.2.7: it says every 3 s, once, that it wants to show its password again, and 1.5 s later it has
/// forgotten that it was let in.
#[test]
fn who_forgets_that_he_was_let_in_is_asked_before() {
    let limit = Duration::from_millis(4500);
    for (lose, says_so) in [(0, false), (5, false), (5, true), (13, true)] {
        let mut now = start();
        let mut client = Eap::new(now, Part::Client(credentials("pass1")), [3; 32], [0; 32]);
        let mut server = Eap::new(now, Part::Server(Verifiers::parse(LINE).unwrap()), [4; 32], [0; 32]);
        let mut dice = Seed::from(1);
        let mut comes = || dice.next() as u8 >= lose;
        let (mut shown, mut begun, mut rounds) = (None, false, 0);
        for tick in 0..12_000 {
            now += Duration::from_millis(25);
            let mut said: Vec<_> = std::iter::from_fn(|| client.poll()).collect();
            // It says that it is there when it starts; after that, one time in 3 s.
            said.retain(|frame| frame[1] != 1 || !std::mem::replace(&mut begun, true));
            if says_so && shown.is_some_and(|at| now == at + Duration::from_secs(3)) {
                said.push(vec![2, 1, 0, 0]);
            }
            for frame in said {
                if frame[1] == 0 && frame[4..6] == [2, frame[5]] && frame[8..] == [19, 3] {
                    (shown, rounds) = (Some(now), rounds + 1);
                }
                if comes() {
                    server.receive(now, &frame, || true);
                }
            }
            if tick % 10 == 0 {
                server.timeout(now);
            }
            // It sends other things all the time.
            if !server.is_authenticated() {
                server.challenge(now);
            }
            while let Some(frame) = server.poll() {
                if comes() {
                    client.receive(now, &frame, || true);
                }
            }
            assert!(shown.is_none_or(|at| now < at + limit), "lost {lose}: {rounds} rounds");
        }
        assert!((95..120).contains(&rounds), "{rounds} in 300 s");
    }
}

#[test]
fn who_does_not_forget_is_asked_once() {
    let mut now = start();
    let mut client = Eap::new(now, Part::Client(credentials("pass1")), [3; 32], [0; 32]);
    let mut server =
        Eap::new(now, Part::Server(Verifiers::of(&credentials("pass1"), [9; 32])), [4; 32], [0; 32]);
    server.remembers();
    let mut said = 0;
    for _ in 0..1200 {
        now += Duration::from_millis(50);
        server.timeout(now);
        while let Some(frame) = client.poll() {
            server.receive(now, &frame, || true);
        }
        while let Some(frame) = server.poll() {
            said += 1;
            client.receive(now, &frame, || true);
        }
    }
    assert!(server.is_authenticated() && said < 8, "{said}");
}

/// An answer that crossed a question sent again proves nothing of the one who gave it.
#[test]
fn who_is_in_is_not_put_out_by_one_wrong_answer() {
    let (_, mut server) = exchange("pass1", Verifiers::of(&credentials("pass1"), [9; 32]), 0);
    let mut now = start() + Duration::from_secs(100);
    for wrong in 1..=3 {
        // A start, the name, a key, and what does not prove anything.
        let mut answer = |body: &[u8]| {
            now += Duration::from_secs(2);
            server.timeout(now);
            server.receive(now, &[3, 1, 0, 0], || true);
            let identifier = std::iter::from_fn(|| server.poll()).last().map_or(0, |frame| frame[5]);
            let len = (body.len() as u16 + 4).to_be_bytes();
            let header = [3, 0, len[0], len[1], 2, identifier, len[0], len[1]];
            server.receive(now, &[&header[..], body].concat(), || true);
        };
        answer(b"\x01user1");
        answer(&[&[19, 1][..], &[2; 256]].concat());
        answer(&[19, 2, 0, 0, 0, 0].iter().copied().chain([0; 32]).collect::<Vec<_>>());
        assert_eq!(server.is_authenticated(), wrong < 3, "{wrong}");
    }
}

/// Every number of an exchange with the fixed hashing, as another implementation has it: PyPI's `srp` 1.0.22 with SHA-256, the group of
/// 2048 bits, and numbers hashed without leading zeros, which is its default. Both secrets and the salt are SHA-256 of what they are
/// called; long numbers are told by theirs.
#[test]
fn an_exchange_is_computed_as_others_do() {
    let hash = |data: &[u8]| <[u8; 32]>::try_from(digest(&SHA256, data).as_ref()).unwrap();
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let (name, password, salt) = ("user1", "correct-horse", hash(b"salt"));
    let known = verifier(name, password, &salt, Hashing::Fixed);
    assert_eq!(hex(&hash(&known)), "c5cbaad3e6c4f72deec5b3665cc71d7a9a81e78c27ed8cc2e65e4c76d2024ce3");
    let client = Client::new(&hash(b"a"), &salt, Hashing::Fixed);
    assert_eq!(
        hex(&hash(&client.public())),
        "8ccb5dc4f6a243312ec7f01e86dc0fbf8aec46ae37581224da91035b7fbe8d54"
    );
    let server = Server::new(&hash(b"b"), name, &salt, &known, Hashing::Fixed, &client.public()).unwrap();
    assert_eq!(
        hex(&hash(&server.public())),
        "273a82771989077e4925cc7108acdc84026b2d967c281a6a18240d6dc3ecbb4b"
    );
    let (own, expected) = client.prove(name, password, &server.public()).unwrap();
    assert_eq!(hex(&own), "9aee4d9ff96f42e76fa6b05aca21d8166d561f551e4e2745a0675f088da74bbb");
    assert_eq!(hex(&expected), "8c3c25463d5f152db6342686505b7f05f422023de6a3230bbedeaa347f661eec");
    assert_eq!(server.verify(&own), Some(expected));
}
