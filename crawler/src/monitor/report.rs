//! The report on a relay: kind 30166 of [NIP-66].
//!
//! Says only what the relay's own document says or a probe has shown. An offline relay gets no
//! report: silence means offline.
//!
//! [NIP-66]: https://github.com/nostr-protocol/nips/blob/master/66.md

use std::time::Duration;

use super::draft::{Draft, tag};
use super::limits::MAX_REPORT_CONTENT_BYTES;
use super::requirements::Requirements;
use super::result::{CheckResult, Probe, rtt_ms};

/// The kind of a report.
pub(super) const REPORT_KIND: u16 = 30_166;

/// Makes the report on a relay, `None` for one that is offline.
///
/// A round-trip time is there only for what succeeded: clients take it as "this works". The
/// content is the information document as the relay sent it, unless it is too long to repeat.
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
    let mut content = String::new();
    if let Some(information) = result.information() {
        let nips = information.supported_nips.iter().flatten();
        tags.extend(nips.map(|nip| tag(["N", &nip.to_string()])));
        tags.extend(information.topics.iter().map(|topic| tag(["t", topic])));
        tags.extend(
            information
                .software
                .iter()
                .map(|software| tag(["s", software])),
        );
        tags.extend(
            information
                .pubkey
                .map(|pubkey| tag(["p", &pubkey.to_hex()])),
        );
        if information.text.len() <= MAX_REPORT_CONTENT_BYTES {
            content.clone_from(&information.text);
        }
    }
    for (name, required) in Requirements::of(result).known() {
        let not = if required { "" } else { "!" };
        tags.push(tag(["R", &format!("{not}{name}")]));
    }
    Some(Draft {
        kind: REPORT_KIND,
        tags,
        content,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::fixtures::{healthy, offline, online};
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
