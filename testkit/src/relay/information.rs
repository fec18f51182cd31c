//! Answers to NIP-11 requests, right and wrong.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use super::faults::{Fault, InformationFault};
use super::http::{self, CORS};
use super::io::BoxedIo;
use super::shared::Shared;
use crate::limits::ENDLESS_BYTES;

const JSON: (&str, &str) = ("Content-Type", "application/nostr+json");

/// Valid JSON, and every field is what no reader expects.
const WRONG_TYPES: &str = r#"{"name":7,"description":["a"],"banner":{},"icon":false,"pubkey":12,
"self":[],"contact":{"a":1},"supported_nips":"1,11","software":null,"version":2.5,
"terms_of_service":[1],"payments_url":{},"fees":"free","limitation":[true],"relay_countries":7,
"language_tags":{},"tags":"x","posting_policy":1,"retention":{"kinds":"all"}}"#;

/// Answers one request with the document, or with what the script says.
pub(super) async fn answer(shared: &Shared, mut io: BoxedIo) -> io::Result<()> {
    let faults = shared.take_faults(|fault| match fault {
        Fault::Information(fault) => Some(fault),
        _ => None,
    });
    let io = &mut io;
    let document = shared.information_json();
    let headers = [JSON, CORS[0], CORS[1], CORS[2]];
    let fault = match faults.first() {
        Some(InformationFault::Latency(latency)) => {
            sleep(*latency).await;
            None
        }
        fault => fault,
    };
    let Some(fault) = fault else {
        return match document {
            Some(json) => http::respond(io, 200, &headers, &json).await,
            None => http::respond(io, 404, &CORS, "").await,
        };
    };
    let json = document.unwrap_or_else(|| "{}".to_owned());
    match fault {
        InformationFault::Html => {
            http::respond(io, 200, &[("Content-Type", "text/html")], http::PAGE).await
        }
        InformationFault::WrongTypes => http::respond(io, 200, &headers, WRONG_TYPES).await,
        InformationFault::Body(body) => http::respond(io, 200, &headers, body).await,
        InformationFault::Endless => {
            http::write_head(io, 200, &headers, None).await?;
            io.write_all(b"{\"name\":\"").await?;
            repeat(io, &[b'x'; 8192]).await
        }
        InformationFault::RedirectLoop => redirect(io, &shared.url("http")).await,
        InformationFault::Redirect(url) => redirect(io, url).await,
        InformationFault::GzipBomb => {
            let headers = [
                JSON,
                CORS[0],
                CORS[1],
                CORS[2],
                ("Content-Encoding", "gzip"),
            ];
            http::write_head(io, 200, &headers, None).await?;
            gzip_bomb(io).await
        }
        InformationFault::Slow(interval) => {
            http::write_head(io, 200, &headers, Some(json.len())).await?;
            drip(io, json.as_bytes(), *interval).await
        }
        InformationFault::Status(status) => http::respond(io, *status, &CORS, "").await,
        InformationFault::Silence | InformationFault::Latency(_) => {
            http::hold(io).await;
            Ok(())
        }
        InformationFault::NoCors => http::respond(io, 200, &[JSON], &json).await,
        InformationFault::Cut => {
            http::write_head(io, 200, &headers, Some(json.len())).await?;
            io.write_all(&json.as_bytes()[..json.len() / 2]).await?;
            io.shutdown().await
        }
        InformationFault::Answer(wire) => http::put(io, wire).await,
        InformationFault::Bytes(bytes) => {
            http::write_head(io, 200, &headers, Some(bytes.len())).await?;
            io.write_all(bytes).await?;
            io.shutdown().await
        }
    }
}

async fn redirect(io: &mut BoxedIo, url: &str) -> io::Result<()> {
    http::respond(io, 302, &[("Location", url)], "").await
}

async fn drip(io: &mut BoxedIo, bytes: &[u8], interval: Duration) -> io::Result<()> {
    for byte in bytes {
        io.write_all(&[*byte]).await?;
        io.flush().await?;
        sleep(interval).await;
    }
    io.shutdown().await
}

async fn repeat(io: &mut BoxedIo, chunk: &[u8]) -> io::Result<()> {
    for _ in 0..ENDLESS_BYTES / chunk.len() {
        io.write_all(chunk).await?;
    }
    Ok(())
}

/// Sends a gzip member (RFC 1952) of one deflate block (RFC 1951) with fixed codes: a zero byte,
/// then copies of the last 258 bytes without end. Each 13 bits unpack to 258 bytes.
async fn gzip_bomb(io: &mut BoxedIo) -> io::Result<()> {
    io.write_all(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff])
        .await?;
    let mut bits = BitWriter::default();
    bits.push(0b011, 3); // last block; fixed codes (01, low bit first)
    bits.push(0b0000_1100, 8); // literal 0: code 00110000, high bit first
    // 13 bits per copy: 8 copies end at the same bit of a byte as they began.
    for _ in 0..8 * 64 {
        bits.push(0b1010_0011, 8); // length 258: code 11000101, high bit first
        bits.push(0, 5); // distance 1
    }
    let (start, chunk) = (bits.bytes[0], bits.bytes[13..].to_vec());
    io.write_all(&bits.bytes[..13]).await?;
    tracing::trace!(start, "sending a gzip bomb");
    repeat(io, &chunk[..chunk.len() / 13 * 13]).await
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    count: usize,
}

impl BitWriter {
    /// Appends the low `length` bits, lowest first.
    fn push(&mut self, bits: u16, length: usize) {
        for n in 0..length {
            if self.count.is_multiple_of(8) {
                self.bytes.push(0);
            }
            let bit = u8::from(bits >> n & 1 == 1);
            self.bytes[self.count / 8] |= bit << (self.count % 8);
            self.count += 1;
        }
    }
}
