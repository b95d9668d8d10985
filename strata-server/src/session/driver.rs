//! The short loop between one WebSocket, the machine and the fleet.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{SinkExt as _, StreamExt as _};
use strata_proto::control::{ErrorCode, Fault, JOURNAL_MESSAGES, StreamEnded};
use strata_proto::id::MessageId;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::sync::OwnedSemaphorePermit;
use tokio_tungstenite::WebSocketStream;
use tungstenite::protocol::frame::coding::CloseCode;
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Bytes, Message, Utf8Bytes};

use super::Close;
use super::connection::{Connection, Outgoing};
use super::gate::Gate;
use super::machine::{Attempt, Input, Limits, Output, Report, Session};
use super::places::Pending;
use crate::clock::Now;
use crate::config::SessionConfig;
use crate::fleet::Fleet;

/// How a WebSocket is read: a small buffer, for most connections are idle most of the time.
pub(crate) fn websocket_config(max_message_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_write_buffer_size(max_message_bytes.saturating_add(WRITE_SPARE))
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes))
}

/// Serves one agent until its connection ends. The gate is lifted, and the place of strangers left for
/// one of agents, when it has logged in.
pub(crate) async fn serve<S>(
    socket: WebSocketStream<Gate<S>>,
    pending: Pending,
    fleet: Fleet,
    config: &SessionConfig,
) where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let seed = u64::from_le_bytes(crate::entropy::bytes());
    let mut driver = Driver {
        socket,
        session: Session::new(Now::read(), Limits::from(config), seed),
        fleet,
        connection: None,
        pending: Some(pending),
        place: None,
        ends: FuturesUnordered::new(),
        waiting_ends: VecDeque::new(),
        write_timeout: Duration::from_secs(config.write_timeout_s),
    };
    let end = driver.run().await;
    Box::pin(driver.finish(end)).await;
}

struct Driver<S> {
    socket: WebSocketStream<Gate<S>>,
    session: Session,
    fleet: Fleet,
    connection: Option<Arc<Connection>>,
    /// Until the login is accepted.
    pending: Option<Pending>,
    /// From then on.
    place: Option<OwnedSemaphorePermit>,
    /// `stream.ended` being stored.
    ends: FuturesUnordered<BoxFuture<'static, (MessageId, Result<(), Fault>)>>,
    /// `stream.ended` that wait for their turn.
    waiting_ends: VecDeque<(MessageId, StreamEnded)>,
    write_timeout: Duration,
}

/// How a connection ended.
enum End {
    /// We close it.
    Close(Close),
    /// The peer closed it.
    Closed,
    /// The socket broke.
    Lost,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Driver<S> {
    async fn run(&mut self) -> End {
        loop {
            let deadline = match self.drain().await {
                Ok(deadline) => deadline,
                Err(end) => return end,
            };
            let step = tokio::select! {
                frame = self.socket.next() => self.on_frame(frame),
                out = outgoing(self.connection.as_deref()) => match out {
                    Outgoing::Text(text) => self.write(Message::text(text)).await,
                    Outgoing::Close(why) => Err(End::Close(why)),
                },
                Some((id, result)) = self.ends.next() => {
                    self.session.handle_input(Now::read(), Input::EndStored(id, result));
                    self.store_ends();
                    Ok(())
                }
                () = tokio::time::sleep_until(deadline) => {
                    self.session.handle_input(Now::read(), Input::Timeout);
                    Ok(())
                }
            };
            if let Err(end) = step {
                return end;
            }
        }
    }

    /// Does what the machine wants, until it wants to wait.
    async fn drain(&mut self) -> Result<tokio::time::Instant, End> {
        loop {
            match self.session.poll_output() {
                Output::Transmit(text) => self.write(Message::text(text)).await?,
                Output::Ping => self.write(Message::Ping(Bytes::new())).await?,
                Output::Authenticate(attempt) => self.authenticate(attempt).await?,
                Output::Report(id, report) => self.on_report(id, report),
                Output::Close(why) => return Err(End::Close(why)),
                Output::Timeout(at) => return Ok(at.into()),
            }
        }
    }

    async fn authenticate(&mut self, attempt: Attempt) -> Result<(), End> {
        // Before the fleet lets the login replace another connection.
        let place = match self.pending.as_ref().map(Pending::agent) {
            Some(None) => return Err(End::Close(Close::Full)),
            Some(place) => place,
            None => None,
        };
        let current = self.connection.as_ref();
        // Boxed: its state is large, and an idle connection must not carry room for it.
        let asked = Box::pin(self.fleet.authenticate(attempt, current, crate::clock::wall()));
        let (verdict, connection) = asked.await;
        if connection.is_some() {
            self.connection = connection;
            if self.pending.take().is_some() {
                self.place = place;
                self.socket.get_mut().lift();
            }
        }
        self.session.handle_input(Now::read(), Input::Verdict(verdict));
        Ok(())
    }

    fn on_frame(&mut self, frame: Option<Result<Message, tungstenite::Error>>) -> Result<(), End> {
        let now = Now::read();
        match frame {
            Some(Ok(Message::Text(text))) => self.session.handle_input(now, Input::Text(&text)),
            Some(Ok(Message::Binary(_))) => self.session.handle_input(now, Input::Binary),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                self.session.handle_input(now, Input::Alive);
            }
            Some(Ok(Message::Close(_))) => return Err(End::Closed),
            Some(Err(tungstenite::Error::Capacity(_))) => self.session.handle_input(now, Input::TooBig),
            Some(Err(tungstenite::Error::Io(_))) if self.socket.get_ref().is_spent() => {
                self.session.handle_input(now, Input::TooBig);
            }
            Some(Err(tungstenite::Error::Utf8(_))) => return Err(End::Close(Close::NotText)),
            Some(Err(_)) | None => return Err(End::Lost),
        }
        if let (Some(sender), Some(connection)) = (self.session.sender(), &self.connection) {
            self.fleet.heard(sender, connection.generation, now.wall);
        }
        Ok(())
    }

