//! Each process killed in mid-stream, or asked to end: what the others do, and what becomes of the recording.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strata_e2e::clip::{self, Clip};
use strata_e2e::control::PATIENCE;
use strata_e2e::daemon::runs;
use strata_e2e::recording;
use strata_e2e::stage::{Setup, Stage};
use strata_e2e::wait::eventually;
use strata_proto::control::{EndReason, LiveEvent, Presence, StreamLife, StreamState, StreamView, Topic};
use tokio::time::Instant;

/// A stage with ports for exactly one stream, so that a second one shows whether they are free.
async fn setup() -> Result<Setup> {
    Ok(Setup::new(clip::from_environment(Clip::SMALL).await?))
}

/// What may be missing of the time streamed: the end of the last second, which the encoder still had.
const EDGES: Duration = Duration::from_secs(1);

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn file(stream: &StreamView) -> Result<PathBuf> {
    Ok(stream.recording.clone().context("not recorded")?.into())
}

/// Waits until the recording holds more than it does now: the receiver goes on.
async fn grows(stream: &StreamView) -> Result<()> {
    let file = file(stream)?;
    let size = |file| std::fs::metadata(file).map_or(0, |meta| meta.len());
    let before = size(&file);
    eventually("the recording grows", PATIENCE, async || (size(&file) > before + 100_000).then_some(())).await
}

/// Stops a stream that is live `since` then, and finds its recording whole.
async fn ends_whole(stage: &Stage, stream: &StreamView, since: Instant) -> Result<()> {
    let at_least = since.elapsed().saturating_sub(EDGES);
    let (ended, stats) = stage.stop(stream).await?;
    recording::check(&file(&ended)?, at_least).await?.whole()?;
    assert_eq!(stats.lost_packets, 0);
    Ok(())
}

