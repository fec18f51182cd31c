//! What only root meets: Postgres must run as somebody else, who may not reach the data.
//! An ordinary user passes these tests without doing anything.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};

use bigbrotr_schema::embedded::{EmbeddedError, EmbeddedPostgres};

use crate::helper::{Scratch, answers, open_directory};

fn close_to_others(scratch: &Scratch) {
    let parent = scratch.data_dir().parent().unwrap().to_owned();
    fs::set_permissions(parent, fs::Permissions::from_mode(0o700)).unwrap();
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[tokio::test]
async fn a_private_data_directory_gets_its_cluster_elsewhere() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    close_to_others(&scratch);
    let elsewhere = open_directory();
    let mut config = scratch.config();
    config.fallback_dir = elsewhere.path().join("bigbrotr");

    let postgres = EmbeddedPostgres::start(config.clone()).await.unwrap();
    assert!(answers(&postgres).await);
    assert!(postgres.cluster().starts_with(&config.fallback_dir));
    assert!(fs::symlink_metadata(scratch.home()).unwrap().is_symlink());
    assert_ne!(fs::metadata(postgres.cluster()).unwrap().uid(), 0);
    let first = postgres.cluster();
    postgres.stop().await.unwrap();

    // The link is followed, also after a move.
    let moved = scratch.data_dir().with_file_name("moved");
    fs::rename(scratch.data_dir(), &moved).unwrap();
    let mut there = config.clone();
    there.data_dir = moved;
    let postgres = EmbeddedPostgres::start(there).await.unwrap();
    assert_eq!(postgres.cluster(), first);
    postgres.stop().await.unwrap();

    // A new data directory in the old place is a new database.
    let postgres = EmbeddedPostgres::start(config.clone()).await.unwrap();
    let second = postgres.cluster();
    assert_ne!(second, first);
    postgres.stop().await.unwrap();

    fs::rename(second.parent().unwrap(), elsewhere.path().join("lost")).unwrap();
    let error = EmbeddedPostgres::start(config).await.unwrap_err();
    assert!(
        matches!(error, EmbeddedError::HomeMissing { .. }),
        "{error}"
    );
    assert!(error.hint().is_some());
}

#[tokio::test]
async fn nowhere_to_put_the_cluster_is_said_before_anything_is_made() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    close_to_others(&scratch);
    let mut config = scratch.config();
    config.fallback_dir = scratch.data_dir().with_file_name("private too");
    let error = EmbeddedPostgres::start(config).await.unwrap_err();
    assert!(
        matches!(error, EmbeddedError::Unreachable { .. }),
        "{error}"
    );
    assert!(error.hint().unwrap().contains("chmod"));
    assert!(!scratch.home().exists());
}

#[tokio::test]
async fn a_data_directory_of_an_ordinary_user_stays_theirs() {
    if !is_root() {
        return;
    }
    let scratch = Scratch::new();
    fs::create_dir(scratch.data_dir()).unwrap();
    let (uid, gid) = (65534, 65534);
    chown(scratch.data_dir(), Some(uid), Some(gid)).unwrap();
    let postgres = EmbeddedPostgres::start(scratch.config()).await.unwrap();
    let owner = |path: &str| fs::metadata(scratch.data_dir().join(path)).unwrap().uid();
    let made = [
        "node.lock",
        "start.lock",
        "postgres",
        "postgres/secret",
        "postgres/users.lock",
        "postgres/startup.log",
        "postgres/pgdata",
        "postgres/log",
    ];
    for path in made {
        assert_eq!(owner(path), uid, "{path}");
    }
    postgres.stop().await.unwrap();
}
