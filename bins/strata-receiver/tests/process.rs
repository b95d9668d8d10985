//! The receiver as a process: its socket, its file, its ends.

#![expect(clippy::unwrap_used, reason = "the rig of these tests fails them where it stands")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;
use strata_media::net::{LinkConfig, SenderConfig, sender};
use strata_proto::control::{ReceiverEvent, ReceiverStats};
use tempfile::TempDir;

const BINARY: &str = env!("CARGO_BIN_EXE_strata-receiver");

/// Latency of both ends: what a machine that stands still for a while gives up as too late is not what is tested here.
const LATENCY: Duration = Duration::from_secs(2);

struct Process {
    child: Child,
    dir: TempDir,
    log: mpsc::Receiver<String>,
}

impl Process {
    /// Starts a receiver on a free pair of ports, with a control socket, and waits until it is ready.
    fn start(args: &[&str]) -> (Self, Client, Vec<u16>) {
        Self::start_in(tempfile::tempdir().unwrap(), args)
    }

    fn start_in(dir: TempDir, args: &[&str]) -> (Self, Client, Vec<u16>) {
        let mut command = Command::new(BINARY);
        if !args.contains(&"--ports") {
            command.args(["--ports", "0"]);
        }
        command.args(["--stream-id", "str_test"]).args(args);
        if !args.contains(&"--latency-ms") {
            command.args(["--latency-ms", &LATENCY.as_millis().to_string()]);
        }
        command.arg("--control-socket").arg(dir.path().join("control.sock"));
        let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (lines, log) = mpsc::channel();
        // Read to the end, also when nobody asks: a full pipe would hold it up.
        std::thread::spawn(move || {
            stderr.lines().map_while(Result::ok).for_each(|line| drop(lines.send(line)))
        });
        let process = Self { child, dir, log };
        process.logged("ready");
        let (client, ports) = process.connect();
        (process, client, ports)
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("control.sock")
    }

    /// Waits for a line of its log.
    fn logged(&self, words: &str) {
        assert!(self.log.iter().any(|line| line.contains(words)), "it ended without saying {words:?}");
    }

