//! The relays that one archived event names, by where it names them.

use std::collections::HashSet;
use std::fmt;

use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::store::{FoundBy, MentioningEvent};
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::limits::{MAX_TAGS_PER_EVENT, MAX_TEXTS_PER_EVENT, MAX_URLS_PER_EVENT};

/// NIP-65 relay lists.
const RELAY_LIST: u16 = 10_002;
/// NIP-66 reports.
const REPORT: u16 = 30_166;
/// Recommendations of NIP-01's first years: the content is a URL.
const RECOMMENDATION: u16 = 2;
/// NIP-02 contact lists, whose content once held the author's relays.
const CONTACTS: u16 = 3;

/// Tags with a relay hint, and where in the tag it stands: NIP-01 (`e`, `p`, `a`), NIP-10, NIP-18
/// (`q`), NIP-22 (the capitals), NIP-29 (`h`), NIP-51 (`group`), NIP-57 (`zap`), NIP-90 (`i`).
const HINTS: [(&str, usize); 11] = [
    ("e", 2),
    ("p", 2),
    ("a", 2),
    ("q", 2),
    ("E", 2),
    ("P", 2),
    ("A", 2),
    ("h", 2),
    ("group", 2),
    ("zap", 2),
    ("i", 3),
];

/// The relays that somebody names in one place.
#[derive(Debug)]
pub(super) struct Collected {
    /// Each once, in the order in which they are named.
    pub(super) urls: Vec<RelayUrl>,
    /// Texts that were meant as relay URLs and are none that we accept.
    pub(super) refused: u64,
    /// Texts beyond the bounds.
    pub(super) excess: u64,
    seen: HashSet<RelayUrl>,
    policy: UrlPolicy,
    urls_left: usize,
    texts_left: usize,
}

impl Collected {
    pub(super) fn new(policy: UrlPolicy, most_urls: usize, most_texts: usize) -> Self {
        Self {
            urls: Vec::new(),
            refused: 0,
            excess: 0,
            seen: HashSet::new(),
            policy,
            urls_left: most_urls,
            texts_left: most_texts,
        }
    }

    /// Takes a text that may be a relay URL. `r` tags hold web pages too, and hints are often
    /// empty: what does not even begin like one is passed over.
    pub(super) fn take(&mut self, text: &str) {
        let text = text.trim();
        if !text
            .as_bytes()
            .get(..2)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"ws"))
        {
            return;
        }
        if self.texts_left == 0 {
            self.excess += 1;
            return;
        }
        self.texts_left -= 1;
        match RelayUrl::parse(text, &self.policy) {
            Err(_) => self.refused += 1,
            Ok(url) if self.seen.contains(&url) => {}
            Ok(_) if self.urls_left == 0 => self.excess += 1,
            Ok(url) => {
                self.urls_left -= 1;
                self.seen.insert(url.clone());
                self.urls.push(url);
            }
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.urls.is_empty() && self.refused == 0 && self.excess == 0
    }
}

/// Collects the relays that an event names to one source.
pub(super) fn collect(event: &MentioningEvent, source: FoundBy, policy: UrlPolicy) -> Collected {
    let mut found = Collected::new(policy, MAX_URLS_PER_EVENT, MAX_TEXTS_PER_EVENT);
    let tags = event.tags.iter().take(MAX_TAGS_PER_EVENT);
    let named = |tag: &[String], names: &[&str]| {
        tag.first()
            .is_some_and(|name| names.contains(&name.as_str()))
    };
    match source {
        FoundBy::RelayLists if event.kind == RELAY_LIST => tags
            .filter(|tag| named(tag, &["r"]))
            .filter_map(|tag| tag.get(1))
            .for_each(|url| found.take(url)),
        FoundBy::Monitors if event.kind == REPORT => tags
            .filter(|tag| named(tag, &["d"]))
            .filter_map(|tag| tag.get(1))
            .for_each(|url| found.take(url)),
        FoundBy::Tags => {
            for tag in tags {
                if named(tag, &["relays"]) {
                    tag.iter().skip(1).for_each(|url| found.take(url));
                } else if named(tag, &["relay"]) || (named(tag, &["r"]) && event.kind != RELAY_LIST)
                {
                    tag.iter().skip(1).take(1).for_each(|url| found.take(url));
                }
            }
        }
        FoundBy::Hints => {
            for tag in tags {
                let place = HINTS.iter().find(|(name, _)| named(tag, &[name]));
                if let Some(url) = place.and_then(|(_, place)| tag.get(*place)) {
                    found.take(url);
                }
            }
        }
        FoundBy::Recommendations if event.kind == RECOMMENDATION => {
            event.content.iter().for_each(|url| found.take(url));
        }
        FoundBy::Contacts if event.kind == CONTACTS => {
            if let Some(content) = &event.content {
                take_keys(content, &mut found);
            }
        }
        _ => {}
    }
    found
}

