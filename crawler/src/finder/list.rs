//! One list: fetched, and read.

use ::http::StatusCode;
use ::http::header::CONTENT_TYPE;
use bigbrotr_core::relay_url::UrlPolicy;
use serde_json::Value;

use super::config::{FinderConfig, ListConfig, ListFormat};
use super::error::ListError;
use super::extract::Collected;
use super::json_path;
use super::limits::{MAX_LIST_BYTES, MAX_TEXTS_PER_LIST};
use crate::dial::Dialer;
use crate::dial::http::{self, HttpOptions, HttpResponse};

/// What lists are asked for as. Many servers know one form only and do not look.
const ACCEPT: &str = "application/json, text/plain;q=0.9, */*;q=0.1";

/// Fetches a list through the dialer and reads it.
///
/// # Security
/// The dialer refuses special-purpose addresses, also behind redirects; size, time and the number
/// of texts are bounded.
pub(super) async fn fetch(
    dialer: &Dialer,
    list: &ListConfig,
    config: &FinderConfig,
) -> Result<Collected, ListError> {
    let options = HttpOptions {
        accept: ACCEPT,
        max_body_bytes: MAX_LIST_BYTES,
        timeout: config.list_timeout,
        ..HttpOptions::default()
    };
    let response = Box::pin(http::get(dialer, &list.url, &options)).await?;
    if response.status != StatusCode::OK {
        return Err(ListError::Status {
            status: response.status.as_u16(),
        });
    }
    if is_page(&response) {
        return Err(ListError::Html);
    }
    read(&response.body, list, dialer.config().url_policy())
}

fn is_page(response: &HttpResponse) -> bool {
    let says_so = response.headers.get(CONTENT_TYPE).is_some_and(|kind| {
        kind.as_bytes()
            .to_ascii_lowercase()
            .starts_with(b"text/html")
    });
    says_so || response.body.trim_ascii_start().starts_with(b"<")
}

/// Reads the relays in a list.
fn read(body: &[u8], list: &ListConfig, policy: UrlPolicy) -> Result<Collected, ListError> {
    let mut found = Collected::new(policy, MAX_TEXTS_PER_LIST, MAX_TEXTS_PER_LIST);
    match list.format {
        ListFormat::Json => {
            let document: Value = serde_json::from_slice(body).map_err(ListError::NotJson)?;
            let (texts, excess) = json_path::texts(&document, &list.path, MAX_TEXTS_PER_LIST)?;
            for text in texts {
                found.take(text);
            }
            found.excess += excess;
        }
        ListFormat::Text => {
            let Ok(text) = str::from_utf8(body) else {
                return Err(ListError::NotText);
            };
            let text = text.strip_prefix('\u{feff}').unwrap_or(text);
            for line in text.lines() {
                // What follows the URL is a comment, whatever its sign.
                found.take(line.split_whitespace().next().unwrap_or_default());
            }
        }
    }
    if found.urls.is_empty() {
        return Err(ListError::NoUrls);
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn list(format: ListFormat, path: &str) -> ListConfig {
        ListConfig {
            url: "https://lists.example.com".into(),
            format,
            path: path.into(),
            interval: Duration::from_hours(1),
        }
    }

    fn urls(body: &str, format: ListFormat, path: &str) -> Result<Vec<String>, ListError> {
        let found = read(body.as_bytes(), &list(format, path), UrlPolicy::default())?;
        Ok(found.urls.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn json_and_plain_text_are_read() {
        let expected = ["wss://a.example.com", "wss://b.example.com"];
        let json = r#"{"relays":[{"url":"wss://a.example.com/"},{"url":"WSS://b.example.com"},{"url":"https://no.example.com"}]}"#;
        assert_eq!(
            urls(json, ListFormat::Json, "relays.*.url").unwrap(),
            expected
        );
        let text = "\u{feff}# relays\r\nwss://a.example.com # good\r\n\r\n  wss://b.example.com\nwss://a.example.com\nno";
        assert_eq!(urls(text, ListFormat::Text, "").unwrap(), expected);
    }

    #[test]
    fn what_is_no_list_is_an_error_that_tells() {
        let refused = |body: &str, format, path: &str| urls(body, format, path).unwrap_err();
        assert!(matches!(
            refused("wss://a.example.com", ListFormat::Json, ""),
            ListError::NotJson(_)
        ));
        assert!(matches!(
            refused("[]", ListFormat::Json, ""),
            ListError::NoUrls
        ));
        assert!(matches!(
            refused("{}", ListFormat::Json, "relays"),
            ListError::Path(_)
        ));
        assert!(matches!(
            refused("no\nrelays", ListFormat::Text, ""),
            ListError::NoUrls
        ));
        let deep = "[".repeat(100_000);
        assert!(matches!(
            refused(&deep, ListFormat::Json, ""),
            ListError::NotJson(_)
        ));
        let bytes = read(
            b"\xff\xfe",
            &list(ListFormat::Text, ""),
            UrlPolicy::default(),
        );
        assert!(matches!(bytes, Err(ListError::NotText)));
    }
}
