//! A control plane on a runtime of its own, so that it can be killed and started again.

use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, Ordering};

use futures_util::{SinkExt as _, StreamExt as _};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use strata_proto::control::{LiveEvent, LiveFrame, Role, SenderCreated, StreamLife, StreamView};
use strata_proto::id::{SenderId, StreamId};
use strata_proto::token::Secret;
use strata_server::control::StreamsConfig;
use strata_server::fleet::{NewUser, Users};
use strata_server::store::Store;
use strata_server::{Config, Server};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio_tungstenite::tungstenite::Message as Frame;

use crate::agent::{Agent, Manner};

pub(crate) struct World {
    dir: TempDir,
    pub(crate) config: StreamsConfig,
    running: Option<Running>,
    http: reqwest::Client,
    token: String,
}

struct Running {
    runtime: Runtime,
    address: String,
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.runtime.shutdown_background();
        }
        // Receivers outlive the control plane, but not the test.
        for entry in std::fs::read_dir(self.run_dir()).into_iter().flatten().flatten() {
            if let Ok(mut receiver) = UnixStream::connect(entry.path()) {
                drop(receiver.write_all(b"{\"cmd\":\"stop\"}\n"));
            }
        }
    }
}

/// Events of `stream:*` on `/api/ws`.
pub(crate) struct Live {
    socket: tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>,
}

impl World {
    /// Two port pairs on a loopback address of its own; `change` adapts the rest.
    pub(crate) async fn new(change: impl FnOnce(&mut StreamsConfig)) -> Self {
        static COUNT: AtomicU8 = AtomicU8::new(1);
        let pid = std::process::id().to_be_bytes();
        let address = Ipv4Addr::new(127, pid[2].max(1), pid[3], COUNT.fetch_add(1, Ordering::SeqCst));
        let dir = tempfile::tempdir().unwrap();
        let receiver = dir.path().join("receiver");
        std::fs::write(&receiver, include_bytes!("receiver.py")).unwrap();
        std::fs::set_permissions(&receiver, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut config = StreamsConfig {
            bind: IpAddr::V4(address),
            hosts: vec![address.to_string()],
            ports: 15_000..=15_003,
            receiver: Some(receiver),
            ready_timeout_s: 20,
            ..StreamsConfig::default()
        };
        change(&mut config);
        drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
        let http = reqwest::Client::new();
        let mut world = Self { dir, config, running: None, http, token: String::new() };
        let users = Users::open(&world.server_config()).await.unwrap();
        let (email, password) = ("admin@example.com".to_owned(), Secret::new("correct horse battery"));
        users.create(NewUser { email, password, role: Role::Admin, account: None }).await.unwrap();
        world.start().await;
        let login = json!({"email": "admin@example.com", "password": "correct horse battery"});
        let tokens = world.call(Method::POST, "/api/auth/login", Some(login)).await.1;
        world.token = tokens["token"].as_str().unwrap().to_owned();
        world
    }

    pub(crate) async fn start(&mut self) {
        let runtime = Runtime::new().unwrap();
        let config = self.server_config();
        let started = runtime.spawn(async move {
            let (server, driver) = Server::load(config).await.unwrap();
            tokio::spawn(driver.run());
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let app = server.router().into_make_service_with_connect_info::<std::net::SocketAddr>();
            tokio::spawn(async move {
                let _server = server;
                axum::serve(listener, app).await.unwrap();
            });
            address.to_string()
        });
        let address = started.await.unwrap();
        self.running = Some(Running { runtime, address });
    }

    /// Ends the control plane between two instructions, as kill -9 would.
    pub(crate) fn kill(&mut self) {
        self.running.take().unwrap().runtime.shutdown_background();
    }

    pub(crate) fn run_dir(&self) -> PathBuf {
        self.dir.path().join("data/run")
    }

    /// Where a stream's receiver writes what it has to say.
    pub(crate) fn log(&self, id: &StreamId) -> PathBuf {
        self.run_dir().join(format!("{id}.log"))
    }

    pub(crate) async fn store(&self) -> Store {
        Store::open(&self.dir.path().join("data/strata.db")).await.unwrap()
    }

    pub(crate) fn agent_url(&self) -> String {
        format!("ws://{}/agent/ws", self.running.as_ref().unwrap().address)
    }

    pub(crate) async fn agent(&self, manner: Manner) -> Agent {
        let (status, created) = self.call(Method::POST, "/api/senders", Some(json!({"name": "van"}))).await;
        assert_eq!(status, StatusCode::CREATED, "{created}");
        let created: SenderCreated = serde_json::from_value(created).unwrap();
        Agent::enroll(&self.agent_url(), created.enrollment_token.expose(), manner).await
    }

    pub(crate) async fn start_stream(&self, sender: &SenderId, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, &format!("/api/senders/{sender}/stream/start"), Some(body)).await
    }

