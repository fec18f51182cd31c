//! One direction of a scan: page after page, each beginning in the second where the last ended.
//!
//! A relay may stop anywhere, also in the middle of a second. So the last second seen is always
//! asked for again, and only when an answer holds nothing beyond it, it is left behind.

use super::{Answer, ScanError};
use crate::limits::SMALLEST_CAP;

/// Which way a walk goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    /// From new to old, by `until`.
    Down,
    /// From old to new, by `since`.
    Up,
}

/// What is known of the second where a walk stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Nothing: it was not asked for yet.
    Nothing,
    /// An event, unless it is gone since the last turn.
    Likely,
    /// An event: the page before had one.
    Surely,
}

/// A walk through a relay's events.
#[derive(Debug, Clone)]
pub(super) struct Walk {
    direction: Direction,
    /// The second that is asked for next, inclusive; none is the open end.
    edge: Option<i64>,
    expected: Expected,
    /// The relay leaves out the bounds of `since` and `until`: ask for one second more.
    exclusive: bool,
    /// A second that was left behind because the answers held nothing else.
    stuck: Option<Stuck>,
}

/// A second that filled a whole page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stuck {
    /// The second.
    pub(super) at: i64,
    /// How many events of it came.
    pub(super) size: usize,
    /// Whether no page before was larger: it may be the most that the relay gives.
    may_be_capped: bool,
    /// Whether it is the most that we asked for: there may be more for certain.
    pub(super) is_cut_by_us: bool,
}

/// How large pages are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sizes {
    /// The size from which a page may have been cut by the relay.
    pub(super) full: usize,
    /// What the page was limited to.
    pub(super) limit: usize,
    /// Whether a larger page can be asked for.
    pub(super) may_widen: bool,
}

/// What a page did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Advance {
    /// The walk went on.
    On {
        /// How many events were beyond everything seen before.
        beyond: usize,
        /// A second that has more events than the relay returns.
        gap: Option<i64>,
    },
    /// The same has to be asked once more, in other words.
    Again,
    /// The same has to be asked once more, with a larger limit.
    Widen,
    /// There is nothing further.
    Exhausted {
        /// A second that may have more events than the relay returns.
        suspect: Option<Stuck>,
    },
}

impl Stuck {
    fn is_suspect(&self) -> bool {
        self.may_be_capped || self.is_cut_by_us
    }
}

impl Walk {
    /// A walk down from the open end.
    pub(super) fn from_top() -> Self {
        Self::new(Direction::Down, None, Expected::Nothing)
    }

    /// A walk down from a bound that nothing is known of.
    pub(super) fn down_from(edge: i64) -> Self {
        Self::new(Direction::Down, Some(edge), Expected::Nothing)
    }

    /// A walk that an earlier turn left at this second.
    pub(super) fn resumed(edge: i64) -> Self {
        Self::new(Direction::Down, Some(edge), Expected::Likely)
    }

    /// A walk up from a second in which this walk saw an event.
    pub(super) fn up_from(&self, edge: i64) -> Self {
        Self {
            exclusive: self.exclusive,
            ..Self::new(Direction::Up, Some(edge), Expected::Surely)
        }
    }

    fn new(direction: Direction, edge: Option<i64>, expected: Expected) -> Self {
        Self {
            direction,
            edge,
            expected,
            exclusive: false,
            stuck: None,
        }
    }

    /// Returns the second that is asked for next.
    pub(super) fn edge(&self) -> Option<i64> {
        self.edge
    }

    /// Returns the last second of which everything that the relay gives is known, going up.
    pub(super) fn verified_to(&self) -> Option<i64> {
        let edge = self.stuck.map_or(self.edge, |stuck| Some(stuck.at));
        edge.map(|edge| edge - 1)
    }

    /// Returns the bounds to ask for: `since` and `until`.
    pub(super) fn bounds(&self, floor: i64, ceiling: Option<i64>) -> (Option<i64>, Option<i64>) {
        let (low, high) = match self.direction {
            Direction::Down => (floor, self.edge),
            Direction::Up => (self.edge.unwrap_or(floor), ceiling),
        };
        let more = i64::from(self.exclusive);
        // What bounds nothing is left out: fewer relays stumble over it.
        let since = Some(low - more).filter(|since| since + more > 0);
        (since, high.map(|until| until + more))
    }

    /// Says whether nothing can be left within these bounds.
    pub(super) fn is_past(&self, floor: i64, ceiling: Option<i64>) -> bool {
        match (self.direction, self.edge) {
            (Direction::Down, Some(edge)) => edge < floor,
            (Direction::Up, Some(edge)) => ceiling.is_some_and(|ceiling| edge > ceiling),
            (_, None) => false,
        }
    }

    /// Takes a complete page.
    pub(super) fn take(&mut self, page: &Answer, sizes: Sizes) -> Result<Advance, ScanError> {
        if let Some(edge) = self.edge
            && self.expected != Expected::Nothing
            && !page.times.contains(&edge)
        {
            if !self.exclusive {
                self.exclusive = true;
                return Ok(Advance::Again);
            }
            if self.expected == Expected::Surely {
                return Err(ScanError::Inconsistent { at: edge });
            }
            // It is gone since the last turn, and says nothing about the bounds.
            (self.exclusive, self.expected) = (false, Expected::Nothing);
        }
        let within = |time: &&i64| self.edge.is_none_or(|edge| !self.is_before(**time, edge));
        let times: Vec<i64> = page.times.iter().filter(within).copied().collect();
        let stuck = self.stuck.take();
        let far = match self.direction {
            Direction::Down => times.iter().min(),
            Direction::Up => times.iter().max(),
        };
        let Some(&far) = far else {
            let suspect = stuck.filter(Stuck::is_suspect);
            return Ok(Advance::Exhausted { suspect });
        };
        let is_all_of_edge = self.edge == Some(far) && self.expected != Expected::Nothing;
        if is_all_of_edge && page.len() >= sizes.limit && sizes.may_widen {
            return Ok(Advance::Widen);
        }
        let gap = stuck.filter(|stuck| self.was_cut(*stuck)).map(|s| s.at);
        let seen = self.edge.filter(|_| self.expected != Expected::Nothing);
        let is_beyond = |time: &&i64| seen.is_none_or(|seen| **time != seen);
        let beyond = times.iter().filter(is_beyond).count();
        if is_all_of_edge {
            let size = page.len();
            self.stuck = Some(Stuck {
                at: far,
                size,
                may_be_capped: size >= sizes.full,
                is_cut_by_us: size >= sizes.limit,
            });
            self.expected = Expected::Nothing;
            self.edge = Some(match self.direction {
                Direction::Down => far - 1,
                Direction::Up => far + 1,
            });
        } else {
            self.edge = Some(far);
            self.expected = Expected::Surely;
        }
        Ok(Advance::On { beyond, gap })
    }

    /// Returns the second that filled the last page, if it may have been cut.
    pub(super) fn suspect(&self) -> Option<Stuck> {
        self.stuck.filter(Stuck::is_suspect)
    }

    /// Says whether a second that filled a page was cut, now that there is something beyond it:
    /// that would have come with it otherwise. Going up it may also have come into being since.
    fn was_cut(&self, stuck: Stuck) -> bool {
        let is_certain = self.direction == Direction::Down || stuck.size >= SMALLEST_CAP;
        stuck.is_cut_by_us || (stuck.may_be_capped && is_certain)
    }

    /// Says whether a time was passed before the edge, in the walk's direction.
    fn is_before(&self, time: i64, edge: i64) -> bool {
        match self.direction {
            Direction::Down => time > edge,
            Direction::Up => time < edge,
        }
    }
}
