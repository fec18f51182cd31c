//! A job through a relay that is not the node's: heard there, answered there.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod common;

use std::time::Instant;

use common::{Node, PATIENCE, bigbrotr, output};
use nostr::Keys;

#[test]
fn a_job_is_heard_and_answered_on_another_relay() {
    let folder = tempfile::tempdir().unwrap();
    let (there, here) = (folder.path().join("there"), folder.path().join("here"));
    let keys = Keys::generate();
    let (secret, public) = (
        keys.secret_key().to_secret_hex(),
        keys.public_key().to_hex(),
    );
    // Somebody else's relay, which lets this node write.
    let allowed = format!("[\"{public}\"]");
    let other = Node::start_with(
        &there,
        &["--services", "initializer,relay"],
        &[("BIGBROTR__RELAY__POLICY__ALLOWED_PUBKEYS", &allowed)],
    );
    let listened = format!("[\"{}\"]", other.relay);
    let node = Node::start_with(
        &here,
        &[
            "--services",
            "initializer,relay,dvm",
            "--allow-private-networks",
        ],
        &[
            ("BIGBROTR__DVM__LISTEN_RELAYS", &listened),
            ("BIGBROTR_SECRET_KEY", &secret),
        ],
    );
    let ask = |more: &[&str]| {
        let (done, stdout, stderr) = output(
            bigbrotr(&here)
                .args(["ask", "--relay", &other.relay])
                .args(more),
        );
        (done.status.code(), stdout, stderr)
    };
    // Once it is announced there, nobody has to be told whom to ask.
    let deadline = Instant::now() + PATIENCE;
    let (code, stdout, stderr) = loop {
        let answered = ask(&["--encrypt", "--timeout", "20", "kinds.list"]);
        if answered.0 == Some(0) || Instant::now() > deadline {
            break answered;
        }
    };
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.starts_with(r#"{"data":[],"meta":{"#), "{stdout}");
    assert!(stderr.contains("asking BigBrotr (npub1"), "{stderr}");
    let (code, stdout, stderr) = ask(&["--provider", &public, "events.stats", "window=2h"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""));
    assert!(stderr.contains("invalid_param"), "{stderr}");
    assert_eq!(node.terminate(), Some(0));
    assert_eq!(other.terminate(), Some(0));
}
