//! The table of relays: as wide as there is room, and without a character that would move the
//! cursor, whatever relays say.

use std::time::{Duration, UNIX_EPOCH};

use bigbrotr_schema::store::SyncOverview;
use console::{Alignment, measure_text_width, pad_str, truncate_str};

use crate::limits::STATUS_ERROR_CHARS;
use crate::summary::{bytes, count, one_line};

/// There is next to nothing older than Nostr (2020-11-07).
const BEGINNING: i64 = 1_604_707_200;

/// The last second of the year 9999.
const LAST_DAY: i64 = 253_402_300_799;

/// A column: its heading, how narrow it may become, and when it goes if there is no room. The
/// lowest goes first, one without a number never.
struct Column {
    title: &'static str,
    align: Alignment,
    least: Option<usize>,
    goes: Option<u8>,
    cell: fn(&SyncOverview, i64) -> String,
}

static COLUMNS: [Column; 11] = [
    text("RELAY", Some(24), None, |sync, _| one_line(&sync.relay)),
    text("STATUS", None, None, |sync, _| status(sync)),
    text("METHOD", None, Some(2), |sync, _| {
        one_line(sync.method.as_deref().unwrap_or("–"))
    }),
    text("COVERED (UTC)", None, Some(7), covered),
    number("NEW", Some(9), |sync, _| count(unsigned(sync.new_events))),
    number("KNOWN", Some(4), |sync, _| {
        count(unsigned(sync.known_events))
    }),
    number("LINKED", Some(1), |sync, _| {
        count(unsigned(sync.linked_events))
    }),
    number("BYTES", Some(3), |sync, _| {
        bytes(unsigned(sync.received_bytes))
    }),
    number("GAPS/MISSING", Some(5), |sync, _| {
        let (gaps, missing) = (unsigned(sync.gaps), unsigned(sync.missing_events));
        format!("{}/{}", count(gaps), count(missing))
    }),
    number("LEFT", Some(8), |sync, _| {
        sync.eta_seconds.map_or("–".to_owned(), left)
    }),
    text("LAST ERROR", Some(16), Some(6), |sync, _| error(sync)),
];

const fn text(
    title: &'static str,
    least: Option<usize>,
    goes: Option<u8>,
    cell: fn(&SyncOverview, i64) -> String,
) -> Column {
    Column {
        title,
        align: Alignment::Left,
        least,
        goes,
        cell,
    }
}

const fn number(
    title: &'static str,
    goes: Option<u8>,
    cell: fn(&SyncOverview, i64) -> String,
) -> Column {
    Column {
        title,
        align: Alignment::Right,
        least: None,
        goes,
        cell,
    }
}

/// A column with what it holds.
struct Filled {
    column: &'static Column,
    cells: Vec<String>,
    width: usize,
}

impl Filled {
    fn new(column: &'static Column, syncs: &[SyncOverview], as_of: i64) -> Self {
        let cells: Vec<String> = syncs
            .iter()
            .map(|sync| (column.cell)(sync, as_of))
            .collect();
        let all = cells.iter().map(String::as_str).chain([column.title]);
        let width = all.map(measure_text_width).max().unwrap_or_default();
        Self {
            column,
            cells,
            width,
        }
    }

    fn least(&self) -> usize {
        self.column
            .least
            .map_or(self.width, |least| least.min(self.width))
    }
}

/// Writes the relays below each other, with a heading. Each line fits into `width` columns, if
/// that is known.
pub(super) fn table(syncs: &[SyncOverview], as_of: i64, width: Option<usize>) -> String {
    let columns = COLUMNS.iter();
    let mut columns: Vec<Filled> = columns.map(|one| Filled::new(one, syncs, as_of)).collect();
    if let Some(width) = width {
        fit(&mut columns, width);
    }
    let line = |cell: &dyn Fn(&Filled) -> String| {
        let cells = columns.iter().map(|filled| {
            let (cell, align) = (cell(filled), filled.column.align);
            pad_str(&cell, filled.width, align, Some("…")).into_owned()
        });
        let cells: Vec<String> = cells.collect();
        let line = format!("  {}", cells.join("  "));
        let line = line.trim_end();
        width.map_or(line.to_owned(), |width| {
            truncate_str(line, width, "…").into_owned()
        })
    };
    let mut lines = vec![line(&|filled| filled.column.title.to_owned())];
    lines.extend((0..syncs.len()).map(|row| line(&|filled| filled.cells[row].clone())));
    lines.join("\n")
}

