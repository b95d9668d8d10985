//! A control plane in this process, on a port of the kernel's choice, and agents that talk to it.
#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "tests dial and read the clock")]

use std::net::SocketAddr;
use std::sync::Once;
use std::time::{Duration, SystemTime};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use strata_proto::control::{Role, SenderCreated};
use strata_proto::id::UserId;
use strata_proto::time::Timestamp;
use strata_proto::token::Secret;
use strata_server::fleet::NewUser;
use strata_server::{Config, Server};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tungstenite::Message;

pub(crate) const PASSWORD: &str = "correct horse";

/// A control plane; everything it started ends with it.
pub(crate) struct Place {
    pub(crate) server: Server,
    pub(crate) address: SocketAddr,
    pub(crate) http: reqwest::Client,
    dir: TempDir,
    tasks: JoinSet<()>,
}

impl Place {
    pub(crate) async fn new() -> Self {
        Self::with(|_| ()).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), change).await
    }

    pub(crate) async fn on(dir: TempDir, change: impl FnOnce(&mut Config)) -> Self {
        static PROVIDER: Once = Once::new();
        PROVIDER.call_once(|| drop(rustls::crypto::aws_lc_rs::default_provider().install_default()));
        let mut config = Config { data_dir: dir.path().to_owned(), ..Config::default() };
        change(&mut config);
        let (server, driver) = Server::load(config).await.unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = server.router().into_make_service_with_connect_info::<SocketAddr>();
        let mut tasks = JoinSet::new();
        tasks.spawn(driver.run());
        tasks.spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { server, address, http: reqwest::Client::new(), dir, tasks }
    }

    /// Stops it and gives its data directory back.
    pub(crate) async fn stop(mut self) -> TempDir {
        self.server.shutdown().await;
        self.tasks.shutdown().await;
        self.dir
    }

    pub(crate) async fn user(&self, name: &str, role: Role, account: Option<UserId>) -> User {
        let email = format!("{name}@example.com");
        let new = NewUser { email: email.clone(), password: Secret::new(PASSWORD), role, account };
        let view = self.server.users().create(new).await.unwrap();
        let tokens = self.server.users().login(&email, Secret::new(PASSWORD)).await.unwrap();
        User { id: view.id, token: tokens.token.expose().to_owned() }
    }

    pub(crate) async fn admin(&self) -> User {
        self.user("admin", Role::Admin, None).await
    }

    /// `(status, body)`; an empty body is null.
    pub(crate) async fn call(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Body<'_>,
    ) -> (u16, Value) {
        let mut request =
            self.http.request(method.parse().unwrap(), format!("http://{}{path}", self.address));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request = match body {
            Body::None => request,
            Body::Json(value) => request.json(value),
            Body::Text(text) => request.header("content-type", "application/json").body(text.to_owned()),
        };
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        let body =
            if text.is_empty() { Value::Null } else { serde_json::from_str(&text).unwrap_or(text.into()) };
        (status, body)
    }

    pub(crate) async fn create_sender(&self, user: &User) -> SenderCreated {
        let body = json!({ "name": "Camera" });
        let (status, body) = self.call("POST", "/api/senders", Some(&user.token), Body::Json(&body)).await;
        assert_eq!(status, 201, "{body}");
        serde_json::from_value(body).unwrap()
    }

    pub(crate) async fn dial(&self, path: &str) -> Wire {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}{path}", self.address);
        let (socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
        Wire { socket }
    }

    /// Status of the answer to a WebSocket that is not accepted.
    pub(crate) async fn refused(&self, path: &str) -> u16 {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let url = format!("ws://{}{path}", self.address);
        match tokio_tungstenite::client_async(url, stream).await {
            Err(tungstenite::Error::Http(response)) => response.status().as_u16(),
            other => panic!("{other:?}"),
        }
    }

    /// A new sender of `user`, enrolled and connected.
    pub(crate) async fn agent(&self, user: &User) -> Agent {
        let created = self.create_sender(user).await;
        self.enroll(created.enrollment_token.expose()).await
    }

    pub(crate) async fn enroll(&self, token: &str) -> Agent {
        let mut wire = self.dial("/agent/ws").await;
        wire.say("1", "auth.login", None, &about(json!({ "enrollment_token": token }))).await;
        Agent::opened(wire).await
    }

    /// The same sender once more, by its device key.
    pub(crate) async fn agent_again(&self, agent: &Agent) -> Agent {
        let mut wire = self.dial("/agent/ws").await;
        let login = json!({ "sender_id": agent.sender, "device_key": agent.device_key });
        wire.say("1", "auth.login", None, &about(login)).await;
        Agent::opened(wire).await
    }
}

