//! Checking ids and signatures on all cores, off the async threads.

use std::sync::Arc;

use bigbrotr_core::event::{Event, EventError};

use crate::limits::VERIFY_CHUNK;

/// Runs a check over the events at these positions, many at a time; returns the positions that
/// fail, with the reason.
pub(super) async fn check(
    events: &Arc<Vec<Event>>,
    positions: Vec<usize>,
    check: fn(&Event) -> Result<(), EventError>,
) -> Vec<(usize, EventError)> {
    let mut chunks = tokio::task::JoinSet::new();
    for chunk in positions.chunks(VERIFY_CHUNK) {
        let events = Arc::clone(events);
        let chunk = chunk.to_vec();
        chunks.spawn_blocking(move || {
            chunk
                .into_iter()
                .filter_map(|n| check(&events[n]).err().map(|error| (n, error)))
                .collect::<Vec<_>>()
        });
    }
    chunks.join_all().await.into_iter().flatten().collect()
}