    fn on_report(&mut self, id: MessageId, report: Report) {
        let (Some(sender), Some(connection)) = (self.session.sender(), &self.connection) else { return };
        let now = crate::clock::wall();
        let generation = connection.generation;
        match report {
            Report::Status(status) => self.fleet.on_status(sender, generation, status, now),
            Report::Stats(stats) => self.fleet.on_stats(sender, generation, stats),
            Report::Progress(progress) => self.fleet.on_progress(sender, generation, &progress, now),
            Report::Reply(kind, reply) => {
                // Nobody waits when the request's time is over; the agent has done its part.
                connection.answer(&id, kind, reply);
            }
            Report::Ended(_) if self.waiting_ends.len() >= JOURNAL_MESSAGES => {
                let fault = Fault::new(ErrorCode::RATE_LIMITED, "too many at once; send it again later");
                self.ends.push(Box::pin(std::future::ready((id, Err(fault)))));
            }
            Report::Ended(ended) => {
                self.waiting_ends.push_back((id, ended));
                self.store_ends();
            }
        }
    }

    /// Stores what waits, a few at once: the database has one writer, which is everybody's.
    fn store_ends(&mut self) {
        while self.ends.len() < ENDS_AT_ONCE
            && let Some((id, ended)) = self.waiting_ends.pop_front()
        {
            let (observer, sender) = (self.fleet.observer(), self.session.sender().cloned());
            self.ends.push(Box::pin(async move {
                match (observer, sender) {
                    (Some(observer), Some(sender)) => (id, observer.on_stream_ended(&sender, ended).await),
                    _ => (id, Ok(())),
                }
            }));
        }
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        match tokio::time::timeout(self.write_timeout, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(End::Lost),
            Err(_) => Err(End::Close(Close::SlowPeer)),
        }
    }

    /// Tells the fleet at once, then says goodbye.
    async fn finish(mut self, end: End) {
        let cause = match &end {
            End::Close(why) => why.cause(),
            End::Closed => "closed",
            End::Lost => "connection_lost",
        };
        if let Some(connection) = self.connection.take() {
            connection.ended();
            if let Some(sender) = self.session.sender() {
                self.fleet.connection_lost(sender, connection.generation, cause, crate::clock::wall());
            }
        }
        tracing::debug!(sender = self.session.sender().map(|s| s.as_str()), cause, "agent connection ended");
        // What still comes is only thrown away.
        self.socket.get_mut().lift();
        let goodbye = async {
            match end {
                End::Close(why) => goodbye(&mut self.socket, why.code(), why.reason()).await,
                // Writes the answer to the peer's close frame.
                End::Closed => drop(self.socket.flush().await),
                End::Lost => {}
            }
        };
        let _ = tokio::time::timeout(GOODBYE_TIMEOUT, goodbye).await;
    }
}

/// Sends a close frame and reads what the peer still sends: closing a socket with unread data resets the
/// connection, and the peer would never see the close code.
pub(crate) async fn goodbye<S>(socket: &mut WebSocketStream<S>, code: u16, reason: &'static str)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let frame = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
    if socket.send(Message::Close(Some(frame))).await.is_err() {
        return;
    }
    let mut left = MAX_DRAINED;
    let mut buffer = vec![0; 4096];
    while left > 0 {
        match socket.get_mut().read(&mut buffer).await {
            Ok(n) if n > 0 => left = left.saturating_sub(n),
            _ => return,
        }
    }
}

async fn outgoing(connection: Option<&Connection>) -> Outgoing {
    match connection {
        Some(connection) => connection.outgoing().await,
        None => std::future::pending().await,
    }
}

/// tungstenite's default of 128 KiB costs ten times the memory per idle connection.
const READ_BUFFER: usize = 4096;
/// Room for frame headers and a close frame beside the largest message.
const WRITE_SPARE: usize = 4096;
/// `stream.ended` of one agent being stored at once; a journal of them may wait.
const ENDS_AT_ONCE: usize = 16;
/// How long a goodbye may take; then the socket is dropped.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(3);
/// How much of what a peer still sends is read while saying goodbye.
const MAX_DRAINED: usize = 16 * 1024 * 1024;
