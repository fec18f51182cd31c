//! An event before it is signed: what the pure functions of this module make.

use bigbrotr_core::event::Event;
use nostr::event::builder::Error;
use nostr::{EventBuilder, Keys, Kind, Tag, Timestamp};

/// An event without author, time and signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What sort of event it is.
    pub kind: u16,
    /// Its tags. One without elements is left out when it is signed.
    pub tags: Vec<Vec<String>>,
    /// Its content.
    pub content: String,
}

impl Draft {
    /// Signs it, dated `created_at` (Unix seconds; before 1970 becomes 1970).
    pub fn sign(self, keys: &Keys, created_at: i64) -> Result<Event, Error> {
        let tags = self.tags.into_iter().filter_map(|tag| Tag::parse(tag).ok());
        let created_at = Timestamp::from_secs(created_at.max(0).unsigned_abs());
        let event = EventBuilder::new(Kind::from(self.kind), self.content)
            .tags(tags)
            .allow_self_tagging()
            .custom_created_at(created_at)
            .sign_with_keys(keys)?;
        Ok(Event::from(&event))
    }
}

/// Makes a tag.
pub(super) fn tag<const N: usize>(values: [&str; N]) -> Vec<String> {
    values.into_iter().map(ToOwned::to_owned).collect()
}
