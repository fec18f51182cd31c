//! Reconciliation (NIP-77) with relays that want to harm, or do not know what they do.

use std::collections::BTreeSet;
use std::time::Duration;

use bigbrotr_core::event::EventId;
use bigbrotr_core::filter::Filter;
use bigbrotr_crawler::session::{
    NotNegentropy, ReconcileLimit, ReconcileLimits, ReconcileRefusal, Session,
};
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::faults::{Fault, ReadFault, ReconcileFault};

use crate::support::{
    connect, events, items, notes, patient, reconcile, reconcile_limits, refusal_of, relay, rest,
};

async fn exceeded(
    fault: ReconcileFault,
    limits: ReconcileLimits,
) -> (ReconcileLimit, ReconcileRefusal) {
    let refusal = refusal_of(600, [fault.clone()], limits).await;
    match refusal {
        ReconcileRefusal::LimitExceeded(limit) => (limit, refusal),
        other => panic!("{fault:?}: {other:?}"),
    }
}

/// A session that can still be used: a page comes whole.
async fn goes_on(session: &mut Session) {
    assert!(session.fetch_page(&notes(), &patient()).await.is_complete());
}

#[tokio::test]
async fn what_is_no_negentropy_is_refused_and_the_session_goes_on() {
    for (fault, expected) in [
        (ReconcileFault::Rubbish, NotNegentropy::Hex),
        (ReconcileFault::Message("610".into()), NotNegentropy::Hex),
        (ReconcileFault::version(0x60), NotNegentropy::Version(0x60)),
        (ReconcileFault::version(0x62), NotNegentropy::Version(0x62)),
        (ReconcileFault::version(0), NotNegentropy::Version(0)),
        (
            ReconcileFault::WrongSubscription,
            NotNegentropy::Subscription,
        ),
    ] {
        let relay = relay(5, [fault.clone()]).await;
        let mut session = connect(&relay).await;
        let opened = reconcile(&mut session, [], reconcile_limits());
        let refusal = match opened.await {
            Ok(mut open) => rest(&mut session, &mut open).await.unwrap_err(),
            Err(refusal) => refusal,
        };
        assert!(refusal.is_permanent_for_now(), "{fault:?}");
        let ReconcileRefusal::Protocol(fault) = refusal else {
            panic!("{fault:?}: {refusal:?}");
        };
        assert_eq!(fault, expected);
        goes_on(&mut session).await;
    }
    for text in ["", "61000007", "6100000290", "61ff", "61000001aa"] {
        let fault = ReconcileFault::Message(text.into());
        let refusal = refusal_of(5, [fault], reconcile_limits()).await;
        assert_eq!(refusal.reason(), "protocol", "{text}");
    }
}

#[tokio::test]
async fn promises_without_end_reach_every_bound() {
    use ReconcileLimit::{Bytes, Ids, Rounds};
    let base = reconcile_limits;
    for (limits, expected) in [
        (
            ReconcileLimits {
                max_ids: 1_000,
                ..base()
            },
            Ids,
        ),
        (
            ReconcileLimits {
                max_rounds: 7,
                ..base()
            },
            Rounds,
        ),
        (
            ReconcileLimits {
                max_bytes: 50_000,
                ..base()
            },
            Bytes,
        ),
    ] {
        let (limit, refusal) = exceeded(ReconcileFault::Endless, limits).await;
        assert_eq!(limit, expected);
        assert!(refusal.is_too_many() && !refusal.is_permanent_for_now());
    }
}

#[tokio::test]
async fn what_is_promised_again_and_again_is_told_once() {
    let relay = relay(600, [ReconcileFault::Repeat]).await;
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, items(&events(600)), reconcile_limits());
    let mut open = opened.await.unwrap();
    let mut told = Vec::new();
    let refusal = loop {
        match session.next_differences(&mut open).await {
            Ok(piece) => told.extend(piece.unwrap().need),
            Err(refusal) => break refusal,
        }
    };
    assert_eq!(told.len(), 100);
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), 100);
    assert!(
        matches!(
            refusal,
            ReconcileRefusal::LimitExceeded(ReconcileLimit::Progress)
        ),
        "{refusal:?}"
    );
}

