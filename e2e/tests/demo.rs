//! The demo's whole path, as a newcomer sees it.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use nix::sys::signal::Signal;
use strata_e2e::daemon::Daemon;
use strata_e2e::wait::eventually;

/// Build of the clip, start, 10 s of stream, check: with room for a busy machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// The machine may stand still for so long, and all is whole.
const LATENCY_MS: &str = "4000";

fn arguments(seconds: &str, dir: &Path) -> Vec<OsString> {
    let arguments = ["--latency-ms", LATENCY_MS, "--seconds", seconds, "--dir"].map(OsString::from);
    arguments.into_iter().chain([dir.into()]).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_ends_with_a_whole_recording() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let work = dir.path().join("work");
    let args = arguments("10", &work);
    // MEDIA is inherited: the clip that CI names is the clip that is sent.
    let mut demo = Daemon::spawn("demo", "demo", &args, dir.path())?;
    let status = demo.wait(PATIENCE).await?;
    let shown = demo.output();
    assert!(status.success(), "{status}\n{shown}\n{}", demo.tail());
    for expected in ["agent          enrolled as snd_", "stream         str_", "result     whole"] {
        assert!(shown.contains(expected), "{expected:?} is missing in:\n{shown}");
    }
    assert!(shown.contains("│ link 0 ") && shown.contains("│ link 1 "), "no lines about links in:\n{shown}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_ends_the_stream_in_order() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let work = dir.path().join("work");
    let args = arguments("0", &work);
    let mut demo = Daemon::spawn("demo", "demo", &args, dir.path())?;
    let streams = eventually("two lines about the stream", PATIENCE, async || {
        (demo.output().matches("│ link 1 ").count() >= 2).then_some(())
    });
    streams.await?;
    demo.signal(Signal::SIGINT)?;
    let status = demo.wait(PATIENCE).await?;
    assert!(status.success(), "{status}\n{}\n{}", demo.output(), demo.tail());
    assert!(demo.output().contains("result     whole"), "{}", demo.output());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_daemon_outlives_a_demo_that_is_terminated() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let work = dir.path().join("work");
    let args = ["--dir".as_ref(), work.as_os_str()];
    let mut demo = Daemon::spawn("demo", "demo", &args, dir.path())?;
    let started = eventually("a control plane", PATIENCE, async || {
        demo.output().contains("control plane").then_some(())
    });
    started.await?;
    assert!(!processes_about(&work).is_empty());
    demo.signal(Signal::SIGTERM)?;
    let status = demo.wait(PATIENCE).await?;
    assert_eq!(status.code(), Some(1), "{}", demo.tail());
    eventually("the end of its daemons", PATIENCE, async || processes_about(&work).is_empty().then_some(()))
        .await
}

/// The daemons that were told of `dir`, by their command lines.
fn processes_about(dir: &Path) -> Vec<String> {
    let daemon = |command: &String| {
        let program = command.split('\0').next().and_then(|program| Path::new(program).file_name());
        program.is_some_and(|name| name.to_string_lossy().starts_with("strata-"))
    };
    let commands = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let commands = commands.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
    commands.filter(|command| daemon(command) && command.contains(&*dir.to_string_lossy())).collect()
}

#[tokio::test]
async fn a_missing_clip_is_named() -> Result<()> {
    let (code, _, stderr) = strata_e2e::daemon::run("demo", &["--media", "/no/such/clip.mp4"], "").await?;
    assert_eq!(code, 1);
    assert!(stderr.contains("/no/such/clip.mp4: there is no such file"), "{stderr}");
    Ok(())
}
