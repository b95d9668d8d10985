//! What is asked for wrongly is told by its flag and parameter, with an exit code of its own.

#![expect(clippy::disallowed_types, reason = "a socket in the way")]
#![expect(clippy::unwrap_used, reason = "the rig of these tests fails them where it stands")]

mod common;

use std::io::Write as _;
use std::net::UdpSocket;
use std::process::{Command, Output};

use common::strata;
use tempfile::NamedTempFile;

/// As ristsrppasswd prints it.
const USER: &str = "field:fWy2TKj9NMG5nMHTAn08iUaJPUrsUKDQd9NwM6XE8vX8g8iNl4BjjdhPAcYwDMOjz7D2G7fdA9q7OcR8KdQtVvSwGSu+cuvQMl3aKt34a3q72S/+KnTJIT7yfbVJflFNpAkgOq1Qe1Xc+L4Ve7FeWCjP113n/b1RbrizFRwH6H1Qog/VRBuadP4gSRuVrNb2j6r94t//jeXm1Nk/GlbRxOEZa8sAK98e2W+ab4gfMIouaQpG3bb6GrH2zBVsQks4pMvio/k7eccClf2rf9sV5Ev5w2LukePXfavvCL+J146le7gutnaTbmjit0nvgHDV9gSRWiCxIfTJV28PfJv7gg:icC0P7cIpBSLvdDiNApQHv3BbYaMDzrvDdTGwMTEM2k:3";

fn command(line: &str) -> Command {
    let mut command = strata();
    command.args(line.split(' '));
    command
}

fn run(line: &str) -> (Option<i32>, String) {
    finish(&mut command(line))
}

fn finish(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().unwrap();
    (status.code(), String::from_utf8(stderr).unwrap())
}

