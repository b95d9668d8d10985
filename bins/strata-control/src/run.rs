//! Load, serve, drain.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::IsTerminal as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, bail};
use strata_server::Server;
use strata_server::tls::{self, ServeLimits};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::identity::{identity, renew};
use crate::settings::{Log, LogFormat, Settings};

pub(crate) async fn run(mut settings: Settings) -> anyhow::Result<()> {
    log(&settings.own.log)?;
    drop(rustls::crypto::aws_lc_rs::default_provider().install_default());
    let _lock = lock(&settings.server.data_dir)?;
    let identity = identity(&settings)?;
    settings.server.ca = identity.ca();
    let stop = stopped()?;

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
    serving.run(stop).await;

    tracing::info!("shutting down; receivers go on");
    renewal.abort();
    server.shutdown().await;
    drop(server);
    if tokio::time::timeout(DRAIN, driver).await.is_err() {
        tracing::warn!("some connections were cut off");
    }
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

fn stopped() -> std::io::Result<impl Future<Output = ()>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn log(log: &Log) -> anyhow::Result<()> {
    let logs = tracing_subscriber::fmt()
        .with_env_filter(log.filter()?)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

/// For agents to be told, and for streams' last words to be written down.
const DRAIN: Duration = Duration::from_secs(5);
