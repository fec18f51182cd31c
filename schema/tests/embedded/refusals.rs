//! What the embedded Postgres refuses, clearly and without damage.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use bigbrotr_schema::embedded::{EmbeddedConfig, EmbeddedError, EmbeddedPostgres, Owner, Search};

use crate::helper::Scratch;

/// Every file below a directory with its content, to tell whether something changed.
fn snapshot(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(snapshot(&path));
        } else if path.extension().is_none_or(|extension| extension != "lock") {
            found.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    found
}

async fn refused(config: EmbeddedConfig) -> EmbeddedError {
    EmbeddedPostgres::join_or_start(config, Owner::Node)
        .await
        .unwrap_err()
}

#[tokio::test]
async fn a_file_in_place_of_the_data_directory() {
    let scratch = Scratch::new();
    fs::write(scratch.data_dir(), "precious").unwrap();
    let error = refused(scratch.config()).await;
    assert!(
        matches!(error, EmbeddedError::NotADirectory { .. }),
        "{error}"
    );
    assert!(error.hint().is_some());

    let mut config = scratch.config();
    config.data_dir = scratch.data_dir().join("below");
    let error = refused(config).await;
    assert!(matches!(error, EmbeddedError::Io { .. }), "{error}");
    assert!(error.hint().is_some());
    assert_eq!(fs::read_to_string(scratch.data_dir()).unwrap(), "precious");
}

#[tokio::test]
async fn a_file_in_place_of_the_home_or_the_cluster() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.data_dir()).unwrap();
    fs::write(scratch.home(), "precious").unwrap();
    let error = refused(scratch.config()).await;
    assert!(
        matches!(error, EmbeddedError::NotADirectory { .. }),
        "{error}"
    );
    fs::remove_file(scratch.home()).unwrap();

    fs::create_dir(scratch.home()).unwrap();
    fs::write(scratch.cluster(), "precious").unwrap();
    let error = refused(scratch.config()).await;
    assert!(!error.to_string().is_empty());
    assert_eq!(fs::read_to_string(scratch.cluster()).unwrap(), "precious");
}

#[tokio::test]
async fn a_data_directory_that_cannot_be_written() {
    if rustix::process::geteuid().is_root() {
        // Root writes anywhere: the device directory of processes is the exception.
        let error = refused(EmbeddedConfig::new("/proc/bigbrotr")).await;
        assert!(matches!(error, EmbeddedError::Io { .. }), "{error}");
        return;
    }
    let scratch = Scratch::new();
    fs::create_dir(scratch.data_dir()).unwrap();
    fs::set_permissions(scratch.data_dir(), fs::Permissions::from_mode(0o500)).unwrap();
    let error = refused(scratch.config()).await;
    assert!(matches!(error, EmbeddedError::Io { .. }), "{error}");
    assert!(error.hint().unwrap().contains("access"), "{error}");
    fs::set_permissions(scratch.data_dir(), fs::Permissions::from_mode(0o700)).unwrap();
}

