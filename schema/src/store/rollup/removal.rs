//! Earliest and latest `created_at` after a removal: the only statistics that do not follow from
//! what they were.

use super::apply::Applied;
use super::counters::Changed;
use super::windows::ALL;
use crate::error::StoreError;
use crate::store::Link;

/// Reads `first_at` and `last_at` anew for the counters that a removal changed.
///
/// # Correctness
/// The base tables must hold exactly what is folded: a step with a removal takes the whole queue.
pub(super) async fn refresh_spans(
    connection: &mut Link,
    removed: &Applied,
) -> Result<(), StoreError> {
    let pubkeys: Vec<i64> = shrunk(&removed.pubkeys).map(|[_, pubkey]| pubkey).collect();
    if !pubkeys.is_empty() {
        sqlx::query(include_str!("../../sql/refresh_pubkey_spans.sql"))
            .bind(pubkeys)
            .execute(&mut *connection)
            .await?;
    }
    let pairs: Vec<[i64; 3]> = shrunk(&removed.relay_pubkeys).collect();
    if !pairs.is_empty() {
        sqlx::query(include_str!("../../sql/refresh_relay_pubkey_spans.sql"))
            .bind(
                pairs
                    .iter()
                    .map(|[_, pubkey, _]| *pubkey)
                    .collect::<Vec<_>>(),
            )
            .bind(pairs.iter().map(|[_, _, relay]| *relay).collect::<Vec<_>>())
            .execute(&mut *connection)
            .await?;
    }
    let relays: Vec<i64> = shrunk(&removed.relays).map(|[_, relay]| relay).collect();
    if !relays.is_empty() {
        sqlx::query(
            "update stats_relays s set first_at = m.first_at, last_at = m.last_at
             from (
                select relay_id, min(first_at) as first_at, max(last_at) as last_at
                from stats_relay_pubkeys where win = 0 and relay_id = any ($1) group by relay_id
             ) m where s.win = 0 and s.relay_id = m.relay_id",
        )
        .bind(relays)
        .execute(connection)
        .await?;
    }
    Ok(())
}

/// Names the rows of the window `all` that lost events and still have some.
fn shrunk<const K: usize>(changed: &[Changed<K>]) -> impl Iterator<Item = [i64; K]> {
    changed
        .iter()
        .filter(|c| c.change.key[0] == i64::from(ALL) && c.events > 0)
        .map(|c| c.change.key)
}
