//! `bigbrotr check` against simulated relays, by running the program.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::process::Output;

use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::{ConnectionFault, WriteFault};
use bigbrotr_testkit::relay::{
    AuthPolicy, Information, SimRelayConfig, TestAuthority, TlsConfig, TlsKind,
};
use common::bigbrotr;
use serde_json::Value;

/// Runs the check without blocking the relays.
async fn run(url: &str, more: &[&str]) -> (Output, String) {
    let (url, more) = (
        url.to_owned(),
        more.iter().map(ToString::to_string).collect::<Vec<_>>(),
    );
    let run = tokio::task::spawn_blocking(move || {
        let folder = tempfile::tempdir().unwrap();
        let mut command = bigbrotr(folder.path());
        command
            .args(["check", &url, "--allow-private-networks"])
            .args(more);
        let output = command.env_remove("NO_COLOR").output().unwrap();
        // No database, no key, nothing else is left behind.
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        output
    });
    let output = run.await.unwrap();
    let stdout = String::from_utf8(output.stdout.clone()).unwrap();
    (output, stdout)
}

async fn relay(config: SimRelayConfig) -> SimRelay {
    let relay = SimRelay::start(config).await.unwrap();
    let document = r#"{"name":"A \u001b[2Jrelay","software":"https://example.com/relay",
        "version":"1.2","supported_nips":[1,11,45,50,77]}"#;
    relay.set_information(Information::Raw(document.to_owned()));
    relay
}

/// Takes out what differs from run to run: times, the port, the certificate.
fn redacted(text: &str, relay: &SimRelay) -> String {
    let text = text.replace(&relay.address().port().to_string(), "PORT");
    let mut lines = Vec::new();
    for line in text.lines() {
        let name = line.split_whitespace().next().unwrap_or_default();
        let shown = match name {
            "serial" | "SHA-256" => format!("  {name} [...]"),
            "valid" => "  valid [...]".to_owned(),
            _ => {
                let mut words: Vec<&str> = line.split(' ').collect();
                for n in 1..words.len() {
                    if words[n].trim_end_matches([',', ')']) == "ms" {
                        words[n - 1] = "[N]";
                    }
                }
                words.join(" ")
            }
        };
        lines.push(shown);
    }
    lines.join("\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_relay() {
    let relay = relay(SimRelayConfig::default()).await;
    let (output, text) = run(&relay.url(), &[]).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(
        !text.contains('\u{1b}'),
        "no colours off a terminal: {text}"
    );
    insta::assert_snapshot!(redacted(&text, &relay));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_wants_to_know_who_asks() {
    let relay = relay(SimRelayConfig {
        auth: AuthPolicy::All,
        ..SimRelayConfig::default()
    })
    .await;
    let (output, text) = run(&relay.url(), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(redacted(&text, &relay));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_wants_work() {
    let relay = relay(SimRelayConfig::default()).await;
    relay.fault_next(1, WriteFault::Refuse("pow: 4 bits needed".to_owned()));
    let (output, text) = run(&relay.url(), &["--timeout", "60s"]).await;
    assert_eq!(output.status.code(), Some(0));
    assert!(text.contains("4 bits: accepted"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_a_certificate_of_its_own() {
    let authority = TestAuthority::generate().unwrap();
    let relay = relay(SimRelayConfig {
        tls: Some(TlsConfig::new(&authority, TlsKind::SelfSigned)),
        ..SimRelayConfig::default()
    })
    .await;
    let (output, text) = run(&relay.url(), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    insta::assert_snapshot!(redacted(&text, &relay));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_web_page_and_a_dead_relay_are_offline() {
    let html = SimRelay::start(SimRelayConfig::with_faults([ConnectionFault::Html]));
    let html = html.await.unwrap();
    let (output, text) = run(&html.url(), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("offline (upgrade_refused)"), "{text}");

    let url = html.url();
    html.stop().await;
    let (output, text) = run(&url, &["--event"]).await;
    assert_eq!((output.status.code(), text.as_str()), (Some(1), ""));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no report"));
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_usage_is_no_verdict() {
    for arguments in [
        vec!["check", "https//nonsense"],
        vec!["check", "ws://127.0.0.1:1"],
        vec!["check", "wss://relay.example.com", "--timeout", "soon"],
        vec!["check", "wss://relay.example.com", "--timeout", "10h"],
        vec!["check", "ws://relayrelayrelay.i2p"],
    ] {
        let folder = tempfile::tempdir().unwrap();
        let output = bigbrotr(folder.path()).args(&arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_get_a_stable_shape() {
    let relay = relay(SimRelayConfig::default()).await;
    let (_, text) = run(&relay.url(), &["--json"]).await;
    let json: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&String> = json.as_object().unwrap().keys().collect();
    let mut expected = vec![
        "url",
        "network",
        "checked_at",
        "verdict",
        "online",
        "rtt_open_ms",
        "rtt_read_ms",
        "rtt_write_ms",
        "timings_ms",
        "dns_ttl_seconds",
        "nip11",
        "nip66",
    ];
    let mut shown: Vec<&str> = keys.into_iter().map(String::as_str).collect();
    shown.sort_unstable();
    expected.sort_unstable();
    assert_eq!(shown, expected);
    assert_eq!(
        (&json["verdict"], &json["nip11"]["version"]),
        (&"online".into(), &"1.2".into())
    );
    assert_eq!(json["nip66"]["capabilities"]["count"]["verdict"], "yes");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_event_is_whole_but_for_its_signature() {
    let relay = relay(SimRelayConfig::default()).await;
    let (_, text) = run(&relay.url(), &["--event"]).await;
    let mut event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(event.get("sig"), None);
    assert_eq!(event["kind"], 30_166);
    event["sig"] = "0".repeat(128).into();
    let event = bigbrotr_core::event::Event::from_json(&event.to_string()).unwrap();
    event.verify_id().unwrap();
}
