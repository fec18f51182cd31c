//! The relay as a service of the node: binding, running, stopping.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_core::event::Pubkey;
use bigbrotr_core::service::{Service, ServiceContext, ServiceError, ServiceFuture, ServiceName};
use bigbrotr_schema::store::Store;
use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::config::RelayConfig;
use crate::error::RelayError;
use crate::front;
use crate::hub::{archive, feed};
use crate::limits::EXPIRY_BATCH;
use crate::mirror;
use crate::shared::Shared;

/// The embedded relay.
///
/// Bind, then run: [`RelayService::bind`] before anything else starts makes a port in use an
/// error with a hint, and says which port 0 became.
pub struct RelayService {
    shared: Arc<Shared>,
    listening: Mutex<Listening>,
}

#[derive(Debug, Default)]
struct Listening {
    /// Bound and not yet taken by a run.
    listener: Option<TcpListener>,
    address: Option<SocketAddr>,
}

impl RelayService {
    /// Makes a relay with this key of its own: events by it are always accepted.
    ///
    /// # Errors
    /// [`RelayError::Metrics`] when the registry has the relay's metrics already.
    pub fn new(
        config: RelayConfig,
        store: Store,
        pubkey: Pubkey,
        clock: SharedClock,
        registry: &Registry,
    ) -> Result<Arc<Self>, RelayError> {
        let shared = Shared::new(config, store, pubkey, clock, registry)?;
        Ok(Arc::new(Self {
            shared: Arc::new(shared),
            listening: Mutex::default(),
        }))
    }

    /// Begins to listen, unless it does already; clients wait until the service runs. Returns the
    /// address.
    ///
    /// # Errors
    /// [`RelayError::Listen`] when the address cannot be had; see [`RelayError::hint`].
    pub async fn bind(&self) -> Result<SocketAddr, RelayError> {
        {
            let listening = self.listening();
            if let (Some(_), Some(address)) = (&listening.listener, listening.address) {
                return Ok(address);
            }
        }
        // Again after a crash: the port that it had, not another free one.
        let listen = self.local_addr().unwrap_or(self.shared.config.listen);
        let failed = |source| RelayError::Listen { listen, source };
        let listener = TcpListener::bind(listen).await.map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        *self.listening() = Listening {
            listener: Some(listener),
            address: Some(address),
        };
        Ok(address)
    }

    /// Returns the address that it listens or has listened on, once bound.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.listening().address
    }

    fn listening(&self) -> MutexGuard<'_, Listening> {
        self.listening
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, context: ServiceContext) -> Result<(), ServiceError> {
        let address = self.bind().await?;
        let Some(listener) = self.listening().listener.take() else {
            return Err("the relay is running already".into());
        };
        tracing::info!(listen = %address, "the relay listens");
        // However this ends, the sessions end with it.
        let stop = context.stop.child_token();
        let _sessions = stop.clone().drop_guard();
        let heard = Notify::new();
        tokio::join!(
            front::accept(&self.shared, listener, &context, &stop),
            feed::run(&self.shared, &context),
            archive::run(&self.shared, &context, &heard),
            mirror::run(&self.shared, &context, &heard),
            delete_expired(&self.shared, &context),
        );
        Ok(())
    }
}

impl Service for RelayService {
    fn name(&self) -> ServiceName {
        ServiceName::Relay
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        Box::pin(async move { Box::pin(self.serve(context)).await })
    }
}

impl std::fmt::Debug for RelayService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RelayService")
            .field("address", &self.local_addr())
            .finish_non_exhaustive()
    }
}

/// Deletes expired events (NIP-40) now and then, until the service has to stop.
async fn delete_expired(shared: &Shared, context: &ServiceContext) {
    let pause: Duration = shared.config.expiry_interval;
    while context.sleep(pause).await {
        loop {
            let deleted = tokio::select! {
                () = context.stop.cancelled() => return,
                deleted = shared.store.delete_expired_relay_events(EXPIRY_BATCH) => deleted,
            };
            match deleted {
                Ok(count) => {
                    shared.metrics.expired.inc_by(count);
                    if count < EXPIRY_BATCH.unsigned_abs() {
                        break;
                    }
                }
                // They are not served anyway, and there is a next time.
                Err(error) => {
                    tracing::debug!(error = %error, "expired events not deleted");
                    break;
                }
            }
        }
    }
}
