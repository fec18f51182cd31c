//! How a text that changes comes onto a terminal: over the one before, in one piece, so that
//! nothing flickers. Elsewhere one text follows the other, without a control character.

use console::Term;

/// Empties the screen and goes to its first line.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// Goes to the first line.
const HOME: &str = "\x1b[H";

/// Empties the rest of a line.
const CLEAR_LINE: &str = "\x1b[K";

/// Empties what is below.
const CLEAR_BELOW: &str = "\x1b[J";

/// Rows and columns of the terminal; none where there is no terminal.
pub(super) fn size() -> Option<(usize, usize)> {
    let terminal = Term::stdout();
    let size = terminal.is_term().then(|| terminal.size_checked());
    size.flatten()
        .map(|(rows, columns)| (rows.into(), columns.into()))
}

/// Columns of the terminal.
pub(super) fn width() -> Option<usize> {
    size().map(|(_, columns)| columns)
}

/// What a terminal shows.
#[derive(Debug, Default)]
pub(super) struct Screen {
    /// Its size when it was drawn last.
    drawn: Option<(usize, usize)>,
    is_used: bool,
}

impl Screen {
    /// Returns what to write so that this text is shown in the place of the one before.
    pub(super) fn frame(&mut self, text: &str) -> String {
        self.frame_in(size(), text)
    }

    fn frame_in(&mut self, size: Option<(usize, usize)>, text: &str) -> String {
        let Some((rows, columns)) = size else {
            let gap = if self.is_used { "\n" } else { "" };
            self.is_used = true;
            return format!("{gap}{text}");
        };
        let mut frame = String::with_capacity(text.len() + 1_024);
        // A terminal of another size has broken its lines anew.
        frame.push_str(if self.drawn == Some((rows, columns)) {
            HOME
        } else {
            CLEAR
        });
        self.drawn = Some((rows, columns));
        let lines: Vec<&str> = text.lines().collect();
        // The cursor stands below the last line: a line more, and the first would leave.
        let room = rows.saturating_sub(1).max(1);
        let fit = if lines.len() > room {
            room.saturating_sub(1)
        } else {
            room
        };
        for line in lines.iter().take(fit) {
            frame.push_str(&console::truncate_str(line, columns, "…"));
            frame.push_str(CLEAR_LINE);
            frame.push('\n');
        }
        if lines.len() > fit {
            let more = format!(
                "  … {} more lines: the terminal is too low",
                lines.len() - fit
            );
            frame.push_str(&console::truncate_str(&more, columns, "…"));
            frame.push_str(CLEAR_LINE);
            frame.push('\n');
        }
        frame.push_str(CLEAR_BELOW);
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_takes_the_place_of_the_one_before() {
        let mut screen = Screen::default();
        let first = screen.frame_in(Some((24, 80)), "one\ntwo\n");
        assert_eq!(first, "\x1b[2J\x1b[Hone\x1b[K\ntwo\x1b[K\n\x1b[J");
        // Nothing is emptied before it is written over.
        let second = screen.frame_in(Some((24, 80)), "three\n");
        assert_eq!(second, "\x1b[Hthree\x1b[K\n\x1b[J");
        let resized = screen.frame_in(Some((24, 81)), "three\n");
        assert!(resized.starts_with(CLEAR));
    }

    #[test]
    fn a_frame_never_scrolls_or_wraps() {
        let text = "a line that is long\n".repeat(30);
        for (rows, columns) in [(1, 1), (2, 5), (10, 12), (31, 80), (30, 80)] {
            let frame = Screen::default().frame_in(Some((rows, columns)), &text);
            let lines: Vec<&str> = frame.lines().collect();
            assert!(lines.len() <= rows.max(2), "{rows}: {frame:?}");
            for line in lines {
                assert!(console::measure_text_width(line) <= columns, "{line:?}");
            }
        }
        let frame = Screen::default().frame_in(Some((10, 80)), &text);
        assert!(frame.contains("… 22 more lines"), "{frame:?}");
    }

    #[test]
    fn without_a_terminal_one_text_follows_the_other() {
        let mut screen = Screen::default();
        assert_eq!(screen.frame_in(None, "one\n"), "one\n");
        assert_eq!(screen.frame_in(None, "two\n"), "\ntwo\n");
    }
}
