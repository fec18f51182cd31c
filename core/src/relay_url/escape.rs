//! Owns percent escapes (RFC 3986 sections 2.1 and 6.2.2). Which characters a part of the URL may
//! hold unescaped is that part's business.

/// Decodes every percent escape. A percent sign that starts none stays as it is.
pub(super) fn decode(text: &str) -> Vec<u8> {
    Bytes(text.as_bytes()).map(|(byte, _)| byte).collect()
}

/// Writes text so that equivalent escapes are equal: unreserved characters decoded, upper-case
/// hex, and whatever is neither `allowed` nor an escape already, escaped.
pub(super) fn normalize(text: &str, allowed: impl Fn(u8) -> bool) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut normal = String::with_capacity(text.len());
    for (byte, escaped) in Bytes(text.as_bytes()) {
        if is_unreserved(byte) || (!escaped && allowed(byte)) {
            normal.push(char::from(byte));
        } else {
            normal.push('%');
            normal.push(char::from(HEX[usize::from(byte >> 4)]));
            normal.push(char::from(HEX[usize::from(byte & 0xf)]));
        }
    }
    normal
}

/// Tells the characters that mean the same escaped or not (RFC 3986 section 2.3).
fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Walks over bytes as (byte, whether it was escaped).
struct Bytes<'a>(&'a [u8]);

impl Iterator for Bytes<'_> {
    type Item = (u8, bool);

    fn next(&mut self) -> Option<Self::Item> {
        if let [b'%', high, low, rest @ ..] = self.0
            && let (Some(high), Some(low)) = (hex_digit(*high), hex_digit(*low))
        {
            self.0 = rest;
            return Some((high << 4 | low, true));
        }
        let (&byte, rest) = self.0.split_first()?;
        self.0 = rest;
        Some((byte, false))
    }
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}
