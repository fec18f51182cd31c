//! What is found out beside the conversation: certificate, DNS, place, headers; and trying again.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_crawler::dial::{
    Dialer, DnsRecords, NetworkConfig, NetworksConfig, Resolve, ResolveError,
};
use bigbrotr_crawler::monitor::{
    CheckResult, Checker, DnsFinding, InformationFinding, MonitorConfig, findings, relay_report,
};
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::{ConnectionFault, InformationFault};
use bigbrotr_testkit::relay::{SimRelayConfig, TestAuthority, TlsConfig, TlsKind};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use nostr::Keys;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::mmdb::{self, Value};
use crate::support::{
    check, check_url, config, dialer, healthy_relay, impatient, networks, relay_with, url_of,
};

/// Leads to this machine, and says of the name what it is told to say.
struct Told(Result<DnsRecords, ResolveError>);

impl Resolve for Told {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Vec<IpAddr>, ResolveError>> {
        async { Ok(vec![Ipv4Addr::LOCALHOST.into()]) }.boxed()
    }

    fn records<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<DnsRecords, ResolveError>> {
        let told = match &self.0 {
            Ok(records) => Ok(records.clone()),
            Err(_) => Err(ResolveError::NoAddress),
        };
        async { told }.boxed()
    }
}

async fn check_told(
    relay: &SimRelay,
    config: MonitorConfig,
    told: Result<DnsRecords, ResolveError>,
) -> CheckResult {
    let dialer = Dialer::with(networks(), Arc::new(Told(told)), &[]).unwrap();
    let checker = Checker::new(dialer, config, Keys::generate());
    checker.check(&url_of(relay), 1_700_000_000).await
}

fn tags(result: &CheckResult, name: &str) -> Vec<String> {
    let report = relay_report(result).unwrap();
    let tags = report.tags.into_iter().filter(|tag| tag[0] == name);
    tags.map(|tag| tag[1].clone()).collect()
}

#[tokio::test]
async fn every_certificate_is_read_and_judged() {
    let authority = TestAuthority::generate().unwrap();
    for (kind, verdict, name) in [
        (TlsKind::Trusted, "valid", "localhost"),
        (TlsKind::SelfSigned, "self-signed", "localhost"),
        (TlsKind::Expired, "expired", "localhost"),
        (TlsKind::WrongHost, "wrong-host", "elsewhere.example"),
    ] {
        let relay = SimRelay::start(SimRelayConfig {
            tls: Some(TlsConfig::new(&authority, kind)),
            ..SimRelayConfig::default()
        });
        let relay = relay.await.unwrap();
        let policy = UrlPolicy {
            allow_private: true,
            ..UrlPolicy::default()
        };
        let url = RelayUrl::parse(&relay.url(), &policy).unwrap();
        let roots = [authority.root().clone()];
        for accept_invalid_certs in [false, true] {
            let networks = NetworksConfig {
                clearnet: NetworkConfig {
                    accept_invalid_certs,
                    ..networks().clearnet
                },
                ..networks()
            };
            let names = Arc::new(Told(Ok(DnsRecords::default())));
            let dialer = Dialer::with(networks, names, &roots).unwrap();
            let checker = Checker::new(dialer, config(), Keys::generate());
            let result = checker.check(&url, 1_700_000_000).await;
            let online = kind == TlsKind::Trusted || accept_invalid_certs;
            assert_eq!(result.is_online(), online);
            let tls = result.tls.clone().unwrap();
            assert_eq!((tls.verdict, tls.cipher.is_some()), (verdict, online));
            let certificate = tls.certificate.unwrap();
            assert!(
                certificate.names.contains(&name.to_owned()),
                "{certificate:?}"
            );
            assert_eq!(certificate.sha256.len(), 64);
            if online {
                let shown = if verdict == "valid" {
                    "valid"
                } else {
                    "!valid"
                };
                assert_eq!(tags(&result, "ssl"), [shown]);
            }
        }
    }
}

#[tokio::test]
async fn records_are_told_and_stand_for_the_relay() {
    let records = DnsRecords {
        ipv4: [Ipv4Addr::new(10, 0, 0, 1), Ipv4Addr::new(45, 33, 32, 156)].into(),
        aliases: vec!["edge.example.net".into()],
        name_servers: ["ns.example.com".into()].into(),
        ttl_seconds: Some(300),
        ..DnsRecords::default()
    };
    let relay = healthy_relay().await;
    let result = check_told(&relay, config(), Ok(records.clone())).await;
    assert_eq!(result.dns, Some(DnsFinding::Found(records)));
    // Not the private one, and not the one that was connected to.
    assert_eq!(result.address(), Some([45, 33, 32, 156].into()));
    assert_eq!(tags(&result, "net-ip"), ["45.33.32.156"]);
    assert_eq!(tags(&result, "dns-cname"), ["edge.example.net"]);
    let found = findings(&result);
    assert_eq!(found["dns"]["ns"][0], "ns.example.com");
    assert!(!found.to_string().contains("300"), "{found}");

    let result = check_told(&relay, config(), Err(ResolveError::NoAddress)).await;
    assert_eq!(findings(&result)["dns"]["reason"], "dns_no_address");
}

