//! What happens to a reconciliation while the session does something else, or leaves it.

use std::time::Duration;

use bigbrotr_crawler::session::ReconcileLimits;
use bigbrotr_testkit::relay::faults::{Fault, ReadFault, ReconcileFault};

use crate::support::{connect, notes, patient, quick, reconcile, reconcile_limits, relay, rest};

fn small_frames() -> ReconcileFault {
    ReconcileFault::Frames(4_096)
}

#[tokio::test]
async fn a_refusal_that_comes_while_a_page_is_read_is_not_lost() {
    let relay = relay(600, [small_frames(), ReconcileFault::CloseMidway]).await;
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, [], reconcile_limits());
    let mut open = opened.await.unwrap();
    assert!(session.next_differences(&mut open).await.unwrap().is_some());
    // The page is behind the refusal, so the refusal has been read.
    assert!(session.fetch_page(&notes(), &patient()).await.is_complete());
    let refusal = session.next_differences(&mut open).await.unwrap_err();
    assert_eq!(refusal.reason(), "closed");
    assert!(!refusal.is_permanent_for_now());
    assert_eq!(relay.stats().reconcile_rounds, 1, "nothing more was asked");
    // Failed is not complete, however often one asks.
    assert!(!open.is_complete());
    assert!(session.next_differences(&mut open).await.is_err());
}

#[tokio::test]
async fn a_relay_that_forgets_is_asked_anew() {
    let relay = relay(600, [small_frames(), ReconcileFault::ForgetOnReq]).await;
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, [], reconcile_limits());
    let mut open = opened.await.unwrap();
    assert!(session.next_differences(&mut open).await.unwrap().is_some());
    assert!(session.fetch_page(&notes(), &patient()).await.is_complete());
    let refusal = session.next_differences(&mut open).await.unwrap_err();
    assert_eq!(refusal.reason(), "closed");
    let opened = reconcile(&mut session, [], reconcile_limits());
    let mut open = opened.await.unwrap();
    let told = rest(&mut session, &mut open).await.unwrap();
    assert_eq!(told.need.len(), 600);
}

#[tokio::test]
async fn a_late_answer_to_an_earlier_reconciliation_is_no_answer_to_this_one() {
    let relay = relay(600, [small_frames()]).await;
    relay.fault_next(1, ReconcileFault::AfterReq);
    let mut session = connect(&relay).await;
    let hasty = ReconcileLimits {
        round_timeout: Duration::from_millis(300),
        ..reconcile_limits()
    };
    let opened = reconcile(&mut session, [], hasty).await;
    assert_eq!(opened.unwrap_err().reason(), "timed_out");
    // The next page lets the first answer loose, in the middle of the second reconciliation.
    let opened = reconcile(&mut session, [], reconcile_limits());
    let mut open = opened.await.unwrap();
    assert!(session.next_differences(&mut open).await.unwrap().is_some());
    let page = session.fetch_page(&notes(), &patient()).await;
    assert!(page.is_complete() && page.refused.total() == 0);
    assert!(relay.stats().reconcile_bytes_out > open.bytes(), "it came");
    let told = rest(&mut session, &mut open).await.unwrap();
    assert!(open.is_complete());
    assert!(told.need.len() < 600, "some were told before");
}

#[tokio::test]
async fn a_second_reconciliation_takes_the_place_of_the_first() {
    let relay = relay(600, [small_frames()]).await;
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, [], reconcile_limits());
    let mut first = opened.await.unwrap();
    let opened = reconcile(&mut session, [], reconcile_limits());
    let mut second = opened.await.unwrap();
    assert!(
        session
            .next_differences(&mut first)
            .await
            .unwrap()
            .is_some()
    );
    let refusal = session.next_differences(&mut first).await.unwrap_err();
    assert_eq!(refusal.reason(), "closed");
    assert_eq!(
        rest(&mut session, &mut second).await.unwrap().need.len(),
        600
    );
    session.close_reconciliation(first).await;
    session.close_reconciliation(second).await;
    assert!(session.is_alive());
}

#[tokio::test]
async fn a_wait_that_was_cut_short_goes_on() {
    let relay = relay(600, [small_frames()]).await;
    let mut session = connect(&relay).await;
    relay.fault_next(1, ReconcileFault::AfterReq);
    let patient_limits = ReconcileLimits {
        silence: Duration::from_mins(1),
        ..reconcile_limits()
    };
    let opened = reconcile(&mut session, [], patient_limits);
    let mut open = opened.await.unwrap();
    assert!(session.next_differences(&mut open).await.unwrap().is_some());
    // This answer waits for a REQ, and nobody makes one meanwhile.
    let cut = Duration::from_millis(200);
    let cut = tokio::time::timeout(cut, session.next_differences(&mut open)).await;
    assert!(cut.is_err());
    // It comes while a page is read, and is kept.
    assert!(session.fetch_page(&notes(), &patient()).await.is_complete());
    let told = session.next_differences(&mut open).await.unwrap().unwrap();
    assert!(!told.need.is_empty());
    session.close_reconciliation(open).await;
    assert!(session.is_alive());
}

#[tokio::test]
async fn a_reconciliation_in_the_way_does_not_spoil_a_failing_page() {
    let faults: [Fault; 2] = [small_frames().into(), ReadFault::Silence.into()];
    let relay = relay(600, faults).await;
    let mut session = connect(&relay).await;
    let opened = reconcile(&mut session, [], reconcile_limits());
    let mut open = opened.await.unwrap();
    assert!(!session.fetch_page(&notes(), &quick()).await.is_complete());
    assert_eq!(rest(&mut session, &mut open).await.unwrap().need.len(), 600);
}
