//! Connections that lead to no session: TLS, and the answer to the upgrade.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_crawler::dial::{Dialer, TableResolver};
use bigbrotr_crawler::monitor::{findings, relay_report};
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::{ConnectionFault, Wire};
use bigbrotr_testkit::relay::{TestAuthority, TlsConfig, TlsKind};

use crate::support::{check, check_at, closed, impatient, networks, patient, relay};

/// A step of something slow.
const DRIP: Duration = Duration::from_millis(20);

/// Checks a relay by its address under TLS, whatever it speaks.
async fn check_tls(relay: &SimRelay, config: &bigbrotr_crawler::monitor::MonitorConfig) -> String {
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    let url = format!("wss://127.0.0.1:{}", relay.address().port());
    let url = RelayUrl::parse(&url, &policy).unwrap();
    let result = check_at(&crate::support::dialer(networks()), &url, config).await;
    assert!(!result.is_online() && !result.is_inconclusive());
    assert_eq!(relay_report(&result), None);
    closed(&result).to_owned()
}

#[tokio::test]
async fn what_is_no_tls_is_told_and_ends() {
    for (wire, reason) in [
        (Wire::plain_http(), "tls_failed"),
        (Wire::ssh(), "tls_failed"),
        (Wire::zeros(), "tls_failed"),
        (Wire::nothing(), "tls_failed"),
        (Wire::tls_1_0(), "tls_failed"),
        (Wire::ssl_3(), "tls_failed"),
        (Wire::tls_without_encryption(), "tls_failed"),
        (Wire::tls_export_cipher(), "tls_failed"),
        (Wire::tls_refusal(), "tls_failed"),
        (Wire::long_record(), "tls_failed"),
        (Wire::giant_handshake(), "tls_failed"),
        (Wire::silence(), "tls_timeout"),
        (Wire::dripping_handshake(DRIP), "tls_timeout"),
    ] {
        let relay = relay([ConnectionFault::Greet(wire.clone())], None).await;
        assert_eq!(check_tls(&relay, &impatient()).await, reason, "{wire:?}");
    }
    // Where the library does not give up by itself, the cap on bytes or the clock does.
    for wire in [Wire::tls_warnings(), Wire::empty_records()] {
        let relay = relay([ConnectionFault::Greet(wire.clone())], None).await;
        let reason = check_tls(&relay, &impatient()).await;
        assert!(
            ["tls_failed", "byte_cap", "tls_timeout"].contains(&reason.as_str()),
            "{wire:?}: {reason}"
        );
    }
}

#[tokio::test]
async fn a_plain_relay_on_the_tls_port_and_the_other_way_round_are_offline() {
    let plain = relay([] as [ConnectionFault; 0], None).await;
    let reason = check_tls(&plain, &impatient()).await;
    assert!(
        ["tls_failed", "tls_timeout"].contains(&reason.as_str()),
        "{reason}"
    );

    let authority = TestAuthority::generate().unwrap();
    let tls = TlsConfig::new(&authority, TlsKind::Trusted);
    let secure = relay([] as [ConnectionFault; 0], Some(tls)).await;
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    let url = format!("ws://127.0.0.1:{}", secure.address().port());
    let url = RelayUrl::parse(&url, &policy).unwrap();
    let result = check_at(&crate::support::dialer(networks()), &url, &impatient()).await;
    assert!(
        ["upgrade_protocol", "upgrade_broken"].contains(&closed(&result)),
        "{}",
        closed(&result)
    );
}

