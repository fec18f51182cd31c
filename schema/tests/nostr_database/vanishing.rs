//! NIP-62: requests to vanish. The in-memory database of this version of the contract does not
//! know them: it keeps them as it keeps any event.

use nostr::{Event, Filter, Kind};
use nostr_database::{NostrDatabase, RejectedReason, SaveEventStatus};

use crate::subject::{
    OUR_URL, Subject, address_deletion, deletion, event, hex, note, rejected, version,
};

const NO_NIP_62: &str = "the in-memory database has no NIP-62";

fn request(n: u64, at: i64, relay: &str) -> Event {
    event(n, at, 62, &[&["relay", relay]], "goodbye")
}

fn everything(n: u64, at: i64) -> Vec<Event> {
    vec![
        note(n, at, "note"),
        event(n, at, 0, &[], "profile"),
        version(n, at, "x", "article"),
        event(n, at, 5, &[&["e", &"0".repeat(64)]], "deletion"),
        event(
            n,
            at,
            1_059,
            &[&["p", &hex(n + 100)]],
            "a gift wrap of their own",
        ),
    ]
}

pub(crate) async fn everything_up_to_the_request_is_gone_for_good<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let (before, same) = (everything(0, 9), note(0, 10, "at the same time"));
    subject.put(&before).await;
    subject.put([&same]).await;
    let request = request(0, 10, "ALL_RELAYS");
    subject.put([&request]).await;
    if subject.lacks(NO_NIP_62) {
        return;
    }
    subject.holds(&[&request]).await;
    for event in before.iter().chain([&same]) {
        subject.lost(event).await;
        assert_eq!(subject.save(event).await, rejected(RejectedReason::Deleted));
    }
    // What was never here stays away just so.
    for event in everything(0, 5) {
        assert_eq!(
            subject.save(&event).await,
            rejected(RejectedReason::Deleted)
        );
    }
    subject.holds(&[&request]).await;
    assert_eq!(
        subject.save(&request).await,
        rejected(RejectedReason::Duplicate)
    );
}

pub(crate) async fn what_others_wrote_and_what_came_later_stays<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let (others, later) = (everything(1, 5), everything(0, 11));
    let mention = event(1, 5, 1, &[&["p", &hex(0)]], "not for their eyes only");
    subject.put(&others).await;
    subject.put([&mention, &later[0]]).await;
    let request = request(0, 10, "ALL_RELAYS");
    subject.put([&request]).await;
    subject.put(&later[1..]).await;
    let mut kept: Vec<_> = others.iter().chain(&later).collect();
    kept.extend([&mention, &request]);
    subject.holds(&kept).await;
}

pub(crate) async fn gift_wraps_vanish_with_whom_they_are_for<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let wrap = |at: i64, to: u64| event(7, at, 1_059, &[&["p", &hex(8)], &["p", &hex(to)]], "");
    let (theirs, later, others) = (wrap(10, 0), wrap(11, 0), wrap(10, 1));
    subject.put([&theirs, &later, &others]).await;
    let request = request(0, 10, "ALL_RELAYS");
    subject.put([&request]).await;
    if subject.lacks(NO_NIP_62) {
        return;
    }
    subject.holds(&[&later, &others, &request]).await;
    assert_eq!(
        subject.save(&theirs).await,
        rejected(RejectedReason::Deleted)
    );
    assert_eq!(
        subject.save(&wrap(3, 0)).await,
        rejected(RejectedReason::Deleted)
    );
}

pub(crate) async fn a_request_that_names_another_relay_is_just_kept<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let before = everything(0, 0);
    subject.put(&before).await;
    let elsewhere = [
        request(0, 10, "wss://relay.example.com/outbox"),
        request(0, 10, "wss://relay.example.com.evil.example/inbox"),
        request(0, 10, "all_relays"),
        event(0, 10, 62, &[], "nowhere"),
    ];
    subject.put(&elsewhere).await;
    subject
        .holds(&before.iter().chain(&elsewhere).collect::<Vec<_>>())
        .await;
}

pub(crate) async fn a_request_that_names_us_works<D: NostrDatabase>(subject: &Subject<D>) {
    for (n, named) in [(0, OUR_URL), (1, "WSS://Relay.Example.Com:443/inbox/")] {
        subject.put(&everything(n, 0)).await;
        let relays: &[&[&str]] = &[&["relay", "wss://other.example.com"], &["relay", named]];
        let request = event(n, 10, 62, relays, "");
        subject.put([&request]).await;
        if subject.lacks(NO_NIP_62) {
            return;
        }
        let left = subject.ids(Filter::new().author(request.pubkey)).await;
        assert_eq!(left, [request.id]);
    }
}

pub(crate) async fn a_request_cannot_be_deleted<D: NostrDatabase>(subject: &Subject<D>) {
    let old = note(0, 5, "x");
    let (first, second) = (request(0, 10, "ALL_RELAYS"), request(0, 20, "ALL_RELAYS"));
    let undo = deletion(0, 30, &[&first, &second]);
    subject.put([&first, &undo]).await;
    let why = "the in-memory database deletes requests to vanish as it deletes anything";
    subject
        .holds(subject.expect(&[&first, &undo][..], &[&undo], why))
        .await;
    if subject.lacks(why) {
        return;
    }
    subject.put([&second]).await;
    assert_eq!(subject.save(&old).await, rejected(RejectedReason::Deleted));
    let requests = Filter::new().kind(Kind::RequestToVanish);
    assert_eq!(subject.ids(requests).await, [second.id, first.id]);
    let address = address_deletion(0, 31, &format!("62:{}:", hex(0)));
    subject.put([&address]).await;
    subject.holds(&[&first, &second, &undo, &address]).await;
}

pub(crate) async fn what_was_deleted_before_vanishing_stays_deleted<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    // Dated after the request, deleted by a deletion that vanishes with it.
    let ahead = note(0, 20, "ahead of its time");
    let gone = deletion(0, 5, &[&ahead]);
    subject
        .put([&ahead, &gone, &request(0, 10, "ALL_RELAYS")])
        .await;
    let deleted = SaveEventStatus::Rejected(RejectedReason::Deleted);
    let why = "the in-memory database deletes what is not newer than the deletion";
    let duplicate = SaveEventStatus::Rejected(RejectedReason::Duplicate);
    assert_eq!(
        subject.save(&ahead).await,
        subject.expect(deleted, duplicate, why)
    );
}
