//! What a check finds, without any database.

use std::num::NonZeroU32;
use std::time::Duration;

use bigbrotr_core::message::ReplyPrefix;
use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_crawler::dial::{NetworkConfig, NetworksConfig};
use bigbrotr_crawler::monitor::{
    CheckResult, MonitorConfig, OpenFinding, Requirements, check_relay, findings, relay_report,
};
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::{ConnectionFault, ReadFault, WriteFault};
use bigbrotr_testkit::relay::{AuthPolicy, SimRelayConfig, TestAuthority, TlsConfig, TlsKind};
use nostr::Keys;

use crate::support::{
    HOST, check, config, dialer, healthy_relay, impatient, networks, relay_with, url_of,
};

fn failure(result: &CheckResult) -> &'static str {
    match result.open {
        OpenFinding::Failed { reason, .. } => reason,
        OpenFinding::Open(_) => "open",
    }
}

#[tokio::test]
async fn a_healthy_relay_passes_every_question() {
    let relay = healthy_relay().await;
    let result = check(&relay, &config()).await;
    assert!(result.is_online() && result.open_rtt().unwrap() > Duration::ZERO);
    for probe in [result.read.unwrap(), result.write.unwrap()] {
        assert!(probe.ok && probe.rtt.is_some(), "{probe:?}");
    }
    let nips = result.information().unwrap().supported_nips.clone();
    assert!(nips.unwrap().contains(&77));
    assert_eq!(result.remote_ip, Some([127, 0, 0, 1].into()));
    let stats = relay.stats();
    assert_eq!((stats.sessions, stats.information_requests), (1, 1));
    // The write probe was ephemeral.
    assert_eq!((stats.events_received, relay.event_count()), (1, 0));
}

