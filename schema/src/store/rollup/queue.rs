//! Taking batches out of the queue.

use bigbrotr_core::event::Pubkey;
use sqlx::Row;

use super::pubkeys::Numbers;
use super::windows::windows_of;
use super::{EventChange, Fold, RelayChange};
use crate::error::StoreError;
use crate::limits::{ROLLUP_BATCHES, ROLLUP_EVENTS};
use crate::store::Link;

/// What one ingest transaction changed, as far as the statistics are concerned.
#[derive(Debug)]
pub(super) struct QueuedBatch {
    pub(super) removal: bool,
    created_ats: Vec<i64>,
    kinds: Vec<i32>,
    pubkeys: Vec<u8>,
    new_events: usize,
    assoc_positions: Vec<i32>,
    assoc_relays: Vec<i32>,
}

/// Batches that are folded together.
#[derive(Debug)]
pub(super) struct Taken {
    /// In the order in which they were queued.
    pub(super) batches: Vec<QueuedBatch>,
    /// Nothing is left in the queue.
    pub(super) all: bool,
}

/// Takes the oldest batches out of the queue, as many as one step folds.
///
/// A removal has to be folded together with all that is in the queue: what it leaves behind is
/// read from the base tables, which hold the later batches too. So a step ends before a removal,
/// or begins with it and takes everything.
pub(super) async fn take(connection: &mut Link) -> Result<Taken, StoreError> {
    let waiting: Vec<(i64, bool, i64)> =
        sqlx::query_as("select seq, removal, size::bigint from rollup_queue order by seq")
            .fetch_all(&mut *connection)
            .await?;
    let count = batches_of_step(&waiting);
    let seqs: Vec<i64> = waiting[..count].iter().map(|(seq, ..)| *seq).collect();
    if seqs.is_empty() {
        return Ok(Taken {
            batches: Vec::new(),
            all: true,
        });
    }
    let rows = sqlx::query(
        "delete from rollup_queue where seq = any ($1)
         returning seq, removal, created_ats, kinds, pubkeys, new_events, assoc_positions,
            assoc_relays",
    )
    .bind(seqs)
    .fetch_all(connection)
    .await?;
    let mut batches = Vec::with_capacity(rows.len());
    for row in &rows {
        let batch = QueuedBatch {
            removal: row.try_get("removal")?,
            created_ats: row.try_get("created_ats")?,
            kinds: row.try_get("kinds")?,
            pubkeys: row.try_get("pubkeys")?,
            new_events: row.try_get::<i32, _>("new_events")? as usize,
            assoc_positions: row.try_get("assoc_positions")?,
            assoc_relays: row.try_get("assoc_relays")?,
        };
        batch.check()?;
        batches.push((row.try_get::<i64, _>("seq")?, batch));
    }
    batches.sort_unstable_by_key(|(seq, _)| *seq);
    Ok(Taken {
        batches: batches.into_iter().map(|(_, batch)| batch).collect(),
        all: count == waiting.len(),
    })
}

/// Says how many of the waiting batches (number, removal?, size) one step takes.
fn batches_of_step(waiting: &[(i64, bool, i64)]) -> usize {
    if waiting.first().is_some_and(|(_, removal, _)| *removal) {
        return waiting.len();
    }
    let mut size = 0;
    waiting
        .iter()
        .take(ROLLUP_BATCHES)
        .take_while(|(_, removal, more)| {
            let fits = size < ROLLUP_EVENTS && !removal;
            size += more;
            fits
        })
        .count()
}

impl Taken {
    /// Names the pubkeys whose numbers are needed, often more than once.
    pub(super) fn pubkeys(&self) -> impl Iterator<Item = Pubkey> {
        self.batches.iter().flat_map(QueuedBatch::authors)
    }
}

impl QueuedBatch {
    /// Counts the events that are new themselves.
    pub(super) fn new_events(&self) -> u64 {
        if self.removal {
            0
        } else {
            self.new_events as u64
        }
    }

    fn authors(&self) -> impl Iterator<Item = Pubkey> {
        let (keys, _) = self.pubkeys.as_chunks::<32>();
        keys.iter().map(|key| Pubkey(*key))
    }

    fn check(&self) -> Result<(), StoreError> {
        let events = self.created_ats.len();
        let positions = 1..=events as i32;
        let whole = self.kinds.len() == events
            && self.pubkeys.len() == events * 32
            && self.new_events <= events
            && self.assoc_positions.len() == self.assoc_relays.len()
            && self.assoc_positions.iter().all(|p| positions.contains(p));
        if whole {
            return Ok(());
        }
        Err(StoreError::Corrupt {
            what: "batch in rollup_queue",
            reason: format!("its arrays do not fit {events} events"),
        })
    }

    /// Adds the batch to a fold, as of the moment that the statistics describe.
    pub(super) fn fold_into(
        &self,
        fold: &mut Fold,
        numbers: &Numbers<'_>,
        as_of: i64,
    ) -> Result<(), StoreError> {
        let n = if self.removal { -1 } else { 1 };
        let mut nums = Vec::with_capacity(self.created_ats.len());
        for pubkey in self.authors() {
            nums.push(numbers.get(&pubkey)?);
        }
        let change = |position: usize, win| EventChange {
            win,
            pubkey: nums[position],
            kind: self.kinds[position],
            n,
            at: Some(self.created_ats[position]),
        };
        for position in 0..self.new_events {
            let created_at = self.created_ats[position];
            for win in windows_of(created_at, as_of) {
                fold.event(change(position, win));
            }
            fold.series(self.kinds[position], created_at, n);
        }
        for (position, &relay) in self.assoc_positions.iter().zip(&self.assoc_relays) {
            let position = *position as usize - 1;
            for win in windows_of(self.created_ats[position], as_of) {
                fold.sighting(RelayChange {
                    relay,
                    event: change(position, win),
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_bounded_and_a_removal_stands_at_its_beginning() {
        let small = |n| vec![(0, false, 1); n];
        assert_eq!(batches_of_step(&[]), 0);
        assert_eq!(batches_of_step(&small(3)), 3);
        assert_eq!(batches_of_step(&small(ROLLUP_BATCHES + 5)), ROLLUP_BATCHES);
        let large = vec![(0, false, ROLLUP_EVENTS); 3];
        assert_eq!(batches_of_step(&large), 1);
        let mut mixed = small(2);
        mixed.push((0, true, 1));
        mixed.push((0, false, ROLLUP_EVENTS * 2));
        assert_eq!(batches_of_step(&mixed), 2);
        assert_eq!(batches_of_step(&mixed[2..]), 2);
    }
}