#[test]
fn wrong_values_are_named_by_flag_and_parameter() {
    for (line, named) in [
        ("rist send -i http://h:1 -o rist://h:1", &["--input", "expected udp://HOST:PORT or rtp://"][..]),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:9?buffre=1",
            &["--output", "buffre", "unknown parameter"],
        ),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:9?buffer=0",
            &["--output", "buffer", "1 to 60000"],
        ),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://@127.0.0.1:8 -p 0",
            &["--output: URL 1 (rist://@127.0.0.1:8): the @ before the host: ", "Main Profile"],
        ),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://239.1.1.1:8",
            &["--output: URL 1 (rist://239.1.1.1:8): host: 239.1.1.1 is", "Simple Profile"],
        ),
        ("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:9,rist://h", &["--output", "URL 2", "port"]),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:9 -p 0",
            &["--output: URL 1 (rist://127.0.0.1:9): port: ", "even"],
        ),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8?secret=s -p simple",
            &["--output: secret: ", "Main"],
        ),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 -n -p simple",
            &["--output: null-packet-deletion: ", "Main"],
        ),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 -e 256",
            &["--encryption-type: only with a secret"],
        ),
        ("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 -p advanced", &["--profile", "simple, main"]),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 --mode fast",
            &["--mode", "economy, balanced or robust"],
        ),
        ("rist send -i udp://127.0.0.1:0", &["--output"]),
        ("rist receive -i rist://127.0.0.1:8?backup -o udp://127.0.0.1:9", &["--input", "backup", "sender"]),
        (
            "rist receive -i rist://@127.0.0.1:9 -o udp://127.0.0.1:9",
            &["--input: URL 1 (rist://@127.0.0.1:9): port: ", "even"],
        ),
        ("rist receive -i rist://@127.0.0.1:8?backup -o udp://127.0.0.1:9", &["--input", "backup", "sender"]),
        ("rist receive -i rist://@127.0.0.1:8 -o udp://127.0.0.1:9?tll=4", &["--output", "tll", "unknown"]),
        ("rist receive -i rist://@127.0.0.1:8 -o udp://127.0.0.1:9 -b 0", &["--buffer", "1..=60000"]),
        (
            "rist receive -i rist://@127.0.0.1:8,rist://127.0.0.1:8?source=[::1] -o udp://127.0.0.1:9",
            &["--input: URL 2 (rist://127.0.0.1:8): source: ", "family"],
        ),
        (
            "rist receive -i rist://@127.0.0.1:9 -o udp://127.0.0.1:9?stream-id=2000",
            &["--input: URL 1 (rist://@127.0.0.1:9): port: ", "even"],
        ),
        (
            "rist receive -i rist://@239.1.1.1:8?secret=s -o udp://127.0.0.1:9",
            &["--input: URL 1 (rist://@239.1.1.1:8): host: ", "no secret"],
        ),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://[fe80::1%lo]:8",
            &["--output: URL 1 (rist://[fe80::1%lo]:8): host: ", "without a scope", "interface=NAME"],
        ),
        ("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 -S -5", &["--statsinterval", "-5", "3600000"]),
        ("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 -b -5", &["--buffer", "-5", "60000"]),
        ("netem --map 127.0.0.1:1=127.0.0.1:2-3", &["--map", "1 ports on the left"]),
        ("netem --map 127.0.0.1:1=127.0.0.1:0", &["--map", "port 0"]),
        ("netem --map 127.0.0.1:1=127.0.0.1:2 --source ::1", &["--source", "family"]),
        ("netem --map 127.0.0.1:1=127.0.0.1:2 --burst 5", &["--loss"]),
        (
            "rist send -i udp://127.0.0.1:0?ttl=4 -o rist://127.0.0.1:8",
            &["--input", "ttl", "only for an output"],
        ),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8?username=u",
            &["--output", "username", "only with a password"],
        ),
        (
            "rist receive -i rist://@127.0.0.1:8?username=u -o udp://127.0.0.1:9",
            &["--input", "username", "who calls"],
        ),
        (
            "rist receive -i rist://@:8 -o udp://127.0.0.1:9 --users /dev/null",
            &["--users: /dev/null", "no users"],
        ),
        ("netem --map 127.0.0.1:1=127.0.0.1:2 --loss 200%", &["--loss", "100 %"]),
        ("netem --map 127.0.0.1:1=127.0.0.1:2 --trace /no/such", &["--trace", "/no/such", "No such file"]),
        ("rist send --log loud -i udp://127.0.0.1:0 -o rist://h:1", &["--log", "expected off"]),
        (
            "rist send -i udp://127.0.0.1:0,udp://127.0.0.1:0 -o rist://127.0.0.1:8",
            &["--input", "stream-id: 1968", "of its own"],
        ),
        (
            "rist send -i udp://127.0.0.1:0,udp://127.0.0.1:0?stream-id=2002 -o rist://127.0.0.1:8?virt-dst-port=2002",
            &["--input", "stream-id: 2002", "of its own"],
        ),
        (
            "rist send -i udp://127.0.0.1:0,udp://127.0.0.1:0?stream-id=1968 -o rist://127.0.0.1:8",
            &["--input", "stream-id: 1968", "of its own"],
        ),
        (
            "rist send -i udp://127.0.0.1:0,udp://127.0.0.1:0 -o rist://127.0.0.1:8?profile=simple",
            &["--input", "several only with the profile main"],
        ),
        ("netem --map 127.0.0.2:16100=127.0.0.2:16100", &["--map", "127.0.0.2:16100", "comes back"]),
        ("netem --map 0.0.0.0:16100=127.0.0.1:16100", &["--map", "0.0.0.0:16100", "comes back"]),
        (
            "netem --map 127.0.0.2:1-2=127.0.0.2:2-3 --map 127.0.0.2:3=127.0.0.2:1",
            &["--map", "127.0.0.2:1=127.0.0.2:2", "comes back"],
        ),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 --stats - --adapt 0..5M",
            &["--adapt", "a floor of 0"],
        ),
        ("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 --adapt 1M..5M", &["--stats"]),
        ("rtmp send", &["rtmp"]),
    ] {
        let (code, text) = run(line);
        assert_eq!(code, Some(2), "{line}: {text}");
        assert!(named.iter().all(|part| text.contains(part)), "{line}: {text}");
    }
}

#[test]
fn users_without_who_calls_are_named_by_their_flag() {
    let mut users = NamedTempFile::new().unwrap();
    users.write_all(USER.as_bytes()).unwrap();
    let path = users.path().display();
    let (code, text) = run(&format!("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 --users {path}"));
    assert!(code == Some(2) && text.contains("--users: only with a link that listens"), "{code:?} {text}");
}

#[test]
fn what_cannot_be_opened_is_named() {
    let taken = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    for (line, named) in [
        (format!("rist send -i udp://127.0.0.1:{port} -o rist://127.0.0.1:8"), "--input: cannot listen"),
        ("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8?interface=none0".into(), "--output: no link"),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8?interface=none0".into(),
            "link 0: interface none0: No such device",
        ),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8?source=192.0.2.1".into(),
            "link 0: source 192.0.2.1: Cannot assign",
        ),
        (
            "rist send -p simple -i udp://127.0.0.1:0 -o rist://239.1.1.1:8?interface=none0".into(),
            "link 0: interface none0: No such device",
        ),
        ("rist send -i udp://127.0.0.1:0 -o rist://no.invalid:8".into(), "URL 1 (rist://no.invalid:8): host"),
        (
            "rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 --stats /no/such/file".into(),
            "--stats: /no/such",
        ),
        (format!("rist receive -i rist://@192.0.2.1:8 -o udp://127.0.0.1:{port}"), "--input: cannot listen"),
        ("netem --map 127.0.0.1:0=127.0.0.1:2 --source 192.0.2.1".into(), "--source: cannot pass on from"),
        ("rist receive -i rist://@:8 -o udp://127.0.0.1:9 --users /no/such".into(), "--users: /no/such"),
        (format!("netem --map 127.0.0.1:{port}=127.0.0.1:2"), "cannot listen on udp"),
    ] {
        let (code, text) = run(&line);
        assert!(code == Some(3) && text.contains(named), "{line}: {code:?} {text}");
    }
}

