//! What is refused, each for its own reason.

use super::*;

#[test]
fn broken_overlay_addresses_are_refused() {
    let typo = ONION.replacen("duck", "buck", 1);
    let version = format!("{}e", &ONION[..55]);
    let alphabet = format!("1{}", &ONION[1..]);
    refused(
        PUBLIC,
        &[
            ("ws://expyuzz4wqqyqhjn.onion", "onion_v2"),
            ("ws://www.expyuzz4wqqyqhjn.onion", "onion_v2"),
            ("ws://abc.onion", "onion_length"),
            (&format!("ws://a{ONION}.onion"), "onion_length"),
            (&format!("ws://{}.onion", &ONION[1..]), "onion_length"),
            (&format!("ws://{ONION}.sub.onion"), "onion_length"),
            (&format!("ws://{typo}.onion"), "onion_checksum"),
            (&format!("ws://{version}.onion"), "onion_checksum"),
            (&format!("ws://{alphabet}.onion"), "onion_alphabet"),
            ("ws://onion", "single_label"),
            (&format!("ws://{}.b32.i2p", &I2P[1..]), "i2p_address"),
            (&format!("ws://1{}.b32.i2p", &I2P[1..]), "i2p_address"),
            (&format!("ws://a.{I2P}.b32.i2p"), "i2p_address"),
            ("ws://b32.i2p", "i2p_address"),
            ("ws://exit.loki", "loki_exit"),
            ("ws://EXIT.loki.", "loki_exit"),
            ("ws://relay.loki", "loki_address"),
            (&format!("ws://{}.loki", &LOKI[1..]), "loki_address"),
            (&format!("ws://0{}.loki", &LOKI[1..]), "loki_address"),
        ],
    );
}

#[test]
fn text_that_is_not_one_websocket_url_is_refused() {
    refused(
        PUBLIC,
        &[
            ("", "missing_scheme"),
            ("relay.com", "missing_scheme"),
            ("relay.com:443", "missing_scheme"),
            ("localhost:8080", "missing_scheme"),
            ("relay.com/wss://x.com", "missing_scheme"),
            ("//relay.com", "missing_scheme"),
            ("://relay.com", "missing_scheme"),
            ("wss//relay.com", "missing_scheme"),
            ("undefined", "missing_scheme"),
            ("http://relay.com", "unsupported_scheme"),
            ("HTTPS://relay.com", "unsupported_scheme"),
            ("wsss://relay.com", "unsupported_scheme"),
            ("mailto:me@relay.com", "unsupported_scheme"),
            ("javascript:alert(1)", "unsupported_scheme"),
            ("file:///etc/passwd", "unsupported_scheme"),
            ("wss:relay.com", "missing_slashes"),
            ("wss:/relay.com", "missing_slashes"),
            ("WS:relay.com/a", "missing_slashes"),
            ("wss:\\\\relay.com", "missing_slashes"),
            ("wss:///x", "empty_host"),
            ("wss://", "empty_host"),
            ("wss://:8080", "empty_host"),
            ("wss://user@", "empty_host"),
            ("wss://?a", "empty_host"),
            ("wss://#a", "empty_host"),
            ("wss://.", "empty_host"),
            ("wss://wss://x", "nested_scheme"),
            ("wss://wss://relay.com", "nested_scheme"),
            ("ws://HTTP://relay.com", "nested_scheme"),
            ("wss://https//x", "nested_scheme"),
            ("wss://https:/relay.com", "nested_scheme"),
            ("wss://wss:relay.com", "nested_scheme"),
            ("wss://ws", "nested_scheme"),
            ("wss://a.com,wss://b.com", "joined_urls"),
            ("wss://a.com/,WSS://b.com/", "joined_urls"),
            ("wss://a.com?x,ws://b.com", "joined_urls"),
            ("wss://a.com?x,w%73s://b.com", "joined_urls"),
            ("wss://a.comwss://b.com", "joined_urls"),
            ("wss://a.com/wss://b.com", "joined_urls"),
            ("wss://a.com,b.com", "invalid_character"),
            ("[object Object]", "stringified_object"),
            ("wss://[object Object]", "stringified_object"),
            ("wss://[object%20object]/", "stringified_object"),
        ],
    );
}

