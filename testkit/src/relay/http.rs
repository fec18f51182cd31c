//! As much HTTP/1.1 as a relay needs, by hand: faults want control of every byte.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::io::BoxedIo;
use super::wire::Wire;
use crate::limits::MAX_HEAD_BYTES;

/// The headers that NIP-11 demands.
pub(super) const CORS: [(&str, &str); 3] = [
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Allow-Headers", "*"),
    ("Access-Control-Allow-Methods", "GET, OPTIONS"),
];

/// What browsers see.
pub(super) const PAGE: &str =
    "<!DOCTYPE html><html><body><h1>Use a Nostr client</h1></body></html>";

/// The head of a request.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: String,
    headers: Vec<(String, String)>,
    /// Bytes that came after the head: the client's first frames.
    pub(super) rest: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    /// Returns the key of a WebSocket upgrade.
    pub(super) fn websocket_key(&self) -> Option<&str> {
        let upgrade = self.header("upgrade")?.eq_ignore_ascii_case("websocket");
        self.header("sec-websocket-key")
            .filter(|_| upgrade && self.method == "GET")
    }

    pub(super) fn wants_information(&self) -> bool {
        let accept = self.header("accept").unwrap_or_default();
        self.method == "GET" && accept.contains("application/nostr+json")
    }
}

/// Reads a request head.
pub(super) async fn read_request(io: &mut BoxedIo) -> io::Result<Request> {
    let mut buffer = Vec::with_capacity(1024);
    let end = loop {
        if let Some(end) = buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if buffer.len() > MAX_HEAD_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "request head too long",
            ));
        }
        if io.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let rest = buffer.split_off(end + 4);
    let head = String::from_utf8_lossy(&buffer);
    let mut lines = head.split("\r\n");
    let method = lines
        .next()
        .and_then(|line| line.split(' ').next())
        .unwrap_or_default();
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    Ok(Request {
        method: method.to_owned(),
        headers,
        rest,
    })
}

/// Writes a response head. `length` is `None` for a body that ends with the connection.
pub(super) async fn write_head(
    io: &mut BoxedIo,
    status: u16,
    headers: &[(&str, &str)],
    length: Option<usize>,
) -> io::Result<()> {
    let mut head = format!(
        "HTTP/1.1 {status} {}\r\nConnection: close\r\n",
        reason(status)
    );
    for (name, value) in headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    match length {
        Some(length) => head.extend(["Content-Length: ", &length.to_string(), "\r\n\r\n"]),
        None => head.push_str("\r\n"),
    }
    io.write_all(head.as_bytes()).await
}

/// Writes a whole response and ends the connection.
pub(super) async fn respond(
    io: &mut BoxedIo,
    status: u16,
    headers: &[(&str, &str)],
    body: &str,
) -> io::Result<()> {
    // 204 must have neither length nor body (RFC 9110 section 8.6).
    write_head(io, status, headers, (status != 204).then_some(body.len())).await?;
    io.write_all(body.as_bytes()).await?;
    io.shutdown().await
}

/// Agrees to the upgrade.
pub(super) async fn switch_protocols(io: &mut BoxedIo, key: &str) -> io::Result<()> {
    let accept = derive_accept_key(key.as_bytes());
    let head = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    io.write_all(head.as_bytes()).await?;
    io.flush().await
}

/// Sends bytes as they are, and holds the connection where they do not close it.
pub(super) async fn put(io: &mut BoxedIo, wire: &Wire) -> io::Result<()> {
    if !wire.send(io).await? {
        hold(io).await;
    }
    Ok(())
}

/// Reads and ignores until the client leaves; the caller ends it when the relay stops.
pub(super) async fn hold(io: &mut BoxedIo) {
    let mut buffer = [0_u8; 1024];
    while matches!(io.read(&mut buffer).await, Ok(read) if read > 0) {}
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        301 | 302 | 307 | 308 => "Redirect",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        _ => "Status",
    }
}
