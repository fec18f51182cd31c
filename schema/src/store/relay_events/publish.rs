//! Publishing: what the rules of NIP-01, 09, 40 and 62 need to know of an event.
//!
//! The rules themselves are the database's (`publish_event`), so that they hold between processes.

use std::collections::BTreeSet;

use bigbrotr_core::event::{Event, EventId, KindClass, Pubkey};
use bigbrotr_core::vanish::is_vanish_request;
use sha2::{Digest, Sha256};

use super::super::Store;
use crate::error::StoreError;
use crate::filter_sql::tag_hash;
use crate::store::Link;

/// Asks to delete events (NIP-09).
const KIND_DELETION: u16 = 5;

/// Asks to vanish (NIP-62).
const KIND_VANISH: u16 = 62;

/// A gift wrap (NIP-59).
const KIND_GIFT_WRAP: u16 = 1_059;

/// What became of an event given to the relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishOutcome {
    /// It is there now and subscribers are told.
    Stored,
    /// It was there already.
    Duplicate,
    /// A newer version of the same replaceable or addressable event is there.
    Older,
    /// Its author has deleted it (NIP-09), or a newer version that replaced it.
    Deleted,
    /// Its author, or the one whom a gift wrap is for, has asked to vanish (NIP-62).
    Vanished,
    /// It has expired (NIP-40).
    Expired,
    /// A deletion of nothing but events that are known to be somebody else's.
    Foreign,
}

impl PublishOutcome {
    /// Reads what `publish_event` and `publish_regular` say.
    fn read(text: &str) -> Result<Self, StoreError> {
        match text {
            "stored" => Ok(Self::Stored),
            "duplicate" => Ok(Self::Duplicate),
            "older" => Ok(Self::Older),
            "deleted" => Ok(Self::Deleted),
            "vanished" => Ok(Self::Vanished),
            "expired" => Ok(Self::Expired),
            "foreign" => Ok(Self::Foreign),
            other => Err(StoreError::Corrupt {
                what: "publish outcome",
                reason: other.to_owned(),
            }),
        }
    }
}

impl Store {
    /// Publishes an event on our relay. The caller has verified it.
    ///
    /// A request to vanish (NIP-62) works when it names all relays. Whoever knows the relay's
    /// address takes requests by [`Store::publish_vanish`].
    pub async fn publish(&self, event: &Event) -> Result<PublishOutcome, StoreError> {
        if goes_with_others(event) {
            self.publish_together(event).await
        } else {
            self.publish_alone(event).await
        }
    }

    /// Publishes a request to vanish (NIP-62) that names this relay: everything of its author up
    /// to its `created_at` is deleted and does not come back.
    pub async fn publish_vanish(&self, request: &Event) -> Result<PublishOutcome, StoreError> {
        let _place = self.publishing.place().await;
        let mut tx = self.pool.begin().await?;
        let outcome = insert(&mut tx, request, self.now(), true).await?;
        tx.commit().await?;
        Ok(outcome)
    }
}

/// Says whether an event may share a transaction. Deletions and what others may delete lock whole keys:
/// two transactions of those would wait for each other.
fn goes_with_others(event: &Event) -> bool {
    ![KIND_DELETION, KIND_VANISH, KIND_GIFT_WRAP].contains(&event.kind)
}

/// Publishes within a transaction of the caller's.
pub(in crate::store) async fn publish(
    connection: &mut Link,
    event: &Event,
    now: i64,
) -> Result<PublishOutcome, StoreError> {
    let vanish = is_vanish_request(event, |_| false);
    insert(connection, event, now, vanish).await
}

async fn insert(
    connection: &mut Link,
    event: &Event,
    now: i64,
    vanish: bool,
) -> Result<PublishOutcome, StoreError> {
    if is_regular(event) {
        let outcomes = publish_regular(connection, std::iter::once(event), now).await?;
        return outcomes.into_iter().next().ok_or(StoreError::Corrupt {
            what: "publish outcome",
            reason: "none".to_owned(),
        });
    }
    let deletions = Deletions::of(event);
    let outcome: String = sqlx::query_scalar(
        "select publish_event($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
    )
    .bind(event.id.0.as_slice())
    .bind(event.pubkey.0.as_slice())
    .bind(event.created_at)
    .bind(i32::from(event.kind))
    .bind(address(event).map(|hash| hash.to_vec()))
    .bind(event.expiration())
    .bind(tag_hashes(event))
    .bind(event.to_json())
    .bind(now)
    .bind(deletions.ids)
    .bind(deletions.addresses)
    .bind(deletions.foreign_addresses)
    .bind(recipients(event))
    .bind(vanish)
    .fetch_one(connection)
    .await?;
    PublishOutcome::read(&outcome)
}

/// Says whether an event neither replaces another nor deletes any, nor is for others to delete.
pub(super) fn is_regular(event: &Event) -> bool {
    goes_with_others(event) && event.class() == KindClass::Regular
}

