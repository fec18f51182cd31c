//! Decides what to ask a relay next, and what its answers prove. Pure: no clock, no I/O.
//!
//! A relay's answer is the newest events that match, or the oldest, cut at a number that it does
//! not tell. A scan walks *down* from the open end. When a page is followed by about as much
//! again below it, the relay keeps the newest, so nothing was left out above: each page proves
//! the one before, at no extra cost. When there is nothing below, the bottom is proven, and the
//! scan walks *up* from the newest event that it saw: one small page where everything fitted,
//! the whole way where the relay keeps the oldest.
//!
//! The rules that keep it honest:
//! - Only pages that ended with EOSE come here, once their events are durable.
//! - The second where a page ended is asked for again, and the answer must hold an event of it.
//! - Nothing is concluded from a short page, only from an empty one, and from that only when
//!   the relay has shown that it answers; from one far above the floor only when it says the same
//!   of the usual kinds.
//! - A second that fills a page is a gap, unless the relay is seen to give larger pages.

mod dialogue;
mod span;
mod walk;

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;

use bigbrotr_schema::store::Coverage;

pub(super) use self::dialogue::{Answer, Question, Rules, ScanError};
pub(super) use self::span::Span;
use self::walk::{Advance, Sizes, Stuck, Walk};
use crate::limits::{
    CONFIRMED_SECONDS, MAX_PAGE_EVENTS, MAX_PAGES_BEYOND_TOP, NEW_EVENT_SECONDS, SMALLEST_CAP,
};

/// Unix seconds beyond 32 bits with a sign, in 2038: relays refuse such bounds, or answer nothing.
const FAR_FUTURE: i64 = 1 << 31;

/// What is known about events above the first page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Top {
    /// No event has come yet.
    Unseen,
    /// The first page may have left out newer events.
    Open {
        /// Its newest event.
        newest: i64,
        /// How many events it had.
        count: usize,
    },
    /// Nothing was left out.
    Proven,
}

#[derive(Debug, Clone)]
enum Phase {
    /// Towards the floor.
    Down { walk: Walk, top: Top },
    /// Towards the top, everything below being archived.
    Up { walk: Walk, pages_beyond: usize },
    /// Nothing came at all: is that the truth?
    Confirm,
    /// Nothing came from below this second, for a long time: is that the truth? Some relays hide
    /// events only after they have taken as many as were asked for.
    Bottom {
        edge: i64,
        bounds: (Option<i64>, Option<i64>),
        next: Box<Phase>,
    },
    /// Is a second whole that filled a page at the end of a walk?
    Measure { suspect: Stuck, next: Box<Phase> },
    /// All is covered.
    Done,
}

/// A scan of one stretch of a relay, within one turn.
#[derive(Debug, Clone)]
pub(super) struct Scan {
    coverage: Coverage,
    span: Span,
    /// Nothing above is asked for.
    ceiling: Option<i64>,
    limit: usize,
    /// A second filled a page: the next may be as large as pages get.
    is_widened: bool,
    /// Larger pages were tried and are too much.
    is_shrunk: bool,
    phase: Phase,
    /// The largest page so far.
    largest: usize,
    was_empty: bool,
}

impl Scan {
    /// Begins a scan of this stretch, or goes on with the one under way, with pages of at most
    /// `page_limit` events. How many the relay gives at once has to be learnt anew: one that gives
    /// fewer than it did would have its cut pages taken for whole ones.
    pub(super) fn new(coverage: Coverage, span: Span, page_limit: usize) -> Self {
        let walk = match (span.resumed, span.until) {
            (Some(at), _) => Walk::resumed(at),
            (None, Some(until)) => Walk::down_from(until),
            (None, None) => Walk::from_top(),
        };
        let top = Top::Unseen;
        let mut scan = Self {
            coverage,
            span,
            ceiling: span.resumed.or(span.until),
            limit: page_limit,
            is_widened: false,
            is_shrunk: false,
            phase: Phase::Down { walk, top },
            largest: 0,
            was_empty: false,
        };
        scan.leave_finished_walk(&mut Vec::new());
        scan
    }

