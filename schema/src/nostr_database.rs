//! The relay's events behind rust-nostr's contract for databases, [`NostrDatabase`].
//!
//! Thin: the rules are those of [`Store::publish`]. What is here translates events, filters and
//! outcomes. It is not the archive, which keeps every version and forgets nothing.

mod convert;

use bigbrotr_core::event::KindClass;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_core::vanish::{is_same_relay, is_vanish_request};
use nostr::util::BoxedFuture;
use nostr::{Event, EventId, Filter, Timestamp};
use nostr_database::{
    Backend, DatabaseError, DatabaseEventStatus, Events, NostrDatabase, RejectedReason,
    SaveEventStatus,
};

pub use self::convert::ConvertError;
use crate::error::StoreError;
use crate::limits::{
    CONTRACT_DELETE_EVENTS, CONTRACT_NEGENTROPY_ITEMS, CONTRACT_PAGE_EVENTS, CONTRACT_QUERY_BYTES,
};
use crate::store::{PublishOutcome, RelayEventStatus, Store};

/// The events of our own relay as a [`NostrDatabase`].
///
/// What the contract leaves open is decided like this:
///
/// - A deletion of nothing but somebody else's events is [`RejectedReason::InvalidDelete`]. One
///   that also names events of its author, or events that nobody has seen yet, is kept, and what
///   it says of others is ignored.
/// - [`NostrDatabase::delete`] is housekeeping: what it removes may be saved again. What authors
///   have deleted or made vanish may not, until [`NostrDatabase::wipe`] forgets that too.
/// - A filter with a search is [`DatabaseError::NotSupported`].
/// - A query returns all that matches, or an error when that is too much to hold in memory.
#[derive(Debug, Clone)]
pub struct RelayDatabase {
    store: Store,
    urls: Vec<RelayUrl>,
}

/// Why the contract could not be kept.
#[derive(Debug, thiserror::Error)]
pub enum NostrDatabaseError {
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// An event cannot be translated.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// More matches than is returned at once.
    #[error("more than {most} {what} match the filter")]
    TooMuch {
        /// How many are returned at most.
        most: usize,
        /// Of what.
        what: &'static str,
    },
}

impl From<NostrDatabaseError> for DatabaseError {
    fn from(error: NostrDatabaseError) -> Self {
        Self::backend(error)
    }
}

impl RelayDatabase {
    /// Makes the events of the store's relay a [`NostrDatabase`]. `urls` are the relay's own:
    /// requests to vanish (NIP-62) work when they name one of them, or all relays.
    pub fn new(store: Store, urls: impl IntoIterator<Item = RelayUrl>) -> Self {
        Self {
            store,
            urls: urls.into_iter().collect(),
        }
    }

    async fn save(&self, event: &Event) -> Result<SaveEventStatus, NostrDatabaseError> {
        let event = convert::event_from_nostr(event)?;
        if event.class() == KindClass::Ephemeral {
            return Ok(SaveEventStatus::Rejected(RejectedReason::Ephemeral));
        }
        let is_us = |named: &RelayUrl| self.urls.iter().any(|url| is_same_relay(url, named));
        let outcome = if is_vanish_request(&event, is_us) {
            self.store.publish_vanish(&event).await?
        } else {
            self.store.publish(&event).await?
        };
        Ok(match outcome {
            PublishOutcome::Stored => SaveEventStatus::Success,
            PublishOutcome::Duplicate => SaveEventStatus::Rejected(RejectedReason::Duplicate),
            PublishOutcome::Older => SaveEventStatus::Rejected(RejectedReason::Replaced),
            // This version of the contract has no word of its own for the vanished.
            PublishOutcome::Deleted | PublishOutcome::Vanished => {
                SaveEventStatus::Rejected(RejectedReason::Deleted)
            }
            PublishOutcome::Expired => SaveEventStatus::Rejected(RejectedReason::Expired),
            PublishOutcome::Foreign => SaveEventStatus::Rejected(RejectedReason::InvalidDelete),
        })
    }

    async fn find(&self, filter: &Filter) -> Result<Events, DatabaseError> {
        let wanted = convert::filter_from_nostr(filter)?;
        let mut events = Events::new(filter);
        let mut left = filter.limit.unwrap_or(usize::MAX);
        let (mut after, mut bytes) = (None, 0);
        while left > 0 {
            let most = left.min(CONTRACT_PAGE_EVENTS);
            let page = self
                .store
                .relay_events_page(&wanted, after, most, CONTRACT_QUERY_BYTES - bytes)
                .await
                .map_err(NostrDatabaseError::from)?;
            left -= page.events.len();
            for stored in page.events {
                bytes += stored.json.len();
                match convert::event_to_nostr(&stored.event().map_err(NostrDatabaseError::from)?) {
                    Ok(event) => drop(events.insert(event)),
                    // One such event, which anybody can write, must not hide all the others.
                    Err(error) => {
                        tracing::debug!(event.id = %stored.id, error = %error, "event left out");
                    }
                }
            }
            match page.next {
                Some(_) if bytes >= CONTRACT_QUERY_BYTES => {
                    let (most, what) = (CONTRACT_QUERY_BYTES, "bytes of events");
                    return Err(NostrDatabaseError::TooMuch { most, what }.into());
                }
                Some(position) => after = Some(position),
                None => break,
            }
        }
        Ok(events)
    }

