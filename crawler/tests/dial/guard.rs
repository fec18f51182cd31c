//! Which addresses are dialled, and how many connections at once.

use std::net::Ipv4Addr;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::network::Network;
use bigbrotr_crawler::dial::{DialError, Dialer, NetworksConfig, Phase, Target};
use bigbrotr_testkit::{SimRelay, SimRelayConfig};
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::support::{NoDns, SilentDns, dialer, named, private};

#[tokio::test]
async fn special_addresses_are_refused_in_every_spelling() {
    let dialer = dialer(NetworksConfig::default());
    for host in [
        "127.0.0.1",
        "::1",
        "localhost",
        "LOCALHOST.",
        "a.localhost",
        "10.0.0.1",
        "169.254.169.254",
        "::ffff:127.0.0.1",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "2001:0:7f00:1::",
        "::7f00:1",
        "fe80::1",
        "0.0.0.0",
        "100.64.0.1",
        "127.1",
        "0x7f.1",
        "0177.0.0.1",
        "2130706433",
        "0",
    ] {
        let error = dialer
            .dial(&Target::new(host, 80, false))
            .await
            .unwrap_err();
        assert!(
            matches!(error, DialError::SpecialAddress { .. }),
            "{host}: {error}"
        );
        assert!(error.is_permanent() && !error.is_ours());
        assert_eq!(
            (error.reason(), error.phase()),
            ("special_address", Phase::Resolve)
        );
    }
}

#[tokio::test]
async fn a_name_is_judged_by_what_it_resolves_to() {
    let names: &[(&str, &[&str])] = &[
        ("rebind.example", &["10.0.0.1", "fd00::1"]),
        ("empty.example", &[]),
    ];
    let dialer = named(NetworksConfig::default(), names);
    let dial = async |host| {
        dialer
            .dial(&Target::new(host, 80, false))
            .await
            .unwrap_err()
            .reason()
    };
    assert_eq!(dial("rebind.example").await, "special_address");
    assert_eq!(dial("empty.example").await, "dns_no_address");
    assert_eq!(dial("other.example").await, "dns_not_found");
}

#[tokio::test]
async fn what_is_no_name_is_asked_of_nobody() {
    let dialer = Dialer::with(private(), Arc::new(NoDns), &[]).unwrap();
    for host in [
        "",
        "::1%lo",
        "[::1]",
        "256.1.1.1",
        "a b",
        "a,b.com",
        "caf\u{e9}.com",
    ] {
        let target = Target::new(host, 80, false);
        let error = dialer.dial(&target).await.unwrap_err();
        assert_eq!(error.reason(), "dns_invalid_name", "{host}");
        assert!(error.is_permanent());
    }
}

#[tokio::test]
async fn private_addresses_are_dialled_where_the_operator_allows_them() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let port = relay.address().port();
    // Nothing listens on ::1: the next address is tried at once.
    let dialer = named(private(), &[("relay.example", &["::1", "127.0.0.1"])]);
    let connection = dialer
        .dial(&Target::new("relay.example", port, false))
        .await
        .unwrap();
    assert_eq!(connection.remote_ip, Some(Ipv4Addr::LOCALHOST.into()));
    assert!(connection.timings.resolve.is_some() && connection.timings.tcp.is_some());
    assert!(connection.timings.proxy.is_none() && connection.tls.is_none());
}

#[tokio::test]
async fn overlay_names_never_reach_dns_even_when_their_network_is_off() {
    let dialer = Dialer::with(private(), Arc::new(NoDns), &[]).unwrap();
    for (host, network) in [
        ("abc.onion", Network::Tor),
        ("abc.ONION.", Network::Tor),
        ("a.i2p", Network::I2p),
    ] {
        let error = dialer
            .dial(&Target::new(host, 80, false))
            .await
            .unwrap_err();
        assert!(
            matches!(error, DialError::Disabled { network: n } if n == network),
            "{error}"
        );
        assert!(error.is_ours());
    }
    let without_dns = dialer
        .dial(&Target::new("127.0.0.1", 1, false))
        .await
        .unwrap_err();
    assert_eq!(without_dns.reason(), "connect_refused");
}

#[tokio::test(start_paused = true)]
async fn a_silent_name_server_is_given_up_in_its_phase() {
    let dialer = Dialer::with(NetworksConfig::default(), Arc::new(SilentDns), &[]).unwrap();
    let error = dialer
        .dial(&Target::new("relay.example", 443, true))
        .await
        .unwrap_err();
    assert!(
        matches!(
            error,
            DialError::TimedOut {
                phase: Phase::Resolve,
                ..
            }
        ),
        "{error}"
    );
    assert_eq!(error.reason(), "dns_timeout");
}

#[tokio::test]
async fn open_connections_hold_their_slots_until_they_are_dropped() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let one = NonZeroU32::new(1).unwrap();
    for per_network in [true, false] {
        let mut config = private();
        if per_network {
            config.clearnet.max_connections = one;
        } else {
            config.clearnet.max_connections_per_ip = one;
        }
        let dialer = dialer(config);
        let target = Target::new("127.0.0.1", port, false);
        let first = dialer.dial(&target).await.unwrap();
        let wait = Duration::from_millis(50);
        assert!(
            timeout(wait, dialer.dial(&target)).await.is_err(),
            "a second slot was given"
        );
        drop(first);
        let second = dialer.dial(&target).await.unwrap();
        assert!(second.timings.total() < Duration::from_secs(1));
    }
}
