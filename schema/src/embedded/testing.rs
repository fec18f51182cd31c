//! A throw-away Postgres for tests: one server per test run, shared by all test processes of a
//! user, gone a few seconds after the last of them has ended, even when it was killed.
//!
//! ```no_run
//! # async fn example() {
//! use bigbrotr_schema::embedded::testing::TestServer;
//!
//! let server = TestServer::shared().await;
//! let migrate = async |url: String| -> Result<(), std::io::Error> {
//!     let _ = url; // run the migrations on it
//!     Ok(())
//! };
//! let database = server.database_from_template("hash of the migrations", migrate).await;
//! let url = database.url();
//! # }
//! ```
//!
//! The cluster stays in the temporary directory between runs, with the templates in it: the
//! next run starts in a fraction of a second. It is not synced to disk; after a reboot, or when
//! it does not start, it is made anew.

mod databases;
mod lifeline;

use std::fmt::Display;
use std::fs::{self, DirBuilder};
use std::future::Future;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::sync::OnceCell;

use self::databases::Failure;
use self::lifeline::Lifeline;
use super::account::Identity;
use super::config::{EmbeddedConfig, Owner};
use super::database::Access;
use super::lock::Lock;
use super::{EmbeddedError, EmbeddedPostgres, home, postmaster};

/// How long a test process waits for others to start the server.
const GATE_TIMEOUT: Duration = Duration::from_mins(2);

/// Settings that trade safety for speed, and room for many tests at once.
const SETTINGS: [(&str, &str); 11] = [
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("min_wal_size", "64MB"),
    ("max_wal_size", "1GB"),
    ("shared_buffers", "128MB"),
    ("huge_pages", "off"),
    ("max_connections", "500"),
    // A test that ends while one of its pools connects leaves a connection in mid-greeting, and
    // dropping a database waits for those.
    ("authentication_timeout", "3s"),
];

/// The Postgres that all tests of a run share.
#[derive(Debug)]
pub struct TestServer {
    access: Access,
    // Never dropped: the server goes on for the other test processes, and ends with the last
    // lifeline.
    _postgres: EmbeddedPostgres,
    _lifeline: Lifeline,
}

impl TestServer {
    /// The server of this test run; the first caller starts it.
    ///
    /// # Panics
    /// If there is no Postgres to start, with what was tried and what to do about it.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<TestServer> = OnceCell::const_new();
        match SHARED.get_or_try_init(|| Box::pin(start())).await {
            Ok(server) => server,
            Err(error) => panic!("no Postgres for the tests: {}", explain(&*error)),
        }
    }

    /// A new, empty database.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn empty_database(&self) -> TestDatabase {
        self.database("template1").await
    }

    /// A new database, copied from a template that is prepared once per key: pass the hash of
    /// what the preparation does. Only the first caller's preparation runs, on an empty
    /// database; its connections are closed afterwards.
    ///
    /// # Panics
    /// If the preparation fails or the server refuses.
    pub async fn database_from_template<P, F, E>(&self, key: &str, prepare: P) -> TestDatabase
    where
        P: FnOnce(String) -> F,
        F: Future<Output = Result<(), E>>,
        E: Display,
    {
        match Box::pin(databases::template(&self.access, key, prepare)).await {
            Ok(template) => self.database(&template).await,
            Err(error) => panic!("cannot prepare the template {key:?}: {}", explain(&*error)),
        }
    }

    /// The URL of the server's maintenance database, for its superuser: for tests of what a
    /// whole server has, such as roles. Those outlive the test.
    pub fn maintenance_url(&self) -> String {
        self.access.url(super::database::MAINTENANCE)
    }

    async fn database(&self, template: &str) -> TestDatabase {
        match databases::create(&self.access, template).await {
            Ok(name) => TestDatabase {
                access: self.access.clone(),
                name,
            },
            Err(error) => panic!("cannot create a database: {}", explain(&*error)),
        }
    }
}

/// A database of one test, dropped with this value.
#[derive(Debug)]
pub struct TestDatabase {
    access: Access,
    name: String,
}

impl TestDatabase {
    /// A new, empty database on the shared server.
    ///
    /// # Panics
    /// As [`TestServer::shared`].
    pub async fn create() -> Self {
        TestServer::shared().await.empty_database().await
    }

