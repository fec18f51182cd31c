//! What the statistics have to know of a batch.

use std::collections::HashMap;

use bigbrotr_core::event::{Event, EventId};

use super::RelayId;
use crate::error::StoreError;
use crate::store::Link;

/// A row of `rollup_queue` in the making: parallel arrays over the events that the batch mentions,
/// the new ones first.
#[derive(Debug)]
pub(super) struct Enqueue {
    nums: Vec<i64>,
    created_ats: Vec<i64>,
    kinds: Vec<i32>,
    pubkeys: Vec<u8>,
    new_events: usize,
    positions: HashMap<i64, i32>,
    assoc_positions: Vec<i32>,
    assoc_relays: Vec<i32>,
}

impl Enqueue {
    /// Begins with the new events.
    pub(super) fn new(events: &[&Event], nums: &HashMap<EventId, i64>) -> Self {
        let mut enqueue = Self {
            nums: Vec::with_capacity(events.len()),
            created_ats: Vec::with_capacity(events.len()),
            kinds: Vec::with_capacity(events.len()),
            pubkeys: Vec::with_capacity(events.len() * 32),
            new_events: events.len(),
            positions: HashMap::with_capacity(events.len()),
            assoc_positions: Vec::new(),
            assoc_relays: Vec::new(),
        };
        for event in events {
            enqueue.position(nums[&event.id], event);
        }
        enqueue
    }

    /// Adds a pair of event and relay that is new.
    pub(super) fn association(&mut self, num: i64, event: &Event, relay: RelayId) {
        let position = self.position(num, event);
        self.assoc_positions.push(position);
        self.assoc_relays.push(relay.0);
    }

    /// Counts the pairs.
    pub(super) fn associations(&self) -> usize {
        self.assoc_relays.len()
    }

    fn position(&mut self, num: i64, event: &Event) -> i32 {
        if let Some(&position) = self.positions.get(&num) {
            return position;
        }
        self.nums.push(num);
        self.created_ats.push(event.created_at);
        self.kinds.push(event.kind.into());
        self.pubkeys.extend_from_slice(&event.pubkey.0);
        let position = self.nums.len() as i32;
        self.positions.insert(num, position);
        position
    }

    /// Writes the row, if there is anything to tell.
    pub(super) async fn write(self, connection: &mut Link) -> Result<(), StoreError> {
        if self.nums.is_empty() {
            return Ok(());
        }
        sqlx::query(
            "insert into rollup_queue (event_nums, created_ats, kinds, pubkeys, new_events,
                assoc_positions, assoc_relays)
             values ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(self.nums)
        .bind(self.created_ats)
        .bind(self.kinds)
        .bind(self.pubkeys)
        .bind(self.new_events as i32)
        .bind(self.assoc_positions)
        .bind(self.assoc_relays)
        .execute(connection)
        .await?;
        Ok(())
    }
}
