//! What holds for every relay URL, whatever was fed in. The WHATWG parser of the `url` crate,
//! which the HTTP side uses, is the oracle for how the result is read by others.

use bigbrotr_core::address::is_special;
use bigbrotr_core::relay_url::{MAX_URL_BYTES, RelayUrl, UrlPolicy};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// Pieces that make URLs, and that break them. Random strings alone would never get past the
/// scheme.
const PIECES: &[&str] = &[
    "ws://",
    "wss://",
    "WSS://",
    "http://",
    "wss:",
    "https",
    "//",
    "/",
    ".",
    "..",
    "%2e",
    "%2F",
    "%72",
    "%C3%A9",
    "%ff",
    "%",
    "%25",
    "%20",
    ":",
    ":443",
    ":80",
    ":08080",
    ":0",
    "?a=1",
    "?",
    "#",
    "@",
    "u:p@",
    "[",
    "]",
    "[::1]",
    "[2606:4700::1]",
    "[::ffff:1.2.3.4]",
    "1.2.3.4",
    "0x7f",
    "127.0.0.1",
    "8.8.8.8",
    "256",
    "relay",
    "com",
    "x.com",
    "RELAY.com",
    "relay.com.",
    "。",
    "é",
    "😀",
    "ß",
    "xn--",
    "xn--caf-dma",
    "_",
    "-",
    "localhost",
    ".local",
    ".internal",
    ".test",
    ".example",
    "2130706433",
    "expyuzz4wqqyqhjn",
    "exit",
    ".onion",
    ".i2p",
    ".loki",
    "duckduckgogg42xjoc72x3sjasowoarfbgcmvfimaftt6twagswzczad",
    ",wss://",
    ",w%73s://",
    "\\",
    " ",
    "\t",
    "\0",
    "\u{200b}",
    "\u{200d}",
    "\u{ad}",
    "\u{feff}",
    "'",
    "|",
    "\"",
    "npub1",
    "[object Object]",
];

fn policies() -> impl Strategy<Value = UrlPolicy> {
    any::<(bool, bool)>().prop_map(|(allow_private, keep_query)| UrlPolicy {
        allow_private,
        keep_query,
    })
}

/// Mixtures of [`PIECES`] and random text, most of them refused.
fn mixtures() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        8 => proptest::sample::select(PIECES).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    let front = prop_oneof![
        Just(""),
        Just("wss://"),
        Just("ws://x.com"),
        Just("wss://x.com/")
    ];
    (front, proptest::collection::vec(piece, 0..10))
        .prop_map(|(front, pieces)| format!("{front}{}", pieces.concat()))
}

/// URLs with a sound host and anything behind it, most of them accepted.
fn plausible() -> impl Strategy<Value = String> {
    let host = prop_oneof![
        "[a-zA-Z0-9_]{1,8}(\\.[a-z0-9éß😀]{1,6}){0,2}\\.(com|io|ws|i2p|local)\\.?",
        any::<std::net::Ipv4Addr>().prop_map(|ip| ip.to_string()),
        any::<std::net::Ipv6Addr>().prop_map(|ip| format!("[{ip}]")),
        any::<[u16; 8]>().prop_map(|s| {
            let groups: Vec<_> = s
                .iter()
                .map(|group| format!("{:04X}", group & 0x1001))
                .collect();
            format!("[{}]", groups.join(":"))
        }),
    ];
    (
        "(ws|wss|WSS)",
        host,
        "(:0{0,2}[1-9][0-9]{0,3})?",
        "(/[^\\pC\\pZ]{0,12}){0,4}",
    )
        .prop_map(|(scheme, host, port, rest)| format!("{scheme}://{host}{port}{rest}"))
}

fn inputs() -> impl Strategy<Value = String> {
    prop_oneof![2 => mixtures(), 2 => plausible(), 1 => any::<String>()]
}