    /// Returns what to ask next; `None` when everything is covered.
    pub(super) fn question(&self) -> Option<Question> {
        let mut names_kinds = false;
        let mut limit = self.current_limit();
        let (since, until) = match &self.phase {
            Phase::Down { walk, .. } | Phase::Up { walk, .. } => {
                walk.bounds(self.span.floor, self.ceiling)
            }
            Phase::Confirm => {
                (names_kinds, limit) = (true, 1);
                let floor = self.span.floor;
                // The newest event may have just come, and hides the older ones that prove more.
                let settled = self.settled_to().min(self.ceiling.unwrap_or(i64::MAX));
                let until = Some(settled).filter(|settled| *settled >= floor);
                (
                    Some(floor).filter(|floor| *floor > 0),
                    until.or(self.ceiling),
                )
            }
            Phase::Bottom { bounds, .. } => {
                (names_kinds, limit) = (true, 1);
                *bounds
            }
            Phase::Measure { suspect, .. } => {
                limit = suspect.size + 1;
                (None, None)
            }
            Phase::Done => return None,
        };
        Some(Question {
            since,
            until,
            limit,
            names_kinds,
        })
    }

    /// Takes the answer to [`Scan::question`]: a page that ended with EOSE and whose events are
    /// durable. Returns the seconds that turned out to be gaps.
    ///
    /// # Errors
    /// [`ScanError`]; what was proven before stays.
    pub(super) fn accept(&mut self, page: &Answer) -> Result<Vec<i64>, ScanError> {
        self.check(page)?;
        let mut gaps = Vec::new();
        match std::mem::replace(&mut self.phase, Phase::Done) {
            Phase::Down { walk, top } => self.go_down(walk, top, page, &mut gaps)?,
            Phase::Up { walk, pages_beyond } => self.go_up(walk, pages_beyond, page, &mut gaps)?,
            Phase::Confirm if page.times.iter().any(|time| *time <= self.settled_to()) => {
                return Err(ScanError::NothingForBroad);
            }
            Phase::Bottom { edge, .. } if page.times.iter().any(|time| *time <= edge) => {
                return Err(ScanError::NothingForBroad);
            }
            Phase::Bottom { next, .. } => self.phase = *next,
            Phase::Measure { suspect, next } => {
                // Very small pages are no cap that anybody has.
                if page.len() <= suspect.size && suspect.size >= SMALLEST_CAP {
                    gaps.push(suspect.at);
                }
                self.phase = *next;
            }
            Phase::Confirm | Phase::Done => {}
        }
        self.largest = self.largest.max(page.len());
        self.was_empty = page.len() == 0;
        self.leave_finished_walk(&mut gaps);
        if let Phase::Done = self.phase {
            self.span.finish(&mut self.coverage);
        }
        Ok(gaps)
    }

    /// Returns what is proven so far. Nothing of it needs pages that were not accepted.
    pub(super) fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Returns the largest page so far.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    /// Asks for fewer events from now on; `false` when that makes no sense any more.
    pub(super) fn shrink(&mut self) -> bool {
        let may = self.limit > 1;
        if !std::mem::take(&mut self.is_widened) {
            self.limit = (self.limit / 2).max(1);
        }
        self.is_shrunk = true;
        may
    }

    /// The last second whose events were there when the scan began, and have not just come.
    fn settled_to(&self) -> i64 {
        self.span.goal.saturating_sub(NEW_EVENT_SECONDS)
    }

    fn current_limit(&self) -> usize {
        if self.is_widened {
            MAX_PAGE_EVENTS
        } else {
            self.limit
        }
    }

    fn check(&self, page: &Answer) -> Result<(), ScanError> {
        if self.was_empty && page.late > 0 {
            return Err(ScanError::LateEvents);
        }
        if page.times.is_empty() && page.foreign > 0 {
            return Err(ScanError::OnlyForeign);
        }
        // Where less was asked for, less is a whole page.
        let whole = self.largest.max(SMALLEST_CAP).min(self.current_limit());
        if page.times.is_empty() && page.bad >= whole {
            return Err(ScanError::OnlyUnusable);
        }
        Ok(())
    }

    fn sizes(&self) -> Sizes {
        let limit = self.current_limit();
        Sizes {
            full: self.largest.max(2),
            limit,
            may_widen: limit < MAX_PAGE_EVENTS && !self.is_shrunk,
        }
    }

    fn go_down(
        &mut self,
        mut walk: Walk,
        top: Top,
        page: &Answer,
        gaps: &mut Vec<i64>,
    ) -> Result<(), ScanError> {
        let advance = walk.take(page, self.sizes())?;
        self.is_widened = advance == Advance::Widen;
        self.phase = match advance {
            Advance::On { beyond, gap } => {
                gaps.extend(gap);
                let top = self.learn_top(top, beyond, page);
                if top == Top::Proven
                    && let Some(edge) = page.times.iter().min()
                {
                    self.span.reach(&mut self.coverage, *edge);
                }
                Phase::Down { walk, top }
            }
            Advance::Again | Advance::Widen => Phase::Down { walk, top },
            Advance::Exhausted { suspect } => {
                let next = self.confirmed(&walk, self.after_down(&walk, top));
                Self::measured(suspect, next, gaps)
            }
        };
        Ok(())
    }

