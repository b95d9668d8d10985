//! The control plane as a process.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use strata_proto::control::Topic;
use toml::{Table, Value};

use crate::daemon::{Daemon, run};
use crate::live::Live;
use crate::place::Place;
use crate::rest::Rest;

/// Address and password of the user that is made.
const ADMIN: (&str, &str) = ("admin@example.com", "correct horse battery staple");

/// Longest time a daemon may take to start or to end.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A running control plane, and how to start it again.
#[derive(Debug)]
pub struct ControlPlane {
    /// The process.
    pub daemon: Daemon,
    /// Where it serves, `https://ADDR:PORT`.
    pub base: String,
    /// The certificate of its own CA.
    pub ca: PathBuf,
    config: PathBuf,
    dir: PathBuf,
}

impl ControlPlane {
    /// Starts a control plane with a data directory below `dir` and a user `admin`.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start(place: &Place, dir: &Path, settings: Table) -> Result<Self> {
        let data_dir = dir.join("control");
        let config = dir.join("control.toml");
        std::fs::write(&config, toml::to_string(&with_defaults(settings, place, &data_dir))?)?;
        add_admin(&config).await?;
        let daemon = spawn(&config, dir)?;
        let base = format!("https://{}", place.control());
        let mut control = Self { daemon, base, ca: data_dir.join("tls/ca.crt"), config, dir: dir.to_owned() };
        control.ready().await?;
        Ok(control)
    }

    /// Starts it again, after it ended.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn start_again(&mut self) -> Result<()> {
        self.daemon = spawn(&self.config, &self.dir)?;
        self.ready().await
    }

    /// A REST client, logged in as the admin.
    ///
    /// # Errors
    /// When the login fails.
    pub async fn rest(&self) -> Result<Rest> {
        let mut rest = Rest::new(&self.base, &self.ca)?;
        rest.login(ADMIN.0, ADMIN.1).await?;
        Ok(rest)
    }

    /// A live WebSocket, logged in as the admin.
    ///
    /// # Errors
    /// When it cannot be reached or does not greet.
    pub async fn live(&self, rest: &Rest, topics: Vec<Topic>) -> Result<Live> {
        let token = rest.token().context("not logged in")?;
        Live::connect(&self.base, &self.ca, token, topics).await
    }

    async fn ready(&mut self) -> Result<()> {
        let base = self.daemon.line("listening ", PATIENCE).await?;
        if base != self.base {
            bail!("strata-control listens on {base}, not on {}", self.base);
        }
        Ok(())
    }
}

fn spawn(config: &Path, dir: &Path) -> Result<Daemon> {
    Daemon::spawn("strata-control", "strata-control", &["--config".as_ref(), config.as_os_str()], dir)
}

async fn add_admin(config: &Path) -> Result<()> {
    let config = config.to_str().context("the working directory's name is not UTF-8")?;
    let args = ["--config", config, "user", "add", "--email", ADMIN.0, "--role", "admin"];
    let (code, _, stderr) = run("strata-control", &args, &format!("{}\n", ADMIN.1)).await?;
    if code != 0 {
        bail!("strata-control user add failed ({code}): {stderr}");
    }
    Ok(())
}

/// `settings` with everything that keeps this control plane to its own place.
fn with_defaults(mut settings: Table, place: &Place, data_dir: &Path) -> Table {
    let text = |text: String| Value::String(text);
    settings.insert("data_dir".to_owned(), text(data_dir.display().to_string()));
    settings.insert("listen".to_owned(), text(place.control().to_string()));
    settings.insert("public_url".to_owned(), text(format!("https://{}", place.control())));
    let streams = settings.entry("streams").or_insert_with(|| Value::Table(Table::new()));
    if let Value::Table(streams) = streams {
        streams.insert("bind".to_owned(), text(place.receiver().to_string()));
    }
    settings
}
