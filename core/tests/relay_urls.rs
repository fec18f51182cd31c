//! The relay URL rules as fixtures: input and policy in, canonical form or reason out.

#[path = "relay_urls/normalise.rs"]
mod normalise;
#[path = "relay_urls/refuse.rs"]
mod refuse;

use std::collections::{BTreeSet, HashSet};

use bigbrotr_core::network::Network;
use bigbrotr_core::relay_url::{MAX_URL_BYTES, RelayUrl, RelayUrlError, UrlPolicy};

const PUBLIC: UrlPolicy = UrlPolicy {
    allow_private: false,
    keep_query: false,
};
const PRIVATE: UrlPolicy = UrlPolicy {
    allow_private: true,
    keep_query: false,
};
const QUERY: UrlPolicy = UrlPolicy {
    allow_private: false,
    keep_query: true,
};

const ONION: &str = "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad";
const I2P: &str = "udhdrtrhjrq3s2kqkuxyykhwtdh5rwrwrnywxxvzjq2nsgl5pnaa";
const LOKI: &str = "dw68y1xhptqbhcm5s8aaaip6dbopykagig5q5u1za4c7pzxto77y";

/// A fixture: the input, and the canonical form or the reason of the refusal.
type Fixture<'a> = (&'a str, Result<&'a str, &'a str>);

#[track_caller]
fn check(policy: UrlPolicy, fixtures: &[Fixture<'_>]) {
    let failures: Vec<String> = fixtures
        .iter()
        .filter_map(|(input, expected)| {
            let result = RelayUrl::parse(input, &policy);
            let actual = result
                .as_ref()
                .map(RelayUrl::as_str)
                .map_err(RelayUrlError::reason);
            (actual != *expected).then(|| format!("{input:?}: {actual:?}, not {expected:?}"))
        })
        .collect();
    assert!(failures.is_empty(), "{policy:?}\n{}", failures.join("\n"));
}

#[track_caller]
fn accepted(policy: UrlPolicy, fixtures: &[(&str, &str)]) {
    let fixtures: Vec<Fixture<'_>> = fixtures
        .iter()
        .map(|&(i, output)| (i, Ok(output)))
        .collect();
    check(policy, &fixtures);
}

#[track_caller]
fn refused(policy: UrlPolicy, fixtures: &[(&str, &str)]) {
    let fixtures: Vec<Fixture<'_>> = fixtures
        .iter()
        .map(|&(i, reason)| (i, Err(reason)))
        .collect();
    check(policy, &fixtures);
}

fn parse(input: &str) -> RelayUrl {
    RelayUrl::parse(input, &PUBLIC).unwrap_or_else(|error| panic!("{input:?}: {error}"))
}

#[test]
fn accessors_agree_with_the_text() {
    let url = parse("wss://Relay.example.com:8080/Nostr/");
    assert_eq!((url.scheme(), url.is_tls()), ("wss", true));
    assert_eq!(
        (url.host(), url.ip(), url.port()),
        ("relay.example.com", None, 8080)
    );
    assert_eq!(url.authority(), "relay.example.com:8080");
    assert_eq!((url.path(), url.query()), ("/Nostr", None));
    assert_eq!(url.http_url(), "https://relay.example.com:8080/Nostr");
    assert_eq!(url.network(), Network::Clearnet);

    let url = RelayUrl::parse("ws://[2606:4700::0:1]/?a=b", &QUERY).unwrap();
    assert_eq!((url.scheme(), url.is_tls()), ("ws", false));
    assert_eq!((url.host(), url.port()), ("2606:4700::1", 80));
    assert_eq!(url.ip(), Some("2606:4700::1".parse().unwrap()));
    assert_eq!(url.authority(), "[2606:4700::1]");
    assert_eq!((url.path(), url.query()), ("", Some("a=b")));
    assert_eq!(url.http_url(), "http://[2606:4700::1]?a=b");
    assert_eq!(url.d_tag(), "ws://[2606:4700::1]/?a=b");
    assert_eq!(parse("wss://x.com").port(), 443);
}

#[test]
fn the_published_form_has_a_root_slash_and_the_key_has_none() {
    for input in ["wss://relay.example.com", "wss://relay.example.com/"] {
        assert_eq!(parse(input).as_str(), "wss://relay.example.com");
        assert_eq!(parse(input).d_tag(), "wss://relay.example.com/");
    }
    assert_eq!(parse("wss://x.com/a/").d_tag(), "wss://x.com/a");
}

#[test]
fn only_the_canonical_spelling_is_taken_back() {
    for text in [
        "wss://x.com",
        "ws://localhost",
        "ws://10.0.0.1:81/a",
        "wss://x.com?a=1",
    ] {
        assert_eq!(RelayUrl::from_canonical(text).unwrap().as_str(), text);
    }
    for (text, reason) in [
        ("wss://x.com/", "not_canonical"),
        ("wss://X.com", "not_canonical"),
        ("wss://x.com:443", "not_canonical"),
        ("x.com", "missing_scheme"),
        ("wss://x", "single_label"),
    ] {
        assert_eq!(
            RelayUrl::from_canonical(text).unwrap_err().reason(),
            reason,
            "{text}"
        );
    }
}

#[test]
fn urls_travel_as_strings_and_are_found_by_them() {
    let url = parse("wss://x.com/a");
    assert_eq!(serde_json::to_string(&url).unwrap(), "\"wss://x.com/a\"");
    assert_eq!(
        serde_json::from_str::<RelayUrl>("\"wss://x.com/a\"").unwrap(),
        url
    );
    let error = serde_json::from_str::<RelayUrl>("\"wss://x.com/a/\"").unwrap_err();
    assert!(error.to_string().contains("canonical"), "{error}");
    assert_eq!(url.to_string(), "wss://x.com/a");
    assert!(HashSet::from([url.clone()]).contains("wss://x.com/a"));
    assert!(BTreeSet::from([url]).contains("wss://x.com/a"));
}
