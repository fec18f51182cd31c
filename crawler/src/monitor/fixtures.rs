//! Results of checks for the tests of what is made of them.

use std::net::Ipv4Addr;
use std::time::Duration;

use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use serde_json::{Value, json};

use super::certificate::Certificate;
use super::geo::{AutonomousSystem, Location, Place};
use super::headers::{Cors, ServerHeaders};
use super::information::RelayInformation;
use super::result::{
    CheckResult, DnsFinding, InformationFinding, OpenFinding, OpenTimings, Probe, SignedIn,
    TlsFinding,
};
use super::work::{Work, WorkOutcome};
use crate::dial::{DialTimings, DnsRecords};
use crate::session::{Capability, CapabilityAnswers, Fault};

fn url() -> RelayUrl {
    RelayUrl::parse("wss://relay.example.com", &UrlPolicy::default()).unwrap()
}

/// An open relay that was asked nothing, with this document.
pub(super) fn online(document: Option<Value>) -> CheckResult {
    let read = |document: Value| {
        let parsed = RelayInformation::parse(document.to_string().into_bytes());
        InformationFinding::Read(Box::new(parsed.unwrap()))
    };
    CheckResult {
        url: url(),
        checked_at: 1_700_000_000,
        open: OpenFinding::Open(OpenTimings {
            dial: DialTimings {
                queue: Duration::from_secs(9),
                resolve: Some(Duration::from_micros(4_300)),
                tcp: Some(Duration::from_millis(40)),
                proxy: None,
                tls: Some(Duration::from_millis(90)),
            },
            upgrade: Duration::from_millis(100),
        }),
        read: None,
        write: None,
        work: None,
        signed_in: None,
        capabilities: CapabilityAnswers::default(),
        information: document.map(read),
        headers: None,
        tls: None,
        dns: None,
        remote_ip: None,
        location: Location::default(),
    }
}

fn certificate() -> Certificate {
    Certificate {
        sha256: "ab".repeat(32),
        chain_length: 2,
        subject: Some("CN=relay.example.com".to_owned()),
        issuer: Some("C=US, O=Let's Encrypt, CN=R13".to_owned()),
        issuer_name: Some("Let's Encrypt".to_owned()),
        names: vec!["*.example.com".to_owned(), "relay.example.com".to_owned()],
        names_total: 2,
        not_before: Some(1_699_000_000),
        not_after: Some(1_706_776_000),
        serial: Some("06cca2ca".to_owned()),
    }
}

/// A relay that wants to know who asks, and allows something then.
pub(super) fn guarded() -> CheckResult {
    let refused = Probe {
        ok: false,
        reason: Some("auth-required"),
        rtt: Some(Duration::from_millis(40)),
    };
    let allowed = Probe {
        ok: true,
        reason: None,
        rtt: Some(Duration::from_millis(41)),
    };
    CheckResult {
        read: Some(refused),
        write: Some(refused),
        work: Some(Work {
            bits: Some(12),
            outcome: WorkOutcome::Accepted,
        }),
        signed_in: Some(SignedIn {
            auth: allowed,
            read: Some(allowed),
            write: Some(Probe {
                reason: Some("restricted"),
                ..refused
            }),
        }),
        capabilities: CapabilityAnswers {
            count: Some(Capability::Unknown("auth-required")),
            search: Some(Capability::Yes),
            negentropy: Some(Capability::No("notice")),
        },
        ..online(None)
    }
}

pub(super) fn healthy() -> CheckResult {
    let probe = |ms| Probe {
        ok: true,
        reason: None,
        rtt: Some(Duration::from_millis(ms)),
    };
    let document = json!({
        "name": "Example", "software": "https://example.com/relay", "version": "1.2",
        "pubkey": "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
        "supported_nips": [77, 1, 11, 50], "tags": ["Bitcoin"], "language_tags": ["en-GB"],
        "retention": [{"kinds": [1, 7], "time": 3600}, {"kinds": [4], "time": 0}],
        "limitation": {"auth_required": false, "payment_required": false,
            "restricted_writes": true, "min_pow_difficulty": 0},
    });
    CheckResult {
        read: Some(probe(50)),
        write: Some(probe(75)),
        tls: Some(TlsFinding {
            verdict: "valid",
            protocol: Some("TLSv1_3"),
            cipher: Some("TLS13_AES_256_GCM_SHA384"),
            certificate: Some(Box::new(certificate())),
        }),
        capabilities: CapabilityAnswers {
            count: Some(Capability::Yes),
            search: Some(Capability::No("ignored")),
            negentropy: Some(Capability::Unknown("silent")),
        },
        headers: Some(ServerHeaders {
            values: [
                ("server", "nginx".to_owned()),
                ("x-powered-by", "strfry".to_owned()),
            ]
            .into(),
            cors: Cors {
                origin: true,
                headers: true,
                methods: false,
            },
        }),
        dns: Some(DnsFinding::Found(DnsRecords {
            ipv4: [Ipv4Addr::new(45, 33, 32, 156), Ipv4Addr::new(10, 0, 0, 1)].into(),
            ipv6: ["2600:3c01::1".parse().unwrap()].into(),
            aliases: vec!["edge.example.net".to_owned()],
            name_servers: ["ns1.example.com".to_owned(), "ns2.example.com".to_owned()].into(),
            ttl_seconds: Some(289),
        })),
        remote_ip: Some([192, 0, 2, 1].into()),
        location: Location {
            place: Some(Place {
                country: Some("US".to_owned()),
                continent: Some("NA".to_owned()),
                city: Some("Fremont".to_owned()),
                latitude: Some(37.5483),
                longitude: Some(-121.9886),
                time_zone: Some("America/Los_Angeles".to_owned()),
                geohash: Some("9q9m8".to_owned()),
            }),
            network: Some(AutonomousSystem {
                number: Some(63_949),
                organization: Some("Example Hosting".to_owned()),
            }),
        },
        ..online(Some(document))
    }
}

pub(super) fn offline() -> CheckResult {
    CheckResult {
        open: OpenFinding::Failed {
            reason: "certificate_expired",
            fault: Fault::Theirs,
        },
        information: Some(InformationFinding::Failed {
            reason: "certificate_expired",
        }),
        tls: Some(TlsFinding {
            verdict: "expired",
            protocol: None,
            cipher: None,
            certificate: Some(Box::new(certificate())),
        }),
        dns: Some(DnsFinding::Failed {
            reason: "dns_timeout",
        }),
        ..online(None)
    }
}