/// Takes out the columns that are missed least until the others have room, and gives what is left
/// to those that could use it, from the left.
fn fit(columns: &mut Vec<Filled>, width: usize) {
    let needed = |columns: &[Filled]| -> usize {
        // Two spaces are before each.
        columns.iter().map(|filled| filled.least() + 2).sum()
    };
    while needed(columns) > width {
        let goes = columns.iter().filter_map(|filled| filled.column.goes);
        let Some(first) = goes.min() else { break };
        columns.retain(|filled| filled.column.goes != Some(first));
    }
    let mut left = width.saturating_sub(needed(columns));
    for filled in columns {
        let least = filled.least();
        filled.width = filled.width.min(least + left);
        left -= filled.width - least;
    }
}

fn status(sync: &SyncOverview) -> String {
    let words = |word: &str| one_line(&word.replace('_', " "));
    match &sync.put_aside {
        Some(reason) if sync.status == "put_aside" => format!("aside: {}", words(reason)),
        _ => words(&sync.status),
    }
}

/// From when to when; of a first scan, how far it is.
fn covered(sync: &SyncOverview, as_of: i64) -> String {
    let covered = sync.covered_from.zip(sync.covered_to);
    let scanned = sync.scan_at.zip(sync.scan_top);
    match covered.or(scanned) {
        Some((from, to)) if from <= BEGINNING => format!("start–{}", recent(to, as_of)),
        Some((from, to)) => format!("{}–{}", recent(from, as_of), recent(to, as_of)),
        None => "–".to_owned(),
    }
}

/// A day, or an hour of today.
fn recent(at: i64, as_of: i64) -> String {
    if at.div_euclid(86_400) == as_of.div_euclid(86_400) {
        moment(at)[11..16].to_owned()
    } else {
        moment(at)[..10].to_owned()
    }
}

/// A moment to the second, as `2026-11-25 14:03:09`. What no calendar holds is its nearest end.
pub(super) fn moment(at: i64) -> String {
    let at = Duration::from_secs(at.clamp(0, LAST_DAY).unsigned_abs());
    let mut text = humantime::format_rfc3339_seconds(UNIX_EPOCH + at).to_string();
    text.truncate(19);
    text.replace('T', " ")
}

/// How long something takes, roughly.
fn left(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3_600 => format!("{} min", seconds / 60),
        seconds @ 3_600..172_800 => format!("{} h", seconds / 3_600),
        seconds @ 172_800..86_400_000 => format!("{} d", seconds / 86_400),
        _ => "> 999 d".to_owned(),
    }
}

/// What a stranger's machine said: as much of it as helps.
fn error(sync: &SyncOverview) -> String {
    let text = one_line(sync.last_error.as_deref().unwrap_or_default());
    truncate_str(&text, STATUS_ERROR_CHARS, "…").into_owned()
}

