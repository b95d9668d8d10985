//! Changes of a running stream: all of one or nothing.

use std::time::Duration;

use strata_media::net::{LinkConfig, NetError, SenderConfig, SenderUpdate};
use strata_media::pipeline::{
    Encoder, EncoderUpdate, EndReason, PipelineError, SendEvent, SendHandle, Source, send,
};

use crate::rig::config;

/// What is asked of the encoder, as the next statistics say.
async fn target(handle: &mut SendHandle) -> u32 {
    loop {
        if let SendEvent::Stats(stats) = handle.event().await.unwrap() {
            return stats.target_kbps;
        }
    }
}

fn bitrate(kbps: u32) -> EncoderUpdate {
    EncoderUpdate { bitrate_kbps: Some(kbps), ..EncoderUpdate::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_bond_refuses_is_answered_and_leaves_the_bitrate() {
    let link = |port| LinkConfig::new(0, ([127, 91, 0, 2], port).into());
    let mut bond = SenderConfig::new(vec![link(15_000)]);
    bond.latency = Duration::from_millis(100);
    let mut source = config(Source::Test);
    source.encoder = Encoder { bitrate_kbps: 500, adaptive: false, ..Encoder::default() };
    let (mut handle, driver) = send(source, bond).unwrap();
    let driver = tokio::spawn(driver.run());
    let to = |port| SenderUpdate { links: vec![link(port)], ..SenderUpdate::default() };
    let refused = handle.update(to(15_001), bitrate(900)).await.unwrap_err();
    assert!(
        matches!(&refused, PipelineError::Net(NetError::Config { field, .. }) if field == "links[0].remote"),
        "{refused:?}"
    );
    let refused = handle.update(to(15_002), bitrate(49)).await.unwrap_err();
    assert!(matches!(refused, PipelineError::Config { field: "encoder.bitrate_kbps", .. }), "{refused:?}");
    let floor = EncoderUpdate { min_bitrate_kbps: Some(501), ..EncoderUpdate::default() };
    let refused = handle.update(to(15_002), floor).await.unwrap_err();
    assert!(
        matches!(refused, PipelineError::Config { field: "encoder.min_bitrate_kbps", .. }),
        "{refused:?}"
    );
    // Two of them: the first may be of the time before.
    target(&mut handle).await;
    assert_eq!(target(&mut handle).await, 500);
    handle.update(to(15_002), bitrate(400)).await.unwrap();
    while target(&mut handle).await != 400 {}
    handle.update(to(15_004), EncoderUpdate::default()).await.unwrap();
    handle.stop().unwrap();
    assert_eq!(driver.await.unwrap().reason, EndReason::Stopped);
    let late = handle.update(to(15_006), EncoderUpdate::default()).await.unwrap_err();
    assert!(matches!(late, PipelineError::Closed), "{late:?}");
}
