//! Pictures through two bad links: what is decoded at one end is what was encoded at the other.

use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::{Messages, at, to};
use crate::pipeline::Pipeline;
use crate::rig::{LATENCY, PATIENCE, link, own};

/// Three seconds.
const PICTURES: usize = 75;
/// A decoder's own pictures have margins with anything in them.
const DECODE: &str = "tsdemux ! h264parse ! avdec_h264 max-threads=1 ! videoconvert ! video/x-raw,format=RGB \
                      ! appsink name=pictures sync=false async=false";

/// What a transport stream decodes to.
async fn decoded(stream: &[Bytes], dir: &std::path::Path) -> Vec<Bytes> {
    let file = dir.join("sent.ts");
    std::fs::write(&file, stream.concat()).unwrap();
    let location = file.display();
    let pipeline = Pipeline::new(&format!("filesrc location={location} ! {DECODE}"));
    let (pictures, messages) = (pipeline.output("pictures"), Messages::of(&pipeline.0));
    pipeline.0.set_state(gst::State::Playing).unwrap();
    messages.eos().await;
    drop(pipeline);
    all(pictures).await
}

async fn all(mut output: UnboundedReceiver<Bytes>) -> Vec<Bytes> {
    let mut taken = Vec::new();
    while let Some(next) = output.recv().await {
        taken.push(next);
    }
    taken
}

#[tokio::test]
async fn what_is_decoded_is_what_was_encoded() {
    let ports = [own(61, 1, 5000), own(61, 1, 5002)];
    let (relays, remotes): (Vec<_>, Vec<_>) = (0..).zip(ports).map(|(index, to)| link(index, to)).unzip();
    let latency = LATENCY.as_millis();
    let receiving = Pipeline::start(&format!(
        "stratasrc name=src uri={} latency={latency} ! tee name=tee
         tee. ! queue ! appsink name=stream sync=false async=false
         tee. ! queue ! {DECODE}",
        at(&ports),
    ));
    let (mut stream, pictures) = (receiving.output("stream"), receiving.output("pictures"));
    let sending = Pipeline::new(&format!(
        "videotestsrc is-live=true num-buffers={PICTURES} pattern=zone-plate kx2=8 ky2=8 kt=4
         ! video/x-raw,format=I420,width=320,height=240,framerate=25/1
         ! x264enc tune=zerolatency speed-preset=superfast key-int-max=25 bitrate=1000
         ! mpegtsmux ! tee name=tee
         tee. ! queue ! appsink name=stream sync=false async=false
         tee. ! queue ! stratasink uri={} latency={latency}",
        to(&remotes),
    ));
    let (sent, messages) = (sending.output("stream"), Messages::of(&sending.0));
    sending.0.set_state(gst::State::Playing).unwrap();
    // What is lost at the end is sent again before the stream is over.
    messages.eos().await;
    drop(sending);
    let sent = all(sent).await;
    let length: usize = sent.iter().map(Bytes::len).sum();

    let mut received = Vec::new();
    while received.len() < length {
        received.extend(timeout(PATIENCE, stream.recv()).await.unwrap().unwrap());
    }
    assert!(received == sent.concat());
    let messages = Messages::of(&receiving.0);
    receiving.0.send_event(gst::event::Eos::new());
    messages.eos().await;
    drop(receiving);
    let (pictures, dir) = (all(pictures).await, tempfile::tempdir().unwrap());
    assert_eq!(pictures.len(), PICTURES);
    let expected = decoded(&sent, dir.path()).await;
    let differ = pictures.iter().zip(&expected).position(|(a, b)| a != b);
    assert_eq!((differ, expected.len()), (None, PICTURES));
    for relay in relays {
        assert!(relay.stats().up.lost > 0, "the link loses: {:?}", relay.stats());
    }
}
