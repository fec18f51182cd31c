//! Standard output, whose reader may be gone.
//!
//! `println!` panics when nobody reads any more: `bigbrotr run | grep -m 1 key` would end the
//! node with its reader.

use std::borrow::Cow;
use std::fmt::Arguments;
use std::io::{ErrorKind, IsTerminal, Write};

/// Prints a line as `println!` does.
macro_rules! outln {
    ($($text:tt)*) => { $crate::output::write(format_args!("{}\n", format_args!($($text)*))) };
}

/// Prints text as `print!` does.
macro_rules! out {
    ($($text:tt)*) => { $crate::output::write(format_args!($($text)*)) };
}

pub(crate) use {out, outln};

/// Writes and flushes.
pub(crate) fn write(text: Arguments<'_>) {
    write_to(&mut std::io::stdout().lock(), text);
}

/// Writes and flushes, with colours where they are seen.
pub(crate) fn write_coloured(text: &str) {
    write_to(&mut anstream::stdout().lock(), format_args!("{text}"));
}

/// An answer as it is printed: as it is, byte for byte, but where a terminal reads it.
pub(crate) fn for_reader(answer: &str) -> Cow<'_, str> {
    if std::io::stdout().is_terminal() {
        harmless(answer).into()
    } else {
        answer.into()
    }
}

/// Writes as escapes of JSON what terminals obey, and JSON allows: what moves the cursor, and what
/// changes the direction of writing.
pub(crate) fn harmless(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        let is_obeyed = c.is_control() && !matches!(c, '\n' | '\t') || is_direction(c);
        if is_obeyed {
            text.push_str(&format!("\\u{:04x}", u32::from(c)));
        } else {
            text.push(c);
        }
    }
    text
}

/// Says whether a character is one that changes the direction of writing.
pub(crate) fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// What nobody reads any more is dropped without a word; other failures are told, and no reason to
/// stop what the program does besides.
fn write_to(stdout: &mut impl Write, text: Arguments<'_>) {
    match stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            tracing::error!(error = %error, "standard output takes nothing");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::harmless;

    #[test]
    fn what_terminals_obey_is_written_as_escapes_that_mean_the_same() {
        let said = "a\u{9b}31m\u{7f}\u{202e}b\r";
        let json = serde_json::json!([said, "漢字\n"]).to_string();
        let text = harmless(&format!("{json}\n\u{1b}"));
        assert!(!text.contains(|c: char| c.is_control() && c != '\n' || c == '\u{202e}'));
        let text = text.strip_suffix("\n\\u001b").unwrap();
        let back: serde_json::Value = serde_json::from_str(text).unwrap();
        assert_eq!(back, serde_json::json!([said, "漢字\n"]));
    }
}
