//! What it costs to ask: the catalogue's questions by themselves, over REST, and as NIP-90 jobs.
//!
//! `cargo bench -p bigbrotr --bench faces -- [--events 1000000] [--corpus N] [--data FOLDER]
//! [--relays 5000] [--checks 100] [--seconds 1] [--only PART] [--question NAME]`
//!
//! An archive is filled first: events of the shared corpus (`--corpus` reads the first events of a
//! larger one), all of them sighted on one relay and each page on one of forty others, statistics
//! folded all the while; `--relays` relays with as many checks each, of which those forty-one are a
//! part. With `--data` it stays as it is, and a later run with more events goes on where it ends.
//!
//! Relay, data vending machine, REST mirror and rollup run in a process of their own, on real
//! sockets on loopback, with the default configuration but for all limits of how much one client
//! may ask, which are out of the way. Their clock shows the day of the newest event, so that there
//! is something in every window. Clients are in this process, which shares the machine's cores.
//!
//! Each question is asked with values that change from one request to the next (relays, pubkeys,
//! events, pages), for `--seconds` by the catalogue itself, by one REST client, and by a hundred.
//! Connections are kept alive and answers are not compressed. Jobs are measured from sending the
//! request until its result is there. `--only catalogue`, `rest` or `jobs` leaves the others out,
//! `--question` all sets but those whose name begins so.

mod ask;
mod clock;
mod data;
mod http;
mod jobs;
mod questions;
mod served;
#[allow(dead_code, reason = "each benchmark uses a part")]
#[path = "../../../schema/benches/support/mod.rs"]
mod support;
mod timing;

use std::sync::Arc;
use std::time::Duration;

use bigbrotr_core::clock::SharedClock;
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_schema::store::Store;
use bigbrotr_testkit::bench::option;

use self::clock::ShiftedClock;
use self::served::Faces;

#[tokio::main]
async fn main() {
    let database = option("serve", String::new());
    if !database.is_empty() {
        return served::serve(&database).await;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let data = option("data", folder.path().join("data"));
    let server = EmbeddedPostgres::start(EmbeddedConfig::new(data))
        .await
        .expect("a server");
    let url = server.connection_url();
    let keys = data::fill(&url).await;

    let (store, clock) = open(&url).await;
    let catalog = Arc::new(
        Catalog::load(store.clone(), &[])
            .await
            .expect("the catalogue"),
    );
    let only: String = option("only", String::new());
    let wanted = |part: &str| only.is_empty() || only == part;
    // Turning pages takes its time, and no job is about them.
    let sets = questions::sets(&catalog, &keys, only != "jobs").await;
    let mut faces = Faces::start(&url, folder.path());
    if wanted("catalogue") || wanted("rest") {
        let seconds = Duration::from_secs_f64(option("seconds", 1.0));
        let by_itself = wanted("catalogue").then_some(&catalog);
        let over_http = wanted("rest").then_some(faces.api);
        ask::every(&sets, by_itself, over_http, seconds).await;
    }
    if wanted("jobs") {
        jobs::measure(&faces, &sets, &clock).await;
    }
    faces.check();
    println!(
        "\nthe faces' process: at most {:.0} MB (VmHWM), {:.1} s of CPU",
        faces.peak_memory_mb(),
        faces.cpu()
    );
    faces.stop();
    store.close().await;
    server.stop().await.expect("a stop");
}

/// A connection by a clock that goes on from where the archive is.
async fn open(url: &str) -> (Store, SharedClock) {
    let config = Arc::new(DatabaseConfig::default());
    let connect = async |clock: SharedClock| {
        let store = Store::connect(url, config.clone(), clock).await;
        store.expect("a connection")
    };
    let store = connect(Arc::new(ShiftedClock::to(support::NOW))).await;
    let as_of = store.as_of().await.expect("a moment");
    store.close().await;
    let clock: SharedClock = Arc::new(ShiftedClock::to(as_of + 1));
    (connect(clock.clone()).await, clock)
}
