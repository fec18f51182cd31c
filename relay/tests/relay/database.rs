//! A database that goes away and comes back.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::store::Store;
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::TcpProxy;
use bigbrotr_testkit::client::End;

use crate::helper::{Sent, filter, launch, next, note, now, publish};

/// A relay's database behind a proxy.
async fn store_behind_proxy() -> (Store, TestDatabase, TcpProxy) {
    let (_, database) = test_store().await;
    let target = ([127, 0, 0, 1], database.port()).into();
    let proxy = TcpProxy::start(target).await.unwrap();
    let (direct, through) = (
        format!(":{}/", database.port()),
        format!(":{}/", proxy.address().port()),
    );
    let config = DatabaseConfig {
        acquire_timeout: Duration::from_secs(1),
        ..DatabaseConfig::default()
    };
    let url = database.url().replace(&direct, &through);
    let store = Store::connect(&url, Arc::new(config), Arc::new(SystemClock));
    (store.await.unwrap(), database, proxy)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_starts_before_its_database_waits_for_it() {
    let (store, database, proxy) = store_behind_proxy().await;
    proxy.cut();
    let mut relay = launch(store, database, |_| {}).await;
    relay.becomes(|health| health.as_str() == "degraded").await;
    let mut client = relay.client().await;
    let refused = client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    let starting = "error: the relay is starting, try again in a moment";
    assert_eq!(refused.end, End::Closed(starting.into()));
    proxy.restore();
    relay.becomes(|health| health.as_str() == "ready").await;
    let answered = client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    assert_eq!(answered.end, End::Eose);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_database_is_away_clients_are_told_and_afterwards_all_is_well() {
    let (store, database, proxy) = store_behind_proxy().await;
    let mut relay = launch(store, database, |_| {}).await;
    relay.becomes(|health| health.as_str() == "ready").await;
    let mut client = relay.client().await;
    client
        .req_until_eose("before", &[filter("{}")])
        .await
        .unwrap();

    proxy.cut();
    relay.becomes(|health| health.as_str() == "degraded").await;
    let (accepted, message) = client.publish(&note(now(), "x")).await.unwrap();
    assert_eq!(
        (accepted, message.as_str()),
        (false, "error: the database is away, try again later")
    );
    let refused = client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    let End::Closed(reason) = refused.end else {
        panic!("answered without a database");
    };
    assert_eq!(reason, "error: the database is away, try again later");

    proxy.restore();
    relay.becomes(|health| health.as_str() == "ready").await;
    // The subscription from before has lived on.
    let mut other = relay.client().await;
    let live = note(now(), "y");
    publish(&mut other, &live).await;
    assert_eq!(next(&mut client, "before").await, Sent::Event(live));
}
