//! The server's side of the WebSocket handshake ([RFC 6455, 4.2]).
//!
//! [RFC 6455, 4.2]: https://datatracker.ietf.org/doc/html/rfc6455#section-4.2

use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Version};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// Says whether the client asks for a WebSocket, well or badly.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    has_token(headers, &UPGRADE, "websocket")
}

/// Makes the answer that switches protocols.
///
/// # Errors
/// The status and the reason to answer with instead.
pub(super) fn accept<B: Default>(
    version: Version,
    headers: &HeaderMap,
) -> Result<Response<B>, (StatusCode, &'static str)> {
    if version != Version::HTTP_11 || !has_token(headers, &CONNECTION, "upgrade") {
        return Err((
            StatusCode::BAD_REQUEST,
            "a WebSocket begins with HTTP/1.1 and Connection: Upgrade\n",
        ));
    }
    if headers
        .get(SEC_WEBSOCKET_VERSION)
        .map(HeaderValue::as_bytes)
        != Some(b"13")
    {
        return Err((
            StatusCode::UPGRADE_REQUIRED,
            "only WebSocket version 13 is spoken\n",
        ));
    }
    // 16 bytes in base64.
    let key = headers
        .get(SEC_WEBSOCKET_KEY)
        .map(HeaderValue::as_bytes)
        .filter(|key| key.len() == 24)
        .ok_or((
            StatusCode::BAD_REQUEST,
            "Sec-WebSocket-Key is missing or wrong\n",
        ))?;
    let accept = HeaderValue::try_from(derive_accept_key(key)).or(Err((
        StatusCode::BAD_REQUEST,
        "Sec-WebSocket-Key is wrong\n",
    )))?;
    let mut response = Response::new(B::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    Ok(response)
}

fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|part| part.trim().eq_ignore_ascii_case(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &'static str)]) -> HeaderMap {
        lines
            .iter()
            .map(|(name, value)| {
                (
                    HeaderName::from_static(name),
                    HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    const GOOD: [(&str, &str); 4] = [
        ("upgrade", "WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    #[test]
    fn the_example_of_the_rfc_is_accepted() {
        let headers = headers(&GOOD);
        assert!(is_wanted(&headers));
        let response = accept::<()>(Version::HTTP_11, &headers).unwrap();
        assert_eq!(
            response.headers()[SEC_WEBSOCKET_ACCEPT],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
    }

    #[test]
    fn what_is_missing_or_old_is_refused() {
        for (left_out, status) in [(1, 400), (2, 426), (3, 400)] {
            let mut lines = GOOD.to_vec();
            lines.remove(left_out);
            let refusal = accept::<()>(Version::HTTP_11, &headers(&lines)).unwrap_err();
            assert_eq!(refusal.0, status, "without {:?}", GOOD[left_out]);
        }
        assert!(accept::<()>(Version::HTTP_10, &headers(&GOOD)).is_err());
        assert!(!is_wanted(&headers(&GOOD[1..])));
    }
}
