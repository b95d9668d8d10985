//! Programs at work.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::common::strata;

/// A process; killed when dropped, so that none outlives a test that fails.
pub(crate) struct Running(pub(crate) Child);

impl Running {
    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().try_into().unwrap()), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program at work, and what it tells of it.
pub(crate) struct Program {
    child: Running,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    pub(crate) last: Value,
}

impl Program {
    /// Starts it with statistics on standard output, and waits for the first of them: it is at work then.
    pub(crate) fn start(args: &[&str]) -> Self {
        let mut command = strata();
        command.args(args);
        Self::run(command)
    }

    /// The same, of a command that says so.
    pub(crate) fn run(mut command: Command) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = Running(command.spawn().unwrap());
        let lines = BufReader::new(child.0.stdout.take().unwrap()).lines();
        let mut program = Self { child, lines, last: Value::Null };
        program.next();
        program
    }

    /// The next line of statistics.
    pub(crate) fn next(&mut self) -> &Value {
        let line = self.lines.next().expect("it goes on").unwrap();
        self.last = serde_json::from_str(&line).unwrap();
        &self.last
    }

    /// Waits for statistics of which something holds.
    pub(crate) fn until(&mut self, holds: impl Fn(&Value) -> bool) -> &Value {
        while !holds(&self.last) {
            self.next();
        }
        &self.last
    }

    /// Ends it as a terminal or a supervisor does, and reads it to its end: the last statistics.
    pub(crate) fn end(mut self, signal: Signal) -> Value {
        self.child.signal(signal);
        for line in self.lines.by_ref() {
            self.last = serde_json::from_str(&line.unwrap()).unwrap();
        }
        assert_eq!(self.child.0.wait().unwrap().code(), Some(0));
        std::mem::take(&mut self.last)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.0.id()
    }

    pub(crate) fn addr(&self, pointer: &str) -> SocketAddr {
        self.last.pointer(pointer).unwrap().as_str().unwrap().parse().unwrap()
    }
}

pub(crate) fn number(stats: &Value, pointer: &str) -> u64 {
    stats.pointer(pointer).unwrap_or_else(|| panic!("{pointer}: {stats}")).as_u64().unwrap()
}