#[tokio::test]
async fn rounds_that_tell_nothing_end_soon() {
    let relay = relay(600, [ReconcileFault::Stuck]).await;
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, items(&events(600)), reconcile_limits());
    let mut open = opened.await.unwrap();
    let refusal = rest(&mut session, &mut open).await.unwrap_err();
    assert!(
        matches!(
            refusal,
            ReconcileRefusal::LimitExceeded(ReconcileLimit::Progress)
        ),
        "{refusal:?}"
    );
    assert!(refusal.is_permanent_for_now());
    assert!(relay.stats().reconcile_rounds < 20);
    goes_on(&mut session).await;
}

#[tokio::test]
async fn a_message_above_the_bound_is_refused() {
    let limits = ReconcileLimits {
        max_message_bytes: 10_000,
        ..reconcile_limits()
    };
    for fault in [
        ReconcileFault::Oversized(10_002),
        ReconcileFault::Frames(500_000),
    ] {
        let (limit, refusal) = exceeded(fault, limits.clone()).await;
        assert_eq!(limit, ReconcileLimit::Message);
        assert!(refusal.is_permanent_for_now());
    }
    // Above what the WebSocket takes: the session is over, and the bound is the same.
    let fault = ReconcileFault::Oversized(5 << 20);
    let (limit, _) = exceeded(fault, reconcile_limits()).await;
    assert_eq!(limit, ReconcileLimit::Message);
}

#[tokio::test]
async fn a_cut_in_the_middle_keeps_what_was_told_and_is_no_verdict() {
    for answers in [0, 2] {
        let faults = [
            ReconcileFault::Frames(4_096),
            ReconcileFault::CutAfter(answers),
        ];
        let relay = relay(600, faults).await;
        let mut session = connect(&relay).await;
        let opened = reconcile(&mut session, [], reconcile_limits());
        let mut told = BTreeSet::new();
        let refusal = match opened.await {
            Err(refusal) => refusal,
            Ok(mut open) => loop {
                match session.next_differences(&mut open).await {
                    Ok(piece) => told.extend(piece.unwrap().need),
                    Err(refusal) => break refusal,
                }
            },
        };
        assert_eq!(refusal.reason(), "disconnected");
        assert!(!refusal.is_permanent_for_now() && !refusal.is_too_many());
        assert_eq!(told.is_empty(), answers == 0);
    }
}

#[tokio::test]
async fn a_relay_that_falls_silent_in_the_middle_has_its_time() {
    let faults = [ReconcileFault::Frames(4_096), ReconcileFault::StallAfter(1)];
    let hasty = ReconcileLimits {
        round_timeout: Duration::from_millis(500),
        ..reconcile_limits()
    };
    let refusal = refusal_of(600, faults, hasty).await;
    assert_eq!(refusal.reason(), "timed_out");
    assert!(!refusal.is_permanent_for_now());
}

#[tokio::test]
async fn floods_while_an_answer_is_due_are_counted_and_bounded() {
    // The fence is what the flood answers.
    let faults: [Fault; 2] = [ReconcileFault::Silence.into(), ReadFault::Endless.into()];
    let limits = ReconcileLimits {
        max_bytes: 1 << 20,
        silence: Duration::from_mins(1),
        ..ReconcileLimits::default()
    };
    let refusal = refusal_of(3, faults, limits).await;
    assert!(
        matches!(
            refusal,
            ReconcileRefusal::LimitExceeded(ReconcileLimit::Bytes)
        ),
        "{refusal:?}"
    );
}

async fn promised(relay: &SimRelay, session: &mut Session) -> BTreeSet<EventId> {
    let known = events(relay.event_count() as i64);
    let opened = reconcile(session, items(&known), reconcile_limits());
    let mut open = opened.await.unwrap();
    let told = rest(session, &mut open).await.unwrap();
    assert!(told.have.is_empty());
    told.need.into_iter().collect()
}

#[tokio::test]
async fn a_promise_is_not_an_event() {
    let phantoms: Vec<EventId> = (1..=40).map(|n| EventId([n; 32])).collect();
    let relay = relay(100, [ReconcileFault::Phantom(phantoms.clone())]).await;
    let mut session = connect(&relay).await;
    let need = promised(&relay, &mut session).await;
    assert_eq!(need, phantoms.into_iter().collect());
    let filter = Filter {
        ids: Some(need),
        ..Filter::default()
    };
    let page = session.fetch_page(&filter, &patient()).await;
    assert!(page.is_complete() && page.events.is_empty());
}
