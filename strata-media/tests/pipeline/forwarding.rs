//! What is received goes to other people's programs, whole.

use std::net::SocketAddrV4;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use strata_media::pipeline::{Output, OutputState, ReceiveEvent, Source};
use strata_media::testing::netem;

use crate::judge;
use crate::rig::{config, recording, stream, stream_while};

/// Until it listens, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(60);

/// A program that listens, and is ended with the test.
pub(crate) struct Peer(pub(crate) Child);

impl Peer {
    pub(crate) fn start(program: &str, args: &[&str], stdout: Stdio) -> Self {
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(stdout).stderr(Stdio::null());
        Self(command.spawn().unwrap_or_else(|e| panic!("{program}: {e}")))
    }

    /// Waits until a socket of `protocol`, `tcp` or `udp`, is bound to `address`.
    pub(crate) fn listening(mut self, protocol: &str, address: &str) -> Self {
        let address = address.parse().unwrap();
        #[expect(clippy::disallowed_methods, reason = "a program of somebody else's is waited for")]
        let since = std::time::Instant::now();
        while !is_bound(protocol, address) {
            assert!(since.elapsed() < PATIENCE, "nothing listens at {address}");
            if let Some(status) = self.0.try_wait().unwrap() {
                panic!("the peer ended before it listened: {status}");
            }
            std::thread::yield_now();
        }
        self
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn output(uri: &str) -> Output {
    uri.parse().unwrap()
}

/// Asserts that `part` is `whole` without some packets at its ends.
fn assert_part_of(part: &Path, whole: &Path, least: f64) {
    let (part, whole) = (std::fs::read(part).unwrap(), std::fs::read(whole).unwrap());
    assert!(part.len() as f64 >= whole.len() as f64 * least, "{} of {} bytes", part.len(), whole.len());
    let start = whole.chunks(188).position(|packet| {
        part.starts_with(packet) && {
            let offset = packet.as_ptr() as usize - whole.as_ptr() as usize;
            whole[offset..].starts_with(&part)
        }
    });
    assert!(start.is_some(), "not a contiguous part");
}

/// Whether the kernel lists a socket bound to `address`. Looking does not take the port, as trying to
/// bind would, so the peer cannot lose it to the test.
fn is_bound(protocol: &str, address: SocketAddrV4) -> bool {
    let table = std::fs::read_to_string(format!("/proc/net/{protocol}")).unwrap();
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(address.ip().octets()), address.port());
    table.lines().any(|line| line.split_whitespace().nth(1) == Some(&local))
}

#[tokio::test(flavor = "multi_thread")]
async fn srt_carries_every_byte() {
    let dir = tempfile::tempdir().unwrap();
    let (out, copy) = (dir.path().join("out.ts"), dir.path().join("copy.ts"));
    let stdout = std::fs::File::create(&copy).unwrap();
    let args = ["-q", "srt://127.41.0.1:9000?mode=listener&latency=200", "file://con"];
    let mut peer = Peer::start("srt-live-transmit", &args, stdout.into()).listening("udp", "127.41.0.1:9000");
    let mut sink = recording(&out);
    sink.outputs = vec![output("srt://127.41.0.1:9000?latency=200")];
    let outcome = stream(config(Source::Test), 4, sink, netem::Config::default(), |_, _, _| {}).await;
    assert_eq!(outcome.stats.outputs[1].failures, 0, "{outcome:?}");
    assert_eq!(outcome.stats.outputs[1].dropped, 0);
    let _ = peer.0.kill();
    let _ = peer.0.wait();
    assert_part_of(&copy, &out, 0.7);
}

#[tokio::test(flavor = "multi_thread")]
async fn srt_waits_to_be_called() {
    let dir = tempfile::tempdir().unwrap();
    let (out, copy) = (dir.path().join("out.ts"), dir.path().join("copy.ts"));
    let mut sink = recording(&out);
    sink.outputs = vec![output("srt://127.41.0.2:9000?mode=listener&latency=200")];
    let mut peer = None;
    stream(config(Source::Test), 5, sink, netem::Config::default(), |second, _, _| {
        if second == 1 && peer.is_none() {
            let stdout = std::fs::File::create(&copy).unwrap();
            let args = ["-q", "srt://127.41.0.2:9000?mode=caller&latency=200", "file://con"];
            peer = Some(Peer::start("srt-live-transmit", &args, stdout.into()));
        }
    })
    .await;
    drop(peer);
    assert_part_of(&copy, &out, 0.3);
}

#[tokio::test(flavor = "multi_thread")]
async fn rtmp_gives_pictures_and_sound() {
    let dir = tempfile::tempdir().unwrap();
    let (out, copy) = (dir.path().join("out.ts"), dir.path().join("copy.flv"));
    let copy_text = copy.display().to_string();
    let args =
        ["-v", "error", "-listen", "1", "-i", "rtmp://127.41.0.3:1935/live/key", "-c", "copy", &copy_text];
    let mut peer = Peer::start("ffmpeg", &args, Stdio::null()).listening("tcp", "127.41.0.3:1935");
    let mut sink = recording(&out);
    sink.outputs = vec![output("rtmp://127.41.0.3:1935/live/key")];
    let outcome = stream(config(Source::Test), 6, sink, netem::Config::default(), |_, _, _| {}).await;
    assert_eq!(outcome.stats.outputs[1].failures, 0, "{outcome:?}");
    // The server ends when the stream does.
    assert!(peer.0.wait().unwrap().success());
    let whole = judge::decode(&out, "v:0");
    let frames = judge::decode(&copy, "v:0");
    assert!(frames * 10 > whole * 5, "{frames} of {whole} frames");
    assert!(judge::decode(&copy, "a:0") > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_outputs_do_not_disturb_the_good_ones() {
    let dir = tempfile::tempdir().unwrap();
    let (out, good) = (dir.path().join("out.ts"), dir.path().join("good.ts"));
    std::fs::write(dir.path().join("plain"), "").unwrap();
    let mut sink = recording(&out);
    sink.outputs = vec![
        output("rtmp://127.41.0.4:1/live/secret-key"),
        output("srt://127.41.0.4:1"),
        output(&format!("file://{}/plain/x.ts", dir.path().display())),
        output(&format!("file://{}", good.display())),
    ];
    let outcome = stream(config(Source::Test), 5, sink, netem::Config::default(), |_, _, _| {}).await;
    assert_eq!(std::fs::read(&out).unwrap(), std::fs::read(&good).unwrap());
    assert_eq!(outcome.ended.bytes, std::fs::metadata(&out).unwrap().len());
    for part in ["output 1", "output 2", "output 3"] {
        let said = |e: &ReceiveEvent| matches!(e, ReceiveEvent::Error { part: p, .. } if p == part);
        assert!(outcome.received.iter().any(said), "{part}: {:?}", outcome.received);
    }
    let states: Vec<_> = outcome.stats.outputs.iter().map(|o| o.state).collect();
    assert_eq!((states[0], states[4]), (OutputState::Running, OutputState::Running));
    assert!(!format!("{:?}", outcome.received).contains("secret-key"));
}

#[tokio::test(flavor = "multi_thread")]
async fn outputs_come_and_go() {
    let dir = tempfile::tempdir().unwrap();
    let (out, first, second) = (dir.path().join("out.ts"), dir.path().join("a.ts"), dir.path().join("b.ts"));
    let uri = |path: &Path| output(&format!("file://{}", path.display()));
    let (a, b) = (uri(&first), uri(&second));
    let mut sink = recording(&out);
    sink.outputs = vec![a.clone()];
    // By what each has taken, the recording first, and not by the time that took: a machine may stand still.
    let (mut step, mut before) = (0, [0; 2]);
    stream_while(config(Source::Test), sink, netem::Config::default(), |_, _, receive, _| {
        let taken: Vec<_> = receive.stats().outputs.iter().map(|output| output.bytes).collect();
        match (step, &taken[..]) {
            (0, &[_, a_taken]) if a_taken > 0 => receive.set_outputs(vec![b.clone(), a.clone()]).unwrap(),
            (1, &[_, b_taken, a_taken]) if b_taken > 0 => {
                before = [a_taken, b_taken];
                receive.set_outputs(vec![b.clone()]).unwrap();
            }
            (2, &[_, b_taken]) if b_taken > before[1] => return false,
            _ => return true,
        }
        step += 1;
        true
    })
    .await;
    let [whole, first, second] = [&out, &first, &second].map(|path| std::fs::read(path).unwrap());
    assert!(whole.starts_with(&first) && whole.ends_with(&second));
    assert!((before[0]..whole.len() as u64).contains(&(first.len() as u64)), "{before:?}, {}", first.len());
    assert!(
        (before[1] + 1..whole.len() as u64).contains(&(second.len() as u64)),
        "{before:?}, {}",
        second.len()
    );
    assert!(!dir.path().join("a-1.ts").exists(), "an output that stays was started again");
}