    pub(crate) async fn stop_stream(&self, sender: &SenderId) -> (StatusCode, Value) {
        self.call(Method::POST, &format!("/api/senders/{sender}/stream/stop"), None).await
    }

    pub(crate) async fn update_stream(&self, sender: &SenderId, body: Value) -> (StatusCode, Value) {
        self.call(Method::POST, &format!("/api/senders/{sender}/stream/update"), Some(body)).await
    }

    pub(crate) async fn stream(&self, id: &StreamId) -> StreamView {
        let (status, view) = self.call(Method::GET, &format!("/api/streams/{id}"), None).await;
        assert_eq!(status, StatusCode::OK, "{view}");
        serde_json::from_value(view).unwrap()
    }

    pub(crate) async fn presence(&self, sender: &SenderId) -> Value {
        let (status, view) = self.call(Method::GET, &format!("/api/senders/{sender}"), None).await;
        assert_eq!(status, StatusCode::OK, "{view}");
        view["presence"].clone()
    }

    pub(crate) async fn metrics(&self) -> String {
        let url = format!("http://{}/metrics", self.running.as_ref().unwrap().address);
        self.http.get(url).send().await.unwrap().text().await.unwrap()
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> (StatusCode, Value) {
        let url = format!("http://{}{path}", self.running.as_ref().unwrap().address);
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await.unwrap();
        (response.status(), response.json().await.unwrap_or_default())
    }

    pub(crate) async fn live(&self) -> Live {
        let url = format!("ws://{}/api/ws", self.running.as_ref().unwrap().address);
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let hello = json!({"token": self.token, "subscribe": ["stream:*"]});
        socket.send(Frame::text(hello.to_string())).await.unwrap();
        let mut live = Live { socket };
        while !matches!(live.frame().await, LiveFrame::Snapshot { .. }) {}
        live
    }

    fn server_config(&self) -> Config {
        let data_dir = self.dir.path().join("data");
        Config { data_dir, streams: self.config.clone(), ..Config::default() }
    }
}

impl Live {
    /// Waits until the stream is in this state.
    pub(crate) async fn state(&mut self, wanted: StreamLife) -> StreamView {
        self.until("stream.state", |view: &StreamView| view.state == wanted).await
    }

    /// Waits for an event of this name whose data fit.
    pub(crate) async fn until<T: serde::de::DeserializeOwned>(
        &mut self,
        name: &str,
        fits: impl Fn(&T) -> bool,
    ) -> T {
        loop {
            let (event, data) = self.event().await;
            if event == name {
                let data = serde_json::from_value(data).unwrap();
                if fits(&data) {
                    return data;
                }
            }
        }
    }

    /// The next event's name and data.
    pub(crate) async fn event(&mut self) -> (String, Value) {
        loop {
            if let LiveFrame::Event(LiveEvent { event, data, .. }) = self.frame().await {
                return (event, data);
            }
        }
    }

    async fn frame(&mut self) -> LiveFrame {
        loop {
            let frame = self.socket.next().await.unwrap().unwrap();
            if let Frame::Text(text) = frame {
                return serde_json::from_str(&text).unwrap();
            }
        }
    }
}
