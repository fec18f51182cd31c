//! The faces in a process of their own: relay, data vending machine, REST mirror and rollup.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;

use bigbrotr_core::event::Pubkey;
use bigbrotr_core::health::HealthBoard;
use bigbrotr_core::service::{Health, Service, ServiceContext};
use bigbrotr_dvm::{ApiConfig, ApiService, DvmConfig, DvmService};
use bigbrotr_relay::{LimitsConfig, PolicyConfig, RelayConfig, RelayService};
use bigbrotr_schema::catalog::Catalog;
use bigbrotr_schema::rollup::RollupService;
use nostr::Keys;
use prometheus::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::open;

/// More connections than a benchmark makes.
const CONNECTIONS: usize = 1_000;

/// The process of the faces, from where it is asked.
pub(crate) struct Faces {
    process: Child,
    input: Option<ChildStdin>,
    pub(crate) relay: String,
    pub(crate) api: SocketAddr,
}

impl Faces {
    /// Starts it; all services are ready when this returns.
    pub(crate) fn start(database: &str, folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this program"));
        command.args(["--serve", database]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        command.stderr(fs::File::create(folder.join("faces.log")).expect("a log"));
        let mut process = command.spawn().expect("the faces' process");
        let input = process.stdin.take();
        let mut output = BufReader::new(process.stdout.take().expect("its output"));
        let mut line = String::new();
        output.read_line(&mut line).expect("a line");
        let Some((relay, api)) = line.trim().split_once(' ') else {
            let log = fs::read_to_string(folder.join("faces.log")).unwrap_or_default();
            panic!("the faces do not start: {log}");
        };
        Self {
            process,
            input,
            relay: relay.to_owned(),
            api: api.parse().expect("an address"),
        }
    }

    /// Panics when it has ended by itself.
    pub(crate) fn check(&mut self) {
        let ended = self.process.try_wait().expect("its state");
        assert!(ended.is_none(), "the faces have ended: {ended:?}");
    }

    /// The most memory that it has had: MB.
    pub(crate) fn peak_memory_mb(&self) -> f64 {
        let path = format!("/proc/{}/status", self.process.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.unwrap_or_default() / 1024.0
    }

    /// CPU time so far: seconds.
    pub(crate) fn cpu(&self) -> f64 {
        let path = format!("/proc/{}/stat", self.process.id());
        let stat = fs::read_to_string(path).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let ticks = |n: usize| fields.split_whitespace().nth(n)?.parse::<f64>().ok();
        // In hundredths on every Linux.
        (ticks(11).unwrap_or_default() + ticks(12).unwrap_or_default()) / 100.0
    }

    /// Ends it in order.
    pub(crate) fn stop(self) {
        drop(self);
    }
}

impl Drop for Faces {
    fn drop(&mut self) {
        // It ends at the end of its input.
        drop(self.input.take());
        self.process.wait().expect("its end");
    }
}

/// Is that process: starts the services, says where they are, and waits until its input ends.
pub(crate) async fn serve(database: &str) {
    // As the node logs, access log included.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .with_writer(std::io::stderr)
        .init();
    let (store, clock) = open(database).await;
    let (keys, registry) = (Keys::generate(), Registry::new());
    let catalog = Catalog::load(store.clone(), &[]).await;
    let catalog = Arc::new(catalog.expect("the catalogue"));

    let pubkey = Pubkey(keys.public_key().to_bytes());
    let relay = RelayService::new(relay(), store.clone(), pubkey, clock.clone(), &registry)
        .expect("a relay");
    let relay_url = format!("ws://{}", relay.bind().await.expect("a port"));
    let board = HealthBoard::default();
    let api = ApiService::bind(api(), catalog.clone(), board, clock.clone(), &registry)
        .await
        .expect("a REST mirror");
    let address = api.local_addr();
    let config = dvm(relay_url.clone());
    let dvm = DvmService::new(config, catalog, store.clone(), keys, clock, &registry)
        .expect("a data vending machine");
    let rollup = RollupService::new(store.clone(), &registry).expect("a rollup");

    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let services: [Arc<dyn Service>; 4] = [rollup, relay, api, dvm];
    for service in services {
        start(service, &stop, &tasks).await;
    }
    println!("{relay_url} {address}");
    std::io::stdout().flush().expect("output");
    let waiting = tokio::task::spawn_blocking(|| {
        let mut rest = Vec::new();
        std::io::stdin().read_to_end(&mut rest).expect("input");
    });
    waiting.await.expect("a thread");
    stop.cancel();
    tasks.close();
    tasks.wait().await;
    store.close().await;
}

/// Runs a service until told otherwise; it is ready when this returns.
async fn start(service: Arc<dyn Service>, stop: &CancellationToken, tasks: &TaskTracker) {
    let (context, mut health) = ServiceContext::new(stop.child_token());
    tasks.spawn(async move {
        let own = context.tasks.clone();
        service.run(context).await.expect("a service");
        own.close();
        own.wait().await;
    });
    let ready = health.wait_for(|health| *health == Health::Ready).await;
    drop(ready.expect("a service that is ready"));
}

fn relay() -> RelayConfig {
    RelayConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        policy: PolicyConfig {
            events_per_minute_per_pubkey: 0,
            ..PolicyConfig::default()
        },
        limits: LimitsConfig {
            messages_per_second: 100_000,
            message_burst: 1_000_000,
            messages_per_second_per_ip: 1_000_000,
            message_burst_per_ip: 10_000_000,
            max_connections_per_ip: CONNECTIONS,
            ..LimitsConfig::default()
        },
        ..RelayConfig::default()
    }
}

fn api() -> ApiConfig {
    ApiConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        rate_per_second: 1_000_000,
        rate_burst: 1_000_000,
        max_connections_per_client: CONNECTIONS,
        ..ApiConfig::default()
    }
}

fn dvm(relay_url: String) -> DvmConfig {
    DvmConfig {
        relay_url,
        jobs_per_minute: 100_000,
        max_queue: 1_000_000,
        max_queue_per_customer: 1_000_000,
        ..DvmConfig::default()
    }
}
