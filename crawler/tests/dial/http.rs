//! Bounded fetches, mostly of what should be NIP-11 documents.

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::network::Network;
use bigbrotr_crawler::dial::http::{HttpError, HttpOptions, get};
use bigbrotr_crawler::dial::{DialError, Dialer, NetworksConfig};
use bigbrotr_testkit::relay::faults::InformationFault;
use bigbrotr_testkit::relay::{TestAuthority, TlsConfig, TlsKind};
use bigbrotr_testkit::socks::SocksServer;
use bigbrotr_testkit::{SimRelay, SimRelayConfig};

use crate::support::{NoDns, dialer, private, through};

fn options() -> HttpOptions {
    HttpOptions {
        timeout: Duration::from_secs(2),
        max_body_bytes: 64 << 10,
        ..HttpOptions::default()
    }
}

async fn fetch_with(fault: InformationFault) -> Result<u16, HttpError> {
    // Only what never ends by itself is given up soon: a busy machine needs its time.
    let endless = matches!(fault, InformationFault::Slow(_) | InformationFault::Silence);
    let relay = SimRelay::start(SimRelayConfig::with_faults([fault]))
        .await
        .unwrap();
    let options = HttpOptions {
        timeout: Duration::from_millis(if endless { 400 } else { 60_000 }),
        ..options()
    };
    let response = get(&dialer(private()), &relay.information_url(), &options).await?;
    Ok(response.status.as_u16())
}

#[tokio::test]
async fn a_document_comes_as_sent_with_headers_and_timings() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let url = relay.information_url();
    let mut tasks = tokio::task::JoinSet::new();
    let (dialer, from) = (dialer(private()), url.clone());
    tasks.spawn(async move { get(&dialer, &from, &options()).await.unwrap() });
    let response = tasks.join_next().await.unwrap().unwrap();
    assert_eq!(response.status, 200);
    assert_eq!(response.headers["access-control-allow-origin"], "*");
    assert!(response.body.starts_with(b"{") && response.body.ends_with(b"}"));
    assert!(response.url.as_str().starts_with(&url));
    assert!(response.dial.tcp.is_some());
    assert_eq!(relay.stats().information_requests, 1);
}

#[tokio::test]
async fn other_statuses_are_answers() {
    assert_eq!(
        fetch_with(InformationFault::Status(404)).await.unwrap(),
        404
    );
    assert_eq!(fetch_with(InformationFault::Html).await.unwrap(), 200);
}

#[tokio::test]
async fn hostile_bodies_are_cut_off() {
    for (fault, reason) in [
        (InformationFault::Endless, "http_too_large"),
        (
            InformationFault::Body("x".repeat(65 << 10)),
            "http_too_large",
        ),
        (InformationFault::GzipBomb, "http_encoded"),
        (
            InformationFault::Slow(Duration::from_millis(20)),
            "http_timeout",
        ),
        (InformationFault::Silence, "http_timeout"),
        (InformationFault::Cut, "http_broken"),
        (InformationFault::RedirectLoop, "http_redirect"),
        (
            InformationFault::Redirect("ftp://relay.example/".into()),
            "http_redirect",
        ),
        (
            InformationFault::Redirect("http://abc.onion/".into()),
            "http_redirect",
        ),
    ] {
        let error = fetch_with(fault.clone()).await.unwrap_err();
        assert_eq!(error.reason(), reason, "{fault:?}: {error}");
    }
}

#[tokio::test]
async fn a_redirect_is_followed_to_its_end() {
    let home = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let to_home = InformationFault::Redirect(home.information_url());
    let relay = SimRelay::start(SimRelayConfig::with_faults([to_home]))
        .await
        .unwrap();
    let response = get(&dialer(private()), &relay.information_url(), &options())
        .await
        .unwrap();
    assert_eq!(response.status, 200);
    assert!(response.url.as_str().starts_with(&home.information_url()));
}

#[tokio::test]
async fn a_public_host_cannot_redirect_into_the_private_network() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let home = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let server = SocksServer::start([("relay.example:80", relay.address())])
        .await
        .unwrap();
    let clearnet = through(&server, Network::Clearnet);
    let config = NetworksConfig {
        clearnet,
        ..NetworksConfig::default()
    };
    let dialer = Dialer::with(config, Arc::new(NoDns), &[]).unwrap();
    assert!(
        get(&dialer, "http://relay.example/", &options())
            .await
            .is_ok()
    );
    for to in [
        home.information_url(),
        "http://[::1]/".into(),
        "http://localhost/".into(),
    ] {
        relay.set_faults([InformationFault::Redirect(to)]);
        let error = get(&dialer, "http://relay.example/", &options())
            .await
            .unwrap_err();
        assert!(
            matches!(error, HttpError::Dial(DialError::SpecialAddress { .. })),
            "{error}"
        );
    }
    assert_eq!(home.stats().connections, 0);
}

#[tokio::test]
async fn a_redirect_does_not_lead_out_of_tls() {
    let authority = TestAuthority::generate().unwrap();
    let plain = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let tls = Some(TlsConfig::new(&authority, TlsKind::Trusted));
    let to_plain = InformationFault::Redirect(plain.information_url());
    let config = SimRelayConfig {
        tls,
        ..SimRelayConfig::with_faults([to_plain])
    };
    let relay = SimRelay::start(config).await.unwrap();
    let roots = [authority.root().clone()];
    let dialer = Dialer::with(private(), Arc::new(NoDns), &roots).unwrap();
    let error = get(&dialer, &relay.information_url(), &options())
        .await
        .unwrap_err();
    assert!(matches!(error, HttpError::Redirect { .. }), "{error}");
    assert_eq!(plain.stats().connections, 0);
}
