//! Decides in which windows a relay is reconciled (NIP-77). Pure.
//!
//! A sweep walks down from the open end in windows that hold about as many events as fit into
//! memory here and there. How wide they must be is learnt on the way.

use bigbrotr_schema::store::Coverage;

use super::scan::Span;

/// The first window, seconds. A relay that was asked a while ago is done in one.
const FIRST_WIDTH: i64 = 86_400;

/// How much wider a window gets at most from one to the next.
const GROWTH: i64 = 4;

/// A stretch of time that is reconciled at once. Unix seconds, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Its first second.
    pub(super) since: i64,
    /// Its last; none is the open end.
    pub(super) until: Option<i64>,
}

/// A walk through a relay's events, window by window.
#[derive(Debug, Clone)]
pub(super) struct Sweep {
    coverage: Coverage,
    span: Span,
    /// The last second of the next window; none is the open end.
    until: Option<i64>,
    width: i64,
    target: usize,
    is_done: bool,
}

impl Sweep {
    /// Begins a sweep, or goes on with the one under way. `target` is about how many events are
    /// reconciled at once.
    pub(super) fn new(coverage: Coverage, span: Span, target: usize) -> Self {
        Self {
            coverage,
            span,
            until: span.resumed.or(span.until),
            width: FIRST_WIDTH,
            target: target.max(4),
            is_done: false,
        }
    }

    /// Returns the window to be reconciled next; `None` when the sweep is done.
    pub(super) fn window(&self) -> Option<Window> {
        if self.is_done {
            return None;
        }
        let top = self.until.unwrap_or(self.span.goal);
        Some(Window {
            since: top.saturating_sub(self.width - 1).max(self.span.floor),
            until: self.until,
        })
    }

    /// Takes note that the window is reconciled: everything that the relay has of it, so many
    /// events, is archived or noted as missing, durably.
    pub(super) fn accept(&mut self, events: usize) {
        let Some(window) = self.window() else { return };
        if window.since <= self.span.floor {
            self.span.finish(&mut self.coverage);
            self.is_done = true;
            return;
        }
        self.span.reach(&mut self.coverage, window.since);
        self.until = Some(window.since - 1);
        if events * 2 > self.target * 3 {
            self.width = (self.width / 2).max(1);
        } else if events * GROWTH as usize <= self.target {
            self.width = self.width.saturating_mul(GROWTH);
        }
    }

    /// Makes the window smaller, because it holds too much; `false` when that is not possible.
    pub(super) fn split(&mut self) -> bool {
        let Some(window) = self.window() else {
            return false;
        };
        // An open window reaches further than the goal.
        let top = self.until.unwrap_or(self.span.goal);
        let width = (top - window.since + 1).min(self.width);
        self.width = (width / 8).max(1);
        width > 1
    }

    /// Returns what is proven so far.
    pub(super) fn coverage(&self) -> &Coverage {
        &self.coverage
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn span(floor: i64, goal: i64) -> Span {
        Span {
            floor,
            until: None,
            goal,
            resumed: None,
        }
    }

    #[test]
    fn a_relay_asked_a_while_ago_is_done_in_one_window() {
        let mut sweep = Sweep::new(Coverage::default(), span(9_000, 10_000), 100);
        let window = Window {
            since: 9_000,
            until: None,
        };
        assert_eq!(sweep.window(), Some(window));
        sweep.accept(1_000_000);
        assert_eq!(sweep.window(), None);
        assert_eq!(sweep.coverage().covered_to, Some(10_000));
    }

    #[test]
    fn an_empty_past_costs_few_windows() {
        let mut sweep = Sweep::new(Coverage::default(), span(0, 1_700_000_000), 50_000);
        let mut windows = 0;
        while sweep.window().is_some() {
            sweep.accept(10);
            windows += 1;
        }
        assert!(windows <= 9, "{windows}");
    }

    #[test]
    fn a_second_cannot_be_split() {
        let mut sweep = Sweep::new(Coverage::default(), span(0, 1_000_000), 100);
        let mut splits = 0;
        while sweep.split() {
            splits += 1;
            assert!(splits < 20);
        }
        let window = sweep.window().unwrap();
        assert_eq!((window.since, window.until), (1_000_000, None));
        sweep.accept(1);
        let window = sweep.window().unwrap();
        assert_eq!(window.until, Some(999_999));
    }

    proptest! {
        /// Windows follow each other without a hole, whatever they hold and however often a
        /// sweep is interrupted or asked for smaller ones.
        #[test]
        fn every_second_is_in_a_window(
            floor in 0..1_000_i64, length in 0..300_000_i64,
            steps in proptest::collection::vec((0..3_u8, 0..400_usize), 1..60),
        ) {
            let goal = floor + length;
            let mut coverage = Coverage::default();
            let mut sweep = Sweep::new(coverage, span(floor, goal), 100);
            let mut next = None;
            for (step, events) in steps.into_iter().cycle().take(5_000) {
                let Some(window) = sweep.window() else { break };
                prop_assert!(window.since >= floor);
                prop_assert_eq!(window.until.map(|until| until + 1), next);
                match step {
                    0 => { sweep.split(); }
                    1 if next.is_some() => {
                        coverage = *sweep.coverage();
                        let resumed = coverage.scan_at;
                        sweep = Sweep::new(coverage, Span { resumed, ..span(floor, goal) }, 100);
                        // One second is asked for again.
                        next = resumed.map(|at| at + 1);
                    }
                    _ => {
                        sweep.accept(events);
                        next = Some(window.since);
                    }
                }
            }
            if sweep.window().is_none() {
                prop_assert_eq!(sweep.coverage().covered_from, Some(floor));
                prop_assert_eq!(sweep.coverage().covered_to, Some(goal));
                prop_assert_eq!(sweep.coverage().scan_top, None);
            }
        }
    }
}
