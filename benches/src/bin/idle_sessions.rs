//! What an agent's session costs the server: memory while idle, CPU to connect, CPU per `device.status`.
//!
//! `idle_sessions [SESSIONS] [STATUS_PER_SESSION]` starts a control plane as a process of its own (TLS,
//! SQLite, everything as in production), enrols and connects that many agents over loopback, and reads the
//! server's memory and CPU time from /proc.

#![expect(clippy::disallowed_types, reason = "a driver: it dials")]

use std::io::{BufRead as _, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use futures_util::{SinkExt as _, StreamExt as _};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::{Value, json};
use strata_benches::process;
use strata_server::tls::{Identity, ServeLimits};
use strata_server::{Config, Server, tls};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message;
use tungstenite::protocol::WebSocketConfig;

type Socket = WebSocketStream<TlsStream<TcpStream>>;

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("serve") {
        let dir = args.next().context("serve DIR SESSIONS")?;
        let sessions = args.next().context("serve DIR SESSIONS")?.parse()?;
        return serve(Path::new(&dir), sessions).await;
    }
    let sessions = first.map_or(Ok(2000), |text| text.parse())?;
    let statuses = args.next().map_or(Ok(20), |text| text.parse())?;
    measure(sessions, statuses).await
}

async fn measure(sessions: usize, statuses: usize) -> Result<()> {
    let dir = tempfile::tempdir()?;
    let mut server = start(dir.path(), WARM_UP + sessions)?;
    let mut line = String::new();
    std::io::BufReader::new(server.0.stdout.take().context("stdout")?).read_line(&mut line)?;
    let address: SocketAddr = line.trim().parse()?;
    let text = std::fs::read_to_string(dir.path().join("tokens"))?;
    let tokens: Vec<&str> = text.lines().collect();
    let connector = connector(dir.path())?;

    // The first connections bring in what is shared by all.
    let mut agents = Vec::new();
    for token in &tokens[..WARM_UP] {
        agents.push(enroll(address, &connector, token).await?);
    }
    let before = server.usage()?;
    for token in &tokens[WARM_UP..] {
        agents.push(enroll(address, &connector, token).await?);
    }
    let connected = server.usage()?;
    let count = sessions as f64;
    let kib = (connected.rss_kib - before.rss_kib) / count;
    println!("memory per idle authenticated session (WSS): {kib:.1} KiB, over {sessions} sessions");
    let cpu = (connected.cpu_s - before.cpu_s) / count * 10_000.0;
    println!("CPU per 10 k enrolments (TLS 1.3, upgrade, token consumed and key bound on disk): {cpu:.2} s");

    let frames: Vec<String> = agents.iter().map(|agent| status(&agent.token)).collect();
    report(&mut agents, &frames, 1).await?;
    let reported = server.usage()?;
    let kib = (reported.rss_kib - before.rss_kib) / count;
    println!("  with its last device.status kept: {kib:.1} KiB");
    report(&mut agents, &frames, statuses).await?;
    let after = server.usage()?;
    let messages = (agents.len() * statuses) as f64;
    let cpu = (after.cpu_s - reported.cpu_s) / messages * 100_000.0;
    println!("CPU per 100 k device.status of {} bytes, decoded and answered: {cpu:.2} s", frames[0].len());

    for agent in &mut agents {
        let login = json!({ "sender_id": agent.sender, "device_key": agent.device_key });
        *agent = open(address, &connector, login).await?;
    }
    let again = server.usage()?;
    let cpu = (again.cpu_s - after.cpu_s) / agents.len() as f64 * 10_000.0;
    println!(
        "CPU per 10 k connects (TLS 1.3, upgrade, login by device key, old connection replaced): {cpu:.2} s"
    );
    Ok(())
}

/// Every agent reports so many times, each time waiting for the answer.
async fn report(agents: &mut [Agent], frames: &[String], times: usize) -> Result<()> {
    for _ in 0..times {
        for (agent, frame) in agents.iter_mut().zip(frames) {
            agent.socket.send(Message::text(frame.as_str())).await?;
        }
        for agent in agents.iter_mut() {
            let answer = hear(&mut agent.socket).await?;
            ensure!(answer["payload"]["success"] == true, "status refused: {answer}");
        }
    }
    Ok(())
}

struct Agent {
    socket: Socket,
    sender: String,
    token: String,
    device_key: Option<String>,
}

async fn enroll(address: SocketAddr, connector: &TlsConnector, token: &str) -> Result<Agent> {
    open(address, connector, json!({ "enrollment_token": token })).await
}

