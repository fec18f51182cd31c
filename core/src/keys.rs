//! The node's key: who signs what this node publishes.
//!
//! It comes from the environment or from a key file that only its owner may read; the first start
//! generates the file. Where the file is and what the environment says is decided elsewhere.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nostr::nips::nip19::ToBech32;
use nostr::{Keys, PublicKey, SecretKey};
use rand::CryptoRng;

use crate::config::{Secret, read_value_file};

/// The environment variable that holds the key, as nsec or hex.
pub const SECRET_KEY_VARIABLE: &str = "BIGBROTR_SECRET_KEY";

/// The environment variable that names a file with the key, as containers are handed secrets.
pub const SECRET_KEY_FILE_VARIABLE: &str = "BIGBROTR_SECRET_KEY_FILE";

/// The most that is read of a key file, in bytes: a key, and room for comments.
const MAX_FILE_BYTES: u64 = 4096;

/// The node's key pair.
///
/// # Security
///
/// `Debug` shows the public key only.
#[derive(Clone)]
pub struct NodeKeys {
    keys: Keys,
    source: KeySource,
}

/// Where the node's key came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// The environment.
    Environment,
    /// A key file that was there.
    File(PathBuf),
    /// A key file that was made just now.
    Generated(PathBuf),
}

/// The node has no key it can use.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The variable holds no key. The value is not repeated.
    #[error("{SECRET_KEY_VARIABLE} is not a secret key: expected nsec1… or 64 hex digits")]
    InvalidVariable,
    /// The key is given directly and by a file.
    #[error("{SECRET_KEY_VARIABLE} and {SECRET_KEY_FILE_VARIABLE} are both set: set one of them")]
    GivenTwice,
    /// The file holds no key. Its content is not repeated.
    #[error(
        "key file {} does not hold a secret key: expected one line, nsec1… or 64 hex digits",
        .path.display()
    )]
    InvalidFile {
        /// The key file.
        path: PathBuf,
    },
    /// Others may read the file.
    #[error("key file {0} is open to others (mode {mode:03o}): run chmod 600 {0}", .path.display())]
    TooOpen {
        /// The key file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// There is no file.
    #[error(
        "there is no key file {}: start the node once to generate it, or set {SECRET_KEY_VARIABLE}",
        .path.display()
    )]
    Missing {
        /// The key file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("cannot read key file {}: check that the node's user owns it", .path.display())]
    Unreadable {
        /// The key file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file cannot be made.
    #[error(
        "cannot create key file {}: check that the node's user may write there, \
         or set {SECRET_KEY_VARIABLE}",
        .path.display()
    )]
    Uncreatable {
        /// The key file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl NodeKeys {
    /// Where the key file is unless configured: `keys/node.nsec` under the data directory.
    pub fn default_path(data_dir: &Path) -> PathBuf {
        data_dir.join("keys").join("node.nsec")
    }

    /// Takes the key from the environment variable's value if there is one, else from the file,
    /// which is generated if it is missing.
    pub fn obtain<R: CryptoRng + ?Sized>(
        variable: Option<&Secret>,
        path: &Path,
        rng: &mut R,
    ) -> Result<Self, KeyError> {
        match variable.filter(|value| !value.expose().trim().is_empty()) {
            Some(value) => Self::from_variable(value),
            None => Self::load_or_generate(path, rng),
        }
    }

    /// Reads the file that [`SECRET_KEY_FILE_VARIABLE`] names, in the form of a key file.
    ///
    /// # Security
    ///
    /// Its mode is not looked at: a secret is mounted into a container with the mode that the
    /// container's machinery gives it, and nobody else is in there.
    pub fn load_mounted(path: &Path) -> Result<Self, KeyError> {
        let text = read_value_file(path).map_err(|source| KeyError::Unreadable {
            path: path.to_owned(),
            source,
        })?;
        let keys = parse_file(text.expose()).ok_or_else(|| KeyError::InvalidFile {
            path: path.to_owned(),
        })?;
        Ok(Self {
            keys,
            source: KeySource::File(path.to_owned()),
        })
    }

    /// Reads the value of [`SECRET_KEY_VARIABLE`].
    pub fn from_variable(value: &Secret) -> Result<Self, KeyError> {
        let keys = parse(value.expose()).ok_or(KeyError::InvalidVariable)?;
        Ok(Self {
            keys,
            source: KeySource::Environment,
        })
    }

    /// Reads a key file: one line with the key as nsec or hex; `#` starts a comment line.
    ///
    /// # Security
    ///
    /// Refuses a file that its group or others have any access to.
    pub fn load(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |source| KeyError::Unreadable {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => KeyError::Missing {
                path: path.to_owned(),
            },
            _ => unreadable(source),
        })?;
        // Asked of the open file, so it is the file that is read.
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeyError::TooOpen {
                path: path.to_owned(),
                mode,
            });
        }
        let mut text = Vec::new();
        file.take(MAX_FILE_BYTES)
            .read_to_end(&mut text)
            .map_err(unreadable)?;
        let keys = std::str::from_utf8(&text).ok().and_then(parse_file);
        let keys = keys.ok_or_else(|| KeyError::InvalidFile {
            path: path.to_owned(),
        })?;
        Ok(Self {
            keys,
            source: KeySource::File(path.to_owned()),
        })
    }

    /// Reads the key file, or makes one with a new key if there is none.
    ///
    /// Processes that start together end up with the same key: the first file stays.
    pub fn load_or_generate<R: CryptoRng + ?Sized>(
        path: &Path,
        rng: &mut R,
    ) -> Result<Self, KeyError> {
        match Self::load(path) {
            Err(KeyError::Missing { .. }) => {}
            result => return result,
        }
        let keys = generate(rng);
        match create(path, &keys, rng) {
            Ok(()) => Ok(Self {
                keys,
                source: KeySource::Generated(path.to_owned()),
            }),
            Err(source) if source.kind() == io::ErrorKind::AlreadyExists => Self::load(path),
            Err(source) => Err(KeyError::Uncreatable {
                path: path.to_owned(),
                source,
            }),
        }
    }

    /// The key pair, to sign with.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// The public key: the node's name on Nostr.
    pub fn public_key(&self) -> PublicKey {
        self.keys.public_key
    }

    /// Where the key came from.
    pub fn source(&self) -> &KeySource {
        &self.source
    }
}

