//! NIP-09: who deletes what, and for how long.

use nostr_database::{DatabaseEventStatus, NostrDatabase, RejectedReason, SaveEventStatus};

use crate::subject::{
    Subject, address_deletion, assert_one_of, deletion, event, hex, note, rejected, version,
};

const DELETED: SaveEventStatus = SaveEventStatus::Rejected(RejectedReason::Deleted);
const INVALID: SaveEventStatus = SaveEventStatus::Rejected(RejectedReason::InvalidDelete);
const SUCCESS: SaveEventStatus = SaveEventStatus::Success;

pub(crate) async fn authors_delete_by_id<D: NostrDatabase>(subject: &Subject<D>) {
    let (note, profile, other) = (
        note(0, 0, "x"),
        event(0, 0, 0, &[], "x"),
        note(0, 0, "other"),
    );
    subject.put([&note, &profile, &other]).await;
    let gone = deletion(0, 1, &[&note, &profile]);
    subject.put([&gone]).await;
    subject.holds(&[&other, &gone]).await;
    for event in [&note, &profile] {
        subject.lost(event).await;
        assert_eq!(subject.status(event).await, DatabaseEventStatus::Deleted);
        assert_eq!(subject.save(event).await, DELETED);
    }
}

pub(crate) async fn authors_delete_by_address_up_to_the_time_of_the_deletion<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let versions = [
        version(0, 10, "x", "at the same time"),
        event(0, 10, 10_002, &[], "at the same time"),
    ];
    let newer = [
        version(1, 11, "x", "newer"),
        event(1, 11, 10_002, &[], "newer"),
    ];
    subject.put(&versions).await;
    subject.put(&newer).await;
    let mut kept: Vec<_> = newer.iter().collect();
    let deletions = [0, 1].map(|n| {
        let tags = [format!("30023:{}:x", hex(n)), format!("10002:{}:", hex(n))];
        event(n, 10, 5, &[&["a", &tags[0]], &["a", &tags[1]]], "")
    });
    subject.put(&deletions).await;
    kept.extend(&deletions);
    subject.holds(&kept).await;
    for version in &versions {
        subject.lost(version).await;
        assert_eq!(subject.status(version).await, DatabaseEventStatus::Deleted);
        assert_eq!(subject.save(version).await, DELETED);
    }
    let again = version(0, 11, "x", "written anew");
    subject.put([&again]).await;
    kept.push(&again);
    subject.holds(&kept).await;
}

pub(crate) async fn a_deletion_counts_before_its_target_arrives<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    // Made before its target: clocks differ, and an id names one event whatever they say.
    let note = note(0, 5, "x");
    let gone = deletion(0, 0, &[&note]);
    subject.put([&gone]).await;
    assert_eq!(
        subject.status(&note).await,
        DatabaseEventStatus::NotExistent
    );
    let why = "the in-memory database looks for the target once, when the deletion comes";
    assert_eq!(
        subject.save(&note).await,
        subject.expect(DELETED, SUCCESS, why)
    );
    if !subject.lacks(why) {
        subject.holds(&[&gone]).await;
        assert_eq!(subject.status(&note).await, DatabaseEventStatus::Deleted);
    }
}

pub(crate) async fn an_address_counts_before_its_versions_arrive<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let gone = address_deletion(0, 10, &format!("30023:{}:x", hex(0)));
    subject.put([&gone]).await;
    let why = "the in-memory database compares the time of the deletion with the time of day";
    for at in [9, 10] {
        let status = subject.save(&version(0, at, "x", "")).await;
        assert_eq!(status, subject.expect(DELETED, SUCCESS, why));
    }
    let newer = version(0, 11, "x", "");
    subject.put([&newer]).await;
    subject.holds(&[&gone, &newer]).await;
}

pub(crate) async fn an_empty_d_is_one_address_among_others<D: NostrDatabase>(subject: &Subject<D>) {
    let (named, unnamed) = (version(0, 0, "x", ""), version(0, 0, "", ""));
    subject.put([&named, &unnamed]).await;
    let gone = address_deletion(0, 1, &format!("30023:{}:", hex(0)));
    subject.put([&gone]).await;
    let why = "the in-memory database takes an empty d for every d";
    let kept: &[_] = &[&gone, &named];
    subject.holds(subject.expect(kept, &[&gone], why)).await;
}

pub(crate) async fn a_d_may_have_colons<D: NostrDatabase>(subject: &Subject<D>) {
    let victim = hex(0);
    // What looks like an address of author 1 is a d tag of author 0.
    let d = format!("a:30023:{}:b:", hex(1));
    let (theirs, near) = (version(0, 0, &d, ""), version(0, 0, "a", ""));
    subject.put([&theirs, &near]).await;
    let foreign = address_deletion(1, 1, &format!("30023:{victim}:{d}"));
    assert_eq!(subject.save(&foreign).await, INVALID);
    subject.holds(&[&theirs, &near]).await;
    let own = address_deletion(0, 1, &format!("30023:{victim}:{d}"));
    subject.put([&own]).await;
    let why = "the in-memory database cuts the d off at its first colon";
    subject
        .holds(&[subject.expect(&near, &theirs, why), &own])
        .await;
}

