//! What a relay allows strangers, who has signed in, and who has worked for it.

use bigbrotr_core::event::Event;
use bigbrotr_core::message::ClientMessage;
use bigbrotr_crawler::monitor::{
    CheckResult, MonitorConfig, Requirements, Work, WorkOutcome, findings, relay_report,
};
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::WriteFault;
use bigbrotr_testkit::relay::{AuthPolicy, Information, SimRelayConfig};

use crate::scripted::{Scripted, ordinary};
use crate::support::{check, check_url, config, healthy_relay, impatient, relay_with};

fn has_tag(result: &CheckResult, name: &str) -> bool {
    let report = relay_report(result).unwrap();
    report.tags.iter().any(|tag| tag[0] == name)
}

#[tokio::test]
async fn what_is_allowed_after_signing_in_is_told_apart() {
    let relay = SimRelay::start(SimRelayConfig {
        auth: AuthPolicy::All,
        ..SimRelayConfig::default()
    });
    let relay = relay.await.unwrap();
    let result = check(&relay, &config()).await;
    let signed_in = result.signed_in.unwrap();
    assert!(signed_in.auth.ok && signed_in.read.unwrap().ok && signed_in.write.unwrap().ok);
    // What is said of the relay is what a stranger gets.
    assert!(!result.read.unwrap().ok && !result.write.unwrap().ok);
    assert_eq!(Requirements::of(&result).auth, Some(true));
    assert!(!has_tag(&result, "rtt-read") && !has_tag(&result, "rtt-write"));
    let found = findings(&result);
    assert_eq!(found["signed_in"]["read"]["ok"], true);
    assert_eq!(found["capabilities"]["auth_read"]["verdict"], "yes");
    let stats = relay.stats();
    assert_eq!((stats.connections, stats.authenticated.len()), (2, 1));
}

#[tokio::test]
async fn only_what_was_refused_is_tried_again() {
    let relay = SimRelay::start(SimRelayConfig {
        auth: AuthPolicy::Writes,
        ..SimRelayConfig::default()
    });
    let result = check(&relay.await.unwrap(), &config()).await;
    let signed_in = result.signed_in.unwrap();
    assert_eq!(signed_in.read, None);
    assert!(result.read.unwrap().ok && signed_in.write.unwrap().ok);
}

#[tokio::test]
async fn nobody_signs_in_where_nobody_asked_or_it_is_switched_off() {
    let relay = SimRelay::start(SimRelayConfig {
        auth: AuthPolicy::Optional,
        ..SimRelayConfig::default()
    });
    let relay = relay.await.unwrap();
    assert_eq!(check(&relay, &config()).await.signed_in, None);
    let guarded = SimRelay::start(SimRelayConfig {
        auth: AuthPolicy::All,
        ..SimRelayConfig::default()
    });
    let guarded = guarded.await.unwrap();
    let off = MonitorConfig {
        auth: false,
        ..config()
    };
    assert_eq!(check(&guarded, &off).await.signed_in, None);
    for relay in [relay, guarded] {
        assert_eq!(relay.stats().authenticated, []);
    }
}

#[tokio::test]
async fn a_challenge_of_megabytes_is_not_signed() {
    let greeting = format!(r#"["AUTH","{}"]"#, "x".repeat(3 << 20));
    let relay = Scripted::start(vec![greeting], |message| match message {
        ClientMessage::Req { sub_id, .. } => {
            vec![format!(
                r#"["CLOSED","{sub_id}","auth-required: who are you"]"#
            )]
        }
        ClientMessage::Auth(_) => panic!("signed"),
        other => ordinary(&other),
    });
    let relay = relay.await;
    let config = MonitorConfig {
        nip11: false,
        ..impatient()
    };
    let result = check_url(&relay.url(), &config).await;
    let auth = result.signed_in.unwrap().auth;
    assert_eq!((auth.ok, auth.reason), (false, Some("auth_no_challenge")));
}

fn zeros(event: &Event) -> u32 {
    u128::from_be_bytes(event.id.as_bytes()[..16].try_into().unwrap()).leading_zeros()
}

#[tokio::test]
async fn proof_of_work_is_found_where_it_is_asked_for() {
    let relay = Scripted::start(Vec::new(), |message| match message {
        ClientMessage::Event(event) if zeros(&event) >= 9 && event.tags[0][2] == "9" => {
            event.verify().unwrap();
            ordinary(&ClientMessage::Event(event))
        }
        ClientMessage::Event(event) => {
            vec![format!(
                r#"["OK","{}",false,"pow: 9 bits needed"]"#,
                event.id
            )]
        }
        other => ordinary(&other),
    });
    let relay = relay.await;
    let config = MonitorConfig {
        nip11: false,
        pow_timeout: std::time::Duration::from_mins(1),
        ..config()
    };
    let result = check_url(&relay.url(), &config).await;
    let work = Work {
        bits: Some(9),
        outcome: WorkOutcome::Accepted,
    };
    assert_eq!(result.work, Some(work));
    assert!(result.write.unwrap().ok);
    // A stranger can write, and has to work for it.
    assert_eq!(Requirements::of(&result).pow, Some(true));
    assert!(has_tag(&result, "rtt-write"));
}

#[tokio::test]
async fn the_document_says_how_much_where_the_refusal_does_not() {
    let relay = healthy_relay().await;
    let document = r#"{"limitation":{"min_pow_difficulty":6}}"#;
    relay.set_information(Information::Raw(document.to_owned()));
    relay.fault_next(1, WriteFault::Refuse("pow: work harder".to_owned()));
    let config = MonitorConfig {
        pow_timeout: std::time::Duration::from_mins(1),
        ..config()
    };
    let result = check(&relay, &config).await;
    let work = Work {
        bits: Some(6),
        outcome: WorkOutcome::Accepted,
    };
    assert_eq!(result.work, Some(work));
}

#[tokio::test]
async fn hopeless_and_unsaid_work_is_not_tried() {
    for (message, bits, outcome) in [
        ("pow: 256 bits", Some(256), WorkOutcome::TooHard),
        ("pow: 21 bits", Some(21), WorkOutcome::TooHard),
        ("pow: 99999999999999999999", None, WorkOutcome::NotSaid),
    ] {
        let relay = relay_with([WriteFault::Refuse(message.to_owned())]).await;
        let result = check(&relay, &impatient()).await;
        assert_eq!(result.work, Some(Work { bits, outcome }), "{message}");
        let write = result.write.unwrap();
        assert_eq!((write.ok, write.reason), (false, Some("pow")));
        assert_eq!(relay.stats().events_received, 1);
    }
}
