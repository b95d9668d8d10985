//! Control plane of Strata: enrols devices, steers streams, supervises receivers.

mod identity;
mod run;
mod settings;
mod users;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use strata_proto::control::Role;
use strata_server::{ConfigError, LoadError};

use settings::Settings;

#[derive(Parser)]
#[command(version, about, after_long_help = HELP, disable_help_subcommand = true)]
struct Cli {
    /// Configuration file (TOML). Without it, /etc/strata/control.toml if it is there
    #[arg(long, global = true, env = "STRATA_CONTROL_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Serve until SIGTERM or SIGINT (the default)
    Run,
    /// People who may log in
    #[command(subcommand)]
    User(User),
    /// The control plane's own certificate authority
    #[command(subcommand)]
    Ca(Ca),
    /// The configuration
    #[command(subcommand)]
    Config(Config),
}

#[derive(Subcommand)]
enum User {
    /// Add a user; the password is read from standard input, or asked for on a terminal
    Add {
        /// Address the user logs in with
        #[arg(long)]
        email: String,
        /// What the user may do: admin, operator or viewer
        #[arg(long, default_value = "operator", value_parser = users::role)]
        role: Role,
    },
    /// Show every user: id, address, role, and `disabled` for one that may not log in
    List,
    /// Let a user log in no longer; what the user is logged in with ends at once
    Disable {
        /// Address the user logs in with
        #[arg(long)]
        email: String,
    },
    /// Let a disabled user log in again
    Enable {
        /// Address the user logs in with
        #[arg(long)]
        email: String,
    },
    /// Replace a password, read like that of `add`; what the user is logged in with ends at once
    SetPassword {
        /// Address the user logs in with
        #[arg(long)]
        email: String,
    },
}

#[derive(Subcommand)]
enum Ca {
    /// Print the fingerprint that agents pin; makes the CA if there is none yet
    Fingerprint,
}

#[derive(Subcommand)]
enum Config {
    /// Read the configuration and the files it names, say what is wrong with them or `ok`, and end
    Check,
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    let settings = match Settings::load(cli.config.as_deref()) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("strata-control: {error:#}");
            return ExitCode::from(BAD_CONFIG);
        }
    };
    let done = match cli.command.unwrap_or(Command::Run) {
        Command::Run => run::run(settings).await,
        Command::User(command) => users::run(&settings, command).await,
        Command::Ca(Ca::Fingerprint) => identity::fingerprint(&settings),
        Command::Config(Config::Check) => check(&settings),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("strata-control: {error:#}");
            if is_config(&error) { ExitCode::from(BAD_CONFIG) } else { ExitCode::FAILURE }
        }
    }
}

/// What parsing has not checked: the files it names.
fn check(settings: &Settings) -> anyhow::Result<()> {
    identity::from_files(&settings.own.tls)?;
    // A bare name is looked for in PATH, when a stream starts.
    let receiver = settings.server.streams.receiver.as_ref().filter(|path| path.components().count() > 1);
    if let Some(missing) = receiver.filter(|path| !path.is_file()) {
        let reason = format!("{}: there is no such file", missing.display());
        return Err(ConfigError::new("streams.receiver", reason).into());
    }
    println!("ok");
    Ok(())
}

/// Whether a key of the configuration is to blame.
fn is_config(error: &anyhow::Error) -> bool {
    error
        .chain()
        .any(|cause| cause.is::<ConfigError>() || matches!(cause.downcast_ref(), Some(LoadError::Config(_))))
}

/// Where the configuration is when nobody says.
fn default_config() -> &'static Path {
    Path::new("/etc/strata/control.toml")
}

/// `EX_CONFIG` of sysexits.h, as the other daemons answer; 2 is clap's, for a bad command line.
const BAD_CONFIG: u8 = 78;

const HELP: &str = "\
First steps:
  strata-control user add --email you@example.com --role admin
  strata-control
  When it serves, it prints one line on standard output: listening https://ADDRESS:PORT

Configuration (TOML; every key is optional; an unknown key is an error that names it):
  listen = \"0.0.0.0:8443\"                  # where to serve HTTPS
  data_dir = \"/var/lib/strata\"             # database, keys, CA, recordings
  public_url = \"https://localhost:8443\"    # how agents and people reach this server
  [tls]
  cert = \"/etc/strata/fullchain.pem\"       # default: a CA of its own in the data directory
  key = \"/etc/strata/key.pem\"
  names = []                               # further names of the certificate it makes
  [log]
  format = \"text\"                          # or json; logs go to standard error
  filter = \"info\"                          # such as info,strata_server=debug
  [streams]
  bind = \"0.0.0.0\"                         # address receivers bind
  hosts = []                               # hosts agents send to, link by link; default: public_url's
  ports = \"15000-16000\"                    # UDP, two per link
  record = true                            # write streams to DATA_DIR/recordings
  receiver = \"/usr/bin/strata-receiver\"    # default: beside this program, then in PATH
  The sections session, fleet and http hold limits and times; the program's README lists every key.

Environment:
  STRATA_CONTROL_CONFIG names the configuration file. STRATA_CONTROL_<KEY> overrides a key of it, with
  two underscores for the dot: STRATA_CONTROL_LISTEN=127.0.0.1:8443, STRATA_CONTROL_STREAMS__RECORD=false.

Signals:
  SIGTERM and SIGINT end it gracefully: agents are told to reconnect later; receivers go on and are
  taken up again by the next start (under systemd use KillMode=process). A second one ends it at once.

Exit codes:
  0    ended as asked
  1    could not start or go on; the reason is on standard error
  2    bad command line
  78   bad configuration; the reason names the key, or the environment variable that set it
  130  ended at once by a second signal, SIGINT
  143  ended at once by a second signal, SIGTERM";
