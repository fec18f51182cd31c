//! What is accepted, and the one form it gets.

use super::*;

#[test]
fn scheme_and_host_are_lowered_and_path_case_is_kept() {
    accepted(
        PUBLIC,
        &[
            ("wss://relay.example.com", "wss://relay.example.com"),
            (
                "WSS://RELAY.Example.COM/Path",
                "wss://relay.example.com/Path",
            ),
            ("Ws://Relay.Damus.IO", "ws://relay.damus.io"),
            ("wss://nos.lol/Inbox/aB", "wss://nos.lol/Inbox/aB"),
        ],
    );
}

#[test]
fn plain_text_and_tls_are_two_endpoints() {
    assert_ne!(parse("ws://x.com"), parse("wss://x.com"));
    accepted(
        PUBLIC,
        &[("ws://x.com", "ws://x.com"), ("wss://x.com", "wss://x.com")],
    );
}

#[test]
fn default_ports_and_leading_zeros_are_dropped() {
    accepted(
        PUBLIC,
        &[
            ("wss://x.com:443", "wss://x.com"),
            ("wss://x.com:443/", "wss://x.com"),
            ("wss://x.com:0443", "wss://x.com"),
            ("ws://x.com:80", "ws://x.com"),
            ("ws://x.com:443", "ws://x.com:443"),
            ("wss://x.com:80", "wss://x.com:80"),
            ("wss://x.com:08080", "wss://x.com:8080"),
            ("wss://x.com:0000000008080/a", "wss://x.com:8080/a"),
            ("wss://x.com:1", "wss://x.com:1"),
            ("wss://x.com:65535", "wss://x.com:65535"),
            ("wss://x.com:", "wss://x.com"),
            ("wss://x.com:/a", "wss://x.com/a"),
            ("wss://[2606:4700::1]:443", "wss://[2606:4700::1]"),
        ],
    );
}

#[test]
fn paths_are_normalised() {
    accepted(
        PUBLIC,
        &[
            ("wss://x.com/", "wss://x.com"),
            ("wss://x.com//", "wss://x.com"),
            ("wss://x.com//nostr//", "wss://x.com/nostr"),
            ("wss://x.com/a//b///c/", "wss://x.com/a/b/c"),
            ("wss://x.com/a/../b", "wss://x.com/b"),
            ("wss://x.com/a/./b/.", "wss://x.com/a/b"),
            ("wss://x.com/a/b/..", "wss://x.com/a"),
            ("wss://x.com/..", "wss://x.com"),
            ("wss://x.com/../../b", "wss://x.com/b"),
            ("wss://x.com/...", "wss://x.com/..."),
            ("wss://x.com/%2e%2E/b/%2e", "wss://x.com/b"),
            ("wss://x.com/a;v=1,2/@b:c", "wss://x.com/a;v=1,2/@b:c"),
            ("wss://x.com/chat/npub1abc", "wss://x.com/chat/npub1abc"),
        ],
    );
}

#[test]
fn percent_escapes_are_normalised() {
    accepted(
        PUBLIC,
        &[
            ("wss://x.com/%7euser/%61%2d%5f", "wss://x.com/~user/a-_"),
            ("wss://x.com/a%2fb", "wss://x.com/a%2Fb"),
            ("wss://x.com/a%2Fb", "wss://x.com/a%2Fb"),
            ("wss://x.com/%2f%2f", "wss://x.com/%2F%2F"),
            ("wss://x.com/caf%c3%a9", "wss://x.com/caf%C3%A9"),
            ("wss://x.com/café", "wss://x.com/caf%C3%A9"),
            ("wss://x.com/%25", "wss://x.com/%25"),
            ("wss://x.com/%2541", "wss://x.com/%2541"),
            ("wss://x.com/100%", "wss://x.com/100%25"),
            ("wss://x.com/%zz%4", "wss://x.com/%25zz%254"),
            ("wss://x.com/<\"a|b\">", "wss://x.com/%3C%22a%7Cb%22%3E"),
            ("wss://x.com/a%20b", "wss://x.com/a%20b"),
        ],
    );
}

#[test]
fn fragment_and_user_info_are_dropped() {
    accepted(
        PUBLIC,
        &[
            ("wss://x.com#top", "wss://x.com"),
            ("wss://x.com/a/#b/c?d", "wss://x.com/a"),
            ("wss://user@x.com", "wss://x.com"),
            ("wss://user:secret@x.com:8080/a", "wss://x.com:8080/a"),
            ("wss://:@x.com", "wss://x.com"),
            ("wss://relay.com@evil.net", "wss://evil.net"),
            ("wss://a@b@x.com", "wss://x.com"),
            ("wss://x.com/@name", "wss://x.com/@name"),
        ],
    );
}

#[test]
fn a_query_stays_only_if_configured() {
    accepted(
        PUBLIC,
        &[
            ("wss://x.com?a=1", "wss://x.com"),
            ("wss://x.com/p/?a=/b/", "wss://x.com/p"),
            ("wss://x.com/?url=wss://y.com", "wss://x.com"),
        ],
    );
    accepted(
        QUERY,
        &[
            ("wss://x.com/?a=1", "wss://x.com?a=1"),
            ("wss://x.com?a=1&B=%7e%2f", "wss://x.com?a=1&B=~%2F"),
            ("wss://x.com/p/?b=2&a=1#f", "wss://x.com/p?b=2&a=1"),
            ("wss://x.com/p?", "wss://x.com/p"),
            ("wss://x.com?a?b/../", "wss://x.com?a?b/../"),
            ("wss://x.com?q='é[\\", "wss://x.com?q=%27%C3%A9%5B%5C"),
        ],
    );
}

