//! The database goes away and comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::config::Secret;
use bigbrotr_core::service::Health;
use bigbrotr_dvm::DvmService;
use bigbrotr_dvm::ask::JobRequest;
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::store::Store;
use bigbrotr_testkit::TcpProxy;

use crate::support::{Running, World, eventually, get, is_final, open, quick};

/// A proxy before the world's database, and its URL through it.
async fn proxy(world: &World) -> (TcpProxy, String) {
    let port = world.database.port();
    let proxy = TcpProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        .await
        .unwrap();
    let url = world.database.url();
    let through = url.replace(
        &format!(":{port}/"),
        &format!(":{}/", proxy.address().port()),
    );
    assert_ne!(url, through);
    (proxy, through)
}

async fn connect(url: &str, config: DatabaseConfig) -> Store {
    let config = DatabaseConfig {
        acquire_timeout: Duration::from_secs(1),
        ..config
    };
    let clock = Arc::new(SystemClock);
    Store::connect(url, Arc::new(config), clock).await.unwrap()
}

fn service(world: &World, catalog: Arc<Catalog>, store: Store) -> Arc<DvmService> {
    let (keys, registry) = (world.node.clone(), prometheus::Registry::new());
    DvmService::new(
        quick(),
        catalog,
        store,
        keys,
        Arc::new(SystemClock),
        &registry,
    )
    .unwrap()
}

#[tokio::test]
async fn requests_from_during_an_outage_are_answered_after_it() {
    let world = World::new().await;
    let (proxy, url) = proxy(&world).await;
    let store = connect(&url, DatabaseConfig::default()).await;
    let catalog = Arc::new(Catalog::load(store.clone(), &[]).await.unwrap());
    let mut dvm = Running::start(service(&world, catalog, store)).await;
    proxy.cut();
    let id = world.send(&JobRequest::new("events.stats")).await;
    dvm.until(|health| matches!(health, Health::Degraded(_)))
        .await;
    proxy.restore();
    assert_eq!(world.answer(id).await.kind, 6450);
    dvm.until(|health| *health == Health::Ready).await;
    // Notifications are back too: this one is not left to polling alone.
    let id = world.send(&JobRequest::new("catalog")).await;
    assert_eq!(world.answer(id).await.kind, 6450);
    dvm.stop().await;
}

#[tokio::test]
async fn a_job_waits_while_the_replica_is_away_and_rest_says_so() {
    let world = World::new().await;
    let (proxy, replica) = proxy(&world).await;
    let config = DatabaseConfig {
        replica_url: Secret::new(replica),
        ..DatabaseConfig::default()
    };
    let store = connect(&world.database.url(), config).await;
    let catalog = Arc::new(Catalog::load(store.clone(), &[]).await.unwrap());
    let mut dvm = Running::start(service(&world, catalog.clone(), store)).await;
    let world = World { catalog, ..world };
    let (api, address) = world.start_api(open()).await;
    proxy.cut();
    let id = world.send(&JobRequest::new("events.stats")).await;
    dvm.until(|health| matches!(health, Health::Degraded(_)))
        .await;
    let answers = world.answers(id).await;
    assert!(!answers.iter().any(is_final), "{answers:?}");

    let refused = get(address, "/v1/events/stats").await;
    assert_eq!(refused.status, 503);
    assert!(!refused.header("retry-after").is_empty());
    assert!(
        refused
            .text()
            .starts_with(r#"{"error":{"code":"unavailable""#)
    );

    proxy.restore();
    assert_eq!(world.answer(id).await.kind, 6450);
    eventually("an HTTP answer", async || {
        (get(address, "/v1/events/stats").await.status == 200).then_some(())
    })
    .await;
    dvm.until(|health| *health == Health::Ready).await;
    api.stop().await;
    dvm.stop().await;
}
