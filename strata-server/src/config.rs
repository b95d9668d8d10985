//! Configuration: TOML text to typed, checked values. An error names the key and says why.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use strata_proto::control::JOURNAL_MESSAGES;
use strata_proto::token::Fingerprint;
use thiserror::Error;
use url::Url;

use crate::control::StreamsConfig;
use crate::event::Room;

/// Everything a control plane needs to know. Unknown keys are an error.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where database, keys and recordings live (default `/var/lib/strata`).
    pub data_dir: PathBuf,
    /// How agents and people reach this control plane, such as `https://control.example.com`
    /// (default `https://localhost:8443`): https only, and nothing after the port.
    pub public_url: Url,
    /// Issuer of session tokens (default `strata-control`).
    pub name: String,
    /// Agents' connections.
    pub session: SessionConfig,
    /// Senders and users.
    pub fleet: FleetConfig,
    /// REST and live WebSocket.
    pub http: HttpConfig,
    /// Streams, ports and receivers.
    pub streams: StreamsConfig,
    /// Fingerprint of the control plane's own CA, put into enrolment strings. Not read from the file:
    /// whoever makes the CA fills it in.
    #[serde(skip)]
    pub ca: Option<Fingerprint>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            data_dir: PathBuf::from("/var/lib/strata"),
            public_url: default_url(),
            name: "strata-control".to_owned(),
            session: SessionConfig::default(),
            fleet: FleetConfig::default(),
            http: HttpConfig::default(),
            streams: StreamsConfig::default(),
            ca: None,
        }
    }
}

impl Config {
    /// Its keys at the top of the file, for programs that have more of their own.
    pub const KEYS: [&str; 7] = ["data_dir", "public_url", "name", "session", "fleet", "http", "streams"];

    /// Reads TOML text and checks it.
    ///
    /// # Errors
    /// [`ConfigError`] naming the key, such as `session.token_ttl_s`, and what is wrong with it.
    pub fn from_toml(text: &str) -> Result<Self, ConfigError> {
        let de =
            toml::Deserializer::parse(text).map_err(|e| ConfigError::new(".", e.message().to_owned()))?;
        let config: Self = serde_path_to_error::deserialize(de).map_err(|e| {
            let reason = e.inner().message().to_owned();
            ConfigError::new(e.path().to_string(), reason)
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks what types alone cannot say. [`crate::Server::load`] calls it too.
    ///
    /// # Errors
    /// [`ConfigError`] naming the first key that cannot be served.
    pub fn check(&self) -> Result<(), ConfigError> {
        check_public(&self.public_url)?;
        self.session.check()?;
        self.fleet.check()?;
        self.http.check()?;
        self.streams.check()?;
        crate::control::run_dir::check(&self.streams.run_dir(&self.data_dir))
    }

    /// Where agents connect: `wss://host[:port]/agent/ws`.
    #[must_use]
    pub fn agent_url(&self) -> Url {
        let mut url = self.public_url.clone();
        // Both are special schemes, so the change is always allowed.
        let _ = url.set_scheme("wss");
        url.set_path("/agent/ws");
        url
    }
}

/// `[session]`: limits and times of agents' connections.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionConfig {
    /// Seconds until a new connection must have logged in (default 10).
    pub login_timeout_s: u64,
    /// Life of a session token, seconds (default 3600).
    pub token_ttl_s: u64,
    /// Seconds between two pings (default 15).
    pub ping_interval_s: u64,
    /// Seconds without any frame after which a peer is dead (default 45).
    pub silence_timeout_s: u64,
    /// Largest message, bytes (default 1 MiB).
    pub max_message_bytes: usize,
    /// Bytes a connection may send until its login is accepted, all together; 1009 above (default 16 KiB).
    pub max_login_bytes: usize,
    /// Messages per second one agent may send on average (default 50).
    pub messages_per_s: u32,
    /// Messages it may send at once (default 1280: the journal of an agent that was away, at most
    /// [`JOURNAL_MESSAGES`], and what it has to say besides). So
    /// many refused ones in a row close its connection with 1008.
    pub message_burst: u32,
    /// Messages waiting for a slow agent before it is disconnected (default 64).
    pub outgoing_queue: usize,
    /// Bytes of these messages, all together (default 1 MiB); one message alone may be larger.
    pub outgoing_queue_bytes: usize,
    /// Commands that may wait for one agent's answer (default 32).
    pub pending_requests: usize,
    /// Seconds one write may take (default 10).
    pub write_timeout_s: u64,
    /// Connections of agents at once; more are refused with 503 (default 20000).
    pub max_connections: usize,
    /// Connections that have not logged in yet, at once; more are refused with 503 (default 1024).
    pub max_pending: usize,
    /// The same from one address (IPv6: one /64 network); more are refused with 429 (default 32). Behind a
    /// reverse proxy every connection has its address: 0 is no such limit.
    pub max_pending_per_address: usize,
    /// Seconds between two `device.status`, as told to agents (default 10).
    pub status_interval_s: u32,
    /// Seconds between two `stream.stats`, as told to agents (default 1).
    pub stats_interval_s: u32,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            login_timeout_s: 10,
            token_ttl_s: 3600,
            ping_interval_s: 15,
            silence_timeout_s: 45,
            max_message_bytes: strata_proto::control::MAX_MESSAGE_BYTES,
            max_login_bytes: 16 * 1024,
            messages_per_s: 50,
            message_burst: MESSAGE_BURST,
            outgoing_queue: 64,
            outgoing_queue_bytes: 1024 * 1024,
            pending_requests: 32,
            write_timeout_s: 10,
            max_connections: 20_000,
            max_pending: 1024,
            max_pending_per_address: 32,
            status_interval_s: 10,
            stats_interval_s: 1,
        }
    }
}

