//! One HTTP GET, without redirects or decoding: a test wants to see what was sent.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::{ClientError, within};
use crate::limits::MAX_BODY_BYTES;

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status code; 0 when there was none.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, as far as it was read.
    pub body: Vec<u8>,
    /// Whether the body went on beyond what the client reads (4 MB).
    pub truncated: bool,
}

impl HttpAnswer {
    /// Returns a header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Gets an `http` URL with these headers; waits this long at most for the whole answer.
pub async fn http_get(
    url: &str,
    headers: &[(&str, &str)],
    wait: Duration,
) -> Result<HttpAnswer, ClientError> {
    let wrong_url = || ClientError::Url {
        url: url.to_owned(),
    };
    let rest = url.strip_prefix("http://").ok_or_else(wrong_url)?;
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut request = format!("GET /{path} HTTP/1.1\r\nHost: {host}\r\n");
    for (name, value) in headers {
        request.extend([*name, ": ", *value, "\r\n"]);
    }
    request.push_str("\r\n");
    let exchange = async {
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut bytes = Vec::new();
        let mut bounded = stream.take(MAX_BODY_BYTES as u64);
        bounded.read_to_end(&mut bytes).await?;
        Ok(parse(&bytes))
    };
    within(wait, "HTTP answer", exchange).await
}

fn parse(bytes: &[u8]) -> HttpAnswer {
    let truncated = bytes.len() >= MAX_BODY_BYTES;
    let end = bytes
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines
        .next()
        .and_then(|line| line.split(' ').nth(1)?.parse().ok())
        .unwrap_or(0);
    let headers = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let body = bytes.get(end + 4..).unwrap_or_default().to_vec();
    HttpAnswer {
        status,
        headers,
        body,
        truncated,
    }
}
