//! What is wrong is said.

use std::path::PathBuf;

use strata_media::net::{LinkConfig, SenderConfig};
use strata_media::pipeline::{PipelineError, SendConfig, Source, send};

use crate::judge;

fn error(config: SendConfig) -> PipelineError {
    let bond = SenderConfig::new(vec![LinkConfig::new(0, "127.0.0.1:5000".parse().unwrap())]);
    send(config, bond).unwrap_err()
}

fn file(path: PathBuf, passthrough: bool) -> SendConfig {
    SendConfig::new(Source::File { path, repeat: true, passthrough })
}

#[test]
fn sources_that_are_not_there() {
    let error_of = |source| error(SendConfig::new(source));
    let missing = error(file("/nowhere/clip.mp4".into(), false));
    assert!(matches!(missing, PipelineError::NotFound { .. }), "{missing}");
    assert!(missing.to_string().contains("/nowhere/clip.mp4"));
    let camera = error_of(Source::V4l2 { device: "/dev/video-none".into() });
    assert_eq!(
        camera.to_string(),
        "source: not found: /dev/video-none: No such file or directory (os error 2)"
    );
    let network = error_of(Source::Rtsp { uri: "rtsp://user:secret@127.0.0.1:1/x".into() });
    assert!(
        matches!(network, PipelineError::NotFound { .. } | PipelineError::Unusable { .. }),
        "{network:?}"
    );
    assert!(!network.to_string().contains("secret"), "{network}");
}

#[test]
fn formats_that_cannot_be_read_or_passed_through() {
    let dir = tempfile::tempdir().unwrap();
    let text = dir.path().join("notes.mp4");
    std::fs::write(&text, "not a film").unwrap();
    let unreadable = error(file(text, false));
    assert!(matches!(unreadable, PipelineError::Unsupported { .. }), "{unreadable:?}");
    let other = judge::clip(dir.path(), "clip.mkv", 0.2, None, &["-c:v", "mpeg4"]);
    let refused = error(file(other, true));
    assert!(refused.to_string().contains("only H.264 can pass through"), "{refused}");
}

#[test]
fn values_that_cannot_be_name_their_field() {
    let bad = |change: fn(&mut SendConfig)| {
        let mut config = SendConfig::new(Source::Test);
        change(&mut config);
        error(config).to_string()
    };
    assert!(bad(|c| c.resolution = Some((641, 480))).starts_with("invalid resolution: "));
    assert!(bad(|c| c.framerate = Some(0)).starts_with("invalid framerate: "));
    assert!(bad(|c| c.encoder.bitrate_kbps = 1).starts_with("invalid encoder.bitrate_kbps: "));
    assert!(
        bad(|c| c.encoder.min_bitrate_kbps = Some(4001)).starts_with("invalid encoder.min_bitrate_kbps: ")
    );
    assert!(bad(|c| c.encoder.ramp_percent = 0).starts_with("invalid encoder.ramp_percent: "));
    assert!(bad(|c| c.source = Source::Rtsp { uri: "http://x".into() }).starts_with("invalid source.uri: "));
}

#[test]
fn a_configuration_is_json() {
    let text = r#"{"source":{"mode":"file","path":"/a.mp4","loop":false},"encoder":{"bitrate_kbps":800}}"#;
    let config: SendConfig = serde_json::from_str(text).unwrap();
    assert_eq!(config.source, Source::File { path: "/a.mp4".into(), repeat: false, passthrough: false });
    assert_eq!((config.encoder.bitrate_kbps, config.encoder.zerolatency), (800, true));
    let back: SendConfig = serde_json::from_str(&serde_json::to_string(&config).unwrap()).unwrap();
    assert_eq!(back, config);
}