    /// Its URL, for the server's superuser.
    pub fn url(&self) -> String {
        self.access.url(&self.name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The server's port on 127.0.0.1, to put something in front of it.
    pub fn port(&self) -> u16 {
        self.access.port
    }
}

impl Drop for TestDatabase {
    /// Drops the database with everybody in it, as well as it can: the next run sweeps up.
    fn drop(&mut self) {
        // The test's own runtime may be on its way out, and cannot be waited for from here.
        std::thread::scope(|scope| {
            let dropping = scope.spawn(|| -> Result<(), Failure> {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime.block_on(databases::drop_database(&self.access, &self.name))
            });
            if let Ok(Err(error)) = dropping.join() {
                tracing::debug!(database = self.name, error = %error, "a test database stays");
            }
        });
    }
}

/// Starts or joins the server.
async fn start() -> Result<TestServer, Failure> {
    let root = root()?;
    let identity = Identity::decide(&root, &root)?;
    let gate = Lock::start(&root, &identity, GATE_TIMEOUT).await?;
    let config = config(&root);
    let data_dir = config.data_dir.clone();
    let cluster = cluster(&config)?;
    let lifeline = Lifeline::hold(&data_dir.with_extension("lifeline"), &cluster).await?;
    forget_before_boot(&data_dir, &cluster)?;
    let postgres = match EmbeddedPostgres::join_or_start(config.clone(), Owner::Command).await {
        // What tests leave behind is not worth a repair.
        Err(EmbeddedError::StartFailed { .. } | EmbeddedError::NotACluster { .. }) => {
            clear(&cluster)?;
            EmbeddedPostgres::join_or_start(config, Owner::Command).await?
        }
        joined => joined?,
    };
    let access = postgres.access.clone();
    if postgres.owned() {
        databases::sweep(&access).await?;
    }
    drop(gate);
    Ok(TestServer {
        access,
        _postgres: postgres,
        _lifeline: lifeline,
    })
}

fn config(root: &Path) -> EmbeddedConfig {
    // Another set of settings is another server: branches may differ.
    let key = hex::encode(&Sha256::digest(format!("{SETTINGS:?}"))[..6]);
    let mut config = EmbeddedConfig::new(root.join(key));
    config.settings = SETTINGS
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    config.download = false;
    config.fallback_dir = PathBuf::from("/var/tmp/bigbrotr-test");
    config
}

/// The directory of this user's test servers.
///
/// # Security
/// The temporary directory is everybody's: a directory that somebody else put there is refused.
fn root() -> Result<PathBuf, Failure> {
    let uid = rustix::process::geteuid();
    let path = std::env::temp_dir().join(format!("bigbrotr-test-{}", uid.as_raw()));
    let mode = if uid.is_root() { 0o711 } else { 0o700 };
    match DirBuilder::new().mode(mode).create(&path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(format!("cannot create {}: {error}", path.display()).into());
        }
        _ => {}
    }
    let found = fs::symlink_metadata(&path)?;
    if !found.is_dir() || found.uid() != uid.as_raw() {
        return Err(format!("{} belongs to somebody else", path.display()).into());
    }
    Ok(path.canonicalize()?)
}

/// Where the cluster is going to be, as the server sees it.
fn cluster(config: &EmbeddedConfig) -> Result<PathBuf, Failure> {
    let data_dir = home::prepare_data_dir(&config.data_dir)?;
    let identity = Identity::decide(&data_dir, &home::expected_cluster(&data_dir))?;
    Ok(home::Home::open(&data_dir, &config.fallback_dir, &identity)?.cluster())
}

/// Removes a cluster from before the last boot: what was not synced may be torn.
fn forget_before_boot(data_dir: &Path, cluster: &Path) -> Result<(), Failure> {
    let note = data_dir.join("boot");
    let boot = postmaster::boot();
    if fs::read_to_string(&note).is_ok_and(|noted| noted == boot) {
        return Ok(());
    }
    if postmaster::running(cluster).is_none() {
        clear(cluster)?;
        fs::write(&note, boot)?;
    }
    Ok(())
}

fn clear(cluster: &Path) -> io::Result<()> {
    match fs::remove_dir_all(cluster) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// An error with its causes, and what to do about it.
fn explain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    if let Some(hint) = error
        .downcast_ref::<EmbeddedError>()
        .and_then(EmbeddedError::hint)
    {
        text = format!("{text}. Hint: {hint}");
    }
    text
}
