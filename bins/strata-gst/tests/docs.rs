//! The plugin as GStreamer's own tools load it, and the README's command lines as they are written.

#![expect(clippy::unwrap_used, reason = "the rig of these tests fails them where it stands")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use tempfile::TempDir;

const README: &str = include_str!("../README.md");
/// Where statistics have their names.
const STATISTICS: &str = include_str!("../../strata/README.md");

/// A directory with nothing but the plugin in it, and a registry of its own.
struct Installed {
    dir: TempDir,
}

impl Installed {
    fn new() -> Self {
        // It is built with the tests, and lies beside them.
        let test = std::env::current_exe().unwrap();
        let built = test.with_file_name("libgststrata.so");
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("plugins")).unwrap();
        std::os::unix::fs::symlink(&built, dir.path().join("plugins/libgststrata.so")).unwrap();
        Self { dir }
    }

    fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir.path()).stdin(Stdio::null());
        command.env("GST_PLUGIN_PATH", self.dir.path().join("plugins"));
        command.env("GST_REGISTRY", self.dir.path().join("registry.bin"));
        command
    }

    /// Its standard output; fails with what it says otherwise.
    fn run(&self, program: &str, args: &[&str]) -> String {
        let output = self.command(program).args(args).output();
        let output = output.unwrap_or_else(|e| panic!("{program}: {e}; `make setup` installs it"));
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{program} {args:?}: {}{}",
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }
}

/// The README's command lines with GStreamer's launcher.
fn examples() -> Vec<&'static str> {
    let blocks = README.split("```sh\n").skip(1).filter_map(|rest| Some(rest.split_once("```")?.0));
    blocks.filter(|block| block.starts_with("gst-launch-1.0")).collect()
}

/// A shell with an example, which is replaced by it; returns once the pipeline is to play, with its ports open.
fn launch(installed: &Installed, example: &str) -> (Child, BufReader<ChildStdout>) {
    let mut command = installed.command("sh");
    let mut child = command.args(["-c", &format!("exec {example}")]).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("Setting pipeline to PLAYING") {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "{example}: {:?}", child.wait());
    }
    (child, said)
}

/// Waits for it to end by itself, and well.
fn finish(example: &str, (mut child, mut said): (Child, BufReader<ChildStdout>)) -> String {
    let mut text = String::new();
    said.read_to_string(&mut text).unwrap();
    assert!(child.wait().unwrap().success(), "{example}: {text}");
    text
}

/// Waits until the statistics that `-m` shows say that so many bytes came out: the last are put out after the latency.
fn wait_for(bytes: u64, said: &mut BufReader<ChildStdout>) {
    let expected = format!("delivered_bytes=(guint64){bytes},");
    let mut line = String::new();
    while !line.contains(&expected) {
        line.clear();
        assert!(said.read_line(&mut line).unwrap() > 0, "ended before it had put out {bytes} bytes");
    }
}

fn interrupt(child: &Child) {
    let status = Command::new("kill").args(["-s", "INT", &child.id().to_string()]).status();
    assert!(status.unwrap().success());
}

/// What gst-inspect prints of an element's properties, by name: a line that says what it is, and flags and type.
fn properties(shown: &str) -> BTreeMap<&str, String> {
    let (mut properties, mut last) = (BTreeMap::new(), None);
    let (_, listed) = shown.split_once("Element Properties:").unwrap();
    // There are empty lines within, after structures.
    let listed = listed.lines().take_while(|line| line.is_empty() || line.starts_with(' '));
    for line in listed.filter(|line| !line.is_empty()) {
        // A name of twenty letters leaves no room before the colon.
        match line.split_once(": ") {
            Some((name, what)) if !line.starts_with("   ") => {
                let name = name.trim();
                properties.insert(name, format!("{what}\n"));
                last = Some(name);
            }
            _ => properties.get_mut(last.unwrap()).unwrap().push_str(line),
        }
    }
    properties
}

/// The same of its signals.
fn signals(shown: &str) -> BTreeSet<&str> {
    let listed = shown.split_once("Element Signals:").map_or("", |(_, listed)| listed);
    listed.lines().filter_map(|line| line.strip_prefix("  \"")?.split('"').next()).collect()
}

/// Rows of the table of properties in the README: names, and when they may change.
fn documented(section: &str) -> BTreeMap<&str, &str> {
    let mut named = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let columns: Vec<_> = row.split('|').map(str::trim).collect();
        named.extend(columns[1].split('`').skip(1).step_by(2).map(|name| (name, columns[3])));
    }
    named
}

