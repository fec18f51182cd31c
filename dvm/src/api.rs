//! The REST mirror: the catalogue over HTTP, with [warp](https://docs.rs/warp).
//!
//! Routes come from the catalogue's entries, so there is no code per question. In short:
//!
//! - `server` accepts connections and bounds them;
//! - `exchange` takes a request through rate limit, route, catalogue, log and metrics;
//! - `answer` puts what comes out into HTTP: `ETag`, `gzip`, caching;
//! - `page`, `openapi` and `health` are what there is besides the questions.

mod answer;
mod client;
mod config;
mod cors;
mod error;
mod exchange;
mod gate;
mod health;
mod metrics;
mod openapi;
mod page;
mod proxy;
mod query;
mod routes;
mod server;

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::health::HealthBoard;
use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};
use bigbrotr_schema::catalog::Catalog;
use prometheus::Registry;
use tokio::net::TcpListener;

use self::answer::{Answer, JSON};
pub use self::config::ApiConfig;
use self::cors::Cors;
pub use self::error::BindError;
use self::exchange::Site;
pub(crate) use self::metrics::ApiMetrics;
pub use self::page::NodeFacts;
use self::page::Page;
pub use self::proxy::TrustedProxy;
use self::routes::Routes;
use crate::rate::RateLimiter;

/// Answers questions over HTTP.
pub struct ApiService {
    listener: TcpListener,
    local_addr: SocketAddr,
    site: Arc<Site>,
}

impl std::fmt::Debug for ApiService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiService")
            .field("local_addr", &self.local_addr)
            .finish_non_exhaustive()
    }
}

impl ApiService {
    /// Takes the address and registers the metrics; clients that connect wait until the service
    /// runs.
    ///
    /// # Errors
    /// [`BindError`], which has a hint where the address cannot be had.
    pub async fn bind(
        config: ApiConfig,
        catalog: Arc<Catalog>,
        board: HealthBoard,
        clock: SharedClock,
        registry: &Registry,
    ) -> Result<Arc<Self>, BindError> {
        let listen = config.listen;
        let routes = Routes::new(catalog.entries())?;
        let failed = |source| BindError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let local_addr = listener.local_addr().map_err(failed)?;
        let interval = Duration::from_secs(1) / config.rate_per_second.max(1);
        let openapi = openapi::document(catalog.entries(), &config.public_url);
        let site = Site {
            routes,
            page: Page::new(),
            facts: OnceLock::new(),
            openapi: Answer::page(JSON, openapi.to_string()),
            questions: RateLimiter::new(interval, config.rate_burst, clock.clone()),
            pages: RateLimiter::new(interval, config.rate_burst, clock.clone()),
            cors: Cors::new(&config.cors_origins),
            metrics: ApiMetrics::register(registry)?,
            config,
            catalog,
            board,
            clock,
        };
        Ok(Arc::new(Self {
            listener,
            local_addr,
            site: Arc::new(site),
        }))
    }

    /// Tells the page about the node that it belongs to. The first word counts.
    pub fn introduce(&self, facts: NodeFacts) {
        self.site.facts.get_or_init(|| facts);
    }

    /// Returns the address that it listens on, with the port that port 0 became.
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }
}

impl Service for ApiService {
    fn name(&self) -> ServiceName {
        ServiceName::Api
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        Box::pin(async move {
            context.ready();
            server::serve(&self.listener, &self.site, &context).await;
            Ok(())
        })
    }
}
