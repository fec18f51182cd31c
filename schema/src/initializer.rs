//! The service that prepares the database: schema, roles, first relays. Safe to run again.

use std::sync::Arc;

use bigbrotr_core::relay_url::RelayUrl;
use bigbrotr_core::service::{Service, ServiceContext, ServiceFuture, ServiceName};

use crate::error::StoreError;
use crate::store::Store;

/// Migrates the database and adds the relays to begin with, then ends.
#[derive(Debug)]
pub struct Initializer {
    store: Store,
    relays: Vec<RelayUrl>,
}

impl Initializer {
    /// Makes the service; `relays` are the seed and priority relays.
    pub fn new(store: Store, relays: Vec<RelayUrl>) -> Arc<Self> {
        Arc::new(Self { store, relays })
    }

    async fn prepare(&self) -> Result<(), StoreError> {
        self.store.migrate().await?;
        let new = self.store.insert_relays(&self.relays).await?;
        tracing::info!(
            schema.version = Store::schema_version(),
            relays.given = self.relays.len(),
            relays.new = new,
            "the database is ready",
        );
        Ok(())
    }
}

impl Service for Initializer {
    fn name(&self) -> ServiceName {
        ServiceName::Initializer
    }

    fn run(self: Arc<Self>, context: ServiceContext) -> ServiceFuture {
        Box::pin(async move {
            self.prepare().await?;
            context.ready();
            Ok(())
        })
    }
}
