//! The stored document of a check: what tends to stay the same from check to check.
//!
//! Documents are content-addressed, so whatever changes every time is not in them: no round-trip
//! times, no times to live of DNS, and not which of several addresses was connected to. Lists are
//! in order. An unchanged relay costs one small row.

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::certificate::Certificate;
use super::geo::Place;
use super::headers::ServerHeaders;
use super::requirements::Requirements;
use super::result::{
    CheckResult, DnsFinding, InformationFinding, OpenFinding, Probe, SignedIn, TlsFinding,
};
use crate::dial::DnsRecords;

/// Makes the `nip66` document of a check. Every part but `open` is there only if it was asked for
/// and something was learned; reasons come from closed sets.
///
/// | part | holds |
/// |---|---|
/// | `open` | `ok`, `reason`?: whether a WebSocket could be opened |
/// | `read`, `write` | likewise: what a stranger may; `write` is after `work` was done |
/// | `work` | `bits`?, `outcome`: `accepted`, `refused`, `not_said`, `too_hard`, `timed_out` |
/// | `signed_in` | `auth`, `read`?, `write`?, each `ok`, `reason`?: what is allowed then |
/// | `nip11` | `ok`, `reason`? |
/// | `requires` | `auth`, `payment`, `writes`, `pow`: true or false, where either is known |
/// | `capabilities` | `count`, `search`, `negentropy`, `auth_read`, `auth_write`, each `verdict` (`yes`, `no`, `unknown`) and `reason`? |
/// | `tls` | `verdict`, `protocol`?, `cipher`?, `certificate`? |
/// | `tls.certificate` | `sha256`, `chain_length`, `subject`?, `issuer`?, `names`, `names_total`, `not_before`?, `not_after`? (Unix seconds), `serial`? |
/// | `dns` | `ok`, `reason`?, `a`, `aaaa`, `cname`, `ns`: lists |
/// | `ip` | the address that stands for the relay |
/// | `geo` | `country`, `continent`, `city`, `latitude`, `longitude`, `time_zone`, `geohash`, each where known |
/// | `net` | `asn`, `organization`, each where known |
/// | `http` | `headers`: by lower-case name; `cors`: `origin`, `headers`, `methods` |
/// | `software`, `version`, `supported_nips` | as the information document says |
pub fn findings(result: &CheckResult) -> Value {
    let mut document = Map::new();
    let mut add = |key: &str, value: Option<Value>| {
        if let Some(value) = value {
            document.insert(key.to_owned(), value);
        }
    };
    let (open, reason) = match result.open {
        OpenFinding::Open(_) => (true, None),
        OpenFinding::Failed { reason, .. } => (false, Some(reason)),
    };
    add("open", Some(verdict(open, reason)));
    add("read", result.read.map(probe));
    add("write", result.write.map(probe));
    add(
        "work",
        result.work.map(|work| {
            some([
                ("bits", work.bits.map(|bits| json!(bits))),
                ("outcome", Some(json!(work.outcome.as_str()))),
            ])
        }),
    );
    add("signed_in", result.signed_in.map(signed_in));
    add(
        "nip11",
        result.information.as_ref().map(|finding| match finding {
            InformationFinding::Read(_) => verdict(true, None),
            InformationFinding::Failed { reason } => verdict(false, Some(reason)),
        }),
    );
    // A relay that is offline has no requirements.
    add(
        "requires",
        open.then(|| Requirements::of(result).known().collect()),
    );
    let tried: Map<String, Value> = result
        .capabilities()
        .map(|(name, capability)| {
            let verdict = ("verdict", Some(json!(capability.as_str())));
            let reason = ("reason", capability.reason().map(|reason| json!(reason)));
            (name.to_owned(), some([verdict, reason]))
        })
        .collect();
    add(
        "capabilities",
        (!tried.is_empty()).then_some(Value::Object(tried)),
    );
    add("tls", result.tls.as_ref().map(tls));
    add("dns", result.dns.as_ref().map(dns));
    add("ip", result.address().map(|ip| json!(ip.to_string())));
    add("geo", result.location.place.as_ref().map(geo));
    add(
        "net",
        result.location.network.as_ref().map(|network| {
            some([
                ("asn", network.number.map(|number| json!(number))),
                ("organization", text(network.organization.as_ref())),
            ])
        }),
    );
    add("http", result.headers.as_ref().map(http));
    if let Some(information) = result.information() {
        add("software", text(information.software.as_ref()));
        add("version", text(information.version.as_ref()));
        add(
            "supported_nips",
            information.supported_nips.as_ref().map(|nips| json!(nips)),
        );
    }
    Value::Object(document)
}

