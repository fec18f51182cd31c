//! What the NIPs say is served once a set of events has arrived, whatever the order: the oracle.
//!
//! It looks at the whole set at once and keeps no state, so it cannot depend on an order.

use std::collections::BTreeMap;

use bigbrotr_core::event::{Event, EventId, KindClass, Pubkey};

use crate::subject::OUR_URL;

/// The events that are served.
#[derive(Debug, Default)]
pub(crate) struct Served {
    /// These, in the order of an answer.
    pub(crate) events: Vec<Event>,
    /// These or not: deletions of nothing but others' events. Whether they are refused depends
    /// on what is known of their targets when they come; they never have an effect.
    pub(crate) indifferent: Vec<EventId>,
}

/// Works out what is served of these events.
pub(crate) fn served(events: &[Event], now: i64) -> Served {
    let model = Model {
        events: events
            .iter()
            .filter(|event| event.class() != KindClass::Ephemeral)
            .filter(|event| event.expiration().is_none_or(|expiry| expiry > now))
            .collect(),
    };
    let mut served = Served::default();
    for event in &model.events {
        if event.kind == 5 && model.names_only_others(event) {
            served.indifferent.push(event.id);
        } else if model.serves(event) {
            served.events.push((*event).clone());
        }
    }
    served
        .events
        .sort_by_key(|event| (std::cmp::Reverse(event.created_at), event.id));
    served
}

struct Model<'a> {
    events: Vec<&'a Event>,
}

impl Model<'_> {
    fn serves(&self, event: &Event) -> bool {
        match event.kind {
            62 => true,
            5 => !self.vanished(event),
            _ => {
                !self.vanished(event)
                    && !self.deleted_by_id(event)
                    && !self.deleted_by_address(event)
                    && self.is_latest(event)
            }
        }
    }

    /// Whom an event belongs to: its author, and whom a gift wrap is for.
    fn owners(event: &Event) -> Vec<Pubkey> {
        let mut owners = vec![event.pubkey];
        if event.kind == 1_059 {
            owners.extend(event.tag_values("p").flat_map(Pubkey::from_hex));
        }
        owners
    }

    fn vanished(&self, event: &Event) -> bool {
        let owners = Self::owners(event);
        self.events.iter().any(|request| {
            request.kind == 62
                && owners.contains(&request.pubkey)
                && event.created_at <= request.created_at
                && request
                    .tag_values("relay")
                    .any(|named| named == "ALL_RELAYS" || named == OUR_URL)
        })
    }

    fn deletions(&self, owners: &[Pubkey]) -> impl Iterator<Item = &Event> {
        let owners = owners.to_vec();
        self.events
            .iter()
            .copied()
            .filter(move |event| event.kind == 5 && owners.contains(&event.pubkey))
    }

    fn deleted_by_id(&self, event: &Event) -> bool {
        let id = event.id.to_hex();
        self.deletions(&Self::owners(event))
            .any(|deletion| deletion.tag_values("e").any(|named| named == id))
    }

    fn deleted_by_address(&self, event: &Event) -> bool {
        let Some(address) = address(event) else {
            return false;
        };
        self.deletions(&[event.pubkey]).any(|deletion| {
            event.created_at <= deletion.created_at
                && deletion.tag_values("a").any(|named| named == address)
        })
    }

    /// The newest version with the lowest id, of all that there ever were: what has replaced
    /// another has done so even if it is deleted itself.
    fn is_latest(&self, event: &Event) -> bool {
        let Some(own) = address(event) else {
            return true;
        };
        let versions = self
            .events
            .iter()
            .filter(|version| address(version).is_some_and(|other| other == own));
        let latest =
            versions.min_by_key(|version| (std::cmp::Reverse(version.created_at), version.id));
        latest.is_some_and(|latest| latest.id == event.id)
    }

    fn names_only_others(&self, deletion: &Event) -> bool {
        let known: BTreeMap<String, &Event> = self
            .events
            .iter()
            .map(|event| (event.id.to_hex(), *event))
            .collect();
        let own = format!(":{}:", deletion.pubkey);
        let addresses: Vec<&str> = deletion.tag_values("a").collect();
        let ids: Vec<&str> = deletion.tag_values("e").collect();
        let names_any = !addresses.is_empty() || !ids.is_empty();
        names_any
            && !addresses.iter().any(|address| address.contains(&own))
            && ids.iter().all(|id| {
                known
                    .get(*id)
                    .is_some_and(|event| !Self::owners(event).contains(&deletion.pubkey))
            })
    }
}

fn address(event: &Event) -> Option<String> {
    let d = match event.class() {
        KindClass::Replaceable => "",
        KindClass::Addressable => event.d_tag(),
        KindClass::Regular | KindClass::Ephemeral => return None,
    };
    Some(format!("{}:{}:{d}", event.kind, event.pubkey))
}
