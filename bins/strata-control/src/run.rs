//! Load, serve, drain.

use std::fs::{DirBuilder, File, TryLockError};
use std::io::IsTerminal as _;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, bail};
use rustls::ServerConfig;
use strata_server::Server;
use strata_server::tls::{self, Identity, ServeLimits};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;

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

pub(crate) fn fingerprint(settings: &Settings) -> anyhow::Result<()> {
    match identity(settings)?.ca() {
        Some(fingerprint) => println!("{fingerprint}"),
        None => bail!("there is no own CA: certificates come from the files of [tls]"),
    }
    Ok(())
}

fn identity(settings: &Settings) -> anyhow::Result<Identity> {
    if let (Some(cert), Some(key)) = (&settings.own.tls.cert, &settings.own.tls.key) {
        return Ok(Identity::from_files(cert, key)?);
    }
    let mut names = settings.own.tls.names.clone();
    names.extend(["localhost", "127.0.0.1", "::1"].map(str::to_owned));
    names.extend(nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()));
    let public = settings.server.public_url.host_str().unwrap_or_default();
    names.push(public.trim_matches(['[', ']']).to_owned());
    if !settings.own.listen.ip().is_unspecified() {
        names.push(settings.own.listen.ip().to_string());
    }
    make_private(&settings.server.data_dir)?;
    #[expect(clippy::disallowed_methods, reason = "certificates are valid in wall time")]
    let now = SystemTime::now().into();
    Ok(Identity::from_own_ca(&settings.server.data_dir.join("tls"), &names, now)?)
}

/// New connections get a renewed certificate, whether it was made here or put into the files.
async fn renew(settings: Settings, tls: watch::Sender<Arc<ServerConfig>>) {
    let mut chain = identity(&settings).map(|identity| identity.chain().to_vec()).unwrap_or_default();
    let mut hours = tokio::time::interval(RENEWAL);
    loop {
        hours.tick().await;
        match identity(&settings).and_then(|i| Ok((i.chain().to_vec(), i.server_config()?))) {
            Ok((renewed, config)) if renewed != chain => {
                tracing::info!("certificate was renewed");
                chain = renewed;
                tls.send_replace(config);
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "certificate was not renewed"),
        }
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
    let filter = EnvFilter::try_new(&log.filter).context("configuration key log.filter")?;
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::stderr().is_terminal())
        .with_writer(std::io::stderr);
    match log.format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().init(),
    }
    Ok(())
}

/// A certificate is renewed long before it ends; files are seen within half a day.
const RENEWAL: Duration = Duration::from_secs(12 * 60 * 60);
/// For agents to be told, and for streams' last words to be written down.
const DRAIN: Duration = Duration::from_secs(5);
