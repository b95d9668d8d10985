//! The examples as processes: the two small agents with a real control plane in the test's own, and the embedded
//! control plane with a client.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
#![expect(clippy::disallowed_methods, reason = "the control plane's certificate needs the time")]
#![expect(clippy::disallowed_types, reason = "a test dials")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use strata_proto::control::{InterfacesScan, InterfacesScanResult, LogsGet, LogsGetResult, Role, Topic};
use strata_proto::id::{SenderId, UserId};
use strata_proto::token::{EnrollUri, Secret};
use strata_server::event::{Room, Subscriber};
use strata_server::fleet::{NewUser, Scope};
use strata_server::tls::{self, Identity, ServeLimits};
use strata_server::{Config, Server};
use tokio::net::TcpListener;
use tokio::sync::watch;

/// A control plane on a port of its own.
struct ControlPlane {
    server: Server,
    config: Config,
    owner: UserId,
}

impl ControlPlane {
    async fn start(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let identity =
            Identity::from_own_ca(&directory.join("tls"), &["localhost".into()], SystemTime::now().into())
                .unwrap();
        let public_url =
            format!("https://localhost:{}", listener.local_addr().unwrap().port()).parse().unwrap();
        let config =
            Config { data_dir: directory.to_owned(), ca: identity.ca(), public_url, ..Config::default() };
        let (server, driver) = Server::load(config.clone()).await.unwrap();
        tokio::spawn(driver.run());
        let (renewals, certificate) = watch::channel(identity.server_config().unwrap());
        let app = tls::Server::new(listener, certificate, server.router(), ServeLimits::default());
        tokio::spawn(async move {
            app.run(std::future::pending()).await;
            drop(renewals);
        });
        let password = Secret::new("correct horse battery staple");
        let user = NewUser { email: "a@example.com".into(), password, role: Role::Admin, account: None };
        let owner = server.users().create(user).await.unwrap().id;
        Self { server, config, owner }
    }

    /// A new sender, and the string its device is given.
    async fn sender(&self) -> (SenderId, String) {
        let new = self.server.fleet().create_sender(&self.owner, "camera", None).await.unwrap();
        let uri = EnrollUri { url: self.config.agent_url(), token: new.token, ca: self.config.ca };
        (new.view.id, uri.to_string())
    }

    fn events(&self) -> Subscriber {
        let mut events = self.server.events().subscriber(Scope::All, Room::default());
        events.subscribe(Topic::AllSenders);
        events
    }

    /// Until the sender is online, or is not.
    async fn until(&self, events: &mut Subscriber, sender: &SenderId, online: bool) {
        let wait = async {
            while self.server.fleet().is_online(sender) != online {
                events.next().await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{sender}: online = {online}"));
    }
}

/// A running example; dropping it kills it.
struct Example(Child);

impl Example {
    fn start(name: &str, uri: &str, directory: &Path) -> Self {
        let program = examples().join(name);
        let child = Command::new(&program).arg(uri).arg(directory).stdout(Stdio::null()).spawn();
        Self(child.unwrap_or_else(|e| panic!("{}: {e}; cargo build --examples first", program.display())))
    }
}

impl Drop for Example {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Where cargo puts examples, beside this test's own directory.
fn examples() -> PathBuf {
    std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().join("examples")
}

#[tokio::test]
async fn minimal_agent_joins_answers_and_comes_back() {
    let directory = tempfile::tempdir().unwrap();
    let control = ControlPlane::start(&directory.path().join("control")).await;
    let (sender, uri) = control.sender().await;
    let state = directory.path().join("state");
    let mut events = control.events();
    // The second start has the same string, whose token is used: the key it made opens the door.
    for _ in 0..2 {
        let example = Example::start("minimal_agent", &uri, &state);
        control.until(&mut events, &sender, true).await;
        let reply = control.server.fleet().request(&sender, InterfacesScan {}, PATIENCE).await.unwrap();
        let found: InterfacesScanResult = reply.parse().unwrap();
        assert!(found.network_interfaces.iter().any(|i| i.name == "lo"), "{found:?}");
        drop(example);
        control.until(&mut events, &sender, false).await;
    }
}

#[tokio::test]
async fn own_event_loop_joins_and_answers() {
    let directory = tempfile::tempdir().unwrap();
    let control = ControlPlane::start(&directory.path().join("control")).await;
    let (sender, uri) = control.sender().await;
    let mut events = control.events();
    let _example = Example::start("own_event_loop", &uri, &directory.path().join("state"));
    control.until(&mut events, &sender, true).await;
    let reply = control.server.fleet().request(&sender, LogsGet::default(), PATIENCE).await.unwrap();
    let log: LogsGetResult = reply.parse().unwrap();
    assert_eq!(log.lines.len(), 1);
    // What it does not list, the control plane does not even ask.
    assert!(control.server.fleet().request(&sender, InterfacesScan {}, PATIENCE).await.is_err());
}

/// Status line and body that `path` answers to whoever trusts the CA in `ca`.
fn get(address: &str, ca: &Path, path: &str) -> (String, String) {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(ca).unwrap()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap();
    let config = config.with_root_certificates(roots).with_no_client_auth();
    let tls = ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap()).unwrap();
    let tcp = TcpStream::connect(address).unwrap();
    tcp.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = StreamOwned::new(tls, tcp);
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.lines().next().unwrap().to_owned(), body.to_owned())
}

#[test]
fn embed_server_serves_the_control_plane_and_routes_of_its_own() {
    let directory = tempfile::tempdir().unwrap();
    let mut command = Command::new(examples().join("embed_server"));
    command.arg(directory.path()).arg("127.0.0.1:0").env("ADMIN_PASSWORD", "correct horse battery staple");
    let mut example = Example(command.stdout(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(example.0.stdout.take().unwrap()).lines();
    let line = lines.next().unwrap().unwrap();
    let address = line.strip_prefix("listening https://").unwrap_or_else(|| panic!("{line}"));
    let ca = directory.path().join("tls/ca.crt");
    let (status, health) = get(address, &ca, "/healthz");
    assert_eq!(status, "HTTP/1.1 200 OK", "{health}");
    assert_eq!(get(address, &ca, "/my/senders"), ("HTTP/1.1 200 OK".to_owned(), "[]".to_owned()));
    let (status, refused) = get(address, &ca, "/api/senders");
    assert_eq!(status, "HTTP/1.1 401 Unauthorized", "{refused}");
}

#[tokio::test]
async fn own_event_loop_gives_up_a_server_that_says_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let uri = EnrollUri {
        url: format!("wss://localhost:{port}/agent/ws").parse().unwrap(),
        token: "enr_test".parse().unwrap(),
        ca: None,
    };
    let _example = Example::start("own_event_loop", &uri.to_string(), &directory.path().join("state"));
    let (_first, _) = silent.accept().await.unwrap();
    // TLS is never answered; it dials again.
    tokio::time::timeout(PATIENCE, silent.accept()).await.expect("it hangs in the first").unwrap();
}

/// Far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(20);
