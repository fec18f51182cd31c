//! Publishing together what comes at the same time.
//!
//! The end of a transaction costs more than an event does: it waits for the disk, and transactions
//! that notify wait for each other. So whoever comes while one is going on shares the next.

use std::sync::{Mutex, MutexGuard, PoisonError};

use bigbrotr_core::event::Event;
use futures_util::future::join_all;
use tokio::sync::{Mutex as Turn, Semaphore, SemaphorePermit, oneshot};

use super::super::Store;
use super::publish::{self, PublishOutcome};
use crate::error::StoreError;
use crate::limits::{PUBLISH_BATCH, PUBLISHED_ALONE};

/// The events that wait to be published together.
#[derive(Debug)]
pub(in crate::store) struct Publishing {
    waiting: Mutex<Vec<Waiting>>,
    /// Held by the one of those who wait who publishes for all.
    turn: Turn<()>,
    /// Places for those who publish alone: each has a connection, and may wait for another's lock.
    alone: Semaphore,
}

impl Default for Publishing {
    fn default() -> Self {
        Self {
            waiting: Mutex::default(),
            turn: Turn::default(),
            alone: Semaphore::new(PUBLISHED_ALONE),
        }
    }
}

#[derive(Debug)]
struct Waiting {
    event: Event,
    answer: oneshot::Sender<Result<PublishOutcome, StoreError>>,
}

impl Waiting {
    fn tell(self, outcome: Result<PublishOutcome, StoreError>) {
        if self.answer.send(outcome).is_err() {
            tracing::trace!("an event was published, and nobody waited for it");
        }
    }
}

impl Publishing {
    fn join(&self, event: &Event) -> oneshot::Receiver<Result<PublishOutcome, StoreError>> {
        let (answer, answered) = oneshot::channel();
        let event = event.clone();
        self.waiting().push(Waiting { event, answer });
        answered
    }

    /// Takes the next that somebody still waits for.
    fn next_batch(&self) -> Vec<Waiting> {
        let mut waiting = self.waiting();
        waiting.retain(|waiting| !waiting.answer.is_closed());
        let count = waiting.len().min(PUBLISH_BATCH);
        waiting.drain(..count).collect()
    }

    /// Waits for a place among those who publish alone.
    pub(super) async fn place(&self) -> Option<SemaphorePermit<'_>> {
        // Never closed.
        self.alone.acquire().await.ok()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        // Each change is one step: what a panic left behind is whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store {
    /// Publishes an event in one transaction with others.
    pub(super) async fn publish_together(
        &self,
        event: &Event,
    ) -> Result<PublishOutcome, StoreError> {
        loop {
            let mut answered = self.publishing.join(event);
            loop {
                tokio::select! {
                    biased;
                    answer = &mut answered => match answer {
                        Ok(answer) => return answer,
                        // Whoever published for all was cancelled at it.
                        Err(_) => break,
                    },
                    _turn = self.publishing.turn.lock() => {
                        self.publish_batch(self.publishing.next_batch()).await;
                    }
                }
            }
        }
    }

    async fn publish_batch(&self, mut batch: Vec<Waiting>) {
        // The order in which their locks are taken, by every process.
        batch.sort_by_cached_key(|waiting| publish::lock_key(&waiting.event));
        match self.try_batch(&batch).await {
            Ok(outcomes) => {
                for (waiting, outcome) in batch.into_iter().zip(outcomes) {
                    waiting.tell(Ok(outcome));
                }
            }
            Err(error) => {
                if batch.len() > 1 {
                    tracing::debug!(events = batch.len(), error = ?error, "not published together");
                }
                // One of them may be at fault: each finds out for itself.
                let alone = batch
                    .iter()
                    .map(|waiting| self.publish_alone(&waiting.event));
                let outcomes = join_all(alone).await;
                for (waiting, outcome) in batch.into_iter().zip(outcomes) {
                    waiting.tell(outcome);
                }
            }
        }
    }

    async fn try_batch(&self, batch: &[Waiting]) -> Result<Vec<PublishOutcome>, StoreError> {
        let mut tx = self.pool.begin().await?;
        let others = batch.partition_point(|waiting| publish::is_regular(&waiting.event));
        let (regular, others) = batch.split_at(others);
        let regular = regular.iter().map(|waiting| &waiting.event);
        let mut outcomes = publish::publish_regular(&mut tx, regular, self.now()).await?;
        for waiting in others {
            outcomes.push(publish::publish(&mut tx, &waiting.event, self.now()).await?);
        }
        tx.commit().await?;
        Ok(outcomes)
    }

    /// Publishes an event in a transaction of its own.
    pub(super) async fn publish_alone(&self, event: &Event) -> Result<PublishOutcome, StoreError> {
        let _place = self.publishing.place().await;
        let mut tx = self.pool.begin().await?;
        let outcome = publish::publish(&mut tx, event, self.now()).await?;
        tx.commit().await?;
        Ok(outcome)
    }
}
