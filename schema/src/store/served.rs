//! What our relay serves: its own events and, where that is switched on, the archive beside them.
//!
//! Both are read by the same filters in the same order; whoever serves them merges the two. The
//! archive is served by the rules of NIP-01 (the latest version only), 09, 40, 62 and 70, without
//! a change to it: migration 0030 has the rules.
//!
//! # Security
//! The filters are a stranger's. Every question has a time, after which the database gives up, and
//! a number of rows; it gets one core, and is planned for its own values unless one plan is right for
//! all.

mod count;
mod feed;
mod indexes;
mod mirror;
mod query;
mod readers;

pub use self::count::{ServedCount, hll_offset};
pub use self::feed::{ArchiveFeed, NumberRange};
pub use self::indexes::ServedArchive;
pub use self::mirror::MirrorStep;
pub use self::query::{ScanBounds, ServedPage};
pub(super) use self::readers::{Planning, Readers};

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
