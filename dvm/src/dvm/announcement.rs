//! Says on our relay what we answer ([NIP-89], kind 31990).
//!
//! [NIP-89]: https://github.com/nostr-protocol/nips/blob/master/89.md

use std::collections::{BTreeMap, BTreeSet};

use bigbrotr_core::event::{Event, Pubkey};
use bigbrotr_core::filter::Filter;
use bigbrotr_schema::catalog::{CATALOG, Entry, ParamType};
use bigbrotr_schema::store::{Store, StoredEvent};
use nostr::Timestamp;
use serde_json::{Map, Value, json};

use super::desk::{Desk, DeskError};
use super::{DvmConfig, DvmError};
use crate::ask::Output;

/// The kind of announcements.
const KIND: u16 = 31_990;

/// An announcement of one kind of jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Announcement {
    /// The `d` tag.
    identifier: &'static str,
    kind: u16,
    content: String,
}

/// Writes an announcement for each kind of jobs that is answered.
pub(super) fn all<'a>(
    config: &DvmConfig,
    entries: impl IntoIterator<Item = &'a Entry>,
) -> Vec<Announcement> {
    let mut all = vec![Announcement {
        identifier: "bigbrotr",
        kind: config.kind,
        content: content(config, entries),
    }];
    if config.count_kind > 0 {
        all.push(Announcement {
            identifier: "bigbrotr-count",
            kind: config.count_kind,
            content: count_content(config),
        });
    }
    all
}

/// Publishes announcements unless those on our relay say the same; returns what is there then.
pub(super) async fn publish(
    store: &Store,
    desk: &Desk,
    announcements: &[Announcement],
) -> Result<Vec<Event>, DvmError> {
    let mut events = Vec::new();
    for announcement in announcements {
        let author = Pubkey(desk.keys.public_key.to_bytes());
        let present = find(store, &author, announcement.identifier).await?;
        let (tags, content) = (announcement.tags(), &announcement.content);
        match present {
            Some(event) if event.content == *content && event.tags == tags => events.push(event),
            present => {
                let event = sign(desk, content, tags, present.as_ref())?;
                let outcome = store.publish(&event).await?;
                tracing::info!(
                    event.id = %event.id,
                    event.kind = KIND,
                    ?outcome,
                    "announced what we answer",
                );
                events.push(event);
            }
        }
    }
    Ok(events)
}

fn sign(
    desk: &Desk,
    content: &str,
    tags: Vec<Vec<String>>,
    present: Option<&Event>,
) -> Result<Event, DeskError> {
    // Newer than what it replaces, even where the clock has been set back.
    let after = present.map_or(0, |event| event.created_at.unsigned_abs() + 1);
    let created_at = desk.now().max(Timestamp::from(after));
    desk.sign(KIND, content.to_owned(), tags, created_at)
}

async fn find(store: &Store, author: &Pubkey, identifier: &str) -> Result<Option<Event>, DvmError> {
    let filter = Filter {
        authors: Some(BTreeSet::from([*author])),
        kinds: Some(BTreeSet::from([KIND])),
        tags: BTreeMap::from([('d', BTreeSet::from([identifier.to_owned()]))]),
        ..Filter::default()
    };
    let found = store.query_relay_events(&filter, 1).await?;
    Ok(found.first().map(StoredEvent::event).transpose()?)
}

impl Announcement {
    fn tags(&self) -> Vec<Vec<String>> {
        [
            ["d".to_owned(), self.identifier.to_owned()],
            ["k".to_owned(), self.kind.to_string()],
        ]
        .map(Vec::from)
        .to_vec()
    }
}

/// Says how events are counted, as the page of kind 5400 does.
fn count_content(config: &DvmConfig) -> String {
    let param = |required: bool, values: &[&str]| json!({ "required": required, "values": values });
    json!({
        "name": config.name,
        "about": format!(
            "Counts the archived events that match NIP-01 filters, exactly. {}",
            config.about
        ),
        "encryptionSupported": true,
        "nip90Params": {
            "relay": param(false, &[]),
            "group": param(false, &["pubkey", "kind", "content", "root", "reply"]),
        },
        "amount": amount(config),
    })
    .to_string()
}

/// What a job costs, in the word that directories of service providers show.
fn amount(config: &DvmConfig) -> String {
    match config.price_msats {
        0 => "free".to_owned(),
        msats => msats.to_string(),
    }
}

/// Writes the content: name, about, and the parameters of all entries.
fn content<'a>(config: &DvmConfig, entries: impl IntoIterator<Item = &'a Entry>) -> String {
    let mut names = BTreeSet::from([CATALOG.to_owned()]);
    let mut params: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for entry in entries {
        names.insert(entry.name.clone());
        for param in &entry.params {
            params
                .entry(&param.name)
                .or_default()
                .extend(values(&param.kind));
        }
    }
    let mut described = Map::new();
    let mut describe = |name: &str, required: bool, values: Vec<Value>| {
        let described_param = json!({ "required": required, "values": values });
        described.insert(name.to_owned(), described_param);
    };
    describe("i", true, names.into_iter().map(Value::from).collect());
    let outputs = Output::ALL.map(|output| Value::from(output.mime()));
    describe("output", false, outputs.to_vec());
    // Whether one is required depends on the question: `catalog` tells.
    for (name, values) in params {
        describe(name, false, values.into_iter().map(Value::from).collect());
    }
    let about = format!(
        "{} Send the question's name as input (i) and its parameters as param tags; the question \
         \"{CATALOG}\" lists them all.",
        config.about
    );
    json!({
        "name": config.name,
        "about": about.trim_start(),
        "encryptionSupported": true,
        "nip90Params": described,
        "amount": amount(config),
    })
    .to_string()
}

/// The values to choose from, where there is such a list.
fn values(kind: &ParamType) -> Vec<String> {
    match kind {
        ParamType::Window | ParamType::Enum(_) => kind
            .to_string()
            .split(", ")
            .map(ToOwned::to_owned)
            .collect(),
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_content_lists_questions_and_parameters() {
        let text = "-- name: kinds.list\n-- help: h\n-- path: /kinds\n\
                    -- param window: window = all; w\n-- order a: a bigint desc\n\
                    -- order b: b bigint desc\n-- limit: 10..20\nselect 1";
        let entry = Entry::parse("kinds.list.sql", text).unwrap();
        let content = content(&DvmConfig::default(), [&entry]);
        let content: Value = serde_json::from_str(&content).unwrap();
        assert_eq!(content["name"], "BigBrotr");
        let params = &content["nip90Params"];
        assert_eq!(params["i"]["values"], json!(["catalog", "kinds.list"]));
        assert_eq!(params["i"]["required"], true);
        assert_eq!(params["sort"]["values"], json!(["a", "b"]));
        assert_eq!(params["window"]["values"].as_array().unwrap().len(), 5);
        assert_eq!(params["limit"]["values"], json!([]));
    }
}
