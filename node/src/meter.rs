//! How far a long command is: a bar on a terminal, a line now and then elsewhere. Both on
//! standard error.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::limits::METER_LINE_INTERVAL;
use crate::summary::{bytes, count};

/// What positions are measured in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes of a file.
    Bytes,
    /// Things that are only counted.
    Count,
}

impl Unit {
    fn show(self, position: u64) -> String {
        match self {
            Self::Bytes => bytes(position),
            Self::Count => count(position),
        }
    }
}

/// The progress of one piece of work.
pub(crate) struct Meter {
    what: String,
    unit: Unit,
    total: Option<u64>,
    bar: Option<ProgressBar>,
    began: (Instant, u64),
    next_line: Instant,
}

impl Meter {
    /// Begins to show work of this size; `None`: it is not known.
    pub(crate) fn start(what: &str, total: Option<u64>, unit: Unit) -> anyhow::Result<Self> {
        let bar = if std::io::stderr().is_terminal() {
            let bar = total.map_or_else(ProgressBar::new_spinner, ProgressBar::new);
            let position = match unit {
                Unit::Bytes => "{bytes}/{total_bytes}",
                Unit::Count => "{percent} %",
            };
            let template = match total {
                Some(_) => format!("{{prefix}} {{wide_bar}} {position}  {{msg}}  {{eta}} left"),
                None => "{prefix} {spinner} {bytes}  {msg}".to_owned(),
            };
            bar.set_style(ProgressStyle::with_template(&template)?);
            bar.set_prefix(what.to_owned());
            Some(bar)
        } else {
            None
        };
        let now = Instant::now();
        Ok(Self {
            what: what.to_owned(),
            unit,
            total,
            bar,
            began: (now, 0),
            next_line: now + METER_LINE_INTERVAL,
        })
    }

    /// A meter that shows nothing.
    pub(crate) fn silent() -> Self {
        let now = Instant::now();
        Self {
            what: String::new(),
            unit: Unit::Count,
            total: None,
            bar: None,
            began: (now, 0),
            next_line: now + Duration::from_hours(24 * 365),
        }
    }

    /// Notes that the work begins at this position: what is before was done another time.
    pub(crate) fn begin_at(&mut self, position: u64) {
        self.began = (Instant::now(), position);
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            bar.reset_eta();
        }
    }

    /// Shows how far the work is, with a note.
    pub(crate) fn update(&mut self, position: u64, note: impl FnOnce() -> String) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            bar.set_message(note());
            bar.tick();
        } else if Instant::now() >= self.next_line {
            self.next_line = Instant::now() + METER_LINE_INTERVAL;
            let line = self.line(position, self.began.0.elapsed());
            eprintln!("{line}, {}", note());
        }
    }

    fn line(&self, position: u64, elapsed: Duration) -> String {
        let Some(total) = self.total.filter(|total| *total > 0) else {
            return format!("{}: {}", self.what, self.unit.show(position));
        };
        let done = position.saturating_sub(self.began.1);
        let left = if done == 0 {
            String::new()
        } else {
            let ahead = total.saturating_sub(position) as f64;
            let seconds = elapsed.as_secs_f64() * ahead / done as f64;
            format!(", about {} s left", count(seconds.ceil() as u64))
        };
        format!(
            "{}: {} % of {}{left}",
            self.what,
            position.min(total) * 100 / total,
            self.unit.show(total),
        )
    }

    /// Prints a line on standard error without harm to the bar.
    pub(crate) fn say(&self, line: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{line}")),
            None => eprintln!("{line}"),
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(total: Option<u64>, began: u64) -> Meter {
        Meter {
            what: "a file".to_owned(),
            unit: Unit::Count,
            total,
            began: (Instant::now(), began),
            ..Meter::silent()
        }
    }

    #[test]
    fn a_line_says_how_much_is_done_and_how_long_the_rest_takes() {
        let line = |total, began, at| meter(total, began).line(at, Duration::from_secs(30));
        assert_eq!(
            line(Some(4_000), 0, 1_000),
            "a file: 25 % of 4 000, about 90 s left"
        );
        // What was done another time says nothing about the speed.
        assert_eq!(
            line(Some(4_000), 2_000, 3_000),
            "a file: 75 % of 4 000, about 30 s left"
        );
        assert_eq!(line(Some(4_000), 0, 0), "a file: 0 % of 4 000");
        assert_eq!(line(None, 0, 1_000), "a file: 1 000");
    }
}
