//! The door: TCP connections, HTTP requests on them, and the upgrade to a WebSocket.

mod forwarded;
pub(crate) mod gate;
mod handshake;
mod http;
pub(crate) mod nip11;

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use bigbrotr_core::service::ServiceContext;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use self::gate::Ticket;
pub(crate) use self::http::AdmittedPeer;
use self::http::Upgrade;
use crate::config::RelayConfig;
use crate::limits::{ACCEPT_PAUSE, HTTP_HEAD_BYTES, HTTP_HEADERS, HTTP_TIMEOUT};
use crate::session;
use crate::shared::Shared;

/// Takes connections until the service has to stop. Each is a task of the service.
pub(crate) async fn accept(
    shared: &Arc<Shared>,
    listener: TcpListener,
    context: &ServiceContext,
    stop: &CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // The limit per address of a proxy is the sum of its clients': it is checked later.
        let proxy = forwarded::is_proxy(&shared.config, address.ip());
        if !proxy && is_denied(&shared.config, address.ip()) {
            refused(shared, gate::Limit::Denied);
            continue;
        }
        let ticket = match shared.connections.enter(address.ip(), !proxy) {
            Ok(ticket) => ticket,
            Err(limit) => {
                refused(shared, limit);
                continue;
            }
        };
        let shared = shared.clone();
        let stop = stop.clone();
        context.tasks.spawn(async move {
            connection(shared, stream, address, ticket, stop).await;
        });
    }
}

/// Says whether the operator keeps an address out.
fn is_denied(config: &RelayConfig, ip: IpAddr) -> bool {
    config
        .denied_addresses
        .iter()
        .any(|range| range.contains(ip))
}

/// Counts a refused connection.
fn refused(shared: &Shared, limit: gate::Limit) {
    shared
        .metrics
        .connections_refused
        .with_label_values(&[limit.as_str()])
        .inc();
}

/// Answers HTTP requests, and goes on as a session where the client asks for a WebSocket.
async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    address: SocketAddr,
    _ticket: Ticket,
    stop: CancellationToken,
) {
    let Ok(local) = stream.local_addr() else {
        return;
    };
    // Small messages go out at once; without it they only go out later.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "no TCP_NODELAY");
    }
    let upgrade: Mutex<Option<Upgrade>> = Mutex::new(None);
    let answering = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_TIMEOUT)
        .max_buf_size(HTTP_HEAD_BYTES)
        .max_headers(HTTP_HEADERS)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| {
                let (response, wanted) = http::answer(&shared, request, address, local);
                if let Some(wanted) = wanted {
                    *upgrade.lock().unwrap_or_else(PoisonError::into_inner) = Some(wanted);
                }
                async { Ok::<_, std::convert::Infallible>(response) }
            }),
        )
        .with_upgrades();
    let answered = tokio::select! {
        () = stop.cancelled() => return,
        answered = timeout(HTTP_TIMEOUT, answering) => answered,
    };
    match answered {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(error = %error, "an HTTP connection failed"),
        Err(_) => tracing::debug!("an HTTP connection took too long"),
    }
    let upgrade = upgrade.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(upgrade) = upgrade
        && let Ok(upgraded) = upgrade.on_upgrade.await
    {
        let io = TokioIo::new(upgraded);
        Box::pin(session::run(shared, io, upgrade.peer, stop)).await;
    }
}
