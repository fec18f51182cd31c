//! Information documents (NIP-11) that want to be too large, too long, too deep, or are none.

use std::time::Duration;

use bigbrotr_crawler::monitor::relay_report;
use bigbrotr_testkit::relay::faults::{ConnectionFault, InformationFault, Wire};

use crate::support::{check, document, impatient, patient, relay};

async fn found(fault: InformationFault, slow: bool) -> &'static str {
    let relay = relay([fault.clone()], None).await;
    let config = if slow { impatient() } else { patient() };
    let result = check(&relay, &config).await;
    // Whatever the document is: the relay itself is fine.
    assert!(result.is_online() && result.read.unwrap().ok, "{fault:?}");
    assert!(relay_report(&result).is_some());
    document(&result)
}

#[tokio::test]
async fn broken_answers_are_told_and_end() {
    for (wire, reason) in [
        (Wire::ssh(), "http_broken"),
        (Wire::headless(), "http_broken"),
        (Wire::nothing(), "http_broken"),
        (Wire::zeros(), "http_broken"),
        (Wire::giant_header(), "http_broken"),
        (Wire::endless_headers(), "http_broken"),
        (Wire::many_headers(), "http_broken"),
        (Wire::absurd_chunk(), "http_broken"),
        (Wire::endless_chunk_extension(), "http_broken"),
        (Wire::chunks_with_extensions(), "http_broken"),
        (Wire::endless_trailers(), "http_broken"),
        (Wire::negative_length(), "http_broken"),
        (Wire::two_lengths(), "http_broken"),
        (Wire::largest_chunk(), "http_too_large"),
        (Wire::absurd_length(), "http_too_large"),
        (Wire::endless_informational(), "http_too_large"),
        (Wire::picture(), "not_utf8"),
        // The type is wrong and the document is one: relays behind web servers do that.
        (Wire::document_as_html(), "ok"),
    ] {
        let found = found(InformationFault::Answer(wire.clone()), false).await;
        assert_eq!(found, reason, "{wire:?}");
    }
    for wire in [
        Wire::silence(),
        Wire::dripping_head(Duration::from_millis(20)),
    ] {
        let found = found(InformationFault::Answer(wire.clone()), true).await;
        assert_eq!(found, "http_timeout", "{wire:?}");
    }
}

#[tokio::test]
async fn what_is_compressed_is_not_unpacked() {
    for encoding in [
        "gzip",
        "x-gzip",
        "deflate",
        "br",
        "zstd",
        "gzip, gzip",
        "identity, gzip",
    ] {
        let wire = Wire::compressed(encoding);
        let found = found(InformationFault::Answer(wire), false).await;
        assert_eq!(found, "http_encoded", "{encoding}");
    }
    // Compressed all the same, without a word: it is not guessed.
    let packed = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff, 0xab, 0xae, 5, 0];
    let found = found(InformationFault::Bytes(packed.to_vec()), false).await;
    assert_eq!(found, "not_utf8");
}

#[tokio::test]
async fn odd_json_is_read_or_refused_and_harms_nobody() {
    let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
    let long_key = format!("{{\"{}\":1}}", "k".repeat(60_000));
    let many_keys: Vec<String> = (0..5_000).map(|n| format!("\"k{n}\":1")).collect();
    let many_keys = format!("{{{}}}", many_keys.join(","));
    for (name, body, reason) in [
        ("open brackets", "[".repeat(100_000), "not_json"),
        ("deep", nested(60_000), "not_json"),
        ("deep enough", nested(50), "ok"),
        ("open objects", "{\"a\":".repeat(20_000), "not_json"),
        (
            "duplicate keys",
            "{\"name\":\"a\",\"name\":\"b\"}".into(),
            "ok",
        ),
        ("a huge number", "{\"name\":1e999999}".into(), "not_json"),
        (
            "a long number",
            format!("{{\"a\":{}}}", "9".repeat(50_000)),
            "not_json",
        ),
        (
            "large numbers",
            "{\"supported_nips\":[1e300,-1,18446744073709551615,1]}".into(),
            "ok",
        ),
        (
            "a lone surrogate",
            "{\"name\":\"\\ud800\"}".into(),
            "not_json",
        ),
        ("a NUL", "{\"name\":\"a\\u0000b\"}".into(), "ok"),
        ("a raw NUL", "{\"name\":\"a\0b\"}".into(), "not_json"),
        ("a byte order mark", "\u{feff}{\"name\":\"a\"}".into(), "ok"),
        ("two documents", "{}{}".into(), "not_json"),
        ("a comment", "{} // hello".into(), "not_json"),
        ("NaN", "{\"a\":NaN}".into(), "not_json"),
        ("a long key", long_key, "ok"),
        ("many keys", many_keys, "ok"),
        ("a text", "\"{}\"".into(), "not_an_object"),
        ("null", "null".into(), "not_an_object"),
        ("spaces", " ".repeat(100_000), "not_json"),
    ] {
        let found = found(InformationFault::Body(body), false).await;
        assert_eq!(found, reason, "{name}");
    }
    let overlong = b"{\"name\":\"\xc0\xaf\"}".to_vec();
    let found = found(InformationFault::Bytes(overlong), false).await;
    assert_eq!(found, "not_utf8");
}

#[tokio::test]
async fn a_redirect_does_not_lead_far() {
    for to in [
        "ftp://relay.example.com/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http://expyuzz4wqqyqhjn.onion/",
        "http://relay.i2p/",
        "http://\u{e9}.com/",
        "http:///",
        "",
    ] {
        let found = found(InformationFault::Redirect(to.into()), false).await;
        assert!(
            ["http_redirect", "http_url"].contains(&found),
            "{to:?}: {found}"
        );
    }
    let looped = found(InformationFault::RedirectLoop, false).await;
    assert_eq!(looped, "http_redirect");
}

#[tokio::test]
async fn a_relay_that_is_dead_to_http_and_websocket_alike_costs_one_time_out() {
    let relay = relay([ConnectionFault::Greet(Wire::silence())], None).await;
    let result = check(&relay, &impatient()).await;
    assert!(!result.is_online());
    assert_eq!(document(&result), "http_timeout");
}
