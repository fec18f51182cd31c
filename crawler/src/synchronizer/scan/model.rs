//! A relay as the scan sees it, and an oracle for what the scan claims.

use std::collections::{BTreeSet, HashSet};

use bigbrotr_schema::store::Coverage;

use super::{Answer, Question, Rules, Scan, ScanError, Span};

/// Which events a relay keeps when it cuts an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Keeps {
    Newest,
    Oldest,
}

/// A relay with `created_at` values for events.
#[derive(Debug, Clone)]
pub(super) struct ModelRelay {
    pub(super) times: Vec<i64>,
    pub(super) cap: usize,
    pub(super) keeps: Keeps,
    /// Leaves out the bounds of `since` and `until`.
    pub(super) is_exclusive: bool,
}

impl ModelRelay {
    pub(super) fn new(times: impl IntoIterator<Item = i64>, cap: usize, keeps: Keeps) -> Self {
        Self {
            times: times.into_iter().collect(),
            cap,
            keeps,
            is_exclusive: false,
        }
    }

    /// Answers with positions in `times`.
    pub(super) fn answer(&self, question: &Question) -> Vec<usize> {
        let less = i64::from(self.is_exclusive);
        let matches = |time: i64| {
            question.since.is_none_or(|since| time >= since + less)
                && question.until.is_none_or(|until| time <= until - less)
        };
        let mut found: Vec<usize> = (0..self.times.len())
            .filter(|&n| matches(self.times[n]))
            .collect();
        found.sort_by_key(|&n| (self.times[n], n));
        if self.keeps == Keeps::Newest {
            found.reverse();
        }
        found.truncate(self.cap.min(question.limit));
        found
    }
}

/// What outlives a turn.
#[derive(Debug, Clone, Default)]
pub(super) struct Archive {
    pub(super) coverage: Coverage,
    pub(super) archived: HashSet<usize>,
    pub(super) gaps: BTreeSet<i64>,
    pub(super) questions: usize,
    /// Late arrivals are claimed until they are found: nothing is checked on the way then.
    pub(super) has_late: bool,
}

impl Archive {
    /// Takes a turn of at most so many pages, checking every claim on the way.
    ///
    /// Returns whether the relay is caught up.
    pub(super) fn turn(
        &mut self,
        relay: &ModelRelay,
        rules: &Rules,
        now: i64,
        pages: usize,
    ) -> Result<bool, ScanError> {
        let Some(span) = Span::next(&self.coverage, rules, now, false) else {
            return Ok(true);
        };
        let mut scan = Scan::new(self.coverage, span, rules.page_limit);
        for _ in 0..pages {
            if scan.question().is_none() {
                let Some(span) = Span::next(&self.coverage, rules, now, false) else {
                    return Ok(true);
                };
                scan = Scan::new(self.coverage, span, rules.page_limit);
            }
            let Some(question) = scan.question() else {
                continue;
            };
            self.questions += 1;
            let found = relay.answer(&question);
            let page = Answer {
                times: found.iter().map(|&n| relay.times[n]).collect(),
                ..Answer::default()
            };
            self.archived.extend(found);
            self.gaps.extend(scan.accept(&page)?);
            self.coverage = *scan.coverage();
            self.check(relay, rules);
        }
        Ok(scan.question().is_none() && Span::next(&self.coverage, rules, now, false).is_none())
    }

    /// Takes turns until the relay is caught up.
    pub(super) fn catch_up(&mut self, relay: &ModelRelay, rules: &Rules, now: i64) {
        let bound = 10 * relay.times.len() + 20;
        assert_eq!(self.turn(relay, rules, now, bound), Ok(true), "{self:?}");
    }

    /// Whether everything that is claimed to be archived is.
    fn check(&self, relay: &ModelRelay, rules: &Rules) {
        if self.has_late {
            return;
        }
        let Coverage {
            covered_from,
            covered_to,
            scan_at,
            ..
        } = self.coverage;
        for (n, time) in relay.times.iter().enumerate() {
            let is_wanted = rules.until.is_none_or(|until| *time <= until);
            let is_covered = covered_from.zip(covered_to);
            let is_covered = is_covered.is_some_and(|(from, to)| (from..=to).contains(time));
            // A scan under way goes down to what is covered.
            let is_scanned = scan_at.is_some_and(|at| *time > at);
            let is_gap = self.gaps.contains(time);
            assert!(
                !is_wanted || !(is_covered || is_scanned) || is_gap || self.archived.contains(&n),
                "event {n} of second {time} is claimed and missing: {:?}",
                self.coverage
            );
        }
    }

    pub(super) fn missing(&self, relay: &ModelRelay) -> Vec<i64> {
        let missing = (0..relay.times.len()).filter(|n| !self.archived.contains(n));
        missing
            .map(|n| relay.times[n])
            .filter(|time| !self.gaps.contains(time))
            .collect()
    }
}
