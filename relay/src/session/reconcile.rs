//! NEG-OPEN, NEG-MSG and NEG-CLOSE: reconciliation of sets of events ([NIP-77]), bounded in
//! items, in number and in time.
//!
//! [NIP-77]: https://github.com/nostr-protocol/nips/blob/master/77.md

use std::collections::{BTreeSet, HashMap};

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_core::message::{RelayMessage, ReplyPrefix};
use bigbrotr_schema::store::{ScanBounds, ServedFrom};
use negentropy::{Id, Negentropy, NegentropyStorageVector};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep_until};

use super::Session;
use super::budget::Budget;
use super::dispatch::shorten;
use crate::limits::{
    RECONCILE_FRAME_BYTES, RECONCILE_IDLE, RECONCILE_PAGE, RECONCILIATIONS_PER_CLIENT,
};
use crate::outbox::Gone;
use crate::policy::Refusal;
use crate::shared::QueryError;

/// The reconciliations of one client, by their ids: a name space of its own.
#[derive(Default)]
pub(super) struct Reconciliations {
    open: HashMap<String, Reconciliation>,
}

/// One reconciliation: the set as it was when it began.
struct Reconciliation {
    negentropy: Box<Negentropy<'static, NegentropyStorageVector>>,
    idle_at: Instant,
    _place: OwnedSemaphorePermit,
    _room: OwnedSemaphorePermit,
}

/// Time and id of each event to compare, and the room that they take.
struct Items {
    items: BTreeSet<(i64, EventId)>,
    room: OwnedSemaphorePermit,
}

impl Reconciliations {
    pub(super) fn close(&mut self, sub_id: &str) {
        self.open.remove(sub_id);
    }

    /// Waits until the first one has been idle for too long; for ever when there is none.
    pub(super) async fn idle(&self) {
        match self
            .open
            .values()
            .map(|reconciliation| reconciliation.idle_at)
            .min()
        {
            Some(first) => sleep_until(first).await,
            None => std::future::pending().await,
        }
    }

    fn take_idle(&mut self) -> Vec<String> {
        let now = Instant::now();
        let idle = self
            .open
            .extract_if(|_, reconciliation| reconciliation.idle_at <= now);
        idle.map(|(sub_id, _)| sub_id).collect()
    }
}

fn blocked(text: impl Into<String>) -> Refusal {
    (ReplyPrefix::Blocked, text.into())
}

impl Session {
    pub(super) async fn on_neg_open(
        &mut self,
        sub_id: String,
        filter: Filter,
        message: String,
    ) -> Result<(), Gone> {
        // Refused or not, it replaces what had its id.
        self.reconciliations.close(&sub_id);
        match self.open_reconciliation(&sub_id, &filter).await {
            Ok(reconciliation) => self.go_on(sub_id, reconciliation, message).await,
            Err(refusal) => self.reply_neg_err(&sub_id, refusal).await,
        }
    }

    pub(super) async fn on_neg_msg(&mut self, sub_id: &str, message: String) -> Result<(), Gone> {
        match self.reconciliations.open.remove_entry(sub_id) {
            Some((sub_id, reconciliation)) => self.go_on(sub_id, reconciliation, message).await,
            None => {
                self.reply_neg_closed(sub_id, "there is no such reconciliation")
                    .await
            }
        }
    }

    /// Tells the client of the reconciliations that it has let lie for too long.
    pub(super) fn forget_idle_reconciliations(&mut self) {
        for sub_id in self.reconciliations.take_idle() {
            let message = neg_err(&sub_id, "closed: idle for too long".to_owned());
            // At most so many as one connection may have open.
            self.outbox.force(crate::outbox::Outgoing::Text(message));
        }
    }

    async fn open_reconciliation(
        &self,
        sub_id: &str,
        filter: &Filter,
    ) -> Result<Reconciliation, Refusal> {
        self.admit_query(sub_id, std::slice::from_ref(filter))?;
        if self.reconciliations.open.len() >= RECONCILIATIONS_PER_CLIENT {
            let text = format!("more than {RECONCILIATIONS_PER_CLIENT} on one connection");
            return Err(blocked(text));
        }
        let place = self.shared.reconciliations.clone().try_acquire_owned();
        let Ok(place) = place else {
            return Err(busy());
        };
        let Items { items, room } = self.items(sub_id, filter).await?;
        let prepared = tokio::task::spawn_blocking(move || {
            let mut storage = NegentropyStorageVector::with_capacity(items.len());
            for (created_at, id) in items {
                storage.insert(created_at.unsigned_abs(), Id::from_byte_array(id.0))?;
            }
            storage.seal()?;
            Negentropy::owned(storage, RECONCILE_FRAME_BYTES)
        });
        let Ok(Ok(negentropy)) = prepared.await else {
            return Err(unable());
        };
        Ok(Reconciliation {
            negentropy: Box::new(negentropy),
            idle_at: Instant::now() + RECONCILE_IDLE,
            _place: place,
            _room: room,
        })
    }

