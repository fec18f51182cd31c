//! Relays with one fault, and a check of them whose bounds are watched.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_crawler::dial::{Dialer, NetworkConfig, NetworksConfig, TableResolver};
use bigbrotr_crawler::limits::{HTTP_OVERHEAD_BYTES, MAX_DIAL_BYTES};
use bigbrotr_crawler::monitor::{
    CheckResult, InformationFinding, MonitorConfig, OpenFinding, check_relay,
};
use bigbrotr_testkit::relay::faults::Fault;
use bigbrotr_testkit::relay::{SimRelayConfig, TlsConfig};
use bigbrotr_testkit::{EventMaker, SimRelay, population::author_keys};
use nostr::Keys;

/// Generous: what ends by itself ends in a second or two.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// The name of every relay here; it leads to this machine.
const HOST: &str = "relay.example.com";

/// What one check may receive: the session's bytes, and the document's with what is around it.
const MAX_CHECK_BYTES: u64 = (8 << 20) + 2 * (128 << 10) + HTTP_OVERHEAD_BYTES + 2 * MAX_DIAL_BYTES;

pub(crate) fn networks() -> NetworksConfig {
    let clearnet = NetworkConfig {
        connect_timeout: Duration::from_millis(500),
        ..NetworkConfig::default_of(Network::Clearnet)
    };
    NetworksConfig {
        allow_private: true,
        clearnet,
        ..NetworksConfig::default()
    }
}

/// So much time for each step.
pub(crate) fn config(patience: Duration) -> MonitorConfig {
    MonitorConfig {
        open_timeout: patience,
        read_timeout: patience,
        write_timeout: patience,
        nip11_timeout: patience,
        ..MonitorConfig::default()
    }
}

/// For what never ends by itself.
pub(crate) fn impatient() -> MonitorConfig {
    config(Duration::from_millis(400))
}

/// For what ends by itself.
pub(crate) fn patient() -> MonitorConfig {
    config(Duration::from_secs(20))
}

/// A relay with one event and these faults.
pub(crate) async fn relay<F: Into<Fault>>(
    faults: impl IntoIterator<Item = F>,
    tls: Option<TlsConfig>,
) -> SimRelay {
    let event = EventMaker::new(1_700_000_000).sign(&author_keys(7, 0));
    let config = SimRelayConfig {
        faults: faults.into_iter().map(Into::into).collect(),
        tls,
        ..SimRelayConfig::with_events([event])
    };
    SimRelay::start(config).await.unwrap()
}

/// A dialer that finds the relays here.
pub(crate) fn dialer(networks: NetworksConfig) -> Dialer {
    let names = TableResolver::new([(HOST, [IpAddr::V4(Ipv4Addr::LOCALHOST)])]);
    Dialer::with(networks, Arc::new(names), &[]).unwrap()
}

/// Checks a relay under a name, and fails where a bound does not hold.
pub(crate) async fn check(relay: &SimRelay, config: &MonitorConfig) -> CheckResult {
    let scheme = relay.url().split(':').next().unwrap().to_owned();
    let url = format!("{scheme}://{HOST}:{}", relay.address().port());
    let url = RelayUrl::parse(&url, &UrlPolicy::default()).unwrap();
    check_at(&dialer(networks()), &url, config).await
}

/// Checks a relay, and fails where a bound does not hold.
pub(crate) async fn check_at(
    dialer: &Dialer,
    url: &RelayUrl,
    config: &MonitorConfig,
) -> CheckResult {
    let keys = Keys::generate();
    let before = dialer.traffic().read_bytes();
    let checked = check_relay(dialer, url, config, &keys, 1_700_000_000);
    let result = tokio::time::timeout(PATIENCE, Box::pin(checked)).await;
    let result = result.expect("the check does not end");
    let received = dialer.traffic().read_bytes() - before;
    assert!(received <= MAX_CHECK_BYTES, "{received} bytes received");
    let kept = result.snapshot();
    assert!(kept.nip66.as_str().len() < 4_096, "{}", kept.nip66.as_str());
    if let Some(document) = &kept.nip11 {
        assert!(document.as_str().len() <= 1 << 20);
    }
    result
}

/// Why a relay is not online.
pub(crate) fn closed(result: &CheckResult) -> &'static str {
    match result.open {
        OpenFinding::Failed { reason, .. } => reason,
        OpenFinding::Open(_) => "open",
    }
}

/// What came of the question for events.
pub(crate) fn read(result: &CheckResult) -> &'static str {
    let probe = result.read.unwrap();
    probe.reason.unwrap_or(if probe.ok { "ok" } else { "none" })
}

/// What came of the question for the document.
pub(crate) fn document(result: &CheckResult) -> &'static str {
    match &result.information {
        None => "ours",
        Some(InformationFinding::Read(_)) => "ok",
        Some(InformationFinding::Failed { reason }) => reason,
    }
}
