//! One machine behind many names, one name with many addresses: nobody else has to wait for them.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::network::Network;
use bigbrotr_crawler::dial::{
    DialError, Dialer, NetworkConfig, NetworksConfig, TableResolver, Target,
};
use bigbrotr_crawler::limits::HOST_QUEUE_PER_SLOT;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::support::{Detour, Fickle, HERE, NOWHERE, guarded};

const PATIENCE: Duration = Duration::from_secs(20);

/// Four connections in all, two to one host, at any pace; a minute for each to be made.
fn narrow() -> NetworksConfig {
    let clearnet = NetworkConfig {
        max_connections: NonZeroU32::new(4).unwrap(),
        max_connections_per_ip: NonZeroU32::new(2).unwrap(),
        max_dials_per_second: None,
        max_dials_per_second_per_ip: None,
        connect_timeout: Duration::from_mins(1),
        ..NetworkConfig::default_of(Network::Clearnet)
    };
    NetworksConfig {
        clearnet,
        ..NetworksConfig::default()
    }
}

fn names(here: &'static str, others: usize) -> TableResolver {
    let others = (0..others).map(|n| (format!("name{n}.example"), NOWHERE));
    let here = [("relay.example".to_owned(), here)];
    let names = others.chain(here);
    TableResolver::new(names.map(|(name, ip)| (name, [ip.parse().unwrap()])))
}

async fn listen() -> (TcpListener, u16) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// Dials many names of the address that never answers, and lets all of them get as far as they
/// get. Returns the errors of those that gave up.
async fn crowd(dialer: &Dialer, detour: &Detour, names: usize) -> (JoinSet<DialError>, usize) {
    let mut dials = JoinSet::new();
    for n in 0..names {
        let dialer = dialer.clone();
        let target = Target::new(&format!("name{n}.example"), 80, false);
        dials.spawn(async move { dialer.dial(&target).await.unwrap_err() });
    }
    let places = 2 + 2 * HOST_QUEUE_PER_SLOT;
    let mut turned_away = 0;
    for _ in places..names {
        let error = timeout(PATIENCE, dials.join_next()).await.unwrap();
        let error = error.unwrap().unwrap();
        assert!(matches!(error, DialError::Busy { .. }) && error.is_ours());
        turned_away += 1;
    }
    while detour.seen().len() < 2 {
        tokio::task::yield_now().await;
    }
    (dials, turned_away)
}

#[tokio::test]
async fn a_thousand_names_of_one_slow_address_leave_the_others_their_slots() {
    let (_listener, port) = listen().await;
    let detour = Arc::new(Detour::default());
    let dialer = guarded(narrow(), names(HERE, 1_000), &detour);
    let (dials, turned_away) = crowd(&dialer, &detour, 1_000).await;
    // A few wait, most are told at once that they have to come back.
    assert_eq!(dials.len() + turned_away, 1_000);
    assert!(dials.len() <= 2 + 2 * HOST_QUEUE_PER_SLOT);
    // No more were connected to than one host may have, and nobody else has to wait for them.
    let target = Target::new("relay.example", port, false);
    let dialed = timeout(PATIENCE, dialer.dial(&target)).await;
    let other = dialed.expect("the others' slots are held").unwrap();
    assert_eq!(other.remote_ip, Some(HERE.parse().unwrap()));
    assert_eq!(detour.seen(), [NOWHERE, NOWHERE, HERE]);
}

#[tokio::test]
async fn one_name_has_the_slots_of_one_host_whatever_it_resolves_to() {
    let detour = Arc::new(Detour::default());
    let (_listener, port) = listen().await;
    // A new address each time.
    let answers: &[&[&str]] = &[&[HERE], &[HERE], &["9.9.9.9"]];
    let mut config = narrow();
    config.clearnet.max_connections_per_ip = NonZeroU32::new(2).unwrap();
    let dialer = guarded(config, Fickle::new(answers), &detour);
    let target = Target::new("relay.example", port, false);
    let first = dialer.dial(&target).await.unwrap();
    let _second = dialer.dial(&target).await.unwrap();
    let third = timeout(Duration::from_millis(100), dialer.dial(&target)).await;
    assert!(third.is_err(), "a third slot was given");
    drop(first);
    let third = timeout(PATIENCE, dialer.dial(&target)).await.unwrap();
    assert_eq!(third.unwrap_err().reason(), "connect_refused");
}

#[tokio::test(start_paused = true)]
async fn one_address_is_dialled_at_its_own_pace_under_any_name() {
    let (_listener, port) = listen().await;
    let mut config = narrow();
    config.clearnet.max_connections = NonZeroU32::new(100).unwrap();
    config.clearnet.max_connections_per_ip = NonZeroU32::new(100).unwrap();
    config.clearnet.max_dials_per_second_per_ip = NonZeroU32::new(2);
    let detour = Arc::new(Detour::default());
    let hosts: Vec<String> = (0..6).map(|n| format!("n{n}.example")).collect();
    let table = hosts
        .iter()
        .map(|host| (host.clone(), [HERE.parse().unwrap()]));
    let dialer = guarded(config, TableResolver::new(table), &detour);
    let started = Instant::now();
    for host in &hosts {
        dialer.dial(&Target::new(host, port, false)).await.unwrap();
    }
    // Two at once, the other four half a second apart: on the clock of the test.
    assert!(started.elapsed() >= Duration::from_secs(2));
    assert_eq!(detour.seen().len(), 6);
}
