//! Network namespaces of tests' own.

use std::process::Command;

use nix::unistd::Uid;

const INSIDE: &str = "STRATA_TEST_OWN_NETWORK";

/// Whether this is the run of a test in a network namespace of its own; if not, runs it so, as the root of a user namespace unless it is
/// root.
pub(crate) fn own_network(test: &str) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        run("ip link set lo up multicast on");
        run("ip route add 239.0.0.0/8 dev lo");
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

/// Runs a program of iproute2.
pub(crate) fn run(command: &str) {
    let mut words = command.split(' ');
    let done = Command::new(words.next().unwrap()).args(words).status().expect("a program of iproute2");
    assert!(done.success(), "{command}: {done}");
}