fn state(event: &LiveEvent) -> Option<&str> {
    (event.event == "stream.state").then_some(())?;
    event.data.get("state")?.as_str()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_control_plane_takes_its_stream_up_again() -> Result<()> {
    let mut stage = Stage::new(setup().await?).await?;
    let (_agent, sender) = stage.device("agent").await?;
    let stream = stage.go_live(&sender.id).await?;
    let live = Instant::now();
    stage.streamed(&stream.id, seconds(3)).await?;
    let receivers = stage.receivers();
    assert_eq!(receivers.len(), 1);

    stage.control.daemon.kill().await?;
    grows(&stream).await?;
    assert_eq!(stage.receivers(), receivers, "the receiver goes on");

    stage.control.start_again().await?;
    stage.rest = stage.control.rest().await?;
    let adopted = stage.state(&stream.id, StreamLife::Live, PATIENCE).await?;
    assert_eq!(adopted.ports, stream.ports);
    assert_eq!(stage.receivers(), receivers, "the same receiver");
    stage.presence(&sender.id, Presence::Online).await?;
    let reports = eventually("the agent reports", PATIENCE, async || {
        let stream = stage.rest.stream(&stream.id).await.ok()?;
        (stream.observed && stream.sender_stats.is_some() && stream.receiver_stats.is_some()).then_some(())
    });
    reports.await?;
    let (_second, other) = stage.device("second").await?;
    let refused = stage.rest.start(&other.id, &stage.broadcast()?).await;
    assert!(refused.is_err(), "the ports of the stream taken up again are not given away");
    ends_whole(&stage, &stream, live).await?;
    stage.done();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_asked_to_end_leaves_its_receivers() -> Result<()> {
    let mut stage = Stage::new(setup().await?).await?;
    let (_agent, sender) = stage.device("agent").await?;
    let stream = stage.go_live(&sender.id).await?;
    let live = Instant::now();
    let receivers = stage.receivers();

    let status = stage.control.daemon.terminate(PATIENCE).await?;
    assert!(status.success(), "{status}");
    assert!(!stage.control.daemon.logged("cut off"), "nothing keeps it from ending in order");
    grows(&stream).await?;
    assert_eq!(stage.receivers(), receivers);

    stage.control.start_again().await?;
    stage.rest = stage.control.rest().await?;
    let adopted = stage.state(&stream.id, StreamLife::Live, PATIENCE).await?;
    assert_eq!(adopted.ports, stream.ports);
    stage.presence(&sender.id, Presence::Online).await?;
    ends_whole(&stage, &stream, live).await?;
    stage.done();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_receiver_is_seen_at_once_and_its_stream_ended() -> Result<()> {
    let stage = Stage::new(setup().await?).await?;
    let (agent, sender) = stage.device("agent").await?;
    let mut events = stage.live(vec![Topic::AllStreams, Topic::AllSenders]).await?;
    let stream = stage.go_live(&sender.id).await?;
    let pipelines = agent.daemon.children();
    assert!(!pipelines.is_empty(), "the agent sends from a child process");

    for pid in stage.receivers() {
        kill(Pid::from_raw(i32::try_from(pid)?), Signal::SIGKILL)?;
    }
    let failed = events.until("the stream failed", seconds(2), |event| {
        (event.topic == Topic::Stream(stream.id.clone()) && state(event) == Some("failed")).then_some(())
    });
    failed.await?;
    let view = stage.rest.stream(&stream.id).await?;
    assert!(view.error.is_some(), "it says why: {view:?}");
    let idle = eventually("the agent stops", PATIENCE, async || {
        let sender = stage.rest.sender(&sender.id).await.ok()?;
        (sender.status?.stream_state == StreamState::Idle && !pipelines.iter().any(|pid| runs(*pid)))
            .then_some(())
    });
    idle.await?;
    let next = stage.go_live(&sender.id).await?;
    assert_eq!(next.ports, stream.ports, "the ports are free again");
    stage.done();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_agent_is_unobserved_then_its_stream_ends_after_its_grace() -> Result<()> {
    let setup = setup().await?.set("streams", "unobserved_grace_s", 4).set("streams", "stopping_grace_s", 4);
    let stage = Stage::new(setup).await?;
    let (mut agent, sender) = stage.device("agent").await?;
    let mut events = stage.live(vec![Topic::AllStreams, Topic::AllSenders]).await?;
    let stream = stage.go_live(&sender.id).await?;
    let pipelines = agent.daemon.children();

    agent.daemon.kill().await?;
    let unobserved = events.until("the sender is unobserved", seconds(2), |event| {
        (event.topic == Topic::Sender(sender.id.clone()) && event.data.get("presence")? == "unobserved")
            .then_some(())
    });
    unobserved.await?;
    assert_eq!(stage.rest.stream(&stream.id).await?.state, StreamLife::Live, "unobserved is not dead");
    let gone = eventually("its pipeline ends with it", PATIENCE, async || {
        (!pipelines.iter().any(|pid| runs(*pid))).then_some(())
    });
    gone.await?;
    let over = events.until("the stream is over", seconds(15), |event| {
        let over = matches!(state(event)?, "ended" | "failed");
        (event.topic == Topic::Stream(stream.id.clone()) && over).then_some(())
    });
    over.await?;
    assert_eq!(stage.rest.stream(&stream.id).await?.end_reason, Some(EndReason::Timeout));
    let free = eventually("its receiver ends", PATIENCE, async || stage.receivers().is_empty().then_some(()));
    free.await?;
    stage.presence(&sender.id, Presence::Offline).await?;

    agent.start_again()?;
    stage.presence(&sender.id, Presence::Online).await?;
    let next = stage.go_live(&sender.id).await?;
    let live = Instant::now();
    assert_eq!(next.ports, stream.ports, "the ports are free again");
    ends_whole(&stage, &next, live).await?;
    stage.done();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_asked_to_end_reports_its_stream_ended() -> Result<()> {
    let stage = Stage::new(setup().await?).await?;
    let (mut agent, sender) = stage.device("agent").await?;
    let stream = stage.go_live(&sender.id).await?;
    let live = Instant::now();
    stage.streamed(&stream.id, seconds(3)).await?;

    let streamed = live.elapsed();
    let status = agent.daemon.terminate(PATIENCE).await?;
    assert!(status.success(), "{status}");
    let ended = stage.state(&stream.id, StreamLife::Ended, PATIENCE).await?;
    assert_eq!(ended.end_reason, Some(EndReason::AgentShutdown));
    let free = eventually("its receiver ends", PATIENCE, async || stage.receivers().is_empty().then_some(()));
    free.await?;
    recording::check(&file(&ended)?, streamed.saturating_sub(EDGES)).await?.whole()?;
    stage.done();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_link_costs_no_picture() -> Result<()> {
    let stage = Stage::new(setup().await?).await?;
    let (_agent, sender) = stage.device("agent").await?;
    let stream = stage.go_live(&sender.id).await?;
    let live = Instant::now();
    stage.streamed(&stream.id, seconds(3)).await?;
    stage.links[1].set_down(true);
    let before = stage.links[1].stats().up.outage_lost;
    let lost = eventually("packets are lost", PATIENCE, async || {
        (stage.links[1].stats().up.outage_lost > before + 20).then_some(())
    });
    lost.await?;
    stage.streamed(&stream.id, seconds(9)).await?;
    stage.links[1].set_down(false);
    stage.streamed(&stream.id, seconds(12)).await?;
    ends_whole(&stage, &stream, live).await?;
    stage.done();
    Ok(())
}
