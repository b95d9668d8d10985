//! `stratasink` and `stratasrc`: pictures through bad links, other implementations as their peers, changes while they run,
//! and what they tell.

mod faults;
mod live;
mod peers;
mod pictures;
mod queries;
mod wire;

use std::net::SocketAddr;
use std::time::Duration;

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app::AppSrc;
use tokio::sync::mpsc;
use tokio::time::{interval, timeout};

use crate::pipeline::Pipeline;
use crate::rig::PATIENCE;
use crate::stream::{TICK, stream};

/// `appsrc` with the caps of a transport stream, a buffer for each datagram.
const INPUT: &str = "appsrc name=in is-live=true do-timestamp=true format=time \
                     caps=video/mpegts,packetsize=188,systemstream=true ! queue max-size-time=0 max-size-buffers=0 \
                     max-size-bytes=0";

/// Gives a pipeline that begins with [`INPUT`] a stream of 4.2 Mbit/s.
async fn feed(pipeline: &Pipeline, length: Duration) {
    let input: AppSrc = pipeline.element("in");
    stream(length, &[], async |payload| {
        input.push_buffer(gst::Buffer::from_slice(payload)).unwrap();
    })
    .await;
}

/// Returns once it is so.
async fn until(is_so: impl Fn() -> bool) {
    let mut timer = interval(TICK);
    while !is_so() {
        timer.tick().await;
    }
}

/// URLs of a sender, joined.
fn to(addrs: &[SocketAddr]) -> String {
    addrs.iter().map(|addr| format!("rist://{addr}")).collect::<Vec<_>>().join(",")
}

/// URLs of a receiver, joined.
fn at(addrs: &[SocketAddr]) -> String {
    addrs.iter().map(|addr| format!("rist://@{addr}")).collect::<Vec<_>>().join(",")
}

/// The messages of a pipeline's bus, but for those that nobody waits for.
struct Messages(mpsc::UnboundedReceiver<gst::Message>);

impl Messages {
    /// Takes those that come from now on.
    fn of(pipeline: &gst::Pipeline) -> Self {
        let (sender, receiver) = mpsc::unbounded_channel();
        pipeline.bus().unwrap().set_sync_handler(move |_, message| {
            let _ = sender.send(message.clone());
            gst::BusSyncReply::Drop
        });
        Self(receiver)
    }

    /// Waits for the first that `find` finds something in.
    async fn find<T>(&mut self, find: impl Fn(&gst::Message) -> Option<T>) -> T {
        let search = async {
            loop {
                let message = self.0.recv().await.unwrap();
                if let Some(found) = find(&message) {
                    return found;
                }
                let gst::MessageView::Error(error) = message.view() else { continue };
                panic!("{} ({:?})", error.error(), error.debug());
            }
        };
        timeout(PATIENCE, search).await.unwrap()
    }

    /// Waits for the end. Those that came later would keep the elements that they are of.
    async fn eos(mut self) {
        self.find(|message| matches!(message.view(), gst::MessageView::Eos(_)).then_some(())).await;
    }

    async fn warning(&mut self) -> String {
        let text = |message: &gst::Message| match message.view() {
            gst::MessageView::Warning(warning) => Some(warning.error().message().to_owned()),
            _ => None,
        };
        self.find(text).await
    }

    /// The first statistics that `find` finds something in.
    async fn stats<T>(&mut self, find: impl Fn(&gst::StructureRef) -> Option<T>) -> T {
        let stats =
            |message: &gst::Message| find(message.structure().filter(|it| it.name() == "strata-stats")?);
        self.find(stats).await
    }
}

/// The statistics of links.
fn links(stats: &gst::StructureRef) -> Vec<gst::Structure> {
    let links = stats.get::<gst::Array>("links").unwrap();
    links.iter().map(|link| link.get().unwrap()).collect()
}