fn config() -> ProptestConfig {
    ProptestConfig {
        cases: 2_000,
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_text_makes_it_panic(input in inputs(), policy in policies()) {
        let parsed = RelayUrl::parse(&input, &policy);
        prop_assert!(parsed.is_ok() || !parsed.unwrap_err().to_string().is_empty());
        prop_assert!(RelayUrl::from_canonical(&input).is_ok_and(|url| url.as_str() == input)
            || RelayUrl::from_canonical(&input).is_err());
    }

    #[test]
    fn parsing_again_changes_nothing(input in inputs(), policy in policies()) {
        if let Ok(url) = RelayUrl::parse(&input, &policy) {
            let again = RelayUrl::parse(url.as_str(), &policy);
            prop_assert_eq!(again.as_ref(), Ok(&url));
            prop_assert_eq!(again.as_ref().map(RelayUrl::port), Ok(url.port()));
            prop_assert_eq!(RelayUrl::from_canonical(url.as_str()), Ok(url));
        }
    }

    #[test]
    fn the_published_form_leads_back_to_the_key(input in inputs(), policy in policies()) {
        if let Ok(url) = RelayUrl::parse(&input, &policy) {
            prop_assert_eq!(RelayUrl::parse(&url.d_tag(), &policy), Ok(url));
        }
    }

    #[test]
    fn no_refused_form_comes_out(input in inputs(), policy in policies()) {
        let Ok(url) = RelayUrl::parse(&input, &policy) else { return Ok(()) };
        let text = url.as_str();
        prop_assert!(text.len() <= MAX_URL_BYTES && url.d_tag().len() <= MAX_URL_BYTES);
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_graphic()), "{}", text);
        prop_assert!(!text.contains(['#', '\\', '"', '<', '>']), "{}", text);
        prop_assert!(!text.ends_with('/') || url.query().is_some(), "{}", text);
        prop_assert!(!url.path().contains("//"), "{}", text);
        prop_assert!(url.path().split('/').all(|s| s != "." && s != ".."), "{}", text);
        prop_assert!(!url.authority().contains('@') && url.port() != 0, "{}", text);
        prop_assert!(!url.host().bytes().any(|byte| byte.is_ascii_uppercase()), "{}", text);
        prop_assert_eq!(url.query().is_some() && !policy.keep_query, false);
        if !policy.allow_private {
            prop_assert!(url.ip().is_none_or(|ip| !is_special(ip)), "{}", text);
            let tld = url.host().rsplit('.').next();
            let private = ["localhost", "local", "internal", "test", "example"];
            prop_assert!(tld.is_none_or(|tld| !private.contains(&tld)), "{}", text);
        }
        let labels: Vec<_> = url.host().split('.').rev().collect();
        match labels[..] {
            ["onion", address, ..] => prop_assert_eq!(address.len(), 56, "{}", text),
            ["loki", address, ..] => prop_assert_eq!(address.len(), 52, "{}", text),
            [tld, ..] if url.ip().is_none() => {
                let hex = tld.strip_prefix("0x").unwrap_or("none");
                prop_assert!(u64::from_str_radix(hex, 16).is_err(), "{}", text);
                prop_assert!(tld.parse::<u64>().is_err(), "{}", text);
            }
            _ => {}
        }
        if url.ip().is_none() && url.host() != "localhost" {
            prop_assert!(url.host().contains('.') && url.host().len() <= 253, "{}", text);
            let sound = |label: &str| (1..=63).contains(&label.len())
                && !label.starts_with('-') && !label.ends_with('-');
            prop_assert!(url.host().split('.').all(sound), "{}", text);
        }
    }

    /// Two parsers that disagree about where a URL leads are how address guards are bypassed.
    #[test]
    fn the_whatwg_parser_reads_the_same_endpoint(input in inputs(), policy in policies()) {
        let Ok(url) = RelayUrl::parse(&input, &policy) else { return Ok(()) };
        let theirs = url::Url::parse(url.as_str()).unwrap();
        prop_assert_eq!(theirs.scheme(), url.scheme());
        prop_assert_eq!(theirs.port_or_known_default(), Some(url.port()));
        match theirs.host() {
            Some(url::Host::Domain(name)) => prop_assert_eq!(name, url.host()),
            Some(url::Host::Ipv4(ip)) => prop_assert_eq!(Some(ip.into()), url.ip()),
            Some(url::Host::Ipv6(ip)) => prop_assert_eq!(Some(ip.into()), url.ip()),
            None => prop_assert!(false, "no host"),
        }
        let root = if url.path().is_empty() { "/" } else { url.path() };
        prop_assert_eq!((theirs.path(), theirs.query()), (root, url.query()));
    }

    #[test]
    fn every_spelling_of_an_endpoint_is_one_key(
        name in "[a-z]{1,8}\\.com",
        path in "(/[a-zA-Z0-9]{1,5}){0,3}",
    ) {
        let key = format!("wss://{name}{path}");
        let escaped = path.replace('a', "%61").replace('/', "//");
        for spelling in [
            format!("WSS://{}{path}/", name.to_uppercase()),
            format!("wss://{name}.:0443{escaped}//"),
            format!("wss://u:p@{name}/x/..{path}/.?q#f"),
        ] {
            let url = RelayUrl::parse(&spelling, &UrlPolicy::default()).unwrap();
            prop_assert_eq!(url.as_str(), &key);
        }
    }
}
