//! What our relay serves: its own events and, where that is switched on, the archive beside them.
//!
//! Both are read by the same filters in the same order; whoever serves them merges the two. The
//! archive is served by the rules of NIP-01 (the latest version only), 09, 40, 62 and 70, without
//! a change to it: migration 0030 has the rules.
//!
//! # Security
//! The filters are a stranger's. Every question has a time, after which the database gives up, and
//! a number of rows; it gets one core, and is planned for its own values.

mod count;
mod feed;
mod indexes;
mod mirror;
mod query;

use std::time::Duration;

use sqlx::AssertSqlSafe;

pub use self::count::{ServedCount, hll_offset};
pub use self::feed::{ArchiveFeed, NumberRange};
pub use self::indexes::ServedArchive;
pub use self::mirror::MirrorStep;
pub use self::query::{ScanBounds, ServedPage};
use super::{Store, Tx};
use crate::error::StoreError;

/// What one question reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServedFrom {
    /// The relay's own events, alone.
    Relay,
    /// The relay's own events, where the archive is served too: what is outdated or deleted by an
    /// archived event is left out.
    RelayBesideArchive,
    /// The archive, without what is among the relay's own events.
    Archive,
}

impl Store {
    /// Begins a transaction that only reads, each statement for so long at most.
    async fn begin_served(&self, within: Duration) -> Result<Tx, StoreError> {
        let begin = format!(
            "begin read only; set local statement_timeout = {}; \
             set local max_parallel_workers_per_gather = 0; set local jit = off; \
             set local plan_cache_mode = force_custom_plan",
            within.as_millis().max(1)
        );
        Ok(Box::pin(self.pool.begin_with(AssertSqlSafe(begin))).await?)
    }
}
