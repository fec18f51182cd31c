//! Keeps what the monitor says about itself current on our relay, and has it taken to others.

use bigbrotr_core::event::{Event, Pubkey};
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::store::StoredEvent;
use tokio::time::Instant;

use super::super::announcement::{ANNOUNCED_KINDS, announcements, date_after, is_news};
use super::super::draft::Draft;
use super::super::error::StepError;
use super::super::limits::ANNOUNCE_INTERVAL;
use super::super::service::MonitorService;
use crate::store_wait::bounded;

/// What the monitor says about itself, and when that was last compared.
pub(super) struct Presence {
    drafts: Vec<Draft>,
    /// The relays that publishing goes to beside ours are known to the database.
    targets_set: bool,
    compared_at: Option<Instant>,
}

impl Presence {
    pub(super) fn new(service: &MonitorService) -> Self {
        let networks = service.dialer.config();
        Self {
            drafts: announcements(
                &service.config,
                networks,
                service.relay.as_ref(),
                &service.targets,
            ),
            targets_set: false,
            compared_at: None,
        }
    }

    /// Publishes what has changed or got old; does nothing most of the time.
    pub(super) async fn announce(&mut self, service: &MonitorService) -> Result<(), StepError> {
        if let Some(compared_at) = self.compared_at
            && compared_at.elapsed() < ANNOUNCE_INTERVAL
        {
            return Ok(());
        }
        if !self.targets_set {
            let author = Pubkey(service.keys.public_key().to_bytes());
            bounded(
                service
                    .store
                    .set_report_targets(&service.targets, &author, &ANNOUNCED_KINDS),
            )
            .await?;
            self.targets_set = true;
        }
        for draft in &self.drafts {
            let current = current(service, draft.kind).await?;
            let now = service.clock.now();
            if !is_news(draft, current.as_ref(), now) {
                continue;
            }
            let event = draft
                .clone()
                .sign(&service.keys, date_after(current.as_ref(), now))?;
            let outcome = bounded(service.store.publish_report(&event)).await?;
            tracing::info!(
                event.id = %event.id,
                event.kind = event.kind,
                ?outcome,
                "monitor announced",
            );
            service.metrics.count_report(event.kind);
        }
        self.compared_at = Some(Instant::now());
        Ok(())
    }
}

/// Returns our event of a replaceable kind from our relay.
async fn current(service: &MonitorService, kind: u16) -> Result<Option<Event>, StepError> {
    let filter = Filter {
        authors: Some([Pubkey(service.keys.public_key().to_bytes())].into()),
        kinds: Some([kind].into()),
        ..Filter::default()
    };
    let events = bounded(service.store.query_relay_events(&filter, 1)).await?;
    let stored = events.first();
    Ok(stored.map(StoredEvent::event).transpose()?)
}
