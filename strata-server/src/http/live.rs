//! `WS /api/ws`: live events for dashboards and programs.
//!
//! The first frame carries the access token. Each topic subscribed is answered with a snapshot, then come
//! its events. Who asks too often is answered `rate_limited`, and closed with 1008 when that does not help.
//! Who is too slow is told `lagged` and gets fresh snapshots. Renew the token by sending
//! another before the old one expires; otherwise the connection is closed with 1008, as it is within a
//! ping's interval when the user is disabled or gets a new password.

#![expect(clippy::disallowed_methods, reason = "a driver: it waits for its token's end")]

use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use serde_json::Value;
use strata_proto::control::{ErrorCode, Fault, LiveFrame, LiveRequest, Topic};
use strata_proto::token::Secret;
use tokio::time::Instant;
use tungstenite::{Bytes, Message, Utf8Bytes};

use super::agent::full;
use super::upgrade::{Socket, Upgrade};
use super::{ApiError, App, Caller};
use crate::event::{Delivery, Room, Subscriber};
use crate::fleet::Scope;
use crate::session::bucket::{Admission, Flood};
use crate::session::{Close, driver};

pub(super) async fn connect(State(app): State<App>, upgrade: Upgrade) -> Response {
    let Some(permit) = app.live_permit() else { return full("live clients").into_response() };
    let served = app.clone();
    upgrade.accept(&app, driver::websocket_config(MAX_FRAME), move |socket| async move {
        let _permit = permit;
        let _count = Count::new(&served);
        serve(socket, served.clone()).await;
    })
}

async fn serve(socket: Socket, app: App) {
    let session = &app.config().session;
    let mut live = Live {
        socket,
        caller: None,
        last_heard: Instant::now(),
        ping_interval: Duration::from_secs(session.ping_interval_s),
        silence_timeout: Duration::from_secs(session.silence_timeout_s),
        login_timeout: Duration::from_secs(session.login_timeout_s),
        write_timeout: Duration::from_secs(session.write_timeout_s),
        flood: Flood::new(
            crate::clock::mono(),
            app.config().http.live_request_burst,
            app.config().http.live_requests_per_s,
        ),
        app,
    };
    if let Err(Some(why)) = live.run().await {
        let goodbye = driver::goodbye(&mut live.socket, why.code(), why.reason());
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, goodbye).await;
    }
}

struct Live {
    socket: Socket,
    app: App,
    caller: Option<Caller>,
    last_heard: Instant,
    ping_interval: Duration,
    silence_timeout: Duration,
    login_timeout: Duration,
    write_timeout: Duration,
    flood: Flood,
}

/// Why it ended: we close for a reason, or the peer is gone.
type End = Option<Close>;

impl Live {
    async fn run(&mut self) -> Result<(), End> {
        let first = tokio::time::timeout(self.login_timeout, self.next_request());
        let Asked { request, fault } = first.await.map_err(|_| Some(Close::Policy("no token in time")))??;
        if let (Some(fault), None) = (&fault, &request.token) {
            self.send(&LiveFrame::Error(fault.clone())).await?;
            return Err(Some(Close::Policy("the first frame must carry a token")));
        }
        let caller = self.check_token(&request).await?;
        let http = &self.app.config().http;
        let room = Room { events: http.live_queue, bytes: http.live_queue_bytes };
        let mut subscriber = self.app.events().subscriber(caller.scope(), room);
        self.caller = Some(caller);
        self.send(&LiveFrame::Ready { seq: self.app.events().seq() }).await?;
        self.apply(&mut subscriber, Asked { request, fault }).await?;
        self.follow(&mut subscriber).await
    }

    async fn follow(&mut self, subscriber: &mut Subscriber) -> Result<(), End> {
        let mut ping = tokio::time::interval(self.ping_interval);
        ping.reset();
        let closing = self.app.closing().clone();
        loop {
            let expiry = self.token_life();
            tokio::select! {
                asked = self.next_request() => {
                    self.serve(subscriber, asked?).await?;
                }
                delivery = subscriber.next() => self.deliver(subscriber, delivery).await?,
                _ = ping.tick() => {
                    if self.last_heard.elapsed() >= self.silence_timeout {
                        return Err(Some(Close::Silent));
                    }
                    self.check_admitted().await?;
                    self.write(Message::Ping(Bytes::new())).await?;
                }
                () = tokio::time::sleep(expiry) => {
                    let fault = Fault::new(ErrorCode::TOKEN_EXPIRED, "token has expired; connect again");
                    self.send(&LiveFrame::Error(fault)).await?;
                    return Err(Some(Close::Policy("token has expired")));
                }
                () = closing.cancelled() => return Err(Some(Close::GoingAway)),
            }
        }
    }

