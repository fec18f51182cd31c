//! Any events, in any order, one after the other or all at once: what is served in the end is
//! what the model says.

use bigbrotr_core::clock::{Clock, SystemClock};
use bigbrotr_core::event::{Event, EventId};
use bigbrotr_schema::nostr_database::RelayDatabase;
use bigbrotr_testkit::population::EventMaker;
use futures_util::future::join_all;
use nostr::filter::MatchEventOptions;
use nostr::{Filter, JsonUtil, Kind, Timestamp};
use nostr_database::NostrDatabase;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

use crate::model::{Served, served};
use crate::subject::{OUR_URL, Subject, T, hex, keys, postgres, save_in_the_crowd};

const KINDS: [u16; 4] = [1, 0, 10_002, 30_023];

/// How an event is made.
#[derive(Debug, Clone)]
enum Spec {
    Write {
        author: u64,
        at: i64,
        kind: Index,
        d: u8,
        content: u8,
        expiry: Option<bool>,
    },
    Wrap {
        to: Vec<u64>,
        at: i64,
    },
    DeleteIds {
        author: u64,
        at: i64,
        targets: Vec<Index>,
    },
    DeleteAddresses {
        author: u64,
        at: i64,
        targets: Vec<(u64, Index, u8)>,
    },
    Vanish {
        author: u64,
        at: i64,
        relay: Index,
    },
}

fn spec() -> impl Strategy<Value = Spec> {
    let (author, at) = (|| 0..3_u64, || 0..6_i64);
    let kind = any::<Index>;
    prop_oneof![
        8 => (author(), at(), kind(), 0..2_u8, 0..3_u8, prop::option::weighted(0.2, any::<bool>()))
            .prop_map(|(author, at, kind, d, content, expiry)| Spec::Write {
                author, at, kind, d, content, expiry,
            }),
        2 => (vec(author(), 1..3), at()).prop_map(|(to, at)| Spec::Wrap { to, at }),
        4 => (author(), at(), vec(any::<Index>(), 1..4))
            .prop_map(|(author, at, targets)| Spec::DeleteIds { author, at, targets }),
        2 => (author(), at(), vec((author(), kind(), 0..2_u8), 1..3))
            .prop_map(|(author, at, targets)| Spec::DeleteAddresses { author, at, targets }),
        1 => (author(), at(), any::<Index>())
            .prop_map(|(author, at, relay)| Spec::Vanish { author, at, relay }),
    ]
}

fn d_tag(d: u8) -> String {
    ["x", "a:b"][usize::from(d)].to_owned()
}

fn make(spec: &Spec, before: &[Event]) -> Event {
    let maker = |at: i64, kind: u16| EventMaker::new(T + at).kind(kind);
    match spec {
        Spec::Write {
            author,
            at,
            kind,
            d,
            content,
            expiry,
        } => {
            let mut event = maker(*at, *kind.get(&KINDS))
                .content(content.to_string())
                .tag(["d", &d_tag(*d)]);
            if let Some(passed) = expiry {
                let expiry = if *passed { "1700000001" } else { "9000000000" };
                event = event.tag(["expiration", expiry]);
            }
            event.sign(&keys(*author))
        }
        Spec::Wrap { to, at } => {
            let mut event = maker(*at, 1_059);
            for to in to {
                event = event.tag(["p", &hex(*to)]);
            }
            event.sign(&keys(9))
        }
        Spec::DeleteIds {
            author,
            at,
            targets,
        } => {
            let mut event = maker(*at, 5);
            for target in targets {
                let target = if before.is_empty() {
                    EventId([1; 32])
                } else {
                    target.get(before).id
                };
                event = event.tag(["e", &target.to_hex()]);
            }
            event.sign(&keys(*author))
        }
        Spec::DeleteAddresses {
            author,
            at,
            targets,
        } => {
            let mut event = maker(*at, 5);
            for (owner, kind, d) in targets {
                let kind = *kind.get(&KINDS);
                let d = if kind == 30_023 {
                    d_tag(*d)
                } else {
                    String::new()
                };
                event = event.tag(["a", &format!("{kind}:{}:{d}", hex(*owner))]);
            }
            event.sign(&keys(*author))
        }
        Spec::Vanish { author, at, relay } => {
            let relay = relay.get(&["ALL_RELAYS", OUR_URL, "wss://other.example.com"]);
            maker(*at, 62).tag(["relay", relay]).sign(&keys(*author))
        }
    }
}

