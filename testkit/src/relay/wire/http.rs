//! What is wrong with an HTTP answer, to an upgrade or to a request for a document.

use std::time::Duration;

use super::Wire;

/// The head of an answer with a document of unknown length, open for more headers.
const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/nostr+json\r\n";

fn with(name: &'static str, headers: &str, body: &[u8]) -> Wire {
    let mut bytes = format!("{HEAD}{headers}\r\n").into_bytes();
    bytes.extend(body);
    Wire::new(name, bytes)
}

impl Wire {
    /// Headers without end.
    pub fn endless_headers() -> Self {
        Self::new("endless headers", HEAD).again("X-Header: and another one\r\n")
    }

    /// One header of eight megabytes.
    pub fn giant_header() -> Self {
        let mut bytes = format!("{HEAD}X-Header: ").into_bytes();
        bytes.resize(8 << 20, b'x');
        Self::new("giant header", bytes)
    }

    /// Ten thousand headers of a few bytes each.
    pub fn many_headers() -> Self {
        let headers = "a: b\r\n".repeat(10_000);
        with("many headers", &headers, b"{}")
    }

    /// Informational answers without a final one.
    pub fn endless_informational() -> Self {
        Self::new("endless 1xx", "").again("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n")
    }

    /// The head of an answer, slowly.
    pub fn dripping_head(interval: Duration) -> Self {
        Self::new("dripping head", "HTTP/1.1 101 Switching Protocols\r\n").dripping(interval)
    }

    /// A chunk that announces more bytes than there are.
    pub fn absurd_chunk() -> Self {
        let body = b"ffffffffffffffffffffffff\r\n{}";
        with("absurd chunk", "Transfer-Encoding: chunked\r\n", body).closing()
    }

    /// A chunk as large as a length can be, with a body to follow.
    pub fn largest_chunk() -> Self {
        let body = b"7fffffffffffffff\r\n";
        with("largest chunk", "Transfer-Encoding: chunked\r\n", body).again("x")
    }

    /// A chunk extension without end.
    pub fn endless_chunk_extension() -> Self {
        let body = b"2;";
        let chunked = "Transfer-Encoding: chunked\r\n";
        with("endless chunk extension", chunked, body).again("name=value;")
    }

    /// Chunks of one byte, each with a long extension.
    pub fn chunks_with_extensions() -> Self {
        let chunk = format!("1;{}\r\n \r\n", "x".repeat(1_000));
        let chunked = "Transfer-Encoding: chunked\r\n";
        with("chunks with extensions", chunked, b"").again(chunk)
    }

    /// A whole body, and trailers without end.
    pub fn endless_trailers() -> Self {
        let chunked = "Transfer-Encoding: chunked\r\nTrailer: x-trailer\r\n";
        with("endless trailers", chunked, b"2\r\n{}\r\n0\r\n").again("X-Trailer: x\r\n")
    }

    /// A content length of several exabytes.
    pub fn absurd_length() -> Self {
        let header = "Content-Length: 9223372036854775807\r\n";
        with("absurd content length", header, b"{}").closing()
    }

    /// A content length that is none.
    pub fn negative_length() -> Self {
        with("negative content length", "Content-Length: -1\r\n", b"{}").closing()
    }

    /// Two content lengths that differ.
    pub fn two_lengths() -> Self {
        let headers = "Content-Length: 2\r\nContent-Length: 3\r\n";
        with("two content lengths", headers, b"{} ").closing()
    }

    /// A body compressed as this says, which unpacks to gigabytes where that is possible.
    pub fn compressed(encoding: &'static str) -> Self {
        let (body, again): (&[u8], &[u8]) = match encoding {
            // A frame (RFC 8878) of blocks that repeat one byte 131,072 times each.
            "zstd" => (&[0x28, 0xb5, 0x2f, 0xfd, 0, 0x58], &[2, 0, 0x10, 0]),
            "br" => (&[0x5b, 0xff, 0xff, 0xff], &[0; 16]),
            "deflate" => (&[0x78, 0x9c], &[0; 16]),
            _ => (&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff], &[0; 16]),
        };
        let headers = format!("Content-Encoding: {encoding}\r\n");
        with(encoding, &headers, body).again(again)
    }

    /// A correct answer with what is no document for its body, under a wrong type.
    pub fn picture() -> Self {
        let body = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\xff\xff\0\0\xff\xff\x08\x06";
        let mut bytes = format!(
            "HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nContent-Length: {}\r\n\r\n",
            body.len()
        )
        .into_bytes();
        bytes.extend(body);
        Self::new("picture", bytes).closing()
    }

    /// A correct document under a wrong type.
    pub fn document_as_html() -> Self {
        let body = "{\"name\":\"typed wrongly\"}";
        let head = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n";
        let length = body.len();
        let bytes = format!("{head}Content-Length: {length}\r\n\r\n{body}");
        Self::new("document as html", bytes).closing()
    }

    /// A greeting of another protocol.
    pub fn ssh() -> Self {
        Self::new("ssh", "SSH-2.0-OpenSSH_9.2p1\r\n")
    }

    /// An answer of HTTP/0.9, which has no head.
    pub fn headless() -> Self {
        Self::new("http/0.9", "{\"name\":\"old\"}").closing()
    }

    /// Nothing at all, and the end.
    pub fn nothing() -> Self {
        Self::new("nothing", "").closing()
    }

    /// NUL bytes without end.
    pub fn zeros() -> Self {
        Self::new("zeros", "").again([0])
    }
}
