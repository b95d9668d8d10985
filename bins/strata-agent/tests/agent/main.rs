//! The real program: its command line, and its life under a scripted control plane.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_types, reason = "tests talk to the program over real sockets on loopback")]

mod command_line;
mod commands;
mod links;
mod namespaces;
mod plane;
mod process;
mod secret;
mod session;
mod stream;
mod updates;

use std::time::Duration;

/// The whole of a test, on one thread and with an end.
fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(60), test).await.expect("the test took more than 60 s");
    });
}
