//! Between rust-nostr's events and filters and ours: nothing is lost, or it is an error.

use std::collections::BTreeSet;

use bigbrotr_core::event::{Event, EventId, Pubkey};
use bigbrotr_core::filter::Filter;
use bigbrotr_core::limits::MAX_CREATED_AT;
use nostr::secp256k1::schnorr::Signature;
use nostr::{Kind, PublicKey, Tag, Timestamp};
use nostr_database::DatabaseError;

/// Why an event of one type is none of the other.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// There is no agreed way to write such a time, and so no agreed id.
    #[error("created_at {created_at} is larger than 2^53-1")]
    TooLate {
        /// Unix seconds.
        created_at: u64,
    },
    /// rust-nostr has no tags without elements.
    #[error("tag {index} has no elements, which nostr::Event cannot hold")]
    EmptyTag {
        /// Which tag, from 0.
        index: usize,
    },
    /// A signature is 64 bytes.
    #[error("the signature has the wrong form")]
    Signature,
}

pub(super) fn id_from_nostr(id: &nostr::EventId) -> EventId {
    EventId(id.to_bytes())
}

pub(super) fn event_from_nostr(event: &nostr::Event) -> Result<Event, ConvertError> {
    let created_at = event.created_at.as_secs();
    if created_at > MAX_CREATED_AT.unsigned_abs() {
        return Err(ConvertError::TooLate { created_at });
    }
    Ok(Event::from(event))
}

pub(super) fn event_to_nostr(event: &Event) -> Result<nostr::Event, ConvertError> {
    let tags = event.tags.iter().enumerate().map(|(index, tag)| {
        // Having no elements is all that it refuses.
        let tag = Tag::parse(tag.iter().map(String::as_str)).ok();
        tag.ok_or(ConvertError::EmptyTag { index })
    });
    let tags: Vec<Tag> = tags.collect::<Result<_, _>>()?;
    let Ok(sig) = Signature::from_slice(&event.sig) else {
        return Err(ConvertError::Signature);
    };
    Ok(nostr::Event::new(
        nostr::EventId::from_byte_array(event.id.0),
        PublicKey::from_byte_array(event.pubkey.0),
        Timestamp::from_secs(event.created_at.unsigned_abs()),
        Kind::from_u16(event.kind),
        tags,
        event.content.as_str(),
        sig,
    ))
}

/// Translates a filter. For rust-nostr an empty set of ids, authors or kinds is no condition,
/// while no event has one of no tag values.
///
/// # Errors
/// [`DatabaseError::NotSupported`] for a search (NIP-50).
pub(super) fn filter_from_nostr(filter: &nostr::Filter) -> Result<Filter, DatabaseError> {
    if filter.search.as_ref().is_some_and(|text| !text.is_empty()) {
        return Err(DatabaseError::NotSupported);
    }
    // No event is later than 2^53-1, so nothing is lost at the end of the range.
    let seconds = |time: Timestamp| i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let ids = filter.ids.iter().flatten().map(id_from_nostr);
    let authors = filter.authors.iter().flatten();
    let authors = authors.map(|author| Pubkey(author.to_bytes()));
    let kinds = filter.kinds.iter().flatten().map(Kind::as_u16);
    let tags = filter.generic_tags.iter();
    Ok(Filter {
        ids: condition(ids),
        authors: condition(authors),
        kinds: condition(kinds),
        tags: tags
            .map(|(name, values)| (name.as_char(), values.clone()))
            .collect(),
        since: filter.since.map(seconds),
        until: filter.until.map(seconds),
        limit: filter.limit,
        search: None,
    })
}

fn condition<T: Ord>(values: impl Iterator<Item = T>) -> Option<BTreeSet<T>> {
    Some(values.collect()).filter(|values: &BTreeSet<T>| !values.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use nostr::{Alphabet, EventBuilder, Keys, SingleLetterTag};

    #[test]
    fn events_survive_the_way_there_and_back() {
        let event = EventBuilder::new(Kind::Custom(65_535), "\0 😀 \u{2028}")
            .custom_created_at(Timestamp::from_secs(MAX_CREATED_AT.unsigned_abs()))
            .tag(Tag::parse(["", "a\0b", ""]).unwrap())
            .tag(Tag::parse(["e", "no id"]).unwrap())
            .sign_with_keys(&Keys::generate())
            .unwrap();
        let ours = event_from_nostr(&event).unwrap();
        ours.verify().unwrap();
        assert_eq!(event_to_nostr(&ours).unwrap(), event);
    }

    #[test]
    fn what_the_other_type_cannot_hold_is_an_error() {
        let event = EventBuilder::text_note("")
            .custom_created_at(Timestamp::from_secs(MAX_CREATED_AT.unsigned_abs() + 1))
            .sign_with_keys(&Keys::generate())
            .unwrap();
        assert!(matches!(
            event_from_nostr(&event),
            Err(ConvertError::TooLate { .. })
        ));
        let mut ours = Event::from(&event);
        ours.tags = vec![vec!["t".to_owned()], Vec::new()];
        assert_eq!(
            event_to_nostr(&ours),
            Err(ConvertError::EmptyTag { index: 1 })
        );
    }

    #[test]
    fn filters_mean_the_same() {
        let letter = SingleLetterTag::uppercase(Alphabet::E);
        let key = Keys::generate().public_key();
        let filter = nostr::Filter::new()
            .author(key)
            .kind(Kind::from_u16(65_535))
            .custom_tag(letter, "x")
            .since(Timestamp::from_secs(1))
            .until(Timestamp::from_secs(u64::MAX))
            .limit(3);
        let ours = filter_from_nostr(&filter).unwrap();
        assert_eq!(ours.authors, Some([Pubkey(key.to_bytes())].into()));
        assert_eq!(ours.kinds, Some([65_535].into()));
        assert_eq!(ours.tags, [('E', ["x".to_owned()].into())].into());
        assert_eq!((ours.since, ours.until), (Some(1), Some(i64::MAX)));
        assert_eq!((ours.ids, ours.limit), (None, Some(3)));

        let mut empty = nostr::Filter::new().kinds([]).search("");
        empty.ids = Some([].into());
        assert_eq!(filter_from_nostr(&empty).unwrap(), Filter::default());
        empty.generic_tags.insert(letter, [].into());
        assert!(filter_from_nostr(&empty).unwrap().is_void());
        let search = nostr::Filter::new().search("x");
        assert!(matches!(
            filter_from_nostr(&search),
            Err(DatabaseError::NotSupported)
        ));
    }
}
