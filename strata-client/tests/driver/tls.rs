//! Who the driver trusts.

use strata_client::driver::Connection;
use strata_client::session::{Disconnect, Event};
use strata_client::{Config, Error};
use strata_proto::token::Fingerprint;

use super::server::{Server, identity};

/// Why the first attempt failed.
async fn failure(server: &Server, config: Config) -> String {
    let mut connection = Connection::new(&config, identity()).unwrap();
    let (event, accepted) = tokio::join!(connection.next(), server.try_accept());
    assert!(accepted.is_err(), "the handshake must not end well");
    match event {
        Some(Event::Disconnected { cause: Disconnect::Unreachable(reason), .. }) => reason,
        other => panic!("expected a failure, got {other:?}"),
    }
}

#[tokio::test]
async fn another_ca_is_refused() {
    let server = Server::start(&["localhost"]).await;
    let mut config = server.config();
    config.ca = Some(Fingerprint([1; 32]));
    let reason = failure(&server, config).await;
    assert!(reason.contains("UnknownIssuer") && reason.contains("not the pinned CA sha256:0101"), "{reason}");
}

#[tokio::test]
async fn a_certificate_of_another_time_points_to_the_clock() {
    let server = Server::valid_from(4000).await;
    let reason = failure(&server, server.config()).await;
    assert!(reason.contains("clock"), "{reason}");
}

#[tokio::test]
async fn a_pinned_ca_must_have_made_the_leaf() {
    // The right CA is in the chain, but the leaf is somebody else's.
    let other = Server::start(&["localhost"]).await;
    let server = Server::with_foreign_leaf(&other).await;
    let reason = failure(&server, server.config()).await;
    assert!(reason.contains("BadSignature") || reason.contains("UnknownIssuer"), "{reason}");
}

#[tokio::test]
async fn another_host_name_is_refused() {
    let server = Server::start(&["elsewhere.example"]).await;
    let reason = failure(&server, server.config()).await;
    assert!(reason.contains("not valid for name") || reason.contains("NotValidForName"), "{reason}");
}

#[tokio::test]
async fn without_a_fingerprint_the_systems_authorities_decide() {
    let server = Server::start(&["localhost"]).await;
    let mut config = server.config();
    config.ca = None;
    match Connection::new(&config, identity()) {
        Ok(_) => {
            let reason = failure(&server, config).await;
            assert!(reason.contains("UnknownIssuer"), "{reason}");
        }
        // A machine without any is told so at once.
        Err(error) => assert!(matches!(error, Error::Tls(_)), "{error}"),
    }
}

#[tokio::test]
async fn an_address_that_is_not_wss_is_refused() {
    for url in ["ws://localhost/agent/ws", "https://localhost/", "wss:/x"] {
        let Ok(url) = url.parse() else { continue };
        let mut config = Config::new(url);
        config.enrollment_token = Some("enr_test".parse().unwrap());
        let outcome = Connection::new(&config, identity());
        if config.url.scheme() != "wss" {
            assert!(matches!(outcome, Err(Error::Address { .. })), "{outcome:?}");
        }
    }
}
