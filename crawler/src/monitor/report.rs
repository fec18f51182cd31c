//! The report on a relay: kind 30166 of [NIP-66].
//!
//! Says only what the relay's own document says or a probe has shown. An offline relay gets no
//! report: silence means offline.
//!
//! [NIP-66]: https://github.com/nostr-protocol/nips/blob/master/66.md

mod network;

use std::collections::BTreeSet;
use std::time::Duration;

use super::draft::{Draft, tag};
use super::limits::MAX_REPORT_CONTENT_BYTES;
use super::requirements::Requirements;
use super::result::{CheckResult, Probe, rtt_ms};
use crate::session::Capability;

/// The kind of a report.
pub(super) const REPORT_KIND: u16 = 30_166;

/// Makes the report on a relay, `None` for one that is offline.
///
/// | tag | says |
/// |---|---|
/// | `d`, `n` | the relay, its network |
/// | `rtt-open`, `rtt-read`, `rtt-write` | milliseconds, for what succeeded as a stranger |
/// | `N` | NIPs that the relay claims, but for those that trying disproved; and those proven |
/// | `R` | `auth`, `payment`, `writes`, `pow`, or with `!`: met, or else claimed |
/// | `T` | `Search`, where search was proven |
/// | `t`, `k`, `s`, `p` | topics, kinds, software and operator that the relay claims |
/// | `ssl`, `ssl-expires`, `ssl-issuer` | `valid` or `!valid`, Unix seconds, whose it is |
/// | `net-ip`, `net-ipv6`, `net-asn`, `net-asn-org` | the relay's address, and whose network it is in |
/// | `dns-ip`, `dns-ip6`, `dns-cname` | the records of its name |
/// | `geo-country`, `geo-city`, `geo-lat`, `geo-lon`, `geo-tz` | where the address is |
/// | `g` | that place as a geohash, once for every length: filters match whole values only |
/// | `http-server`, `http-powered-by` | headers of the answer to the NIP-11 request |
/// | `L`, `l` | labels (NIP-32) in the name spaces `ISO-3166-1`, `countryCode`, `host.as`, `host.isp`, `ISO-639-1`, `nip11.version`, `nip66.proven`, `nip66.disproven` |
///
/// A round-trip time is there only for what succeeded: clients take it as "this works". The
/// content is the information document as the relay sent it, unless it is too long to repeat.
/// [`Capability`] is told apart from claims by the last two name spaces: their values are the
/// numbers of NIPs.
pub fn relay_report(result: &CheckResult) -> Option<Draft> {
    let open = result.open_rtt()?;
    let mut tags = vec![
        tag(["d", &result.url.d_tag()]),
        tag(["n", result.url.network().as_str()]),
    ];
    let succeeded = |probe: Option<Probe>| probe.filter(|probe| probe.ok)?.rtt;
    for (name, rtt) in [
        ("rtt-open", Some(open)),
        ("rtt-read", succeeded(result.read)),
        ("rtt-write", succeeded(result.write)),
    ] {
        let rtt: Option<Duration> = rtt;
        tags.extend(rtt.map(|rtt| tag([name, &rtt_ms(rtt).to_string()])));
    }
    let nips = supported_nips(result);
    tags.extend(nips.iter().map(|nip| tag(["N", &nip.to_string()])));
    for (name, required) in Requirements::of(result).known() {
        tags.push(tag(["R", &format!("{}{name}", not(required))]));
    }
    if result.capabilities.search == Some(Capability::Yes) {
        tags.push(tag(["T", "Search"]));
    }
    let mut content = String::new();
    let mut labels = Vec::new();
    if let Some(information) = result.information() {
        tags.extend(information.topics.iter().map(|topic| tag(["t", topic])));
        for (kind, kept) in &information.kinds {
            tags.push(tag(["k", &format!("{}{kind}", not(*kept))]));
        }
        tags.extend(information.software.iter().map(|it| tag(["s", it])));
        tags.extend(information.pubkey.map(|it| tag(["p", &it.to_hex()])));
        let languages = information.languages.iter().cloned();
        labels.extend(languages.map(|language| ("ISO-639-1", language)));
        let version = information.version.clone();
        labels.extend(version.map(|version| ("nip11.version", version)));
        if information.text.len() <= MAX_REPORT_CONTENT_BYTES {
            content.clone_from(&information.text);
        }
    }
    network::add(result, &mut tags, &mut labels);
    for (nip, capability) in tried_nips(result) {
        match capability {
            Capability::Yes => labels.push(("nip66.proven", nip.to_string())),
            Capability::No(_) => labels.push(("nip66.disproven", nip.to_string())),
            Capability::Unknown(_) => {}
        }
    }
    add_labels(&mut tags, labels);
    Some(Draft {
        kind: REPORT_KIND,
        tags,
        content,
    })
}