#[test]
fn nostr_entities_are_refused_and_never_repeated() {
    let key = "sn0ne8h6wy3ty4h4dz3v9s8k9cmzlakaz5n8sl5p2j9h7uxf2cvyqs0aqz7";
    for prefix in [
        "npub1",
        "nsec1",
        "nprofile1",
        "NPUB1",
        "note1",
        "nevent1",
        "naddr1",
    ] {
        for front in ["", "nostr:", "Nostr:", "wss://"] {
            let key = &key[..58 - prefix.len()];
            let error = RelayUrl::parse(&format!("{front}{prefix}{key}"), &PRIVATE).unwrap_err();
            assert_eq!(error.reason(), "nostr_entity", "{front}{prefix}");
            assert!(!format!("{error} {error:?}").contains(key), "{error:?}");
        }
    }
}

#[test]
fn a_password_is_never_repeated_in_an_error() {
    for host in [
        "",
        "x",
        "a..b",
        "x.com:0",
        "127.0.0.1",
        "[::1",
        "1:2:3",
        "é\u{fffd}.com",
    ] {
        let error = RelayUrl::parse(&format!("wss://me:hunter2@{host}"), &PUBLIC).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "{error:?}"
        );
    }
}

#[test]
fn characters_that_hide_are_refused_everywhere() {
    refused(
        PUBLIC,
        &[
            (" wss://relay.com", "whitespace"),
            ("wss://relay.com ", "whitespace"),
            ("wss://relay.com\n", "whitespace"),
            ("wss://re\tlay.com", "whitespace"),
            ("wss://relay.com/a b", "whitespace"),
            ("wss://relay.com wss://b.com", "whitespace"),
            ("w\nss://relay.com", "whitespace"),
            ("wss://relay.com/\u{a0}", "whitespace"),
            ("wss://relay.com/\u{3000}", "whitespace"),
            ("wss://relay%20.com", "whitespace"),
            ("wss://relay%0d%0a.com", "whitespace"),
            ("wss://relay.com\0", "control_character"),
            ("wss://relay.com/\0", "control_character"),
            ("\0", "control_character"),
            ("wss://re\u{7f}lay.com", "control_character"),
            ("wss://relay.com/\u{9b}", "control_character"),
            ("wss://relay%00.com", "control_character"),
            ("\u{200b}wss://relay.com", "invisible_character"),
            ("\u{200c}wss://relay.com", "invisible_character"),
            ("\u{200d}wss://relay.com", "invisible_character"),
            ("\u{feff}wss://relay.com", "invisible_character"),
            ("\u{2060}wss://relay.com", "invisible_character"),
            ("\u{202e}wss://relay.com", "invisible_character"),
            ("wss://\u{200b}relay.com", "invisible_character"),
            ("wss://re\u{ad}lay.com", "invisible_character"),
            ("wss://re%C2%ADlay.com", "invisible_character"),
            ("wss://relay.com/\u{200b}", "invisible_character"),
            ("wss://re\u{200d}lay.com", "invalid_name"),
        ],
    );
}