fn verdict(ok: bool, reason: Option<&str>) -> Value {
    some([
        ("ok", Some(json!(ok))),
        ("reason", reason.map(|reason| json!(reason))),
    ])
}

fn probe(probe: Probe) -> Value {
    verdict(probe.ok, probe.reason)
}

fn signed_in(found: SignedIn) -> Value {
    some([
        ("auth", Some(probe(found.auth))),
        ("read", found.read.map(probe)),
        ("write", found.write.map(probe)),
    ])
}

fn tls(found: &TlsFinding) -> Value {
    some([
        ("verdict", Some(json!(found.verdict))),
        ("protocol", text(found.protocol)),
        ("cipher", text(found.cipher)),
        ("certificate", found.certificate.as_deref().map(certificate)),
    ])
}

fn certificate(found: &Certificate) -> Value {
    some([
        ("sha256", Some(json!(found.sha256))),
        ("chain_length", Some(json!(found.chain_length))),
        ("subject", text(found.subject.as_ref())),
        ("issuer", text(found.issuer.as_ref())),
        ("names", Some(json!(found.names))),
        ("names_total", Some(json!(found.names_total))),
        ("not_before", found.not_before.map(|at| json!(at))),
        ("not_after", found.not_after.map(|at| json!(at))),
        ("serial", text(found.serial.as_ref())),
    ])
}

fn dns(finding: &DnsFinding) -> Value {
    match finding {
        DnsFinding::Failed { reason } => verdict(false, Some(reason)),
        DnsFinding::Found(DnsRecords {
            ipv4,
            ipv6,
            aliases,
            name_servers,
            ttl_seconds: _,
        }) => json!({
            "ok": true, "a": ipv4, "aaaa": ipv6, "cname": aliases, "ns": name_servers,
        }),
    }
}

fn geo(place: &Place) -> Value {
    some([
        ("country", text(place.country.as_ref())),
        ("continent", text(place.continent.as_ref())),
        ("city", text(place.city.as_ref())),
        ("latitude", place.latitude.map(|degrees| json!(degrees))),
        ("longitude", place.longitude.map(|degrees| json!(degrees))),
        ("time_zone", text(place.time_zone.as_ref())),
        ("geohash", text(place.geohash.as_ref())),
    ])
}

fn http(headers: &ServerHeaders) -> Value {
    let cors = headers.cors;
    json!({
        "headers": headers.values,
        "cors": {"origin": cors.origin, "headers": cors.headers, "methods": cors.methods},
    })
}

fn text<T: Serialize>(text: Option<T>) -> Option<Value> {
    text.map(|text| json!(text))
}

/// Makes an object of the fields that have a value.
fn some<const N: usize>(fields: [(&str, Option<Value>); N]) -> Value {
    let fields = fields.into_iter();
    Value::Object(
        fields
            .filter_map(|(name, value)| Some((name.to_owned(), value?)))
            .collect(),
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fixtures::{guarded, healthy, offline};
    use super::*;

    #[test]
    fn the_document_of_a_healthy_relay() {
        insta::assert_json_snapshot!(findings(&healthy()));
    }

    #[test]
    fn the_document_of_a_relay_that_wants_to_know_who_asks() {
        insta::assert_json_snapshot!(findings(&guarded()));
    }

    #[test]
    fn the_document_of_an_offline_relay() {
        insta::assert_json_snapshot!(findings(&offline()));
    }

    #[test]
    fn what_changes_at_every_check_does_not_change_the_document() {
        let mut slower = healthy();
        slower.checked_at += 3_600;
        if let OpenFinding::Open(timings) = &mut slower.open {
            timings.upgrade += Duration::from_secs(1);
        }
        for probe in [&mut slower.read, &mut slower.write].into_iter().flatten() {
            probe.rtt = Some(Duration::from_secs(2));
        }
        // Another address of the same name was connected to, and its records have got older.
        slower.remote_ip = Some([192, 0, 2, 7].into());
        if let Some(DnsFinding::Found(records)) = &mut slower.dns {
            records.ttl_seconds = Some(3);
        }
        assert_ne!(slower, healthy());
        assert_eq!(findings(&slower), findings(&healthy()));
    }
}
