//! What the HTTP headers of the answer to the NIP-11 request say of the server.
//!
//! Only headers that stay the same from check to check and say something about the set-up: what
//! changes with each answer (dates, request ids, cookies) is nobody's business here.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::HeaderName;

use super::limits::MAX_HEADER_CHARS;

/// The headers that are kept. Each at most once.
const KEPT: [&str; 7] = [
    "alt-svc",
    "content-type",
    "server",
    "strict-transport-security",
    "via",
    "x-powered-by",
    "x-nostr-relay",
];

/// What headers say of a server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServerHeaders {
    /// Some of the headers, by lower-case name, shortened.
    pub values: BTreeMap<&'static str, String>,
    /// Which of the CORS headers that NIP-11 demands are there: `Access-Control-Allow-Origin`,
    /// `-Headers`, `-Methods`.
    pub cors: Cors,
}

/// The CORS headers that NIP-11 demands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Cors {
    /// `Access-Control-Allow-Origin`.
    pub origin: bool,
    /// `Access-Control-Allow-Headers`.
    pub headers: bool,
    /// `Access-Control-Allow-Methods`.
    pub methods: bool,
}

impl Cors {
    /// Says whether all of them are there, so that web clients can read the document.
    pub fn is_complete(self) -> bool {
        self.origin && self.headers && self.methods
    }
}

impl ServerHeaders {
    /// Reads the headers of an answer.
    ///
    /// # Security
    /// The headers are the peer's: their number and size are bounded before this is called, and
    /// what is kept of them here.
    pub fn read(headers: &HeaderMap) -> Self {
        let has = |name: &str| headers.contains_key(name);
        let kept = KEPT.into_iter().filter_map(|name| {
            let value = headers.get(HeaderName::from_static(name))?;
            let value = String::from_utf8_lossy(value.as_bytes());
            let value: String = value
                .trim()
                .chars()
                .filter(|c| !c.is_control() && *c != char::REPLACEMENT_CHARACTER)
                .take(MAX_HEADER_CHARS)
                .collect();
            (!value.is_empty()).then_some((name, value))
        });
        Self {
            values: kept.collect(),
            cors: Cors {
                origin: has("access-control-allow-origin"),
                headers: has("access-control-allow-headers"),
                methods: has("access-control-allow-methods"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(list: &[(&'static str, &[u8])]) -> ServerHeaders {
        let mut map = HeaderMap::new();
        for (name, value) in list {
            map.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        ServerHeaders::read(&map)
    }

    #[test]
    fn what_says_something_is_kept_and_what_changes_is_not() {
        let read = headers(&[
            ("server", b" nginx/1.24 "),
            ("server", b"second"),
            ("date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
            ("set-cookie", b"id=1"),
            ("cf-ray", b"8a"),
            ("access-control-allow-origin", b"*"),
        ]);
        assert_eq!(
            read.values,
            BTreeMap::from([("server", "nginx/1.24".to_owned())])
        );
        assert!(read.cors.origin && !read.cors.is_complete());
    }

    #[test]
    fn odd_and_endless_values_are_bounded() {
        let long = vec![b'x'; 20_000];
        let read = headers(&[("via", &long), ("server", b"caf\xe9\t1"), ("alt-svc", b" ")]);
        assert_eq!(read.values["via"].len(), MAX_HEADER_CHARS);
        assert_eq!(read.values["server"], "caf1");
        assert_eq!(read.values.get("alt-svc"), None);
    }
}
