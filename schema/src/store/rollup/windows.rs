//! The windows, and what enters and leaves them as time passes.

use bigbrotr_core::event::Pubkey;

use super::pubkeys::Numbers;
use super::{EventChange, Fold, RelayChange};
use crate::error::StoreError;
use crate::limits::{ROLLUP_CLOCK_PLAY_SECONDS, ROLLUP_MOST_ADVANCE_SECONDS};
use crate::store::Link;
use crate::store::bytes32;

/// The window without bounds.
pub(super) const ALL: i16 = 0;

/// The sliding windows: number in `rollup_windows`, and length in seconds. A window is the
/// half-open stretch `(as_of - length, as_of]` of `created_at`.
pub(super) const SLIDING: [(i16, i64); 4] = [(1, 3_600), (2, 86_400), (3, 604_800), (4, 2_592_000)];

/// Names the windows that hold an event, at the moment that the statistics describe.
pub(super) fn windows_of(created_at: i64, as_of: i64) -> impl Iterator<Item = i16> {
    let sliding = SLIDING
        .into_iter()
        .filter(move |(_, seconds)| created_at > as_of - seconds && created_at <= as_of)
        .map(|(win, _)| win);
    std::iter::once(ALL).chain(sliding)
}

/// A stretch of `created_at`, `(after, until]`, that enters (+1) or leaves (-1) a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shift {
    pub(super) win: i16,
    pub(super) sign: i64,
    pub(super) after: i64,
    pub(super) until: i64,
}

/// Lists what enters and leaves when the statistics move from one moment to another. On the way back
/// what left enters, and what entered leaves.
pub(super) fn shifts(from: i64, to: i64) -> impl Iterator<Item = Shift> {
    let (first, last, way) = if from <= to {
        (from, to, 1)
    } else {
        (to, from, -1)
    };
    SLIDING.into_iter().flat_map(move |(win, seconds)| {
        let left = Shift {
            win,
            sign: -way,
            after: first - seconds,
            until: (last - seconds).min(first),
        };
        let entered = Shift {
            win,
            sign: way,
            after: first.max(last - seconds),
            until: last,
        };
        [left, entered]
    })
}

/// Says to which moment the statistics are to move: on, as this process's clock does. Back only where
/// the database's clock, too, says that somebody's was far ahead.
pub(super) fn goal(as_of: i64, now: i64, clock: i64) -> Option<i64> {
    let latest = now.max(clock);
    if now > as_of {
        Some(now)
    } else if as_of - latest > ROLLUP_CLOCK_PLAY_SECONDS {
        Some(latest)
    } else {
        None
    }
}

/// Says how far one step moves: after a long pause not all the way, which bounds its memory.
pub(super) fn next_stop(as_of: i64, goal: i64) -> i64 {
    if as_of == 0 {
        // The first step: nothing is in a window yet, so only what enters now counts.
        return goal;
    }
    goal.clamp(
        as_of - ROLLUP_MOST_ADVANCE_SECONDS,
        as_of + ROLLUP_MOST_ADVANCE_SECONDS,
    )
}

/// The events of a shift, counted by pubkey and kind, and by relay too.
#[derive(Debug, Default)]
pub(super) struct Moves {
    events: Vec<(Pubkey, i32, i64)>,
    sightings: Vec<(i32, Pubkey, i32, i64)>,
}

/// Reads what enters or leaves.
pub(super) async fn events_of(connection: &mut Link, shift: Shift) -> Result<Moves, StoreError> {
    let mut moves = Moves::default();
    let rows: Vec<(Vec<u8>, i32, i64)> = sqlx::query_as(
        "select pubkey, kind, count(*) from events
         where created_at > $1 and created_at <= $2 group by pubkey, kind",
    )
    .bind(shift.after)
    .bind(shift.until)
    .fetch_all(&mut *connection)
    .await?;
    if rows.is_empty() {
        return Ok(moves);
    }
    for (pubkey, kind, n) in rows {
        moves
            .events
            .push((Pubkey(bytes32(&pubkey, "pubkey")?), kind, n));
    }
    let rows: Vec<(i32, Vec<u8>, i32, i64)> = sqlx::query_as(
        "select er.relay_id, e.pubkey, e.kind, count(*)
         from events e join events_relays er on er.event_num = e.num
         where e.created_at > $1 and e.created_at <= $2 group by er.relay_id, e.pubkey, e.kind",
    )
    .bind(shift.after)
    .bind(shift.until)
    .fetch_all(connection)
    .await?;
    for (relay, pubkey, kind, n) in rows {
        moves
            .sightings
            .push((relay, Pubkey(bytes32(&pubkey, "pubkey")?), kind, n));
    }
    Ok(moves)
}

impl Moves {
    /// Names the pubkeys whose numbers are needed.
    pub(super) fn pubkeys(&self) -> impl Iterator<Item = Pubkey> {
        self.events.iter().map(|(pubkey, ..)| *pubkey)
    }

    /// Adds the moves to a fold.
    pub(super) fn fold_into(
        &self,
        fold: &mut Fold,
        numbers: &Numbers<'_>,
        shift: Shift,
    ) -> Result<(), StoreError> {
        for &(pubkey, kind, n) in &self.events {
            fold.event(EventChange {
                win: shift.win,
                pubkey: numbers.get(&pubkey)?,
                kind,
                n: n * shift.sign,
                at: None,
            });
        }
        for &(relay, pubkey, kind, n) in &self.sightings {
            fold.sighting(RelayChange {
                relay,
                event: EventChange {
                    win: shift.win,
                    pubkey: numbers.get(&pubkey)?,
                    kind,
                    n: n * shift.sign,
                    at: None,
                },
            });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_statistics_go_back_only_where_nobodys_clock_is_so_far() {
        assert_eq!(goal(100, 101, 90), Some(101));
        assert_eq!(goal(100, 100, 100), None);
        // This process's clock is behind, or somebody's is a little ahead.
        assert_eq!(goal(10_000, 5_000, 10_000), None);
        assert_eq!(goal(10_000, 9_970, 9_960), None);
        assert_eq!(goal(10_000, 5_000, 5_001), Some(5_001));
        assert_eq!(next_stop(100_000, 5_001), 100_000 - 6 * 3_600);
        assert_eq!(next_stop(10_000, 5_001), 5_001);
    }

    proptest! {
        /// Whatever the moments, an event is in a window exactly when the window's definition
        /// says so.
        #[test]
        fn shifts_keep_windows_exact(
            created_at in -10_i64..3_000_000,
            start in 0_i64..3_000_000,
            moments in prop::collection::vec(0_i64..3_000_000, 1..6),
        ) {
            let mut as_of = start;
            let mut inside: Vec<(i16, i64)> = SLIDING
                .iter()
                .map(|(win, _)| (*win, i64::from(windows_of(created_at, as_of).any(|w| w == *win))))
                .collect();
            for moment in moments {
                for shift in shifts(as_of, moment) {
                    if created_at > shift.after && created_at <= shift.until {
                        inside.iter_mut().find(|(win, _)| *win == shift.win).unwrap().1 += shift.sign;
                    }
                }
                as_of = moment;
                for (win, count) in &inside {
                    let expected = windows_of(created_at, as_of).any(|w| w == *win);
                    prop_assert_eq!(*count, i64::from(expected));
                }
            }
        }
    }
}
