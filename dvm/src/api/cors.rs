//! Which web pages may ask from a browser ([CORS]).
//!
//! [CORS]: https://fetch.spec.whatwg.org/#http-cors-protocol

use warp::http::header::{self, HeaderMap, HeaderValue};

/// The headers of an answer that scripts may read.
const EXPOSED: &str = "ETag, RateLimit-Limit, RateLimit-Policy, RateLimit-Remaining, RateLimit-Reset, Retry-After, \
     X-Request-Id";

/// Says to browsers who may ask.
#[derive(Debug, Clone)]
pub(super) struct Cors {
    any: bool,
    origins: Vec<HeaderValue>,
}

impl Cors {
    /// Takes the configured origins; `*` is all.
    pub(super) fn new(origins: &[String]) -> Self {
        Self {
            any: origins.iter().any(|origin| origin == "*"),
            origins: origins
                .iter()
                .filter_map(|origin| origin.parse().ok())
                .collect(),
        }
    }

    /// Adds the headers that every answer carries, refusals included: scripts want to read those.
    pub(super) fn apply(&self, asked: &HeaderMap, answer: &mut HeaderMap) {
        if self.any {
            let any = HeaderValue::from_static("*");
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, any);
        } else {
            answer.append(header::VARY, HeaderValue::from_static("Origin"));
            let origin = asked.get(header::ORIGIN);
            let Some(origin) = origin.filter(|origin| self.origins.contains(origin)) else {
                return;
            };
            answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        }
        let exposed = HeaderValue::from_static(EXPOSED);
        answer.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }

    /// Adds what a browser wants to know before it asks.
    pub(super) fn apply_preflight(answer: &mut HeaderMap) {
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, HEAD, OPTIONS"),
            (
                header::ACCESS_CONTROL_ALLOW_HEADERS,
                "Accept, Content-Type, If-None-Match, X-Request-Id",
            ),
            (header::ACCESS_CONTROL_MAX_AGE, "86400"),
        ] {
            answer.insert(name, HeaderValue::from_static(value));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(configured: &[&str], origin: &str) -> Option<String> {
        let configured: Vec<String> = configured.iter().map(ToString::to_string).collect();
        let mut asked = HeaderMap::new();
        asked.insert(header::ORIGIN, origin.parse().unwrap());
        let mut answer = HeaderMap::new();
        Cors::new(&configured).apply(&asked, &mut answer);
        let value = answer.get(header::ACCESS_CONTROL_ALLOW_ORIGIN)?;
        Some(value.to_str().unwrap().to_owned())
    }

    #[test]
    fn all_origins_or_those_that_are_listed() {
        assert_eq!(allowed(&["*"], "https://a.example").as_deref(), Some("*"));
        let listed = ["https://a.example", "https://b.example"];
        assert_eq!(
            allowed(&listed, "https://b.example").as_deref(),
            Some("https://b.example")
        );
        assert_eq!(allowed(&listed, "https://c.example"), None);
        assert_eq!(allowed(&[], "https://a.example"), None);
    }
}
