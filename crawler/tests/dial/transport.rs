//! nostr-sdk clients over the dialer.

use std::time::Duration;

use bigbrotr_crawler::dial::transport::GuardedTransport;
use bigbrotr_crawler::dial::websocket::WebSocketLimits;
use bigbrotr_crawler::dial::{Dialer, NetworksConfig};
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::faults::{ReadFault, Wire};
use bigbrotr_testkit::{EventMaker, SimRelay, SimRelayConfig};
use nostr_sdk::{Client, Filter, Kind, RelayOptions};

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
    let dialer = dialer(private());
    let client = client(dialer.clone());
    client.add_relay(relay.url()).await.unwrap();
    client.connect().await;
    let filter = Filter::new().kind(Kind::TextNote);
    let events = client
        .fetch_events(filter, Duration::from_secs(5))
        .await
        .unwrap();
    assert_eq!(events.len(), 1);
    client.shutdown().await;
    // The event is in what was counted, and no more than was sent.
    let (counted, sent) = (dialer.traffic().read_bytes(), relay.stats().bytes_out);
    assert!((300..=sent).contains(&counted), "{counted} of {sent}");
    assert!(dialer.traffic().written_bytes() > 100);
}

#[tokio::test]
async fn an_sdk_client_receives_no_more_than_its_connections_may() {
    let flood = ReadFault::Answer(Wire::notices());
    let relay = SimRelay::start(SimRelayConfig::with_faults([flood]))
        .await
        .unwrap();
    let dialer = dialer(private());
    let transport = GuardedTransport::new(dialer.clone(), WebSocketLimits::default());
    let transport = transport.with_max_bytes(20_000);
    let client = Client::builder().websocket_transport(transport).build();
    let options = RelayOptions::new().reconnect(false);
    client.pool().add_relay(relay.url(), options).await.unwrap();
    client.connect().await;
    let filter = Filter::new().kind(Kind::TextNote);
    let fetch = client.fetch_events(filter, Duration::from_secs(5));
    let fetched = tokio::time::timeout(Duration::from_mins(2), fetch).await;
    assert!(fetched.is_ok(), "the fetch does not end");
    client.shutdown().await;
    assert_eq!(dialer.traffic().read_bytes(), 20_000);
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
