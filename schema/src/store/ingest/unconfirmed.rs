//! Commits whose answer was lost: whether they took place.

use std::collections::HashSet;

use super::{ArchivedEvents, Store};
use crate::error::StoreError;
use crate::store::Tx;

/// What earlier tries of one call wrote whose commit was sent but not confirmed.
#[derive(Debug, Default)]
pub(crate) struct Unconfirmed(Vec<ArchivedEvents>);

impl Unconfirmed {
    /// Commits what a transaction did, and notes it when it cannot be known whether it took
    /// place.
    pub(super) async fn commit(
        &mut self,
        tx: Tx,
        archived: ArchivedEvents,
    ) -> Result<ArchivedEvents, StoreError> {
        // Noted first: the caller may lose patience in the middle of it.
        self.0.push(archived);
        tx.commit().await?;
        Ok(self.0.pop().unwrap_or_default())
    }

    /// Adds what earlier tries did, now that the same events went through: they have ended one
    /// way or the other.
    pub(super) async fn settle(
        &mut self,
        store: &Store,
        mut archived: ArchivedEvents,
    ) -> Result<ArchivedEvents, StoreError> {
        while let Some(earlier) = self.0.pop() {
            match is_committed(store, &earlier, &archived).await {
                Ok(true) => archived.add(ArchivedEvents {
                    missing: HashSet::new(),
                    ..earlier
                }),
                Ok(false) => {}
                Err(error) => {
                    self.0.extend([earlier, archived]);
                    return Err(error);
                }
            }
        }
        Ok(archived)
    }
}

/// Says whether an earlier try took place: numbers are drawn once, so that the archive has an
/// event under the number that it drew means that it did. One that added sightings only leaves no
/// such trace and counts as not committed.
async fn is_committed(
    store: &Store,
    earlier: &ArchivedEvents,
    later: &ArchivedEvents,
) -> Result<bool, StoreError> {
    let Some((id, num)) = earlier.nums.iter().next() else {
        return Ok(false);
    };
    // A server that crashed may draw numbers again that it had drawn without a commit.
    if earlier.nums.keys().any(|id| later.nums.contains_key(id)) {
        return Ok(false);
    }
    Ok(
        sqlx::query_scalar("select exists (select from events where num = $1 and id = $2)")
            .bind(num)
            .bind(id.0.as_slice())
            .fetch_one(&store.pool)
            .await?,
    )
}