#[tokio::test]
async fn every_bad_certificate_is_named_whether_or_not_it_is_borne() {
    let authority = TestAuthority::generate().unwrap();
    for (kind, verdict, reason) in [
        (TlsKind::Trusted, "valid", "open"),
        (TlsKind::Expired, "expired", "certificate_expired"),
        (
            TlsKind::NotYetValid,
            "not-yet-valid",
            "certificate_not_yet_valid",
        ),
        (
            TlsKind::SelfSigned,
            "self-signed",
            "certificate_self_signed",
        ),
        (TlsKind::WrongHost, "wrong-host", "certificate_wrong_host"),
        (
            TlsKind::CommonNameOnly,
            "wrong-host",
            "certificate_wrong_host",
        ),
        (TlsKind::WrongPurpose, "other", "certificate_invalid"),
        (TlsKind::Authority, "other", "certificate_invalid"),
        (TlsKind::UnknownExtension, "other", "certificate_invalid"),
    ] {
        let relay = relay(
            [] as [ConnectionFault; 0],
            Some(TlsConfig::new(&authority, kind)),
        )
        .await;
        let policy = UrlPolicy {
            allow_private: true,
            ..UrlPolicy::default()
        };
        let url = RelayUrl::parse(&relay.url(), &policy).unwrap();
        for accept_invalid_certs in [false, true] {
            let mut networks = networks();
            networks.clearnet.accept_invalid_certs = accept_invalid_certs;
            let roots = [authority.root().clone()];
            let names = Arc::new(TableResolver::default());
            let dialer = Dialer::with(networks, names, &roots).unwrap();
            let result = check_at(&dialer, &url, &patient()).await;
            // What cannot be understood cannot be borne: it may say that it is for no server.
            let borne = accept_invalid_certs && kind != TlsKind::UnknownExtension;
            let expected = if borne { "open" } else { reason };
            assert_eq!(closed(&result), expected, "{kind:?}");
            // Borne or not, what is stored says what is wrong with it.
            assert_eq!(findings(&result)["tls"]["verdict"], verdict, "{kind:?}");
            assert_eq!(relay_report(&result).is_some(), expected == "open");
        }
        // Nobody we know has signed any of them: that is found first, or what is worse.
        let stranger = Dialer::with(networks(), Arc::new(TableResolver::default()), &[]).unwrap();
        assert!(!check_at(&stranger, &url, &patient()).await.is_online());
    }
}

#[tokio::test]
async fn a_certificate_larger_than_a_handshake_is_refused() {
    let authority = TestAuthority::generate().unwrap();
    let tls = TlsConfig::new(&authority, TlsKind::Huge);
    let relay = relay([] as [ConnectionFault; 0], Some(tls)).await;
    let reason = check_tls(&relay, &patient()).await;
    assert!(
        ["tls_failed", "byte_cap"].contains(&reason.as_str()),
        "{reason}"
    );
}

#[tokio::test]
async fn what_is_no_upgrade_is_told_and_ends() {
    for (wire, reason) in [
        (Wire::ssh(), "upgrade_protocol"),
        (Wire::headless(), "upgrade_protocol"),
        (Wire::zeros(), "upgrade_protocol"),
        (Wire::giant_header(), "upgrade_protocol"),
        (Wire::endless_headers(), "upgrade_protocol"),
        (Wire::many_headers(), "upgrade_protocol"),
        (Wire::nothing(), "upgrade_protocol"),
        // The first informational answer is one, and no upgrade.
        (Wire::endless_informational(), "upgrade_refused"),
        (Wire::document_as_html(), "upgrade_refused"),
        (Wire::absurd_length(), "upgrade_refused"),
        (Wire::dripping_head(DRIP), "upgrade_timeout"),
        // Small packets are an attack to the library before the time is up.
        (Wire::dripping_head(Duration::ZERO), "upgrade_timeout"),
        (Wire::silence(), "upgrade_timeout"),
    ] {
        let relay = relay([ConnectionFault::Answer(wire.clone())], None).await;
        let result = check(&relay, &impatient()).await;
        assert_eq!(closed(&result), reason, "{wire:?}");
        assert_eq!(relay_report(&result), None);
    }
}

#[tokio::test]
async fn a_relay_that_bans_those_who_come_back_is_offline_then_and_no_longer() {
    let ban = ConnectionFault::BanReconnects(Duration::from_hours(1));
    let relay = relay([ban], None).await;
    assert!(check(&relay, &patient()).await.is_online());
    // Reset before a byte was read, on the socket or in the middle of the request.
    let again = check(&relay, &patient()).await;
    assert!(!again.is_online() && !again.is_inconclusive());
    let reason = closed(&again);
    assert!(
        ["upgrade_broken", "upgrade_protocol", "connect_reset"].contains(&reason),
        "{reason}"
    );
    relay.clear_faults();
    assert!(check(&relay, &patient()).await.is_online());
}
