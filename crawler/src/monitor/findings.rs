//! The stored document of a check: what tends to stay the same from check to check.
//!
//! Documents are content-addressed, so whatever changes every time (round-trip times) is not in
//! them: an unchanged relay costs one small row.

use serde_json::{Map, Value, json};

use super::requirements::Requirements;
use super::result::{CheckResult, InformationFinding, OpenFinding, Probe};

/// Makes the `nip66` document of a check:
/// `{"open", "read"?, "write"?, "nip11"?: {"ok", "reason"?}, "requires": {name: bool}, "ip"?,
/// "tls"?: {"certificate", "protocol"?}, "software"?, "version"?, "supported_nips"?}`.
///
/// A relay that is offline has no requirements; a question that was not asked is not there.
pub fn findings(result: &CheckResult) -> Value {
    let mut document = Map::new();
    let (open, reason) = match result.open {
        OpenFinding::Open(_) => (true, None),
        OpenFinding::Failed { reason, .. } => (false, Some(reason)),
    };
    document.insert("open".into(), verdict(open, reason));
    let probe = |probe: Probe| verdict(probe.ok, probe.reason);
    let nip11 = result.information.as_ref().map(|finding| match finding {
        InformationFinding::Read(_) => verdict(true, None),
        InformationFinding::Failed { reason } => verdict(false, Some(reason)),
    });
    let requires = open.then(|| {
        let known = Requirements::of(result).known();
        known
            .map(|(name, required)| (name.to_owned(), json!(required)))
            .collect::<Map<_, _>>()
    });
    let tls = result.tls.map(|tls| {
        let mut found = json!({ "certificate": tls.verdict });
        if let Some(protocol) = tls.protocol {
            found["protocol"] = json!(protocol);
        }
        found
    });
    let information = result.information();
    for (key, value) in [
        ("read", result.read.map(probe)),
        ("write", result.write.map(probe)),
        ("nip11", nip11),
        ("requires", requires.map(Value::Object)),
        ("tls", tls),
        ("ip", result.remote_ip.map(|ip| json!(ip.to_string()))),
        (
            "software",
            information.and_then(|i| Some(json!(i.software.as_ref()?))),
        ),
        (
            "version",
            information.and_then(|i| Some(json!(i.version.as_ref()?))),
        ),
        (
            "supported_nips",
            information.and_then(|i| Some(json!(i.supported_nips.as_ref()?))),
        ),
    ] {
        if let Some(value) = value {
            document.insert(key.to_owned(), value);
        }
    }
    Value::Object(document)
}

fn verdict(ok: bool, reason: Option<&str>) -> Value {
    match reason {
        Some(reason) => json!({ "ok": ok, "reason": reason }),
        None => json!({ "ok": ok }),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixtures::{healthy, offline};
    use super::*;

    #[test]
    fn the_document_of_a_healthy_relay() {
        insta::assert_json_snapshot!(findings(&healthy()));
    }

    #[test]
    fn the_document_of_an_offline_relay() {
        insta::assert_json_snapshot!(findings(&offline()));
    }

    #[test]
    fn times_do_not_change_the_document() {
        let mut slower = healthy();
        slower.checked_at += 3_600;
        if let OpenFinding::Open(timings) = &mut slower.open {
            timings.upgrade += Duration::from_secs(1);
        }
        for probe in [&mut slower.read, &mut slower.write].into_iter().flatten() {
            probe.rtt = Some(Duration::from_secs(2));
        }
        assert_ne!(slower, healthy());
        assert_eq!(findings(&slower), findings(&healthy()));
    }
}
