//! Random events, some published here and most archived, and random filters: what is served is
//! compared, in its order, with a model that looks at all of them at once.

use std::collections::BTreeSet;

use bigbrotr_core::event::{Event, EventId, KindClass};
use bigbrotr_core::filter::Filter;
use bigbrotr_testkit::population::EventMaker;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRunner};

use crate::helper::{archive_relay, now, pubkey, stored, stranger};

const AUTHORS: u64 = 3;
const KINDS: [u16; 6] = [1, 0, 30_023, 10_002, 7, 20_001];
const EVENTS: usize = 250;
const FILTERS: usize = 150;

/// What is to be made: author, kind, age, `d`, `t`, how it is to vanish from sight, and whether it
/// is published here.
type Plan = (u64, usize, i64, usize, usize, u8, bool);

fn plans() -> impl Strategy<Value = Vec<Plan>> {
    let plan = (
        0..AUTHORS,
        0..KINDS.len(),
        0_i64..40,
        0_usize..3,
        0_usize..4,
        0_u8..20,
        prop::bool::weighted(0.2),
    );
    prop::collection::vec(plan, EVENTS)
}

/// Makes the events; those that are published here are marked.
fn make(plans: &[Plan], base: i64) -> Vec<(Event, bool)> {
    let mut events: Vec<(Event, bool)> = Vec::new();
    for (n, (author, kind, age, d, t, fate, here)) in plans.iter().enumerate() {
        let at = base - age;
        let maker = EventMaker::new(at)
            .kind(KINDS[*kind])
            .tag(["d", &format!("d{d}")])
            .tag(["t", &format!("t{t}")])
            .content(n.to_string());
        let maker = match fate {
            0 => maker.tag(["-"]),
            1 => maker.tag(["expiration", "1000"]),
            _ => maker,
        };
        let event = maker.sign(&stranger(*author));
        // Ephemeral, expired and protected ones cannot be published and kept here.
        let here = *here && *fate > 1 && event.class() != KindClass::Ephemeral;
        if *fate == 2 {
            let mut deletion = EventMaker::new(at + 1)
                .kind(5)
                .tag(["e", &event.id.to_hex()]);
            if event.class() == KindClass::Addressable {
                let address = format!("{}:{}:d{d}", event.kind, event.pubkey);
                deletion = deletion.tag(["a", &address]);
            }
            events.push((deletion.sign(&stranger(*author)), !here));
        }
        events.push((event, here));
    }
    events
}

/// Which of the events are served, in order.
fn served(events: &[(Event, bool)], filter: &Filter) -> Vec<EventId> {
    let is_hidden = |event: &Event| {
        event.class() == KindClass::Ephemeral
            || event.is_protected()
            || event.expiration().is_some()
            || events.iter().any(|(other, _)| {
                is_version(other, event)
                    && (other.created_at, event.id) > (event.created_at, other.id)
                    || event.kind != 5 && deletes(other, event)
            })
    };
    let mut found: Vec<(std::cmp::Reverse<i64>, EventId)> = events
        .iter()
        .filter(|(event, _)| filter.matches(event) && !is_hidden(event))
        .map(|(event, _)| (std::cmp::Reverse(event.created_at), event.id))
        .collect();
    found.sort_unstable();
    found.truncate(filter.limit.unwrap_or(500));
    found.into_iter().map(|(_, id)| id).collect()
}

fn address(event: &Event) -> Option<String> {
    let d = match event.class() {
        KindClass::Replaceable => "",
        KindClass::Addressable => event.d_tag(),
        _ => return None,
    };
    Some(format!("{}:{}:{d}", event.kind, event.pubkey))
}

fn is_version(a: &Event, b: &Event) -> bool {
    address(a).is_some() && address(a) == address(b)
}

fn deletes(deletion: &Event, event: &Event) -> bool {
    let address = address(event);
    deletion.kind == 5
        && deletion.pubkey == event.pubkey
        && (deletion.tag_values("e").any(|id| id == event.id.to_hex())
            || deletion.created_at >= event.created_at
                && deletion
                    .tag_values("a")
                    .any(|a| Some(a) == address.as_deref()))
}

fn filters(base: i64) -> impl Strategy<Value = Filter> {
    let some = |any: BoxedStrategy<String>| prop::option::of(any);
    let author = (0..AUTHORS).prop_map(|n| pubkey(&stranger(n)));
    (
        prop::option::of(prop::collection::btree_set(author, 1..3)),
        prop::option::of(prop::collection::btree_set(
            prop::sample::select(&KINDS[..]),
            1..4,
        )),
        some((0_usize..5).prop_map(|n| format!("t{n}")).boxed()),
        some((0_usize..3).prop_map(|n| format!("d{n}")).boxed()),
        prop::option::of(0_i64..40),
        prop::option::of(0_i64..40),
        prop::option::of(0_usize..30),
    )
        .prop_map(move |(authors, kinds, t, d, since, until, limit)| {
            let tags = [('t', t), ('d', d)];
            let tags = tags
                .into_iter()
                .filter_map(|(name, value)| Some((name, BTreeSet::from([value?]))));
            Filter {
                authors,
                kinds,
                tags: tags.collect(),
                since: since.map(|age| base - age),
                until: until.map(|age| base - age),
                limit,
                ..Filter::default()
            }
        })
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_served_is_what_the_rules_say_of_all_that_is_known() {
    let relay = archive_relay(|config| config.limits.messages_per_second_per_ip = 100_000).await;
    let mut runner = TestRunner::new(Config::default());
    let base = now() - 1_000;
    let plans = plans().new_tree(&mut runner).unwrap().current();
    let events = make(&plans, base);
    let (here, archived): (Vec<_>, Vec<_>) = events.iter().cloned().partition(|(_, here)| *here);
    let archived: Vec<Event> = archived.into_iter().map(|(event, _)| event).collect();
    relay.archive(&archived).await;
    for (event, _) in &here {
        relay.store.publish(event).await.unwrap();
    }
    let mut client = relay.client().await;
    for _ in 0..FILTERS {
        let filter = filters(base).new_tree(&mut runner).unwrap().current();
        let expected = served(&events, &filter);
        let got = stored(&mut client, std::slice::from_ref(&filter)).await;
        assert_eq!(got, expected, "{}\n{plans:?}", filter.to_json());
        if filter.limit.is_none() {
            let count = client
                .count("c", std::slice::from_ref(&filter))
                .await
                .unwrap();
            assert_eq!(count, expected.len() as u64, "{}", filter.to_json());
        }
    }
}
