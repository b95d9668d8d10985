//! Load, serve, drain.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::IsTerminal as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use strata_daemon::{Signals, logs};
use strata_server::Server;
use strata_server::tls::{self, ServeLimits};
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use crate::identity::{identity, renew};
use crate::settings::Settings;

pub(crate) async fn run(mut settings: Settings) -> anyhow::Result<()> {
    let log = &settings.own.log;
    logs::init(log.filter()?, log.format, std::io::stderr().is_terminal(), std::io::stderr)?;
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let _lock = lock(&settings.server.data_dir)?;
    let identity = identity(&settings)?;
    settings.server.ca = identity.ca();
    let (stop, stopped) = oneshot::channel();
    let signals = tokio::spawn(obey(Signals::listen()?, stop));

    let (server, driver) = Server::load(settings.server.clone()).await?;
    let driver = tokio::spawn(driver.run());
    let listener = TcpListener::bind(settings.own.listen)
        .await
        .with_context(|| format!("configuration key listen: {}", settings.own.listen))?;
    let address = listener.local_addr()?;
    warn_of_public_url(&settings);
    let (tls, latest) = watch::channel(identity.server_config()?);
    let renewal = tokio::spawn(renew(settings, tls));
    let router = server.router().fallback(strata_server::http::not_found);
    let serving = tls::Server::new(listener, latest, router, ServeLimits::default());
    println!("listening https://{address}");
    tracing::info!(%address, "serving");
    serving.run(async { drop(stopped.await) }).await;

    renewal.abort();
    server.shutdown().await;
    drop(server);
    if tokio::time::timeout(DRAIN, driver).await.is_err() {
        tracing::warn!("background work had not ended {DRAIN:?} after the shutdown and was dropped");
    }
    signals.abort();
    Ok(())
}

fn warn_of_public_url(settings: &Settings) {
    if settings.leads_astray() {
        tracing::warn!(
            public_url = %settings.server.public_url, listen = %settings.own.listen,
            "enrolment strings and streams' addresses are made of public_url, which every device takes for \
             itself: set public_url to the address that devices reach this control plane at"
        );
    }
}

/// Two control planes on one data directory would fight for its receivers.
fn lock(data_dir: &Path) -> anyhow::Result<File> {
    make_private(data_dir)?;
    let path = data_dir.join("lock");
    let file = File::create(&path).with_context(|| path.display().to_string())?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("{}: another strata-control runs on this data directory", data_dir.display())
        }
        Err(TryLockError::Error(error)) => Err(error).with_context(|| path.display().to_string()),
    }
}

pub(crate) fn make_private(data_dir: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(data_dir)
        .with_context(|| format!("configuration key data_dir: {}", data_dir.display()))
}

/// The first signal asks for a graceful end, the second one ends the process at once: whoever sends it will not wait.
async fn obey(mut signals: Signals, stop: oneshot::Sender<()>) {
    signals.next().await;
    tracing::info!("shutting down; receivers go on");
    let _ = stop.send(());
    let number = signals.next().await;
    tracing::warn!("a second signal: ending at once; receivers go on");
    std::process::exit(128 + i32::from(number));
}

/// What runs in the background ends with the last handle of the server; a request that hangs may hold one.
const DRAIN: Duration = Duration::from_secs(5);
