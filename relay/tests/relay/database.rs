//! A database that goes away and comes back.

use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_testkit::TcpProxy;
use bigbrotr_testkit::client::End;

use crate::helper::{Sent, filter, next, note, now, publish, relay_on};

#[tokio::test]
async fn while_the_database_is_away_clients_are_told_and_afterwards_all_is_well() {
    let (_, database) = bigbrotr_schema::testing::test_store().await;
    let proxy = TcpProxy::start(([127, 0, 0, 1], database.port()).into())
        .await
        .unwrap();
    let through = proxy.address().port();
    let mut relay = relay_on(|database| {
        let url = database.url();
        let port = format!(":{}/", database.port());
        DatabaseConfig {
            url: url.replace(&port, &format!(":{through}/")).into(),
            acquire_timeout: std::time::Duration::from_secs(1),
            ..DatabaseConfig::default()
        }
    })
    .await;
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
