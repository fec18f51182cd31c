//! A real Postgres, owned by the node: found on the machine or downloaded, started on the
//! data directory, shared by the node and its commands, stopped by whoever leaves last.
//!
//! - [`config`](EmbeddedConfig): what the caller decides.
//! - `home`, `cluster`, `settings`: the files. `account`: whose they are, and whom the server
//!   runs as.
//! - `installation`, `download`, `version`: the programs.
//! - `lock`: one node per data directory, one start at a time, the last one stops.
//! - `postmaster`, `server`: the process.
//! - `attach`: takes the running one or starts one. `database`: the only SQL.
//!
//! The server listens on 127.0.0.1 only and asks for a random password that lies in the data
//! directory, readable by its owner. It is its own process group: an interrupt on the terminal
//! reaches the node, and the node stops it in order. When the node is killed the server stays,
//! and the next start finds it. What connects to it, and what is in it, is not decided here.

mod account;
mod attach;
mod cluster;
mod config;
mod database;
mod download;
mod error;
mod home;
mod installation;
mod limits;
mod lock;
mod postmaster;
mod server;
mod settings;
#[cfg(feature = "testing")]
pub mod testing;
mod version;

use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use self::attach::Place;
pub use self::config::{EmbeddedConfig, Owner, Search};
use self::database::Access;
pub use self::error::{EmbeddedError, Wanted};
pub use self::installation::Rejected;
use self::lock::{Lock, UsersLock};
use self::postmaster::Shutdown;
pub use self::version::PostgresVersion;

/// A running Postgres that this process uses.
///
/// Call [`stop`](Self::stop) when done: it waits for the server to end if nobody else uses it.
/// Dropping only asks it to.
#[derive(Debug)]
pub struct EmbeddedPostgres {
    place: Place,
    access: Access,
    bin_dir: PathBuf,
    version: PostgresVersion,
    process: Option<Child>,
    started: bool,
    users: Option<UsersLock>,
    // Released last: fields are dropped in order.
    _node: Option<Lock>,
}

impl EmbeddedPostgres {
    /// Starts or takes over the server of a data directory for the node.
    ///
    /// # Errors
    /// [`EmbeddedError::NodeRunning`] if another node has the data directory, and everything
    /// [`join_or_start`](Self::join_or_start) can meet.
    pub async fn start(config: EmbeddedConfig) -> Result<Self, EmbeddedError> {
        Self::join_or_start(config, Owner::Node).await
    }

    /// Uses the server of a data directory, starting it if none runs. What it does and how
    /// long it takes is logged.
    ///
    /// # Errors
    /// Every [`EmbeddedError`] says what could not be done; its
    /// [`hint`](EmbeddedError::hint) says what to do about it. An existing cluster is never
    /// damaged by an error.
    pub async fn join_or_start(
        config: EmbeddedConfig,
        owner: Owner,
    ) -> Result<Self, EmbeddedError> {
        let data_dir = home::prepare_data_dir(&config.data_dir)?;
        let identity = account::Identity::decide(&data_dir, &home::expected_cluster(&data_dir))?;
        let node = match owner {
            Owner::Node => Some(Lock::node(&data_dir, &identity)?),
            Owner::Command => None,
        };
        let start = Lock::start(&data_dir, &identity, start_bound(&config)).await?;
        let home = home::Home::open(&data_dir, &config.fallback_dir, &identity)?;
        let users = UsersLock::join(home.root(), &identity)?;
        let place = Place {
            config,
            data_dir,
            identity,
            home,
        };
        let attached = Box::pin(place.attach(&users)).await?;
        let postgres = Self {
            place,
            access: attached.running.access,
            bin_dir: attached.bin_dir,
            version: attached.running.version,
            process: attached.running.process,
            started: attached.started,
            users: Some(users),
            _node: node,
        };
        // Released before the server is: leaving takes this lock itself.
        let _start = start;
        database::ensure(&postgres.access, database::DATABASE).await?;
        Ok(postgres)
    }

    /// The URL of the node's database, for its superuser.
    ///
    /// # Security
    /// It holds the password: do not log it.
    pub fn connection_url(&self) -> String {
        self.access.url(database::DATABASE)
    }

    /// The URL of another database of the same server.
    pub fn connection_url_for(&self, database: &str) -> String {
        self.access.url(database)
    }

    /// The port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.access.port
    }

    /// The directory with `pg_dump`, `psql` and their kin, of the server's version.
    pub fn bin_dir(&self) -> &Path {
        &self.bin_dir
    }

    /// The server's version.
    pub fn version(&self) -> PostgresVersion {
        self.version
    }

    /// Whether this process started the server; otherwise it joined one that ran already.
    pub fn owned(&self) -> bool {
        self.started
    }

    /// The cluster's directory.
    pub fn cluster(&self) -> PathBuf {
        self.place.home.cluster()
    }

    /// Starts the server again if its process is gone (killed for want of memory, say);
    /// whether that was necessary. The port stays if nobody has taken it meanwhile: ask for
    /// the URL again.
    pub async fn ensure_running(&mut self) -> Result<bool, EmbeddedError> {
        self.reap();
        let place = &self.place;
        let bound = start_bound(&place.config);
        let _start = Lock::start(&place.data_dir, &place.identity, bound).await?;
        let attached = Box::pin(place.reattach(self.access.port)).await?;
        self.access = attached.running.access;
        if attached.started {
            self.process = attached.running.process;
            self.version = attached.running.version;
            self.bin_dir = attached.bin_dir;
            self.started = true;
        }
        Ok(attached.started)
    }

    /// Stops using the server, and stops it if nobody else uses it: fast, and if that takes
    /// longer than the configuration allows, at once.
    pub async fn stop(mut self) -> Result<(), EmbeddedError> {
        let place = &self.place;
        let bound = start_bound(&place.config);
        let _start = Lock::start(&place.data_dir, &place.identity, bound).await?;
        let Some(users) = self.users.take() else {
            return Ok(());
        };
        if !users.is_last() {
            return Ok(());
        }
        let Some(running) = postmaster::running(&place.home.cluster()) else {
            return Ok(());
        };
        let stopped = server::stop(running.pid, place.config.stop_timeout).await;
        self.reap();
        stopped
    }

    /// Takes note of the end of a child, so that it does not stay behind as a zombie.
    fn reap(&mut self) {
        if let Some(child) = &mut self.process {
            child.try_wait().ok();
        }
    }
}

impl Drop for EmbeddedPostgres {
    /// Asks the server to stop if nobody else uses it and nobody is about to.
    fn drop(&mut self) {
        let place = &self.place;
        let start = Lock::start_now(&place.data_dir, &place.identity);
        // Declared after the start lock and so released before it, as everywhere.
        let Some(users) = self.users.take() else {
            return;
        };
        if start.is_some()
            && users.is_last()
            && let Some(running) = postmaster::running(&place.home.cluster())
        {
            postmaster::signal(running.pid, Shutdown::Fast).ok();
        }
    }
}

/// How long another process may be starting or stopping the server.
fn start_bound(config: &EmbeddedConfig) -> Duration {
    config.startup_timeout + config.stop_timeout + limits::START_LOCK_GRACE
}
