//! Which stretch of time is scanned next, and what is claimed of it.

use bigbrotr_schema::store::Coverage;

use super::Rules;

/// A stretch of time to be scanned. Times are Unix seconds, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::synchronizer) struct Span {
    /// Where the scan ends.
    pub(in crate::synchronizer) floor: i64,
    /// Nothing above is asked for; none is the open end, future-dated events included.
    pub(in crate::synchronizer) until: Option<i64>,
    /// Once it has ended everything up to here is claimed.
    pub(in crate::synchronizer) goal: i64,
    /// Where an earlier turn left off.
    pub(in crate::synchronizer) resumed: Option<i64>,
}

impl Span {
    /// Returns what is to be scanned next, at `now`; `None` when everything that is wanted is
    /// covered. `is_full` asks for everything once more.
    pub(in crate::synchronizer) fn next(
        coverage: &Coverage,
        rules: &Rules,
        now: i64,
        is_full: bool,
    ) -> Option<Self> {
        let overlapped = coverage
            .covered_to
            .map_or(0, |to| to.saturating_sub(rules.overlap));
        if let (Some(top), Some(at)) = (coverage.scan_top, coverage.scan_at) {
            let floor = coverage.scan_floor.unwrap_or(overlapped);
            return Some(Self {
                floor: floor.max(rules.since),
                until: rules.until,
                goal: top,
                resumed: Some(at),
            });
        }
        let goal = rules.until.map_or(now, |until| until.min(now));
        if is_full || coverage.covered_to.is_none_or(|to| to < goal) {
            let floor = if is_full { 0 } else { overlapped };
            return Some(Self {
                floor: floor.max(rules.since).max(0),
                until: rules.until,
                goal,
                resumed: None,
            })
            .filter(|span| span.floor <= span.goal);
        }
        let below = coverage.covered_from.filter(|from| *from > rules.since)?;
        Some(Self {
            floor: rules.since,
            until: Some(below - 1),
            goal: below - 1,
            resumed: None,
        })
    }

    /// Notes that everything above `at` is archived, with more to come below.
    pub(in crate::synchronizer) fn reach(&self, coverage: &mut Coverage, at: i64) {
        coverage.scan_top = Some(self.goal);
        coverage.scan_at = Some(self.resumed.map_or(at, |resumed| resumed.min(at)));
        coverage.scan_floor = Some(self.floor);
    }

    /// Claims everything from the floor up to `to`. Below what is covered, and not touching it,
    /// there is no way to say so.
    pub(in crate::synchronizer) fn cover(&self, coverage: &mut Coverage, to: i64) {
        if to < self.floor {
            return;
        }
        let (from, covered_to) = match (coverage.covered_from, coverage.covered_to) {
            (Some(from), Some(_)) if to.saturating_add(1) < from => return,
            (Some(from), Some(covered)) if self.floor <= covered.saturating_add(1) => {
                (from.min(self.floor), covered.max(to))
            }
            _ => (self.floor, to),
        };
        (coverage.covered_from, coverage.covered_to) = (Some(from), Some(covered_to));
    }

    /// Claims the whole stretch and ends the scan.
    pub(in crate::synchronizer) fn finish(&self, coverage: &mut Coverage) {
        self.cover(coverage, self.goal);
        (coverage.scan_top, coverage.scan_at) = (None, None);
        coverage.scan_floor = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: Rules = Rules {
        since: 0,
        until: None,
        overlap: 10,
        page_limit: 500,
    };

    fn covered(from: i64, to: i64) -> Coverage {
        Coverage {
            covered_from: Some(from),
            covered_to: Some(to),
            ..Coverage::default()
        }
    }

    fn next(coverage: &Coverage, rules: &Rules) -> Option<(i64, Option<i64>, i64)> {
        Span::next(coverage, rules, 1_000, false).map(|span| (span.floor, span.until, span.goal))
    }

    #[test]
    fn first_everything_then_what_came_since_then_what_is_older() {
        assert_eq!(next(&Coverage::default(), &RULES), Some((0, None, 1_000)));
        assert_eq!(next(&covered(0, 900), &RULES), Some((890, None, 1_000)));
        assert_eq!(next(&covered(0, 1_000), &RULES), None);
        assert_eq!(
            next(&covered(500, 1_000), &RULES),
            Some((0, Some(499), 499))
        );
    }

    #[test]
    fn bounds_that_are_widened_cost_what_they_add() {
        let rules = |since, until| Rules {
            since,
            until,
            ..RULES
        };
        let middle = covered(500, 700);
        assert_eq!(next(&middle, &rules(500, Some(700))), None);
        assert_eq!(next(&middle, &rules(550, Some(600))), None);
        let wider = rules(400, Some(700));
        assert_eq!(next(&middle, &wider), Some((400, Some(499), 499)));
        let later = rules(500, None);
        assert_eq!(next(&middle, &later), Some((690, None, 1_000)));
    }

    #[test]
    fn a_scan_under_way_keeps_its_floor() {
        let coverage = Coverage {
            scan_top: Some(950),
            scan_at: Some(300),
            scan_floor: Some(0),
            ..covered(0, 900)
        };
        let span = Span::next(&coverage, &RULES, 1_000, false).unwrap();
        assert_eq!((span.floor, span.goal, span.resumed), (0, 950, Some(300)));
        let span = Span::next(&covered(0, 1_000), &RULES, 1_000, true).unwrap();
        assert_eq!((span.floor, span.resumed), (0, None));
    }

    #[test]
    fn what_does_not_touch_is_not_claimed() {
        let below = Span {
            floor: 0,
            until: Some(499),
            goal: 499,
            resumed: None,
        };
        let mut coverage = covered(500, 900);
        below.cover(&mut coverage, 300);
        assert_eq!(coverage, covered(500, 900));
        below.finish(&mut coverage);
        assert_eq!(coverage, covered(0, 900));
    }
}
