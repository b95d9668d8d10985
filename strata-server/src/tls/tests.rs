#![expect(clippy::disallowed_types, reason = "these tests speak over real loopback sockets")]

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use axum::extract::ConnectInfo;
use axum::routing::get;
use rustls::RootCertStore;
use rustls_pki_types::{ServerName, UnixTime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

use super::*;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

fn now() -> Timestamp {
    "2026-02-14T10:30:00Z".parse().unwrap()
}

fn names() -> Vec<String> {
    ["control.example.com", "localhost", "127.0.0.1", "::1"].map(String::from).to_vec()
}

fn verify(identity: &Identity, name: &str, now: Timestamp) -> Result<(), rustls::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(identity.chain()[1].clone())?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider)
        .build()
        .unwrap();
    let seconds = u64::try_from(now.unix_seconds()).unwrap();
    rustls::client::danger::ServerCertVerifier::verify_server_cert(
        &*verifier,
        &identity.chain()[0],
        &identity.chain()[1..],
        &ServerName::try_from(name.to_owned()).unwrap(),
        &[],
        UnixTime::since_unix_epoch(Duration::from_secs(seconds)),
    )
    .map(drop)
}

#[test]
fn a_client_that_trusts_only_the_ca_accepts_every_name() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::from_own_ca(dir.path(), &names(), now()).unwrap();
    assert_eq!(identity.chain().len(), 2);
    assert_eq!(identity.ca(), Some(fingerprint(&identity.chain()[1])));
    for name in names() {
        verify(&identity, &name, now()).unwrap();
    }
    verify(&identity, "elsewhere.example.com", now()).unwrap_err();
    verify(&identity, "localhost", now().after(DAY * 398)).unwrap_err();
}

#[test]
fn a_restart_presents_the_same_certificate() {
    let dir = tempfile::tempdir().unwrap();
    let first = Identity::from_own_ca(dir.path(), &names(), now()).unwrap();
    let mut shuffled = names();
    shuffled.reverse();
    shuffled.push("localhost".to_owned());
    let second = Identity::from_own_ca(dir.path(), &shuffled, now().after(DAY * 300)).unwrap();
    assert_eq!(first.chain(), second.chain());
}

#[test]
fn the_certificate_is_renewed_in_time_and_for_new_names_by_the_same_ca() {
    let dir = tempfile::tempdir().unwrap();
    let first = Identity::from_own_ca(dir.path(), &names(), now()).unwrap();
    let later = now().after(DAY * 308);
    let renewed = Identity::from_own_ca(dir.path(), &names(), later).unwrap();
    assert_ne!(first.chain()[0], renewed.chain()[0]);
    assert_eq!(first.chain()[1], renewed.chain()[1]);
    verify(&renewed, "localhost", later.after(DAY * 390)).unwrap();

    let moved = Identity::from_own_ca(dir.path(), &["other.example.com".to_owned()], later).unwrap();
    assert_eq!(moved.ca(), first.ca());
    verify(&moved, "other.example.com", later).unwrap();
    verify(&moved, "localhost", later).unwrap_err();
}

#[test]
fn keys_are_for_the_owner_alone_and_nothing_temporary_stays() {
    let dir = tempfile::tempdir().unwrap();
    Identity::from_own_ca(dir.path(), &names(), now()).unwrap();
    let mut files: Vec<(String, u32)> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|e| (e.file_name().into_string().unwrap(), e.metadata().unwrap().permissions().mode() & 0o777))
        .collect();
    files.sort();
    let expected = [("ca.crt", 0o644), ("ca.pem", 0o600), ("server.pem", 0o600)];
    assert_eq!(files, expected.map(|(name, mode)| (name.to_owned(), mode)));
}

#[test]
fn a_damaged_ca_is_reported_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    Identity::from_own_ca(dir.path(), &names(), now()).unwrap();
    let path = dir.path().join("ca.pem");
    std::fs::write(&path, "nonsense").unwrap();
    let error = Identity::from_own_ca(dir.path(), &names(), now()).unwrap_err();
    assert!(error.to_string().contains("ca.pem: expected PEM certificates"), "{error}");
    assert_eq!(std::fs::read(&path).unwrap(), b"nonsense");
}

#[test]
fn a_damaged_certificate_is_issued_anew() {
    let dir = tempfile::tempdir().unwrap();
    let first = Identity::from_own_ca(dir.path(), &names(), now()).unwrap();
    std::fs::write(dir.path().join("server.pem"), "nonsense").unwrap();
    let second = Identity::from_own_ca(dir.path(), &names(), now()).unwrap();
    assert_eq!(second.ca(), first.ca());
    verify(&second, "localhost", now()).unwrap();
}

#[test]
fn certificates_from_files_have_no_fingerprint_to_pin() {
    let dir = tempfile::tempdir().unwrap();
    Identity::from_own_ca(dir.path(), &names(), now()).unwrap();
    let pem = dir.path().join("server.pem");
    let identity = Identity::from_files(&pem, &pem).unwrap();
    assert_eq!(identity.ca(), None);
    identity.server_config().unwrap();
    let missing = Identity::from_files(&dir.path().join("none.pem"), &pem).unwrap_err();
    assert!(missing.to_string().contains("none.pem"), "{missing}");
}

#[tokio::test]
async fn requests_over_tls_know_their_peer_and_end_at_shutdown() {
    let dir = tempfile::tempdir().unwrap();
    let wall = Timestamp::from(std::time::UNIX_EPOCH + since_epoch());
    let identity = Identity::from_own_ca(dir.path(), &names(), wall).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = axum::Router::new()
        .route("/peer", get(|ConnectInfo(peer): ConnectInfo<SocketAddr>| async move { peer.to_string() }));
    let (_tls, watched) = watch::channel(identity.server_config().unwrap());
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = Server::new(listener, watched, router, ServeLimits::default());
    let running = tokio::spawn(server.run(async { drop(stopped.await) }));

    let mut roots = RootCertStore::empty();
    roots.add(identity.chain()[1].clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(address).await.unwrap();
    let own = tcp.local_addr().unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut tls = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, tcp).await.unwrap();
    tls.write_all(b"GET /peer HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = vec![0; 1024];
    let length = tls.read(&mut answer).await.unwrap();
    let text = String::from_utf8_lossy(&answer[..length]).into_owned();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains(&own.to_string()), "{text}");

    // The idle connection is kept alive by nobody: the loop ends with it open.
    stop.send(()).unwrap();
    running.await.unwrap();
}

#[tokio::test]
async fn a_peer_that_does_not_shake_hands_is_cut_off_and_its_place_is_free() {
    let dir = tempfile::tempdir().unwrap();
    let identity = Identity::from_own_ca(dir.path(), &names(), now()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (_tls, watched) = watch::channel(identity.server_config().unwrap());
    let limits =
        ServeLimits { handshake: Duration::from_millis(200), max_connections: 1, ..ServeLimits::default() };
    let server = Server::new(listener, watched, axum::Router::new(), limits);
    tokio::spawn(server.run(std::future::pending()));
    // The second one is accepted only when the first one's place is free again.
    for _ in 0..2 {
        let mut silent = TcpStream::connect(address).await.unwrap();
        assert_eq!(silent.read(&mut [0]).await.unwrap(), 0);
    }
}

#[expect(clippy::disallowed_methods, reason = "the client verifies validity at the real time")]
fn since_epoch() -> Duration {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap()
}
