//! `user …`: who may log in. Works beside a running control plane, on the same database.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use anyhow::{Context as _, bail};
use nix::sys::termios::{self, LocalFlags, SetArg};
use strata_proto::control::Role;
use strata_proto::token::Secret;
use strata_server::fleet::{NewUser, UserEntry, Users};

use crate::User;
use crate::run::make_private;
use crate::settings::Settings;

pub(crate) async fn run(settings: &Settings, command: User) -> anyhow::Result<()> {
    make_private(&settings.server.data_dir)?;
    let users = Users::open(&settings.server).await?;
    let user = match command {
        User::Add { email, role } => {
            let password = password()?;
            users.create(NewUser { email, password, role, account: None }).await?
        }
        User::List => return list(&users).await,
        User::Disable { email } => users.disable(&email).await?,
        User::Enable { email } => users.enable(&email).await?,
        User::SetPassword { email } => users.set_password(&email, password()?).await?,
    };
    println!("{} {}", user.id, user.email);
    Ok(())
}

async fn list(users: &Users) -> anyhow::Result<()> {
    for UserEntry { user, disabled_at } in users.list().await? {
        let role = format!("{:?}", user.role).to_lowercase();
        let disabled = if disabled_at.is_some() { " disabled" } else { "" };
        println!("{} {} {role}{disabled}", user.id, user.email);
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