    async fn remove(&self, filter: &Filter) -> Result<(), DatabaseError> {
        let wanted = convert::filter_from_nostr(filter)?;
        let mut left = filter.limit.unwrap_or(usize::MAX);
        while left > 0 {
            let most = left.min(CONTRACT_DELETE_EVENTS);
            let ids = self.store.relay_event_ids(&wanted, most).await;
            let ids: Vec<_> = ids.map_err(NostrDatabaseError::from)?;
            let ids: Vec<_> = ids.into_iter().map(|(_, id)| id).collect();
            let removed = self.store.delete_relay_events(&ids).await;
            removed.map_err(NostrDatabaseError::from)?;
            if ids.len() < most {
                break;
            }
            left -= ids.len();
        }
        Ok(())
    }
}

impl NostrDatabase for RelayDatabase {
    fn backend(&self) -> Backend {
        Backend::Custom("postgres".to_owned())
    }

    fn save_event<'a>(
        &'a self,
        event: &'a Event,
    ) -> BoxedFuture<'a, Result<SaveEventStatus, DatabaseError>> {
        Box::pin(async move { Ok(self.save(event).await?) })
    }

    fn check_id<'a>(
        &'a self,
        event_id: &'a EventId,
    ) -> BoxedFuture<'a, Result<DatabaseEventStatus, DatabaseError>> {
        Box::pin(async move {
            let id = convert::id_from_nostr(event_id);
            let status = self.store.relay_event_status(&id).await;
            Ok(match status.map_err(NostrDatabaseError::from)? {
                RelayEventStatus::Stored => DatabaseEventStatus::Saved,
                RelayEventStatus::Deleted => DatabaseEventStatus::Deleted,
                RelayEventStatus::Unknown => DatabaseEventStatus::NotExistent,
            })
        })
    }

    fn event_by_id<'a>(
        &'a self,
        event_id: &'a EventId,
    ) -> BoxedFuture<'a, Result<Option<Event>, DatabaseError>> {
        Box::pin(async move {
            let id = convert::id_from_nostr(event_id);
            let stored = self.store.get_relay_event(&id).await;
            let Some(stored) = stored.map_err(NostrDatabaseError::from)? else {
                return Ok(None);
            };
            let event = stored.event().map_err(NostrDatabaseError::from)?;
            let event = convert::event_to_nostr(&event).map_err(NostrDatabaseError::from)?;
            Ok(Some(event))
        })
    }

    fn count(&self, filter: Filter) -> BoxedFuture<'_, Result<usize, DatabaseError>> {
        Box::pin(async move {
            let wanted = convert::filter_from_nostr(&filter)?;
            let count = self.store.count_relay_events(&[wanted]).await;
            let count = count.map_err(NostrDatabaseError::from)? as usize;
            Ok(count.min(filter.limit.unwrap_or(usize::MAX)))
        })
    }

    fn query(&self, filter: Filter) -> BoxedFuture<'_, Result<Events, DatabaseError>> {
        Box::pin(async move { self.find(&filter).await })
    }

    fn negentropy_items(
        &self,
        filter: Filter,
    ) -> BoxedFuture<'_, Result<Vec<(EventId, Timestamp)>, DatabaseError>> {
        Box::pin(async move {
            let wanted = convert::filter_from_nostr(&filter)?;
            let most = CONTRACT_NEGENTROPY_ITEMS;
            let limit = filter.limit.unwrap_or(usize::MAX).min(most + 1);
            let ids = self.store.relay_event_ids(&wanted, limit).await;
            let ids = ids.map_err(NostrDatabaseError::from)?;
            if ids.len() > most {
                let what = "events";
                return Err(NostrDatabaseError::TooMuch { most, what }.into());
            }
            let items = ids.into_iter().map(|(created_at, id)| {
                (
                    EventId::from_byte_array(id.0),
                    Timestamp::from_secs(created_at.unsigned_abs()),
                )
            });
            Ok(items.collect())
        })
    }

    fn delete(&self, filter: Filter) -> BoxedFuture<'_, Result<(), DatabaseError>> {
        Box::pin(async move { self.remove(&filter).await })
    }

    fn wipe(&self) -> BoxedFuture<'_, Result<(), DatabaseError>> {
        Box::pin(async move {
            let wiped = self.store.wipe_relay_events().await;
            Ok(wiped.map_err(NostrDatabaseError::from)?)
        })
    }
}
