//! Answers of the data vending machine, delivered to the relays that requests name.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::event::Event;
use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_crawler::dial::Dialer;
use bigbrotr_crawler::session::{PublishOutcome, Session, SessionConfig};
use bigbrotr_dvm::dvm::ResultSink;
use nostr::Keys;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Answers that wait for their delivery. Further ones are dropped: they are on our relay anyway.
const QUEUE: usize = 1_000;

/// How long a relay may take for its OK.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// An answer and where it goes.
type Parcel = (Event, RelayUrl);

/// Takes answers and hands them to the task that delivers them.
pub(crate) struct Delivery {
    queue: mpsc::Sender<Parcel>,
    dialer: Dialer,
}

/// Delivers answers one after the other, through the guarded dialer.
pub(crate) struct Courier {
    parcels: mpsc::Receiver<Parcel>,
    dialer: Dialer,
    session: SessionConfig,
}

/// Makes both ends of the queue. `keys` are who we are to relays that demand authentication.
pub(crate) fn delivery(dialer: Dialer, keys: Keys) -> (Arc<Delivery>, Courier) {
    let (queue, parcels) = mpsc::channel(QUEUE);
    let session = SessionConfig {
        keys: Some(keys),
        ..SessionConfig::default()
    };
    let courier = Courier {
        parcels,
        dialer: dialer.clone(),
        session,
    };
    (Arc::new(Delivery { queue, dialer }), courier)
}

impl ResultSink for Delivery {
    fn send(&self, event: &Event, relays: &[String]) {
        let policy = self.dialer.config().url_policy();
        for text in relays {
            match RelayUrl::parse(text, &policy) {
                Ok(url) => {
                    if self.queue.try_send((event.clone(), url)).is_err() {
                        tracing::warn!("too many answers to deliver: one is on our relay only");
                    }
                }
                Err(error) => tracing::debug!(%error, "a request names an unusable relay"),
            }
        }
    }
}

impl Courier {
    /// Delivers until `stop` is cancelled.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        loop {
            let parcel = tokio::select! {
                () = stop.cancelled() => return,
                parcel = self.parcels.recv() => parcel,
            };
            let Some((event, url)) = parcel else { return };
            tokio::select! {
                () = stop.cancelled() => return,
                () = Box::pin(self.deliver(&event, &url)) => {}
            }
        }
    }

    async fn deliver(&self, event: &Event, url: &RelayUrl) {
        let mut session = match Session::connect(&self.dialer, url, &self.session).await {
            Ok(session) => session,
            Err(error) => {
                tracing::debug!(relay.url = %url, %error, "cannot deliver an answer");
                return;
            }
        };
        let outcome = session.publish(event, ANSWER_TIMEOUT).await;
        if !matches!(outcome, PublishOutcome::Accepted { .. }) {
            tracing::debug!(relay.url = %url, ?outcome, "an answer was not taken");
        }
        session.close().await;
    }
}
