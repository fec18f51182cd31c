//! Decides, under the start lock, how to come by a server: take the one that runs, replace
//! it, or start one, creating the cluster and finding the programs as needed.

use std::path::PathBuf;

use super::account::Identity;
use super::cluster;
use super::config::EmbeddedConfig;
use super::download;
use super::error::{EmbeddedError, Wanted};
use super::home::Home;
use super::installation::{self, Installation, Need, Rejected};
use super::limits;
use super::lock::{ServerLock, UsersLock};
use super::postmaster::{self, Postmaster, Status};
use super::server::{self, Launch, Running};

/// A data directory with everything that is decided about it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) config: EmbeddedConfig,
    pub(super) data_dir: PathBuf,
    pub(super) identity: Identity,
    pub(super) home: Home,
}

/// A server come by.
#[derive(Debug)]
pub(super) struct Attached {
    pub(super) running: Running,
    pub(super) bin_dir: PathBuf,
    /// Whether it was started rather than found.
    pub(super) started: bool,
}

impl Place {
    /// Comes by a server on joining its users. The caller holds the start lock.
    pub(super) async fn attach(&self, users: &UsersLock) -> Result<Attached, EmbeddedError> {
        while let Some(attached) = self.find_running().await? {
            if users.alone() && self.outdated(&attached.running)? {
                tracing::info!("the settings have changed: restarting Postgres");
                self.stop_running().await?;
                continue;
            }
            return Ok(attached);
        }
        self.start(self.config.port).await
    }

    /// Comes by a server again, as one of its users, on the port it had if that is possible.
    pub(super) async fn reattach(&self, port: u16) -> Result<Attached, EmbeddedError> {
        if let Some(attached) = self.find_running().await? {
            return Ok(attached);
        }
        match self.start(port).await {
            Err(EmbeddedError::PortInUse { .. }) if self.config.port == 0 => self.start(0).await,
            started => started,
        }
    }

    /// Takes the server that runs on the cluster, waiting for it to be ready or to be gone.
    async fn find_running(&self) -> Result<Option<Attached>, EmbeddedError> {
        while let Some(found) = postmaster::running(&self.home.cluster()) {
            if found.status == Status::Stopping {
                self.await_stop(&found).await?;
                continue;
            }
            let secret = self.home.secret(&self.identity)?;
            let joined = server::join(&self.home, &secret, self.config.startup_timeout).await?;
            if let Some(running) = joined {
                let port = running.access.port;
                tracing::info!(
                    port,
                    pid = found.pid,
                    "using the Postgres that runs already"
                );
                let bin_dir = self.bin_dir_of_running().await?;
                return Ok(Some(Attached {
                    running,
                    bin_dir,
                    started: false,
                }));
            }
        }
        Ok(None)
    }

    /// Starts a server where none runs, creating the cluster if there is none.
    async fn start(&self, port: u16) -> Result<Attached, EmbeddedError> {
        let Self {
            config,
            identity,
            home,
            ..
        } = self;
        let lock = ServerLock::take(home.root(), identity).await?;
        let major = cluster::major(home, identity)?;
        let secret = home.secret(identity)?;
        let installation = self.find_programs(major).await?;
        if major.is_none() {
            cluster::create(home, &installation, config, identity).await?;
        }
        cluster::write_settings(home, config, identity)?;
        let launch = Launch {
            home,
            installation: &installation,
            identity,
            secret: &secret,
            lock: &lock,
            port,
        };
        let running = server::start(&launch, config.startup_timeout).await?;
        Ok(Attached {
            running,
            bin_dir: installation.bin_dir,
            started: true,
        })
    }

    /// Whether a running server differs from what the configuration asks for.
    fn outdated(&self, running: &Running) -> Result<bool, EmbeddedError> {
        let wanted = self.config.port;
        let moved = wanted != 0 && wanted != running.access.port;
        Ok(cluster::write_settings(&self.home, &self.config, &self.identity)? || moved)
    }

    async fn stop_running(&self) -> Result<(), EmbeddedError> {
        match postmaster::running(&self.home.cluster()) {
            Some(found) => server::stop(found.pid, self.config.stop_timeout).await,
            None => Ok(()),
        }
    }

    /// Waits for a server that is stopping; one that takes too long is told to hurry.
    async fn await_stop(&self, stopping: &Postmaster) -> Result<(), EmbeddedError> {
        let bound = self.config.stop_timeout;
        if server::await_end(stopping.pid, bound).await {
            return Ok(());
        }
        server::stop(stopping.pid, bound).await
    }

    async fn bin_dir_of_running(&self) -> Result<PathBuf, EmbeddedError> {
        if let Some(bin_dir) = postmaster::bin_dir(&self.home.cluster()) {
            return Ok(bin_dir);
        }
        let major = cluster::major(&self.home, &self.identity)?;
        Ok(self.find_programs(major).await?.bin_dir)
    }

    /// Finds a Postgres for the cluster, or for a new one; downloads one if that is allowed.
    async fn find_programs(&self, major: Option<u32>) -> Result<Installation, EmbeddedError> {
        let Self {
            config,
            identity,
            home,
            ..
        } = self;
        let need = match major {
            Some(major) if major < limits::MINIMUM_MAJOR => return Err(self.unsupported(major)),
            Some(major) => Need::Major(major),
            None => Need::Any(config.version.clone()),
        };
        let downloads = home.downloads();
        let installation = match installation::find(config, &downloads, &need, identity).await {
            Ok(installation) => installation,
            Err(tried) => {
                let download = if config.download && config.bin_dir.is_none() {
                    match download::install(&downloads, &need, identity).await {
                        Ok(installation) => return Ok(installation),
                        Err(reason) => Some(reason),
                    }
                } else {
                    None
                };
                return Err(self.not_found(major, tried, download));
            }
        };
        match major {
            Some(major) if !installation.version.satisfies(&config.version) => {
                Err(self.unsupported(major))
            }
            _ => Ok(installation),
        }
    }

    fn unsupported(&self, major: u32) -> EmbeddedError {
        let wanted = Wanted(self.config.version.clone());
        EmbeddedError::MajorUnsupported {
            path: self.home.cluster(),
            major,
            wanted,
        }
    }

    fn not_found(
        &self,
        major: Option<u32>,
        tried: Vec<Rejected>,
        download: Option<String>,
    ) -> EmbeddedError {
        match major {
            Some(major) => EmbeddedError::MajorNotInstalled {
                path: self.home.cluster(),
                major,
                tried,
                download,
            },
            None => EmbeddedError::NoPostgres {
                wanted: Wanted(self.config.version.clone()),
                tried,
                download,
            },
        }
    }
}
