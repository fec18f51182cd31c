//! Prometheus metrics and health over HTTP, for operators: on loopback by default.

use std::net::SocketAddr;

use anyhow::Context;
use bigbrotr_core::health::HealthBoard;
use prometheus::{Encoder, Registry, TextEncoder};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use warp::Filter;
use warp::http::StatusCode;

/// A bound listener that does not serve yet.
pub(crate) struct Exporter {
    listener: TcpListener,
    registry: Registry,
    board: HealthBoard,
}

impl Exporter {
    /// Takes the port.
    pub(crate) async fn bind(
        listen: SocketAddr,
        registry: Registry,
        board: HealthBoard,
    ) -> anyhow::Result<Self> {
        let listener = TcpListener::bind(listen)
            .await
            .with_context(|| format!("cannot listen on {listen} for metrics"))
            .context("Hint: choose another address with --metrics-listen, or port 0 for any")?;
        Ok(Self {
            listener,
            registry,
            board,
        })
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves until `stop` is cancelled.
    pub(crate) async fn run(self, stop: CancellationToken) {
        let Self {
            listener,
            registry,
            board,
        } = self;
        let metrics = warp::path!("metrics").map(move || {
            let mut text = Vec::new();
            match TextEncoder::new().encode(&registry.gather(), &mut text) {
                Ok(()) => warp::http::Response::builder()
                    .header("content-type", prometheus::TEXT_FORMAT)
                    .body(text),
                Err(error) => warp::http::Response::builder()
                    .status(StatusCode::INTERNAL_SERVER_ERROR)
                    .body(error.to_string().into_bytes()),
            }
        });
        let live = warp::path!("health" / "live").map(|| String::from("live\n"));
        let ready = warp::path!("health" / "ready").map(move || {
            let status = if board.is_ready() {
                StatusCode::OK
            } else {
                StatusCode::SERVICE_UNAVAILABLE
            };
            warp::reply::with_status(warp::reply::json(&board.to_json()), status)
        });
        let routes = warp::get().and(metrics.or(live).or(ready));
        warp::serve(routes)
            .incoming(listener)
            .graceful(async move { stop.cancelled().await })
            .run()
            .await;
    }
}
