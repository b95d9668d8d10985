//! The probe's side of [`crate::hardware::probe`]: the process that loads GStreamer to look.

use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use strata_media::pipeline::probe;
use strata_proto::control::{InputStatus, MediaInput};

use crate::hardware::probe::{Answer, Request};

/// Reads one request from stdin, prints what is seen: one answer per line, as soon as it is known.
pub(crate) fn main() -> ExitCode {
    crate::pipeline::die_with_parent();
    let mut text = String::new();
    let request = match std::io::stdin().read_to_string(&mut text).map(|_| serde_json::from_str(&text)) {
        Ok(Ok(request)) => request,
        _ => return ExitCode::FAILURE,
    };
    match answer(request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn answer(request: Request) -> std::io::Result<()> {
    if request.inputs {
        let inputs = probe::video_inputs().map_err(std::io::Error::other)?;
        for input in inputs.into_iter().filter_map(input) {
            say(&Answer::Input(input))?;
        }
    }
    for path in request.files {
        let duration = probe::file(&path, PATIENCE).ok().and_then(|media| media.duration);
        let duration_s = duration.map(|d| (d + Duration::from_millis(500)).as_secs());
        say(&Answer::File { path, duration_s })?;
    }
    Ok(())
}

fn input(found: probe::VideoInput) -> Option<MediaInput> {
    Some(MediaInput {
        device: found.device.to_str()?.to_owned(),
        kind: "v4l2".to_owned(),
        label: found.label,
        capabilities: found.capabilities,
        status: if found.available { InputStatus::Available } else { InputStatus::InUse },
    })
}

fn say(answer: &Answer) -> std::io::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    std::io::stdout().write_all(&line)
}

/// A file that takes longer has no index and would have to be read whole.
const PATIENCE: Duration = Duration::from_secs(5);
