//! What is asked: every entry of the catalogue, with several sets of parameters.

use std::collections::{BTreeMap, BTreeSet};

use bigbrotr_schema::catalog::{CATALOG, Catalog, Entry};
use bigbrotr_testkit::bench::option;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

/// Different values of one parameter, and different pages of one list.
const VARIANTS: usize = 400;

/// The most pages that are turned to find the last one.
const PAGES: usize = 400;

/// Question and parameters. A name without a value stands for values that change: `url` and `relay`
/// (of those with events), `checked` (any relay), `pubkey`, `id`, and `cursor`, for pages all over
/// the list.
const ASKED: &[(&str, &str)] = &[
    ("catalog", ""),
    ("countries.list", ""),
    ("events.count", r#"filter={"kinds":[1]}"#),
    ("events.count", r#"filter={"kinds":[1,6,7]} group=kind"#),
    ("events.count", r#"filter={"kinds":[7]} relay"#),
    ("events.count", r#"filter={"authors":["pubkey"]}"#),
    (
        "events.count",
        r#"filter={"authors":["pubkey"],"kinds":[1],"since":1740000000}"#,
    ),
    ("events.count", r#"filter={"kinds":[1],"since":1749990000}"#),
    ("events.get", "id"),
    ("events.series", ""),
    ("events.series", "bucket=hour window=7d"),
    ("events.series", "window=all limit=1000"),
    ("events.series", "bucket=hour window=all cursor"),
    ("events.series", "kind=1 bucket=hour window=all"),
    ("events.stats", ""),
    ("events.stats", "window=1h"),
    ("events.stats", "window=30d"),
    ("kinds.get", "kind=1"),
    ("kinds.get", "kind=7 window=7d"),
    ("kinds.list", ""),
    ("kinds.list", "sort=pubkeys window=24h"),
    ("kinds.list", "relay"),
    ("networks.list", ""),
    ("nips.list", ""),
    ("nips.list", "sort=relays"),
    ("pubkeys.get", "pubkey"),
    ("pubkeys.get", "pubkey window=7d"),
    ("pubkeys.list", ""),
    ("pubkeys.list", "window=24h"),
    ("pubkeys.list", "window=30d limit=1000"),
    ("pubkeys.list", "cursor"),
    ("pubkeys.list", "limit=1000 cursor"),
    ("pubkeys.relays", "pubkey"),
    ("relays.get", "url"),
    ("relays.get", "checked window=7d"),
    ("relays.history", "checked"),
    ("relays.history", "checked window=all limit=1000"),
    ("relays.kinds", "url"),
    ("relays.kinds", "url window=7d"),
    ("relays.list", ""),
    ("relays.list", "limit=1000"),
    ("relays.list", "sort=url"),
    ("relays.list", "sort=rtt status=online"),
    ("relays.list", "status=online country=AA"),
    ("relays.list", "nip=42 network=clearnet"),
    ("relays.list", "software=https://example.com/software/3"),
    ("relays.list", "cursor"),
    ("relays.list", "sort=url cursor"),
    ("relays.list", "sort=rtt cursor"),
    ("relays.pubkeys", "url"),
    ("relays.pubkeys", "url window=30d"),
    ("relays.pubkeys", "url cursor"),
    ("relays.uptime", "checked"),
    ("relays.uptime", "checked bucket=day window=all"),
    ("software.list", ""),
];

/// Values that the archive knows.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    /// URLs of relays that had events.
    pub(crate) relays: Vec<String>,
    /// URLs of relays that were checked, with events or without.
    pub(crate) checked: Vec<String>,
    pub(crate) pubkeys: Vec<String>,
    pub(crate) ids: Vec<String>,
}

/// One question with parameters that change.
#[derive(Debug)]
pub(crate) struct Set {
    /// The entry's name.
    pub(crate) name: String,
    /// As in the table.
    pub(crate) title: String,
    variants: Vec<BTreeMap<String, String>>,
    /// The same as targets of HTTP requests.
    pub(crate) targets: Vec<String>,
}

impl Set {
    /// The parameters for one more request.
    pub(crate) fn params(&self, turn: usize) -> &BTreeMap<String, String> {
        &self.variants[turn % self.variants.len()]
    }
}

/// Makes the sets, those of later pages too if wanted, and checks that no entry is left out.
pub(crate) async fn sets(catalog: &Catalog, keys: &Keys, with_pages: bool) -> Vec<Set> {
    let asked: BTreeSet<&str> = ASKED.iter().map(|(name, _)| *name).collect();
    for entry in catalog.entries() {
        assert!(asked.contains(&*entry.name), "{} is not asked", entry.name);
    }
    let wanted: String = option("question", String::new());
    let mut sets = Vec::new();
    for (name, words) in ASKED {
        let title = format!("{name} {words}").trim_end().to_owned();
        let is_paged = words.ends_with("cursor");
        if !title.starts_with(&wanted) || (is_paged && !with_pages) {
            continue;
        }
        let mut variants = variants(words, keys);
        if is_paged {
            variants = pages(catalog, name, &variants).await;
        }
        let entry = catalog.get(name);
        let targets = variants.iter().map(|v| target(entry, v)).collect();
        sets.push(Set {
            name: (*name).to_owned(),
            title,
            variants,
            targets,
        });
    }
    sets
}

/// The parameters, as often as there are values for what changes.
fn variants(words: &str, keys: &Keys) -> Vec<BTreeMap<String, String>> {
    let changes = ["url", "relay", "checked", "pubkey", "id"]
        .iter()
        .any(|name| words.contains(name));
    let count = if changes { VARIANTS } else { 1 };
    (0..count).map(|n| params(words, keys, n)).collect()
}

fn params(words: &str, keys: &Keys, n: usize) -> BTreeMap<String, String> {
    let one = |values: &[String]| values[n % values.len()].clone();
    let mut params = BTreeMap::new();
    for word in words.split(' ').filter(|word| !word.is_empty()) {
        let (name, value) = match word.split_once('=') {
            Some((name, value)) => {
                let pubkey = format!("\"{}\"", one(&keys.pubkeys));
                (name, value.replace("\"pubkey\"", &pubkey))
            }
            None if word == "cursor" => continue,
            None if word == "checked" => ("url", one(&keys.checked)),
            None if word == "pubkey" => (word, one(&keys.pubkeys)),
            None if word == "id" => (word, one(&keys.ids)),
            None => (word, one(&keys.relays)),
        };
        params.insert(name.to_owned(), value);
    }
    params
}

/// The same questions, with the cursors of their pages: some of all, up to the last.
async fn pages(
    catalog: &Catalog,
    name: &str,
    variants: &[BTreeMap<String, String>],
) -> Vec<BTreeMap<String, String>> {
    let distinct: BTreeSet<&BTreeMap<String, String>> = variants.iter().take(8).collect();
    let mut all = Vec::new();
    for params in distinct {
        let mut turned = params.clone();
        // The cursor does not depend on how long pages are: long ones are turned sooner.
        turned.insert("limit".into(), "1000".into());
        if name == "relays.list" || name == "events.series" {
            turned.insert("limit".into(), "100".into());
        }
        for _ in 0..PAGES {
            let answer = catalog.run(name, &turned).await.expect("a page");
            let Some(next) = answer.next else { break };
            turned.insert("cursor".into(), next.clone());
            let mut params = params.clone();
            params.insert("cursor".into(), next);
            all.push(params);
        }
    }
    assert!(!all.is_empty(), "{name} has no second page");
    all
}

/// Where REST answers it.
fn target(entry: Option<&Entry>, params: &BTreeMap<String, String>) -> String {
    let Some(entry) = entry else {
        return format!("/v1/{CATALOG}");
    };
    let mut path = format!("/v1{}", entry.path);
    let mut query = Vec::new();
    for (name, value) in params {
        let value = utf8_percent_encode(value, NON_ALPHANUMERIC).to_string();
        let place = format!("{{{name}}}");
        if path.contains(&place) {
            path = path.replace(&place, &value);
        } else {
            query.push(format!("{name}={value}"));
        }
    }
    if query.is_empty() {
        path
    } else {
        format!("{path}?{}", query.join("&"))
    }
}
