//! From the lowest counters to all that follow from them.
//!
//! A row that appears or vanishes at one level changes the distinct counts of the level above by
//! one, so every distinct count is exact without counting anything twice.

use std::collections::HashMap;

use bigbrotr_core::event::KindClass;

use super::counters::{Change, Changed, Counters};
use super::fold::{Delta, Fold, SeriesDeltas};
use crate::error::StoreError;
use crate::store::Link;

const PUBKEY_KINDS: Counters<3> = Counters {
    table: "stats_pubkey_kinds",
    keys: ["win", "pubkey_num", "kind"],
    distinct: &[],
    spans: false,
};
const KINDS: Counters<2> = Counters {
    table: "stats_kinds",
    keys: ["win", "kind"],
    distinct: &["pubkeys"],
    spans: false,
};
const PUBKEYS: Counters<2> = Counters {
    table: "stats_pubkeys",
    keys: ["win", "pubkey_num"],
    distinct: &["kinds"],
    spans: true,
};
const RELAY_PUBKEY_KINDS: Counters<4> = Counters {
    table: "stats_relay_pubkey_kinds",
    keys: ["win", "relay_id", "pubkey_num", "kind"],
    distinct: &[],
    spans: false,
};
const RELAY_KINDS: Counters<3> = Counters {
    table: "stats_relay_kinds",
    keys: ["win", "relay_id", "kind"],
    distinct: &["pubkeys"],
    spans: false,
};
const RELAY_PUBKEYS: Counters<3> = Counters {
    table: "stats_relay_pubkeys",
    keys: ["win", "pubkey_num", "relay_id"],
    distinct: &["kinds"],
    spans: true,
};
const RELAYS: Counters<2> = Counters {
    table: "stats_relays",
    keys: ["win", "relay_id"],
    distinct: &["pubkeys", "kinds"],
    spans: true,
};
const SERIES: Counters<3> = Counters {
    table: "stats_series",
    keys: ["bucket_seconds", "kind", "at"],
    distinct: &[],
    spans: false,
};

/// The counters with `first_at` and `last_at` that a fold changed.
#[derive(Debug)]
pub(super) struct Applied {
    pub(super) pubkeys: Vec<Changed<2>>,
    pub(super) relay_pubkeys: Vec<Changed<3>>,
    pub(super) relays: Vec<Changed<2>>,
}

/// Adds a fold to all tables of statistics.
pub(super) async fn apply(connection: &mut Link, fold: &Fold) -> Result<Applied, StoreError> {
    let pubkeys = apply_events(connection, fold).await?;
    let (relay_pubkeys, relays) = apply_relays(connection, fold).await?;
    SERIES.add(connection, buckets(&fold.series)).await?;
    Ok(Applied {
        pubkeys,
        relay_pubkeys,
        relays,
    })
}

async fn apply_events(connection: &mut Link, fold: &Fold) -> Result<Vec<Changed<2>>, StoreError> {
    let lowest = fold
        .events
        .iter()
        .map(|(&(win, pubkey, kind), delta)| Change {
            key: [win.into(), pubkey.into(), kind.into()],
            delta: *delta,
            steps: [0; 2],
        });
    let pairs = PUBKEY_KINDS.add(connection, lowest.collect()).await?;
    let kinds = raise(&pairs, |[win, _, kind]| [win, kind], 0);
    let kinds = KINDS.add(connection, changes(kinds)).await?;
    let pubkeys = raise(&pairs, |[win, pubkey, _]| [win, pubkey], 0);
    let pubkeys = PUBKEYS.add(connection, changes(pubkeys)).await?;
    add_totals(connection, &kinds, &pubkeys).await?;
    Ok(pubkeys)
}

