//! The task that copies archived reports of other monitors (NIP-66) to the relay's own events, and
//! with them deletions and requests to vanish. What is served of them is then what is served of
//! any event here: the latest version, to every relay process, live and stored.

use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_core::service::ServiceContext;
use bigbrotr_core::vanish::is_same_relay;
use bigbrotr_schema::error::StoreError;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::limits::{MIRROR_INTERVAL, MIRROR_PAUSE};
use crate::shared::Shared;

/// Copies until the service has to stop: whenever something was `heard` of, and now and then.
pub(crate) async fn run(shared: &Shared, context: &ServiceContext, heard: &Notify) {
    let copying = async {
        loop {
            if let Err(error) = copy(shared).await {
                tracing::debug!(error = %error, "archived reports are not copied; trying again");
            }
            sleep(MIRROR_PAUSE).await;
            // Told or not, it looks again.
            let _told = timeout(MIRROR_INTERVAL, heard.notified()).await;
        }
    };
    tokio::select! {
        () = context.stop.cancelled() => {}
        () = copying => {}
    }
}

/// Copies everything that is archived at this moment.
async fn copy(shared: &Shared) -> Result<(), StoreError> {
    let public = shared.config.relay_url();
    let is_us = |named: &RelayUrl| public.as_ref().is_some_and(|url| is_same_relay(url, named));
    let barrier = shared.store.archive_barrier().await?;
    loop {
        match shared.store.is_barrier_passed(&barrier).await? {
            Some(true) => break,
            Some(false) => sleep(MIRROR_PAUSE).await,
            // Another server: its writers are other ones.
            None => return Ok(()),
        }
    }
    // While another process copies, it is not for this one to do.
    while let Some(step) = shared.store.mirror_step(&barrier, is_us).await? {
        shared.metrics.mirrored.inc_by(step.copied);
        if !step.more {
            break;
        }
    }
    Ok(())
}
