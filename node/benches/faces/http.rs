//! An HTTP client that keeps its connection and does nothing else: what it costs is not measured.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Bytes that are read at once.
const CHUNK: usize = 64 * 1024;

pub(crate) struct Client {
    stream: TcpStream,
    /// What has been read of the answer.
    bytes: Vec<u8>,
}

impl Client {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.expect("a connection");
        stream.set_nodelay(true).expect("an option");
        Self {
            stream,
            bytes: Vec::with_capacity(CHUNK),
        }
    }

    /// Gets a target; returns the status and how long the body is.
    pub(crate) async fn get(&mut self, target: &str) -> (u16, usize) {
        let request = format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        let sent = self.stream.write_all(request.as_bytes()).await;
        sent.unwrap_or_else(|error| panic!("{target}: {error}"));
        self.bytes.clear();
        let (head, status, length) = loop {
            self.read(target).await;
            if let Some(end) = self.bytes.windows(4).position(|w| w == b"\r\n\r\n") {
                let head = String::from_utf8_lossy(&self.bytes[..end]);
                break (end + 4, status(&head), content_length(&head));
            }
        };
        while self.bytes.len() < head + length {
            self.read(target).await;
        }
        (status, length)
    }

    async fn read(&mut self, target: &str) {
        self.bytes.reserve(CHUNK);
        let read = self.stream.read_buf(&mut self.bytes).await;
        let read = read.unwrap_or_else(|error| panic!("{target}: {error}"));
        assert!(read > 0, "{target}: the connection has ended");
    }
}

fn status(head: &str) -> u16 {
    let word = head.split(' ').nth(1);
    word.and_then(|word| word.parse().ok()).expect("a status")
}

fn content_length(head: &str) -> usize {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let length = fields.find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
    length
        .and_then(|(_, value)| value.parse().ok())
        .expect("a length")
}