pub(crate) async fn what_a_deleted_version_replaced_stays_away<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let (older, old) = (version(0, 0, "x", "older"), version(0, 1, "x", "old"));
    let (new, newer) = (version(0, 2, "x", "new"), version(0, 3, "x", "newer"));
    subject.put([&old, &new]).await;
    let gone = deletion(0, 4, &[&new]);
    subject.put([&gone]).await;
    subject.holds(&[&gone]).await;
    assert_eq!(subject.save(&old).await, DELETED);
    let why = "the in-memory database knows the ids of what it replaced, and nothing else";
    let status = subject.save(&older).await;
    assert_eq!(status, subject.expect(DELETED, SUCCESS, why));
    subject.put([&newer]).await;
    subject.holds(&[&gone, &newer]).await;
}

pub(crate) async fn events_of_others_are_safe<D: NostrDatabase>(subject: &Subject<D>) {
    let (note, article) = (note(0, 0, "x"), version(0, 0, "x", ""));
    subject.put([&note, &article]).await;
    let address = format!("30023:{}:x", hex(0));
    for foreign in [
        deletion(1, 1, &[&note]),
        deletion(1, 1, &[&note, &article]),
        address_deletion(1, 1, &address),
    ] {
        assert_eq!(subject.save(&foreign).await, INVALID);
        subject.lost(&foreign).await;
    }
    subject.holds(&[&note, &article]).await;
    assert_eq!(
        subject.save(&note).await,
        rejected(RejectedReason::Duplicate)
    );

    // Nobody can tell whose an event is that is not there yet.
    let later = crate::subject::note(0, 0, "later");
    let early = deletion(1, 1, &[&later]);
    subject.put([&early, &later]).await;
    subject.holds(&[&note, &article, &early, &later]).await;
}

pub(crate) async fn a_deletion_of_own_and_foreign_events_deletes_the_own<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let (theirs, own) = (note(0, 0, "theirs"), note(1, 0, "own"));
    subject.put([&theirs, &own]).await;
    let mixed = deletion(1, 1, &[&theirs, &own]);
    let status = subject.save(&mixed).await;
    let why = "the in-memory database refuses the whole, after what it found before the foreign";
    assert_eq!(status, subject.expect(SUCCESS, INVALID, why));
    if subject.lacks(why) {
        assert_eq!(subject.status(&theirs).await, DatabaseEventStatus::Saved);
    } else {
        subject.holds(&[&theirs, &mixed]).await;
    }
}

pub(crate) async fn a_deletion_cannot_be_deleted<D: NostrDatabase>(subject: &Subject<D>) {
    let note = note(0, 0, "x");
    let first = deletion(0, 1, &[&note]);
    let undo = deletion(0, 2, &[&first]);
    subject.put([&note, &first, &undo]).await;
    let why = "the in-memory database deletes deletions too";
    let kept: &[_] = &[&first, &undo];
    subject.holds(subject.expect(kept, &[&undo], why)).await;
    assert_eq!(subject.save(&note).await, DELETED);

    // The other way round.
    let note = crate::subject::note(0, 0, "y");
    let first = deletion(0, 1, &[&note]);
    subject.put([&deletion(0, 2, &[&first]), &first]).await;
    assert_one_of(
        &subject.save(&note).await,
        &[DELETED, subject.expect(DELETED, SUCCESS, why)],
    );
}

pub(crate) async fn an_event_may_be_named_twice<D: NostrDatabase>(subject: &Subject<D>) {
    let (note, article) = (note(0, 0, "x"), version(0, 0, "x", ""));
    subject.put([&note, &article]).await;
    let (id, address) = (note.id.to_hex(), format!("30023:{}:x", hex(0)));
    let both = article.id.to_hex();
    let gone = event(
        0,
        1,
        5,
        &[
            &["e", &id],
            &["e", &id],
            &["a", &address],
            &["e", &both],
            &["a", &address],
        ],
        "",
    );
    subject.put([&gone]).await;
    subject.holds(&[&gone]).await;
}

pub(crate) async fn gift_wraps_are_deleted_by_whom_they_are_for<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let why = "the in-memory database knows no rule for gift wraps";
    let wrap = |content: &str| event(7, 0, 1_059, &[&["p", &hex(1)], &["p", &hex(2)]], content);
    let (first, second, early) = (wrap("first"), wrap("second"), wrap("early"));
    subject.put([&first, &second]).await;
    let foreign = deletion(3, 1, &[&first]);
    assert_eq!(subject.save(&foreign).await, INVALID);
    let gone = deletion(2, 1, &[&first, &early]);
    assert_eq!(
        subject.save(&gone).await,
        subject.expect(SUCCESS, INVALID, why)
    );
    if !subject.lacks(why) {
        assert_eq!(subject.save(&early).await, DELETED);
        subject.holds(&[&second, &gone]).await;
    }
    // A note that mentions somebody is not theirs.
    let mention = event(7, 0, 1, &[&["p", &hex(2)]], "");
    subject.put([&mention]).await;
    assert_eq!(subject.save(&deletion(2, 1, &[&mention])).await, INVALID);
}
