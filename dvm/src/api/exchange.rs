//! One request, from its headers to its answer: the steps that all routes share.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::health::HealthBoard;
use bigbrotr_schema::catalog::{self, Catalog, CatalogError};
use rand::Rng;
use warp::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use warp::http::{Method, Response};

use super::answer::Answer;
use super::cors::Cors;
use super::metrics::ApiMetrics;
use super::page::{self, NodeFacts, Page};
use super::query;
use super::routes::{Allowance, Route, Routes, Template};
use super::{ApiConfig, client, health};
use crate::limits::MAX_REQUEST_ID_CHARS;
use crate::problem::Problem;
use crate::question::collect_params;
use crate::rate::{RateLimiter, Verdict};

const METHODS: &str = "GET, HEAD, OPTIONS";
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that answering needs, shared by all connections.
pub(super) struct Site {
    pub(super) config: ApiConfig,
    pub(super) catalog: Arc<Catalog>,
    pub(super) board: HealthBoard,
    pub(super) clock: SharedClock,
    pub(super) routes: Routes,
    pub(super) page: Page,
    /// Once somebody has told them.
    pub(super) facts: OnceLock<NodeFacts>,
    pub(super) openapi: Answer,
    pub(super) questions: RateLimiter<IpAddr>,
    pub(super) pages: RateLimiter<IpAddr>,
    pub(super) cors: Cors,
    pub(super) metrics: ApiMetrics,
}

/// What of a request matters.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) method: Method,
    /// As written, percent-encoded.
    pub(super) path: String,
    /// As written, without `?`.
    pub(super) query: String,
    pub(super) headers: HeaderMap,
    /// The other end of the connection.
    pub(super) peer: IpAddr,
}

impl Site {
    /// Answers one request; counts and logs it.
    pub(super) async fn exchange(&self, asked: Asked) -> Response<Vec<u8>> {
        let started = self.clock.monotonic();
        let id = request_id(&asked.headers);
        let route = self.routes.find(&asked.path);
        let trusted = &self.config.trusted_proxies;
        let client = client::address(asked.peer, &asked.headers, trusted);
        let verdict = match route.allowance() {
            Allowance::None => None,
            Allowance::Pages => Some(self.pages.take(client::key(client))),
            Allowance::Questions => Some(self.questions.take(client::key(client))),
        };
        let answer = match &verdict {
            Some(verdict) if !verdict.allowed => {
                let retry_after_seconds = verdict.retry_after_seconds();
                let error = CatalogError::RateLimited {
                    retry_after_seconds,
                };
                Problem::from(error).into()
            }
            _ => self.answer(&asked, route, &id).await,
        };
        let mut response = answer.into_response(&asked.headers, self.config.gzip);
        let headers = response.headers_mut();
        self.cors.apply(&asked.headers, headers);
        if let Some(verdict) = verdict {
            tell_limits(&verdict, self.config.rate_per_second, headers);
        }
        if let Ok(value) = HeaderValue::from_str(&id) {
            headers.insert(REQUEST_ID, value);
        }
        let duration = self.clock.monotonic().duration_since(started);
        let status = response.status().as_u16();
        self.metrics.count(route.name(), status, duration);
        let named = self.config.log_client_addresses.then_some(client);
        log(&asked.method, route, status, duration, &id, named);
        response
    }

    async fn answer(&self, asked: &Asked, route: Route<'_>, id: &str) -> Answer {
        if route == Route::Unknown {
            return not_found(&asked.path).into();
        }
        if asked.method == Method::OPTIONS {
            let mut headers = HeaderMap::new();
            Cors::apply_preflight(&mut headers);
            headers.insert(header::ALLOW, HeaderValue::from_static(METHODS));
            let mut answer = Answer::momentary(204, String::new());
            answer.headers.extend(
                headers
                    .iter()
                    .map(|(name, value)| (name.clone(), value.clone())),
            );
            return answer;
        }
        if asked.method != Method::GET && asked.method != Method::HEAD {
            let problem = Problem::new(
                405,
                "method_not_allowed",
                format!("this is for reading: use {METHODS}"),
            );
            let allowed = HeaderValue::from_static(METHODS);
            return Answer::from(problem).with(header::ALLOW, allowed);
        }
        match route {
            Route::Page => self.page.front(self.facts.get(), &asked.headers),
            Route::Docs => self.page.docs(),
            Route::OpenApi => self.openapi.clone(),
            Route::Node => page::node(self.facts.get(), &asked.headers),
            Route::File(path) => match self.page.file(path) {
                Some(file) => file,
                None => not_found(&asked.path).into(),
            },
            Route::Live => health::live(),
            Route::Ready => health::ready(&self.board),
            Route::Unknown => not_found(&asked.path).into(),
            Route::Question(template) => {
                let limit = self.config.request_timeout;
                let asking = self.ask(template, asked);
                let answer = tokio::time::timeout(limit, asking).await;
                let answer = answer.unwrap_or(Err(CatalogError::Timeout {
                    limit_seconds: limit.as_secs(),
                }));
                match answer {
                    Ok(answer) => Answer::question(answer.json, answer.as_of),
                    Err(error) => {
                        log_failure(&error, &template.query, id);
                        Problem::from(error).into()
                    }
                }
            }
        }
    }

