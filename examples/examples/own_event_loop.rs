//! An agent without tokio: std's sockets, one thread, and the bare session machine, which so can
//! run in any event loop there is. Arguments as for `minimal_agent`.
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "this is the driver")]

use std::net::TcpStream;
use std::time::{Duration, Instant, SystemTime};

use rustls::{ClientConnection, StreamOwned};
use strata_client::session::{Event, Input, Now, Output, Report, Session, Transmit};
use strata_client::{Config, Identity, identity, journal::JournalFile, tls};
use strata_proto::control::{CommandKind, ErrorCode, Fault, LogsGetResult, Reply};
use strata_proto::token::EnrollUri;
use tungstenite::{Error, Message, WebSocket, protocol::CloseFrame};

type Socket = WebSocket<StreamOwned<ClientConnection, TcpStream>>;
type Next = anyhow::Result<Option<Input<'static>>>;

fn now() -> Now {
    Now { monotonic: Instant::now(), wall: SystemTime::now().into() }
}

fn dial(config: &Config) -> anyhow::Result<Socket> {
    let host = config.url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
    // Nothing may block for ever: the session's own time limits are looked at between calls only.
    let limit = Duration::from_secs(5);
    let found = config.url.socket_addrs(|| None)?;
    let tcp = found.iter().find_map(|at| TcpStream::connect_timeout(at, limit).ok());
    let tcp = tcp.ok_or_else(|| anyhow::anyhow!("nobody answers at {}", config.url))?;
    tcp.set_read_timeout(Some(limit))?;
    tcp.set_write_timeout(Some(limit))?;
    let tls = ClientConnection::new(tls::client_config(config.ca)?, host.try_into()?)?;
    Ok(tungstenite::client(config.url.as_str(), StreamOwned::new(tls, tcp))?.0)
}

/// Waits for something to come in until `at`, and tells the session.
fn wait(session: &mut Session, socket: Option<&mut Socket>, at: Option<Instant>) -> Next {
    let time = at.map_or(Duration::from_secs(60), |at| at.saturating_duration_since(Instant::now()));
    let time = time.max(Duration::from_millis(1));
    let Some(socket) = socket else {
        std::thread::sleep(time);
        return Ok(Some(Input::Timeout));
    };
    socket.get_ref().sock.set_read_timeout(Some(time))?;
    match socket.read() {
        Ok(Message::Text(text)) => session.handle_input(now(), Input::Text(&text)),
        Ok(Message::Pong(payload)) => session.handle_input(now(), Input::Pong(&payload)),
        Ok(Message::Ping(_)) => return Ok(Some(Input::Ping)),
        Ok(Message::Close(Some(CloseFrame { code, reason }))) => {
            session.handle_input(now(), Input::Closed { code: code.into(), reason: &reason });
        }
        Ok(Message::Close(None)) => {}
        Ok(_) => return Ok(Some(Input::Binary)),
        Err(Error::Capacity(_)) => return Ok(Some(Input::TooBig)),
        Err(Error::Io(e)) if e.kind() == std::io::ErrorKind::WouldBlock => return Ok(Some(Input::Timeout)),
        Err(error) => return Err(error.into()),
    }
    Ok(None)
}

/// Carries out what the session wants of the socket.
fn transmit(config: &Config, socket: &mut Option<Socket>, what: Transmit) -> Next {
    match (what, &mut *socket) {
        (Transmit::Dial, _) => {
            *socket = Some(dial(config)?);
            return Ok(Some(Input::Connected));
        }
        (Transmit::Text(text), Some(open)) => open.send(Message::text(text))?,
        (Transmit::Ping(payload), Some(open)) => open.send(Message::Ping(payload.to_vec().into()))?,
        _ => *socket = None,
    }
    Ok(None)
}

/// Does what the session asks of its owner.
fn on_event(session: &mut Session, journal: &JournalFile, event: Event) -> Next {
    match event {
        Event::JournalChanged => journal.write(&session.journal()).unwrap_or_else(|e| eprintln!("{e}")),
        Event::Enrolled { .. } => session.identity().save()?,
        Event::StatusDue => return Ok(Some(Input::Send(Report::Status(Box::default())))),
        Event::Command { id, command } => {
            let reply = match command.kind() {
                CommandKind::LogsGet => {
                    Reply::with(&LogsGetResult { lines: vec![std::fs::read_to_string("/proc/loadavg")?] })?
                }
                kind => Reply::failed(Fault::new(ErrorCode::UNSUPPORTED, format!("no {kind} here"))),
            };
            return Ok(Some(Input::Reply { id, reply }));
        }
        other => println!("{other:?}"),
    }
    Ok(None)
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let config = Config::from(arguments.next().unwrap_or_default().parse::<EnrollUri>()?);
    let identity = Identity::load_or_create(arguments.next().unwrap_or_else(|| "own-event-loop".into()))?;
    let journal = JournalFile::below(identity.directory().unwrap_or(".".as_ref()));
    let mut session = Session::new(&config, identity, identity::random_seed()?, now())?;
    session.set_capabilities([CommandKind::LogsGet]);
    journal.restore(&mut session)?;
    let mut socket = None;
    loop {
        let next = match session.poll_output() {
            Output::Event(event) => on_event(&mut session, &journal, event),
            Output::Transmit(what) => transmit(&config, &mut socket, what),
            Output::Timeout(at) => wait(&mut session, socket.as_mut(), at),
        };
        match next {
            Ok(Some(input)) => session.handle_input(now(), input),
            Ok(None) => {}
            Err(error) => {
                socket = None;
                session.handle_input(now(), Input::Broken(&error.to_string()));
            }
        }
    }
}
