//! The program as these tests start it.

use std::process::Command;

/// The program, of whose settings nothing comes from who runs the tests.
pub(crate) fn strata() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_strata"));
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"STRATA_") {
            command.env_remove(name);
        }
    }
    command
}
