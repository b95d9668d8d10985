//! The elements with other implementations: librist's `ristreceiver` takes what `stratasink` sends, and `stratasrc` what
//! GStreamer's `ristsink` sends.

use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use tempfile::NamedTempFile;
use tokio::process::Command;
use tokio::time::timeout;

use super::{INPUT, feed, links};
use crate::kernel::bound;
use crate::pipeline::Pipeline;
use crate::rig::{LATENCY, PATIENCE, link, own, sink};
use crate::stream::Check;

const LENGTH: Duration = Duration::from_secs(3);

#[tokio::test]
async fn librist_receives_what_stratasink_sends() {
    let (receiver, latency) = (own(63, 1, 5000), LATENCY.as_millis());
    let output = sink(own(63, 2, 6000)).await;
    let (relay, remote) = link(0, receiver);
    let url = |to: String| format!("rist://{to}?buffer={latency}&secret=correct-horse&aes-type=256");
    let mut librist = Command::new("ristreceiver");
    let udp = format!("udp://{}", output.local_addr().unwrap());
    librist.args(["-p", "1", "-S", "0", "-v", "4", "-b", &latency.to_string()]);
    librist.args(["-i", &url(format!("@{receiver}")), "-o", &udp]).stdin(Stdio::null()).kill_on_drop(true);
    let _librist =
        librist.spawn().unwrap_or_else(|e| panic!("ristreceiver: {e}; `make setup` installs rist-tools"));
    bound(receiver).await;
    let pipeline = Pipeline::start(&format!("{INPUT} ! stratasink uri=\"{}\"", url(remote.to_string())));
    let checking = async {
        let mut check = Check::new(LENGTH);
        let mut buffer = [0; 2048];
        loop {
            let len = output.recv(&mut buffer).await.unwrap();
            if check.take(&buffer[..len]) {
                return;
            }
        }
    };
    timeout(PATIENCE, async { tokio::join!(checking, feed(&pipeline, LENGTH)) }).await.unwrap();
    assert!(relay.stats().up.lost > 0, "the link loses: {:?}", relay.stats());
}

#[tokio::test]
async fn stratasrc_receives_what_ristsink_sends() {
    let port = own(64, 1, 5000);
    let latency = LATENCY.as_millis();
    let receiving = Pipeline::start(&format!(
        "stratasrc uri=rist://@{port}?buffer={latency} ! appsink name=out sync=false"
    ));
    let mut output = receiving.output("out");
    let (relay, remote) = link(0, port);
    let sending = Pipeline::start(&format!(
        "{INPUT} ! rtpmp2tpay mtu=1328 ! ristsink address={} port={} sender-buffer={}",
        remote.ip(),
        remote.port(),
        2 * latency,
    ));
    let checking = async {
        let mut check = Check::new(LENGTH);
        while !check.take(&output.recv().await.unwrap()) {}
    };
    timeout(PATIENCE, async { tokio::join!(checking, feed(&sending, LENGTH)) }).await.unwrap();
    assert!(relay.stats().up.lost > 0, "the link loses: {:?}", relay.stats());
}

/// A sink that waits to be called lets in who knows a password of its file, and nobody else.
#[tokio::test]
async fn who_calls_stratasink_shows_a_password() {
    let (port, latency) = (own(76, 1, 5000), LATENCY.as_millis());
    let mut users = NamedTempFile::new().unwrap();
    let verifier = std::process::Command::new("ristsrppasswd").args(["anna", "correct-horse"]).output();
    users.write_all(&verifier.expect("ristsrppasswd; `make setup` installs rist-tools").stdout).unwrap();
    let path = users.path().display();
    let sending = Pipeline::start(&format!(
        "{INPUT} ! stratasink uri=rist://@{port}?buffer={latency} users-file={path}"
    ));
    let call = |password: &str| {
        format!(
            "stratasrc name=src uri=\"rist://{port}?buffer={latency}&username=anna&password={password}\" \
             ! appsink name=out sync=false"
        )
    };
    let stranger = Pipeline::start(&call("wrong-horse"));
    let receiving = Pipeline::start(&call("correct-horse"));
    let mut output = receiving.output("out");
    let checking = async {
        let mut check = Check::new(LENGTH);
        while !check.take(&output.recv().await.unwrap()) {}
    };
    timeout(PATIENCE, async { tokio::join!(checking, feed(&sending, LENGTH)) }).await.unwrap();
    let stats: gst::Structure = stranger.element::<gst::Element>("src").property("stats");
    assert_eq!(links(&stats)[0].get::<u64>("packets"), Ok(0), "{stats:?}");
}
