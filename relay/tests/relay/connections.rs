//! Taking connections and letting them go.

use std::sync::Arc;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::event::Pubkey;
use bigbrotr_relay::{RelayConfig, RelayService};
use bigbrotr_schema::testing::test_store;
use bigbrotr_testkit::TestClient;
use bigbrotr_testkit::client::ClientError;
use prometheus::Registry;

use crate::helper::{Sent, filter, next, relay, relay_with};

#[tokio::test(flavor = "multi_thread")]
async fn a_port_in_use_is_an_error_with_a_hint_before_anything_runs() {
    let (store, _database) = test_store().await;
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let config = RelayConfig {
        listen: taken.local_addr().unwrap(),
        ..RelayConfig::default()
    };
    let (registry, clock) = (Registry::new(), Arc::new(SystemClock));
    let service = RelayService::new(config, store, Pubkey([1; 32]), clock, &registry).unwrap();
    let error = service.bind().await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("cannot listen on {}", taken.local_addr().unwrap())
    );
    assert!(
        error
            .hint()
            .unwrap()
            .contains("set relay.listen to another port")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_limited_in_all_and_per_address() {
    for per_ip in [true, false] {
        let relay = relay_with(|config| {
            let limits = &mut config.limits;
            if per_ip {
                limits.max_connections_per_ip = 2;
            } else {
                limits.max_connections = 2;
            }
        })
        .await;
        let mut first = relay.client().await;
        let _second = relay.client().await;
        let refused = TestClient::connect(&relay.url()).await.unwrap_err();
        let status = if per_ip { "429" } else { "503" };
        assert!(format!("{refused:?}").contains(status), "{refused:?}");
        first.next().await.unwrap();
        first.close().await.unwrap();
        // The place is free again, as soon as the relay has noticed.
        let mut free = false;
        for _ in 0..50 {
            free = TestClient::connect(&relay.url()).await.is_ok();
            if free {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        assert!(free);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_the_clients_address_counts() {
    use bigbrotr_testkit::client::http_get;
    let relay = relay_with(|config| {
        config.trusted_proxies = ["127.0.0.1".parse().unwrap()].into();
        config.limits.max_connections_per_ip = 1;
    })
    .await;
    // Takes the only place of 127.0.0.1.
    let _client = relay.client().await;
    let handshake = |forwarded: &'static str| {
        [
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("X-Forwarded-For", forwarded),
        ]
    };
    let short = std::time::Duration::from_millis(500);
    // The proxy does not know who it is: that is all that is known.
    let refused = http_get(&relay.http_url(), &handshake("192.0.2.7, unknown"), short).await;
    assert_eq!(refused.unwrap().status, 429);
    // A WebSocket goes on for ever, as far as an HTTP client can tell.
    let accepted = http_get(&relay.http_url(), &handshake("127.0.0.1, 192.0.2.7"), short).await;
    assert!(
        matches!(accepted, Err(ClientError::Timeout { .. })),
        "{accepted:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn on_stop_subscribers_are_told_and_everything_ends() {
    let relay = relay().await;
    let mut client = relay.client().await;
    client.req_until_eose("a", &[filter("{}")]).await.unwrap();
    let idle = relay.client().await;
    let (closed, ()) = tokio::join!(next(&mut client, "a"), relay.stop());
    assert_eq!(
        closed,
        Sent::Closed("error: the relay is shutting down".into())
    );
    let end = client.next().await.unwrap_err();
    assert!(
        matches!(end, ClientError::Closed { code: Some(1001) }),
        "{end:?}"
    );
    assert!(TestClient::connect(&relay.url()).await.is_err());
    drop(idle);
    assert_eq!(relay.metric("bigbrotr_relay_connections") as u64, 0);
    assert_eq!(relay.metric("bigbrotr_relay_subscriptions") as u64, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_service_can_run_again() {
    use bigbrotr_core::service::{Service, ServiceContext};
    use tokio_util::sync::CancellationToken;
    let (store, _database) = test_store().await;
    let config = RelayConfig {
        listen: "127.0.0.1:0".parse().unwrap(),
        ..RelayConfig::default()
    };
    let (registry, clock) = (Registry::new(), Arc::new(SystemClock));
    let service = RelayService::new(config, store, Pubkey([1; 32]), clock, &registry).unwrap();
    let address = service.bind().await.unwrap();
    for _ in 0..2 {
        let stop = CancellationToken::new();
        let (context, mut health) = ServiceContext::new(stop.clone());
        let running = context.tasks.spawn(service.clone().run(context.clone()));
        health
            .wait_for(|health| health.as_str() == "ready")
            .await
            .unwrap();
        let mut client = TestClient::connect(&format!("ws://{address}"))
            .await
            .unwrap();
        client.req_until_eose("a", &[filter("{}")]).await.unwrap();
        stop.cancel();
        running.await.unwrap().unwrap();
        context.tasks.close();
        context.tasks.wait().await;
    }
}