/// Every property and signal of the README is there, as it is described, and every one of the element's own is in the README.
/// What an element of the same base class has by the same words is not its own.
#[test]
fn tools_know_the_elements() {
    let installed = Installed::new();
    let plugin = installed.run("gst-inspect-1.0", &["strata"]);
    assert!(plugin.contains("stratasink: Strata bonded RIST sink"), "{plugin}");
    for (element, base) in [("stratasink", "filesink"), ("stratasrc", "filesrc")] {
        let shown = installed.run("gst-inspect-1.0", &[element]);
        let plain = installed.run("gst-inspect-1.0", &[base]);
        let section = README.split(&format!("## {element}")).nth(1).unwrap().split("\n## ").next().unwrap();
        let (named, mut own) = (documented(section), properties(&shown));
        let of_base = properties(&plain);
        let what = |shown: &String| shown.lines().next().map(str::to_owned);
        own.retain(|name, shown| of_base.get(name).and_then(what) != what(shown));
        assert!(named.keys().eq(own.keys()), "{element}: {:?}, {:?}", named.keys(), own.keys());
        for (name, changes) in named {
            let flags = &own[name];
            assert_eq!(flags.contains("writable"), changes != "read", "{element} {name}: {flags}");
            let live = flags.contains("PLAYING");
            assert_eq!(live, changes == "live", "{element} {name}: {flags}");
        }
        let marked = section.split("| signal `").skip(1).filter_map(|rest| rest.split([' ', '`']).next());
        assert_eq!(signals(&shown), marked.collect(), "{element}");
    }
}

/// Length of a picture of the first example, and of its luma: 640 × 360, I420.
const LUMA: usize = 640 * 360;
const PICTURE: usize = LUMA * 3 / 2;
/// What the first example sends.
const PICTURES: usize = 150;

/// The same example, which puts its pictures into a pipe too.
fn with_pictures(example: &str, path: &str) -> String {
    let sink = "! fakevideosink";
    assert_eq!(example.matches(sink).count(), 1, "{example}");
    let both = format!(
        "! tee name=shown ! queue {sink} shown. ! queue ! videoconvert ! video/x-raw,format=I420 ! filesink location={path}"
    );
    example.replace(sink, &both)
}

/// Reads pictures to the end: each is GStreamer's test picture, whose bars get darker from left to right. How many they are.
fn pictures(path: &Path) -> usize {
    let mut pipe = File::open(path).unwrap();
    let (mut picture, mut count) = (vec![0; PICTURE], 0);
    loop {
        let mut len = 0;
        while len < PICTURE {
            match pipe.read(&mut picture[len..]).unwrap() {
                0 if len == 0 => return count,
                0 => panic!("a picture of {len} bytes"),
                more => len += more,
            }
        }
        // In the middle of each bar, in a line of the upper half.
        let bars: Vec<_> = (0..7).map(|bar| picture[640 * 100 + 640 * (2 * bar + 1) / 14]).collect();
        assert!(bars.is_sorted_by(|left, right| left > right) && bars[0] > 150 && bars[6] < 60, "{bars:?}");
        count += 1;
    }
}

/// A picture over two links: the receiver decodes what was sent.
#[test]
fn the_first_examples_show_a_picture() {
    let installed = Installed::new();
    let examples = examples();
    let [sends, receives] = examples[..2] else { unreachable!("two") };
    let pipe = installed.dir.path().join("pictures");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    let reading = std::thread::spawn({
        let pipe = pipe.clone();
        move || pictures(&pipe)
    });
    let receiver = launch(&installed, &with_pictures(receives, "pictures"));
    finish(sends, launch(&installed, sends));
    interrupt(&receiver.0);
    finish(receives, receiver);
    let count = reading.join().unwrap();
    // The receiver is interrupted before it has put out the last 300 ms, and a machine that stands still for longer loses more: up to three
    // of the five seconds.
    assert!((PICTURES * 2 / 5..=PICTURES).contains(&count), "{count} pictures");
}

/// Names of fields in a structure that GStreamer's launcher shows, of structures within it too.
fn fields(shown: &str) -> BTreeSet<String> {
    let plain = shown.replace('\\', "");
    let typed = plain.split("=(").map(|before| before.rsplit([' ', '"']).next().unwrap_or_default());
    // Behind the last one there is no name.
    typed.take(plain.matches("=(").count()).map(str::to_owned).collect()
}

