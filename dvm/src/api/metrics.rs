//! What the REST mirror counts. Routes are entries' names, never paths as clients send them.

use std::time::Duration;

use prometheus::{
    HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry,
};

/// The classes of status codes.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// What is served beside the catalogue, as the routes name it.
const PAGES: [&str; 8] = [
    "page",
    "docs",
    "openapi",
    "node",
    "file",
    "health.live",
    "health.ready",
    "unknown",
];

#[derive(Debug)]
pub(crate) struct ApiMetrics {
    requests: IntCounterVec,
    seconds: HistogramVec,
    pub(super) connections: IntGauge,
    pub(super) refused: IntCounter,
}

impl ApiMetrics {
    pub(crate) fn register(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            requests: IntCounterVec::new(
                Opts::new(
                    "bigbrotr_api_requests_total",
                    "HTTP requests by route (catalogue entry, or a page's name) and class of \
                     status.",
                ),
                &["route", "status"],
            )?,
            seconds: HistogramVec::new(
                HistogramOpts::new(
                    "bigbrotr_api_request_seconds",
                    "Time from a request's headers to its answer, by route.",
                ),
                &["route"],
            )?,
            connections: IntGauge::new("bigbrotr_api_connections", "HTTP connections open.")?,
            refused: IntCounter::new(
                "bigbrotr_api_connections_refused_total",
                "HTTP connections closed at once because the client holds too many.",
            )?,
        };
        // What is asked of the catalogue appears when it is asked for.
        for page in PAGES {
            for class in CLASSES {
                metrics.requests.with_label_values(&[page, class]);
            }
            metrics.seconds.with_label_values(&[page]);
        }
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.seconds.clone()))?;
        registry.register(Box::new(metrics.connections.clone()))?;
        registry.register(Box::new(metrics.refused.clone()))?;
        Ok(metrics)
    }

    pub(super) fn count(&self, route: &str, status: u16, duration: Duration) {
        let class = match status {
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            _ => "5xx",
        };
        self.requests.with_label_values(&[route, class]).inc();
        self.seconds
            .with_label_values(&[route])
            .observe(duration.as_secs_f64());
    }
}