#[test]
fn equal_names_get_one_form() {
    accepted(
        PUBLIC,
        &[
            ("wss://relay.com.", "wss://relay.com"),
            ("wss://relay.com.:8080/a", "wss://relay.com:8080/a"),
            ("wss://relay.com。", "wss://relay.com"),
            ("wss://relay。com", "wss://relay.com"),
            ("wss://%72elay.com", "wss://relay.com"),
            ("wss://relay%2ecom", "wss://relay.com"),
            ("wss://ｒｅｌａｙ.com", "wss://relay.com"),
            ("wss://café.com", "wss://xn--caf-dma.com"),
            ("wss://CAFÉ.com", "wss://xn--caf-dma.com"),
            ("wss://caf%C3%A9.com", "wss://xn--caf-dma.com"),
            ("wss://cafe\u{301}.com", "wss://xn--caf-dma.com"),
            ("wss://xn--caf-dma.com", "wss://xn--caf-dma.com"),
            ("wss://XN--CAF-DMA.com", "wss://xn--caf-dma.com"),
            ("wss://😀.ws", "wss://xn--e28h.ws"),
            ("wss://xn--e28h.ws", "wss://xn--e28h.ws"),
            ("wss://straße.de", "wss://xn--strae-oqa.de"),
            ("wss://例え.テスト", "wss://xn--r8jz45g.xn--zckzah"),
        ],
    );
}

#[test]
fn unusual_but_legal_names_pass() {
    let label = "a".repeat(63);
    let longest = format!("wss://{label}.{label}.{label}.{}", "a".repeat(61));
    accepted(
        PUBLIC,
        &[
            (
                "wss://https_2140_wtf.spaces.example.social",
                "wss://https_2140_wtf.spaces.example.social",
            ),
            ("wss://_relay.x.com", "wss://_relay.x.com"),
            ("wss://a--b.x.com", "wss://a--b.x.com"),
            ("wss://1.2.3.4.com", "wss://1.2.3.4.com"),
            ("wss://0xchat.com", "wss://0xchat.com"),
            ("wss://relay.0xchat.com", "wss://relay.0xchat.com"),
            ("wss://npub1abc.relay.com", "wss://npub1abc.relay.com"),
            ("wss://localhost.com", "wss://localhost.com"),
            ("wss://test.example.org", "wss://test.example.org"),
            (&longest, &longest),
        ],
    );
}

#[test]
fn ip_addresses_are_normalised() {
    accepted(
        PUBLIC,
        &[
            ("ws://8.8.8.8:7777", "ws://8.8.8.8:7777"),
            ("ws://8.8.8.8.", "ws://8.8.8.8"),
            ("ws://８.8.8.8", "ws://8.8.8.8"),
            (
                "wss://[2606:4700:4700:0:0:0:0:1111]:8080",
                "wss://[2606:4700:4700::1111]:8080",
            ),
            (
                "wss://[2606:4700:4700::1111]/a/",
                "wss://[2606:4700:4700::1111]/a",
            ),
            ("wss://[2A00:1450:0000::00AB]", "wss://[2a00:1450::ab]"),
            ("wss://[2606:0:0:1:0:0:0:1]", "wss://[2606:0:0:1::1]"),
            ("wss://[2606:0:1:1:1:1:1:1]", "wss://[2606:0:1:1:1:1:1:1]"),
        ],
    );
}

#[test]
fn overlay_addresses_are_checked_and_lowered() {
    let ok = |input: &str, output: &str, network| {
        let url = parse(input);
        assert_eq!((url.as_str(), url.network()), (output, network), "{input}");
    };
    let onion = format!("ws://{ONION}.onion");
    ok(&onion, &onion, Network::Tor);
    ok(
        &format!("ws://{}.ONION/", ONION.to_uppercase()),
        &onion,
        Network::Tor,
    );
    ok(
        &format!("wss://{ONION}.onion:443"),
        &format!("wss://{ONION}.onion"),
        Network::Tor,
    );
    ok(
        &format!("ws://a.b.{ONION}.onion"),
        &format!("ws://a.b.{ONION}.onion"),
        Network::Tor,
    );
    ok(
        "ws://2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion",
        "ws://2gzyxa5ihm7nsggfxnu52rck2vv4rvmdlkiu3zzui5du4xyclen53wid.onion",
        Network::Tor,
    );
    let i2p = format!("ws://{I2P}.b32.i2p");
    ok(&i2p, &i2p, Network::I2p);
    ok(
        &format!("ws://{}.b32.i2p/", I2P.to_uppercase()),
        &i2p,
        Network::I2p,
    );
    ok("ws://Relay.Nostr.i2p", "ws://relay.nostr.i2p", Network::I2p);
    let loki = format!("ws://{LOKI}.loki");
    ok(&loki, &loki, Network::Loki);
    ok(
        &format!("ws://{}.loki", LOKI.to_uppercase()),
        &loki,
        Network::Loki,
    );
    ok(
        &format!("ws://{I2P}.loki"),
        &format!("ws://{I2P}.loki"),
        Network::Loki,
    );
    ok(
        &format!("ws://www.{LOKI}.loki"),
        &format!("ws://www.{LOKI}.loki"),
        Network::Loki,
    );
    ok("wss://onion.com", "wss://onion.com", Network::Clearnet);
}