    /// Connects, and is greeted.
    fn connect(&self) -> (Client, Vec<u16>) {
        let mut client = Client(BufReader::new(UnixStream::connect(self.socket()).unwrap()));
        match client.event() {
            ReceiverEvent::Ready { stream_id, pid, ports } => {
                assert_eq!((stream_id.as_str(), pid), ("str_test", self.child.id()));
                (client, ports)
            }
            other => panic!("greeted with {other:?}"),
        }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Asserts that it ends by itself, well, and leaves no socket.
    fn assert_ended(mut self) -> TempDir {
        let status = self.child.wait().unwrap();
        assert_eq!(status.code(), Some(0));
        assert!(!self.socket().exists());
        std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

struct Client(BufReader<UnixStream>);

impl Client {
    fn send(&mut self, line: &str) {
        writeln!(self.0.get_mut(), "{line}").unwrap();
    }

    fn event(&mut self) -> ReceiverEvent {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the connection ended");
        serde_json::from_str(&line).unwrap_or_else(|e| panic!("{e}: {line}"))
    }

    fn stats(&mut self) -> ReceiverStats {
        loop {
            if let ReceiverEvent::Stats(stats) = self.event() {
                return stats;
            }
        }
    }

    /// Waits until every command sent before was carried out: they are in their order, and one that is refused is answered.
    fn settle(&mut self) {
        self.send(r#"{"cmd":"update_forward","outputs":[{"uri":"none"}]}"#);
        assert_eq!(self.error().0, "output 1");
    }

    /// Waits until so many packets have come, whether they were put out by now or not.
    fn until_arrived(&mut self, count: u64) {
        let arrived = |stats: &ReceiverStats| {
            stats.links.iter().map(|link| link.packets).sum::<u64>() - stats.duplicate_packets
        };
        while arrived(&self.stats()) < count {}
    }

    fn recording(&mut self) -> (String, String) {
        loop {
            if let ReceiverEvent::Recording { part, path } = self.event() {
                return (part, path);
            }
        }
    }

    fn error(&mut self) -> (String, String) {
        loop {
            if let ReceiverEvent::Error { part, message } = self.event() {
                return (part, message);
            }
        }
    }

    fn stopped(&mut self) -> String {
        loop {
            if let ReceiverEvent::Stopped { reason } = self.event() {
                let mut rest = String::new();
                self.0.read_to_string(&mut rest).unwrap();
                assert_eq!(rest, "", "stopped is not the last line");
                return reason;
            }
        }
    }
}

/// Sends `count` payloads to a port and waits until they had their time to be repeated; what was sent. A receiver that stood
/// still meanwhile may not have read them yet.
fn send(port: u16, count: u32) -> Vec<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let link = LinkConfig::new(0, ([127, 0, 0, 1], port).into());
        let mut config = SenderConfig::new(vec![link]);
        config.latency = LATENCY;
        let (sender, driver) = sender(config).unwrap();
        let driver = tokio::spawn(driver.run());
        let mut sent = Vec::new();
        for n in 0..count {
            let mut payload = Vec::new();
            for packet in 0..7u8 {
                payload.extend([0x47, 0x1f, 0xff, 0x10, packet]);
                payload.extend(n.to_be_bytes());
                payload.resize((usize::from(packet) + 1) * 188, 0xff);
            }
            sent.extend(&payload);
            sender.send(Bytes::from(payload)).await.unwrap();
        }
        sender.finish().await.unwrap();
        drop(sender);
        driver.await.unwrap().unwrap();
        sent
    })
}

fn assert_file(path: &Path, expected: &[u8]) {
    let written = std::fs::read(path).unwrap();
    assert_eq!(written.len(), expected.len());
    assert!(written == expected, "the bytes differ");
}

#[test]
fn it_is_steered_by_its_socket_and_stops_when_told() {
    let (process, mut client, ports) = Process::start(&[]);
    assert_eq!(ports.len(), 1);
    let mode = std::fs::metadata(process.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    client.send(r#"{"cmd":"stats"}"#);
    assert_eq!(client.stats().delivered_packets, 0);
    client.send("no json");
    let (part, message) = client.error();
    assert_eq!((part.as_str(), message.as_str()), ("control", "not a command: malformed_json at ."));
    client.send(r#"{"cmd":"dance"}"#);
    assert_eq!(client.error().0, "control");
    client.send(r#"{"cmd":"update_forward","outputs":[{"uri":"ftp://user:secret@host"}]}"#);
    let (part, message) = client.error();
    assert!(part == "output 1" && message.starts_with("unsupported output") && !message.contains("secret"));
    let (mut other, _) = process.connect();
    client.send(r#"{"cmd":"stop"}"#);
    assert_eq!((client.stopped(), other.stopped()), ("stop".into(), "stop".into()));
    process.assert_ended();
}

/// Of the process while it receives by two links: the stream has one, and each output another, so that who does not keep up
/// holds no stream up.
#[test]
fn a_stream_has_one_thread_and_each_output_another() {
    let dir = tempfile::tempdir().unwrap();
    let (record, copy) = (dir.path().join("a.ts"), format!("file://{}", dir.path().join("b.ts").display()));
    let (process, mut client, ports) =
        Process::start(&["--ports", "0,0", "--record", record.to_str().unwrap(), "--output", &copy]);
    ports.iter().for_each(|port| drop(send(*port, 10)));
    client.recording();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", process.child.id())).unwrap();
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap();
    let mut names: Vec<_> = tasks.map(|task| name(task.unwrap()).trim_end().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["output 1", "record", "strata-receiver"]);
}

#[test]
fn what_came_is_in_the_file_when_it_is_terminated() {
    let dir = tempfile::tempdir().unwrap();
    let record = dir.path().join("clip.ts");
    let (process, mut client, ports) = Process::start(&["--record", record.to_str().unwrap()]);
    assert!(!record.exists(), "the file starts at the first byte");
    let sent = send(ports[0], 100);
    client.until_arrived(100);
    process.signal("-TERM");
    assert_eq!(client.stopped(), "signal");
    process.assert_ended();
    assert_file(&record, &sent);
}

#[test]
fn the_name_of_a_recording_is_told_when_another_one_was_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let record = dir.path().join("clip.ts");
    std::fs::write(&record, "of yesterday").unwrap();
    let (process, mut client, ports) = Process::start(&["--record", record.to_str().unwrap()]);
    let sent = send(ports[0], 10);
    let other = dir.path().join("clip-1.ts");
    assert_eq!(client.recording(), ("record".into(), other.display().to_string()));
    client.until_arrived(10);
    client.send(r#"{"cmd":"stop"}"#);
    assert_eq!(client.stopped(), "stop");
    process.assert_ended();
    assert_file(&other, &sent);
    assert_file(&record, b"of yesterday");
}

#[test]
fn outputs_are_changed_while_it_runs() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("a.ts"), dir.path().join("b.ts"));
    let (process, mut client, ports) = Process::start(&[]);
    let forward = |path: &Path| {
        format!(r#"{{"cmd":"update_forward","outputs":[{{"uri":"file://{}"}}]}}"#, path.display())
    };
    client.send(&forward(&first));
    client.settle();
    let one = send(ports[0], 100);
    // What still waits to be played out would go to the outputs there are then.
    while std::fs::metadata(&first).map_or(0, |file| file.len()) < one.len() as u64 {
        client.stats();
    }
    client.send(&forward(&second));
    client.settle();
    let two = send(ports[0], 50);
    client.until_arrived(150);
    client.send(r#"{"cmd":"stop"}"#);
    assert_eq!(client.stopped(), "stop");
    process.assert_ended();
    assert_file(&first, &one);
    assert_file(&second, &two);
}

#[test]
fn it_ends_without_input() {
    let (process, mut client, _) = Process::start(&["--idle-timeout-s", "1"]);
    assert_eq!(client.stopped(), "idle");
    process.assert_ended();
}

#[test]
fn a_hangup_is_ignored_and_an_interrupt_is_not() {
    let (process, mut client, _) = Process::start(&[]);
    process.signal("-HUP");
    client.settle();
    process.signal("-INT");
    assert_eq!(client.stopped(), "signal");
    process.assert_ended();
}

#[test]
fn a_second_signal_ends_it_while_it_still_writes() {
    let (mut process, mut client, ports) = Process::start(&["--latency-ms", "60000"]);
    send(ports[0], 1);
    client.until_arrived(1);
    // What came is due in a minute.
    process.signal("-TERM");
    process.logged("ending");
    process.signal("-TERM");
    assert_eq!(client.stopped(), "signal");
    assert_eq!(process.child.wait().unwrap().code(), Some(128 + 15));
    assert!(!process.socket().exists());
}

#[test]
fn a_dead_receivers_socket_is_taken_over_and_a_living_ones_is_not() {
    let (mut process, client, _) = Process::start(&[]);
    drop(client);
    process.child.kill().unwrap();
    process.child.wait().unwrap();
    assert!(process.socket().exists());
    let dir = std::mem::replace(&mut process.dir, tempfile::tempdir().unwrap());
    let (process, mut client, _) = Process::start_in(dir, &[]);
    let socket = process.socket().display().to_string();
    let output = Command::new(BINARY).args(["--ports", "0", "--control-socket", &socket]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another process listens there"));
    client.send(r#"{"cmd":"stop"}"#);
    assert_eq!(client.stopped(), "stop");
    process.assert_ended();
}

/// `(file, text, error)` of every invalid vector of a receiver's commands.
fn invalid() -> Vec<(PathBuf, String, serde_json::Value)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../strata-proto/vectors/control/invalid/receiver_command");
    let entries = |dir: &Path| std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let files = entries(&root).flat_map(|kind| entries(&kind));
    let read = |path: PathBuf| {
        let mut vector: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let text = match &vector["text"] {
            serde_json::Value::String(text) => text.clone(),
            _ => vector["input"].to_string(),
        };
        (path, text, vector["error"].take())
    };
    files.map(read).collect()
}

#[test]
fn every_invalid_command_is_answered_and_the_connection_lives() {
    let (process, mut client, _) = Process::start(&[]);
    let vectors = invalid();
    assert!(!vectors.is_empty());
    for (path, text, error) in vectors {
        client.send(&text);
        let (part, message) = client.error();
        let (kind, place) = (error["kind"].as_str().unwrap(), error["path"].as_str().unwrap());
        let expected = format!("not a command: {kind} at {place}");
        assert_eq!((part.as_str(), message), ("control", expected), "{}", path.display());
    }
    client.send(r#"{"cmd":"stop"}"#);
    assert_eq!(client.stopped(), "stop");
    process.assert_ended();
}

#[test]
fn more_connections_than_it_serves_wait_for_a_place() {
    let (process, mut client, _) = Process::start(&[]);
    let others: Vec<_> = (0..7).map(|_| process.connect()).collect();
    let waiting = UnixStream::connect(process.socket()).unwrap();
    drop(others);
    let mut waiting = Client(BufReader::new(waiting));
    assert!(matches!(waiting.event(), ReceiverEvent::Ready { .. }));
    client.send(r#"{"cmd":"stop"}"#);
    assert_eq!(client.stopped(), "stop");
    process.assert_ended();
}

#[test]
fn a_line_without_end_is_cut_off() {
    let (process, mut client, _) = Process::start(&[]);
    let (mut flood, _) = process.connect();
    let _ = flood.0.get_mut().write_all(&vec![b'x'; 200_000]);
    let mut rest = String::new();
    let _ = flood.0.read_to_string(&mut rest);
    client.send(r#"{"cmd":"stop"}"#);
    assert_eq!(client.stopped(), "stop");
    process.assert_ended();
}

#[test]
fn exit_codes_say_what_was_wrong() {
    let (process, _client, ports) = Process::start(&[]);
    let taken = ports[0].to_string();
    let run = |args: &[&str], input: &str| {
        let mut command = Command::new(BINARY);
        let mut child = command.args(args).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
        let output = child.wait_with_output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, text) = run(&["--ports", &taken], "");
    assert!(code == Some(3) && text.contains(&taken), "{code:?} {text}");
    let (code, text) = run(&["--ports", "15001"], "");
    assert!(code == Some(2) && text.contains("15001 is odd"), "{code:?} {text}");
    let (code, text) = run(&["--ports", "0", "--output-stdin-json"], "rubbish\n");
    assert!(code == Some(2) && text.contains("update_forward"), "{code:?} {text}");
    let (code, text) = run(&["--ports", "0", "--log", "loud"], "");
    assert!(code == Some(2) && text.contains("--log") && text.contains("expected off"), "{code:?} {text}");
    let (code, text) = run(&["--ports", "0,15002,15002"], "");
    assert!(code == Some(2) && text.contains("15002 is there twice"), "{code:?} {text}");
    let mut misspelt = Command::new(BINARY);
    let output = misspelt.args(["--ports", "0"]).env("STRATA_RECEIVER_LATENCY", "500").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.code() == Some(2) && text.contains("STRATA_RECEIVER_LATENCY is not"), "{text}");
    let socket = process.dir.path().join("absent/control.sock");
    let (code, text) = run(&["--ports", "0", "--control-socket", socket.to_str().unwrap()], "");
    assert!(code == Some(4) && text.contains("there is no directory"), "{code:?} {text}");
    assert!(!socket.parent().unwrap().exists());
    let secret = r#"{"cmd":"update_forward","outputs":[{"uri":"rtmp:secret"}]}"#;
    let (code, text) = run(&["--ports", "0", "--output-stdin-json"], secret);
    assert!(code == Some(2) && text.contains("output 1") && !text.contains("secret"), "{code:?} {text}");
    drop(process);
}