    /// Asks the catalogue; its JSON is the body.
    async fn ask(
        &self,
        template: &Template,
        asked: &Asked,
    ) -> Result<catalog::Answer, CatalogError> {
        let query = query::parse(&asked.query)?;
        let params: BTreeMap<String, String> =
            collect_params(template.params(&asked.path)?.into_iter().chain(query))?;
        self.catalog.run(&template.query, &params).await
    }
}

fn not_found(path: &str) -> Problem {
    let message = if path.contains("://") || path.contains(":/") {
        "there is nothing at this path: percent-encode URLs in paths, as in \
         /v1/relays/wss%3A%2F%2Frelay.example.com"
    } else {
        "there is nothing at this path: /docs lists what can be asked"
    };
    Problem::new(404, "not_found", message)
}

/// Takes over the client's id for the request if it is harmless, or makes one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let harmless = |id: &&str| {
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !id.is_empty() && id.len() <= MAX_REQUEST_ID_CHARS && id.bytes().all(known)
    };
    match given.filter(harmless) {
        Some(id) => id.to_owned(),
        None => format!("{:016x}", rand::rng().random::<u64>()),
    }
}

fn tell_limits(verdict: &Verdict, per_second: u32, headers: &mut HeaderMap) {
    let numbers = [
        ("ratelimit-limit", u64::from(verdict.limit)),
        ("ratelimit-remaining", u64::from(verdict.remaining)),
        ("ratelimit-reset", verdict.full_after_seconds()),
    ];
    for (name, number) in numbers {
        headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
    }
    // How many, and within how many seconds they all come back.
    let window = verdict.limit.div_ceil(per_second.max(1));
    let policy = format!("{};w={window}", verdict.limit);
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        headers.insert(HeaderName::from_static("ratelimit-policy"), policy);
    }
}

/// The access log: no paths, which can hold anything, and no addresses unless configured.
fn log(
    method: &Method,
    route: Route<'_>,
    status: u16,
    duration: Duration,
    id: &str,
    client: Option<IpAddr>,
) {
    let method = match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => method.as_str(),
        _ => "other",
    };
    tracing::info!(
        http.method = method,
        http.route = route.name(),
        http.status = status,
        request.id = id,
        client.address = client.map(tracing::field::display),
        duration_ms = duration.as_millis() as u64,
        "request",
    );
}

fn log_failure(error: &CatalogError, query: &str, id: &str) {
    match error {
        CatalogError::Internal(source) => tracing::error!(
            query,
            request.id = id,
            error = source as &dyn std::error::Error,
            "a question failed",
        ),
        CatalogError::Unavailable(source) => tracing::warn!(
            query,
            request.id = id,
            error = source as &dyn std::error::Error,
            "the database is away",
        ),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<std::sync::Mutex<Vec<u8>>>);

    impl std::io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn the_log_names_clients_only_when_it_is_told_to() {
        let logged = |client: Option<IpAddr>| {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                let took = Duration::from_millis(7);
                log(&Method::GET, Route::Page, 200, took, "id-1", client);
            });
            let bytes = lines.0.lock().unwrap().clone();
            String::from_utf8(bytes).unwrap()
        };
        let address: IpAddr = "192.0.2.77".parse().unwrap();
        let told = logged(Some(address));
        assert!(
            told.contains("192.0.2.77") && told.contains("id-1"),
            "{told}"
        );
        let silent = logged(None);
        assert!(
            silent.contains("id-1") && !silent.contains("client"),
            "{silent}"
        );
    }

    #[test]
    fn only_harmless_request_ids_are_taken_over() {
        let id = |given: &str| {
            let value = HeaderValue::from_bytes(given.as_bytes()).unwrap();
            request_id(&HeaderMap::from_iter([(REQUEST_ID, value)]))
        };
        assert_eq!(id("abc-1.2_X"), "abc-1.2_X");
        for given in ["", "a b", "é", &"x".repeat(65)] {
            let made = id(given);
            assert!(made.len() == 16 && made != given, "{given}: {made}");
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
