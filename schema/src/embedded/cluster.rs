//! The cluster's files: created once, all of them or none, and its settings written at each
//! start.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::account::{self, Identity};
use super::config::EmbeddedConfig;
use super::database::SUPERUSER;
use super::error::EmbeddedError;
use super::home::{self, Home};
use super::installation::Installation;
use super::limits;
use super::settings;

/// The start of the name of a cluster that is not finished.
const UNFINISHED: &str = "pgdata.new-";

/// Who may connect: the superuser over the loopback interface, with its password.
const HBA: &str = "# Written by the node when it created the cluster.\n\
    host all all 127.0.0.1/32 scram-sha-256\n";

/// The major version that wrote the cluster; `None` when there is no cluster yet.
pub(super) fn major(home: &Home, identity: &Identity) -> Result<Option<u32>, EmbeddedError> {
    let path = home.cluster();
    let metadata = match fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(EmbeddedError::io("open", path)(source)),
    };
    if !metadata.is_dir() {
        return Err(EmbeddedError::NotADirectory { path });
    }
    let (owner, user) = (metadata.uid(), identity.server_uid());
    if owner != user {
        return Err(EmbeddedError::WrongOwner { path, owner, user });
    }
    match fs::read_to_string(path.join("PG_VERSION")) {
        Ok(text) => match text.trim().parse() {
            Ok(major) => Ok(Some(major)),
            Err(_) => Err(EmbeddedError::NotACluster { path }),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            // An empty directory is a mount point or somebody's preparation: not data.
            match fs::remove_dir(&path) {
                Ok(()) => Ok(None),
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                    Err(EmbeddedError::NotACluster { path })
                }
                Err(source) => Err(EmbeddedError::io("create the cluster in", path)(source)),
            }
        }
        Err(source) => Err(EmbeddedError::io("read", path.join("PG_VERSION"))(source)),
    }
}

/// Creates the cluster beside its place and then moves it there, so that one half made is never
/// taken for a good one.
pub(super) async fn create(
    home: &Home,
    installation: &Installation,
    config: &EmbeddedConfig,
    identity: &Identity,
) -> Result<(), EmbeddedError> {
    remove_unfinished(home)?;
    let secret = home.secret(identity)?;
    let unfinished = home
        .root()
        .join(format!("{UNFINISHED}{}", std::process::id()));
    let created = initialise(&unfinished, &secret, home, installation, config, identity).await;
    if let Err(error) = created {
        fs::remove_dir_all(&unfinished).ok();
        return Err(error);
    }
    let cluster = home.cluster();
    fs::rename(&unfinished, &cluster).map_err(EmbeddedError::io("create", &cluster))?;
    home.sync()
}

/// Writes the settings file. Whether it differs from the one that was there.
pub(super) fn write_settings(
    home: &Home,
    config: &EmbeddedConfig,
    identity: &Identity,
) -> Result<bool, EmbeddedError> {
    let logs = home.logs();
    match DirBuilder::new().mode(0o700).create(&logs) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            return Err(EmbeddedError::io("create the directory", logs)(error));
        }
        _ => account::give(&logs, identity.server_owner())?,
    }
    let text = settings::render(
        settings::memory_mb(),
        &logs.to_string_lossy(),
        &config.settings,
    )?;
    let path = home.cluster().join(settings::FILE_NAME);
    if fs::read_to_string(&path).is_ok_and(|present| present == text) {
        return Ok(false);
    }
    home::write_private(&path, &text, identity.server_owner())?;
    Ok(true)
}

fn remove_unfinished(home: &Home) -> Result<(), EmbeddedError> {
    let entries = fs::read_dir(home.root()).map_err(EmbeddedError::io("open", home.root()))?;
    for entry in entries.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            let path = entry.path();
            fs::remove_dir_all(&path).map_err(EmbeddedError::io("remove", path))?;
        }
    }
    Ok(())
}

async fn initialise(
    target: &Path,
    secret: &str,
    home: &Home,
    installation: &Installation,
    config: &EmbeddedConfig,
    identity: &Identity,
) -> Result<(), EmbeddedError> {
    tracing::info!(path = %home.cluster().display(), "creating the database cluster");
    DirBuilder::new()
        .mode(0o700)
        .create(target)
        .map_err(EmbeddedError::io("create the directory", target))?;
    account::give(target, identity.server_owner())?;
    let password_file = PasswordFile::create(home, secret, identity)?;

    let program = installation.bin_dir.join("initdb");
    let mut command = identity.command(&program);
    command
        .arg("--pgdata")
        .arg(target)
        .args([
            "--username",
            SUPERUSER,
            "--auth",
            "scram-sha-256",
            "--pwfile",
        ])
        .arg(&password_file.path)
        .args([
            "--encoding",
            "UTF8",
            "--locale",
            "C",
            "--data-checksums",
            "--no-instructions",
        ]);
    if config
        .settings
        .get("fsync")
        .is_some_and(|value| value == "off")
    {
        command.arg("--no-sync");
    }
    let finished = account::finish(command, limits::INITDB_TIMEOUT)
        .await
        .map_err(identity.spawn_error(&program))?;
    if !finished.status.success() {
        return Err(EmbeddedError::InitFailed {
            path: home.cluster(),
            outcome: format!("ended with {}", finished.status),
            output: account::last_lines(&finished.stderr),
        });
    }

    home::write_private(&target.join("pg_hba.conf"), HBA, identity.server_owner())?;
    let main = target.join("postgresql.conf");
    let mut text = fs::read_to_string(&main).map_err(EmbeddedError::io("read", &main))?;
    text.push_str(settings::INCLUDE);
    text.push('\n');
    home::write_private(&main, &text, identity.server_owner())
}

/// The password where `initdb` can read it, and gone afterwards.
struct PasswordFile {
    path: PathBuf,
}

impl PasswordFile {
    fn create(home: &Home, secret: &str, identity: &Identity) -> Result<Self, EmbeddedError> {
        let file = Self {
            path: home.root().join("secret.initdb"),
        };
        home::write_private(&file.path, secret, identity.server_owner())?;
        Ok(file)
    }
}

impl Drop for PasswordFile {
    fn drop(&mut self) {
        fs::remove_file(&self.path).ok();
    }
}