/// Counters are never negative.
fn unsigned(number: i64) -> u64 {
    number.max(0).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_645_849;

    fn sync(relay: &str) -> SyncOverview {
        SyncOverview {
            relay: relay.to_owned(),
            status: "syncing".to_owned(),
            method: Some("negentropy".to_owned()),
            covered_from: Some(0),
            covered_to: Some(NOW - 60),
            scan_top: None,
            scan_at: None,
            eta_seconds: Some(7_300),
            caught_up_at: None,
            live_since: None,
            new_events: 1_234_567,
            known_events: 89,
            linked_events: 7,
            refused_events: 0,
            received_bytes: 12_345_678,
            gaps: 3,
            missing_events: 12,
            put_aside: None,
            failures: 0,
            due_at: NOW,
            last_error: None,
        }
    }

    #[test]
    fn a_row_says_how_far_a_relay_is() {
        let text = table(&[sync("wss://relay.example.com")], NOW, None);
        let (heading, row) = text.split_once('\n').unwrap();
        assert_eq!(
            heading,
            "  RELAY                    STATUS   METHOD      COVERED (UTC)        NEW  KNOWN  \
             LINKED  BYTES  GAPS/MISSING  LEFT  LAST ERROR"
        );
        assert_eq!(
            row,
            "  wss://relay.example.com  syncing  negentropy  start–22:29    1 234 567     89  \
             \u{20}    7  12 MB          3/12   2 h"
        );
    }

    #[test]
    fn what_a_relay_says_moves_no_cursor() {
        let hostile =
            "a\u{1b}[2J\u{1b}]0;title\u{7}b\r\nc\u{9b}31md\u{202e}e\u{200b}f\u{2028}g\u{feff}";
        let row = SyncOverview {
            relay: format!("wss://x/{hostile}"),
            status: hostile.to_owned(),
            method: Some(hostile.to_owned()),
            last_error: Some(hostile.repeat(50)),
            ..sync("")
        };
        for width in [None, Some(200), Some(40)] {
            let text = table(std::slice::from_ref(&row), NOW, width);
            assert_eq!(text.lines().count(), 2, "{text:?}");
            let is_bad = |c: char| {
                (c.is_control() && c != '\n')
                    || matches!(c, '\u{200b}' | '\u{202e}' | '\u{2028}' | '\u{feff}')
            };
            assert!(!text.contains(is_bad), "{text:?}");
        }
    }

    #[test]
    fn a_table_is_as_wide_as_there_is_room_and_keeps_what_matters() {
        let wide = SyncOverview {
            last_error: Some("漢字 connection refused by the other side".repeat(9)),
            ..sync(&format!("wss://relay.example.com/{}", "x".repeat(300)))
        };
        let rows = [wide, sync("wss://a.example")];
        for width in 1..260 {
            let text = table(&rows, NOW, Some(width));
            for line in text.lines() {
                assert!(measure_text_width(line) <= width, "{width}: {line:?}");
            }
            if width >= 60 {
                assert!(text.contains("STATUS") && text.contains("NEW"), "{text}");
            }
        }
    }

    #[test]
    fn what_is_missed_least_goes_first_and_room_is_used() {
        let row = SyncOverview {
            last_error: Some("an error that is rather long, all in all".to_owned()),
            ..sync("wss://relay.example.com")
        };
        let at = |width| table(std::slice::from_ref(&row), NOW, Some(width));
        assert!(at(160).ends_with("an error that is rather long, all in all"));
        let narrower = at(140);
        assert!(narrower.contains("LINKED") && narrower.contains("an error that is r"));
        assert!(narrower.ends_with('…'), "{narrower}");
        let narrow = at(100);
        assert!(
            narrow.contains("LAST ERROR") && !narrow.contains("LINKED"),
            "{narrow}"
        );
        let least = at(60);
        assert!(
            least.contains("NEW") && !least.contains("LAST ERROR"),
            "{least}"
        );
    }

    #[test]
    fn coverage_is_from_when_to_when_and_no_time_is_too_far_away() {
        let of = |from, to| {
            let row = SyncOverview {
                covered_from: from,
                covered_to: to,
                ..sync("")
            };
            covered(&row, NOW)
        };
        assert_eq!(
            of(Some(1_700_000_000), Some(1_750_000_000)),
            "2023-11-14–2025-06-15"
        );
        assert_eq!(of(Some(0), Some(NOW)), "start–22:30");
        assert_eq!(of(None, None), "–");
        assert_eq!(of(Some(i64::MIN), Some(i64::MAX)), "start–9999-12-31");
        // A first scan has everything above the second that it has reached.
        let first = SyncOverview {
            covered_from: None,
            covered_to: None,
            scan_top: Some(NOW),
            scan_at: Some(1_750_000_000),
            ..sync("")
        };
        assert_eq!(covered(&first, NOW), "2025-06-15–22:30");
    }

    #[test]
    fn times_left_are_rough() {
        let all = [-5, 59, 60, 3_600, 172_799, 172_800, i64::MAX].map(left);
        assert_eq!(
            all,
            ["0 s", "59 s", "1 min", "1 h", "47 h", "2 d", "> 999 d"]
        );
    }

    #[test]
    fn a_relay_that_is_put_aside_says_why() {
        let row = SyncOverview {
            status: "put_aside".to_owned(),
            put_aside: Some("payment_required".to_owned()),
            ..sync("")
        };
        assert_eq!(status(&row), "aside: payment required");
    }
}
