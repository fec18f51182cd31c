//! The database goes away in the middle of a scan.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bigbrotr_core::service::Health;
use bigbrotr_crawler::synchronizer::SynchronizerConfig;
use bigbrotr_testkit::TcpProxy;
use bigbrotr_testkit::relay::faults::{Fault, Order, ReadFault};

use super::support::{Running, World, config, notes, now, relay_with, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_of_the_database_is_waited_for_and_loses_nothing() {
    let faults = [
        Fault::from(ReadFault::Cap {
            events: 50,
            order: Order::NewestFirst,
        }),
        Fault::from(ReadFault::Latency(Duration::from_millis(100))),
    ];
    let relay = relay_with(notes(51, 600, 60), faults).await;
    let world = World::of(&[&relay]).await;
    let port = world.database.port();
    let proxy = TcpProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let proxy = proxy.await.unwrap();
    let store = world.connect(proxy.address().port()).await;
    let running = Running::start(
        store,
        SynchronizerConfig {
            request_timeout: Duration::from_secs(5),
            ..config()
        },
    );
    until("the scan is under way", async || {
        relay.stats().events_sent >= 200
    })
    .await;
    proxy.cut();
    let mut health = running.health.clone();
    let degraded = health.wait_for(|health| matches!(health, Health::Degraded(_)));
    tokio::time::timeout(Duration::from_secs(30), degraded)
        .await
        .expect("an outage is reported")
        .unwrap();
    let sent = relay.stats().events_sent;
    tokio::time::sleep(Duration::from_secs(1)).await;
    // Nobody asks for more than can be written.
    assert!(relay.stats().events_sent <= sent + 100);
    assert!(!world.is_covered(&relay).await);

    proxy.restore();
    world.covered(&relay, now()).await;
    world.assert_holds(&[&relay]).await;
    assert_eq!(*running.health.borrow(), Health::Ready);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_during_an_outage_does_not_hang() {
    let relay = relay_with(
        notes(52, 600, 60),
        [ReadFault::Cap {
            events: 20,
            order: Order::NewestFirst,
        }],
    )
    .await;
    let world = World::of(&[&relay]).await;
    let port = world.database.port();
    let proxy = TcpProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let proxy = proxy.await.unwrap();
    let store = world.connect(proxy.address().port()).await;
    let running = Running::start(store, config());
    until("the scan is under way", async || {
        relay.stats().events_sent >= 40
    })
    .await;
    proxy.stall();
    tokio::time::sleep(Duration::from_millis(200)).await;
    running.stop().await;
    proxy.restore();

    let running = world.start(config());
    world.covered(&relay, now()).await;
    world.assert_holds(&[&relay]).await;
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_longer_than_the_lease_does_not_double_the_work() {
    let faults = [
        Fault::from(ReadFault::Cap {
            events: 20,
            order: Order::NewestFirst,
        }),
        Fault::from(ReadFault::Latency(Duration::from_millis(50))),
    ];
    let relay = relay_with(notes(53, 1_000, 60), faults).await;
    let world = World::of(&[&relay]).await;
    let port = world.database.port();
    let proxy = TcpProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    let proxy = proxy.await.unwrap();
    let store = world.connect(proxy.address().port()).await;
    let running = Running::start(
        store,
        SynchronizerConfig {
            lease: Duration::from_secs(2),
            interval: Duration::from_mins(5),
            request_timeout: Duration::from_secs(5),
            ..config()
        },
    );
    until("the scan is under way", async || {
        relay.stats().events_sent >= 200
    })
    .await;
    proxy.cut();
    proxy.stall();
    tokio::time::sleep(Duration::from_secs(4)).await;
    proxy.restore();
    world.covered(&relay, now() - 60).await;
    world.assert_holds(&[&relay]).await;
    assert_eq!(relay.stats().sessions, 1);
    running.stop().await;
}
