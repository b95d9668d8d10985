//! What the encoders and the muxer of ffmpeg make is worth what its demuxer says: keyframes are critical to their end, and no other
//! picture is, whatever the codec.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use strata_media::ts::{Classifier, Priority};

/// Bytes of a packet of a transport stream (ISO/IEC 13818-1, 2.4.3.2).
const PACKET: usize = 188;

/// What a tool writes to its standard output.
fn output(tool: &str, args: &[&str]) -> String {
    let mut command = Command::new(tool);
    command.args(["-v", "error"]).args(args).stdin(Stdio::null());
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot start {tool} ({error}); `make setup` installs it"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Five seconds of pictures, of which one in 25 is a keyframe, and sound. What encoders say of themselves (SEI, units of the
/// types given), which nothing depends on, is left out.
fn encode(encoder: &[&str], said: &str, file: &Path) {
    let sources =
        ["-f", "lavfi", "-i", "testsrc2=size=640x360:rate=25", "-f", "lavfi", "-i", "sine=sample_rate=48000"];
    let filter = format!("filter_units=remove_types={said}");
    let end = ["-bsf:v", &filter, "-c:a", "aac", "-t", "5", "-y", "-f", "mpegts", file.to_str().unwrap()];
    output("ffmpeg", &[&sources, encoder, &end].concat());
}

/// What each picture and piece of sound should be worth, by the place of its first packet in the file.
fn expected(file: &Path) -> BTreeMap<usize, Priority> {
    let mut expected = BTreeMap::new();
    for (streams, keyframes) in [("v", Priority::Critical), ("a", Priority::Audio)] {
        let entries = "packet=pos,flags";
        let seen = output(
            "ffprobe",
            &["-select_streams", streams, "-show_entries", entries, "-of", "csv=p=0", file.to_str().unwrap()],
        );
        // Sound that does not begin a packet is at no place of its own.
        for line in seen.lines().filter(|line| !line.is_empty() && !line.starts_with("N/A")) {
            let mut fields = line.split(',');
            let (place, flags) = (fields.next().unwrap(), fields.next().unwrap());
            let priority = if flags.starts_with('K') { keyframes } else { Priority::Normal };
            expected.insert(place.parse().unwrap(), priority);
        }
    }
    expected
}

/// A packet's PID.
fn pid(packet: &[u8]) -> u16 {
    u16::from_be_bytes([packet[1] & 0x1f, packet[2]])
}

#[test]
fn keyframes_of_real_encoders_are_critical_and_no_other_picture_is() {
    let dir = tempfile::tempdir().unwrap();
    let x265 = "keyint=25:min-keyint=25:scenecut=0:log-level=error";
    let open = format!("{x265}:open-gop=1:repeat-headers=1");
    let closed = format!("{x265}:open-gop=0");
    let encoders: [(&str, &[&str]); 4] = [
        ("H.264", &["-c:v", "libx264", "-g", "25", "-keyint_min", "25", "-sc_threshold", "0"]),
        (
            "H.264 in slices",
            &["-c:v", "libx264", "-g", "25", "-sc_threshold", "0", "-x264-params", "slices=4"],
        ),
        ("H.265 in closed groups", &["-c:v", "libx265", "-x265-params", &closed]),
        ("H.265 in open groups", &["-c:v", "libx265", "-x265-params", &open]),
    ];
    for (name, encoder) in encoders {
        let file = dir.path().join("pictures.ts");
        encode(encoder, if name.starts_with("H.264") { "6" } else { "39-40" }, &file);
        let (bytes, expected) = (std::fs::read(&file).unwrap(), expected(&file));
        let (mut classifier, mut under_way, mut pictures) = (Classifier::new(), BTreeMap::new(), [0; 2]);
        for (index, packet) in bytes.chunks_exact(PACKET).enumerate() {
            let (place, seen) = (index * PACKET, classifier.classify(packet));
            if let Some(&priority) = expected.get(&place) {
                under_way.insert(pid(packet), priority);
                match priority {
                    Priority::Critical => pictures[0] += 1,
                    Priority::Normal => pictures[1] += 1,
                    _ => {}
                }
            }
            // Before any of them there are tables.
            let priority = under_way.get(&pid(packet)).copied();
            assert!(
                priority.is_none_or(|priority| priority == seen),
                "{name}, at {place}: {seen:?}, not {priority:?}"
            );
        }
        assert_eq!(pictures, [5, 120], "{name}");
        assert_eq!(under_way.len(), 2, "{name}: pictures and sound");
    }
}
