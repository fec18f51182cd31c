//! Where things are. A data directory holds the locks and `postgres`, the home of the
//! cluster:
//!
//! ```text
//! <data dir>/node.lock, start.lock
//! <data dir>/postgres/secret        the superuser's password, mode 600
//!                     users.lock, server.lock
//!                     pgdata/       the cluster; belongs to whoever runs Postgres
//!                     log/          the server's log, one file per weekday
//!                     startup.log   what the server said before it opened its log
//!                     dist/         downloaded versions of Postgres
//! ```
//!
//! When root runs the node and the account that runs Postgres cannot reach the data directory
//! (a clone under `/root`, say), the home is made under `/var/lib/bigbrotr` instead and
//! `postgres` is a symbolic link to it. Moving the data directory keeps the link valid;
//! deleting it leaves the home behind, and a new data directory gets a new one.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use rand::RngCore;
use rustix::fs::OFlags;
use sha2::{Digest, Sha256};

use super::account::{self, Identity, Owner, last_lines};
use super::error::EmbeddedError;
use super::limits;

/// The home of a cluster.
#[derive(Debug, Clone)]
pub(super) struct Home {
    root: PathBuf,
}

/// How far the files of the server's log had been written at some moment.
#[derive(Debug, Default)]
pub(super) struct LogMark {
    lengths: BTreeMap<PathBuf, u64>,
}

/// Creates the data directory if it is missing; its canonical path.
pub(super) fn prepare_data_dir(path: &Path) -> Result<PathBuf, EmbeddedError> {
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => {}
        Ok(_) => {
            return Err(EmbeddedError::NotADirectory {
                path: path.to_owned(),
            });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // Others may pass through root's directory to reach the cluster, not look into it.
            let mode = if rustix::process::geteuid().is_root() {
                0o711
            } else {
                0o700
            };
            create_dir_all(path, mode)?;
        }
        Err(source) => return Err(EmbeddedError::io("open", path)(source)),
    }
    path.canonicalize().map_err(EmbeddedError::io("open", path))
}

/// Where the cluster of a data directory is, or would be: to find out whose it is.
pub(super) fn expected_cluster(data_dir: &Path) -> PathBuf {
    link(data_dir).join("pgdata")
}