#[test]
fn what_has_no_effect_is_told_and_secrets_are_not() {
    let line =
        "rist send -i udp://127.0.0.1:0 -o rist://no.invalid:8?bandwidth=5000&rtt-min=5&secret=hunter2";
    let (_, text) = run(line);
    assert!(text.contains("bandwidth has no effect") && text.contains("rtt-min has no effect"), "{text}");
    let (_, bounds) = run(&line.replace("bandwidth=5000", "buffer-min=200&buffer-max=400"));
    for name in ["buffer-min", "buffer-max"] {
        let said = format!(
            "{name} has no effect: the latency is constant: buffer sets it, and it is 1000 ms without"
        );
        assert!(bounds.contains(&said), "{bounds}");
    }
    assert!(!text.contains("hunter2"), "{text}");
    let (_, text) = run(&line.replace("send", "send -f 0"));
    assert!(text.contains("--fast-start 0 has no effect"), "{text}");
    let (_, text) = run("rist receive -p 1 -i rist://no.invalid:8?weight=5 -o udp://127.0.0.1:9");
    assert!(text.contains("--profile has no effect") && text.contains("weight has no effect"), "{text}");
    // A warning is one of those that are asked for, or not.
    for (level, shown) in [("4", true), ("3", false), ("-1", false), ("3 --log warn", true)] {
        let (code, text) = run(&line.replace("send", &format!("send -v {level}")));
        assert_eq!(text.contains("bandwidth has no effect"), shown, "{level}: {text}");
        assert!(code == Some(3) && text.contains("error: "), "{level}: {text}");
    }
}

#[test]
fn no_message_has_a_secret() {
    let long = "hunter2".repeat(20);
    for (line, variable, named) in [
        // The rest of a passphrase with an & or a comma in it, as far as anyone can tell.
        ("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8?secret=a&hunter2=", "", "after secret"),
        ("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8?secret=a,hunter2", "", "--output: URL 2"),
        (
            "rist send -i rist://127.0.0.1:8?secret=hunter2 -o udp://127.0.0.1:0",
            "",
            "--input: expected udp://",
        ),
        ("rist receive -i udp://@:8 -o rist://@:8?secret=hunter2", "", "--output: expected udp://"),
        ("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8", &long, "STRATA_RIST_SECRET"),
        (&format!("rist send -i udp://127.0.0.1:0 -o rist://127.0.0.1:8 -s {long}"), "", "--secret"),
    ] {
        let mut command = command(line);
        if !variable.is_empty() {
            command.env("STRATA_RIST_SECRET", variable);
        }
        let (code, text) = finish(&mut command);
        assert_eq!(code, Some(2), "{line}: {text}");
        assert!(text.contains(named) && !text.contains("hunter2"), "{line}: {text}");
    }
}

#[test]
fn help_has_examples_and_exit_codes() {
    for command in ["rist send", "rist receive", "netem"] {
        let mut line: Vec<_> = command.split(' ').collect();
        line.push("--help");
        let output = strata().args(line).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(&format!("strata {command} --")), "{text}");
        assert!(text.contains("Exit codes:"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        let headings = ["Streams:", "Encryption and users:", "Source adaptation:", "Statistics and logs:"];
        let found: Vec<_> = text.lines().filter(|line| headings.contains(line)).collect();
        let expected = match command {
            "rist send" => &headings[..],
            "rist receive" => &["Streams:", "Encryption and users:", "Statistics and logs:"],
            _ => &["Statistics and logs:"],
        };
        assert_eq!(found, expected, "{text}");
        let last = ["      --stats", "  -S, ", "  -r, ", "  -v, ", "      --log <", "      --log-format <"];
        let (_, logs) = text.split_once("Statistics and logs:").unwrap();
        let places: Vec<_> = last.iter().filter_map(|flag| logs.find(flag)).collect();
        assert!(places.is_sorted() && places.len() == if command == "netem" { 3 } else { 6 }, "{text}");
        assert_eq!(text.contains("only with --stats"), command == "rist send", "{text}");
    }
}