    /// One request after the first, if there are not too many.
    async fn serve(&mut self, subscriber: &mut Subscriber, asked: Asked) -> Result<(), End> {
        match self.flood.admit(crate::clock::mono()) {
            Admission::Served => {}
            Admission::Refused => {
                let message = "too many requests; wait before sending this one again";
                return self.send(&LiveFrame::Error(Fault::new(ErrorCode::RATE_LIMITED, message))).await;
            }
            Admission::Flooding => return Err(Some(Close::Policy("too many requests"))),
        }
        if asked.request.token.is_some() {
            self.renew(&asked.request).await?;
        }
        self.apply(subscriber, asked).await
    }

    async fn apply(&mut self, subscriber: &mut Subscriber, asked: Asked) -> Result<(), End> {
        let Asked { request, fault } = asked;
        if let Some(fault) = fault {
            self.send(&LiveFrame::Error(fault)).await?;
        }
        for topic in &request.unsubscribe {
            subscriber.unsubscribe(topic);
        }
        let limit = self.app.config().http.live_topics;
        for (index, topic) in request.subscribe.into_iter().enumerate() {
            // Each one asked for costs a snapshot, also one that is subscribed already or not there.
            if index >= limit || subscriber.topics().len() >= limit {
                let message = "too many topics; unsubscribe some, or use a wildcard";
                let fault = Fault::new(ErrorCode::RATE_LIMITED, message);
                self.send(&LiveFrame::Error(fault.with_field(format!("subscribe[{index}]")))).await?;
                return Ok(());
            }
            // Subscribed before the snapshot is taken, so nothing falls between the two.
            let seq = subscriber.subscribe(topic.clone());
            match Box::pin(snapshot(&self.app, subscriber.scope(), &topic)).await {
                Ok(data) => self.send(&LiveFrame::Snapshot { topic, seq, data }).await?,
                Err(error) => {
                    subscriber.unsubscribe(&topic);
                    let fault = error.into_fault().with_field(format!("subscribe[{index}]"));
                    self.send(&LiveFrame::Error(fault)).await?;
                }
            }
        }
        Ok(())
    }

    async fn deliver(&mut self, subscriber: &mut Subscriber, delivery: Delivery) -> Result<(), End> {
        let missed = match delivery {
            Delivery::Event(bytes) => {
                let text = Utf8Bytes::try_from(bytes).map_err(|_| Some(Close::Internal))?;
                return self.write(Message::Text(text)).await;
            }
            Delivery::Lagged { missed } => missed,
        };
        self.send(&LiveFrame::Lagged { missed }).await?;
        for topic in subscriber.topics().to_vec() {
            let seq = self.app.events().seq();
            match Box::pin(snapshot(&self.app, subscriber.scope(), &topic)).await {
                Ok(data) => self.send(&LiveFrame::Snapshot { topic, seq, data }).await?,
                Err(error) if error.status() == http::StatusCode::NOT_FOUND => {
                    // What was there is gone: an empty snapshot says so.
                    self.send(&LiveFrame::Snapshot { topic, seq, data: Vec::new() }).await?;
                }
                Err(_) => return Err(Some(Close::Internal)),
            }
        }
        Ok(())
    }

    async fn check_token(&mut self, request: &LiveRequest) -> Result<Caller, End> {
        let checked = match &request.token {
            Some(token) => Caller::of_token(&self.app, token.expose(), crate::clock::wall()).await,
            None => {
                let detail = "the first frame must carry a token";
                let code = ErrorCode::LOGIN_REQUIRED;
                Err(ApiError::new(http::StatusCode::UNAUTHORIZED, code, detail))
            }
        };
        match checked {
            Ok(caller) => Ok(caller),
            Err(error) => {
                self.send(&LiveFrame::Error(error.into_fault().with_field("token"))).await?;
                Err(Some(Close::Policy("no valid token")))
            }
        }
    }