async fn open(address: SocketAddr, connector: &TlsConnector, mut login: Value) -> Result<Agent> {
    let stream = TcpStream::connect(address).await?;
    let stream = connector.connect(ServerName::try_from("localhost")?, stream).await?;
    let config = WebSocketConfig::default().read_buffer_size(4096).write_buffer_size(0);
    let url = "wss://localhost/agent/ws";
    let (mut socket, _) = tokio_tungstenite::client_async_with_config(url, stream, Some(config)).await?;
    for (key, value) in [("agent_version", "0.1.0"), ("hostname", "field"), ("arch", "aarch64")] {
        login[key] = value.into();
    }
    let message = json!({ "id": "1", "type": "auth.login", "ts": "2026-02-14T10:30:00Z", "payload": login });
    socket.send(Message::text(message.to_string())).await?;
    let answer = hear(&mut socket).await?;
    let text = |key: &str| answer["payload"][key].as_str().map(str::to_owned);
    let refused = || format!("refused: {answer}");
    Ok(Agent {
        sender: text("sender_id").with_context(refused)?,
        token: text("session_token").with_context(refused)?,
        device_key: text("device_key"),
        socket,
    })
}

async fn hear(socket: &mut Socket) -> Result<Value> {
    loop {
        match socket.next().await.context("connection ended")?? {
            Message::Text(text) => return Ok(serde_json::from_str(&text)?),
            Message::Close(frame) => bail!("closed: {frame:?}"),
            _ => {}
        }
    }
}

/// `control.md` §4.1, about 1.2 KB with envelope and token.
fn status(token: &str) -> String {
    let interface = |name: &str, ip: &str| {
        json!({ "name": name, "type": "cellular", "state": "connected", "ip": ip, "carrier": "T-Mobile",
                "signal_dbm": -72, "technology": "LTE" })
    };
    let payload = json!({
        "network_interfaces": [interface("wwan0", "10.45.0.2"), interface("wwan1", "10.46.0.3"),
            { "name": "eth0", "type": "ethernet", "state": "disconnected" }],
        "media_inputs": [{ "device": "/dev/video0", "type": "v4l2", "label": "HDMI Capture - USB Video",
            "capabilities": ["1920x1080@30", "1280x720@60"], "status": "available" }],
        "saved_media": [{ "path": "/home/strata/media/test-pattern.mp4", "name": "test-pattern.mp4",
            "size_mb": 42, "duration_s": 120 }],
        "stream_state": "idle", "cpu_percent": 12.5, "mem_used_mb": 180, "uptime_s": 86400,
    });
    json!({ "id": "018f3d5e-0000-7000-8000-000000000000", "type": "device.status",
            "ts": "2026-02-14T10:30:00.000Z", "token": token, "payload": payload })
    .to_string()
}

fn connector(dir: &Path) -> Result<TlsConnector> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(dir.join("tls/ca.crt"))?)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The server's process; ends with this.
struct Running(Child);

struct Usage {
    rss_kib: f64,
    cpu_s: f64,
}

impl Running {
    fn usage(&self) -> Result<Usage> {
        // What connections just closed or answered is freed a moment later.
        std::thread::sleep(Duration::from_secs(1));
        let pid = self.0.id();
        let status = std::fs::read_to_string(process::folder(pid).join("status"))?;
        let rss = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
        let rss_kib = rss.trim().trim_end_matches(" kB").trim().parse()?;
        Ok(Usage { rss_kib, cpu_s: process::cpu_seconds(pid)? })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn start(dir: &Path, sessions: usize) -> Result<Running> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").arg(dir).arg(sessions.to_string());
    Ok(Running(command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?))
}

async fn serve(dir: &Path, sessions: usize) -> Result<()> {
    let names = ["localhost".to_owned()];
    let identity = Identity::from_own_ca(&dir.join("tls"), &names, now())?;
    let config = Config { data_dir: dir.to_owned(), ca: identity.ca(), ..Config::default() };
    let (server, driver) = Server::load(config).await?;
    tokio::spawn(driver.run());
    let owner = "usr_bench".parse()?;
    let mut tokens = std::io::BufWriter::new(std::fs::File::create(dir.join("tokens"))?);
    for _ in 0..sessions {
        let created = server.fleet().create_sender(&owner, "bench", None).await?;
        writeln!(tokens, "{}", created.token.expose())?;
    }
    tokens.into_inner()?.sync_all()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    println!("{}", listener.local_addr()?);
    let (_keep, tls) = tokio::sync::watch::channel(identity.server_config()?);
    tls::Server::new(listener, tls, server.router(), ServeLimits::default())
        .run(std::future::pending())
        .await;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "a driver: certificates need the time")]
fn now() -> strata_proto::time::Timestamp {
    std::time::SystemTime::now().into()
}

/// Connections before the measurement.
const WARM_UP: usize = 200;
