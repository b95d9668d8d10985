//! The certificate that is shown: from the files of `[tls]`, or of a CA of its own.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::bail;
use rustls::ServerConfig;
use strata_server::ConfigError;
use strata_server::tls::Identity;
use tokio::sync::watch;

use crate::run::make_private;
use crate::settings::{Settings, Tls};

/// Makes the CA and the certificate when there are none.
pub(crate) fn identity(settings: &Settings) -> anyhow::Result<Identity> {
    if let Some(identity) = from_files(&settings.own.tls)? {
        return Ok(identity);
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

/// What the files of `[tls]` hold, proven to make a server; `None` when none are named.
pub(crate) fn from_files(tls: &Tls) -> Result<Option<Identity>, ConfigError> {
    let (Some(cert), Some(key)) = (&tls.cert, &tls.key) else { return Ok(None) };
    let identity = Identity::from_files(cert, key).map_err(|error| {
        let is_key = cert != key && error.path() == Some(key);
        ConfigError::new(if is_key { "tls.key" } else { "tls.cert" }, error.to_string())
    })?;
    let usable = identity.server_config();
    usable.map_err(|e| ConfigError::new("tls.key", format!("{}: {e}", key.display())))?;
    Ok(Some(identity))
}

/// New connections get a renewed certificate, whether it was made here or put into the files.
pub(crate) async fn renew(settings: Settings, tls: watch::Sender<Arc<ServerConfig>>) {
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

/// `ca fingerprint`.
pub(crate) fn fingerprint(settings: &Settings) -> anyhow::Result<()> {
    match identity(settings)?.ca() {
        Some(fingerprint) => println!("{fingerprint}"),
        None => bail!("there is no own CA: certificates come from the files of [tls]"),
    }
    Ok(())
}

/// A certificate is renewed long before it ends; files are seen within half a day.
const RENEWAL: Duration = Duration::from_secs(12 * 60 * 60);
