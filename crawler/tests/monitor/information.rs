//! Information documents as relays serve them: whatever comes, the check goes on.

use std::time::Duration;

use bigbrotr_crawler::monitor::{InformationFinding, findings, relay_report};
use bigbrotr_testkit::relay::Information;
use bigbrotr_testkit::relay::faults::InformationFault;

use crate::support::{check, config, healthy_relay, impatient, relay_with};

#[tokio::test]
async fn what_is_no_document_is_named_and_nothing_is_claimed() {
    for (fault, reason) in [
        (InformationFault::Html, "not_json"),
        (InformationFault::Body("[1,2]".into()), "not_an_object"),
        (InformationFault::Body(String::new()), "not_json"),
        (InformationFault::Status(500), "http_status"),
        (InformationFault::Endless, "http_too_large"),
        (InformationFault::GzipBomb, "http_encoded"),
        (InformationFault::RedirectLoop, "http_redirect"),
        (InformationFault::Silence, "http_timeout"),
        (
            InformationFault::Slow(Duration::from_millis(50)),
            "http_timeout",
        ),
        (InformationFault::Cut, "http_broken"),
    ] {
        let relay = relay_with([fault.clone()]).await;
        let result = check(&relay, &impatient()).await;
        let expected = InformationFinding::Failed { reason };
        assert_eq!(result.information, Some(expected), "{fault:?}");
        assert!(result.is_online() && result.snapshot().nip11.is_none());
        let report = relay_report(&result).unwrap();
        assert_eq!(report.content, "");
        // Reading proved the first; nothing is known of payment, writes and work.
        let required: Vec<&str> = report
            .tags
            .iter()
            .filter(|tag| tag[0] == "R")
            .map(|tag| tag[1].as_str())
            .collect();
        assert_eq!(required, ["!auth"], "{fault:?}");
    }
}

#[tokio::test]
async fn wrong_types_in_every_field_are_kept_and_claim_nothing() {
    let relay = relay_with([InformationFault::WrongTypes]).await;
    let result = check(&relay, &config()).await;
    let information = result.information().unwrap();
    assert_eq!((&information.name, &information.software), (&None, &None));
    assert_eq!(information.supported_nips, None);
    assert_eq!(information.value["name"], 7);
    assert!(
        result
            .snapshot()
            .nip11
            .unwrap()
            .as_str()
            .contains("\"name\":7")
    );
    let report = relay_report(&result).unwrap();
    assert_eq!(report.content, information.text);
    // Nothing but what was proven by trying.
    let nips: Vec<&str> = report
        .tags
        .iter()
        .filter(|tag| tag[0] == "N")
        .map(|tag| tag[1].as_str())
        .collect();
    assert_eq!(nips, ["45", "77"]);
    assert_eq!(findings(&result)["nip11"]["ok"], true);
}

#[tokio::test]
async fn the_report_repeats_the_document_as_it_was_sent() {
    let relay = healthy_relay().await;
    let text = "{ \"version\":1,\n\t\"name\" : \"caf\\u00e9 \\u0000\" , \"name\":\"again\"}";
    relay.set_information(Information::Raw(text.to_owned()));
    let result = check(&relay, &config()).await;
    assert_eq!(relay_report(&result).unwrap().content, text);
    relay.set_information(Information::Absent);
    let result = check(&relay, &config()).await;
    assert_eq!(findings(&result)["nip11"]["reason"], "http_status");
}
