//! What is found out about certificates, and when a connection goes on regardless.

use std::sync::Arc;

use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_crawler::dial::{CertificateVerdict, DialError, Dialer, Target};
use bigbrotr_testkit::relay::{TestAuthority, TlsConfig, TlsKind};
use bigbrotr_testkit::{SimRelay, SimRelayConfig};

use crate::support::{NoDns, dialer, private};

async fn start(authority: &TestAuthority, kind: TlsKind) -> (SimRelay, RelayUrl) {
    let tls = Some(TlsConfig::new(authority, kind));
    let relay = SimRelay::start(SimRelayConfig {
        tls,
        ..SimRelayConfig::default()
    })
    .await
    .unwrap();
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    let url = RelayUrl::parse(&relay.url(), &policy).unwrap();
    (relay, url)
}

fn trusting(authority: &TestAuthority, accept_invalid_certs: bool) -> Dialer {
    let mut config = private();
    config.clearnet.accept_invalid_certs = accept_invalid_certs;
    Dialer::with(config, Arc::new(NoDns), &[authority.root().clone()]).unwrap()
}

#[tokio::test]
async fn a_good_certificate_is_valid_only_under_a_trusted_root() {
    let authority = TestAuthority::generate().unwrap();
    let (_relay, url) = start(&authority, TlsKind::Trusted).await;
    let connection = trusting(&authority, false).connect(&url).await.unwrap();
    let tls = connection.tls.unwrap();
    assert_eq!(tls.verdict, CertificateVerdict::Valid);
    assert_eq!(tls.protocol, "TLSv1_3");
    assert!(tls.cipher.starts_with("TLS13_"), "{}", tls.cipher);
    assert_eq!(tls.certificates.len(), 1);
    assert!(connection.timings.tls.is_some());
    assert!(
        connection.stream.meter().read_bytes() > 0,
        "handshake bytes count"
    );

    let stranger = dialer(private()).connect(&url).await.unwrap_err();
    let unknown = CertificateVerdict::UnknownIssuer;
    assert!(
        matches!(stranger, DialError::Certificate { verdict, .. } if verdict == unknown),
        "{stranger}"
    );
}

#[tokio::test]
async fn a_bad_certificate_is_reported_and_borne_only_where_the_operator_says_so() {
    let authority = TestAuthority::generate().unwrap();
    for (kind, wanted, reason) in [
        (
            TlsKind::Expired,
            CertificateVerdict::Expired,
            "certificate_expired",
        ),
        (
            TlsKind::SelfSigned,
            CertificateVerdict::SelfSigned,
            "certificate_self_signed",
        ),
        (
            TlsKind::WrongHost,
            CertificateVerdict::WrongHost,
            "certificate_wrong_host",
        ),
    ] {
        let (_relay, url) = start(&authority, kind).await;
        let error = trusting(&authority, false).connect(&url).await.unwrap_err();
        assert_eq!(error.reason(), reason);
        let DialError::Certificate { verdict, chain, .. } = error else {
            panic!("{kind:?}: {error}");
        };
        assert_eq!((verdict, chain.len()), (wanted, 1), "{kind:?}");
        let borne = trusting(&authority, true).connect(&url).await.unwrap();
        assert_eq!(borne.tls.unwrap().verdict, wanted, "{kind:?}");
    }
}

#[tokio::test]
async fn tls_to_a_plain_port_fails_in_the_tls_phase() {
    let relay = SimRelay::start(SimRelayConfig::default()).await.unwrap();
    let target = Target::new("127.0.0.1", relay.address().port(), true);
    let error = dialer(private()).dial(&target).await.unwrap_err();
    assert!(
        matches!(error.reason(), "tls_failed" | "tls_timeout"),
        "{error}"
    );
}
