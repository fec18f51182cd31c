//! Relays, sessions and short time-outs for the tests.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::event::{Event, EventId};
use bigbrotr_core::filter::Filter;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_crawler::dial::{Dialer, NetworksConfig, TableResolver};
use bigbrotr_crawler::session::{
    Differences, Page, PageLimits, ReconcileLimits, ReconcileRefusal, Reconciliation, Session,
    SessionConfig,
};
use bigbrotr_testkit::population::author_keys;
use bigbrotr_testkit::relay::faults::Fault;
use bigbrotr_testkit::{EventMaker, SimRelay, SimRelayConfig};

/// When the oldest of the test events was made.
pub(crate) const START: i64 = 1_700_000_000;

/// A second apart, kind 1, by one author.
pub(crate) fn events(count: i64) -> Vec<Event> {
    let keys = author_keys(7, 0);
    (0..count)
        .map(|n| {
            EventMaker::new(START + n)
                .content(format!("note {n}"))
                .sign(&keys)
        })
        .collect()
}

/// A relay with so many events and these faults.
pub(crate) async fn relay<F: Into<Fault>>(
    count: i64,
    faults: impl IntoIterator<Item = F>,
) -> SimRelay {
    let faults = faults.into_iter().map(Into::into).collect();
    let config = SimRelayConfig {
        faults,
        ..SimRelayConfig::with_events(events(count))
    };
    SimRelay::start(config).await.unwrap()
}

pub(crate) fn config() -> SessionConfig {
    SessionConfig {
        auth_timeout: Duration::from_millis(300),
        ..SessionConfig::default()
    }
}

pub(crate) async fn connect_to(url: &str, config: &SessionConfig) -> Session {
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    let url = RelayUrl::parse(url, &policy).unwrap();
    let networks = NetworksConfig {
        allow_private: true,
        ..NetworksConfig::default()
    };
    let dialer = Dialer::with(networks, Arc::new(TableResolver::default()), &[]).unwrap();
    Session::connect(&dialer, &url, config).await.unwrap()
}

pub(crate) async fn connect(relay: &SimRelay) -> Session {
    connect_to(&relay.url(), &config()).await
}

/// Bounds that end a stalled page soon.
pub(crate) fn quick() -> PageLimits {
    PageLimits {
        timeout: Duration::from_secs(5),
        idle_timeout: Duration::from_millis(250),
        ..PageLimits::default()
    }
}

/// Bounds for a page that ends by itself, on a busy machine too.
pub(crate) fn patient() -> PageLimits {
    PageLimits {
        timeout: Duration::from_mins(1),
        idle_timeout: Duration::from_mins(1),
        ..PageLimits::default()
    }
}

pub(crate) fn notes() -> Filter {
    Filter {
        kinds: Some([1].into()),
        ..Filter::default()
    }
}

/// The page that such a relay gives for kind 1.
pub(crate) async fn page_of<F: Into<Fault>>(count: i64, fault: F) -> Page {
    let relay = relay(count, [fault]).await;
    connect(&relay).await.fetch_page(&notes(), &quick()).await
}

/// What is reconciled of events.
pub(crate) fn items(events: &[Event]) -> Vec<(i64, EventId)> {
    let item = |event: &Event| (event.created_at, event.id);
    events.iter().map(item).collect()
}

pub(crate) fn ids(events: &[Event]) -> BTreeSet<EventId> {
    events.iter().map(|event| event.id).collect()
}

/// Bounds of a reconciliation that ends by itself, on a busy machine too, and is believed silent
/// soon.
pub(crate) fn reconcile_limits() -> ReconcileLimits {
    ReconcileLimits {
        silence: Duration::from_millis(100),
        ..ReconcileLimits::default()
    }
}

/// Opens a reconciliation of notes.
pub(crate) async fn reconcile(
    session: &mut Session,
    items: impl IntoIterator<Item = (i64, EventId)>,
    limits: ReconcileLimits,
) -> Result<Reconciliation, ReconcileRefusal> {
    session.open_reconciliation(&notes(), items, limits).await
}

/// Reads a reconciliation to its end, and returns everything that was told.
pub(crate) async fn rest(
    session: &mut Session,
    open: &mut Reconciliation,
) -> Result<Differences, ReconcileRefusal> {
    let mut all = Differences::default();
    while let Some(told) = session.next_differences(open).await? {
        all.need.extend(told.need);
        all.have.extend(told.have);
    }
    Ok(all)
}

/// The refusal of notes by a relay that has so many and these faults.
pub(crate) async fn refusal_of<F: Into<Fault>>(
    count: i64,
    faults: impl IntoIterator<Item = F>,
    limits: ReconcileLimits,
) -> ReconcileRefusal {
    let relay = relay(count, faults).await;
    let mut session = connect(&relay).await;
    match reconcile(&mut session, [], limits).await {
        Err(refusal) => refusal,
        Ok(mut open) => rest(&mut session, &mut open).await.unwrap_err(),
    }
}
