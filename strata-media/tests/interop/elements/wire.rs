//! What properties of `stratasink` make of a packet on the wire.

use gstreamer as gst;
use gstreamer_app::AppSrc;
use strata_media::rist::extension::Extension;
use strata_media::rist::gre::{Header, Mode, Payload};
use tokio::time::timeout;

use super::INPUT;
use crate::pipeline::Pipeline;
use crate::rig::{PATIENCE, own, sink};

/// A packet of a transport stream, and a null packet.
fn payload() -> Vec<u8> {
    let mut payload = vec![0x47, 1, 0, 0x10];
    payload.resize(188, 1);
    payload.extend([0x47, 0x1f, 0xff, 0x10]);
    payload.resize(2 * 188, 0xff);
    payload
}

/// The first packet of media that a sink with these properties sends.
async fn sent(test: u8, properties: &str) -> (Mode, Option<Extension>) {
    let to = sink(own(test, 1, 5000)).await;
    let uri = format!("rist://{}", to.local_addr().unwrap());
    let pipeline = Pipeline::start(&format!("{INPUT} ! stratasink uri={uri} profile=main {properties}"));
    let input: AppSrc = pipeline.element("in");
    input.push_buffer(gst::Buffer::from_slice(payload())).unwrap();
    let mut buffer = [0; 2048];
    let found = async {
        loop {
            let len = to.recv(&mut buffer).await.unwrap();
            let (header, start) = Header::decode(&buffer[..len]).unwrap();
            let plain = &buffer[start..len];
            // Keep-alive messages and reports are sent too; a report's payload type is no media's.
            if let Ok(Payload::Datagram { mode, data, .. }) = Payload::decode(header.ether_type, plain)
                && plain[data.start + 1] & 0x7f == 33
            {
                return (mode, Extension::find(&plain[data]));
            }
        }
    };
    timeout(PATIENCE, found).await.unwrap()
}

#[tokio::test]
async fn what_only_the_main_profile_has_is_set_by_properties() {
    assert_eq!(sent(78, "").await, (Mode::Reduced, None));
    let (mode, extension) =
        sent(79, "null-packet-deletion=true sequence-extension=true full-datagrams=true").await;
    let extension = extension.unwrap();
    let nulls = extension.nulls.unwrap();
    assert_eq!((mode, nulls.packets, nulls.removed), (Mode::Full, 2, 0b010_0000));
    assert!(extension.sequence.is_some());
}
