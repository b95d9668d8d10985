//! Enrolment, status, restart, end.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::Signal;
use strata_proto::control::InterfaceType;

use crate::plane::Plane;
use crate::process::Agent;
use crate::run;

#[test]
fn the_enrolment_string_is_enough_and_is_needed_once() {
    run(async {
        let plane = Plane::start().await;
        let mut agent = Agent::enroll(&plane.enrollment());
        let mut device = plane.device().await;
        assert_eq!(device.login.enrollment_token.as_ref().unwrap().expose(), "enr_onetime");
        let mode = std::fs::metadata(agent.state()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "what is in it is the owner's alone");
        let key = device.login.device_public_key.clone().unwrap();
        let status = device.status(|_| true).await;
        assert!(status.network_interfaces.iter().all(|i| i.enabled == Some(true)));
        device.status(|s| s.network_interfaces.iter().any(|i| i.kind == InterfaceType::Loopback)).await;

        agent.signal(Signal::SIGTERM);
        assert!(device.find(|_| None::<()>).await.is_none(), "the agent closes the connection");
        assert_eq!(agent.ended().await.code(), Some(0));

        agent.start_again();
        let device = plane.device().await;
        assert_eq!(device.login.enrollment_token, None);
        assert_eq!(device.login.sender_id.as_ref().unwrap().as_str(), "snd_test");
        assert_eq!(device.login.device_public_key, Some(key));
        assert!(!agent.log().contains("enr_onetime"), "{}", agent.log());
    });
}

#[test]
fn a_control_plane_that_refuses_does_not_replace_the_one_that_does_not() {
    run(async {
        let (good, bad) = (Plane::start().await, Plane::start().await);
        let mut agent = Agent::enroll(&good.enrollment());
        good.device().await.status(|_| true).await;
        agent.signal(Signal::SIGTERM);
        assert_eq!(agent.ended().await.code(), Some(0));

        agent.enroll_again(&bad.enrollment());
        bad.refuse().await;
        agent.signal(Signal::SIGTERM);
        assert_eq!(agent.ended().await.code(), Some(0));

        agent.start_again();
        assert_eq!(good.device().await.login.sender_id.unwrap().as_str(), "snd_test");
    });
}

#[test]
fn what_is_saved_shows_up_in_the_status() {
    run(async {
        let plane = Plane::start().await;
        let agent = Agent::enroll(&plane.enrollment());
        // Whole when it appears: made beside the media, on the same disk.
        let clip = agent.dir.path().join("clip.mp4");
        let bytes = make_clip(&clip, 7);
        std::fs::rename(clip, agent.media().join("clip.mp4")).unwrap();
        let mut device = plane.device().await;
        let status = device.status(|s| s.saved_media.iter().any(|m| m.duration_s.is_some())).await;
        let [media] = &status.saved_media[..] else { panic!("{:?}", status.saved_media) };
        assert_eq!((media.name.as_str(), media.duration_s), ("clip.mp4", Some(7)));
        assert!(bytes > 1_500_000, "a size that is not rounded to nothing: {bytes}");
        assert_eq!(media.size_mb, (bytes + 500_000) / 1_000_000);
    });
}

/// A clip of so many seconds; its size, bytes.
fn make_clip(path: &Path, seconds: u32) -> u64 {
    let picture = format!("testsrc2=size=640x360:rate=25:duration={seconds}");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-v", "error", "-f", "lavfi", "-i", &picture]);
    // Intra only and hardly compressed: megabytes in a moment.
    ffmpeg.args(["-c:v", "mpeg4", "-g", "1", "-q:v", "1"]).arg(path);
    assert!(ffmpeg.status().unwrap().success());
    std::fs::metadata(path).unwrap().len()
}
