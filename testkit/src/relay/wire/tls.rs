//! What is wrong with a TLS handshake ([RFC 8446], [RFC 5246]), record by record.
//!
//! [RFC 5246]: https://www.rfc-editor.org/rfc/rfc5246
//! [RFC 8446]: https://www.rfc-editor.org/rfc/rfc8446

use std::time::Duration;

use super::Wire;

const ALERT: u8 = 21;
const HANDSHAKE: u8 = 22;

/// Writes a record.
fn record(kind: u8, version: [u8; 2], payload: &[u8]) -> Vec<u8> {
    let mut record = vec![kind, version[0], version[1]];
    record.extend((payload.len() as u16).to_be_bytes());
    record.extend(payload);
    record
}

/// Writes a `ServerHello` of this version that chooses this cipher suite.
fn server_hello(version: [u8; 2], suite: [u8; 2]) -> Vec<u8> {
    let mut body = version.to_vec();
    body.extend([7; 32]); // random
    body.push(0); // no session id
    body.extend(suite);
    body.push(0); // no compression
    let mut message = vec![2, 0, 0, body.len() as u8];
    message.extend(body);
    record(HANDSHAKE, version, &message)
}

impl Wire {
    /// A server that speaks TLS 1.0.
    pub fn tls_1_0() -> Self {
        Self::new("tls 1.0", server_hello([3, 1], [0, 0x2f]))
    }

    /// A server that speaks SSL 3.0.
    pub fn ssl_3() -> Self {
        Self::new("ssl 3.0", server_hello([3, 0], [0, 0x0a]))
    }

    /// A server that chooses to encrypt nothing.
    pub fn tls_without_encryption() -> Self {
        Self::new("null cipher", server_hello([3, 3], [0, 2]))
    }

    /// A server that chooses what was not offered: RC4 with MD5, for export.
    pub fn tls_export_cipher() -> Self {
        Self::new("export cipher", server_hello([3, 3], [0, 3]))
    }

    /// A server that has no cipher in common with anybody.
    pub fn tls_refusal() -> Self {
        Self::new("tls alert", record(ALERT, [3, 3], &[2, 40])).closing()
    }

    /// Warnings without end.
    pub fn tls_warnings() -> Self {
        Self::new("tls warnings", "").again(record(ALERT, [3, 3], &[1, 112]))
    }

    /// Records without content, without end.
    pub fn empty_records() -> Self {
        Self::new("empty records", "").again(record(HANDSHAKE, [3, 3], &[]))
    }

    /// A handshake message of 16 megabytes, in records.
    pub fn giant_handshake() -> Self {
        let first = record(HANDSHAKE, [3, 3], &[2, 0xff, 0xff, 0xff]);
        Self::new("giant handshake message", first).again(record(HANDSHAKE, [3, 3], &[7; 16_000]))
    }

    /// A record longer than records may be.
    pub fn long_record() -> Self {
        let bytes = [HANDSHAKE, 3, 3, 0xff, 0xff];
        Self::new("long record", bytes).again([7])
    }

    /// The beginning of a handshake, slowly.
    pub fn dripping_handshake(interval: Duration) -> Self {
        let first = record(HANDSHAKE, [3, 3], &[2; 4_000]);
        Self::new("dripping handshake", first).dripping(interval)
    }

    /// An HTTP answer in clear, as a plain server gives to what it cannot read.
    pub fn plain_http() -> Self {
        let bytes = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        Self::new("plain http", bytes).closing()
    }

    /// Nothing, for ever.
    pub fn silence() -> Self {
        Self::new("silence", "")
    }
}