impl fmt::Debug for NodeKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeKeys")
            .field("public_key", &self.keys.public_key.to_hex())
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

fn parse(text: &str) -> Option<Keys> {
    SecretKey::parse(text.trim()).ok().map(Keys::new)
}

/// Reads the only line that is neither blank nor a comment.
fn parse_file(text: &str) -> Option<Keys> {
    let mut lines = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let key = lines.next()?;
    if lines.next().is_some() {
        None
    } else {
        parse(key)
    }
}

fn generate<R: CryptoRng + ?Sized>(rng: &mut R) -> Keys {
    loop {
        let mut bytes = [0; SecretKey::LEN];
        rng.fill_bytes(&mut bytes);
        // Zero and numbers beyond the curve's order are no keys; neither will ever be drawn.
        if let Ok(key) = SecretKey::from_slice(&bytes) {
            return Keys::new(key);
        }
    }
}

/// Makes the key file so that it is there whole or not at all, and never readable by others.
fn create<R: CryptoRng + ?Sized>(path: &Path, keys: &Keys, rng: &mut R) -> io::Result<()> {
    let dir = path
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    create_dir(dir)?;
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{:016x}", rng.next_u64()));
    let draft = PathBuf::from(draft);
    let written = write(&draft, keys).and_then(|()| publish(&draft, path));
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return written.and(Err(error));
    }
    written?;
    File::open(dir)?.sync_all()
}

/// Makes the directory for keys private; what is above it may be shared with other users.
fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    if let Some(parent) = dir.parent() {
        fs::create_dir_all(parent)?;
    }
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
}

fn write(path: &Path, keys: &Keys) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)?;
    let Ok(nsec) = keys.secret_key().to_bech32();
    file.write_all(nsec.as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

/// Gives the draft its name unless that is taken. A rename would replace another process's key.
fn publish(draft: &Path, path: &Path) -> io::Result<()> {
    match fs::hard_link(draft, path) {
        // File systems without links, such as some mounts in containers.
        Err(error) if error.kind() == io::ErrorKind::Unsupported && !path.exists() => {
            fs::rename(draft, path)
        }
        result => result,
    }
}
