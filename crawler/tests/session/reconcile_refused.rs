//! Refusals of reconciliation (NIP-77), in the words and silences of the wild.

use std::time::Duration;

use bigbrotr_crawler::session::ReconcileLimits;
use bigbrotr_testkit::SimRelay;
use bigbrotr_testkit::relay::SimRelayConfig;
use bigbrotr_testkit::relay::faults::{Fault, ReadFault, ReconcileFault};

use crate::support::{
    START, connect, events, items, notes, patient, reconcile, reconcile_limits, refusal_of, relay,
    rest,
};

/// A relay that answers late is waited for.
fn forbearing() -> ReconcileLimits {
    ReconcileLimits {
        silence: Duration::from_secs(30),
        ..reconcile_limits()
    }
}

#[tokio::test]
async fn who_does_not_know_the_command_is_understood_in_every_wording() {
    for fault in ReconcileFault::unsupported() {
        let relay = relay(3, [fault.clone()]).await;
        let mut session = connect(&relay).await;
        let opened = reconcile(&mut session, [], forbearing());
        let refusal = opened.await.unwrap_err();
        assert_eq!(refusal.reason(), "unsupported", "{fault:?}");
        assert!(refusal.is_permanent_for_now() && !refusal.is_too_many());
        // Paging goes on at once, in the same session.
        let page = session.fetch_page(&notes(), &patient()).await;
        assert_eq!(page.events.len(), 3, "{fault:?}");
        assert!(page.is_complete());
    }
}

#[tokio::test]
async fn too_many_is_told_from_not_at_all() {
    for (words, reason) in [
        ("blocked: this query is too big", "too_many"),
        ("blocked: no", "blocked"),
        ("closed: took too long", "closed"),
        ("rate-limited: slow down", "busy"),
        ("blocked: too many concurrent NEG REQs", "busy"),
    ] {
        for fault in [
            ReconcileFault::Refuse(words.into()),
            ReconcileFault::Closed(words.into()),
        ] {
            let refusal = refusal_of(3, [fault.clone()], reconcile_limits()).await;
            assert_eq!(refusal.reason(), reason, "{fault:?}");
            assert_eq!(refusal.is_too_many(), reason == "too_many");
            assert_eq!(refusal.is_permanent_for_now(), reason == "blocked");
        }
    }
}

#[tokio::test]
async fn a_set_that_is_too_large_is_reconciled_in_halves() {
    let relay = relay(40, [ReconcileFault::TooMany { above: 25 }]).await;
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, [], reconcile_limits());
    let refusal = opened.await.unwrap_err();
    assert!(refusal.is_too_many() && !refusal.is_permanent_for_now());
    let mut told = 0;
    for (since, until) in [(START, START + 19), (START + 20, START + 39)] {
        let mut half = notes();
        (half.since, half.until) = (Some(since), Some(until));
        let opened = session.open_reconciliation(&half, [], reconcile_limits());
        let mut open = opened.await.unwrap();
        told += rest(&mut session, &mut open).await.unwrap().need.len();
    }
    assert_eq!(told, 40);
}

#[tokio::test]
async fn silence_is_told_from_a_relay_that_answers_nothing_at_all() {
    let silent = refusal_of(3, [ReconcileFault::Silence], reconcile_limits()).await;
    assert_eq!(silent.reason(), "silent");
    assert!(silent.is_permanent_for_now());

    let deaf: [Fault; 2] = [ReconcileFault::Silence.into(), ReadFault::Silence.into()];
    let hasty = ReconcileLimits {
        round_timeout: Duration::from_millis(1_500),
        ..reconcile_limits()
    };
    let dead = refusal_of(3, deaf, hasty).await;
    assert_eq!(dead.reason(), "timed_out");
    assert!(!dead.is_permanent_for_now());
}

#[tokio::test]
async fn slowness_is_not_silence() {
    let relay = relay(20, [ReconcileFault::AfterReq]).await;
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, [], forbearing());
    let mut open = opened.await.unwrap();
    let told = rest(&mut session, &mut open).await.unwrap();
    assert_eq!(told.need.len(), 20);
    assert_eq!(relay.stats().req_count, 1, "it was asked something else");
}

#[tokio::test]
async fn a_notice_about_something_else_ends_nothing() {
    // The second reads like a refusal, and an answer comes all the same.
    for words in ["welcome, stranger", "ERROR: bad msg: unknown cmd"] {
        let relay = relay(20, [ReconcileFault::NoticeFirst(words.into())]).await;
        let mut session = connect(&relay).await;
        let opened = reconcile(&mut session, [], forbearing());
        let mut open = opened.await.unwrap();
        let told = rest(&mut session, &mut open).await.unwrap();
        assert_eq!(told.need.len(), 20, "{words}");
    }
    let faults = [
        ReconcileFault::NoticeFirst("ERROR: bad msg: unknown cmd".into()),
        ReconcileFault::AfterReq,
    ];
    let relay = relay(20, faults).await;
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, [], forbearing());
    assert!(
        opened.await.is_ok(),
        "it came behind the notice and the fence"
    );
}

#[tokio::test]
async fn a_notice_that_nobody_understands_is_a_refusal_in_the_end() {
    let fault = ReconcileFault::Notice("what do you want?".into());
    let refusal = refusal_of(3, [fault], reconcile_limits()).await;
    assert_eq!(refusal.reason(), "notice");
    assert!(refusal.is_permanent_for_now());
}

#[tokio::test]
async fn a_relay_without_reconciliation_costs_two_questions() {
    let relay = SimRelay::start(SimRelayConfig {
        negentropy: None,
        ..SimRelayConfig::with_events(events(3))
    });
    let relay = relay.await.unwrap();
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, items(&events(3)), forbearing());
    assert_eq!(opened.await.unwrap_err().reason(), "unsupported");
    let stats = relay.stats();
    assert_eq!((stats.reconciliations, stats.req_count), (1, 1));
    assert_eq!(session.counts().messages_sent, 3, "opening, fence, its end");
}
