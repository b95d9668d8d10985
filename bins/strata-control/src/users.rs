//! `user add` and `user list`.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use nix::sys::termios::{self, LocalFlags, SetArg};
use strata_proto::control::Role;
use strata_proto::token::Secret;
use strata_server::fleet::{NewUser, Users};

use crate::run::make_private;
use crate::settings::Settings;

pub(crate) async fn add(settings: &Settings, email: String, role: Role) -> anyhow::Result<()> {
    make_private(&settings.server.data_dir)?;
    let users = Users::open(&settings.server).await?;
    let password = password()?;
    let user = users.create(NewUser { email, password, role, account: None }).await?;
    println!("{} {}", user.id, user.email);
    Ok(())
}

pub(crate) async fn list(settings: &Settings) -> anyhow::Result<()> {
    make_private(&settings.server.data_dir)?;
    for user in Users::open(&settings.server).await?.list().await? {
        println!("{} {} {}", user.id, user.email, format!("{:?}", user.role).to_lowercase());
    }
    Ok(())
}

pub(crate) fn role(text: &str) -> Result<Role, String> {
    match text {
        "admin" => Ok(Role::Admin),
        "operator" => Ok(Role::Operator),
        "viewer" => Ok(Role::Viewer),
        _ => Err("expected admin, operator or viewer".to_owned()),
    }
}

/// The first line of standard input; on a terminal it is asked for, and not shown.
fn password() -> anyhow::Result<Secret> {
    let input = std::io::stdin();
    let hidden = if input.is_terminal() { Some(ask()?) } else { None };
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    if let Some(shown) = hidden {
        termios::tcsetattr(&input, SetArg::TCSANOW, &shown)?;
        eprintln!();
    }
    read.context("reading the password from standard input")?;
    let password = line.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        bail!("no password: write it to standard input, or run this on a terminal");
    }
    Ok(Secret::new(password))
}

/// Prompts and stops the terminal's echo; returns how the terminal was.
fn ask() -> anyhow::Result<termios::Termios> {
    eprint!("Password: ");
    std::io::stderr().flush()?;
    let input = std::io::stdin();
    let shown = termios::tcgetattr(&input)?;
    let mut hidden = shown.clone();
    hidden.local_flags.remove(LocalFlags::ECHO);
    termios::tcsetattr(&input, SetArg::TCSANOW, &hidden)?;
    Ok(shown)
}
