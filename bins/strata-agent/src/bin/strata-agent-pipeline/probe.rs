//! The answering side of [`strata_agent_protocol::probe`].

use std::io::{Read as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use strata_agent_protocol::probe::{Answer, Request};
use strata_media::pipeline::probe;
use strata_proto::control::{InputStatus, MediaInput};

/// Reads one request from stdin, prints what is seen: one answer per line, as soon as it is known.
///
/// # Errors
/// When there is no request, nobody reads the answers, or GStreamer cannot be loaded.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let request: Request = serde_json::from_str(&text).context("the request")?;
    if request.inputs {
        for input in probe::video_inputs()?.into_iter().filter_map(input) {
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
