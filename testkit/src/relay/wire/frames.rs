//! What is wrong with WebSocket frames ([RFC 6455] section 5) from a server.
//!
//! [RFC 6455]: https://www.rfc-editor.org/rfc/rfc6455#section-5

use serde_json::json;

use super::Wire;

const FIN: u8 = 0x80;
/// Compressed, where `permessage-deflate` was agreed on (RFC 7692).
const RSV1: u8 = 0x40;
const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const CLOSE: u8 = 8;
const PING: u8 = 9;

/// Writes a frame of a server: unmasked.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let length = payload.len();
    let mut frame = vec![first];
    match (u16::try_from(length), length) {
        (_, 0..126) => frame.push(length as u8),
        (Ok(length), _) => {
            frame.push(126);
            frame.extend(length.to_be_bytes());
        }
        (Err(_), _) => {
            frame.push(127);
            frame.extend((length as u64).to_be_bytes());
        }
    }
    frame.extend(payload);
    frame
}

fn text(message: &serde_json::Value) -> Vec<u8> {
    frame(FIN | TEXT, message.to_string().as_bytes())
}

impl Wire {
    /// A compressed frame that nobody agreed to: one deflate block that unpacks to a thousand
    /// times its size.
    pub fn compressed_frame() -> Self {
        // The stored form does not matter: the reserved bit alone has to end it.
        Self::new("compressed frame", frame(FIN | RSV1 | TEXT, &[0; 1_000]))
    }

    /// A text frame with a mask, which only clients use.
    pub fn masked_frame() -> Self {
        let bytes = [FIN | TEXT, 0x80 | 2, 1, 2, 3, 4, b'[' ^ 1, b']' ^ 2];
        Self::new("masked frame", bytes)
    }

    /// A ping with more than the 125 bytes that it may have.
    pub fn large_ping() -> Self {
        Self::new("large ping", frame(FIN | PING, &[b'x'; 4_000]))
    }

    /// A ping in two parts.
    pub fn fragmented_ping() -> Self {
        Self::new("fragmented ping", frame(PING, b"x"))
    }

    /// A kind of frame that does not exist.
    pub fn unknown_frame() -> Self {
        Self::new("unknown frame", frame(FIN | 0xb, b"x"))
    }

    /// A text frame that is not UTF-8.
    pub fn invalid_text() -> Self {
        Self::new(
            "invalid text",
            frame(FIN | TEXT, b"[\"NOTICE\",\"\xff\xfe\"]"),
        )
    }

    /// A continuation of nothing.
    pub fn stray_continuation() -> Self {
        Self::new("stray continuation", frame(FIN, b"x"))
    }

    /// A message that begins within another.
    pub fn nested_message() -> Self {
        let bytes = [frame(TEXT, b"[\"NOT"), frame(FIN | TEXT, b"[]")].concat();
        Self::new("nested message", bytes)
    }

    /// A frame that announces as many bytes as can be said.
    pub fn giant_frame() -> Self {
        let mut bytes = vec![FIN | TEXT, 127];
        bytes.extend((i64::MAX as u64).to_be_bytes());
        Self::new("giant frame", bytes).again("x")
    }

    /// A message in fragments without end.
    pub fn endless_fragments() -> Self {
        let again = frame(CONTINUATION, &[b'x'; 1_000]);
        Self::new("endless fragments", frame(TEXT, b"[\"NOTICE\",\"")).again(again)
    }

    /// A message in fragments without end, and nothing in them: no bound on sizes ever applies.
    pub fn empty_fragments() -> Self {
        Self::new("empty fragments", frame(TEXT, b"")).again(frame(CONTINUATION, b""))
    }

    /// A message in fragments with pings between them, without end.
    pub fn pings_between_fragments() -> Self {
        let again = [frame(PING, b"x"), frame(CONTINUATION, b"")].concat();
        Self::new("pings between fragments", frame(TEXT, b"")).again(again)
    }

    /// Pings without end, none of whose answers is read.
    pub fn ping_flood() -> Self {
        Self::new("ping flood", "").again(frame(FIN | PING, &[b'x'; 125]))
    }

    /// Binary messages without end.
    pub fn binary_flood() -> Self {
        Self::new("binary flood", "").again(frame(FIN | 2, &[0; 1_000]))
    }

    /// A close frame in the middle of a message.
    pub fn close_within_message() -> Self {
        let mut reason = 1000_u16.to_be_bytes().to_vec();
        reason.extend(b"bye");
        let bytes = [frame(TEXT, b"[\"EVENT\","), frame(FIN | CLOSE, &reason)].concat();
        Self::new("close within a message", bytes)
    }

    /// A close frame whose reason is one byte, which is no status.
    pub fn short_close() -> Self {
        Self::new("short close", frame(FIN | CLOSE, &[3]))
    }

    /// A close frame with a reason that is not UTF-8.
    pub fn invalid_close() -> Self {
        Self::new("invalid close", frame(FIN | CLOSE, b"\x03\xe8\xff\xfe"))
    }

    /// Half a message, and the end of the connection.
    pub fn cut_message() -> Self {
        Self::new(
            "cut message",
            &frame(FIN | TEXT, b"[\"NOTICE\",\"x\"]")[..6],
        )
        .closing()
    }

    /// Notices without end.
    pub fn notices() -> Self {
        Self::new("notices", "").again(text(&json!(["NOTICE", "read this first"])))
    }

    /// Challenges without end, a new one each time.
    pub fn challenges() -> Self {
        let many: Vec<u8> = (0..500)
            .flat_map(|n| text(&json!(["AUTH", format!("challenge {n}")])))
            .collect();
        Self::new("challenges", "").again(many)
    }

    /// One challenge of so many bytes.
    pub fn giant_challenge(bytes: usize) -> Self {
        Self::new("giant challenge", text(&json!(["AUTH", "x".repeat(bytes)])))
    }

    /// OK for events that nobody sent, without end.
    pub fn foreign_oks() -> Self {
        let ok = text(&json!(["OK", "ab".repeat(32), true, ""]));
        Self::new("foreign oks", "").again(ok)
    }

    /// Answers to questions that were not asked yet: to the subscription ids that clients are
    /// likely to use.
    pub fn early_answers() -> Self {
        let ids = ["b1", "1", "0", "sub", "sub1", "a", "probe", ""];
        let answers = ids.map(|id| text(&json!(["EOSE", id]))).concat();
        Self::new("early answers", answers)
    }
}
