//! The population is the same on every run, true to NIP-01 and near to what relays hold.

#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::collections::{HashMap, HashSet};

use bigbrotr_core::event::Event;
use bigbrotr_testkit::population::{Generator, InvalidEvents, author_keys};
use bigbrotr_testkit::{EventMaker, Population, PopulationConfig, SimEvent};

const NOW: i64 = 1_760_000_000;

fn population(seed: u64, events: usize) -> Population {
    Population::generate(&PopulationConfig::new(seed, events, NOW))
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (one, two, other) = (population(7, 500), population(7, 500), population(8, 500));
    assert_eq!(one.events(), two.events());
    assert_ne!(one.events(), other.events());
    let first = &one.events()[0];
    assert_eq!(
        first.id().to_hex(),
        "5724bd734222941c5d535e9e3201b807228beb5851b5df91b33a163673392ad2",
        "a change of the generator changes every recorded number of the benchmarks: mean it"
    );
}

#[test]
fn every_event_is_valid_and_unique() {
    let population = population(1, 3_000);
    let mut ids = HashSet::new();
    for sim in population.events() {
        let event = sim.event();
        event.verify().unwrap();
        assert_eq!(event.to_json(), sim.json());
        assert!(ids.insert(event.id));
    }
    let (oldest, newest) = (&population.events()[0], &population.events()[2_999]);
    assert_eq!(newest.created_at(), NOW);
    assert_eq!(oldest.created_at(), NOW - 30 * 86_400);
    assert!(population.events().is_sorted_by_key(SimEvent::created_at));
}

#[test]
fn the_mix_is_realistic() {
    let population = population(2, 20_000);
    let events: Vec<Event> = population.events().iter().map(SimEvent::event).collect();
    let share = |kind: u16| events.iter().filter(|e| e.kind == kind).count() as f64 / 20_000.0;
    assert!((0.42..0.48).contains(&share(1)), "kind 1: {}", share(1));
    for kind in [0, 3, 4, 5, 6, 7, 1984, 9735, 10_002, 20_001, 30_023, 30_078] {
        assert!(share(kind) > 0.004, "kind {kind}: {}", share(kind));
    }
    let bytes: usize = population
        .events()
        .iter()
        .map(|event| event.json().len())
        .sum();
    let average = bytes / events.len();
    assert!(
        (720..820).contains(&average),
        "average JSON is {average} bytes"
    );
    assert!(events.iter().any(|event| event.content.contains('\0')));
    assert!(events.iter().any(|event| event.content.contains("🔥")));
    assert!(events.iter().any(|event| event.tags.len() > 200));
    let mut by_author = HashMap::new();
    for event in &events {
        *by_author.entry(event.pubkey).or_insert(0_usize) += 1;
    }
    assert!(
        by_author.values().max() > Some(&2_000),
        "the first author writes a lot"
    );
}

#[test]
fn tags_refer_to_earlier_events() {
    let population = population(3, 2_000);
    let mut seen = HashSet::new();
    let mut references = 0;
    for event in population.events().iter().map(SimEvent::event) {
        for id in event.tag_values("e") {
            assert!(seen.contains(id), "{id} is not an earlier event");
            references += 1;
        }
        if event.kind == 5 {
            let own = |id: &str| {
                population
                    .events()
                    .iter()
                    .any(|e| e.id().to_hex() == id && e.pubkey() == event.pubkey)
            };
            assert!(
                event.tag_values("e").all(own),
                "deletions name the author's own events"
            );
        }
        seen.insert(event.id.to_hex());
    }
    assert!(references > 800);
}

#[test]
fn subsets_overlap_as_asked_and_cover_everything() {
    let population = population(4, 2_000);
    for (overlap, copies) in [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0)] {
        let subsets: Vec<_> = (0..4)
            .map(|relay| population.subset(relay, 4, overlap))
            .collect();
        let union: HashSet<_> = subsets.iter().flatten().map(SimEvent::id).collect();
        assert_eq!(union.len(), 2_000);
        let total: usize = subsets.iter().map(Vec::len).sum();
        let average = total as f64 / 2_000.0;
        assert!(
            (average - copies).abs() < 0.15,
            "overlap {overlap}: {average} copies"
        );
    }
}

#[test]
fn a_generator_goes_on_where_the_population_ends() {
    let config = PopulationConfig::new(5, 1, NOW);
    let mut generator = Generator::new(&config);
    assert_eq!(
        generator.next_at(NOW).id,
        Population::generate(&config).events()[0].id()
    );
    let next = generator.next_at(NOW + 5);
    next.verify().unwrap();
    assert_eq!(next.created_at, NOW + 5);
}

#[test]
fn a_maker_sets_every_field() {
    let keys = author_keys(1, 2);
    let event = EventMaker::new(NOW)
        .kind(30_023)
        .tag(["d", "x"])
        .tag([""; 0])
        .content("c")
        .sign(&keys);
    event.verify().unwrap();
    assert_eq!(
        (event.kind, event.created_at, event.d_tag()),
        (30_023, NOW, "x")
    );
    assert_eq!(event.tags.len(), 2);
}

#[test]
fn invalid_events_are_each_refused() {
    let invalid = InvalidEvents::new(author_keys(1, 0), NOW);
    assert_eq!(
        invalid.wrong_signature().verify().unwrap_err().reason(),
        "wrong_signature"
    );
    assert_eq!(
        invalid.wrong_id().verify().unwrap_err().reason(),
        "wrong_id"
    );
    for (name, json) in invalid.all() {
        let refused = Event::from_json(&json)
            .and_then(|event| event.verify())
            .is_err();
        assert!(refused, "{name} was taken: {json}");
        assert!(
            serde_json::from_str::<serde_json::Value>(&json).is_ok(),
            "{name} is no JSON"
        );
    }
    for json in [invalid.truncated(), invalid.deeply_nested()] {
        assert!(Event::from_json(&json).is_err());
    }
    invalid.huge(100_000).verify().unwrap();
}
