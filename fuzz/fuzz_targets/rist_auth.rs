//! Authentication at both ends, under any sequence of messages: what a stranger makes up, what a client with another
//! password says, changed and repeated, time. A server never lets media in, a client never lets any out, and each
//! datagram has at most a few answers.
#![no_main]
#![expect(clippy::disallowed_methods, reason = "any instant will do")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use strata_media::rist::auth::{Auth, Credentials, Verifiers};
use strata_media::rist::rtp::Header;
use strata_media::rist::tunnel::{
    Config, Input, Listener, ListenerInput, ListenerOutput, Output, Role, Session,
};

const AUTHENTICATION: [u8; 4] = [0, 0, 0x88, 0x8e];

fn credentials(password: &str) -> Credentials {
    Credentials::new("field", password).expect("a name and a password")
}

fn config(auth: Auth) -> Config {
    let mut config = Config::new(None);
    config.auth = Some(auth);
    config
}

fuzz_target!(|data: &[u8]| {
    let mut code = data;
    let mut take = |len: usize| {
        let (head, tail) = code.split_at(len.min(code.len()));
        code = tail;
        head
    };
    let mut now = Instant::now();
    let users = Verifiers::of(&credentials("right"), [1; 32]);
    let mut server = Listener::new(now, config(Auth::server(users, [2; 32])), 32, 1);
    let mut client = Session::new(now, &config(Auth::client(credentials("wrong"), [3; 32])), Role::Client, 2);
    let from = SocketAddr::from(([10, 0, 0, 1], 6000));
    let header = Header { marker: false, payload_type: 33, sequence: 1, timestamp: 1, ssrc: 4 }.encode();
    // Its greetings.
    while !matches!(client.poll_output(), Output::Timeout(_)) {}
    // The last thing each end said.
    let (mut said, mut heard) = (Vec::new(), Vec::new());
    while let &[op, value] = take(2) {
        let mut datagram = match op % 6 {
            0 => {
                now += Duration::from_millis(u64::from(value) * 8);
                continue;
            }
            1 => [&AUTHENTICATION[..], take(value.into())].concat(),
            2 => heard.clone(),
            3 => said.clone(),
            4 => [&[0, 0, 0x88, 0xb6, 0, 0, 0, 0][..], &header, take(value.into())].concat(),
            // An exchange: the one answers the other.
            _ => {
                if value & 1 == 0 {
                    said.clone()
                } else {
                    heard.clone()
                }
            }
        };
        if let Some(byte) = datagram.get_mut(4 + usize::from(value)).filter(|_| op & 0x80 != 0) {
            *byte ^= 1 << (op >> 4 & 7);
        }
        let mut answers = 0;
        if op & 0x40 == 0 {
            let data = BytesMut::from(&datagram[..]);
            server.handle_input(now, ListenerInput::Datagram { link: 0, from, data });
            server.handle_input(now, ListenerInput::Timeout);
            loop {
                match server.poll_output() {
                    ListenerOutput::Timeout(_) => break,
                    ListenerOutput::Transmit { data, .. } => {
                        answers += 1;
                        said = data;
                    }
                    output => panic!("{output:?} without the password"),
                }
            }
        } else {
            client.handle_input(now, Input::Datagram(BytesMut::from(&datagram[..])));
            client.handle_input(now, Input::Timeout);
            loop {
                match client.poll_output() {
                    Output::Timeout(_) => break,
                    Output::Transmit(data) => {
                        answers += 1;
                        heard = data;
                    }
                    Output::Closed => break,
                    output => panic!("{output:?} from a server that is not known"),
                }
            }
            let mut out = Vec::new();
            client.rtp(&header, 0, b"media", &mut out);
            assert!(out.is_empty(), "media for a server that is not known");
        }
        assert!(answers <= 4, "{answers} answers to a datagram");
    }
});