/// A body to send.
pub(crate) enum Body<'a> {
    None,
    Json(&'a Value),
    Text(&'a str),
}

pub(crate) struct User {
    pub(crate) id: UserId,
    pub(crate) token: String,
}

/// The client's end of a WebSocket.
pub(crate) struct Wire {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Wire {
    pub(crate) async fn say(&mut self, id: &str, kind: &str, token: Option<&str>, payload: &Value) {
        let mut message = json!({ "id": id, "type": kind, "ts": now(), "payload": payload });
        if let Some(token) = token {
            message["token"] = token.into();
        }
        self.text(&message.to_string()).await;
    }

    pub(crate) async fn text(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    /// The next text frame as JSON.
    pub(crate) async fn hear(&mut self) -> Value {
        loop {
            match within(self.socket.next()).await.expect("the connection lives").unwrap() {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Close(frame) => panic!("closed: {frame:?}"),
                _ => {}
            }
        }
    }

    /// Code of the close frame, after whatever else comes.
    pub(crate) async fn closed(&mut self) -> u16 {
        loop {
            let message = within(self.socket.next()).await.expect("a close frame").unwrap();
            if let Message::Close(frame) = message {
                return frame.expect("a close code").code.into();
            }
        }
    }
}

/// A connected agent that was given a device key.
pub(crate) struct Agent {
    pub(crate) wire: Wire,
    pub(crate) sender: String,
    pub(crate) token: String,
    pub(crate) device_key: Option<String>,
}

impl Agent {
    async fn opened(mut wire: Wire) -> Self {
        let answer = wire.hear().await;
        let payload = &answer["payload"];
        assert_eq!(payload["success"], true, "{answer}");
        let text = |key: &str| payload[key].as_str().map(str::to_owned);
        Self {
            sender: text("sender_id").unwrap(),
            token: text("session_token").unwrap(),
            device_key: text("device_key"),
            wire,
        }
    }

    pub(crate) async fn say(&mut self, id: &str, kind: &str, payload: &Value) {
        let token = self.token.clone();
        self.wire.say(id, kind, Some(&token), payload).await;
    }

    /// Sends a status and waits for its answer: the connection lives.
    pub(crate) async fn lives(&mut self) {
        self.say("alive", "device.status", &status()).await;
        let answer = self.wire.hear().await;
        assert_eq!(
            (&answer["id"], &answer["payload"]["success"]),
            (&json!("alive"), &json!(true)),
            "{answer}"
        );
    }
}

pub(crate) fn about(mut login: Value) -> Value {
    for (key, value) in [("agent_version", "0.1.0"), ("hostname", "field-1"), ("arch", "aarch64")] {
        login[key] = value.into();
    }
    login
}

pub(crate) fn status() -> Value {
    json!({ "network_interfaces": [], "media_inputs": [], "stream_state": "idle", "cpu_percent": 12.5,
            "mem_used_mb": 180, "uptime_s": 86400 })
}

pub(crate) fn now() -> Timestamp {
    SystemTime::now().into()
}

/// A test that hangs should say where.
pub(crate) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it comes in time")
}