impl Home {
    /// Opens the home of a data directory, creating it if it is missing. The caller holds the
    /// start lock.
    pub(super) fn open(
        data_dir: &Path,
        fallback_dir: &Path,
        identity: &Identity,
    ) -> Result<Self, EmbeddedError> {
        let link = link(data_dir);
        match fs::symlink_metadata(&link) {
            Ok(found) if found.is_symlink() => follow(&link, found.uid(), identity)?,
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Err(EmbeddedError::NotADirectory { path: link }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                create(data_dir, &link, fallback_dir, identity)?;
            }
            Err(source) => return Err(EmbeddedError::io("open", link)(source)),
        }
        let root = link
            .canonicalize()
            .map_err(EmbeddedError::io("open", &link))?;
        if let Some(account) = &identity.account {
            identity
                .can_enter(&root)
                .map_err(|source| EmbeddedError::Unreachable {
                    account: account.name.clone(),
                    path: root.clone(),
                    source,
                })?;
        }
        Ok(Self { root })
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn cluster(&self) -> PathBuf {
        self.root.join("pgdata")
    }

    pub(super) fn logs(&self) -> PathBuf {
        self.root.join("log")
    }

    pub(super) fn startup_log(&self) -> PathBuf {
        self.root.join("startup.log")
    }

    pub(super) fn downloads(&self) -> PathBuf {
        self.root.join("dist")
    }

    pub(super) fn secret_file(&self) -> PathBuf {
        self.root.join("secret")
    }

    /// The superuser's password; made on first use, but never for a cluster that exists.
    pub(super) fn secret(&self, identity: &Identity) -> Result<String, EmbeddedError> {
        let path = self.secret_file();
        match fs::read_to_string(&path) {
            Ok(secret) => Ok(secret.trim().to_owned()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if self.cluster().exists() {
                    return Err(EmbeddedError::SecretMissing {
                        cluster: self.cluster(),
                        path,
                    });
                }
                let mut bytes = [0; limits::SECRET_BYTES];
                rand::rng().fill_bytes(&mut bytes);
                let secret = hex::encode(bytes);
                write_private(&path, &secret, identity.keeper())?;
                Ok(secret)
            }
            Err(source) => Err(EmbeddedError::io("read", path)(source)),
        }
    }

    /// How far the logs have been written, to tell apart what comes after.
    pub(super) fn log_mark(&self) -> LogMark {
        let lengths = files(&self.logs()).map(|(path, metadata)| (path, metadata.len()));
        LogMark {
            lengths: lengths.collect(),
        }
    }

    /// The log file that says most about the server since a mark, with its last lines.
    pub(super) fn log_tail(&self, mark: &LogMark) -> (PathBuf, String) {
        let startup = self.startup_log();
        let said = tail(&startup, 0);
        // Before it opens its own log the server writes to the start-up log, and says so
        // when it changes over.
        let newest = files(&self.logs())
            .filter_map(|(path, metadata)| Some((metadata.modified().ok()?, path)))
            .max();
        if said.contains("redirecting log output")
            && let Some((_, log)) = newest
        {
            let marked = mark.lengths.get(&log).copied().unwrap_or(0);
            let lines = last_lines(&tail(&log, marked));
            return (log, lines);
        }
        (startup, last_lines(&said))
    }

    /// Makes renames and new files in the home survive a power cut.
    pub(super) fn sync(&self) -> Result<(), EmbeddedError> {
        File::open(&self.root)
            .and_then(|directory| directory.sync_all())
            .map_err(EmbeddedError::io("sync", &self.root))
    }
}

/// Writes a file that only its owner can read, all of it or nothing.
pub(super) fn write_private(
    path: &Path,
    text: &str,
    owner: Option<Owner>,
) -> Result<(), EmbeddedError> {
    let unfinished = path.with_extension("new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let mut file = options
        .open(&unfinished)
        .map_err(EmbeddedError::io("write", &unfinished))?;
    account::give_file(&file, &unfinished, owner)?;
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .and_then(|()| fs::rename(&unfinished, path))
        .map_err(EmbeddedError::io("write", path))
}

fn link(data_dir: &Path) -> PathBuf {
    data_dir.join("postgres")
}

/// Checks that a link to a home can be followed.
fn follow(link: &Path, link_owner: u32, identity: &Identity) -> Result<(), EmbeddedError> {
    // Root follows only its own links: it is going to change owners behind them.
    if link_owner != identity.uid {
        let source = io::Error::from(io::ErrorKind::PermissionDenied);
        return Err(EmbeddedError::io("follow the link", link)(source));
    }
    match fs::metadata(link) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(EmbeddedError::HomeMissing {
            link: link.to_owned(),
            target: fs::read_link(link).unwrap_or_default(),
        }),
        Err(source) => Err(EmbeddedError::io("follow the link", link)(source)),
    }
}

fn create(
    data_dir: &Path,
    link: &Path,
    fallback_dir: &Path,
    identity: &Identity,
) -> Result<(), EmbeddedError> {
    let Some(account) = &identity.account else {
        return create_dir_all(link, 0o700);
    };
    let Err(source) = identity.can_enter(data_dir) else {
        create_dir_all(link, 0o711)?;
        return account::give(link, identity.keeper());
    };
    let unreachable = |path: &Path, source| EmbeddedError::Unreachable {
        account: account.name.clone(),
        path: path.to_owned(),
        source,
    };
    create_dir_all(fallback_dir, 0o711)?;
    if identity.can_enter(fallback_dir).is_err() {
        return Err(unreachable(data_dir, source));
    }
    let target = create_fallback(data_dir, fallback_dir)?;
    tracing::info!(
        data_dir = %data_dir.display(),
        cluster = %target.display(),
        "the account {} cannot reach the data directory: the database lives elsewhere",
        account.name
    );
    symlink(&target, link).map_err(EmbeddedError::io("create the link", link))
}

/// Makes a new directory for a data directory's cluster. One that an earlier data directory of
/// the same path left behind is somebody's data: it is neither used nor removed.
fn create_fallback(data_dir: &Path, fallback_dir: &Path) -> Result<PathBuf, EmbeddedError> {
    let digest = Sha256::digest(data_dir.as_os_str().as_encoded_bytes());
    let name = hex::encode(&digest[..8]);
    let mut target = fallback_dir.join(&name);
    let mut number = 1;
    while target.exists() {
        tracing::warn!(
            path = %target.display(),
            "an earlier data directory of this path left a database behind; \
             it is not used, remove it if nobody needs it"
        );
        number += 1;
        target = fallback_dir.join(format!("{name}-{number}"));
    }
    create_dir_all(&target, 0o711)?;
    Ok(target)
}

fn create_dir_all(path: &Path, mode: u32) -> Result<(), EmbeddedError> {
    DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(EmbeddedError::io("create the directory", path))
}

/// The end of a file, as far as it was written after a position.
fn tail(path: &Path, position: u64) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        // A file shorter than it was has been started over.
        let position = if length < position { 0 } else { position };
        file.seek(SeekFrom::Start(
            length.saturating_sub(limits::LOG_TAIL_BYTES).max(position),
        ))?;
        let mut bytes = Vec::new();
        file.take(limits::LOG_TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    read().unwrap_or_default()
}

fn files(directory: &Path) -> impl Iterator<Item = (PathBuf, fs::Metadata)> + use<> {
    fs::read_dir(directory)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
}
