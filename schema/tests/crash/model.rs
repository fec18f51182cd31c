//! What the archive and its statistics have to be: computed from what was submitted, without SQL.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use bigbrotr_core::event::{Event, EventId, KindClass, Pubkey};
use bigbrotr_schema::store::{RelayId, Store};
use sqlx::{PgPool, Row};

const WINDOWS: [(&str, Option<i64>); 5] = [
    ("all", None),
    ("1h", Some(3_600)),
    ("24h", Some(86_400)),
    ("7d", Some(604_800)),
    ("30d", Some(2_592_000)),
];

/// One line of a statistic: its name and key, and its values.
type Lines = BTreeMap<String, Vec<i64>>;

/// The archive as it should be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Model {
    pub(crate) events: HashMap<EventId, Event>,
    pub(crate) seen: HashSet<(EventId, RelayId)>,
}

/// Counts of a set of events.
#[derive(Default)]
struct Tally {
    events: i64,
    pubkeys: BTreeSet<Pubkey>,
    kinds: BTreeSet<u16>,
    first_at: Option<i64>,
    last_at: Option<i64>,
}

impl Tally {
    fn add(&mut self, event: &Event) {
        self.events += 1;
        self.pubkeys.insert(event.pubkey);
        self.kinds.insert(event.kind);
        let at = event.created_at;
        self.first_at = Some(self.first_at.map_or(at, |first| first.min(at)));
        self.last_at = Some(self.last_at.map_or(at, |last| last.max(at)));
    }

    /// Earliest and latest are kept for the window `all` only.
    fn ends(&self, window: &str) -> [i64; 2] {
        if window == "all" {
            [
                self.first_at.unwrap_or_default(),
                self.last_at.unwrap_or_default(),
            ]
        } else {
            [0, 0]
        }
    }
}

impl Model {
    pub(crate) fn add(&mut self, event: &Event, relay: Option<RelayId>) {
        self.events.insert(event.id, event.clone());
        if let Some(relay) = relay {
            self.seen.insert((event.id, relay));
        }
    }

    pub(crate) fn add_all(&mut self, events: &[Event], relay: Option<RelayId>) {
        for event in events {
            self.add(event, relay);
        }
    }

    /// Compares the base tables, row by row, then folds everything and compares the statistics,
    /// with this model and with the store's own recomputation.
    pub(crate) async fn check(&self, store: &Store, pool: &PgPool) {
        self.check_tables(pool).await;
        fold(store).await;
        let differences = store.verify_statistics(10).await.unwrap();
        assert!(differences.is_empty(), "{differences:#?}");
        self.check_statistics(store, pool).await;
    }