#[tokio::test]
async fn what_is_switched_off_is_not_asked() {
    let relay = healthy_relay().await;
    let config = MonitorConfig {
        read: false,
        write: false,
        nip11: false,
        dns: false,
        count: false,
        search: false,
        negentropy: false,
        ..config()
    };
    let result = check(&relay, &config).await;
    assert!(result.is_online());
    assert_eq!((result.read, result.write), (None, None));
    assert_eq!(
        (&result.information, &result.headers, &result.dns),
        (&None, &None, &None)
    );
    let stats = relay.stats();
    assert_eq!(
        (
            stats.req_count,
            stats.events_received,
            stats.information_requests
        ),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn a_relay_that_wants_authentication_is_online_and_not_readable() {
    for (auth, challenge) in [(AuthPolicy::Reads, None), (AuthPolicy::Open, Some(false))] {
        let relay = SimRelay::start(SimRelayConfig {
            auth,
            faults: challenge
                .map(|challenge| ReadFault::AuthRequired { challenge }.into())
                .into_iter()
                .collect(),
            ..SimRelayConfig::default()
        });
        let result = check(&relay.await.unwrap(), &config()).await;
        let read = result.read.unwrap();
        assert_eq!((read.ok, read.reason), (false, Some("auth-required")));
        assert_eq!(Requirements::of(&result).auth, Some(true));
        let report = relay_report(&result).unwrap();
        let has = |name: &str| report.tags.iter().any(|tag| tag[0] == name);
        assert!(
            has("rtt-open") && has("rtt-write") && !has("rtt-read"),
            "{report:?}"
        );
    }
}

#[tokio::test]
async fn a_refused_write_is_policy_and_not_a_failure() {
    for (message, reason) in [
        (ReplyPrefix::Blocked.message("not you"), "blocked"),
        (ReplyPrefix::Pow.message("28 bits"), "pow"),
        (
            ReplyPrefix::Restricted.message("members only"),
            "restricted",
        ),
        ("author is not known".to_owned(), "refused"),
    ] {
        let relay = relay_with([WriteFault::Refuse(message)]).await;
        let result = check(&relay, &config()).await;
        let write = result.write.unwrap();
        assert_eq!((write.ok, write.reason), (false, Some(reason)));
        assert!(result.is_online() && result.read.unwrap().ok);
        let report = relay_report(&result).unwrap();
        assert!(report.tags.iter().all(|tag| tag[0] != "rtt-write"));
    }
}

#[tokio::test]
async fn an_answer_for_another_event_is_none() {
    let relay = relay_with([WriteFault::WrongId]).await;
    let write = check(&relay, &impatient()).await.write.unwrap();
    assert_eq!(
        (write.ok, write.reason, write.rtt),
        (false, Some("silent"), None)
    );
}

#[tokio::test]
async fn silence_words_and_hanging_up_are_told_apart() {
    for (fault, reason) in [
        (ReadFault::Silence, "silent"),
        (ReadFault::Notice("go away".into()), "notice"),
        (ReadFault::Closed("go away".into()), "closed"),
        (
            ReadFault::CloseFrame {
                after: 0,
                code: 1008,
            },
            "closed",
        ),
    ] {
        let relay = relay_with([fault.clone()]).await;
        let result = check(&relay, &impatient()).await;
        let read = result.read.unwrap();
        assert_eq!((read.ok, read.reason), (false, Some(reason)), "{fault:?}");
        let hung_up = matches!(fault, ReadFault::CloseFrame { .. });
        assert_eq!(result.write.is_none(), hung_up, "{fault:?}");
    }
}

#[tokio::test]
async fn relays_that_do_not_open_are_offline() {
    for (fault, reason) in [
        (ConnectionFault::NoHandshake, "upgrade_timeout"),
        (ConnectionFault::Status(503), "upgrade_refused"),
        (ConnectionFault::Html, "upgrade_refused"),
    ] {
        let relay = relay_with([fault]).await;
        let result = check(&relay, &impatient()).await;
        assert_eq!(failure(&result), reason);
        assert!(!result.is_inconclusive());
        assert_eq!(relay_report(&result), None);
        assert_eq!(findings(&result)["open"]["reason"], reason);
    }
}

#[tokio::test]
async fn a_relay_that_is_gone_is_offline() {
    let relay = healthy_relay().await;
    let url = url_of(&relay);
    relay.stop().await;
    let (dialer, keys) = (dialer(networks()), Keys::generate());
    let result = check_relay(&dialer, &url, &config(), &keys, 0).await;
    assert_eq!(failure(&result), "connect_refused");
    assert_eq!(findings(&result)["nip11"]["reason"], "connect_refused");
}

#[tokio::test]
async fn a_relay_that_bans_reconnects_is_read_all_the_same() {
    let ban = ConnectionFault::BanReconnects(Duration::from_mins(1));
    let relay = relay_with([ban]).await;
    // The second connection waits for its turn much longer than the conversation takes.
    let mut slowly = networks();
    slowly.clearnet.max_dials_per_second = NonZeroU32::new(2);
    let (dialer, keys) = (dialer(slowly), Keys::generate());
    let result = check_relay(&dialer, &url_of(&relay), &config(), &keys, 0).await;
    assert!(result.is_online() && result.read.unwrap().ok);
    assert!(result.information().is_some(), "{result:?}");
}

#[tokio::test]
async fn checks_of_a_crowded_host_do_not_wait_for_each_other() {
    // Both hold one of the host's two slots, and want another for the document.
    let pause = ReadFault::Latency(Duration::from_millis(200));
    let (one, other) = (relay_with([pause.clone()]).await, relay_with([pause]).await);
    let mut crowded = networks();
    crowded.clearnet.max_connections_per_ip = NonZeroU32::new(2).unwrap();
    let (dialer, keys, config) = (dialer(crowded), Keys::generate(), config());
    let urls = [url_of(&one), url_of(&other)];
    let (first, second) = tokio::join!(
        check_relay(&dialer, &urls[0], &config, &keys, 0),
        check_relay(&dialer, &urls[1], &config, &keys, 0),
    );
    for result in [first, second] {
        assert!(result.is_online() && result.read.unwrap().ok);
        assert!(result.information().is_some(), "{result:?}");
    }
}

#[tokio::test]
async fn a_bad_certificate_is_a_finding_either_way() {
    let authority = TestAuthority::generate().unwrap();
    let relay = SimRelay::start(SimRelayConfig {
        tls: Some(TlsConfig::new(&authority, TlsKind::SelfSigned)),
        ..SimRelayConfig::default()
    });
    let relay = relay.await.unwrap();
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    let url = RelayUrl::parse(&relay.url(), &policy).unwrap();
    for accept_invalid_certs in [false, true] {
        let networks = NetworksConfig {
            clearnet: NetworkConfig {
                accept_invalid_certs,
                ..networks().clearnet
            },
            ..networks()
        };
        let keys = Keys::generate();
        let result = check_relay(&dialer(networks), &url, &config(), &keys, 0).await;
        assert_eq!(result.is_online(), accept_invalid_certs);
        assert_eq!(result.tls.unwrap().verdict, "self-signed");
    }
}

#[tokio::test]
async fn a_relay_that_cannot_be_connected_to_is_dialled_once() {
    let authority = TestAuthority::generate().unwrap();
    let relay = SimRelay::start(SimRelayConfig {
        tls: Some(TlsConfig::new(&authority, TlsKind::Expired).for_host(HOST)),
        ..SimRelayConfig::default()
    });
    let relay = relay.await.unwrap();
    let url = format!("wss://{HOST}:{}", relay.address().port());
    let url = RelayUrl::parse(&url, &UrlPolicy::default()).unwrap();
    let (dialer, keys) = (dialer(networks()), Keys::generate());
    let result = check_relay(&dialer, &url, &config(), &keys, 0).await;
    let reason = failure(&result);
    assert!(reason.starts_with("certificate_"), "{reason}");
    // What keeps us from the relay keeps us from its document.
    assert_eq!(findings(&result)["nip11"]["reason"], reason);
    assert_eq!(relay.stats().connections, 1);
}

#[tokio::test]
async fn private_addresses_are_refused_and_disabled_networks_tell_nothing() {
    let relay = healthy_relay().await;
    let public_only = NetworksConfig {
        allow_private: false,
        ..networks()
    };
    let dialer = dialer(public_only);
    let keys = Keys::generate();
    let result = check_relay(&dialer, &url_of(&relay), &config(), &keys, 0).await;
    assert_eq!(failure(&result), "special_address");
    assert_eq!(relay.stats().connections, 0);

    let overlay = RelayUrl::parse("ws://relay.i2p", &UrlPolicy::default()).unwrap();
    assert_eq!(overlay.network(), Network::I2p);
    let result = check_relay(&dialer, &overlay, &config(), &keys, 0).await;
    assert!(result.is_inconclusive(), "{result:?}");
}
