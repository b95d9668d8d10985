//! A client of the REST API, as a dashboard would be.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use reqwest::{Method, StatusCode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use strata_proto::control::{
    LoginRequest, LoginTokens, Problem, SenderCreate, SenderCreated, SenderView, StartStream, StreamView,
    UpdateStream,
};
use strata_proto::id::{SenderId, StreamId};
use strata_proto::token::Secret;
use thiserror::Error;

/// Longest time one call may take.
const CALL: Duration = Duration::from_secs(60);

/// A call that did not give what was asked for.
#[derive(Debug, Error)]
pub enum CallError {
    /// The control plane refused, and said why.
    #[error("{} ({} {}){}", .0.detail, .0.status, .0.code, .0.field.as_ref().map(|f| format!(" at {f}")).unwrap_or_default())]
    Refused(Problem),
    /// It answered something that is neither a result nor a problem document.
    #[error("{status}: {text}")]
    Garbled {
        /// The HTTP status.
        status: StatusCode,
        /// The body, and what is wrong with it.
        text: String,
    },
    /// It could not be reached.
    #[error(transparent)]
    Unreachable(#[from] reqwest::Error),
}

impl CallError {
    /// The HTTP status and the code of a refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<(u16, &str)> {
        match self {
            Self::Refused(problem) => Some((problem.status, &problem.code)),
            _ => None,
        }
    }
}

/// A user's connection to the REST API.
#[derive(Debug, Clone)]
pub struct Rest {
    client: reqwest::Client,
    base: String,
    token: Option<Secret>,
}

impl Rest {
    /// A client that trusts the CA whose certificate is in the file `ca`, and no other; not logged in.
    ///
    /// # Errors
    /// When the file holds no certificate.
    pub fn new(base: &str, ca: &Path) -> Result<Self> {
        crate::live::install_provider();
        let pem = std::fs::read(ca).with_context(|| ca.display().to_string())?;
        let client = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&pem)?])
            .no_proxy()
            .timeout(CALL)
            .build()?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), token: None })
    }

    /// Logs in; later calls are made as this user.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn login(&mut self, email: &str, password: &str) -> Result<LoginTokens, CallError> {
        let body = LoginRequest { email: email.to_owned(), password: Secret::new(password) };
        let tokens: LoginTokens = self.call(Method::POST, "/api/auth/login", Some(&body)).await?;
        self.token = Some(tokens.token.clone());
        Ok(tokens)
    }

    /// The access token, once logged in.
    #[must_use]
    pub fn token(&self) -> Option<&Secret> {
        self.token.as_ref()
    }

    /// Creates a sender.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn create_sender(&self, name: &str) -> Result<SenderCreated, CallError> {
        let body = SenderCreate { name: name.to_owned(), ..SenderCreate::default() };
        self.call(Method::POST, "/api/senders", Some(&body)).await
    }

    /// Looks at a sender.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn sender(&self, id: &SenderId) -> Result<SenderView, CallError> {
        self.call(Method::GET, &format!("/api/senders/{id}"), None::<&()>).await
    }

    /// Deletes a sender, which revokes its device.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn delete_sender(&self, id: &SenderId) -> Result<(), CallError> {
        self.send(Method::DELETE, &format!("/api/senders/{id}"), None::<&()>).await.map(|_| ())
    }

    /// Starts a stream.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn start(&self, id: &SenderId, stream: &StartStream) -> Result<StreamView, CallError> {
        self.call(Method::POST, &format!("/api/senders/{id}/stream/start"), Some(stream)).await
    }

    /// Changes a sender's running stream.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn update(&self, id: &SenderId, change: &UpdateStream) -> Result<StreamView, CallError> {
        self.call(Method::POST, &format!("/api/senders/{id}/stream/update"), Some(change)).await
    }

    /// Stops a sender's stream.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn stop(&self, id: &SenderId) -> Result<StreamView, CallError> {
        let path = format!("/api/senders/{id}/stream/stop");
        self.call(Method::POST, &path, Some(&serde_json::json!({}))).await
    }

    /// Looks at a stream.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn stream(&self, id: &StreamId) -> Result<StreamView, CallError> {
        self.call(Method::GET, &format!("/api/streams/{id}"), None::<&()>).await
    }

    /// Makes a call, and reads the answer as `T`.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn call<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<T, CallError> {
        let (status, text) = self.send(method, path, body).await?;
        serde_json::from_str(&text).map_err(|e| CallError::Garbled { status, text: format!("{text}: {e}") })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<(StatusCode, String), CallError> {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token.expose());
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if status.is_success() {
            return Ok((status, text));
        }
        Err(match serde_json::from_str(&text) {
            Ok(problem) => CallError::Refused(problem),
            Err(_) => CallError::Garbled { status, text },
        })
    }

    /// Looks at anything, as JSON.
    ///
    /// # Errors
    /// [`CallError`]
    pub async fn get(&self, path: &str) -> Result<Value, CallError> {
        self.call(Method::GET, path, None::<&()>).await
    }
}
