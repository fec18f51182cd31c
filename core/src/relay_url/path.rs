//! Owns the normal form of a URL's path and query string.

use super::escape;

/// Returns the path with equivalent spellings made equal: escapes normalised, dot segments
/// resolved, repeated and trailing slashes removed. The root is the empty string.
pub(super) fn normalize(path: &str) -> String {
    let escaped = escape::normalize(path, |byte| byte == b'/' || is_path_character(byte));
    let mut segments = Vec::new();
    for segment in escaped.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            segment => segments.push(segment),
        }
    }
    segments.iter().flat_map(|segment| ["/", segment]).collect()
}

/// Returns the query string with its escapes normalised. The order of its parts may matter to the
/// relay and is kept.
pub(super) fn normalize_query(query: &str) -> String {
    // The WHATWG parser, which HTTP clients use, escapes the apostrophe here and only here.
    escape::normalize(query, |byte| {
        byte != b'\'' && (matches!(byte, b'/' | b'?') || is_path_character(byte))
    })
}

/// Tells the reserved characters that a path segment holds unescaped (`pchar`, RFC 3986 section
/// 3.3).
fn is_path_character(byte: u8) -> bool {
    b"!$&'()*+,;=:@".contains(&byte)
}
