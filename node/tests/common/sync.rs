//! Nodes that archive simulated relays into one database, and the comparison of that with what
//! the relays hold.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;

use bigbrotr_core::event::Pubkey;
use bigbrotr_core::relay_url::{RelayUrl, UrlPolicy};
use bigbrotr_schema::store::{RelayId, Store};
use bigbrotr_schema::testing::look;
use bigbrotr_testkit::{SimEvent, SimRelay, SimRelayConfig};
use nostr::PublicKey;

use super::{Node, bigbrotr, output};

/// Which relays have an event, by its id.
pub(crate) type Provenance = BTreeMap<String, BTreeSet<String>>;

/// Starts relay number `n`, at an address of its own: nodes count connections per address.
pub(crate) async fn relay(n: usize, events: Vec<SimEvent>, config: SimRelayConfig) -> SimRelay {
    let config = SimRelayConfig {
        ip: Ipv4Addr::new(127, 7, (n / 250) as u8, 1 + (n % 250) as u8),
        events,
        seed: n as u64,
        ..config
    };
    SimRelay::start(config).await.unwrap()
}

/// The relay's URL as the archive writes it.
pub(crate) fn url(relay: &SimRelay) -> RelayUrl {
    let policy = UrlPolicy {
        allow_private: true,
        ..UrlPolicy::default()
    };
    RelayUrl::parse(&relay.url(), &policy).unwrap()
}

/// Makes the relays known: they are due at once.
pub(crate) async fn insert(store: &Store, relays: &[SimRelay]) {
    let urls: Vec<RelayUrl> = relays.iter().map(url).collect();
    let new = store.insert_relays(&urls).await.unwrap();
    assert_eq!(new as usize, relays.len());
}

pub(crate) async fn id(store: &Store, relay: &SimRelay) -> RelayId {
    store.get_relay(&url(relay)).await.unwrap().unwrap().id
}

/// A node that archives into this database and has no other business. It begins with the relays
/// of the file `relays.txt` beside its data directory, if there is one.
pub(crate) fn node(data: &Path, database: &str, services: &str, more: &[(&str, &str)]) -> Node {
    let place = data.parent().unwrap();
    let (none, relays) = (place.join("none.txt"), place.join("relays.txt"));
    std::fs::write(&none, "# none\n").unwrap();
    let relays = if relays.exists() { &relays } else { &none };
    let flags = [
        ["--database-url", database],
        ["--services", services],
        ["--seed-relays", relays.to_str().unwrap()],
        ["--priority-relays", none.to_str().unwrap()],
    ];
    let flags = [flags.as_flattened(), &["--allow-private-networks"]].concat();
    Node::start_with(data, &flags, more)
}

/// Who the node is to relays that want to know.
pub(crate) fn pubkey(node: &Node) -> Pubkey {
    let npub = node
        .summary
        .split_whitespace()
        .find(|word| word.starts_with("npub1"))
        .unwrap();
    Pubkey(PublicKey::parse(npub).unwrap().to_bytes())
}

/// What the relays hold, all together.
pub(crate) fn held(relays: &[SimRelay]) -> Provenance {
    let mut held = Provenance::new();
    for relay in relays {
        let name = url(relay).as_str().to_owned();
        for event in relay.events() {
            let id = event.id().to_hex();
            held.entry(id).or_default().insert(name.clone());
        }
    }
    held
}

/// What the archive says which relay has which event; events of no relay too.
pub(crate) async fn archived(store: &Store) -> Provenance {
    let rows = look(
        store,
        "select encode(e.id, 'hex') as id, r.url from events e
         left join events_relays p on p.event_num = e.num
         left join relays r on r.id = p.relay_id",
    )
    .await;
    let mut archived = Provenance::new();
    for row in rows.as_array().unwrap() {
        let id = row["id"].as_str().unwrap().to_owned();
        let relays = archived.entry(id).or_default();
        relays.extend(row["url"].as_str().map(ToOwned::to_owned));
    }
    archived
}

/// Counts the facts of a provenance.
pub(crate) fn facts(provenance: &Provenance) -> usize {
    provenance.values().map(BTreeSet::len).sum()
}

/// Checks that the archive is what the relays hold: no event and no fact more or less, every
/// event as it was sent, every statistic right.
pub(crate) async fn assert_exact(store: &Store, database: &str, data: &Path, relays: &[SimRelay]) {
    let (held, archived) = (held(relays), archived(store).await);
    let missing: Vec<&String> = held
        .keys()
        .filter(|id| !archived.contains_key(*id))
        .collect();
    assert!(
        missing.is_empty(),
        "{} missing: {:?}",
        missing.len(),
        missing.first()
    );
    let strange: Vec<&String> = archived
        .keys()
        .filter(|id| !held.contains_key(*id))
        .collect();
    assert!(
        strange.is_empty(),
        "{} too many: {:?}",
        strange.len(),
        strange.first()
    );
    for (id, relays) in &held {
        assert_eq!(&archived[id], relays, "the relays of event {id}");
    }
    let (done, stdout, stderr) =
        output(bigbrotr(data).args(["--database-url", database, "export"]));
    assert!(done.status.success(), "{stderr}");
    let exported: BTreeSet<&str> = stdout.lines().collect();
    let sent: Vec<SimEvent> = relays.iter().flat_map(SimRelay::events).collect();
    let sent: BTreeSet<&str> = sent.iter().map(SimEvent::json).collect();
    assert!(
        exported == sent,
        "events do not come back as they were sent"
    );
    let (done, stdout, stderr) =
        output(bigbrotr(data).args(["--database-url", database, "verify"]));
    assert!(done.status.success(), "statistics differ: {stdout}{stderr}");
}
