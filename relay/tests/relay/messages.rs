//! Random messages of clients, made of what messages are made of: whatever comes, the connection
//! lives, each question has one answer, and the relay answers rightly afterwards. The same for the
//! parser alone, which a fuzzer also tries (`fuzz/`).

use bigbrotr_core::message::{ClientMessage, RelayMessage};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::helper::{filter, note, now, publish, relay_with};

/// Bits of JSON that mean something somewhere, and some that do not.
fn bits() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        r#""EVENT""#,
        r#""REQ""#,
        r#""COUNT""#,
        r#""CLOSE""#,
        r#""AUTH""#,
        r#""NEG-OPEN""#,
        r#""NEG-MSG""#,
        r#""NEG-CLOSE""#,
        r#""a""#,
        r#""""#,
        "{}",
        "[]",
        "null",
        "true",
        "0",
        "-1",
        "1e400",
        "9007199254740993",
        r#"{"kinds":[1]}"#,
        r#"{"limit":0}"#,
        r#"{"limit":18446744073709551616}"#,
        r#"{"ids":["00"]}"#,
        r##"{"#e":[""]}"##,
        r##"{"#e":["\u0000"]}"##,
        r#"{"since":-5,"until":9007199254740991}"#,
        r#"{"search":"\u0000 & :* x:y"}"#,
        r#"{"kinds":[65536]}"#,
        r#"{"authors":[]}"#,
        r#""6100""#,
        r#""61""#,
        r#""61ffffffffffffffffffff""#,
        r#""zz""#,
        r#""\ud800""#,
        r#"{"id":"0000000000000000000000000000000000000000000000000000000000000000"}"#,
    ]);
    prop_oneof![
        8 => known.prop_map(str::to_owned),
        1 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap_or_default()),
        1 => "[\\[\\]{}\",:a-z0-9\\\\ ]{0,20}",
    ]
}

fn messages() -> impl Strategy<Value = String> {
    let whole = || {
        let bits = prop::collection::vec(bits(), 0..6);
        bits.prop_map(|bits| format!("[{}]", bits.join(",")))
    };
    let cut = (whole(), 0_usize..200).prop_map(|(text, at)| text.chars().take(at).collect());
    let deep = (1_usize..2_000).prop_map(|depth| format!(r#"["REQ","a",{}"#, "[".repeat(depth)));
    prop_oneof![12 => whole(), 2 => cut, 1 => deep, 2 => any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_parser_never_panics_and_what_it_accepts_it_writes_back(text in messages()) {
        if let Ok(message) = ClientMessage::parse(&text) {
            let written = message.to_json();
            let again = ClientMessage::parse(&written).expect("what was written can be read");
            prop_assert_eq!(again.to_json(), written);
        }
    }
}

/// How the answer to a message begins; `None`: it has none.
fn expected(text: &str) -> Option<&'static [&'static str]> {
    Some(match ClientMessage::parse(text) {
        Ok(ClientMessage::Event(_) | ClientMessage::Auth(_)) => &["[\"OK\""],
        Ok(ClientMessage::Req { .. }) => &["[\"EOSE\"", "[\"CLOSED\""],
        Ok(ClientMessage::Count { .. }) => &["[\"COUNT\"", "[\"CLOSED\""],
        Ok(ClientMessage::Close { .. } | ClientMessage::NegClose { .. }) => return None,
        Ok(ClientMessage::NegOpen { .. } | ClientMessage::NegMsg { .. }) => {
            &["[\"NEG-MSG\"", "[\"NEG-ERR\""]
        }
        Err(_) => &[
            "[\"NOTICE\",\"invalid: ",
            "[\"CLOSED\"",
            "[\"OK\"",
            "[\"NEG-ERR\"",
        ],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_comes_is_answered_once_and_the_connection_lives() {
    let relay = relay_with(|config| {
        config.archive.search = true;
        config.limits.message_burst = 1_000_000;
        config.limits.message_burst_per_ip = 1_000_000;
    })
    .await;
    relay.counts("bigbrotr_relay_archive_open", 0).await;
    let mut client = relay.client().await;
    publish(&mut client, &note(now(), "there")).await;
    let mut runner = TestRunner::new(Config::default());
    for _ in 0..500 {
        let text = messages().new_tree(&mut runner).unwrap().current();
        client.send_raw(text.clone()).await.unwrap();
        let Some(answers) = expected(&text) else {
            continue;
        };
        loop {
            let told = client.next().await.unwrap();
            if told.starts_with("[\"EVENT\"") {
                continue;
            }
            let right = answers.iter().any(|answer| told.starts_with(answer));
            assert!(right, "{text}\nwas answered by\n{told}");
            RelayMessage::parse(&told).unwrap();
            break;
        }
    }
    assert_eq!(
        client
            .count("c", &[filter(r#"{"kinds":[1]}"#)])
            .await
            .unwrap(),
        1
    );
}
