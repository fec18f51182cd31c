//! Hearing of events that any process puts on our relay: LISTEN, and reading again what was put
//! there while nobody listened.

use std::collections::{BTreeSet, HashSet, VecDeque};

use futures_util::FutureExt;
use sqlx::postgres::PgListener;

use super::super::Store;
use super::StoredEvent;
use crate::error::StoreError;
use crate::limits::{LISTEN_READ_EVENTS, LISTEN_REREAD_EVENTS};

const CHANNEL: &str = "bigbrotr_relay_events";

impl Store {
    /// Listens for events that are put on our relay from now on, by any process.
    pub async fn listen_relay_events(&self) -> Result<RelayEventFeed, StoreError> {
        let listener = self.subscribe_to(CHANNEL).await?;
        // Read after listening began: what is not here yet is announced later.
        let seqs: Vec<i64> =
            sqlx::query_scalar("select seq from relay_events order by seq desc limit $1")
                .bind(LISTEN_REREAD_EVENTS)
                .fetch_all(&self.pool)
                .await?;
        let mut delivered = RecentSeqs::default();
        for seq in seqs.iter().rev() {
            delivered.insert(*seq);
        }
        Ok(RelayEventFeed {
            store: self.clone(),
            listener: Some(listener),
            last_seq: seqs.first().copied().unwrap_or_default(),
            announced: BTreeSet::new(),
            delivered,
        })
    }

    /// Listens on a channel, and does not connect anew by itself: a hole has to be noticed.
    pub(in crate::store) async fn subscribe_to(
        &self,
        channel: &str,
    ) -> Result<PgListener, StoreError> {
        let mut listener = self.listener().await?;
        listener.eager_reconnect(false);
        listener.listen(channel).await?;
        Ok(listener)
    }
}

/// The stream of events that are put on our relay. Each is delivered once; after a lost
/// connection the hole is read again before new ones are.
#[derive(Debug)]
pub struct RelayEventFeed {
    store: Store,
    listener: Option<PgListener>,
    last_seq: i64,
    /// What is to be delivered next.
    announced: BTreeSet<i64>,
    delivered: RecentSeqs,
}

impl RelayEventFeed {
    /// Lists the numbers, oldest first, of the last events that it will not return any more: they
    /// were there before it, or it has returned them.
    pub fn delivered(&self) -> impl Iterator<Item = i64> + '_ {
        self.delivered.order.iter().copied()
    }

    /// Waits for the next events.
    ///
    /// Cancelling loses nothing: what was announced is remembered until it is returned.
    ///
    /// # Errors
    /// When the connection is lost. Calling again, after a pause, connects anew and first returns
    /// what was missed.
    pub async fn next(&mut self) -> Result<Vec<StoredEvent>, StoreError> {
        loop {
            if self.listener.is_none() {
                self.reconnect().await?;
            }
            if self.announced.is_empty() {
                self.hear().await?;
            }
            // All that has come by now: a commit announces its events one by one.
            while self.listener.is_some()
                && self.announced.len() < LISTEN_READ_EVENTS
                && let Some(heard) = self.hear().now_or_never()
            {
                heard?;
            }
            let events = self.read_announced().await?;
            if !events.is_empty() {
                return Ok(events);
            }
        }
    }

    /// Looks for events that nobody announced, and connects anew where the connection was lost:
    /// for when it has been silent for long, or [`RelayEventFeed::next`] has failed. Returns what
    /// was missed.
    ///
    /// Cancelling loses nothing.
    pub async fn check(&mut self) -> Result<Vec<StoredEvent>, StoreError> {
        if self.listener.is_none() {
            self.reconnect().await?;
            return self.read_announced().await;
        }
        self.find_missed().await?;
        let missed = self.read_announced().await?;
        if !missed.is_empty() {
            // A connection that says nothing of them is not to be trusted.
            self.listener = None;
        }
        Ok(missed)
    }

    /// Waits for a notification.
    async fn hear(&mut self) -> Result<(), StoreError> {
        let Some(listener) = self.listener.as_mut() else {
            return Ok(());
        };
        match listener.try_recv().await {
            Ok(Some(notification)) => {
                let seq = notification.payload().parse::<i64>();
                announce(&mut self.announced, &self.delivered, seq);
            }
            Ok(None) => self.listener = None,
            Err(error) => {
                self.listener = None;
                return Err(error.into());
            }
        }
        Ok(())
    }

    async fn reconnect(&mut self) -> Result<(), StoreError> {
        let listener = self.store.subscribe_to(CHANNEL).await?;
        self.find_missed().await?;
        self.listener = Some(listener);
        Ok(())
    }

    /// Finds what was put there while nobody listened. Numbers are handed out before they become
    /// visible, so the search starts below the last one seen and skips what was delivered.
    async fn find_missed(&mut self) -> Result<(), StoreError> {
        let floor = self.last_seq - LISTEN_REREAD_EVENTS;
        let seqs: Vec<i64> = sqlx::query_scalar(
            "select seq from relay_events
             where seq > $1 and (seq > $2 or received_at > $3) order by seq",
        )
        .bind(floor)
        .bind(self.last_seq)
        .bind(self.store.now() - 600)
        .fetch_all(&self.store.pool)
        .await?;
        announce(&mut self.announced, &self.delivered, seqs);
        Ok(())
    }

    /// Reads what was announced, at most so many events in one go.
    async fn read_announced(&mut self) -> Result<Vec<StoredEvent>, StoreError> {
        let next: Vec<i64> = self
            .announced
            .iter()
            .copied()
            .take(LISTEN_READ_EVENTS)
            .collect();
        if next.is_empty() {
            return Ok(Vec::new());
        }
        match self.store.relay_events_by_seq(&next).await {
            Ok(events) => {
                // All of them, the ones that were replaced or deleted meanwhile included.
                for seq in next {
                    self.announced.remove(&seq);
                    self.last_seq = self.last_seq.max(seq);
                    self.delivered.insert(seq);
                }
                Ok(events)
            }
            Err(error) => {
                // Read again by number once the database is back.
                self.listener = None;
                Err(error)
            }
        }
    }
}

/// Notes what is to be delivered and was not.
fn announce(
    announced: &mut BTreeSet<i64>,
    delivered: &RecentSeqs,
    seqs: impl IntoIterator<Item = i64>,
) {
    announced.extend(seqs.into_iter().filter(|seq| !delivered.contains(*seq)));
}

/// The numbers delivered last, bounded.
#[derive(Debug, Default)]
struct RecentSeqs {
    order: VecDeque<i64>,
    set: HashSet<i64>,
}

impl RecentSeqs {
    fn contains(&self, seq: i64) -> bool {
        self.set.contains(&seq)
    }

    fn insert(&mut self, seq: i64) {
        if self.set.insert(seq) {
            self.order.push_back(seq);
        }
        if self.order.len() > LISTEN_REREAD_EVENTS as usize
            && let Some(oldest) = self.order.pop_front()
        {
            self.set.remove(&oldest);
        }
    }
}