/// Names in the tables of the statistics of `strata rist`, of a sender and of a receiver.
fn statistics() -> [BTreeSet<&'static str>; 2] {
    let (_, section) = STATISTICS.split_once("\n## Statistics").unwrap();
    let (of_sender, of_receiver) = section.split_once("| of a receiver | |").unwrap();
    let of_receiver = of_receiver.split("\n## ").next().unwrap();
    let tunnel = of_sender.lines().find(|row| row.starts_with("| `tunnel`"));
    let names = |table: &'static str, more: Option<&'static str>| {
        let rows = table.lines().filter(|line| line.starts_with("| `")).chain(more);
        let names = rows.flat_map(|row| row.split('`').skip(1).step_by(2));
        let names = names.map(|name| name.trim_end_matches("[]"));
        // `cap` is a parameter.
        let is_field = |name: &&str| {
            *name != "cap" && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        names.filter(is_field).chain(["role", "latency_ms"]).collect::<BTreeSet<_>>()
    };
    [names(of_sender, None), names(of_receiver, tunnel)]
}

/// Every field of the statistics that the READMEs name is there, and every one that is there is named.
#[test]
fn statistics_are_as_they_are_documented() {
    let installed = Installed::new();
    let [mut of_sink, mut of_source] = statistics();
    let section = README.split("| message `strata-stats` |").nth(1).unwrap().lines().next().unwrap();
    let (own, without) = section.split_once("It has no").unwrap();
    let named = |text: &'static str| text.split('`').skip(1).step_by(2);
    of_sink.extend(named(own).filter(|name| !name.contains(' ') && *name != "bitrate"));
    named(without).for_each(|name| assert!(of_sink.remove(name), "{name}"));
    for name in named(README.split("The source's has no").nth(1).unwrap().lines().next().unwrap()) {
        assert!(of_source.remove(name), "{name}");
    }
    let receives = "gst-launch-1.0 -m stratasrc stats-interval=50 uri=rist://@127.0.0.1:6010 ! fakesink";
    // By an interface, and by one that there is not.
    let sends = "gst-launch-1.0 -m videotestsrc is-live=true ! x264enc tune=zerolatency ! mpegtsmux ! stratasink \
                 stats-interval=50 \"uri=rist://127.0.0.1:6010?interface=lo,rist://127.0.0.1:6010?interface=nosuchif0\"";
    let mut receiver = launch(&installed, receives);
    let mut sender = launch(&installed, sends);
    // They have all fields when the stream is known at both ends.
    let sides = [
        (&mut sender.1, of_sink, ["error", "rtt_ms", "rtt_min_ms"]),
        (&mut receiver.1, of_source, ["ssrc", "idle_ms", "rtt_ms"]),
    ];
    for (said, expected, last) in sides {
        let (mut line, mut found) = (String::new(), BTreeSet::new());
        while !last.iter().all(|name| found.contains(*name)) {
            line.clear();
            assert!(said.read_line(&mut line).unwrap() > 0, "{found:?}, without {last:?}");
            found = line.split_once("strata-stats,").map_or_else(BTreeSet::new, |(_, shown)| fields(shown));
        }
        assert!(found.iter().eq(expected.iter()), "{found:?} instead of {expected:?}");
    }
    for (example, program) in [(sends, sender), (receives, receiver)] {
        interrupt(&program.0);
        finish(example, program);
    }
}

/// A receiver and a sender at a time: the second example receives what the first one sends.
#[test]
fn examples_work_as_they_are_written() {
    let installed = Installed::new();
    let clip = "gst-launch-1.0 videotestsrc num-buffers=60 ! video/x-raw,width=320,height=240,framerate=30/1 \
                ! x264enc tune=zerolatency ! mpegtsmux ! filesink location=clip.ts";
    finish(clip, launch(&installed, clip));
    let examples = examples();
    assert_eq!(examples.len(), 4);
    for pair in examples.chunks(2) {
        let [sends, receives] = pair else { unreachable!("four") };
        assert!(sends.contains("stratasink") && receives.contains("stratasrc"), "{pair:?}");
        let mut receiver = launch(&installed, receives);
        let said = finish(sends, launch(&installed, sends));
        // What `-m` is said to show.
        assert_eq!(said.contains("strata-stats"), sends.contains(" -m "), "{said}");
        if receives.contains(" -m ") {
            wait_for(std::fs::metadata(installed.dir.path().join("clip.ts")).unwrap().len(), &mut receiver.1);
        }
        interrupt(&receiver.0);
        finish(receives, receiver);
    }
    let read = |name| std::fs::read(installed.dir.path().join(name)).unwrap();
    assert!(read("received.ts") == read("clip.ts"));
}