/// Takes the keys of a JSON object, as far as it is one: a document that breaks off has the keys
/// before that.
fn take_keys(json: &str, found: &mut Collected) {
    struct Keys<'a>(&'a mut Collected);
    impl<'de> Visitor<'de> for Keys<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("relays by URL")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<String>()? {
                self.0.take(&key);
                map.next_value::<IgnoredAny>()?;
            }
            Ok(())
        }
    }
    let mut reader = serde_json::Deserializer::from_str(json);
    // Whatever else a contact list holds is none of our business.
    reader.deserialize_map(Keys(found)).unwrap_or_default();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(kind: u16, tags: &[&[&str]], content: &str) -> MentioningEvent {
        MentioningEvent {
            num: 1,
            kind,
            tags: tags
                .iter()
                .map(|tag| tag.iter().map(|&value| value.to_owned()).collect())
                .collect(),
            content: Some(content.to_owned()),
        }
    }

    fn urls(event: &MentioningEvent, source: FoundBy) -> Vec<String> {
        let found = collect(event, source, UrlPolicy::default());
        found.urls.iter().map(ToString::to_string).collect()
    }

    /// What every source but these finds nothing in.
    fn only(event: &MentioningEvent, sources: &[FoundBy]) {
        for source in FoundBy::ALL {
            let found = !urls(event, source).is_empty();
            assert_eq!(found, sources.contains(&source), "{source}");
        }
    }

    #[test]
    fn relay_lists_name_relays_whatever_their_markers() {
        let list = event(
            10_002,
            &[
                &["r", "wss://a.example.com/", "read"],
                &["r", "WSS://B.example.com:443"],
                &["r", "wss://a.example.com", "write"],
                &["r", "https://c.example.com"],
                &["r"],
                &["alt", "wss://d.example.com"],
            ],
            "",
        );
        assert_eq!(
            urls(&list, FoundBy::RelayLists),
            ["wss://a.example.com", "wss://b.example.com"]
        );
        only(&list, &[FoundBy::RelayLists]);
    }

    #[test]
    fn recommendations_and_contact_lists_name_them_in_their_content() {
        let recommendation = event(2, &[], " wss://a.example.com \n");
        assert_eq!(
            urls(&recommendation, FoundBy::Recommendations),
            ["wss://a.example.com"]
        );
        only(&recommendation, &[FoundBy::Recommendations]);
        let contacts = event(
            3,
            &[],
            r#"{"wss://a.example.com":{"read":true,"write":[1,{}]},"x":1,"wss:\/\/b.example.com\/":{}}"#,
        );
        assert_eq!(
            urls(&contacts, FoundBy::Contacts),
            ["wss://a.example.com", "wss://b.example.com"]
        );
        only(&contacts, &[FoundBy::Contacts]);
        for rubbish in [
            "",
            "[]",
            "\"wss://a.example.com\"",
            "wss://a.example.com",
            "{",
        ] {
            only(&event(3, &[], rubbish), &[]);
        }
        let cut = event(3, &[], r#"{"wss://a.example.com":{"read":true},"wss://b."#);
        assert_eq!(urls(&cut, FoundBy::Contacts), ["wss://a.example.com"]);
    }

    #[test]
    fn tags_name_relays_and_web_pages_are_none() {
        let note = event(
            10_050,
            &[
                &["relay", "wss://a.example.com", "wss://no.example.com"],
                &["r", "wss://b.example.com"],
                &["r", "https://www.example.com/article"],
                &["relays", "wss://c.example.com", "", "wss://d.example.com"],
                &["R", "wss://no.example.com"],
            ],
            "",
        );
        let letters = ["a", "b", "c", "d"].map(|letter| format!("wss://{letter}.example.com"));
        assert_eq!(urls(&note, FoundBy::Tags), letters);
        only(&note, &[FoundBy::Tags]);
        assert_eq!(
            collect(&note, FoundBy::Tags, UrlPolicy::default()).refused,
            0
        );
    }

    #[test]
    fn hints_stand_where_the_nips_put_them() {
        let tags: Vec<Vec<String>> = HINTS
            .iter()
            .enumerate()
            .map(|(n, (name, place))| {
                let mut tag = vec!["wss://wrong.example.com".to_owned(); 5];
                tag[0] = (*name).to_owned();
                tag[*place] = format!("wss://h{n:02}.example.com");
                tag
            })
            .collect();
        let note = MentioningEvent {
            tags,
            ..event(1, &[], "")
        };
        let expected: Vec<String> = (0..HINTS.len())
            .map(|n| format!("wss://h{n:02}.example.com"))
            .collect();
        assert_eq!(urls(&note, FoundBy::Hints), expected);
        only(&note, &[FoundBy::Hints]);
        only(
            &event(1, &[&["e", "id"], &["p", "key", ""], &["q"], &[]], ""),
            &[],
        );
    }

    #[test]
    fn reports_name_the_relay_in_their_address() {
        let report = event(
            30_166,
            &[&["d", "wss://a.example.com/"], &["n", "clearnet"]],
            "{}",
        );
        assert_eq!(urls(&report, FoundBy::Monitors), ["wss://a.example.com"]);
        only(&report, &[FoundBy::Monitors]);
        only(&event(30_023, &[&["d", "wss://a.example.com/"]], ""), &[]);
    }

    #[test]
    fn one_event_cannot_name_thousands() {
        let tags: Vec<Vec<String>> = (0..5_000)
            .map(|n| vec!["r".to_owned(), format!("wss://r{n}.example.com")])
            .collect();
        let list = MentioningEvent {
            tags,
            ..event(10_002, &[], "")
        };
        let found = collect(&list, FoundBy::RelayLists, UrlPolicy::default());
        assert_eq!(found.urls.len(), MAX_URLS_PER_EVENT);
        assert_eq!(found.excess, 5_000 - MAX_URLS_PER_EVENT as u64);
    }

    #[test]
    fn what_the_policy_refuses_is_counted() {
        let list = event(
            10_002,
            &[
                &["r", "ws://127.0.0.1:7777"],
                &["r", "ws://localhost"],
                &["r", "wss://x"],
                &["r", "wss://a.example.com\u{0}"],
                &["r", "ws://10.0.0.1"],
            ],
            "",
        );
        let found = collect(&list, FoundBy::RelayLists, UrlPolicy::default());
        assert_eq!((found.urls.len(), found.refused), (0, 5));
        let private = UrlPolicy {
            allow_private: true,
            ..UrlPolicy::default()
        };
        // A name of one label and a NUL are no URLs of relays anywhere.
        assert_eq!(collect(&list, FoundBy::RelayLists, private).urls.len(), 3);
    }
}
