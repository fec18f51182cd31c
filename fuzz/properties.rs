//! What has to hold whatever a stranger sends: never a panic, and what is read is the same when it is
//! written and read again.
//!
//! Each function is a fuzz target (`fuzz_targets/`); `node/tests/fuzz_corpus.rs` runs them over the
//! committed corpora on stable Rust.

use bigbrotr_core::address::is_special;
use bigbrotr_core::config::{ConfigSource, Section, render_yaml};
use bigbrotr_core::event::Event;
use bigbrotr_core::message::{ClientMessage, RelayMessage, ReplyPrefix};
use bigbrotr_core::relay_list::RelayList;
use bigbrotr_core::relay_url::{MAX_URL_BYTES, RelayUrl, UrlPolicy};
use bigbrotr_crawler::dial::NetworksConfig;
use bigbrotr_crawler::finder::FinderConfig;
use bigbrotr_crawler::monitor::{MonitorConfig, RelayInformation};
use bigbrotr_crawler::synchronizer::SynchronizerConfig;
use bigbrotr_schema::catalog::{Entry, Param, ParamType};
use bigbrotr_schema::config::DatabaseConfig;

/// What clients say to the relay.
pub(crate) fn client_message(text: &str) {
    if let Ok(message) = ClientMessage::parse(text) {
        let written = message.to_json();
        let again = ClientMessage::parse(&written).expect("what was written can be read");
        assert_eq!(again.to_json(), written);
    }
}

/// What relays say to the crawler, and the events in it.
pub(crate) fn relay_message(text: &str) {
    let Ok(message) = RelayMessage::parse(text) else {
        return;
    };
    let written = message.to_json();
    let again = RelayMessage::parse(&written).expect("what was written can be read");
    assert_eq!(again.to_json(), written);
    match message {
        RelayMessage::Event { event: json, .. } => event(json),
        RelayMessage::Ok { message, .. }
        | RelayMessage::Closed { message, .. }
        | RelayMessage::NegErr { message, .. } => {
            if let Some(prefix) = ReplyPrefix::of(&message) {
                assert!(message.contains(prefix.as_str()), "{message:?}");
            }
        }
        _ => {}
    }
}

/// Events of strangers.
pub(crate) fn event(text: &str) {
    if let Ok(event) = Event::from_json(text) {
        let again = Event::from_json(&event.to_json()).expect("what was written can be read");
        assert_eq!(again, event);
        assert_eq!(again.compute_id(), event.compute_id());
        let _ = (
            event.expiration(),
            event.is_protected(),
            event.d_tag(),
            event.class(),
        );
    }
}

/// Relay URLs, one or a list of them: one canonical form, whatever the spelling, and under the usual
/// policy no address that is not public.
pub(crate) fn relay_url(text: &str) {
    for allow_private in [false, true] {
        for keep_query in [false, true] {
            let policy = UrlPolicy {
                allow_private,
                keep_query,
            };
            match RelayUrl::parse(text, &policy) {
                Ok(url) => canonical(&url, policy),
                Err(error) => drop((error.reason(), error.to_string())),
            }
            for url in &RelayList::parse(text, &policy).urls {
                canonical(url, policy);
            }
        }
    }
}

fn canonical(url: &RelayUrl, policy: UrlPolicy) {
    let text = url.as_str();
    assert!(text.len() <= MAX_URL_BYTES && text.is_ascii(), "{text:?}");
    for spelling in [text, &*url.d_tag(), &text.replacen("ws", "WS", 1)] {
        let again = RelayUrl::parse(spelling, &policy).expect("a canonical URL is a URL");
        assert_eq!(again.as_str(), text);
        assert_eq!((again.host(), again.port()), (url.host(), url.port()));
        assert_eq!(again.network(), url.network());
    }
    assert_eq!(
        RelayUrl::from_canonical(text)
            .expect("it is canonical")
            .as_str(),
        text
    );
    assert!(
        !url.authority().contains('@') && !url.host().is_empty(),
        "{text:?}"
    );
    assert!(url.query().is_none() || policy.keep_query);
    if let (Some(ip), false) = (url.ip(), policy.allow_private) {
        assert!(!is_special(ip), "{text:?}");
    }
}

/// Relays' information documents (NIP-11).
pub(crate) fn nip11(body: &[u8]) {
    if let Ok(information) = RelayInformation::parse(body.to_vec()) {
        assert_eq!(information.text.as_bytes(), body, "it is kept as sent");
        let again = RelayInformation::parse(information.text.clone().into_bytes());
        assert_eq!(again.as_ref(), Ok(&information));
        for text in [
            &information.name,
            &information.software,
            &information.version,
        ] {
            assert!(
                text.as_ref()
                    .is_none_or(|text| !text.is_empty() && text.chars().count() <= 1_000)
            );
        }
        assert!(information.topics.len() + information.languages.len() <= 1_000);
        assert!(information.languages.iter().all(|code| code.len() == 2));
    }
}

/// Parameters of questions: a value is refused, or has one canonical form. The same text as the file
/// of a question.
pub(crate) fn job_parameter(text: &str) {
    let enumeration = ["on", "off"].map(str::to_owned).to_vec();
    for kind in [
        ParamType::Window,
        ParamType::Integer {
            min: -5,
            max: i64::MAX,
        },
        ParamType::Enum(enumeration),
        ParamType::Relay,
        ParamType::Relays,
        ParamType::Filter,
        ParamType::Groups,
        ParamType::Pubkey,
        ParamType::EventId,
        ParamType::Country,
        ParamType::Text,
        ParamType::Cursor,
    ] {
        let param = Param {
            name: "p".to_owned(),
            kind,
            default: None,
            optional: true,
            help: String::new(),
        };
        if let Some(value) = param.canonical_value(text) {
            assert_eq!(
                param.canonical_value(&value).as_ref(),
                Some(&value),
                "{:?}",
                param.kind
            );
            assert!(
                !value.contains('\0') || param.kind == ParamType::Groups,
                "{:?}",
                param.kind
            );
        }
    }
    drop(Entry::parse("fuzz.sql", text));
}

/// Files of the configuration: what is accepted is the same when it is printed and read again.
pub(crate) fn config(text: &str) {
    section::<NetworksConfig>(text);
    section::<MonitorConfig>(text);
    section::<SynchronizerConfig>(text);
    section::<FinderConfig>(text);
    section::<DatabaseConfig>(text);
    // A value in a variable, whose type the key decides.
    let source = ConfigSource::new().with_env([
        ("BIGBROTR__MONITOR__INTERVAL", text),
        ("BIGBROTR__MONITOR__PUBLISH_TO", text),
    ]);
    drop(source.section::<MonitorConfig>());
}

fn section<T: Section + PartialEq + std::fmt::Debug>(text: &str) {
    let source = ConfigSource::new().with_file(format!("{}.yaml", T::NAME), text);
    match source.section::<T>() {
        Ok(read) => {
            let written = render_yaml(&read);
            let again = ConfigSource::new().with_file(format!("{}.yaml", T::NAME), &*written);
            let again = again.section::<T>().unwrap_or_else(|errors| {
                panic!("what was printed cannot be read: {errors}\n{written}")
            });
            // Secrets are printed as a mask.
            if !written.contains("****") {
                assert_eq!(again, read, "{written}");
            }
        }
        Err(errors) => assert!(!errors.is_empty() && !errors.to_string().is_empty()),
    }
}
