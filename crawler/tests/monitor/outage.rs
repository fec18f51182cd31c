//! The database goes away and comes back.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::TcpProxy;
use bigbrotr_testkit::relay::faults::ReadFault;
use nostr::Keys;

use crate::support::{Running, config, published, relay_with, stored, url_of};

#[tokio::test]
async fn an_outage_loses_no_check() {
    let (direct, database) = test_store().await;
    let server = SocketAddr::from((Ipv4Addr::LOCALHOST, database.port()));
    let proxy = TcpProxy::start(server).await.unwrap();
    let (there, here) = (
        format!(":{}", server.port()),
        format!(":{}", proxy.address().port()),
    );
    let url = database.url().replace(&there, &here);
    let settings = DatabaseConfig {
        acquire_timeout: Duration::from_millis(500),
        ..DatabaseConfig::default()
    };
    let store = Store::connect(&url, Arc::new(settings), Arc::new(SystemClock))
        .await
        .unwrap();
    let relay = relay_with([ReadFault::Latency(Duration::from_millis(600))]).await;
    direct.insert_relays(&[url_of(&relay)]).await.unwrap();

    let mut running = Running::start(&store, config(), &Keys::generate());
    running.until_health("ready").await;
    running.until(|progress| progress.in_flight == 1).await;
    proxy.cut();
    running.until_health("degraded").await;
    // The check ends while the database is away.
    while relay.stats().open_sessions > 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(running.monitor.progress().borrow().checked, 0);
    proxy.restore();
    running.until(|progress| progress.checked == 1).await;
    running.until_health("ready").await;
    running.stop().await;
    // What was found before is what was stored: the relay was not asked again.
    assert_eq!(relay.stats().sessions, 1);
    assert_eq!(stored(&direct, &url_of(&relay)).await["status"], "online");
    assert_eq!(published(&direct, 30_166).await.len(), 1);
}
