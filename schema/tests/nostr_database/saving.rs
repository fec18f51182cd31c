//! Saving and finding again.

use bigbrotr_testkit::population::EventMaker;
use nostr::EventId;
use nostr_database::{DatabaseEventStatus, NostrDatabase, RejectedReason};

use crate::subject::{Subject, T, event, note, rejected, signed};

pub(crate) async fn what_was_saved_is_found_again_unchanged<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let odd = event(
        0,
        0,
        40_000,
        &[&["t", "a\0b"], &[""], &["x", "", "é"], &["e", "no id"]],
        "\0 \u{2028} 😀 \" \\ \u{7f}",
    );
    let first = signed(1, EventMaker::new(0));
    let last = signed(1, EventMaker::new((1 << 53) - 1));
    subject.put([&odd, &first, &last]).await;
    subject.holds(&[&odd, &first, &last]).await;
}

pub(crate) async fn an_event_is_saved_once<D: NostrDatabase>(subject: &Subject<D>) {
    let note = note(0, 0, "once");
    subject.put([&note]).await;
    let again = subject.save(&note).await;
    assert_eq!(again, rejected(RejectedReason::Duplicate));
    subject.holds(&[&note]).await;
}

pub(crate) async fn what_nobody_saved_is_unknown<D: NostrDatabase>(subject: &Subject<D>) {
    let nobody = EventId::from_byte_array([7; 32]);
    let database = &subject.database;
    assert_eq!(
        database.check_id(&nobody).await.unwrap(),
        DatabaseEventStatus::NotExistent
    );
    assert_eq!(database.event_by_id(&nobody).await.unwrap(), None);
    subject.holds(&[]).await;
}

pub(crate) async fn ephemeral_events_are_refused<D: NostrDatabase>(subject: &Subject<D>) {
    for kind in [20_000, 29_999] {
        let status = subject.save(&event(0, 0, kind, &[], "")).await;
        assert_eq!(status, rejected(RejectedReason::Ephemeral));
    }
    subject.holds(&[]).await;
}

pub(crate) async fn expired_events_are_refused_and_others_kept<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let until = |kind: u16, expiry: &str| event(0, 0, kind, &[&["expiration", expiry]], expiry);
    for kind in [1, 0, 5] {
        let status = subject.save(&until(kind, &(T + 1).to_string())).await;
        assert_eq!(status, rejected(RejectedReason::Expired), "kind {kind}");
    }
    let later = until(1, "9000000000");
    let never = until(1, "soon");
    subject.put([&later, &never]).await;
    subject.holds(&[&later, &never]).await;
}

pub(crate) async fn times_without_an_agreed_id_are_an_error<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let event = signed(0, EventMaker::new(1 << 53));
    let saved = subject.database.save_event(&event).await.is_ok();
    let why = "the in-memory database keeps the number that it is given";
    assert_eq!(saved, subject.expect(false, true, why));
}
