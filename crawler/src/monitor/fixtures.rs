//! Results of checks for the tests of what is made of them.

use std::time::Duration;

use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use serde_json::{Value, json};

use super::information::RelayInformation;
use super::result::{CheckResult, InformationFinding, OpenFinding, OpenTimings, Probe, TlsFinding};
use crate::dial::DialTimings;

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
        information: document.map(read),
        tls: None,
        remote_ip: None,
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
        "supported_nips": [77, 1, 11], "tags": ["Bitcoin"],
        "limitation": {"auth_required": false, "payment_required": false,
            "restricted_writes": true, "min_pow_difficulty": 0},
    });
    CheckResult {
        read: Some(probe(50)),
        write: Some(probe(75)),
        tls: Some(TlsFinding {
            verdict: "valid",
            protocol: Some("TLSv1_3"),
        }),
        remote_ip: Some([192, 0, 2, 1].into()),
        ..online(Some(document))
    }
}

pub(super) fn offline() -> CheckResult {
    CheckResult {
        open: OpenFinding::Failed {
            reason: "certificate_expired",
            ours: false,
        },
        information: Some(InformationFinding::Failed {
            reason: "certificate_expired",
        }),
        tls: Some(TlsFinding {
            verdict: "expired",
            protocol: None,
        }),
        ..online(None)
    }
}
