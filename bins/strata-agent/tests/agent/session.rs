//! Enrolment, status, restart, end.

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
fn what_is_saved_shows_up_in_the_status() {
    run(async {
        let plane = Plane::start().await;
        let agent = Agent::enroll(&plane.enrollment());
        std::fs::write(agent.media().join("clip.mp4"), vec![0; 3_000_000]).unwrap();
        let mut device = plane.device().await;
        let status = device.status(|s| !s.saved_media.is_empty()).await;
        assert_eq!((status.saved_media[0].name.as_str(), status.saved_media[0].size_mb), ("clip.mp4", 3));
    });
}
