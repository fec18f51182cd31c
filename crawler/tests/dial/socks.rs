//! Connections through SOCKS5 proxies, which resolve the names.

use std::sync::Arc;

use bigbrotr_core::network::Network;
use bigbrotr_crawler::dial::{Dialer, NetworksConfig, Phase, Target};
use bigbrotr_testkit::socks::{SocksFault, SocksServer};
use bigbrotr_testkit::{SimRelay, SimRelayConfig};

use crate::support::{NoDns, through};

fn over(server: &SocksServer) -> Dialer {
    let config = NetworksConfig {
        clearnet: through(server, Network::Clearnet),
        tor: through(server, Network::Tor),
        i2p: through(server, Network::I2p),
        loki: through(server, Network::Loki),
        ..NetworksConfig::default()
    };
    Dialer::with(config, Arc::new(NoDns), &[]).unwrap()
}

#[tokio::test]
async fn names_are_resolved_by_the_proxy() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let hosts = ["abc.onion", "def.i2p", "ghi.loki", "relay.example"];
    let table = hosts.map(|host| (format!("{host}:80"), relay.address()));
    let server = SocksServer::start(table).await.unwrap();
    let dialer = over(&server);
    for host in hosts {
        let connection = dialer.dial(&Target::new(host, 80, false)).await.unwrap();
        assert_eq!(connection.remote_ip, None);
        assert!(connection.timings.proxy.is_some() && connection.timings.resolve.is_none());
    }
    assert_eq!(server.requested(), hosts.map(|host| format!("{host}:80")));
}

#[tokio::test]
async fn special_addresses_are_not_asked_of_a_proxy() {
    let server = SocksServer::start([("127.0.0.1:80", ([127, 0, 0, 1], 9).into())])
        .await
        .unwrap();
    let dialer = over(&server);
    for host in [
        "127.0.0.1",
        "localhost",
        "192.168.1.1",
        "0x7f.1",
        "2130706433",
        "::1",
    ] {
        let error = dialer
            .dial(&Target::new(host, 80, false))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "special_address", "{host}");
    }
    // What a proxy may read as an address of its own.
    for host in ["::1%lo", "[::1]", "127.0.0.0.1"] {
        let error = dialer
            .dial(&Target::new(host, 80, false))
            .await
            .unwrap_err();
        assert_eq!(error.reason(), "dns_invalid_name", "{host}");
    }
    assert!(server.requested().is_empty());
}

#[tokio::test]
async fn the_fault_of_the_relay_is_told_from_that_of_the_proxy() {
    let server = SocksServer::start([("x.onion:80", ([127, 0, 0, 1], 9).into())])
        .await
        .unwrap();
    let dialer = over(&server);
    let target = Target::new("x.onion", 80, false);
    for (fault, reason) in [
        (SocksFault::Refuse(4), "proxy_host_unreachable"),
        (SocksFault::Refuse(5), "proxy_host_refused"),
        (SocksFault::Refuse(1), "proxy_general_failure"),
        (SocksFault::Refuse(2), "proxy_not_allowed"),
        (SocksFault::Refuse(3), "proxy_host_unreachable"),
        (SocksFault::Refuse(6), "proxy_host_unreachable"),
        (SocksFault::Refuse(7), "proxy_failed"),
        (SocksFault::Refuse(8), "proxy_failed"),
        // Tor's own code for an onion service whose descriptor is not found.
        (SocksFault::Refuse(0xf0), "proxy_failed"),
        (SocksFault::NoAcceptableMethod, "proxy_failed"),
        (SocksFault::WantsPassword, "proxy_failed"),
        (SocksFault::OtherVersion, "proxy_failed"),
        (SocksFault::Rubbish, "proxy_failed"),
        (SocksFault::HangUp, "proxy_failed"),
        (SocksFault::Mute, "proxy_timeout"),
        (SocksFault::Stall, "proxy_timeout"),
    ] {
        server.set_fault(Some(fault));
        let error = dialer.dial(&target).await.unwrap_err();
        assert_eq!(
            (error.reason(), error.phase()),
            (reason, Phase::Proxy),
            "{fault:?}"
        );
        assert!(!error.is_ours());
    }
    server.stop().await;
    let error = dialer.dial(&target).await.unwrap_err();
    assert_eq!(error.reason(), "proxy_down");
    assert!(
        error.is_ours(),
        "a proxy that is down says nothing about the relay"
    );
}