impl SessionConfig {
    fn check(&self) -> Result<(), ConfigError> {
        at_least("session.login_timeout_s", self.login_timeout_s, 1)?;
        at_least("session.token_ttl_s", self.token_ttl_s, 1)?;
        at_least("session.ping_interval_s", self.ping_interval_s, 1)?;
        at_least("session.max_message_bytes", self.max_message_bytes as u64, 1024)?;
        at_least("session.max_login_bytes", self.max_login_bytes as u64, 1024)?;
        at_least("session.messages_per_s", self.messages_per_s.into(), 1)?;
        at_least("session.message_burst", self.message_burst.into(), 1)?;
        at_least("session.outgoing_queue", self.outgoing_queue as u64, 1)?;
        at_least("session.outgoing_queue_bytes", self.outgoing_queue_bytes as u64, 1024)?;
        at_least("session.pending_requests", self.pending_requests as u64, 1)?;
        at_least("session.write_timeout_s", self.write_timeout_s, 1)?;
        at_least("session.max_connections", self.max_connections as u64, 1)?;
        at_least("session.max_pending", self.max_pending as u64, 1)?;
        if self.silence_timeout_s <= self.ping_interval_s {
            return Err(ConfigError::new("session.silence_timeout_s", "must be more than ping_interval_s"));
        }
        Ok(())
    }
}

/// `[fleet]`: senders and users.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct FleetConfig {
    /// Life of an enrolment token, seconds (default 86400).
    pub enrollment_ttl_s: u64,
    /// Life of a user's access token, seconds (default 3600).
    pub access_ttl_s: u64,
    /// Life of a refresh token, seconds (default 30 days).
    pub refresh_ttl_s: u64,
    /// Seconds between two batches of last-seen times written to the database (default 30).
    pub flush_interval_s: u64,
    /// Seconds that the last report of a sender that is offline stays in memory (default 86400). Then
    /// `GET /api/senders/{id}/status` answers 404 until it reports again.
    pub offline_memory_s: u64,
    /// Password hashes computed at once (default 2; each takes 19 MiB and tens of milliseconds).
    pub hashing_threads: usize,
}

impl Default for FleetConfig {
    fn default() -> Self {
        Self {
            enrollment_ttl_s: 24 * 3600,
            access_ttl_s: 3600,
            refresh_ttl_s: 30 * 24 * 3600,
            flush_interval_s: 30,
            offline_memory_s: 24 * 3600,
            hashing_threads: 2,
        }
    }
}

impl FleetConfig {
    fn check(&self) -> Result<(), ConfigError> {
        at_least("fleet.enrollment_ttl_s", self.enrollment_ttl_s, 1)?;
        at_least("fleet.access_ttl_s", self.access_ttl_s, 1)?;
        at_least("fleet.refresh_ttl_s", self.refresh_ttl_s, 1)?;
        at_least("fleet.flush_interval_s", self.flush_interval_s, 1)?;
        at_least("fleet.hashing_threads", self.hashing_threads as u64, 1)
    }
}

/// `[http]`: REST and live WebSocket.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpConfig {
    /// Largest request body, bytes (default 256 KiB).
    pub max_body_bytes: usize,
    /// Seconds one request may take (default 30).
    pub request_timeout_s: u64,
    /// Login attempts per minute and address (default 30).
    pub logins_per_min_address: u32,
    /// Login attempts per minute for one account from one address (default 10). A stranger who tries
    /// passwords is refused; the account's owner at another address is not.
    pub logins_per_min_account: u32,
    /// Login attempts per minute for one account from all addresses together (default 100): more than
    /// `logins_per_min_account`, so that it takes that many times the addresses to lock an account.
    pub logins_per_min_account_total: u32,
    /// Events waiting for one live WebSocket before it is told `lagged` (default 256).
    pub live_queue: usize,
    /// Bytes of these events, all together (default 1 MiB); one event alone may be larger.
    pub live_queue_bytes: usize,
    /// Topics one live WebSocket may subscribe (default 256).
    pub live_topics: usize,
    /// Requests per second one live WebSocket may send on average (default 10). One too many is answered
    /// `rate_limited` and not served.
    pub live_requests_per_s: u32,
    /// Requests it may send at once (default 100). So many refused ones in a row close it with 1008.
    pub live_request_burst: u32,
    /// Live WebSockets at once; more are refused with 503 (default 20000).
    pub live_connections: usize,
    /// Whether `GET /metrics` is served; it shows totals only, no names (default true).
    pub metrics: bool,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            max_body_bytes: 256 * 1024,
            request_timeout_s: 30,
            logins_per_min_address: 30,
            logins_per_min_account: 10,
            logins_per_min_account_total: 100,
            live_queue: Room::default().events,
            live_queue_bytes: Room::default().bytes,
            live_topics: 256,
            live_requests_per_s: 10,
            live_request_burst: 100,
            live_connections: 20_000,
            metrics: true,
        }
    }
}