    pub(crate) async fn check_tables(&self, pool: &PgPool) {
        let ids: Vec<Vec<u8>> = sqlx::query_scalar("select id from events")
            .fetch_all(pool)
            .await
            .unwrap();
        assert_eq!(ids.len(), self.events.len(), "events");
        let found: HashSet<EventId> = ids.iter().map(|id| event_id(id)).collect();
        assert_eq!(found.len(), ids.len(), "an event is there twice");
        assert!(self.events.keys().all(|id| found.contains(id)));
        // An association without its event shows up as one without an id.
        let pairs: Vec<(Option<Vec<u8>>, i32)> = sqlx::query_as(
            "select e.id, er.relay_id from events_relays er left join events e on e.num = er.event_num",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        let orphans = pairs.iter().filter(|(id, _)| id.is_none()).count();
        assert_eq!(orphans, 0, "provenance without its event");
        let seen: HashSet<(EventId, RelayId)> = pairs
            .iter()
            .filter_map(|(id, relay)| Some((event_id(id.as_ref()?), RelayId(*relay))))
            .collect();
        assert_eq!(pairs.len(), self.seen.len(), "associations");
        assert_eq!(seen, self.seen);
    }

    /// Compares what the views say, once everything is folded, with counting again.
    pub(crate) async fn check_statistics(&self, store: &Store, pool: &PgPool) {
        let expected = self.expected(store.as_of().await.unwrap());
        let actual = actual(pool).await;
        let wrong: Vec<String> = expected
            .keys()
            .chain(actual.keys())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|key| expected.get(*key) != actual.get(*key))
            .map(|key| {
                format!(
                    "{key}: expected {:?}, found {:?}",
                    expected.get(key),
                    actual.get(key)
                )
            })
            .take(10)
            .collect();
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    fn expected(&self, as_of: i64) -> Lines {
        let mut lines = Lines::new();
        for (window, seconds) in WINDOWS {
            let within = |event: &Event| {
                seconds.is_none_or(|s| event.created_at > as_of - s && event.created_at <= as_of)
            };
            let mut total = Tally::default();
            let mut classes = [0; 4];
            let mut kinds: HashMap<u16, Tally> = HashMap::new();
            let mut pubkeys: HashMap<Pubkey, Tally> = HashMap::new();
            for event in self.events.values().filter(|event| within(event)) {
                total.add(event);
                classes[class(event)] += 1;
                kinds.entry(event.kind).or_default().add(event);
                pubkeys.entry(event.pubkey).or_default().add(event);
            }
            let [regular, replaceable, ephemeral, addressable] = classes;
            lines.insert(
                format!("events {window}"),
                vec![
                    total.events,
                    regular,
                    replaceable,
                    ephemeral,
                    addressable,
                    total.pubkeys.len() as i64,
                    total.kinds.len() as i64,
                ],
            );
            for (kind, tally) in kinds {
                let values = vec![tally.events, tally.pubkeys.len() as i64];
                lines.insert(format!("kind {window} {kind}"), values);
            }
            for (pubkey, tally) in pubkeys {
                let mut values = vec![tally.events, tally.kinds.len() as i64];
                values.extend(tally.ends(window));
                lines.insert(format!("pubkey {window} {pubkey}"), values);
            }
            self.expect_relays(&mut lines, window, within);
        }
        lines
    }

    fn expect_relays(&self, lines: &mut Lines, window: &str, within: impl Fn(&Event) -> bool) {
        let mut relays: HashMap<i32, Tally> = HashMap::new();
        let mut kinds: HashMap<(i32, u16), Tally> = HashMap::new();
        let mut pubkeys: HashMap<(i32, Pubkey), Tally> = HashMap::new();
        for (id, relay) in &self.seen {
            let event = &self.events[id];
            if !within(event) {
                continue;
            }
            relays.entry(relay.0).or_default().add(event);
            kinds.entry((relay.0, event.kind)).or_default().add(event);
            pubkeys
                .entry((relay.0, event.pubkey))
                .or_default()
                .add(event);
        }
        for (relay, tally) in relays {
            let mut values = vec![
                tally.events,
                tally.pubkeys.len() as i64,
                tally.kinds.len() as i64,
            ];
            values.extend(tally.ends(window));
            lines.insert(format!("relay {window} {relay}"), values);
        }
        for ((relay, kind), tally) in kinds {
            let values = vec![tally.events, tally.pubkeys.len() as i64];
            lines.insert(format!("relay kind {window} {relay} {kind}"), values);
        }
        for ((relay, pubkey), tally) in pubkeys {
            let mut values = vec![tally.events, tally.kinds.len() as i64];
            values.extend(tally.ends(window));
            lines.insert(format!("relay pubkey {window} {relay} {pubkey}"), values);
        }
    }
}

/// Folds everything that waits and moves the statistics to now.
pub(crate) async fn fold(store: &Store) {
    loop {
        match store.rollup_step().await {
            Ok(Some(step)) if step.batches == 0 => return,
            Ok(_) => {}
            Err(error) => assert!(error.is_retryable(), "{error:?}"),
        }
    }
}

/// Reads the standard views.
async fn actual(pool: &PgPool) -> Lines {
    let mut lines = Lines::new();
    for (statement, values) in [
        (
            "select 'events ' || s.window as key, events, regular, replaceable, ephemeral,
                addressable, pubkeys, kinds from events_statistics s",
            7,
        ),
        (
            "select 'kind ' || s.window || ' ' || kind as key, events, pubkeys
             from kind_counts_total s",
            2,
        ),
        (
            "select 'pubkey ' || s.window || ' ' || encode(pubkey, 'hex') as key, events, kinds,
                case when s.window = 'all' then first_at else 0 end,
                case when s.window = 'all' then last_at else 0 end
             from pubkey_counts_total s",
            4,
        ),
        (
            "select 'relay ' || s.window || ' ' || r.id as key, events, pubkeys, kinds,
                case when s.window = 'all' then first_at else 0 end,
                case when s.window = 'all' then last_at else 0 end
             from relays_statistics s join relays r on r.url = s.relay where events <> 0",
            5,
        ),
        (
            "select 'relay kind ' || s.window || ' ' || r.id || ' ' || kind as key, events, pubkeys
             from kind_counts_by_relay s join relays r on r.url = s.relay",
            2,
        ),
        (
            "select 'relay pubkey ' || s.window || ' ' || r.id || ' ' || encode(pubkey, 'hex')
                as key, events, kinds, case when s.window = 'all' then first_at else 0 end,
                case when s.window = 'all' then last_at else 0 end
             from pubkey_counts_by_relay s join relays r on r.url = s.relay",
            4,
        ),
    ] {
        for row in sqlx::query(statement).fetch_all(pool).await.unwrap() {
            let line = (1..=values).map(|n| row.get::<i64, _>(n)).collect();
            lines.insert(row.get("key"), line);
        }
    }
    lines
}

fn class(event: &Event) -> usize {
    match event.class() {
        KindClass::Regular => 0,
        KindClass::Replaceable => 1,
        KindClass::Ephemeral => 2,
        KindClass::Addressable => 3,
    }
}

fn event_id(bytes: &[u8]) -> EventId {
    EventId(bytes.try_into().unwrap())
}