    /// Reads what is to be compared: the filter's newest events, with a limit.
    async fn items(&self, sub_id: &str, filter: &Filter) -> Result<Items, Refusal> {
        let limits = &self.shared.config.limits;
        let most = limits.max_reconcile_events;
        let wanted = filter.limit.unwrap_or(usize::MAX);
        let Ok(room) = self
            .shared
            .reconciled_events
            .clone()
            .try_acquire_many_owned(0)
        else {
            return Err(busy());
        };
        let mut items = Items {
            items: BTreeSet::new(),
            room,
        };
        let mut budget = Budget::new(&self.shared, limits.max_scanned_events.max(most));
        for from in self.shared.served() {
            let mut after = None;
            let mut found = 0;
            while found < wanted {
                let events = (wanted - found).min(RECONCILE_PAGE);
                let page = self
                    .ids_page(*from, filter, after, events, &mut budget)
                    .await;
                let (page, next) = page.map_err(|error| {
                    tracing::warn!(sub.id = sub_id, error = ?error, "NEG-OPEN not answered");
                    (ReplyPrefix::Error, error.reply().to_owned())
                })?;
                found += page.len();
                let Ok(room) = self
                    .shared
                    .reconciled_events
                    .clone()
                    .try_acquire_many_owned(page.len() as u32)
                else {
                    return Err(busy());
                };
                items.room.merge(room);
                items.items.extend(page);
                if items.items.len() > most && most < wanted {
                    return Err(blocked(format!("more than {most} events match")));
                }
                match next {
                    Some(position) => after = Some(position),
                    None => break,
                }
            }
        }
        // Of both places, the newest.
        while items.items.len() > wanted {
            items.items.pop_first();
        }
        Ok(items)
    }

    async fn ids_page(
        &self,
        from: ServedFrom,
        filter: &Filter,
        after: Option<(i64, EventId)>,
        events: usize,
        budget: &mut Budget,
    ) -> Result<(Vec<(i64, EventId)>, Option<(i64, EventId)>), QueryError> {
        let bounds = ScanBounds {
            events,
            rows: budget.rows(RECONCILE_PAGE)?,
            bytes: usize::MAX,
            within: budget.time(),
        };
        let page = self.shared.store.served_ids(from, filter, after, bounds);
        let page = budget.ask(&self.shared, page).await?;
        budget.spend(page.rows);
        let ids = page.events.iter().map(|event| (event.created_at, event.id));
        Ok((ids.collect(), page.next))
    }

    /// Answers one message, and keeps the reconciliation for the next.
    async fn go_on(
        &mut self,
        sub_id: String,
        mut reconciliation: Reconciliation,
        message: String,
    ) -> Result<(), Gone> {
        // Sums over all items: off the async threads.
        let worked = tokio::task::spawn_blocking(move || {
            let query = hex::decode(message).map_err(|error| error.to_string())?;
            let answer = reconciliation.negentropy.reconcile(&query);
            let answer = answer.map_err(|error| error.to_string())?;
            Ok::<_, String>((reconciliation, hex::encode(answer)))
        });
        let (mut reconciliation, message) = match worked.await {
            Ok(Ok(worked)) => worked,
            Ok(Err(text)) => {
                let refusal = (ReplyPrefix::Invalid, shorten(&text));
                return self.reply_neg_err(&sub_id, refusal).await;
            }
            Err(_) => return self.reply_neg_err(&sub_id, unable()).await,
        };
        let answer = RelayMessage::NegMsg {
            sub_id: sub_id.as_str().into(),
            message,
        };
        self.reply(&answer).await?;
        reconciliation.idle_at = Instant::now() + RECONCILE_IDLE;
        self.reconciliations.open.insert(sub_id, reconciliation);
        Ok(())
    }

    pub(super) async fn reply_neg_err(
        &self,
        sub_id: &str,
        (prefix, text): Refusal,
    ) -> Result<(), Gone> {
        self.count_refusal(prefix);
        let message = neg_err(sub_id, prefix.message(text));
        self.outbox
            .send(crate::outbox::Outgoing::Text(message))
            .await
    }

    /// `closed` is a word of NIP-77 alone.
    async fn reply_neg_closed(&self, sub_id: &str, text: &str) -> Result<(), Gone> {
        let message = neg_err(sub_id, format!("closed: {text}"));
        self.outbox
            .send(crate::outbox::Outgoing::Text(message))
            .await
    }
}

fn busy() -> Refusal {
    blocked("too many at the moment, try again later")
}

fn unable() -> Refusal {
    (ReplyPrefix::Error, "the reconciliation failed".to_owned())
}

fn neg_err(sub_id: &str, message: String) -> String {
    let sub_id = sub_id.into();
    RelayMessage::NegErr { sub_id, message }.to_json()
}
