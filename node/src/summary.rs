//! What the operator reads when the node starts, and when something fails.

/// Explains an error: the cause chain on one line, and hints on lines of their own.
pub(crate) fn explain(error: &anyhow::Error) -> String {
    let (mut text, mut hints) = (String::new(), String::new());
    for cause in error.chain() {
        let cause = cause.to_string();
        if let Some(hint) = cause.strip_prefix("Hint: ") {
            hints.push_str("\n  hint: ");
            hints.push_str(hint);
        } else if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text + &hints
}

/// A list of names and values, aligned.
pub(crate) fn table(title: &str, rows: &[(&str, String)]) -> String {
    let width = rows
        .iter()
        .map(|(name, _)| name.len())
        .max()
        .unwrap_or_default();
    let mut text = format!("{title}\n");
    for (name, value) in rows {
        text.push_str(&format!("  {name:width$}  {value}\n"));
    }
    text
}

/// Writes a number with thin groups: `1 234 567`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

/// Writes a size in bytes for humans.
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes {
        0..10_000 => format!("{bytes} B"),
        10_000..10_000_000 => format!("{} kB", bytes / 1_000),
        10_000_000..10_000_000_000 => format!("{} MB", bytes / 1_000_000),
        _ => format!("{} GB", bytes / 1_000_000_000),
    }
}

/// Makes one harmless line of a stranger's text: white space and control characters become one
/// space, and what is invisible or turns the direction of writing is left out.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}' => {}
            c if c.is_control() || c.is_whitespace() => {
                if !line.ends_with(' ') {
                    line.push(' ');
                }
            }
            c => line.push(c),
        }
    }
    line.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints_stand_apart_from_causes() {
        let error = anyhow::anyhow!("the disk is full")
            .context("cannot start Postgres")
            .context("Hint: free some space");
        assert_eq!(
            explain(&error),
            "cannot start Postgres: the disk is full\n  hint: free some space"
        );
    }

    #[test]
    fn a_strangers_text_is_one_harmless_line() {
        assert_eq!(
            one_line("\u{1b}[31mred\r\n\tand \u{202e}more\0\u{85}\u{9b}2J"),
            "[31mred and more 2J"
        );
        assert_eq!(one_line("é 漢字"), "é 漢字");
        assert_eq!(one_line("\n\u{feff}\n"), "");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1 234 567");
        assert_eq!(bytes(12_345_678), "12 MB");
    }
}