#[tokio::test]
async fn a_cluster_of_a_version_that_is_not_installed() {
    let scratch = Scratch::new();
    EmbeddedPostgres::start(scratch.config())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let version = scratch.cluster().join("PG_VERSION");
    let right = fs::read(&version).unwrap();

    fs::write(&version, "99\n").unwrap();
    let before = snapshot(&scratch.home());
    let error = refused(scratch.config()).await;
    assert!(
        matches!(error, EmbeddedError::MajorNotInstalled { major: 99, .. }),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("postgresql-99"));
    assert_eq!(snapshot(&scratch.home()), before);

    fs::write(&version, "14\n").unwrap();
    let error = refused(scratch.config()).await;
    assert!(
        matches!(error, EmbeddedError::MajorUnsupported { major: 14, .. }),
        "{error}"
    );

    fs::write(&version, right).unwrap();
    EmbeddedPostgres::start(scratch.config())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_directory_that_is_no_cluster() {
    let scratch = Scratch::new();
    EmbeddedPostgres::start(scratch.config())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    fs::remove_file(scratch.cluster().join("PG_VERSION")).unwrap();
    let before = snapshot(&scratch.home());
    let error = refused(scratch.config()).await;
    assert!(
        matches!(error, EmbeddedError::NotACluster { .. }),
        "{error}"
    );
    assert!(error.hint().is_some());
    assert_eq!(snapshot(&scratch.home()), before);
}

#[tokio::test]
async fn a_cluster_without_its_password() {
    let scratch = Scratch::new();
    EmbeddedPostgres::start(scratch.config())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
    let secret = scratch.home().join("secret");
    let right = fs::read(&secret).unwrap();
    fs::remove_file(&secret).unwrap();
    let error = refused(scratch.config()).await;
    assert!(
        matches!(error, EmbeddedError::SecretMissing { .. }),
        "{error}"
    );

    fs::write(&secret, "not the password").unwrap();
    let error = refused(scratch.config()).await;
    assert!(
        matches!(error, EmbeddedError::SecretRefused { .. }),
        "{error}"
    );
    scratch.server_gone().await;

    fs::write(&secret, right).unwrap();
    EmbeddedPostgres::start(scratch.config())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn a_machine_without_postgres_says_what_was_tried() {
    let scratch = Scratch::new();
    let mut config = scratch.config();
    let incomplete = scratch.data_dir().join("incomplete");
    fs::create_dir_all(&incomplete).unwrap();
    symlink("/bin/false", incomplete.join("postgres")).unwrap();
    config.search = Search {
        path: vec![incomplete.clone(), "/nowhere".into()],
        ..Search::default()
    };
    let error = refused(config.clone()).await;
    assert!(
        matches!(error, EmbeddedError::NoPostgres { download: None, .. }),
        "{error}"
    );
    let hint = error.hint().unwrap();
    assert!(hint.contains("apt-get install postgresql") && hint.contains("DATABASE_URL"));
    assert!(error.to_string().contains("PATH"), "{error}");

    // A directory that the operator named is the only one looked at.
    config.bin_dir = Some(incomplete.clone());
    config.search = Search::from_environment();
    let error = refused(config.clone()).await;
    assert!(error.to_string().contains("no initdb"), "{error}");

    // Programs that are there but are not Postgres.
    for program in ["initdb", "pg_ctl"] {
        symlink("/bin/false", incomplete.join(program)).unwrap();
    }
    let error = refused(config).await;
    assert!(
        error.to_string().contains("postgres does not run"),
        "{error}"
    );
}

#[tokio::test]
async fn an_installation_is_found_without_path_and_variables() {
    let installed = Search::from_environment();
    let scratch = Scratch::new();
    let mut config = scratch.config();
    let usual = Search {
        usual: installed.usual,
        ..Search::default()
    };
    if usual
        .usual
        .iter()
        .all(|directory| !directory.join("initdb").is_file())
    {
        return;
    }
    config.search = usual;
    EmbeddedPostgres::start(config)
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}

#[tokio::test]
async fn an_initdb_that_fails_leaves_no_cluster() {
    let scratch = Scratch::new();
    let started = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    let real = started.bin_dir().to_owned();
    started.stop().await.unwrap();

    let broken = Scratch::new();
    let mut config = broken.config();
    let bin_dir = broken.data_dir().join("bin");
    fs::create_dir_all(&bin_dir).unwrap();
    for program in ["postgres", "pg_ctl"] {
        fs::copy(real.join(program), bin_dir.join(program)).unwrap();
    }
    let script = "#!/bin/sh\necho 'initdb: error: No space left on device' >&2\nexit 1\n";
    fs::write(bin_dir.join("initdb"), script).unwrap();
    fs::set_permissions(bin_dir.join("initdb"), fs::Permissions::from_mode(0o755)).unwrap();
    config.bin_dir = Some(bin_dir);
    let error = refused(config).await;
    assert!(matches!(error, EmbeddedError::InitFailed { .. }), "{error}");
    assert!(error.hint().unwrap().contains("space"), "{error}");
    let left: Vec<_> = fs::read_dir(broken.home())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("pgdata"))
        .collect();
    assert!(left.is_empty(), "{left:?}");

    EmbeddedPostgres::start(broken.config())
        .await
        .unwrap()
        .stop()
        .await
        .unwrap();
}