    /// Has a bottom confirmed that is far above the floor, before the scan goes on.
    fn confirmed(&self, walk: &Walk, next: Phase) -> Phase {
        match walk.edge() {
            // That nothing came at all is asked about in any case.
            _ if matches!(next, Phase::Confirm) => next,
            Some(edge) if edge.saturating_sub(self.span.floor) >= CONFIRMED_SECONDS => {
                Phase::Bottom {
                    edge,
                    bounds: walk.bounds(self.span.floor, self.ceiling),
                    next: Box::new(next),
                }
            }
            _ => next,
        }
    }

    /// Concludes from a page whether newer events can have been left out of the first.
    fn learn_top(&self, top: Top, beyond: usize, page: &Answer) -> Top {
        match top {
            Top::Unseen => match page.times.iter().max() {
                // Where the last turn ended there was an event; a relay that keeps the oldest
                // gives it only together with everything below.
                Some(newest) if self.span.resumed == Some(*newest) => Top::Proven,
                Some(&newest) => Top::Open {
                    newest,
                    count: page.times.len(),
                },
                None => Top::Unseen,
            },
            // A few events may be late arrivals; as many again are not.
            Top::Open { count, .. } if beyond * 2 >= count.max(2) => Top::Proven,
            known => known,
        }
    }

    /// The floor is reached.
    fn after_down(&self, walk: &Walk, top: Top) -> Phase {
        match top {
            Top::Proven => Phase::Done,
            // Only what is dated up to the goal is claimed, and an event far beyond it came. Asking
            // on from there would ask for times that many relays do not understand.
            Top::Open { newest, .. } if newest >= self.span.goal.max(FAR_FUTURE) => Phase::Done,
            Top::Unseen => Phase::Confirm,
            Top::Open { newest, .. } => Phase::Up {
                walk: walk.up_from(newest),
                pages_beyond: 0,
            },
        }
    }

    fn go_up(
        &mut self,
        mut walk: Walk,
        pages_beyond: usize,
        page: &Answer,
        gaps: &mut Vec<i64>,
    ) -> Result<(), ScanError> {
        let advance = walk.take(page, self.sizes())?;
        self.is_widened = advance == Advance::Widen;
        self.phase = match advance {
            Advance::Exhausted { suspect } => Self::measured(suspect, Phase::Done, gaps),
            Advance::Again | Advance::Widen => Phase::Up { walk, pages_beyond },
            Advance::On { gap, .. } => {
                gaps.extend(gap);
                if let Some(verified) = walk.verified_to() {
                    // The goal itself is claimed at the end: what is dated beyond it has to come too.
                    let to = verified.min(self.span.goal - 1);
                    self.span.cover(&mut self.coverage, to);
                }
                let is_beyond = walk.verified_to() >= Some(self.span.goal);
                // Above the goal nothing is claimed; what is there is fetched as long as the
                // relay gives whole pages of it.
                let is_short = page.len() < self.largest.min(self.limit);
                let is_over = is_short || pages_beyond >= MAX_PAGES_BEYOND_TOP;
                if is_beyond && is_over {
                    Phase::Done
                } else {
                    let pages_beyond = pages_beyond + usize::from(is_beyond);
                    Phase::Up { walk, pages_beyond }
                }
            }
        };
        Ok(())
    }

    /// Ends a walk whose next question would be void.
    fn leave_finished_walk(&mut self, gaps: &mut Vec<i64>) {
        let (next, suspect) = match &self.phase {
            Phase::Down { walk, top } if walk.is_past(self.span.floor, None) => {
                (self.after_down(walk, *top), walk.suspect())
            }
            Phase::Up { walk, .. } if walk.is_past(self.span.floor, self.ceiling) => {
                (Phase::Done, walk.suspect())
            }
            _ => return,
        };
        self.phase = Self::measured(suspect, next, gaps);
    }

    /// Looks at a second that filled the last page of a walk before it goes on.
    fn measured(suspect: Option<Stuck>, next: Phase, gaps: &mut Vec<i64>) -> Phase {
        match suspect {
            Some(suspect) if suspect.is_cut_by_us => {
                gaps.push(suspect.at);
                next
            }
            Some(suspect) => Phase::Measure {
                suspect,
                next: Box::new(next),
            },
            None => next,
        }
    }
}
