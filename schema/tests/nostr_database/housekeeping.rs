//! Removing what matches a filter, and everything.

use nostr::{Filter, Kind};
use nostr_database::{DatabaseEventStatus, NostrDatabase, RejectedReason, SaveEventStatus};

use crate::subject::{Subject, deletion, event, note, version};

pub(crate) async fn what_matches_is_deleted<D: NostrDatabase>(subject: &Subject<D>) {
    let notes = [1, 2, 3].map(|at| event(0, at, 1, &[&["t", "x"]], ""));
    let (article, theirs) = (version(0, 0, "x", ""), note(1, 0, ""));
    subject.put(&notes).await;
    subject.put([&article, &theirs]).await;
    let newest = Filter::new().author(notes[0].pubkey).hashtag("x").limit(1);
    subject.database.delete(newest).await.unwrap();
    let [first, second, third] = &notes;
    subject.lost(third).await;
    subject.holds(&[first, second, &article, &theirs]).await;
    let own = Filter::new().author(first.pubkey).kind(Kind::TextNote);
    subject.database.delete(own).await.unwrap();
    subject.holds(&[&article, &theirs]).await;
    subject.database.delete(Filter::new()).await.unwrap();
    subject.holds(&[]).await;
}

pub(crate) async fn what_was_removed_may_come_back<D: NostrDatabase>(subject: &Subject<D>) {
    let note = note(0, 0, "");
    subject.put([&note]).await;
    let all = Filter::new().kind(Kind::TextNote);
    subject.database.delete(all).await.unwrap();
    let why = "the in-memory database takes a removal for the author's deletion";
    let (status, saved) = subject.expect(
        (DatabaseEventStatus::NotExistent, SaveEventStatus::Success),
        (
            DatabaseEventStatus::Deleted,
            SaveEventStatus::Rejected(RejectedReason::Deleted),
        ),
        why,
    );
    assert_eq!(subject.status(&note).await, status);
    assert_eq!(subject.save(&note).await, saved);
}

pub(crate) async fn a_wiped_database_remembers_nothing<D: NostrDatabase>(subject: &Subject<D>) {
    let (note, new) = (note(0, 0, ""), version(0, 2, "x", "new"));
    let (old, gone) = (version(0, 1, "x", "old"), deletion(0, 3, &[&note]));
    let vanish = event(1, 9, 62, &[&["relay", "ALL_RELAYS"]], "");
    subject.put([&note, &new, &gone, &vanish]).await;
    subject.database.wipe().await.unwrap();
    subject.holds(&[]).await;
    assert_eq!(
        subject.status(&note).await,
        DatabaseEventStatus::NotExistent
    );
    let back = crate::subject::note(1, 0, "");
    subject.put([&note, &old, &back]).await;
    subject.holds(&[&note, &old, &back]).await;
}
