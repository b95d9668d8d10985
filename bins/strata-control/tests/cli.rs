//! The program from the outside: what it prints, what it does on signals, its exit codes.

#![expect(clippy::disallowed_types, reason = "tests dial")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use strata_server::tls::Identity;
use tempfile::TempDir;

/// A data directory, and a configuration file with `rest` in it.
fn place(rest: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("data");
    let text = format!("data_dir = {data:?}\nlisten = \"127.0.0.1:0\"\n{rest}\n");
    std::fs::write(dir.path().join("control.toml"), text).unwrap();
    dir
}

fn program(dir: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strata-control"));
    command.arg("--config").arg(dir.join("control.toml")).args(args).env("NO_COLOR", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs to the end; exit code, standard output, standard error.
fn ended(mut command: Command, input: &str) -> (i32, String, String) {
    let mut child = command.spawn().unwrap();
    // One that does not read may have ended before.
    drop(child.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = child.wait_with_output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn run(dir: &Path, args: &[&str], input: &str) -> (i32, String, String) {
    ended(program(dir, args), input)
}

/// Two certificates with their keys, each in one file.
fn certificates(dir: &Path) -> [String; 2] {
    ["one", "two"].map(|name| {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).unwrap();
        let names = ["localhost".to_owned()];
        Identity::from_own_ca(&dir, &names, "2026-01-01T00:00:00Z".parse().unwrap()).unwrap();
        dir.join("server.pem").display().to_string()
    })
}

#[test]
fn a_good_configuration_is_ok() {
    let dir = place("");
    assert_eq!(run(dir.path(), &["config", "check"], ""), (0, "ok\n".to_owned(), String::new()));
    assert!(!dir.path().join("data").exists(), "a check makes nothing");
    let (code, _, said) = run(place("[streams]\nreceiver = \"/no/such\"").path(), &["config", "check"], "");
    assert_eq!(code, 78);
    assert!(said.contains("configuration key streams.receiver: /no/such: there is no such file"), "{said}");
    let [one, _] = certificates(dir.path());
    let dir = place(&format!("[tls]\ncert = {one:?}\nkey = {one:?}"));
    assert_eq!(run(dir.path(), &["config", "check"], "").0, 0);
}

#[test]
fn a_check_finds_what_a_start_would_stumble_over() {
    let files = tempfile::tempdir().unwrap();
    let [one, two] = certificates(files.path());
    let empty = files.path().join("empty.pem").display().to_string();
    std::fs::write(&empty, "").unwrap();
    let missing = files.path().join("missing.pem").display().to_string();
    let tls = |cert: &str, key: &str| format!("[tls]\ncert = {cert:?}\nkey = {key:?}");
    for (rest, key, reason) in [
        ("[log]\nfilter = \"strata=loud\"".to_owned(), "log.filter", "error parsing level filter"),
        (tls(&missing, &one), "tls.cert", missing.as_str()),
        (tls(&empty, &one), "tls.cert", "expected PEM certificates, found none"),
        (tls(&one, &missing), "tls.key", missing.as_str()),
        (tls(&one, &empty), "tls.key", "expected a PEM private key"),
        (tls(&one, &two), "tls.key", "cannot be used"),
        ("colour = 1".to_owned(), "colour", "expected one of listen, tls, log, data_dir"),
        ("[streams]\nports = \"80-90\"".to_owned(), "streams.ports", "bad port range"),
    ] {
        let dir = place(&rest);
        for args in [&["config", "check"][..], &["run"], &["user", "list"]] {
            if args == ["user", "list"] && key.starts_with("tls") {
                continue;
            }
            let (code, out, said) = run(dir.path(), args, "");
            assert_eq!((code, out.as_str()), (78, ""), "{args:?} {rest}: {said}");
            let expected = format!("configuration key {key}: ");
            assert!(said.contains(&expected) && said.contains(reason), "{args:?} {rest}: {said}");
        }
    }
}

#[test]
fn a_variable_that_is_wrong_is_named_and_a_flag_is_claps() {
    let dir = place("");
    let mut command = program(dir.path(), &["config", "check"]);
    command.env("STRATA_CONTROL_STREAMS__RECRD", "true");
    let (code, _, said) = ended(command, "");
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("environment variable STRATA_CONTROL_STREAMS__RECRD: "), "{said}");
    assert!(!said.contains("control.toml"), "{said}");
    let mut command = program(dir.path(), &["config", "check"]);
    command.env("STRATA_CONTROL_LOG__FILTER", OsStr::from_bytes(b"\xff"));
    let (code, _, said) = ended(command, "");
    assert_eq!(code, 78);
    assert!(said.contains("environment variable STRATA_CONTROL_LOG__FILTER: is not UTF-8"), "{said}");
    assert_eq!(run(dir.path(), &["--prot", "1"], "").0, 2);
    assert_eq!(run(&dir.path().join("nowhere"), &["config", "check"], "").0, 78);
}

#[test]
fn users_are_added_disabled_enabled_and_given_passwords() {
    let dir = place("");
    let user = |args: &[&str], input| {
        let args = [&["user"], args].concat();
        run(dir.path(), &args, input)
    };
    let ann = ["--email", "ann@example.com"];
    let with = |command| [&[command], &ann[..]].concat();
    assert_eq!(user(&with("add"), "correct horse\n").0, 0);
    let (code, _, said) = user(&with("set-password"), "short\n");
    assert_eq!(code, 1);
    assert!(said.contains("password: expected 8 to 1024 bytes"), "{said}");
    assert_eq!(user(&with("set-password"), "another horse\n").0, 0);
    assert_eq!(user(&with("disable"), "").0, 0);
    assert!(user(&["list"], "").1.ends_with(" ann@example.com operator disabled\n"));
    assert_eq!(user(&with("enable"), "").0, 0);
    assert!(user(&["list"], "").1.ends_with(" ann@example.com operator\n"));
    let (code, _, said) = user(&["disable", "--email", "bob@example.com"], "");
    assert_eq!(code, 1);
    assert!(said.contains("there is no user with the address bob@example.com"), "{said}");
}

/// A control plane that serves.
struct Serving {
    child: Child,
    address: String,
    log: BufReader<std::process::ChildStderr>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Serving {
    fn start(dir: &Path) -> Self {
        let mut child = program(dir, &[]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening https://").unwrap().to_owned();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, address, log }
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().try_into().unwrap()), signal).unwrap();
    }

    /// Reads the log until a line holds `text`.
    fn logs(&mut self, text: &str) {
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert!(self.log.read_line(&mut line).unwrap() > 0, "no line with {text:?}");
        }
    }

    /// A connection that was accepted and whose handshake never comes.
    fn hanging(&self) -> TcpStream {
        let hanging = TcpStream::connect(&self.address).unwrap();
        // Accepted after it, and closed by the server for what it says.
        let mut later = TcpStream::connect(&self.address).unwrap();
        later.write_all(b"this is no handshake\r\n\r\n").unwrap();
        drop(later.read_to_end(&mut Vec::new()));
        hanging
    }
}

#[test]
fn one_signal_ends_it_in_order() {
    let dir = place("");
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut serving = Serving::start(dir.path());
        serving.signal(signal);
        serving.logs("shutting down; receivers go on");
        assert_eq!(serving.child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let dir = place("");
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let mut serving = Serving::start(dir.path());
        let _hanging = serving.hanging();
        serving.signal(signal);
        serving.logs("shutting down; receivers go on");
        serving.signal(signal);
        assert_eq!(serving.child.wait().unwrap().code(), Some(code));
    }
}

#[test]
fn a_public_url_that_leads_devices_astray_is_warned_of() {
    let dir = place("");
    let mut command = program(dir.path(), &[]);
    command.env("STRATA_CONTROL_LISTEN", "0.0.0.0:0");
    let mut child = command.spawn().unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let warned = log.lines().map_while(Result::ok).find(|line| line.contains("WARN"));
    child.kill().unwrap();
    child.wait().unwrap();
    let warned = warned.unwrap();
    assert!(warned.contains("https://localhost:8443") && warned.contains("set public_url"), "{warned}");
}
