//! What follows from a turn: when the relay is due again, and what comes before it. Pure.

use std::time::Duration;

use bigbrotr_schema::store::{SyncTask, SyncVerdict};
use rand::Rng;

use super::config::SynchronizerConfig;
use super::turn::{TurnEnd, TurnSummary};
use crate::limits::{NEWCOMER_BONUS, NOVELTY_BONUS, RUBBISH_REST_PART};

/// What a turn says about a relay, at `now` (Unix seconds).
pub(super) fn verdict(
    config: &SynchronizerConfig,
    task: &SyncTask,
    end: &TurnEnd,
    turn: &TurnSummary,
    now: i64,
    rng: &mut impl Rng,
) -> SyncVerdict {
    let error = match end {
        TurnEnd::Failed(error) => Some(error),
        _ => None,
    };
    let failures = match error {
        None if matches!(end, TurnEnd::CaughtUp) => 0,
        Some(error) if !error.is_ours() && turn.has_progressed => 1,
        Some(error) if !error.is_ours() => task.failures.saturating_add(1),
        _ => task.failures,
    };
    let is_rubbish = error.is_some_and(super::error::TurnError::is_rubbish);
    let rests = match end {
        _ if is_rubbish => task.rests.saturating_add(1),
        TurnEnd::CaughtUp => 0,
        _ => task.rests,
    };
    let put_aside = error.and_then(|error| error.put_aside(task.failures));
    let pause = match end {
        _ if is_rubbish => rest(config.put_aside, rests),
        _ if put_aside.is_some() => config.put_aside,
        TurnEnd::CaughtUp => config.interval,
        TurnEnd::Yielded | TurnEnd::Stopped => Duration::ZERO,
        TurnEnd::Failed(_) => config.retry.delay(failures.saturating_sub(1), rng),
    };
    // Whole seconds, rounded up: early is impolite.
    let due_at = now.saturating_add(pause.as_secs_f64().ceil() as i64);
    let novelty = novelty(task.novelty, turn);
    let bonus = match novelty {
        None => NEWCOMER_BONUS.as_secs() as i64,
        Some(share) => (NOVELTY_BONUS.as_secs_f64() * f64::from(share)) as i64,
    };
    SyncVerdict {
        due_at,
        rank: due_at.saturating_sub(bonus),
        failures,
        rests,
        error: error.map(super::error::TurnError::describe),
        put_aside,
        novelty,
    }
}

/// The share of events that are new to the archive, the last turn counting as much as all before.
fn novelty(before: Option<f32>, turn: &TurnSummary) -> Option<f32> {
    let all = turn.new_events + turn.known_events;
    if all == 0 {
        return before;
    }
    let share = turn.new_events as f32 / all as f32;
    Some(before.map_or(share, |before| f32::midpoint(before, share)))
}

/// How long a relay that sends rubbish rests: first a part of the time that others are left alone
/// for, then twice as long each time.
fn rest(put_aside: Duration, rests: u32) -> Duration {
    let factor = 2_u32.saturating_pow(rests.saturating_sub(1).min(16));
    (put_aside / RUBBISH_REST_PART)
        .saturating_mul(factor)
        .min(put_aside * 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turn(new_events: u64, known_events: u64) -> TurnSummary {
        TurnSummary {
            new_events,
            known_events,
            ..TurnSummary::default()
        }
    }

    #[test]
    fn novelty_follows_what_comes() {
        assert_eq!(novelty(None, &turn(0, 0)), None);
        assert_eq!(novelty(None, &turn(3, 1)), Some(0.75));
        assert_eq!(novelty(Some(1.0), &turn(0, 10)), Some(0.5));
        assert_eq!(novelty(Some(0.5), &turn(0, 0)), Some(0.5));
    }

    #[test]
    fn rests_grow_to_a_bound() {
        let day = Duration::from_hours(24);
        assert_eq!(rest(day, 1), Duration::from_mins(30));
        assert_eq!(rest(day, 2), Duration::from_hours(1));
        assert_eq!(rest(day, 1_000_000), day * 2);
    }
}
