//! Reconciliation (NIP-77) with relays that mean well.

use std::collections::BTreeSet;

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::filter::Filter;
use bigbrotr_crawler::session::{Differences, ReconcileLimits, SessionConfig};
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::faults::ReconcileFault;
use bigbrotr_testkit::relay::{AuthPolicy, SimRelayConfig};
use bigbrotr_testkit::{EventMaker, SimRelay};

use crate::support::{
    START, config, connect, connect_to, events, ids, items, notes, patient, reconcile,
    reconcile_limits, relay, rest,
};

fn set(ids: &[EventId]) -> BTreeSet<EventId> {
    ids.iter().copied().collect()
}

/// Events at few times, so that most share theirs.
fn crowded(count: i64) -> Vec<Event> {
    let keys = author_keys(7, 1);
    (0..count)
        .map(|n| {
            EventMaker::new(START + n % 3)
                .content(format!("crowd {n}"))
                .sign(&keys)
        })
        .collect()
}

#[tokio::test]
async fn both_differences_are_told_each_id_once() {
    let all = crowded(1_500);
    for (seed, frames) in [(1, 4_096), (2, 4_767), (3, 500_000), (4, 4_096)] {
        // Byte 0 decides who has it: both, we, or the relay.
        let share = |event: &&Event| event.id.0[0].wrapping_add(seed * 40) % 8;
        let ours: Vec<Event> = all.iter().filter(|e| share(e) < 5).cloned().collect();
        let theirs: Vec<Event> = all.iter().filter(|e| share(e) > 2).cloned().collect();
        let relay = SimRelay::start(SimRelayConfig {
            faults: vec![ReconcileFault::Frames(frames).into()],
            ..SimRelayConfig::with_events(theirs.clone())
        });
        let relay = relay.await.unwrap();
        let mut session = connect(&relay).await;
        let limits = ReconcileLimits {
            frame_bytes: 4_096,
            ..reconcile_limits()
        };
        let opened = reconcile(&mut session, items(&ours), limits);
        let mut open = opened.await.unwrap();
        let told = rest(&mut session, &mut open).await.unwrap();
        let (ours, theirs) = (ids(&ours), ids(&theirs));
        assert_eq!(told.need.len(), set(&told.need).len());
        assert_eq!(told.have.len(), set(&told.have).len());
        assert_eq!(set(&told.need), theirs.difference(&ours).copied().collect());
        assert_eq!(set(&told.have), ours.difference(&theirs).copied().collect());
        assert!(open.is_complete());
        let stats = relay.stats();
        assert_eq!(stats.reconcile_rounds, u64::from(open.rounds()));
        assert_eq!(stats.reconcile_bytes_out, open.bytes());
    }
}

#[tokio::test]
async fn ids_come_in_pieces_at_our_pace() {
    let relay = relay(600, [ReconcileFault::Frames(4_096)]).await;
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, [], reconcile_limits());
    let mut open = opened.await.unwrap();
    let mut told = BTreeSet::new();
    let mut pieces = 0;
    while let Some(piece) = session.next_differences(&mut open).await.unwrap() {
        pieces += 1;
        assert!(piece.need.len() <= 4_096 / 32);
        told.extend(piece.need);
        // Nothing was asked for before we wanted it.
        assert_eq!(relay.stats().reconcile_rounds, pieces);
    }
    assert_eq!(told, ids(&events(600)));
    assert!(pieces >= 5);
}

#[tokio::test]
async fn only_what_is_unknown_is_fetched_between_the_pieces() {
    let all = events(400);
    let relay = relay(400, [ReconcileFault::Frames(4_096)]).await;
    let mut session = connect(&relay).await;
    let known = &all[..150];
    let opened = reconcile(&mut session, items(known), reconcile_limits());
    let mut open = opened.await.unwrap();
    let mut fetched = BTreeSet::new();
    while let Some(Differences { need, .. }) = session.next_differences(&mut open).await.unwrap() {
        if need.is_empty() {
            continue;
        }
        let filter = Filter {
            ids: Some(set(&need)),
            ..Filter::default()
        };
        let page = session.fetch_page(&filter, &patient()).await;
        assert!(page.is_complete(), "{:?}", page.end);
        assert_eq!(page.refused.total(), 0);
        fetched.extend(page.events.iter().map(|event| event.id));
    }
    assert_eq!(fetched, ids(&all[150..]));
    assert_eq!(relay.stats().events_sent, 250);
}

#[tokio::test]
async fn a_relay_that_agrees_tells_nothing_and_proves_it_in_one_round() {
    let all = events(300);
    let relay = relay(300, [] as [ReconcileFault; 0]).await;
    let mut session = connect(&relay).await;
    for filter in [notes(), Filter::default()] {
        let opened = session.open_reconciliation(&filter, items(&all), reconcile_limits());
        let mut open = opened.await.unwrap();
        assert_eq!(session.next_differences(&mut open).await.unwrap(), None);
        assert!(open.is_complete());
        assert_eq!(open.rounds(), 1);
        // Asked again, it is still over.
        assert_eq!(session.next_differences(&mut open).await.unwrap(), None);
    }
    let stats = relay.stats();
    assert_eq!((stats.reconcile_rounds, stats.req_count), (2, 0));
}

#[tokio::test]
async fn the_filter_bounds_what_is_reconciled() {
    let relay = relay(50, [] as [ReconcileFault; 0]).await;
    let mut session = connect(&relay).await;
    let window = Filter {
        since: Some(START + 10),
        until: Some(START + 19),
        ..notes()
    };
    let opened = session.open_reconciliation(&window, [], reconcile_limits());
    let mut open = opened.await.unwrap();
    let told = rest(&mut session, &mut open).await.unwrap();
    assert_eq!(set(&told.need), ids(&events(50)[10..20]));
}

#[tokio::test]
async fn a_guarded_relay_is_asked_again_after_authentication() {
    let relay = SimRelay::start(SimRelayConfig {
        auth: AuthPolicy::Reads,
        ..SimRelayConfig::with_events(events(5))
    });
    let relay = relay.await.unwrap();
    let mut stranger = connect(&relay).await;
    let refused = reconcile(&mut stranger, [], reconcile_limits());
    let refusal = refused.await.unwrap_err();
    assert_eq!(refusal.reason(), "auth_required");
    assert!(refusal.is_permanent_for_now());

    let keys = Some(author_keys(9, 0));
    let mut session = connect_to(&relay.url(), &SessionConfig { keys, ..config() }).await;
    let opened = reconcile(&mut session, [], reconcile_limits());
    let mut open = opened.await.unwrap();
    let told = rest(&mut session, &mut open).await.unwrap();
    assert_eq!(told.need.len(), 5);
    assert_eq!(relay.stats().authenticated.len(), 1);
}
