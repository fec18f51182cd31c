//! What goes back to a client, and how it is put into HTTP: `ETag`, `gzip` and the rest.
//!
//! The `ETag` of a question's answer leaves `as_of` out: the moment moves every second, the answer
//! mostly does not, and a client that has it need not be sent it again.

use std::borrow::Cow;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};
use warp::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use warp::http::{Response, StatusCode};

use crate::limits::COMPRESS_FROM_BYTES;
use crate::problem::Problem;

pub(super) const JSON: &str = "application/json";
pub(super) const HTML: &str = "text/html; charset=utf-8";

/// How long a client may keep an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    /// Not at all.
    No,
    /// Until it asks again, with the answer's `ETag`.
    WithTag,
    /// For ever: what is at this path never changes.
    ForEver,
}

/// An answer before it is put into HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: Cow<'static, str>,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    keep: Keep,
    tag: Option<String>,
}

impl Answer {
    /// A page that clients may keep, to be asked again with its `ETag`.
    pub(super) fn page(content_type: &'static str, body: impl Into<Cow<'static, str>>) -> Self {
        let body = body.into();
        let tag = entity_tag(&[&body]);
        Self {
            status: 200,
            content_type,
            body,
            headers: Vec::new(),
            keep: Keep::WithTag,
            tag: Some(tag),
        }
    }

    /// A file at a path that names its content.
    pub(super) fn file(content_type: &'static str, body: &'static str) -> Self {
        Self {
            keep: Keep::ForEver,
            ..Self::page(content_type, body)
        }
    }

    /// A question's answer, as true as its statistics are.
    pub(super) fn question(json: String, as_of: i64) -> Self {
        let moment = format!("\"as_of\":{as_of}");
        // From behind: `meta` comes last, and inside of strings quotes are escaped.
        let tag = match json.rsplit_once(&moment) {
            Some((before, after)) => entity_tag(&[before, after]),
            None => entity_tag(&[&json]),
        };
        Self {
            status: 200,
            content_type: JSON,
            body: json.into(),
            headers: Vec::new(),
            keep: Keep::WithTag,
            tag: Some(tag),
        }
    }

    /// A JSON document that is true only now.
    pub(super) fn momentary(status: u16, json: String) -> Self {
        Self {
            status,
            content_type: JSON,
            body: json.into(),
            headers: Vec::new(),
            keep: Keep::No,
            tag: None,
        }
    }

    /// Adds a header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Puts the answer into HTTP, as short as this client takes it.
    pub(super) fn into_response(self, asked: &HeaderMap, gzip: bool) -> Response<Vec<u8>> {
        let mut headers = HeaderMap::new();
        let caching = match self.keep {
            Keep::No => "no-store",
            Keep::WithTag => "no-cache",
            Keep::ForEver => "public, max-age=31536000, immutable",
        };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
        headers.insert(
            header::X_CONTENT_TYPE_OPTIONS,
            HeaderValue::from_static("nosniff"),
        );
        headers.extend(self.headers);
        let mut status = StatusCode::from_u16(self.status).unwrap_or_default();
        let mut body = Vec::new();
        if let Some(tag) = &self.tag
            && let Ok(value) = HeaderValue::from_str(tag)
        {
            headers.insert(header::ETAG, value);
        }
        if self.tag.as_deref().is_some_and(|tag| is_known(asked, tag)) {
            status = StatusCode::NOT_MODIFIED;
        } else if status != StatusCode::NO_CONTENT {
            let content_type = HeaderValue::from_static(self.content_type);
            headers.insert(header::CONTENT_TYPE, content_type);
            body = self.body.into_owned().into_bytes();
        }
        if gzip {
            headers.append(header::VARY, HeaderValue::from_static("Accept-Encoding"));
            if body.len() >= COMPRESS_FROM_BYTES
                && takes_gzip(asked)
                && let Ok(compressed) = compress(&body)
            {
                body = compressed;
                headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            }
        }
        let mut response = Response::new(body);
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        response
    }
}

impl From<Problem> for Answer {
    fn from(problem: Problem) -> Self {
        let mut answer = Self::momentary(problem.status, problem.json);
        if let Some(seconds) = problem.retry_after_seconds {
            answer = answer.with(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

/// Names a content. Weak, since the same content may come compressed or not.
fn entity_tag(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    format!("W/\"{}\"", hex::encode(&hash.finalize()[..16]))
}

/// Says whether the client has this already (RFC 9110, If-None-Match: weak comparison).
fn is_known(asked: &HeaderMap, tag: &str) -> bool {
    let strong = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    asked
        .get_all(header::IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|known| known.trim() == "*" || strong(known) == strong(tag))
}

/// Says whether the client takes gzip (RFC 9110, Accept-Encoding).
fn takes_gzip(asked: &HeaderMap) -> bool {
    asked
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            let weight = weight.trim().trim_start_matches("q=");
            let refused = weight.parse().is_ok_and(|weight: f32| weight <= 0.0);
            name.trim().eq_ignore_ascii_case("gzip") && !refused
        })
}

fn compress(body: &[u8]) -> std::io::Result<Vec<u8>> {
    // Fast: answers are made once and sent once.
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asking(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_moment_alone_makes_no_new_answer() {
        let tag = |data: &str, as_of: i64| {
            let evil = r#"{"as_of":1,"s":"\"as_of\":7"}"#;
            let json = format!(
                r#"{{"data":[{evil},{data}],"meta":{{"as_of":{as_of},"params":{{}},"query":"q"}}}}"#
            );
            Answer::question(json, as_of).tag
        };
        assert_eq!(tag("1", 7), tag("1", 8));
        assert_ne!(tag("1", 7), tag("2", 7));
    }

    #[test]
    fn a_file_is_kept_for_ever() {
        let file = Answer::file("text/css", "a{}").into_response(&HeaderMap::new(), true);
        let caching = file.headers()[header::CACHE_CONTROL].to_str().unwrap();
        assert!(caching.contains("immutable"), "{caching}");
    }

    #[test]
    fn a_client_that_knows_the_tag_gets_no_body() {
        let page = || Answer::page(JSON, "{}");
        let first = page().into_response(&HeaderMap::new(), false);
        let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        let strong = tag.trim_start_matches("W/").to_owned();
        for known in [&tag, &strong, "*", &format!("\"x\", {tag}")] {
            let again = page().into_response(&asking(header::IF_NONE_MATCH, known), true);
            assert_eq!(again.status(), 304, "{known}");
            assert!(again.body().is_empty());
            assert!(!again.headers().contains_key(header::CONTENT_TYPE));
        }
        let other = asking(header::IF_NONE_MATCH, "\"x\"");
        assert_eq!(page().into_response(&other, true).status(), 200);
        let problem = Answer::from(Problem::new(404, "not_found", "m"));
        let any = asking(header::IF_NONE_MATCH, "*");
        assert_eq!(problem.into_response(&any, true).status(), 404);
    }

    #[test]
    fn long_bodies_are_compressed_for_those_who_take_it() {
        let encoding = |length: usize, accepted: &str| {
            let page = Answer::page(JSON, "x".repeat(length));
            let response = page.into_response(&asking(header::ACCEPT_ENCODING, accepted), true);
            assert_eq!(response.headers()[header::VARY], "Accept-Encoding");
            response.headers().contains_key(header::CONTENT_ENCODING)
        };
        assert!(encoding(10_000, "deflate, gzip;q=0.5"));
        assert!(encoding(10_000, "GZIP"));
        assert!(!encoding(10_000, "gzip;q=0"));
        assert!(!encoding(10_000, "br"));
        assert!(!encoding(10, "gzip"));
    }
}
