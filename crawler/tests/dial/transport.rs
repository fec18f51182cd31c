//! nostr-sdk clients over the dialer.

use std::time::Duration;

use bigbrotr_crawler::dial::transport::GuardedTransport;
use bigbrotr_crawler::dial::websocket::WebSocketLimits;
use bigbrotr_crawler::dial::{Dialer, NetworksConfig};
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::{EventMaker, SimRelay, SimRelayConfig};
use nostr_sdk::{Client, Filter, Kind};

use crate::support::{dialer, private};

fn client(dialer: Dialer) -> Client {
    let transport = GuardedTransport::new(dialer, WebSocketLimits::default());
    Client::builder().websocket_transport(transport).build()
}

#[tokio::test]
async fn an_sdk_client_reads_through_the_dialer() {
    let event = EventMaker::new(1_700_000_000)
        .content("hello")
        .sign(&author_keys(1, 0));
    let relay = SimRelay::start(SimRelayConfig::with_events([event]))
        .await
        .unwrap();
    let client = client(dialer(private()));
    client.add_relay(relay.url()).await.unwrap();
    client.connect().await;
    let filter = Filter::new().kind(Kind::TextNote);
    let events = client
        .fetch_events(filter, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(events.len(), 1);
    client.shutdown().await;
}

#[tokio::test]
async fn an_sdk_client_is_under_the_same_guard() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let client = client(dialer(NetworksConfig::default()));
    client.add_relay(relay.url()).await.unwrap();
    let output = client.try_connect(Duration::from_secs(2)).await;
    assert!(output.success.is_empty() && output.failed.len() == 1);
    assert_eq!(relay.stats().connections, 0);
    client.shutdown().await;
}