#[test]
fn malformed_names_are_refused() {
    let label = "a".repeat(63);
    let too_long = format!("wss://{label}.{label}.{label}.{}", "a".repeat(62));
    refused(
        PUBLIC,
        &[
            ("wss://relay", "single_label"),
            ("wss://relay.", "single_label"),
            ("wss://com:8080/a", "single_label"),
            ("wss://😀", "single_label"),
            ("wss://i2p", "single_label"),
            ("wss://relay.123", "numeric_tld"),
            ("wss://relay.com.1", "numeric_tld"),
            ("wss://relay.0x1", "numeric_tld"),
            ("wss://relay.１２", "numeric_tld"),
            ("wss://a..b", "empty_label"),
            ("wss://a..com", "empty_label"),
            ("wss://.relay.com", "empty_label"),
            ("wss://relay.com..", "empty_label"),
            ("wss://a.。com", "empty_label"),
            ("wss://-relay.com", "label_hyphen"),
            ("wss://relay-.com", "label_hyphen"),
            ("wss://relay.-com", "label_hyphen"),
            ("wss://a.-.com", "label_hyphen"),
            (&format!("wss://a{label}.com"), "label_too_long"),
            (&format!("wss://{}.com", "é".repeat(60)), "label_too_long"),
            (&too_long, "host_too_long"),
            ("wss://relay!.com", "invalid_character"),
            ("wss://rel*ay.com", "invalid_character"),
            ("wss://<relay.com>", "invalid_character"),
            ("wss://relay.com\\a", "invalid_character"),
            ("wss://relay.com/a\\b", "invalid_character"),
            ("wss://relay%2fa.com", "invalid_character"),
            ("wss://relay.com%3A8080", "invalid_character"),
            ("wss://a%40relay.com", "invalid_character"),
            ("wss://%2572elay.com", "invalid_character"),
            ("wss://%zz.com", "invalid_character"),
            ("wss://relay％2ecom.net", "invalid_character"),
            ("wss://%ff.com", "invalid_name"),
            ("wss://xn--.com", "invalid_name"),
            ("wss://xn--a.com", "invalid_name"),
            ("wss://xn--zzzzzzzzzzzz.com", "invalid_name"),
            ("wss://\u{fffd}.com", "invalid_name"),
        ],
    );
}

#[test]
fn lengths_are_bounded_before_and_after_normalising() {
    let longest = format!("wss://x.com/{}", "a".repeat(MAX_URL_BYTES - 12));
    let grows = format!("wss://x.com/{}", "é".repeat(400));
    accepted(PUBLIC, &[(&longest, &longest)]);
    refused(
        PUBLIC,
        &[
            (&format!("{longest}a"), "too_long"),
            (&format!("{longest}/"), "too_long"),
            (&grows, "too_long"),
            (&"wss://".repeat(1_000_000), "too_long"),
        ],
    );
    // The published form of this one would not be a relay URL any more.
    let query = format!("wss://x.com?{}", "a".repeat(MAX_URL_BYTES - 12));
    refused(QUERY, &[(&query, "too_long")]);
}

#[test]
fn malformed_addresses_and_ports_are_refused() {
    refused(
        PRIVATE,
        &[
            ("ws://1.2.3", "invalid_ipv4"),
            ("ws://1.2.3.4.5", "invalid_ipv4"),
            ("ws://256.1.1.1", "invalid_ipv4"),
            ("ws://0x7f.1", "invalid_ipv4"),
            ("ws://0X7F.0.0.1", "invalid_ipv4"),
            ("ws://0x7f000001", "invalid_ipv4"),
            ("ws://2130706433", "invalid_ipv4"),
            ("ws://2130706433.", "invalid_ipv4"),
            ("ws://0177.0.0.1", "invalid_ipv4"),
            ("ws://8.8.8.08", "invalid_ipv4"),
            ("ws://%31.2.3", "invalid_ipv4"),
            ("ws://0", "invalid_ipv4"),
            ("ws://2606:4700:4700::1111", "unbracketed_ipv6"),
            ("ws://::1", "unbracketed_ipv6"),
            ("ws://::ffff:127.0.0.1/a", "unbracketed_ipv6"),
            ("ws://[2606:4700", "invalid_ipv6"),
            ("ws://[2606:4700::1]x", "invalid_ipv6"),
            ("ws://[]", "invalid_ipv6"),
            ("ws://[8.8.8.8]", "invalid_ipv6"),
            ("ws://[relay.com]", "invalid_ipv6"),
            ("ws://[fe80::1%25eth0]", "invalid_ipv6"),
            ("ws://[1:2:3:4:5:6:7:8:9]", "invalid_ipv6"),
            ("ws://[::%31]", "invalid_ipv6"),
            ("wss://x.com:0", "invalid_port"),
            ("wss://x.com:000", "invalid_port"),
            ("wss://x.com:65536", "invalid_port"),
            ("wss://x.com:99999999999999999999", "invalid_port"),
            ("wss://x.com:abc", "invalid_port"),
            ("wss://x.com:+80", "invalid_port"),
            ("wss://x.com:-1", "invalid_port"),
            ("wss://x.com:80a", "invalid_port"),
            ("wss://x.com:８０", "invalid_port"),
            ("wss://x.com:80:90", "invalid_port"),
            ("wss://[2606:4700::1]:0", "invalid_port"),
        ],
    );
}