#[tokio::test]
async fn dns_is_not_asked_about_addresses() {
    let relay = healthy_relay().await;
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    let url = RelayUrl::parse(&relay.url(), &policy).unwrap();
    assert_eq!(check_url(&url, &config()).await.dns, None);
}

#[tokio::test]
async fn the_databases_say_where_a_relay_is() {
    let folder = tempfile::tempdir().unwrap();
    let (city, asn) = (
        folder.path().join("city.mmdb"),
        folder.path().join("asn.mmdb"),
    );
    let names = |name| Value::Map(vec![("names", Value::Map(vec![("en", Value::Text(name))]))]);
    let place = Value::Map(vec![
        ("city", names("Fremont")),
        ("country", Value::Map(vec![("iso_code", Value::Text("US"))])),
        (
            "location",
            Value::Map(vec![
                ("latitude", Value::Double(37.5483)),
                ("longitude", Value::Double(-121.9886)),
                ("time_zone", Value::Text("America/Los_Angeles")),
            ]),
        ),
    ]);
    mmdb::write(&city, "GeoLite2-City", &place).unwrap();
    let network = Value::Map(vec![
        ("autonomous_system_number", Value::U32(63_949)),
        (
            "autonomous_system_organization",
            Value::Text("Example Hosting"),
        ),
    ]);
    mmdb::write(&asn, "GeoLite2-ASN", &network).unwrap();
    let config = MonitorConfig {
        geo_city_database: city,
        geo_asn_database: asn,
        ..config()
    };
    let relay = healthy_relay().await;
    let at = |ip: [u8; 4]| {
        let records = [IpAddr::from(ip)].into_iter().collect();
        check_told(&relay, config.clone(), Ok(records))
    };
    let result = at([45, 33, 32, 156]).await;
    let found = findings(&result);
    assert_eq!(found["geo"]["country"], "US");
    assert_eq!(found["geo"]["geohash"], "9q9m8");
    assert_eq!(found["net"]["asn"], 63_949);
    assert_eq!(tags(&result, "geo-city"), ["Fremont"]);
    assert_eq!(tags(&result, "g"), ["9", "9q", "9q9", "9q9m", "9q9m8"]);
    assert!(tags(&result, "l").contains(&"AS63949 Example Hosting".to_owned()));

    let unknown = at([199, 7, 83, 42]).await;
    assert_eq!(unknown.location.place, None);
    assert_eq!(findings(&unknown).get("geo"), None);
}

#[tokio::test]
async fn what_cannot_be_looked_up_is_not_said_to_be_done() {
    let config = MonitorConfig {
        geo_city_database: "/nowhere/city.mmdb".into(),
        ..config()
    };
    let checker = Checker::new(dialer(networks()), config, Keys::generate());
    assert!(!checker.config().geo && !checker.config().net);
}

#[tokio::test]
async fn headers_of_the_document_are_told() {
    let result = check(&healthy_relay().await, &config()).await;
    assert!(result.headers.as_ref().unwrap().cors.is_complete());
    let result = check(&relay_with([InformationFault::NoCors]).await, &config()).await;
    assert!(!result.headers.as_ref().unwrap().cors.origin);
    assert_eq!(findings(&result)["http"]["cors"]["origin"], false);
    // They came, whatever the body is.
    let html = check(&relay_with([InformationFault::Html]).await, &config()).await;
    assert!(html.headers.unwrap().values["content-type"].contains("html"));
    let off = MonitorConfig {
        http: false,
        ..config()
    };
    assert_eq!(check(&healthy_relay().await, &off).await.headers, None);
}

#[tokio::test]
async fn headers_of_megabytes_are_no_answer() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = format!(
                "HTTP/1.1 200 OK\r\nServer: {}\r\n\r\n{{}}",
                "x".repeat(5 << 20)
            );
            drop(stream.write_all(head.as_bytes()).await);
        }
    });
    let url = format!("ws://{}:{port}", crate::support::HOST);
    let url = RelayUrl::parse(&url, &UrlPolicy::default()).unwrap();
    let result = check_url(&url, &impatient()).await;
    assert!(!result.is_online());
    assert_eq!(result.headers, None);
    assert!(matches!(
        result.information,
        Some(InformationFinding::Failed { .. })
    ));
}

#[tokio::test]
async fn what_broke_is_tried_again_and_what_was_answered_is_not() {
    let once = MonitorConfig {
        nip11: false,
        ..config()
    };
    let relay = healthy_relay().await;
    relay.fault_next(1, ConnectionFault::Refuse);
    let result = check(&relay, &once).await;
    assert!(result.is_online(), "{result:?}");

    let relay = healthy_relay().await;
    relay.fault_next(1, ConnectionFault::Status(503));
    let result = check(&relay, &once).await;
    assert!(!result.is_online());
    assert_eq!(relay.stats().connections, 1);

    let relay = healthy_relay().await;
    relay.fault_next(1, InformationFault::Cut);
    let result = check(&relay, &config()).await;
    assert!(result.information().is_some());
    assert_eq!(relay.stats().information_requests, 2);
}
