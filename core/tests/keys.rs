//! The node's key: it survives restarts, stays private, and errors say what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::thread;

use bigbrotr_core::config::Secret;
use bigbrotr_core::keys::{KeyError, KeySource, NodeKeys};
use rand::SeedableRng;
use rand::rngs::StdRng;

const HEX: &str = "0000000000000000000000000000000000000000000000000000000000000003";
/// The same key in NIP-19 form.
const NSEC: &str = "nsec1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqps52s3re";
const PUBLIC: &str = "f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9";
/// The public key in NIP-19 form.
const NPUB: &str = "npub1lycg5qvjtrp3qjf5f7zl382j9x6nrjz9sdhenvyxq8c3808qxmus6gq266";

fn rng() -> StdRng {
    StdRng::from_os_rng()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path)
        .expect("the file is there")
        .permissions()
        .mode()
        & 0o777
}

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).expect("the directory is ours");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("the file is ours");
}

#[test]
fn a_generated_key_is_private_and_the_same_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let path = NodeKeys::default_path(dir.path());
    assert!(path.ends_with("keys/node.nsec"));

    let first = NodeKeys::load_or_generate(&path, &mut rng()).unwrap();
    assert_eq!(*first.source(), KeySource::Generated(path.clone()));
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    assert!(fs::read_to_string(&path).unwrap().starts_with("nsec1"));
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "no draft is left"
    );

    let second = NodeKeys::load_or_generate(&path, &mut rng()).unwrap();
    assert_eq!(*second.source(), KeySource::File(path));
    assert_eq!(second.public_key(), first.public_key());
}

#[test]
fn nsec_and_hex_files_hold_the_same_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.nsec");
    for text in [NSEC, HEX, &format!("# the node\n\n  {NSEC}\r\n")] {
        write(&path, text, 0o600);
        assert_eq!(NodeKeys::load(&path).unwrap().public_key().to_hex(), PUBLIC);
    }
    write(&path, HEX, 0o400);
    assert!(NodeKeys::load(&path).is_ok());
}

#[test]
fn a_file_open_to_others_is_refused_even_for_root() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.nsec");
    for mode in [0o640, 0o604, 0o620, 0o644, 0o777] {
        write(&path, NSEC, mode);
        let error = NodeKeys::load_or_generate(&path, &mut rng()).unwrap_err();
        let path = path.display();
        assert_eq!(
            error.to_string(),
            format!("key file {path} is open to others (mode {mode:03o}): run chmod 600 {path}")
        );
    }
}

#[test]
fn a_file_without_a_key_is_refused_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node.nsec");
    let zero = "0".repeat(64);
    for text in [
        "",
        "# only a comment",
        "nsec1nonsense",
        NPUB,
        &zero,
        &format!("{HEX}\n{HEX}"),
    ] {
        write(&path, text, 0o600);
        let error = NodeKeys::load_or_generate(&path, &mut rng()).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!(
                "key file {} does not hold a secret key: \
                 expected one line, nsec1… or 64 hex digits",
                path.display()
            )
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
    }
}

#[test]
fn a_missing_file_says_what_to_do() {
    let error = NodeKeys::load("no/such/node.nsec".as_ref()).unwrap_err();
    assert!(matches!(error, KeyError::Missing { .. }));
    assert_eq!(
        error.to_string(),
        "there is no key file no/such/node.nsec: \
         start the node once to generate it, or set BIGBROTR_SECRET_KEY"
    );
}

#[test]
fn what_is_no_file_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o700)).unwrap();
    assert!(matches!(
        NodeKeys::load(dir.path()),
        Err(KeyError::Unreadable { .. })
    ));

    let blocked = dir.path().join("blocked");
    fs::write(&blocked, "").unwrap();
    let error = NodeKeys::load_or_generate(&blocked.join("node.nsec"), &mut rng()).unwrap_err();
    assert!(std::error::Error::source(&error).is_some(), "{error}");
}

#[test]
fn the_environment_wins_over_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = NodeKeys::default_path(dir.path());
    let variable = Secret::new(format!(" {NSEC}\n"));
    let keys = NodeKeys::obtain(Some(&variable), &path, &mut rng()).unwrap();
    assert_eq!(
        (keys.public_key().to_hex().as_str(), keys.source()),
        (PUBLIC, &KeySource::Environment)
    );
    assert!(!path.exists());

    let empty = Secret::new("");
    let keys = NodeKeys::obtain(Some(&empty), &path, &mut rng()).unwrap();
    assert_eq!(*keys.source(), KeySource::Generated(path));
}

#[test]
fn a_bad_variable_is_not_repeated() {
    let error = NodeKeys::from_variable(&Secret::new("hunter2"))
        .unwrap_err()
        .to_string();
    assert_eq!(
        error,
        "BIGBROTR_SECRET_KEY is not a secret key: expected nsec1… or 64 hex digits"
    );
}

#[test]
fn debug_does_not_show_the_secret() {
    let keys = NodeKeys::from_variable(&Secret::new(HEX)).unwrap();
    let text = format!("{keys:?}");
    assert!(text.contains(PUBLIC), "{text}");
    assert!(!text.contains(HEX) && !text.contains("nsec"), "{text}");
}

#[test]
fn processes_that_start_together_agree_on_the_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = NodeKeys::default_path(dir.path());
    let starts: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            thread::spawn(move || NodeKeys::load_or_generate(&path, &mut rng()).unwrap())
        })
        .collect();
    let keys: Vec<_> = starts
        .into_iter()
        .map(|start| start.join().unwrap().public_key())
        .collect();
    assert!(keys.iter().all(|key| *key == keys[0]));
    assert_eq!(NodeKeys::load(&path).unwrap().public_key(), keys[0]);
}

#[test]
fn a_mounted_key_is_taken_whatever_its_mode_and_never_made() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("node_key");
    let error = NodeKeys::load_mounted(&path).unwrap_err();
    assert!(matches!(error, KeyError::Unreadable { .. }), "{error}");
    assert!(!path.exists());
    write(&path, &format!("# ours\n{HEX}\n"), 0o444);
    let keys = NodeKeys::load_mounted(&path).unwrap();
    assert_eq!(keys.public_key().to_hex(), PUBLIC);
    assert_eq!(keys.source(), &KeySource::File(path.clone()));
    fs::remove_file(&path).unwrap();
    write(&path, "hunter2", 0o444);
    let error = NodeKeys::load_mounted(&path).unwrap_err().to_string();
    assert!(!error.contains("hunter2"), "{error}");
}
