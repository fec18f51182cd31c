//! Names that change their minds: what is judged is what is connected to, each time anew.
//!
//! Public addresses stand for this machine here, so the whole guard is up and a real socket is
//! behind it.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_crawler::dial::http::{HttpError, HttpOptions, get};
use bigbrotr_crawler::dial::transport::GuardedTransport;
use bigbrotr_crawler::dial::websocket::WebSocketLimits;
use bigbrotr_crawler::dial::{DialError, NetworksConfig, Target};
use bigbrotr_testkit::relay::faults::InformationFault;
use bigbrotr_testkit::{SimRelay, SimRelayConfig};
use nostr_sdk::Client;

use crate::support::{Detour, Fickle, HERE, NOWHERE, guarded};

fn options() -> HttpOptions {
    HttpOptions {
        timeout: Duration::from_secs(5),
        ..HttpOptions::default()
    }
}

#[tokio::test]
async fn of_a_public_and_a_private_address_only_the_public_one_is_connected_to() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let detour = Arc::new(Detour::default());
    let names = Fickle::new(&[&["10.0.0.1", "::1", HERE, "127.0.0.1", "::ffff:8.8.8.8"]]);
    let dialer = guarded(NetworksConfig::default(), names, &detour);
    let target = Target::new("relay.example", relay.address().port(), false);
    let dialed = dialer.dial(&target).await.unwrap();
    assert_eq!(dialed.remote_ip, Some(HERE.parse().unwrap()));
    assert_eq!(detour.seen(), [HERE]);
}

#[tokio::test]
async fn a_private_address_is_not_the_way_out_when_the_public_one_fails() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let detour = Arc::new(Detour::default());
    let names = Fickle::new(&[&["1.1.1.1", "127.0.0.1"]]);
    let dialer = guarded(NetworksConfig::default(), names, &detour);
    let target = Target::new("relay.example", relay.address().port(), false);
    let error = dialer.dial(&target).await.unwrap_err();
    assert_eq!(error.reason(), "connect_refused");
    assert_eq!(detour.seen(), ["1.1.1.1"]);
    assert_eq!(relay.stats().connections, 0);
}

#[tokio::test]
async fn a_name_that_turns_private_is_refused_from_then_on() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let detour = Arc::new(Detour::default());
    let names = Fickle::new(&[&[HERE], &["127.0.0.1"]]);
    let dialer = guarded(NetworksConfig::default(), names, &detour);
    let target = Target::new("relay.example", relay.address().port(), false);
    dialer.dial(&target).await.unwrap();
    for _ in 0..2 {
        let error = dialer.dial(&target).await.unwrap_err();
        assert_eq!(error.reason(), "special_address");
    }
    assert_eq!(detour.seen(), [HERE]);
}

#[tokio::test]
async fn a_redirect_is_judged_as_a_first_request_is() {
    let port = |relay: &SimRelay| relay.address().port();
    let home = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let url = format!("http://relay.example:{}/", port(&relay));
    for to in [
        // To itself, and the name has turned private meanwhile.
        url.clone(),
        format!("http://other.example:{}/", port(&home)),
        format!("http://2130706433:{}/", port(&home)),
        format!("http://0x7f.1:{}/", port(&home)),
        format!("http://0177.0.0.1:{}/", port(&home)),
        format!("http://[::ffff:127.0.0.1]:{}/", port(&home)),
        format!("http://0:{}/", port(&home)),
        format!("//127.1:{}/", port(&home)),
        format!("http://me:secret@LOCALHOST.:{}/", port(&home)),
    ] {
        relay.set_faults([InformationFault::Redirect(to.clone())]);
        let detour = Arc::new(Detour::default());
        let names = Fickle::new(&[&[HERE], &["127.0.0.1", "fd00::1"]]);
        let dialer = guarded(NetworksConfig::default(), names, &detour);
        let error = get(&dialer, &url, &options()).await.unwrap_err();
        assert!(
            matches!(error, HttpError::Dial(DialError::SpecialAddress { .. })),
            "{to}: {error}"
        );
        assert_eq!(detour.seen(), [HERE], "{to}");
    }
    assert_eq!(home.stats().connections, 0);
}

#[tokio::test]
async fn an_sdk_client_that_comes_back_is_under_the_guard_again() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let detour = Arc::new(Detour::default());
    let names = Fickle::new(&[&[HERE], &["127.0.0.1"]]);
    let dialer = guarded(NetworksConfig::default(), names, &detour);
    let transport = GuardedTransport::new(dialer.clone(), WebSocketLimits::default());
    let connect = async || {
        let client = Client::builder().websocket_transport(transport.clone());
        let client = client.build();
        let url = format!("ws://relay.example:{}", relay.address().port());
        client.add_relay(url).await.unwrap();
        let output = client.try_connect(Duration::from_secs(5)).await;
        client.shutdown().await;
        output.success.len()
    };
    assert_eq!(connect().await, 1);
    assert!(dialer.traffic().read_bytes() > 0, "its bytes are counted");
    assert_eq!(connect().await, 0);
    assert_eq!(detour.seen(), [HERE]);
    assert_eq!(relay.stats().connections, 1);
}

#[tokio::test]
async fn a_stalled_address_does_not_keep_the_next_one_from_winning() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let detour = Arc::new(Detour::default());
    let names = Fickle::new(&[&[NOWHERE, HERE]]);
    let dialer = guarded(NetworksConfig::default(), names, &detour);
    let target = Target::new("relay.example", relay.address().port(), false);
    let dialed = dialer.dial(&target).await.unwrap();
    assert_eq!(dialed.remote_ip, Some(HERE.parse().unwrap()));
    assert_eq!(detour.seen(), [NOWHERE, HERE]);
}
