//! Queries, counts and reconciliation.

use nostr::{Alphabet, Event, EventId, Filter, Kind, SingleLetterTag, Timestamp};
use nostr_database::{DatabaseError, NostrDatabase};

use crate::subject::{Subject, T, event, hex, keys, note, version};

fn time(at: i64) -> Timestamp {
    Timestamp::from_secs((T + at).unsigned_abs())
}

fn letter(letter: Alphabet) -> SingleLetterTag {
    SingleLetterTag::lowercase(letter)
}

/// Checks what a filter finds and counts.
async fn finds<D: NostrDatabase>(subject: &Subject<D>, filter: Filter, expected: &[&Event]) {
    let ids: Vec<EventId> = expected.iter().map(|event| event.id).collect();
    assert_eq!(subject.ids(filter.clone()).await, ids, "{filter:?}");
    let count = subject.database.count(filter.clone()).await.unwrap();
    assert_eq!(count, ids.len(), "{filter:?}");
}

pub(crate) async fn filters_select<D: NostrDatabase>(subject: &Subject<D>) {
    let newest = event(1, 4, 1, &[&["t", "a"], &["t", "b"], &["p", &hex(0)]], "");
    let article = version(0, 3, "x", "");
    let second = event(0, 2, 1, &[&["t", "b"], &["T", "a"]], "");
    let oldest = event(0, 1, 7, &[&["t", "c", "a"]], "");
    subject.put([&oldest, &article, &newest, &second]).await;
    let (zero, one) = (keys(0).public_key(), keys(1).public_key());
    let t = letter(Alphabet::T);
    for (filter, expected) in [
        (Filter::new(), &[&newest, &article, &second, &oldest][..]),
        (Filter::new().author(zero), &[&article, &second, &oldest]),
        (
            Filter::new().authors([zero, one]).kind(Kind::TextNote),
            &[&newest, &second],
        ),
        (
            Filter::new().kinds([Kind::Reaction, Kind::LongFormTextNote]),
            &[&article, &oldest],
        ),
        (
            Filter::new().ids([oldest.id, newest.id]),
            &[&newest, &oldest],
        ),
        (Filter::new().id(oldest.id).author(one), &[]),
        (Filter::new().custom_tag(t, "a"), &[&newest]),
        (
            Filter::new().custom_tags(t, ["a", "c"]),
            &[&newest, &oldest],
        ),
        (Filter::new().custom_tag(t, "b").author(zero), &[&second]),
        (Filter::new().custom_tag(t, "b").pubkey(zero), &[&newest]),
        (
            Filter::new().custom_tag(SingleLetterTag::uppercase(Alphabet::T), "a"),
            &[&second],
        ),
        (
            Filter::new()
                .identifier("x")
                .kind(Kind::LongFormTextNote)
                .author(zero),
            &[&article],
        ),
        (Filter::new().identifier("y"), &[]),
    ] {
        finds(subject, filter, expected).await;
    }
}

pub(crate) async fn bounds_of_time_are_inclusive<D: NostrDatabase>(subject: &Subject<D>) {
    let notes = [1, 2, 3, 4].map(|at| note(0, at, ""));
    subject.put(&notes).await;
    let [first, second, third, fourth] = &notes;
    let since = Filter::new().since(time(3));
    finds(subject, since, &[fourth, third]).await;
    let until = Filter::new().until(time(2));
    finds(subject, until, &[second, first]).await;
    let both = Filter::new().since(time(2)).until(time(3));
    finds(subject, both, &[third, second]).await;
    let never = Filter::new().since(time(3)).until(time(2));
    finds(subject, never, &[]).await;
    let far = Filter::new()
        .since(time(4))
        .until(Timestamp::from_secs(u64::MAX));
    finds(subject, far, &[fourth]).await;
    finds(
        subject,
        Filter::new().since(Timestamp::from_secs(u64::MAX)),
        &[],
    )
    .await;
}

pub(crate) async fn newest_come_first_and_lowest_ids_on_a_tie<D: NostrDatabase>(
    subject: &Subject<D>,
) {
    let mut notes: Vec<Event> = (0..30)
        .map(|n| note(0, i64::from(n % 3), &n.to_string()))
        .collect();
    subject.put(&notes).await;
    notes.sort_by_key(|note| (std::cmp::Reverse(note.created_at), note.id));
    finds(subject, Filter::new(), &notes.iter().collect::<Vec<_>>()).await;
}

pub(crate) async fn limits_cut_off_the_oldest<D: NostrDatabase>(subject: &Subject<D>) {
    let notes = [4, 3, 2, 1].map(|at| event(0, at, 1, &[&["t", "x"]], ""));
    subject.put(&notes).await;
    let [newest, second, ..] = &notes;
    let tagged = Filter::new().custom_tag(letter(Alphabet::T), "x");
    for filter in [
        Filter::new(),
        Filter::new().author(newest.pubkey),
        Filter::new().author(newest.pubkey).kind(Kind::TextNote),
        tagged,
    ] {
        finds(subject, filter.clone().limit(2), &[newest, second]).await;
        finds(
            subject,
            filter.clone().limit(100),
            &notes.iter().collect::<Vec<_>>(),
        )
        .await;
        finds(subject, filter.limit(0), &[]).await;
    }
}

pub(crate) async fn empty_sets_are_no_conditions<D: NostrDatabase>(subject: &Subject<D>) {
    let note = event(0, 0, 1, &[&["t", "x"]], "");
    subject.put([&note]).await;
    let mut filter = Filter::new().kinds([]).authors([]);
    filter.ids = Some([].into());
    finds(subject, filter.clone(), &[&note]).await;
    // A tag with one of no values is on no event.
    filter.generic_tags.insert(letter(Alphabet::T), [].into());
    finds(subject, filter, &[]).await;
}

pub(crate) async fn reconciliation_sees_what_a_query_finds<D: NostrDatabase>(subject: &Subject<D>) {
    let t = letter(Alphabet::T);
    let notes: Vec<Event> = (0..20)
        .map(|n| event(n % 2, 0, 1, &[&["t", &(n % 3).to_string()]], &n.to_string()))
        .collect();
    subject.put(&notes).await;
    subject
        .put([&version(0, 0, "x", "old"), &version(0, 1, "x", "new")])
        .await;
    for filter in [
        Filter::new(),
        Filter::new().author(keys(0).public_key()),
        Filter::new().custom_tag(t, "1"),
        Filter::new().custom_tag(t, "1").limit(2),
        Filter::new().limit(3),
    ] {
        let found = subject.database.query(filter.clone()).await.unwrap();
        let expected: Vec<_> = found
            .into_iter()
            .map(|event| (event.id, event.created_at))
            .collect();
        assert!(!expected.is_empty());
        let items = subject.database.negentropy_items(filter).await.unwrap();
        assert_eq!(items, expected);
    }
}

pub(crate) async fn searches_are_refused<D: NostrDatabase>(subject: &Subject<D>) {
    let why = "the in-memory database looks for the text in the content";
    subject.put([&note(0, 0, "needle")]).await;
    let search = || Filter::new().search("needle");
    let refused = matches!(
        subject.database.query(search()).await,
        Err(DatabaseError::NotSupported)
    );
    assert_eq!(refused, subject.expect(true, false, why));
    assert_eq!(subject.database.count(search()).await.is_err(), refused);
    assert_eq!(
        subject.database.negentropy_items(search()).await.is_err(),
        refused
    );
    if !subject.lacks(why) {
        // Not understood, it must not mean everything.
        assert!(subject.database.delete(search()).await.is_err());
        assert_eq!(subject.ids(Filter::new()).await.len(), 1);
    }
}