/// Different events, and two orders in which they arrive.
fn history() -> impl Strategy<Value = (Vec<Event>, Vec<usize>, Vec<usize>)> {
    vec(spec(), 1..28).prop_flat_map(|specs| {
        let mut events: Vec<Event> = Vec::new();
        for spec in &specs {
            let event = make(spec, &events);
            if events.iter().all(|before| before.id != event.id) {
                events.push(event);
            }
        }
        let order: Vec<usize> = (0..events.len()).collect();
        let shuffled = || Just(order.clone()).prop_shuffle();
        (Just(events), shuffled(), shuffled())
    })
}

fn question() -> impl Strategy<Value = Filter> {
    let some = prop::option::of::<std::ops::Range<i64>>;
    (
        prop::option::of(vec(0..3_u64, 1..3)),
        prop::option::of(vec(0..4_usize, 1..3)),
        prop::option::of(0..2_u8),
        some(0..6),
        some(0..6),
        prop::option::of(0..5_usize),
    )
        .prop_map(|(authors, kinds, d, since, until, limit)| {
            let time = |at: i64| Timestamp::from_secs((T + at).unsigned_abs());
            let mut filter = Filter::new();
            if let Some(authors) = authors {
                filter = filter.authors(authors.into_iter().map(|n| keys(n).public_key()));
            }
            if let Some(kinds) = kinds {
                filter = filter.kinds(kinds.into_iter().map(|n| Kind::from_u16(KINDS[n])));
            }
            if let Some(d) = d {
                filter = filter.identifier(d_tag(d));
            }
            filter.since = since.map(time);
            filter.until = until.map(time);
            filter.limit = limit;
            filter
        })
}

async fn check(
    subject: &Subject<RelayDatabase>,
    expected: &Served,
    question: &Filter,
) -> Result<(), TestCaseError> {
    let found = subject
        .database
        .query(Filter::new())
        .await
        .unwrap()
        .to_vec();
    let ids: Vec<EventId> = found
        .iter()
        .map(|event| EventId(event.id.to_bytes()))
        .filter(|id| !expected.indifferent.contains(id))
        .collect();
    let model: Vec<EventId> = expected.events.iter().map(|event| event.id).collect();
    prop_assert_eq!(ids, model);

    let matching: Vec<_> = found
        .into_iter()
        .filter(|event| question.match_event(event, MatchEventOptions::new()))
        .take(question.limit.unwrap_or(usize::MAX))
        .collect();
    let count = subject.database.count(question.clone()).await.unwrap();
    prop_assert_eq!(count, matching.len());
    let answer = subject.database.query(question.clone()).await.unwrap();
    prop_assert_eq!(answer.to_vec(), matching);
    Ok(())
}

#[test]
fn any_order_of_arrival_ends_in_what_the_nips_say() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let (subject, database) = runtime.block_on(postgres());
    let regressions = FileFailurePersistence::Direct("tests/nostr_database/regressions.txt");
    let mut runner = TestRunner::new(Config {
        cases: 24,
        failure_persistence: Some(Box::new(regressions)),
        ..Config::default()
    });
    let outcome = runner.run(
        &(history(), question()),
        |((events, one, other), question)| {
            runtime.block_on(async {
                let expected = served(&events, SystemClock.now());
                let events: Vec<nostr::Event> = events
                    .iter()
                    .map(|event| nostr::Event::from_json(event.to_json()).unwrap())
                    .collect();
                for order in [one, other] {
                    subject.database.wipe().await.unwrap();
                    for index in order {
                        subject.save(&events[index]).await;
                    }
                    check(&subject, &expected, &question).await?;
                }
                subject.database.wipe().await.unwrap();
                let database = &subject.database;
                join_all(
                    events
                        .iter()
                        .map(|event| save_in_the_crowd(database, event)),
                )
                .await;
                check(&subject, &expected, &question).await
            })
        },
    );
    runtime.block_on(async move { drop(database) });
    outcome.unwrap();
}