/// Hosts that are refused in public and accepted where private networks are allowed.
const PRIVATE_HOSTS: &[(&str, &str, &str)] = &[
    ("ws://localhost:7777", "private_name", "ws://localhost:7777"),
    ("ws://LOCALHOST./", "private_name", "ws://localhost"),
    (
        "ws://relay.localhost",
        "private_name",
        "ws://relay.localhost",
    ),
    (
        "ws://umbrel.local:4848",
        "private_name",
        "ws://umbrel.local:4848",
    ),
    ("ws://umbrel.LOCAL.", "private_name", "ws://umbrel.local"),
    (
        "ws://relay.svc.internal",
        "private_name",
        "ws://relay.svc.internal",
    ),
    ("ws://relay.test", "private_name", "ws://relay.test"),
    ("ws://relay.example", "private_name", "ws://relay.example"),
    ("ws://relay.ｅxample", "private_name", "ws://relay.example"),
    ("ws://127.0.0.1", "special_address", "ws://127.0.0.1"),
    ("ws://127.0.0.1.", "special_address", "ws://127.0.0.1"),
    ("ws://%3127.0.0.1", "special_address", "ws://127.0.0.1"),
    ("ws://１２７。0。0。1", "special_address", "ws://127.0.0.1"),
    (
        "ws://user@10.0.0.1:8080/a",
        "special_address",
        "ws://10.0.0.1:8080/a",
    ),
    ("ws://0.0.0.0", "special_address", "ws://0.0.0.0"),
    ("ws://100.64.0.1", "special_address", "ws://100.64.0.1"),
    (
        "ws://169.254.169.254",
        "special_address",
        "ws://169.254.169.254",
    ),
    ("ws://172.16.0.1", "special_address", "ws://172.16.0.1"),
    ("ws://192.0.0.1", "special_address", "ws://192.0.0.1"),
    ("ws://192.0.2.1", "special_address", "ws://192.0.2.1"),
    ("ws://192.168.1.1", "special_address", "ws://192.168.1.1"),
    ("ws://198.18.0.1", "special_address", "ws://198.18.0.1"),
    ("ws://224.0.0.1", "special_address", "ws://224.0.0.1"),
    (
        "ws://255.255.255.255",
        "special_address",
        "ws://255.255.255.255",
    ),
    ("ws://[::]", "special_address", "ws://[::]"),
    ("ws://[0:0:0:0:0:0:0:1]:80", "special_address", "ws://[::1]"),
    (
        "ws://[::ffff:127.0.0.1]",
        "special_address",
        "ws://[::ffff:127.0.0.1]",
    ),
    (
        "ws://[::ffff:a00:1]",
        "special_address",
        "ws://[::ffff:10.0.0.1]",
    ),
    ("ws://[::127.0.0.1]", "special_address", "ws://[::7f00:1]"),
    (
        "ws://[64:ff9b::10.0.0.1]",
        "special_address",
        "ws://[64:ff9b::a00:1]",
    ),
    (
        "ws://[2002:7f00:1::]",
        "special_address",
        "ws://[2002:7f00:1::]",
    ),
    (
        "ws://[2001:0:7f00:1::]",
        "special_address",
        "ws://[2001:0:7f00:1::]",
    ),
    (
        "ws://[2001:db8::1]",
        "special_address",
        "ws://[2001:db8::1]",
    ),
    ("ws://[fc00::1]", "special_address", "ws://[fc00::1]"),
    ("ws://[fe80::1]", "special_address", "ws://[fe80::1]"),
    ("ws://[ff02::1]", "special_address", "ws://[ff02::1]"),
];

#[test]
fn private_hosts_are_refused_unless_configured() {
    for (input, reason, canonical) in PRIVATE_HOSTS {
        refused(PUBLIC, &[(input, reason)]);
        accepted(PRIVATE, &[(input, canonical)]);
    }
    refused(
        PRIVATE,
        &[
            ("ws://relay:7777", "single_label"),
            ("ws://local", "single_label"),
        ],
    );
}
