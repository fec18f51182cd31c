//! Standard output, whose reader may be gone.
//!
//! `println!` panics when nobody reads any more: `bigbrotr run | grep -m 1 key` would end the
//! node with its reader.

use std::fmt::Arguments;
use std::io::{ErrorKind, Write};

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
