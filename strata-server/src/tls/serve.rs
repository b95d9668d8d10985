//! The serve loop: accepts, shakes hands, hands requests to the router.

#![expect(clippy::disallowed_types, reason = "this is the driver of the listening socket")]

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::Layer as _;

/// Bounds of the serve loop.
#[derive(Debug, Clone)]
pub struct ServeLimits {
    /// Most connections at once; further ones wait in the kernel's queue.
    pub max_connections: usize,
    /// Time for the TLS handshake and again for a request's header.
    pub handshake: Duration,
    /// Time for requests in flight at shutdown.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self { max_connections: 20_000, handshake: Duration::from_secs(10), drain: Duration::from_secs(5) }
    }
}

/// An axum router over TLS on one listening socket. Requests carry [`ConnectInfo<SocketAddr>`].
///
/// WebSockets leave the loop once upgraded: whoever upgraded them closes them.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    tls: watch::Receiver<Arc<ServerConfig>>,
    router: Router,
    limits: ServeLimits,
}

impl Server {
    /// Serves `router` on `listener`. New connections use the latest value of `tls`, so that a
    /// renewed certificate needs no restart.
    #[must_use]
    pub fn new(
        listener: TcpListener,
        tls: watch::Receiver<Arc<ServerConfig>>,
        router: Router,
        limits: ServeLimits,
    ) -> Self {
        Self { listener, tls, router, limits }
    }

    /// Runs until `shutdown`, then lets requests in flight end within [`ServeLimits::drain`].
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let stop = CancellationToken::new();
        let mut connections = JoinSet::new();
        let free = Arc::new(Semaphore::new(self.limits.max_connections));
        tokio::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                Some(_) = connections.join_next() => continue,
                accepted = accept(&self.listener, &free) => accepted,
            };
            let (stream, peer, permit) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    pause().await;
                    continue;
                }
            };
            let acceptor = TlsAcceptor::from(self.tls.borrow().clone());
            let router = self.router.clone();
            let handshake = self.limits.handshake;
            let stop = stop.clone();
            connections.spawn(async move {
                // Boxed: the handshake's state is large and needed only for a moment.
                let shaken = Box::pin(tokio::time::timeout(handshake, acceptor.accept(stream))).await;
                match shaken {
                    Ok(Ok(stream)) => serve(stream, peer, router, handshake, stop).await,
                    Ok(Err(error)) => tracing::debug!(%peer, %error, "TLS handshake failed"),
                    Err(_) => tracing::debug!(%peer, "TLS handshake timed out"),
                }
                drop(permit);
            });
        }
        drop(self.listener);
        stop.cancel();
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(self.limits.drain, drained).await.is_err() {
            let left = connections.len();
            tracing::warn!(
                left,
                "connections were cut off at shutdown: a handshake or request was under way"
            );
        }
    }
}

async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> std::io::Result<(TcpStream, SocketAddr, OwnedSemaphorePermit)> {
    let permit = free.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, peer) = listener.accept().await?;
    // Commands are small and answered at once; waiting to fill a segment only delays them.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%peer, %error, "TCP_NODELAY was refused");
    }
    Ok((stream, peer, permit))
}

async fn serve(
    stream: tokio_rustls::server::TlsStream<TcpStream>,
    peer: SocketAddr,
    router: Router,
    header_timeout: Duration,
    stop: CancellationToken,
) {
    let service = axum::Extension(ConnectInfo(peer)).layer(router);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
        .with_upgrades();
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%peer, %error, "connection ended with an error");
    }
}

/// Out of descriptors or memory: trying again at once would only burn a core.
#[expect(clippy::disallowed_methods, reason = "the driver waits")]
async fn pause() {
    tokio::time::sleep(Duration::from_millis(100)).await;
}
