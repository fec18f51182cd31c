//! The databases under test, and what the behaviours say to them.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SystemClock;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::testing::TestDatabase;
use bigbrotr_schema::nostr_database::{NostrDatabaseError, RelayDatabase};
use bigbrotr_schema::testing::test_store_with;
use bigbrotr_testkit::population::{EventMaker, author_keys};
use nostr::{Event, EventId, Filter, JsonUtil, Keys};
use nostr_database::{
    DatabaseError, DatabaseEventStatus, MemoryDatabase, MemoryDatabaseOptions, NostrDatabase,
    RejectedReason, SaveEventStatus,
};

/// The URL under which the relay knows itself.
pub(crate) const OUR_URL: &str = "wss://relay.example.com/inbox";

/// When the events of these tests are made: Unix seconds.
pub(crate) const T: i64 = 1_700_000_000;

/// A database under test.
pub(crate) struct Subject<D> {
    pub(crate) database: D,
    is_memory: bool,
}

/// Postgres, on a database of its own.
pub(crate) async fn postgres() -> (Subject<RelayDatabase>, TestDatabase) {
    // On a busy machine many writers wait for long.
    let config = DatabaseConfig {
        acquire_timeout: Duration::from_mins(2),
        ..DatabaseConfig::default()
    };
    let (store, database) = test_store_with(config, Arc::new(SystemClock)).await;
    let url = RelayUrl::parse(OUR_URL, &UrlPolicy::default()).unwrap();
    let subject = Subject {
        database: RelayDatabase::new(store, [url]),
        is_memory: false,
    };
    (subject, database)
}

/// The in-memory database of the contract's own crate.
pub(crate) fn memory() -> Subject<MemoryDatabase> {
    let mut options = MemoryDatabaseOptions::new();
    options.events = true;
    Subject {
        database: MemoryDatabase::with_opts(options),
        is_memory: true,
    }
}

impl<D: NostrDatabase> Subject<D> {
    /// What to expect where the in-memory database is not what the NIPs ask for, and why.
    pub(crate) fn expect<T>(&self, nips: T, memory: T, _why: &str) -> T {
        if self.is_memory { memory } else { nips }
    }

    /// Whether a behaviour is beyond the in-memory database, and why.
    pub(crate) fn lacks(&self, _why: &str) -> bool {
        self.is_memory
    }

    pub(crate) async fn save(&self, event: &Event) -> SaveEventStatus {
        self.database.save_event(event).await.unwrap()
    }

    /// Saves what has to be saved.
    pub(crate) async fn put(&self, events: impl IntoIterator<Item = &Event>) {
        for event in events {
            assert_eq!(
                self.save(event).await,
                SaveEventStatus::Success,
                "{event:?}"
            );
        }
    }

    pub(crate) async fn status(&self, event: &Event) -> DatabaseEventStatus {
        self.database.check_id(&event.id).await.unwrap()
    }

    /// Ids of what matches, in the order of the answer.
    pub(crate) async fn ids(&self, filter: Filter) -> Vec<EventId> {
        let events = self.database.query(filter).await.unwrap();
        events.into_iter().map(|event| event.id).collect()
    }

    /// Checks that these and no others are there, however one asks.
    pub(crate) async fn holds(&self, events: &[&Event]) {
        let mut expected: Vec<EventId> = events.iter().map(|event| event.id).collect();
        expected.sort_unstable();
        let mut found = self.ids(Filter::new()).await;
        found.sort_unstable();
        assert_eq!(found, expected);
        let count = self.database.count(Filter::new()).await.unwrap();
        assert_eq!(count, expected.len());
        for event in events {
            assert_eq!(self.status(event).await, DatabaseEventStatus::Saved);
            let same = self.database.event_by_id(&event.id).await.unwrap();
            assert_eq!(same.as_ref(), Some(*event));
        }
    }

    /// Checks that an event is in no answer.
    pub(crate) async fn lost(&self, event: &Event) {
        assert_eq!(self.database.event_by_id(&event.id).await.unwrap(), None);
        assert!(self.ids(Filter::new().id(event.id)).await.is_empty());
        assert_ne!(self.status(event).await, DatabaseEventStatus::Saved);
    }
}

/// Saves an event among many others that are saved at the same time. Whoever opens a connection
/// then may be turned away by a busy server, and comes back.
pub(crate) async fn save_in_the_crowd(database: &RelayDatabase, event: &Event) {
    for _ in 0..100 {
        let error = match database.save_event(event).await {
            Ok(_) => return,
            Err(DatabaseError::Backend(error)) => error,
            Err(error) => panic!("{error:?}"),
        };
        let error = error.downcast::<NostrDatabaseError>().unwrap();
        let busy = matches!(&*error, NostrDatabaseError::Store(error)
            if error.is_retryable() && !error.is_conflict());
        assert!(busy, "{error:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("the server takes nobody");
}

pub(crate) fn rejected(reason: RejectedReason) -> SaveEventStatus {
    SaveEventStatus::Rejected(reason)
}

/// Author number `n`.
pub(crate) fn keys(n: u64) -> Keys {
    author_keys(11, n)
}

/// Hex of author number `n`'s public key.
pub(crate) fn hex(n: u64) -> String {
    keys(n).public_key().to_hex()
}

/// Signs an event of author number `n`.
pub(crate) fn signed(n: u64, maker: EventMaker) -> Event {
    Event::from_json(maker.sign(&keys(n)).to_json()).unwrap()
}

/// An event of author number `n`, made `at` seconds after the beginning.
pub(crate) fn event(n: u64, at: i64, kind: u16, tags: &[&[&str]], content: &str) -> Event {
    let mut maker = EventMaker::new(T + at).kind(kind).content(content);
    for tag in tags {
        maker = maker.tag(tag.iter().copied());
    }
    signed(n, maker)
}

pub(crate) fn note(n: u64, at: i64, content: &str) -> Event {
    event(n, at, 1, &[], content)
}

/// A version of an addressable event.
pub(crate) fn version(n: u64, at: i64, d: &str, content: &str) -> Event {
    event(n, at, 30_023, &[&["d", d]], content)
}

/// A deletion by ids.
pub(crate) fn deletion(n: u64, at: i64, targets: &[&Event]) -> Event {
    let ids: Vec<String> = targets.iter().map(|target| target.id.to_hex()).collect();
    let tags: Vec<[&str; 2]> = ids.iter().map(|id| ["e", id.as_str()]).collect();
    let tags: Vec<&[&str]> = tags.iter().map(<[&str; 2]>::as_slice).collect();
    event(n, at, 5, &tags, "")
}

/// A deletion by address.
pub(crate) fn address_deletion(n: u64, at: i64, address: &str) -> Event {
    event(n, at, 5, &[&["a", address]], "")
}

/// Something unequal to print.
pub(crate) fn assert_one_of<T: PartialEq + Debug>(value: &T, expected: &[T]) {
    assert!(
        expected.contains(value),
        "{value:?} is none of {expected:?}"
    );
}
