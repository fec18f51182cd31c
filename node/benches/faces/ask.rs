//! Every question: by the catalogue itself, by one REST client, and by a hundred.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bigbrotr_schema::catalog::{Catalog, CatalogError};
use tokio::task::JoinSet;

use crate::http::Client;
use crate::questions::Set;
use crate::timing::Timing;

/// REST clients at the same time.
const CLIENTS: usize = 100;

/// Requests before the clock runs: they connect and fill caches.
const WARM_UP: usize = 10;

/// Asks all of them and prints a table.
pub(crate) async fn every(
    sets: &[Set],
    catalog: Option<&Arc<Catalog>>,
    api: Option<SocketAddr>,
    seconds: Duration,
) {
    println!(
        "\n| question | catalogue p50 | p99 ms | REST, 1 client: p50 | p99 ms | \
         {CLIENTS} clients: p50 | p99 ms | requests/s | bytes |\n|---|---|---|---|---|---|---|---|---|"
    );
    for set in sets {
        let mut bytes = 0;
        let itself = match catalog {
            Some(catalog) => by_itself(catalog, set, seconds).await,
            None => Timing::default(),
        };
        let (mut one, mut many) = (Timing::default(), Timing::default());
        if let Some(address) = api {
            one = over_http(address, set, 1, seconds, &mut bytes).await;
            many = over_http(address, set, CLIENTS, seconds, &mut bytes).await;
        }
        println!(
            "| {} | {} | {} | {} | {:.0} | {bytes} |",
            set.title.replace('|', "\\|"),
            times(&itself),
            times(&one),
            times(&many),
            many.per_second(),
        );
    }
}

fn times(timing: &Timing) -> String {
    format!("{:.1} | {:.1}", timing.share(0.5), timing.share(0.99))
}

async fn by_itself(catalog: &Catalog, set: &Set, seconds: Duration) -> Timing {
    let mut timing = Timing::default();
    for turn in 0..WARM_UP {
        run(catalog, set, turn).await;
    }
    let begun = Instant::now();
    let mut turn = WARM_UP;
    while begun.elapsed() < seconds {
        let at = Instant::now();
        run(catalog, set, turn).await;
        timing.add(at.elapsed());
        turn += 1;
    }
    timing.end(begun);
    timing
}

async fn run(catalog: &Catalog, set: &Set, turn: usize) {
    match catalog.run(&set.name, set.params(turn)).await {
        Ok(_) | Err(CatalogError::NotFound { .. }) => {}
        Err(error) => panic!("{}: {}", set.title, error.to_json()),
    }
}

async fn over_http(
    address: SocketAddr,
    set: &Set,
    clients: usize,
    seconds: Duration,
    bytes: &mut usize,
) -> Timing {
    let targets: Arc<Vec<String>> = Arc::new(set.targets.clone());
    let mut open = Vec::with_capacity(clients);
    for n in 0..clients {
        let mut client = Client::connect(address).await;
        for turn in 0..WARM_UP.div_ceil(clients) {
            client.get(&targets[(n + turn) % targets.len()]).await;
        }
        open.push(client);
    }
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for (n, mut client) in open.into_iter().enumerate() {
        let targets = Arc::clone(&targets);
        tasks.spawn(async move {
            let (mut timing, mut longest) = (Timing::default(), 0);
            // Each begins elsewhere, so that not all ask the same at once.
            let mut turn = WARM_UP + n * 7;
            while begun.elapsed() < seconds {
                let target = &targets[turn % targets.len()];
                let at = Instant::now();
                let (status, length) = client.get(target).await;
                timing.add(at.elapsed());
                assert!(matches!(status, 200 | 404), "{target}: {status}");
                longest = longest.max(length);
                turn += 1;
            }
            (timing, longest)
        });
    }
    let mut all = Timing::default();
    while let Some(done) = tasks.join_next().await {
        let (timing, longest) = done.expect("a client");
        all.join(timing);
        *bytes = longest.max(*bytes);
    }
    all.end(begun);
    all
}
