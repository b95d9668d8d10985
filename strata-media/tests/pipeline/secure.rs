//! RTMP through TLS, to a real server behind a real certificate.
#![expect(clippy::disallowed_types, reason = "a real server has real sockets")]

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;

use gio::prelude::*;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls_pki_types::PrivateKeyDer;
use strata_media::pipeline::{ReceiveEvent, Source};
use strata_media::testing::netem;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::{self, ServerConfig};

use crate::forwarding::{Peer, output};
use crate::judge;
use crate::rig::{config, recording, stream};

/// A server's TLS with a certificate for `address`, and the file of the authority that signed it.
fn certified(address: IpAddr, dir: &Path) -> (TlsAcceptor, PathBuf) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let path = dir.join("authority.pem");
    std::fs::write(&path, params.self_signed(&authority_key).unwrap().pem()).unwrap();
    let issuer = Issuer::new(params, authority_key);
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new([address.to_string()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    (TlsAcceptor::from(Arc::new(config)), path)
}

/// Takes TLS off and gives what is in it to `server`, one connection after another.
async fn unwrap_tls(listener: TcpListener, tls: TlsAcceptor, server: String) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let Ok(mut stream) = tls.accept(stream).await else { continue };
        let mut plain = TcpStream::connect(&server).await.unwrap();
        // A connection that ends otherwise than with a close is one that ended.
        let _ = tokio::io::copy_bidirectional(&mut stream, &mut plain).await;
    }
}

/// An RTMP server that writes what it is given to `copy`, and TLS in front of it; the address for a forwarder.
async fn server(address: &str, copy: &Path, tls: TlsAcceptor) -> (Peer, String) {
    let plain = format!("{address}:1935");
    let (uri, copy) = (format!("rtmp://{plain}/live/secret-key"), copy.display().to_string());
    let args = ["-v", "error", "-listen", "1", "-i", &uri, "-c", "copy", &copy];
    let peer = Peer::start("ffmpeg", &args, Stdio::null()).listening("tcp", &plain);
    let listener = TcpListener::bind((address, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(unwrap_tls(listener, tls, plain));
    (peer, format!("rtmps://{address}:{port}/live/secret-key"))
}

#[tokio::test(flavor = "multi_thread")]
async fn rtmps_gives_pictures_and_sound_to_a_certified_server() {
    let dir = tempfile::tempdir().unwrap();
    let (out, copy) = (dir.path().join("out.ts"), dir.path().join("copy.flv"));
    let (tls, authority) = certified([127, 41, 0, 7].into(), dir.path());
    // What an administrator does by adding an authority to the system's.
    let trusted = gio::TlsFileDatabase::new(&authority).unwrap();
    gio::TlsBackend::default().set_default_database(Some(&trusted));
    let (mut peer, uri) = server("127.41.0.7", &copy, tls).await;
    let mut sink = recording(&out);
    sink.outputs = vec![output(&uri)];
    let outcome = stream(config(Source::Test), 6, sink, netem::Config::default(), |_, _, _| {}).await;
    assert_eq!(outcome.stats.outputs[1].failures, 0, "{outcome:?}");
    // The server ends when the stream does.
    assert!(peer.0.wait().unwrap().success());
    let (whole, frames) = (judge::decode(&out, "v:0"), judge::decode(&copy, "v:0"));
    assert!(frames * 10 > whole * 5, "{frames} of {whole} frames");
    assert!(judge::decode(&copy, "a:0") > 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn rtmps_gives_nothing_to_a_server_nobody_vouches_for() {
    let dir = tempfile::tempdir().unwrap();
    let (out, copy) = (dir.path().join("out.ts"), dir.path().join("copy.flv"));
    let (tls, _) = certified([127, 41, 0, 8].into(), dir.path());
    let (_peer, uri) = server("127.41.0.8", &copy, tls).await;
    let mut sink = recording(&out);
    sink.outputs = vec![output(&uri)];
    let outcome = stream(config(Source::Test), 3, sink, netem::Config::default(), |_, _, _| {}).await;
    let said = outcome.received.iter().find_map(|event| match event {
        ReceiveEvent::Error { part, message } if part == "output 1" => Some(message.as_str()),
        _ => None,
    });
    let said = said.unwrap();
    assert!(said.contains("certificate") && !said.contains("secret-key"), "{said}");
    assert!(!copy.exists(), "something reached the server");
}