async fn apply_relays(
    connection: &mut Link,
    fold: &Fold,
) -> Result<(Vec<Changed<3>>, Vec<Changed<2>>), StoreError> {
    let lowest = fold
        .relays
        .iter()
        .map(|(&(win, relay, pubkey, kind), delta)| Change {
            key: [win.into(), relay.into(), pubkey.into(), kind.into()],
            delta: *delta,
            steps: [0; 2],
        });
    let lowest = RELAY_PUBKEY_KINDS.add(connection, lowest.collect()).await?;
    let kinds = raise(&lowest, |[win, relay, _, kind]| [win, relay, kind], 0);
    let kinds = RELAY_KINDS.add(connection, changes(kinds)).await?;
    let pubkeys = raise(&lowest, |[win, relay, pubkey, _]| [win, pubkey, relay], 0);
    let pubkeys = RELAY_PUBKEYS.add(connection, changes(pubkeys)).await?;
    let mut relays = raise(&pubkeys, |[win, _, relay]| [win, relay], 0);
    for (key, kinds) in raise(&kinds, |[win, relay, _]| [win, relay], 1) {
        relays.entry(key).or_default().1[1] = kinds.1[1];
    }
    let relays = RELAYS.add(connection, changes(relays)).await?;
    Ok((pubkeys, relays))
}

/// What changes a row of one level: its own counter, and the rows below that come and go.
type Sums<const K: usize> = HashMap<[i64; K], (Delta, [i64; 2])>;

/// Sums changed rows up to the level above; `column` says which of its distinct counts they are.
fn raise<const FROM: usize, const TO: usize>(
    below: &[Changed<FROM>],
    key: impl Fn([i64; FROM]) -> [i64; TO],
    column: usize,
) -> Sums<TO> {
    let mut sums = Sums::new();
    for changed in below {
        let (delta, steps) = sums.entry(key(changed.change.key)).or_default();
        let own = changed.change.delta;
        delta.n += own.n;
        delta.widen(own.first_at, own.last_at);
        steps[column] += changed.step();
    }
    sums
}

fn changes<const K: usize>(sums: Sums<K>) -> Vec<Change<K>> {
    sums.into_iter()
        .map(|(key, (delta, steps))| Change { key, delta, steps })
        .collect()
}

fn buckets(deltas: &SeriesDeltas) -> Vec<Change<3>> {
    deltas
        .iter()
        .map(|(&(bucket_seconds, kind, at), &n)| Change {
            key: [bucket_seconds, kind.into(), at],
            delta: Delta {
                n,
                ..Delta::default()
            },
            steps: [0; 2],
        })
        .collect()
}

/// Adds to the totals of each window.
async fn add_totals(
    connection: &mut Link,
    kinds: &[Changed<2>],
    pubkeys: &[Changed<2>],
) -> Result<(), StoreError> {
    // Events by class, then kinds and pubkeys that came or went.
    let mut totals: HashMap<i64, [i64; 6]> = HashMap::new();
    for changed in kinds {
        let [win, kind] = changed.change.key;
        let total = totals.entry(win).or_default();
        let class = match KindClass::of(kind as u16) {
            KindClass::Regular => 0,
            KindClass::Replaceable => 1,
            KindClass::Ephemeral => 2,
            KindClass::Addressable => 3,
        };
        total[class] += changed.change.delta.n;
        total[4] += changed.step();
    }
    for changed in pubkeys {
        totals.entry(changed.change.key[0]).or_default()[5] += changed.step();
    }
    for (win, [regular, replaceable, ephemeral, addressable, kinds, pubkeys]) in totals {
        sqlx::query(
            "update stats_totals set events = events + $2 + $3 + $4 + $5,
                regular = regular + $2, replaceable = replaceable + $3,
                ephemeral = ephemeral + $4, addressable = addressable + $5,
                kinds = kinds + $6, pubkeys = pubkeys + $7
             where win = $1",
        )
        .bind(win as i16)
        .bind(regular)
        .bind(replaceable)
        .bind(ephemeral)
        .bind(addressable)
        .bind(kinds)
        .bind(pubkeys)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