fn not(holds: bool) -> &'static str {
    if holds { "" } else { "!" }
}

/// Lists the NIPs that were tried. Signing in that worked proves NIP-42.
fn tried_nips(result: &CheckResult) -> impl Iterator<Item = (u16, Capability)> {
    let signed_in = result.signed_in.is_some_and(|found| found.auth.ok);
    [
        (42, signed_in.then_some(Capability::Yes)),
        (45, result.capabilities.count),
        (50, result.capabilities.search),
        (77, result.capabilities.negentropy),
    ]
    .into_iter()
    .filter_map(|(nip, capability)| Some((nip, capability?)))
}

/// Lists what the relay claims, corrected by what was tried. What could not be told stays a claim.
fn supported_nips(result: &CheckResult) -> BTreeSet<u16> {
    let claimed = result
        .information()
        .and_then(|information| information.supported_nips.clone());
    let mut nips = claimed.unwrap_or_default();
    for (nip, capability) in tried_nips(result) {
        match capability {
            Capability::Yes => {
                nips.insert(nip);
            }
            Capability::No(_) => {
                nips.remove(&nip);
            }
            Capability::Unknown(_) => {}
        }
    }
    nips
}

/// Adds labels, each name space announced once.
fn add_labels(tags: &mut Vec<Vec<String>>, mut labels: Vec<(&'static str, String)>) {
    labels.sort();
    labels.dedup();
    let mut announced = None;
    for (space, value) in &labels {
        if announced != Some(*space) {
            announced = Some(*space);
            tags.push(tag(["L", space]));
        }
        tags.push(tag(["l", value, space]));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::{guarded, healthy, offline, online};
    use super::super::result::InformationFinding;
    use super::*;

    fn shown(draft: &Draft) -> Value {
        json!({"kind": draft.kind, "tags": draft.tags, "content": draft.content})
    }

    #[test]
    fn the_report_on_a_healthy_relay() {
        insta::assert_json_snapshot!(shown(&relay_report(&healthy()).unwrap()));
    }

    #[test]
    fn the_report_on_a_relay_that_refuses() {
        let refused = |reason| {
            Some(Probe {
                ok: false,
                reason: Some(reason),
                rtt: Some(Duration::from_millis(3)),
            })
        };
        let result = CheckResult {
            read: refused("auth-required"),
            write: refused("restricted"),
            information: Some(InformationFinding::Failed { reason: "not_json" }),
            ..healthy()
        };
        insta::assert_json_snapshot!(shown(&relay_report(&result).unwrap()));
    }

    #[test]
    fn the_report_on_a_relay_that_wants_to_know_who_asks() {
        insta::assert_json_snapshot!(shown(&relay_report(&guarded()).unwrap()));
    }

    #[test]
    fn what_was_tried_corrects_what_is_claimed_and_ignorance_does_not() {
        let mut result = online(Some(json!({"supported_nips": [1, 45, 50, 77]})));
        let nips =
            |result: &CheckResult| -> Vec<u16> { supported_nips(result).into_iter().collect() };
        assert_eq!(nips(&result), [1, 45, 50, 77]);
        result.capabilities.count = Some(Capability::No("closed"));
        result.capabilities.search = Some(Capability::Unknown("silent"));
        assert_eq!(nips(&result), [1, 50, 77]);
        result.information = None;
        result.capabilities.negentropy = Some(Capability::Yes);
        assert_eq!(nips(&result), [77]);
    }

    #[test]
    fn an_offline_relay_gets_no_report() {
        assert_eq!(relay_report(&offline()), None);
    }

    #[test]
    fn a_document_too_long_to_repeat_is_left_out_and_still_read() {
        let long = "x".repeat(MAX_REPORT_CONTENT_BYTES);
        let result = online(Some(json!({"description": long, "supported_nips": [9]})));
        let report = relay_report(&result).unwrap();
        assert_eq!(report.content, "");
        assert!(report.tags.contains(&tag(["N", "9"])));
    }

    #[test]
    fn a_signed_report_verifies_and_keeps_its_tags() {
        let draft = relay_report(&healthy()).unwrap();
        let event = draft.clone().sign(&nostr::Keys::generate(), 1_700_000_000);
        let event = event.unwrap();
        event.verify().unwrap();
        assert_eq!((event.kind, event.created_at), (30_166, 1_700_000_000));
        assert_eq!((event.tags, event.content), (draft.tags, draft.content));
    }
}
