//! What a program runs on: one thread for all that streams do. The others only write, so that who does not read holds no stream up.

use std::net::SocketAddr;

use nix::sys::signal::Signal;

use crate::Source;
use crate::program::{Program, number};

/// The names of a program's threads: its own is the one of the streams, `shown` writes logs and tables, `lines` statistics.
const THREADS: [&str; 3] = ["lines", "shown", "strata"];

fn threads(program: &Program) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", program.pid())).unwrap();
    let names = tasks.map(|task| std::fs::read_to_string(task.unwrap().path().join("comm")).unwrap());
    let mut names: Vec<_> = names.map(|name| name.trim_end().to_owned()).collect();
    names.sort();
    names
}

fn start(line: &str) -> Program {
    Program::start(&line.split(' ').collect::<Vec<_>>())
}

/// Of each, while it has sent and received a stream by two links; and of two streams by the same.
#[test]
fn streams_and_links_have_one_thread_together() {
    for (inputs, outputs) in [
        ("udp://127.0.0.1:0", "udp://127.0.0.1:9"),
        (
            "udp://127.0.0.1:0?stream-id=2000,udp://127.0.0.1:0?stream-id=2002",
            "udp://127.0.0.1:9?stream-id=2000,udp://127.0.0.1:9?stream-id=2002",
        ),
    ] {
        let receive =
            format!("rist receive -i rist://@127.0.0.1:0,rist://@127.0.0.1:0 -o {outputs} --stats -");
        let mut receiver = start(&receive);
        let [first, second]: [SocketAddr; 2] =
            ["/links/0/addr", "/links/1/addr"].map(|link| receiver.addr(link));
        let links = format!("rist://{first}?buffer=50,rist://{second}");
        let mut sender = start(&format!("rist send -i {inputs} -o {links} --stats -"));
        let mut sources = Vec::new();
        // A line for each stream.
        for _ in inputs.split(',') {
            sources.push(Source::start(sender.addr("/input_addr")));
            if sources.len() < inputs.split(',').count() {
                sender.next();
            }
        }
        sender.until(|stats| (0..2).all(|link| number(stats, &format!("/links/{link}/sent_packets")) > 0));
        receiver.until(|stats| number(stats, "/delivered_packets") > 0);
        for program in [&sender, &receiver] {
            assert_eq!(threads(program), THREADS, "{inputs}");
        }
        sources.into_iter().for_each(Source::stop);
        sender.end(Signal::SIGTERM);
        receiver.end(Signal::SIGTERM);
    }
}
