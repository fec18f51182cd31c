//! NIP-01: which version of a replaceable or addressable event stays.

use nostr::Filter;
use nostr_database::{NostrDatabase, RejectedReason, SaveEventStatus};

use crate::subject::{Subject, event, note, rejected, version};

pub(crate) async fn the_newer_version_replaces_the_older<D: NostrDatabase>(subject: &Subject<D>) {
    for kind in [0, 3, 10_000, 19_999] {
        let at = |at| event(u64::from(kind), at, kind, &[], "");
        let (oldest, old, new) = (at(1), at(2), at(3));
        subject.put([&old, &new]).await;
        subject.lost(&old).await;
        for past in [&oldest, &old] {
            let refused = subject.save(past).await;
            assert!(!refused.is_success(), "{refused:?}");
        }
        let refused = subject.save(&oldest).await;
        assert_eq!(refused, rejected(RejectedReason::Replaced));
        let kept = subject.ids(Filter::new().author(new.pubkey)).await;
        assert_eq!(kept, [new.id]);
    }
}

pub(crate) async fn on_a_tie_the_lowest_id_stays<D: NostrDatabase>(subject: &Subject<D>) {
    for (n, kind) in [(1, 0), (2, 30_023)] {
        let tied = |n: u64| {
            let one = event(n, 0, kind, &[&["d", "x"]], "one");
            let other = event(n, 0, kind, &[&["d", "x"]], "other");
            if one.id < other.id {
                (one, other)
            } else {
                (other, one)
            }
        };
        let why = "the in-memory database keeps the one that comes last";
        let (low, high) = tied(n);
        subject.put([&low]).await;
        let second = subject.save(&high).await;
        let refused = rejected(RejectedReason::Replaced);
        assert_eq!(
            second,
            subject.expect(refused, SaveEventStatus::Success, why)
        );
        let kept = subject.ids(Filter::new().author(low.pubkey)).await;
        assert_eq!(kept, [subject.expect(low.id, high.id, why)]);

        let (low, high) = tied(n + 10);
        subject.put([&high, &low]).await;
        assert_eq!(
            subject.ids(Filter::new().author(low.pubkey)).await,
            [low.id]
        );
    }
}

pub(crate) async fn addresses_are_kind_author_and_d<D: NostrDatabase>(subject: &Subject<D>) {
    let old = version(0, 0, "x", "old");
    let beside = [
        version(0, 0, "y", "another d"),
        version(0, 0, "", "an empty d"),
        version(1, 0, "x", "another author"),
        event(0, 0, 30_024, &[&["d", "x"]], "another kind"),
        event(
            0,
            1,
            30_024,
            &[&["d", "z"], &["d", "x"]],
            "the first d counts",
        ),
    ];
    subject.put([&old]).await;
    subject.put(&beside).await;
    let new = version(0, 1, "x", "new");
    subject.put([&new]).await;
    let mut kept: Vec<_> = beside.iter().collect();
    kept.push(&new);
    subject.holds(&kept).await;
}

pub(crate) async fn a_missing_d_is_an_empty_one<D: NostrDatabase>(subject: &Subject<D>) {
    let without = event(0, 0, 30_023, &[&["t", "x"]], "no d");
    let status = subject.save(&without).await;
    let why = "the in-memory database refuses addressable events without a d tag";
    let refused = rejected(RejectedReason::Other);
    assert_eq!(
        status,
        subject.expect(SaveEventStatus::Success, refused, why)
    );
    let empty = version(0, 1, "", "an empty d");
    subject.put([&empty]).await;
    subject.holds(&[&empty]).await;
}

pub(crate) async fn regular_events_stand_side_by_side<D: NostrDatabase>(subject: &Subject<D>) {
    let events = [
        note(0, 0, "a"),
        note(0, 1, "b"),
        event(0, 0, 9_999, &[&["d", "x"]], "a"),
        event(0, 1, 9_999, &[&["d", "x"]], "b"),
        event(0, 0, 40_000, &[&["d", "x"]], "a"),
        event(0, 1, 40_000, &[&["d", "x"]], "b"),
    ];
    subject.put(&events).await;
    subject.holds(&events.iter().collect::<Vec<_>>()).await;
}