impl HttpConfig {
    fn check(&self) -> Result<(), ConfigError> {
        at_least("http.max_body_bytes", self.max_body_bytes as u64, 1024)?;
        at_least("http.request_timeout_s", self.request_timeout_s, 1)?;
        at_least("http.logins_per_min_address", self.logins_per_min_address.into(), 1)?;
        at_least("http.logins_per_min_account", self.logins_per_min_account.into(), 1)?;
        at_least(
            "http.logins_per_min_account_total",
            self.logins_per_min_account_total.into(),
            self.logins_per_min_account.into(),
        )?;
        at_least("http.live_queue", self.live_queue as u64, 1)?;
        at_least("http.live_queue_bytes", self.live_queue_bytes as u64, 1024)?;
        at_least("http.live_topics", self.live_topics as u64, 1)?;
        at_least("http.live_requests_per_s", self.live_requests_per_s.into(), 1)?;
        at_least("http.live_request_burst", self.live_request_burst.into(), 1)?;
        at_least("http.live_connections", self.live_connections as u64, 1)
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        Duration::from_secs(self.request_timeout_s)
    }
}

/// A configuration that cannot be served: which key, and why.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("configuration key {key}: {reason}")]
pub struct ConfigError {
    /// The key, such as `session.token_ttl_s`; `.` for the whole text.
    pub key: String,
    /// What is wrong with it and what was expected.
    pub reason: String,
}

impl ConfigError {
    /// An error about one key.
    #[must_use]
    pub fn new(key: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { key: key.into(), reason: reason.into() }
    }
}

/// A journal, and room for what else an agent says in the meantime.
const MESSAGE_BURST: u32 = JOURNAL_MESSAGES as u32 + 256;

fn at_least(key: &str, value: u64, least: u64) -> Result<(), ConfigError> {
    if value >= least {
        return Ok(());
    }
    Err(ConfigError::new(key, format!("is {value}, must be at least {least}")))
}

/// Agents connect by TLS only, and to a path of their own: whatever else the address says would be dropped.
fn check_public(url: &Url) -> Result<(), ConfigError> {
    let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
    let anonymous = url.username().is_empty() && url.password().is_none();
    let reason = match (url.scheme(), url.has_host()) {
        ("http", _) => "is http://, but agents connect by TLS only; expected https://host[:port]",
        ("https", true) if bare && anonymous => return Ok(()),
        ("https", true) => "says more than where it is; expected https://host[:port] and nothing else",
        _ => "expected https://host[:port]",
    };
    Err(ConfigError::new("public_url", reason))
}

fn default_url() -> Url {
    #[expect(clippy::expect_used, reason = "a constant")]
    Url::parse("https://localhost:8443").expect("a valid address")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_keys_is_whole() {
        let error = Config::from_toml("nonsense = 1").unwrap_err();
        let listed = Config::KEYS.map(|key| format!("`{key}`")).join(", ");
        assert!(error.reason.ends_with(&format!("expected one of {listed}")), "{error}");
    }

    #[test]
    fn an_unknown_key_of_a_section_is_named_with_its_section() {
        let error = Config::from_toml("[streams]\nrecrd = true").unwrap_err();
        assert_eq!(error.key, "streams.recrd");
    }

    #[test]
    fn a_public_url_that_agents_cannot_use_is_refused() {
        let check = |url: &str| Config::from_toml(&format!("public_url = \"{url}\""));
        for url in [
            "http://control.example.com",
            "https://control.example.com/strata",
            "https://control.example.com/?a=b",
            "https://control.example.com/#a",
            "https://ann@control.example.com",
            "wss://control.example.com",
            "mailto:ann@example.com",
        ] {
            assert_eq!(check(url).unwrap_err().key, "public_url", "{url}");
        }
        for (url, agents) in [
            ("https://control.example.com", "wss://control.example.com/agent/ws"),
            ("https://[2001:db8::1]:8443/", "wss://[2001:db8::1]:8443/agent/ws"),
        ] {
            assert_eq!(check(url).unwrap().agent_url().as_str(), agents);
        }
    }

    #[test]
    fn a_directory_too_deep_for_sockets_is_named() {
        // 107 bytes: DIR/run/str_ and 32 digits and .sock
        for (length, fits) in [(61, true), (62, false)] {
            let text = format!("data_dir = \"/{}\"", "d".repeat(length - 1));
            let found = Config::from_toml(&text).map_err(|error| error.key);
            assert_eq!(found.err(), (!fits).then(|| "streams.run_dir".to_owned()), "{length}");
        }
    }
}
