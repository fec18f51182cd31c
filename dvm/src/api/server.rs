//! Connections: accepting, bounding and ending them.
//!
//! warp's own server leaves its connections to nobody and waits for slow ones without end, so
//! warp answers here on connections that the service owns.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bigbrotr_core::service::ServiceContext;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::filters::BoxedFilter;
use warp::http::{HeaderMap, Method, Request, Response};
use warp::path::FullPath;

use super::client;
use super::exchange::{Asked, Site};
use super::gate::Gate;
use crate::limits::{ACCEPT_PAUSE, CONNECTION_GRACE, CONNECTION_LIFETIME, MAX_CONNECTIONS};

/// The other end of a connection.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

type Pages = BoxedFilter<(Response<Vec<u8>>,)>;

/// Serves until the service stops, then lets the requests at work finish.
pub(super) async fn serve(listener: &TcpListener, site: &Arc<Site>, context: &ServiceContext) {
    let pages = pages(site.clone());
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let gate = Gate::default();
    loop {
        let accepting = async {
            // First a free slot: who finds none waits in the system's queue.
            let slot = slots.clone().acquire_owned().await;
            (listener.accept().await, slot)
        };
        let (accepted, slot) = tokio::select! {
            () = context.stop.cancelled() => break,
            accepted = accepting => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let address = peer.ip().to_canonical();
                let most = if client::is_trusted(address, &site.config.trusted_proxies) {
                    MAX_CONNECTIONS
                } else {
                    site.config.max_connections_per_client
                };
                // Who has too many already is not worth an answer.
                let Some(place) = gate.enter(client::key(address), most) else {
                    site.metrics.refused.inc();
                    continue;
                };
                let connection = Connection {
                    stream,
                    peer,
                    pages: pages.clone(),
                    http: http(site),
                    stop: context.stop.clone(),
                };
                let open = site.metrics.connections.clone();
                context.tasks.spawn(async move {
                    open.inc();
                    connection.serve().await;
                    open.dec();
                    drop((place, slot));
                });
            }
            Err(error) if is_of_connection(&error) => {}
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "cannot accept connections: trying again",
                );
                context.sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    let all = slots.acquire_many(MAX_CONNECTIONS as u32);
    // Each connection has a bound of its own; this one is for safety.
    if tokio::time::timeout(CONNECTION_GRACE * 2, all)
        .await
        .is_err()
    {
        tracing::warn!("connections are cut off");
    }
}

/// What a filter hears of a request is the whole of it: routes are the catalogue's, not warp's.
fn pages(site: Arc<Site>) -> Pages {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    warp::method()
        .and(warp::path::full())
        .and(query)
        .and(warp::header::headers_cloned())
        .and(warp::ext::optional::<Peer>())
        .then(
            move |method: Method,
                  path: FullPath,
                  query: String,
                  headers: HeaderMap,
                  peer: Option<Peer>| {
                let site = site.clone();
                async move {
                    let asked = Asked {
                        method,
                        path: path.as_str().to_owned(),
                        query,
                        headers,
                        peer: peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |peer| peer.0),
                    };
                    site.exchange(asked).await
                }
            },
        )
        .boxed()
}

/// The bounds on what a client sends.
fn http(site: &Site) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(site.config.request_timeout)
        // hyper wants 8 KiB at least; the configuration is checked, a test's may be anything.
        .max_buf_size(site.config.max_request_size.as_usize().max(8_192));
    http
}

struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    pages: Pages,
    http: http1::Builder,
    stop: CancellationToken,
}

impl Connection {
    async fn serve(self) {
        let pages = TowerToHyperService::new(warp::service(self.pages));
        let peer = Peer(self.peer.ip());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(peer);
            pages.call(request)
        });
        let connection = self
            .http
            .serve_connection(TokioIo::new(self.stream), service);
        let mut connection = std::pin::pin!(connection);
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = self.stop.cancelled() => None,
            () = tokio::time::sleep(CONNECTION_LIFETIME) => None,
        };
        let ended = if let Some(ended) = ended {
            Ok(ended)
        } else {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(CONNECTION_GRACE, connection).await
        };
        // Clients that break off are no news.
        if let Ok(Err(error)) = ended {
            tracing::debug!(error = &error as &dyn std::error::Error, "connection broke");
        }
    }
}

/// Says whether accepting failed because of one client.
fn is_of_connection(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}
