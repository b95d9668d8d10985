//! Machines under any sequence of operations, which bytes stand for: what the fuzz targets `rist_` and the name of a file here try for
//! long, and the tests of this folder for a moment.
#![allow(dead_code, unreachable_pub, clippy::allow_attributes, reason = "each fuzz target uses its part")]

pub mod client;
pub mod host;
pub mod links;
pub mod receiver;
pub mod sender;
pub mod streams;
pub mod tunnel;

use std::time::Instant;

use strata_media::rist::psk::Passphrase;
use strata_media::rist::tunnel::{Config, Psk, Role, Session};

/// A tunnel with a key, or in clear, as `mode` has it, and two who call by one: with what it takes, and with another key.
fn callers(now: Instant, mode: u8) -> (Config, [Session; 2]) {
    let keyed = |secret| Config::new(Some(Psk::new(Passphrase::new(secret).expect("a passphrase"))));
    let own = if mode & 1 == 0 { Config::default() } else { keyed("secret") };
    let sessions =
        [Session::new(now, &own, Role::Client, 2), Session::new(now, &keyed("other"), Role::Client, 3)];
    (own, sessions)
}

/// Bytes, read one after another; zeros when there are no more.
struct Bytecode<'a>(&'a [u8]);

impl<'a> Bytecode<'a> {
    fn take(&mut self, len: usize) -> &'a [u8] {
        let (head, tail) = self.0.split_at(len.min(self.0.len()));
        self.0 = tail;
        head
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or(0)
    }

    fn half(&mut self) -> u16 {
        u16::from(self.byte()) << 8 | u16::from(self.byte())
    }

    fn word(&mut self) -> u32 {
        u32::from(self.half()) << 16 | u32::from(self.half())
    }
}
