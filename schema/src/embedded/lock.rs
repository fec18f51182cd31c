//! The locks of a data directory, all `flock`: the kernel releases them when their process
//! ends, however it ends, and it knows of processes in other containers.
//!
//! - `node.lock`, exclusive for a node's life: one node per data directory.
//! - `start.lock`, exclusive while a server is looked for, started or stopped.
//! - `users.lock`, shared by everyone who uses the server: who leaves last, under
//!   `start.lock`, gets it exclusively and stops the server.
//! - `server.lock`, held by the server's processes themselves: there is never a second server
//!   on a cluster, not even beside the last sessions of one that was killed.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::OFlags;
use tokio::time::{Instant, sleep};

use super::account::{self, Identity};
use super::error::EmbeddedError;
use super::limits;

/// A locked file that says who locked it.
#[derive(Debug)]
pub(super) struct Lock {
    file: File,
}

impl Lock {
    /// Takes the lock of the node, or says which process has it.
    pub(super) fn node(data_dir: &Path, identity: &Identity) -> Result<Self, EmbeddedError> {
        let path = data_dir.join("node.lock");
        let mut file = open(&path, identity)?;
        if !try_exclusive(&file, &path)? {
            let pid = read_pid(&mut file);
            return Err(EmbeddedError::NodeRunning {
                data_dir: data_dir.to_owned(),
                pid,
            });
        }
        write_pid(&mut file).map_err(EmbeddedError::io("write", &path))?;
        Ok(Self { file })
    }

    /// Waits for the start lock.
    pub(super) async fn start(
        data_dir: &Path,
        identity: &Identity,
        bound: Duration,
    ) -> Result<Self, EmbeddedError> {
        let path = start_lock(data_dir);
        let mut file = open(&path, identity)?;
        let began = Instant::now();
        while !try_exclusive(&file, &path)? {
            let waited = began.elapsed();
            if waited >= bound {
                let pid = read_pid(&mut file);
                return Err(EmbeddedError::StartLocked { path, pid, waited });
            }
            sleep(limits::POLL_INTERVAL).await;
        }
        write_pid(&mut file).map_err(EmbeddedError::io("write", &path))?;
        Ok(Self { file })
    }

    /// Takes the start lock if nobody has it.
    pub(super) fn start_now(data_dir: &Path, identity: &Identity) -> Option<Self> {
        let path = start_lock(data_dir);
        let file = open(&path, identity).ok()?;
        try_exclusive(&file, &path).ok()?.then_some(Self { file })
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Unlocking beats closing: a child on its way from fork to exec still has the file.
        // An error leaves the lock to the kernel.
        self.file.set_len(0).and_then(|()| self.file.unlock()).ok();
    }
}

/// The shared lock of everyone who uses the server.
#[derive(Debug)]
pub(super) struct UsersLock {
    path: PathBuf,
    file: File,
    alone: bool,
}

impl UsersLock {
    /// Joins the users. The caller holds the start lock.
    pub(super) fn join(home: &Path, identity: &Identity) -> Result<Self, EmbeddedError> {
        let path = home.join("users.lock");
        let file = open(&path, identity)?;
        let alone = try_exclusive(&file, &path)?;
        // Nobody can come between the two: that takes the start lock.
        file.lock_shared()
            .map_err(EmbeddedError::io("lock", &path))?;
        Ok(Self { path, file, alone })
    }

    /// Whether nobody else used the server when this lock was taken.
    pub(super) fn alone(&self) -> bool {
        self.alone
    }

    /// Leaves the users; whether this was the last one. The caller holds the start lock.
    pub(super) fn is_last(&self) -> bool {
        try_exclusive(&self.file, &self.path).unwrap_or(false)
    }
}

impl Drop for UsersLock {
    fn drop(&mut self) {
        self.file.unlock().ok();
    }
}

/// The lock that a server's processes hold as long as one of them lives: they inherit it as
/// their standard input, which Postgres does not use.
#[derive(Debug)]
pub(super) struct ServerLock {
    path: PathBuf,
    file: File,
}

impl ServerLock {
    /// Waits until no process of an earlier server is left. The caller holds the start lock.
    pub(super) async fn take(home: &Path, identity: &Identity) -> Result<Self, EmbeddedError> {
        let path = home.join("server.lock");
        let file = open(&path, identity)?;
        let began = Instant::now();
        while !try_exclusive(&file, &path)? {
            if began.elapsed() >= limits::SERVER_GONE_TIMEOUT {
                return Err(EmbeddedError::InUseElsewhere {
                    path: home.to_owned(),
                });
            }
            sleep(limits::POLL_INTERVAL).await;
        }
        Ok(Self { path, file })
    }

    /// The lock as a server's standard input. It stays locked when this process closes it.
    pub(super) fn inherited(&self) -> Result<Stdio, EmbeddedError> {
        let file = self.file.try_clone();
        file.map(Stdio::from)
            .map_err(EmbeddedError::io("open", &self.path))
    }
}

fn start_lock(data_dir: &Path) -> PathBuf {
    data_dir.join("start.lock")
}

fn open(path: &Path, identity: &Identity) -> Result<File, EmbeddedError> {
    let mut options = OpenOptions::new();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    // Root may be working in somebody else's directory: it follows no link of theirs.
    options.custom_flags(OFlags::NOFOLLOW.bits() as i32);
    let file = options
        .open(path)
        .map_err(EmbeddedError::io("open", path))?;
    account::give_file(&file, path, identity.keeper())?;
    Ok(file)
}

fn try_exclusive(file: &File, path: &Path) -> Result<bool, EmbeddedError> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(source)) => Err(EmbeddedError::io("lock", path)(source)),
    }
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    writeln!(file, "{}", std::process::id())
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(32).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}
