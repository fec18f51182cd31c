//! What is done, in the order of the file: chunks become durable in any order.

use std::collections::BTreeMap;

use bigbrotr_schema::store::ImportProgress;

use super::work::{Problem, Report};
use crate::meter::Meter;

/// Prints problems, as many as were asked for; the others are only counted.
pub(super) struct Reporter {
    /// Names the file when there are several.
    pub(super) file: Option<String>,
    /// How many more are printed.
    pub(super) left: u64,
    /// Whether it was said that the others are not.
    pub(super) hushed: bool,
}

impl Reporter {
    fn report(&mut self, problem: &Problem, meter: &Meter) {
        if self.left > 0 {
            self.left -= 1;
            let file = self.file.as_ref();
            let file = file.map(|file| format!("{file} ")).unwrap_or_default();
            meter.say(&format!("{file}line {}: {}", problem.line, problem.reason));
        } else if !self.hushed {
            self.hushed = true;
            meter.say("further bad lines are only counted; --max-reported shows more");
        }
    }
}

/// Adds up the reports of a file's chunks.
pub(super) struct Ledger {
    strict: bool,
    next: u64,
    waiting: BTreeMap<u64, Report>,
    /// Everything up to the first line that is not done.
    pub(super) done: ImportProgress,
    /// What another import can go on behind: not a last line that may still grow, and not a line
    /// at which this one stopped.
    pub(super) resumable: ImportProgress,
}

impl Ledger {
    pub(super) fn new(strict: bool, before: ImportProgress) -> Self {
        Self {
            strict,
            next: 0,
            waiting: BTreeMap::new(),
            done: before,
            resumable: before,
        }
    }

    /// Takes the report of a chunk, by its number from 0; returns the problem at which a strict
    /// import ends.
    pub(super) fn settle(
        &mut self,
        number: u64,
        report: Report,
        reporter: &mut Reporter,
        meter: &Meter,
    ) -> Option<Problem> {
        self.waiting.insert(number, report);
        while let Some(report) = self.waiting.remove(&self.next) {
            self.next += 1;
            for problem in &report.problems {
                reporter.report(problem, meter);
                if self.strict {
                    break;
                }
            }
            self.done.ingested += report.ingested;
            if self.strict
                && let Some(first) = report.problems.first()
            {
                self.done.lines = first.line;
                self.done.bad_lines += u64::from(!first.refused);
                return Some(first.clone());
            }
            let bad = report.problems.iter().filter(|problem| !problem.refused);
            self.done.bad_lines += bad.count() as u64;
            self.done.lines += report.end.lines - report.start.lines;
            self.done.offset_bytes = report.end.offset;
            if !report.open {
                self.resumable = self.done;
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use bigbrotr_schema::ingest::Ingested;

    use super::super::chunks::Place;
    use super::*;

    fn report(first: u64, lines: u64, bad: &[u64], open: bool) -> Report {
        let place = |lines| Place {
            offset: lines * 10,
            lines,
        };
        Report {
            start: place(first),
            end: place(first + lines),
            open,
            ingested: Ingested {
                new: lines - bad.len() as u64,
                ..Ingested::default()
            },
            problems: bad
                .iter()
                .map(|&line| Problem {
                    line,
                    reason: String::new(),
                    refused: false,
                })
                .collect(),
        }
    }

    fn reporter() -> Reporter {
        Reporter {
            file: None,
            left: 0,
            hushed: true,
        }
    }

    #[test]
    fn nothing_counts_before_what_is_ahead_of_it() {
        let mut ledger = Ledger::new(false, ImportProgress::default());
        let (mut reporter, meter) = (reporter(), Meter::silent());
        ledger.settle(1, report(5, 5, &[7], false), &mut reporter, &meter);
        ledger.settle(3, report(15, 1, &[], true), &mut reporter, &meter);
        assert_eq!(ledger.done, ImportProgress::default());
        ledger.settle(0, report(0, 5, &[], false), &mut reporter, &meter);
        let done = ledger.done;
        assert_eq!((done.lines, done.offset_bytes), (10, 100));
        assert_eq!((done.bad_lines, done.ingested.new), (1, 9));
        assert_eq!(ledger.resumable, done);
        ledger.settle(2, report(10, 5, &[], false), &mut reporter, &meter);
        assert_eq!((ledger.done.lines, ledger.resumable.lines), (16, 15));
    }

    #[test]
    fn a_strict_import_ends_at_the_first_problem_and_can_be_resumed_before_it() {
        let mut ledger = Ledger::new(true, ImportProgress::default());
        let (mut reporter, meter) = (reporter(), Meter::silent());
        assert!(
            ledger
                .settle(1, report(5, 5, &[8, 9], false), &mut reporter, &meter)
                .is_none()
        );
        let end = ledger.settle(0, report(0, 5, &[], false), &mut reporter, &meter);
        assert_eq!(end.unwrap().line, 8);
        assert_eq!((ledger.done.lines, ledger.resumable.lines), (8, 5));
    }
}