    /// Takes a new token of the same user with the same rights.
    async fn renew(&mut self, request: &LiveRequest) -> Result<(), End> {
        let caller = self.check_token(request).await?;
        let same = self.caller.as_ref().is_some_and(|old| {
            old.user == caller.user && old.role == caller.role && old.account == caller.account
        });
        if !same {
            return Err(Some(Close::Policy("token of another user or role; connect again")));
        }
        self.caller = Some(caller);
        Ok(())
    }

    /// Whoever may no longer log in does not go on listening either.
    async fn check_admitted(&mut self) -> Result<(), End> {
        let Some(caller) = &self.caller else { return Ok(()) };
        match Box::pin(caller.check_admitted(&self.app)).await {
            Err(error) if error.status() == http::StatusCode::UNAUTHORIZED => {
                self.send(&LiveFrame::Error(error.into_fault().with_field("token"))).await?;
                Err(Some(Close::Policy("token was revoked")))
            }
            // A database that does not answer is no reason to send dashboards away.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn token_life(&self) -> Duration {
        let now = crate::clock::wall();
        self.caller.as_ref().map_or(Duration::ZERO, |caller| caller.expires_at.since(now))
    }

    /// The next frame that asks for something. Cancel safe.
    async fn next_request(&mut self) -> Result<Asked, End> {
        loop {
            let frame = self.socket.next().await;
            self.last_heard = Instant::now();
            match frame {
                Some(Ok(Message::Text(text))) => return Ok(Asked::decode(&text)),
                Some(Ok(Message::Binary(_))) => return Err(Some(Close::Binary)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(tungstenite::Error::Capacity(_))) => return Err(Some(Close::TooBig)),
                Some(Err(tungstenite::Error::Utf8(_))) => return Err(Some(Close::NotText)),
                Some(Ok(Message::Close(_))) => {
                    let _ = tokio::time::timeout(self.write_timeout, self.socket.flush()).await;
                    return Err(None);
                }
                Some(Err(_)) | None => return Err(None),
            }
        }
    }

    async fn send(&mut self, frame: &LiveFrame) -> Result<(), End> {
        let text = serde_json::to_string(frame).map_err(|_| Some(Close::Internal))?;
        self.write(Message::text(text)).await
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        match tokio::time::timeout(self.write_timeout, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(None),
            Err(_) => Err(Some(Close::SlowPeer)),
        }
    }
}

/// A frame of the client's.
struct Asked {
    request: LiveRequest,
    /// What did not fit. Then of the frame only its token counts.
    fault: Option<Fault>,
}

impl Asked {
    fn decode(text: &str) -> Self {
        #[derive(Deserialize)]
        struct TokenOnly {
            token: Option<Secret>,
        }
        match LiveRequest::decode(text) {
            Ok(request) => Self { request, fault: None },
            Err(error) => {
                let token = strata_proto::error::from_json(text, "").ok();
                let token = token.and_then(|TokenOnly { token }| token);
                Self {
                    request: LiveRequest { token, ..LiveRequest::default() },
                    fault: Some((&error).into()),
                }
            }
        }
    }
}

/// Counts a connection as long as it lives.
struct Count(App);

impl Count {
    fn new(app: &App) -> Self {
        app.metrics().live_connections().inc();
        Self(app.clone())
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.metrics().live_connections().dec();
    }
}

async fn snapshot(app: &App, scope: &Scope, topic: &Topic) -> Result<Vec<Value>, ApiError> {
    let fleet = app.fleet();
    match topic {
        Topic::Sender(id) => values(&[fleet.sender(scope, id).await?]),
        Topic::AllSenders => values(&fleet.senders(scope).await?),
        Topic::Stream(_) | Topic::AllStreams => {
            let one = if let Topic::Stream(id) = topic { Some(id) } else { None };
            let views = match fleet.observer() {
                Some(observer) => observer.stream_views(scope, one).await?,
                None => Vec::new(),
            };
            if one.is_some() && views.is_empty() {
                return Err(ApiError::not_found("there is no such stream"));
            }
            values(&views)
        }
        _ => Err(ApiError::not_found("there is no such topic")),
    }
}

fn values<T: serde::Serialize>(views: &[T]) -> Result<Vec<Value>, ApiError> {
    views.iter().map(serde_json::to_value).collect::<Result<_, _>>().map_err(ApiError::internal)
}

/// Requests are short; 256 topics fit.
const MAX_FRAME: usize = 64 * 1024;
/// How long a goodbye may take; then the socket is dropped.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(3);
