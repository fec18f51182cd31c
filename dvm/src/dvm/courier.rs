//! Takes answers to other relays: those that requests name, and those that they came from.
//!
//! What has to go where is in the database, written with the answer itself, so that neither a
//! crash nor a relay that is away for a while loses it.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::backoff::Backoff;
use bigbrotr_core::event::Event;
use bigbrotr_core::other_relays::{OtherRelays, Taken};
use bigbrotr_core::service::ServiceContext;
use bigbrotr_schema::store::{Delivery, DeliveryOutcome};
use tokio::sync::Semaphore;

use super::report::{Part, Report};
use super::{DvmError, DvmService};
use crate::limits::{DELIVERIES_AT_ONCE, DELIVERY_ATTEMPTS, DELIVERY_BATCH, DELIVERY_TIMEOUT};

/// Pauses between attempts to reach a relay.
const BACKOFF: Backoff = Backoff {
    base: Duration::from_secs(10),
    factor: 2.0,
    max: Duration::from_mins(10),
    jitter: 0.3,
};

impl DvmService {
    /// Delivers until the service stops.
    pub(super) async fn deliver(
        self: Arc<Self>,
        relays: Arc<dyn OtherRelays>,
        context: ServiceContext,
        report: Arc<Report>,
    ) {
        let slots = Arc::new(Semaphore::new(DELIVERIES_AT_ONCE));
        loop {
            let slot = tokio::select! {
                () = context.stop.cancelled() => return,
                slot = slots.clone().acquire_owned() => slot,
            };
            // Twice the time, so that nobody else takes what is still under way.
            let claim_seconds = 2 * DELIVERY_TIMEOUT.as_secs() as i64;
            let claimed = self
                .store
                .claim_deliveries(DELIVERY_BATCH, claim_seconds)
                .await;
            match claimed {
                Ok(Some((relay, deliveries))) => {
                    report.works(Part::Deliveries);
                    let (service, relays) = (self.clone(), relays.clone());
                    let (stop, report) = (context.stop.clone(), report.clone());
                    context.tasks.spawn(async move {
                        // What is cut off is claimed again later.
                        tokio::select! {
                            () = stop.cancelled() => {}
                            done = service.take_there(&*relays, &relay, deliveries) => {
                                if let Err(error) = done {
                                    report.broken(Part::Deliveries, &error);
                                }
                            }
                        }
                        drop(slot);
                    });
                    continue;
                }
                Ok(None) => report.works(Part::Deliveries),
                Err(error) => report.broken(Part::Deliveries, &error),
            }
            drop(slot);
            tokio::select! {
                () = context.stop.cancelled() => return,
                () = self.answered.notified() => {}
                () = tokio::time::sleep(self.config.poll_interval) => {}
            }
        }
    }

    async fn take_there(
        &self,
        relays: &dyn OtherRelays,
        relay: &str,
        deliveries: Vec<Delivery>,
    ) -> Result<(), DvmError> {
        let events: Vec<Event> = deliveries.iter().map(|one| one.event.clone()).collect();
        let publishing = relays.publish(relay, &events);
        let taken = tokio::time::timeout(DELIVERY_TIMEOUT, publishing)
            .await
            .unwrap_or_default();
        let silent = std::iter::repeat(Taken::NotNow("no answer in time".to_owned()));
        let settled: Vec<(Delivery, DeliveryOutcome)> = deliveries
            .into_iter()
            .zip(taken.into_iter().chain(silent))
            .map(|(delivery, taken)| {
                let outcome = self.settle(relay, &delivery, taken);
                (delivery, outcome)
            })
            .collect();
        Ok(self.store.settle_deliveries(&settled).await?)
    }

    fn settle(&self, relay: &str, delivery: &Delivery, taken: Taken) -> DeliveryOutcome {
        let event = &delivery.event;
        let expired = event.expiration().is_some_and(|at| at <= self.now());
        match taken {
            Taken::Yes => DeliveryOutcome::Over,
            Taken::NotNow(reason) if delivery.attempts < DELIVERY_ATTEMPTS && !expired => {
                tracing::debug!(relay.url = relay, event.id = %event.id, reason, "not delivered yet");
                let pause = BACKOFF.delay(delivery.attempts.saturating_sub(1), &mut rand::rng());
                DeliveryOutcome::Again(self.now() + pause.as_secs().max(1) as i64)
            }
            Taken::Refused(reason) | Taken::NotNow(reason) => {
                tracing::debug!(relay.url = relay, event.id = %event.id, reason, "not delivered");
                DeliveryOutcome::Over
            }
        }
    }
}
