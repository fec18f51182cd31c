//! The relays under measure, each in a process of its own.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bigbrotr_core::clock::SystemClock;
use bigbrotr_schema::config::DatabaseConfig;
use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedPostgres};
use bigbrotr_schema::store::Store;
use bigbrotr_testkit::bench::{given, option};
use rustix::process::{Pid, Signal, kill_process};

/// How long a relay may take to start or to end.
const PATIENCE: Duration = Duration::from_mins(1);

/// What the node is told besides where it is: strangers' notes, no limits on rates, room for all.
const SETTINGS: [(&str, &str); 8] = [
    ("POLICY__ACCEPTED_KINDS", "[1,5,5400,5450]"),
    ("POLICY__EVENTS_PER_MINUTE_PER_PUBKEY", "0"),
    ("LIMITS__MAX_CONNECTIONS", "20000"),
    ("LIMITS__MAX_CONNECTIONS_PER_IP", "20000"),
    ("LIMITS__MESSAGES_PER_SECOND", "100000"),
    ("LIMITS__MESSAGE_BURST", "100000"),
    ("LIMITS__MESSAGES_PER_SECOND_PER_IP", "100000"),
    ("LIMITS__MESSAGE_BURST_PER_IP", "100000"),
];

/// A relay that runs.
pub(crate) struct Relay {
    pub(crate) name: &'static str,
    /// `127.0.0.1:port`.
    pub(crate) address: String,
    child: Child,
    _folder: Option<tempfile::TempDir>,
}

impl Relay {
    /// The relay that does nothing.
    pub(crate) fn nothing() -> Self {
        let program = std::env::current_exe().expect("this program");
        let mut child = Command::new(program)
            .arg("--nothing")
            .stdout(Stdio::piped())
            .spawn()
            .expect("this program again");
        let output = child.stdout.take().expect("its output");
        let line = BufReader::new(output).lines().next();
        Self {
            name: "nothing",
            address: line.expect("a line").expect("an address"),
            child,
            _folder: None,
        }
    }

    /// The node's relay, on a database.
    pub(crate) fn ours(database: &str) -> Self {
        let here = std::env::current_exe().expect("this program");
        let beside = here.parent().and_then(Path::parent).expect("a folder");
        let program: PathBuf = option("node", beside.join("bigbrotr"));
        assert!(
            program.exists(),
            "there is no {}: cargo build --release -p bigbrotr, or give --node PATH",
            program.display()
        );
        let folder = tempfile::tempdir().expect("a folder");
        let address = free_address();
        let mut command = Command::new(program);
        for (name, value) in SETTINGS {
            command.env(format!("BIGBROTR__RELAY__{name}"), value);
        }
        let child = command
            .args(["--services", "initializer,relay"])
            .args(["--relay-listen", &address])
            .args(["--metrics-listen", "127.0.0.1:0"])
            .args(["--database-url", database])
            .arg("--data-dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log(folder.path()))
            .spawn()
            .expect("the node");
        Self::started("bigbrotr", address, child, folder)
    }

    /// nostr-rs-relay, where it was given.
    pub(crate) fn nostr_rs_relay() -> Option<Self> {
        let program: PathBuf = given("nostr-rs-relay")?;
        let folder = tempfile::tempdir().expect("a folder");
        let address = free_address();
        let port = address.rsplit(':').next().expect("a port");
        let config = folder.path().join("config.toml");
        fs::write(
            &config,
            format!("[network]\naddress = \"127.0.0.1\"\nport = {port}\n"),
        )
        .expect("a configuration");
        let child = Command::new(program)
            .env("RUST_LOG", "warn")
            .arg("--config")
            .arg(&config)
            .arg("--db")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stdout(log(folder.path()))
            .stderr(Stdio::null())
            .spawn()
            .expect("nostr-rs-relay");
        Some(Self::started("nostr-rs-relay", address, child, folder))
    }

    fn started(
        name: &'static str,
        address: String,
        mut child: Child,
        folder: tempfile::TempDir,
    ) -> Self {
        let begun = Instant::now();
        while TcpStream::connect(&address).is_err() {
            let ended = child.try_wait().expect("its state");
            if ended.is_some() || begun.elapsed() > PATIENCE {
                let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                panic!("{name} does not start: {log}");
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        Self {
            name,
            address,
            child,
            _folder: Some(folder),
        }
    }

    /// Memory now, bytes (`VmRSS`).
    pub(crate) fn memory(&self) -> f64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = fs::read_to_string(path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
        kilobytes.unwrap_or_default() * 1024.0
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.child.id() as i32);
        if let Some(Err(error)) = pid.map(|pid| kill_process(pid, Signal::TERM)) {
            eprintln!("cannot stop {}: {error}", self.name);
        }
        let begun = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The node's private Postgres.
pub(crate) struct Database {
    postgres: EmbeddedPostgres,
    _folder: tempfile::TempDir,
}

impl Database {
    pub(crate) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = EmbeddedConfig::new(folder.path().join("postgres"));
        Self {
            postgres: EmbeddedPostgres::start(config).await.expect("a server"),
            _folder: folder,
        }
    }

    pub(crate) fn url(&self) -> String {
        self.postgres.connection_url()
    }

    /// Another process's way to publish.
    pub(crate) async fn store(&self) -> Store {
        let config = Arc::new(DatabaseConfig::default());
        let store = Store::connect(&self.url(), config, Arc::new(SystemClock)).await;
        store.expect("a connection")
    }

    pub(crate) async fn stop(self) {
        self.postgres.stop().await.expect("a stop");
    }
}

fn free_address() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("an address").to_string()
}

fn log(folder: &Path) -> fs::File {
    fs::File::create(folder.join("log")).expect("a log")
}
