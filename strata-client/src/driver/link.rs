//! The transport: carries out what the machine wants of it, and reports what happens.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{Sink as _, SinkExt as _, Stream as _, StreamExt as _};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Bytes, Error, Message, Utf8Bytes};

use super::dial::{Dialer, Socket};
use crate::session::{Input, Transmit};

type Work<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One connection at a time.
pub(super) struct Link {
    dialer: Dialer,
    state: State,
    queue: VecDeque<Message>,
    /// Bytes in the queue.
    queued: usize,
    /// The previous connection saying goodbye.
    leaving: Option<Work<()>>,
}

enum State {
    Down,
    Dialing(Work<Result<Socket, String>>),
    Up(Box<Socket>),
}

/// What happened; owns what an [`Input`] borrows.
#[derive(Debug)]
pub(super) enum Incoming {
    Connected,
    DialFailed(String),
    Text(Utf8Bytes),
    Binary,
    TooBig,
    Ping,
    Pong(Bytes),
    Closed { code: u16, reason: Utf8Bytes },
    Broken(String),
}

impl Incoming {
    pub(super) fn as_input(&self) -> Input<'_> {
        match self {
            Self::Connected => Input::Connected,
            Self::DialFailed(reason) => Input::DialFailed(reason),
            Self::Text(text) => Input::Text(text),
            Self::Binary => Input::Binary,
            Self::TooBig => Input::TooBig,
            Self::Ping => Input::Ping,
            Self::Pong(payload) => Input::Pong(payload),
            Self::Closed { code, reason } => Input::Closed { code: *code, reason },
            Self::Broken(reason) => Input::Broken(reason),
        }
    }
}

impl Link {
    pub(super) fn new(dialer: Dialer) -> Self {
        Self { dialer, state: State::Down, queue: VecDeque::new(), queued: 0, leaving: None }
    }

    /// Carries out one output of the machine. What is to be sent waits here for the socket.
    pub(super) fn transmit(&mut self, transmit: Transmit) {
        match transmit {
            Transmit::Dial => {
                self.clear();
                self.state = State::Dialing(Box::pin(self.dialer.clone().dial()));
            }
            Transmit::Text(text) => self.push(Message::text(text)),
            Transmit::Ping(payload) => self.push(Message::Ping(Bytes::copy_from_slice(&payload))),
            Transmit::Close { code, reason } => {
                let queue = std::mem::take(&mut self.queue);
                self.clear();
                if let State::Up(socket) = std::mem::replace(&mut self.state, State::Down) {
                    self.leaving = Some(Box::pin(leave(socket, queue, code, reason)));
                }
            }
        }
    }

    /// Writes what waits, and reports the next thing that happens.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if let Some(leaving) = &mut self.leaving
            && leaving.as_mut().poll(cx).is_ready()
        {
            self.leaving = None;
        }
        let (state, incoming) = match &mut self.state {
            // The machine closed it, or has not dialed yet.
            State::Down => return Poll::Pending,
            State::Dialing(dialing) => match ready!(dialing.as_mut().poll(cx)) {
                Ok(socket) => (State::Up(Box::new(socket)), Incoming::Connected),
                Err(reason) => (State::Down, Incoming::DialFailed(reason)),
            },
            State::Up(socket) => match poll_socket(socket, &mut self.queue, &mut self.queued, cx) {
                _ if self.queued > MAX_QUEUED => {
                    (State::Down, Incoming::Broken("the server does not read what it is sent".to_owned()))
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Ok(message)) => match incoming(message) {
                    closed @ Incoming::Closed { .. } => (State::Down, closed),
                    incoming => return Poll::Ready(incoming),
                },
                // The machine answers with a close, for which the socket is still needed.
                Poll::Ready(Err(Error::Capacity(_))) => return Poll::Ready(Incoming::TooBig),
                Poll::Ready(Err(error)) => (State::Down, Incoming::Broken(error.to_string())),
            },
        };
        let earlier = std::mem::replace(&mut self.state, state);
        if let (State::Up(socket), Incoming::Closed { .. }) = (earlier, &incoming) {
            self.leaving = Some(Box::pin(see_off(socket)));
        }
        Poll::Ready(incoming)
    }

    fn push(&mut self, message: Message) {
        self.queued += message.len();
        self.queue.push_back(message);
    }

    fn clear(&mut self) {
        self.queue.clear();
        self.queued = 0;
    }

    /// Until the goodbye is said.
    pub(super) async fn finish(&mut self) {
        if let Some(leaving) = &mut self.leaving {
            leaving.await;
            self.leaving = None;
        }
    }
}

fn poll_socket(
    socket: &mut Socket,
    queue: &mut VecDeque<Message>,
    queued: &mut usize,
    cx: &mut Context<'_>,
) -> Poll<Result<Message, Error>> {
    let mut socket = Pin::new(socket);
    while !queue.is_empty() && socket.as_mut().poll_ready(cx)?.is_ready() {
        if let Some(message) = queue.pop_front() {
            *queued -= message.len();
            socket.as_mut().start_send(message)?;
        }
    }
    // Pending is no matter: the socket wakes us when it can go on.
    let _ = socket.as_mut().poll_flush(cx)?;
    match ready!(socket.poll_next(cx)) {
        Some(outcome) => Poll::Ready(outcome),
        None => Poll::Ready(Err(Error::ConnectionClosed)),
    }
}

fn incoming(message: Message) -> Incoming {
    match message {
        Message::Text(text) => Incoming::Text(text),
        Message::Binary(_) | Message::Frame(_) => Incoming::Binary,
        Message::Ping(_) => Incoming::Ping,
        Message::Pong(payload) => Incoming::Pong(payload),
        Message::Close(Some(frame)) => Incoming::Closed { code: frame.code.into(), reason: frame.reason },
        Message::Close(None) => {
            Incoming::Closed { code: u16::from(CloseCode::Status), reason: Utf8Bytes::default() }
        }
    }
}

/// Sends what waits and the close frame, and reads until the peer has closed too: a socket dropped
/// with unread bytes is reset, and takes with it what was sent last.
async fn leave(mut socket: Box<Socket>, queue: VecDeque<Message>, code: u16, reason: &'static str) {
    let goodbye = async {
        for message in queue {
            socket.feed(message).await?;
        }
        let frame = CloseFrame { code: code.into(), reason: Utf8Bytes::from_static(reason) };
        socket.send(Message::Close(Some(frame))).await?;
        see_off(socket).await;
        Ok::<(), Error>(())
    };
    // A peer that does not answer is not waited for.
    let _ = tokio::time::timeout(GOODBYE, goodbye).await;
}

/// Reads, and so answers a close frame, until the connection has ended.
async fn see_off(mut socket: Box<Socket>) {
    let end = async { while socket.next().await.is_some_and(|outcome| outcome.is_ok()) {} };
    let _ = tokio::time::timeout(GOODBYE, end).await;
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Down => "down",
            State::Dialing(_) => "dialing",
            State::Up(_) => "up",
        };
        f.debug_struct("Link")
            .field("state", &state)
            .field("queued", &self.queue.len())
            .finish_non_exhaustive()
    }
}

/// Most bytes that may wait for the socket: a server that asks and asks, and never reads the
/// answers, must not use up the device's memory.
const MAX_QUEUED: usize = 8 * 1024 * 1024;
/// Most time for a goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
