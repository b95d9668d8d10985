//! Network namespaces: a device whose interfaces can be plugged and unplugged, and a receiver at the other end of them.

use std::net::SocketAddr;
use std::process::Command;
use std::sync::mpsc;
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use nix::unistd::{Pid, Uid, gettid};
use strata_media::net::{self, ReceiverMonitor};

/// Runs the test of this name again in a network namespace of its own, as the root of a user namespace unless it is root; whether
/// this is that run.
pub(crate) fn own_network(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        ip(&["link", "set", "lo", "up"]);
        return true;
    }
    let mut command = Command::new("unshare");
    if !Uid::effective().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command.arg("--net").arg(std::env::current_exe().unwrap()).args(["--exact", test, "--nocapture"]);
    let status = command.env(INSIDE, "1").status().expect("unshare of util-linux");
    assert!(status.success(), "{test} in a network namespace of its own: {status}");
    false
}

/// A receiver in a further namespace.
pub(crate) struct Far {
    thread: Pid,
    pub(crate) monitor: ReceiverMonitor,
}

impl Far {
    /// Starts a receiver with so many ports; nothing leads there yet.
    pub(crate) fn start(ports: usize, latency: Duration) -> Self {
        let (sender, started) = mpsc::channel();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut config = net::ReceiverConfig::new(vec![([0; 4], 0).into(); ports]);
                config.latency = latency;
                let (mut received, driver) = net::receiver(config).unwrap();
                sender.send((gettid(), received.monitor())).unwrap();
                let take = async { while received.recv().await.is_some() {} };
                tokio::join!(driver.run(), take).0.unwrap();
            });
        });
        let (thread, monitor) = started.recv().unwrap();
        Self { thread, monitor }
    }

    /// Where link `link` leads, once it is plugged in.
    pub(crate) fn addr(&self, link: u8) -> SocketAddr {
        ([10, 9, link, 254], self.monitor.local_addrs()[usize::from(link)].port()).into()
    }

    /// Makes interface `near{link}` with the address `10.9.{link}.{host}`, which leads here.
    pub(crate) fn plug(&self, link: u8, host: u8) {
        let (near, far) = (format!("near{link}"), format!("far{link}"));
        ip(&["link", "add", &near, "type", "veth", "peer", "name", &far]);
        ip(&["link", "set", &far, "netns", &self.thread.to_string()]);
        let namespace = format!("--net=/proc/{}/ns/net", self.thread);
        let inside = |args: &[&str]| done(Command::new("nsenter").arg(&namespace).arg("ip").args(args));
        inside(&["addr", "add", &format!("10.9.{link}.254/24"), "dev", &far]);
        inside(&["link", "set", &far, "up"]);
        readdress(link, host);
        ip(&["link", "set", &near, "up"]);
    }
}

/// Gives interface `near{link}` the address `10.9.{link}.{host}`, beside those it has.
pub(crate) fn readdress(link: u8, host: u8) {
    address("add", link, host);
}

/// Takes this address from interface `near{link}`, which stays up.
pub(crate) fn unaddress(link: u8, host: u8) {
    address("del", link, host);
}

fn address(action: &str, link: u8, host: u8) {
    ip(&["addr", action, &format!("10.9.{link}.{host}/24"), "dev", &format!("near{link}")]);
}

/// Takes interface `near{link}` away.
pub(crate) fn unplug(link: u8) {
    ip(&["link", "del", &format!("near{link}")]);
}

fn ip(args: &[&str]) {
    done(Command::new("ip").args(args));
}

fn done(command: &mut Command) {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

const INSIDE: &str = "STRATA_TEST_OWN_NETWORK";
