//! Restart, reboot, shutdown: only where they can really happen.

use std::path::Path;

use strata_proto::control::{ErrorCode, Fault, PowerAction};

use super::Exit;

/// What ends the machine, if this process may and there is a system manager that can.
///
/// # Errors
/// `unsupported` in a container, without systemd, and without permission.
pub(super) fn machine(action: PowerAction) -> Result<Exit, Fault> {
    let verb = match action {
        PowerAction::Reboot => "reboot",
        PowerAction::Shutdown => "poweroff",
        _ => return Err(unsupported("this agent does not know this action")),
    };
    // sd_booted(3)
    if !Path::new("/run/systemd/system").is_dir() {
        return Err(unsupported("no system manager runs here that could do this"));
    }
    if Path::new("/run/systemd/container").exists() || Path::new("/.dockerenv").exists() {
        return Err(unsupported("the agent runs in a container, not on the machine"));
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(unsupported("the agent does not run as root"));
    }
    Ok(Exit::Machine(verb))
}

fn unsupported(message: &str) -> Fault {
    Fault::new(ErrorCode::UNSUPPORTED, message).with_field("payload.action")
}
