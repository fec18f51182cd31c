//! What a scan asks, and what it is told.

/// What a scan may look at. Times are Unix seconds, inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::synchronizer) struct Rules {
    /// The earliest `created_at`.
    pub(in crate::synchronizer) since: i64,
    /// The latest `created_at`; none is the open end, future-dated events included.
    pub(in crate::synchronizer) until: Option<i64>,
    /// How far below what is covered a scan begins, seconds.
    pub(in crate::synchronizer) overlap: i64,
    /// The most events of a page.
    pub(in crate::synchronizer) page_limit: usize,
}

/// What to ask next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::synchronizer) struct Question {
    /// Earliest `created_at`.
    pub(in crate::synchronizer) since: Option<i64>,
    /// Latest `created_at`.
    pub(in crate::synchronizer) until: Option<i64>,
    /// The most events.
    pub(in crate::synchronizer) limit: usize,
    /// Whether to name kinds even where all are wanted: some relays answer nothing to filters
    /// that name nothing.
    pub(in crate::synchronizer) names_kinds: bool,
}

/// A page that ended with EOSE and is durable.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::synchronizer) struct Answer {
    /// `created_at` of the events that matched.
    pub(in crate::synchronizer) times: Vec<i64>,
    /// Messages of the page that were no good: of the wrong form, or too large.
    pub(in crate::synchronizer) bad: usize,
    /// Events that were not asked for: of another filter or subscription.
    pub(in crate::synchronizer) foreign: usize,
    /// Events of earlier pages that came after their end.
    pub(in crate::synchronizer) late: usize,
}

impl Answer {
    /// Counts what the relay took for matching events.
    pub(in crate::synchronizer) fn len(&self) -> usize {
        self.times.len() + self.bad
    }
}

/// Why a relay's complete pages prove nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::synchronizer) enum ScanError {
    /// The relay contradicts itself.
    #[error("relay no longer gives the events of second {at} that it gave before")]
    Inconsistent {
        /// The second asked for again.
        at: i64,
    },
    /// Events came, but none that were asked for.
    #[error("relay answers with events that were not asked for")]
    OnlyForeign,
    /// Messages came, but none that can be taken.
    #[error("relay answers with nothing but unusable events")]
    OnlyUnusable,
    /// An empty page was followed by its events.
    #[error("relay sends events after the end of an empty page")]
    LateEvents,
    /// An empty answer that another question contradicts.
    #[error("relay answers nothing unless the filter names kinds")]
    NothingForBroad,
}

impl ScanError {
    /// Names the error from a closed set.
    pub(in crate::synchronizer) fn reason(self) -> &'static str {
        match self {
            Self::Inconsistent { .. } => "inconsistent",
            Self::OnlyForeign => "only_foreign_events",
            Self::OnlyUnusable => "only_unusable_events",
            Self::LateEvents => "late_events",
            Self::NothingForBroad => "nothing_for_broad_filters",
        }
    }
}