/// Publishes events, each of which [`is_regular`], in one statement.
pub(super) async fn publish_regular<'a>(
    connection: &mut Link,
    events: impl Iterator<Item = &'a Event>,
    now: i64,
) -> Result<Vec<PublishOutcome>, StoreError> {
    let mut rows = Rows::default();
    events.for_each(|event| rows.push(event));
    if rows.ids.is_empty() {
        return Ok(Vec::new());
    }
    let outcomes: Vec<String> =
        sqlx::query_scalar("select publish_regular($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(rows.ids)
            .bind(rows.pubkeys)
            .bind(rows.created_at)
            .bind(rows.kinds)
            .bind(rows.expires_at)
            .bind(rows.tag_hashes)
            .bind(rows.events)
            .bind(now)
            .fetch_all(connection)
            .await?;
    let outcomes = outcomes.iter().map(|outcome| PublishOutcome::read(outcome));
    outcomes.collect()
}

/// Events by column.
#[derive(Debug, Default)]
struct Rows {
    ids: Vec<Vec<u8>>,
    pubkeys: Vec<Vec<u8>>,
    created_at: Vec<i64>,
    kinds: Vec<i32>,
    expires_at: Vec<Option<i64>>,
    /// Each an array as Postgres writes them: there are no arrays of arrays of unlike lengths.
    tag_hashes: Vec<String>,
    events: Vec<String>,
}

impl Rows {
    fn push(&mut self, event: &Event) {
        let hashes: Vec<String> = tag_hashes(event).iter().map(i64::to_string).collect();
        self.ids.push(event.id.0.to_vec());
        self.pubkeys.push(event.pubkey.0.to_vec());
        self.created_at.push(event.created_at);
        self.kinds.push(i32::from(event.kind));
        self.expires_at.push(event.expiration());
        self.tag_hashes.push(format!("{{{}}}", hashes.join(",")));
        self.events.push(event.to_json());
    }
}

/// What orders events by the locks that publishing them takes: those of one address or id. Regular
/// events come first.
pub(super) fn lock_key(event: &Event) -> (bool, [u8; 32]) {
    let hash = address(event).unwrap_or(event.id.0);
    (!is_regular(event), hash)
}

/// Hashes what a replaceable or addressable event replaces; `None` for other events.
pub(in crate::store) fn address(event: &Event) -> Option<[u8; 32]> {
    let d = match event.class() {
        KindClass::Replaceable => "",
        KindClass::Addressable => event.d_tag(),
        KindClass::Regular | KindClass::Ephemeral => return None,
    };
    let coordinate = format!("{}:{}:{d}", event.kind, event.pubkey);
    Some(hash_address(&coordinate))
}

fn hash_address(coordinate: &str) -> [u8; 32] {
    Sha256::digest(coordinate.as_bytes()).into()
}

fn tag_hashes(event: &Event) -> Vec<i64> {
    let mut hashes: Vec<i64> = event
        .tags
        .iter()
        .filter_map(|tag| {
            let mut name = tag.first()?.chars();
            match (name.next(), name.next()) {
                (Some(letter), None) if letter.is_ascii_alphabetic() => {
                    Some(tag_hash(letter, tag.get(1)?))
                }
                _ => None,
            }
        })
        .collect();
    hashes.sort_unstable();
    hashes.dedup();
    hashes
}

/// Whom a gift wrap is for; `None` for other events.
fn recipients(event: &Event) -> Option<Vec<Vec<u8>>> {
    if event.kind != KIND_GIFT_WRAP {
        return None;
    }
    let keys: BTreeSet<Pubkey> = event
        .tag_values("p")
        .filter_map(|key| Pubkey::from_hex(key).ok())
        .collect();
    Some(keys.into_iter().map(|key| key.0.to_vec()).collect())
}

/// What a kind 5 asks to delete; nothing for other events.
#[derive(Debug, Default)]
struct Deletions {
    /// Event ids, whoever's.
    ids: Vec<Vec<u8>>,
    /// Hashed addresses of the author.
    addresses: Vec<Vec<u8>>,
    /// Whether it names addresses of others.
    foreign_addresses: bool,
}

impl Deletions {
    fn of(event: &Event) -> Self {
        let mut deletions = Self::default();
        if event.kind != KIND_DELETION {
            return deletions;
        }
        let ids: BTreeSet<EventId> = event
            .tag_values("e")
            .filter_map(|id| EventId::from_hex(id).ok())
            .collect();
        deletions.ids = ids.into_iter().map(|id| id.0.to_vec()).collect();
        let mut addresses = BTreeSet::new();
        for address in event.tag_values("a") {
            // What comes after the second colon is the d tag, whatever is in it.
            let Some(owner) = address.split(':').nth(1).map(Pubkey::from_hex) else {
                continue;
            };
            match owner {
                Ok(owner) if owner == event.pubkey => {
                    addresses.insert(hash_address(address));
                }
                Ok(_) => deletions.foreign_addresses = true,
                Err(_) => {}
            }
        }
        deletions.addresses = addresses.into_iter().map(|hash| hash.to_vec()).collect();
        deletions
    }
}
