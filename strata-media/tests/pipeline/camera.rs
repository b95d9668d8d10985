//! A network camera: what it shows arrives, moves, and sounds.

use std::collections::HashSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use strata_media::pipeline::Source;

use crate::judge;
use crate::rig::{config, record};

/// An RTSP server, ended with the test.
struct Camera {
    server: Child,
    uri: String,
}

impl Camera {
    /// Debian's own Python: the bindings are of its package.
    fn start() -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/pipeline/camera.py");
        let mut command = Command::new("/usr/bin/python3");
        command.args([script, "127.41.0.6"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut server = command.spawn().unwrap();
        let mut uri = String::new();
        BufReader::new(server.stdout.take().unwrap()).read_line(&mut uri).unwrap();
        assert!(uri.starts_with("rtsp://"), "no camera; `make setup` installs what it needs");
        Self { server, uri: uri.trim().to_owned() }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_network_camera_is_seen_and_heard() {
    let camera = Camera::start();
    let dir = tempfile::tempdir().unwrap();
    let source = Source::Rtsp { uri: camera.uri.clone() };
    let (out, outcome) = record(config(source), 5, dir.path()).await;
    assert_eq!(outcome.ended.error, None);
    judge::assert_continuous(&out);
    let video = judge::times(&out, "v:0");
    assert!(video.len() >= 75, "{} frames in 5 s", video.len());
    judge::assert_uniform(&video, 3600);
    assert_eq!(judge::decode(&out, "v:0"), video.len());
    // A second of it: 25 pictures of a ball that moves, no two alike.
    let seen = judge::pictures(&out, 25);
    assert_eq!((seen.len(), seen.iter().collect::<HashSet<_>>().len()), (25, 25));
    let audio = judge::times(&out, "a:0");
    assert!(audio.len() >= 3 * 48_000 / 1024, "{} frames of sound in 5 s", audio.len());
    judge::assert_uniform(&audio, 1920);
    assert!(judge::decode(&out, "a:0").abs_diff(audio.len()) <= 1);
}
