//! The catalogue: one list of public questions, asked over NIP-90, REST and the command line.
//!
//! A question is an SQL file with a header (see [`entry`] for its form). The node brings its own;
//! an implementation adds those of its `catalog` folder. All are checked and prepared at start as
//! `readonly_public`. [`Catalog::run`] answers with finished JSON text, the same for every face.

mod document;
pub mod entry;
pub mod error;
mod filter;
mod param;
mod replica;
mod run;
mod statement;

use std::collections::BTreeMap;

use bigbrotr_core::error_chain::error_chain;
use include_dir::{Dir, include_dir};
use sqlx::Connection;

pub use self::document::document;
pub use self::entry::{Entry, Shape};
pub use self::error::{CatalogError, LoadError};
pub use self::param::{Param, ParamType};
pub use self::run::Answer;
use self::statement::Statement;
use crate::error::StoreError;
use crate::store::Store;

static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/catalog");

/// The name of the one question that is not SQL: what can be asked.
pub const CATALOG: &str = "catalog";

/// A file of an implementation's catalogue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CatalogFile {
    /// Where it was read, for messages.
    pub path: String,
    /// What it says.
    pub text: String,
}

impl CatalogFile {
    /// Takes a file that has been read.
    pub fn new(path: impl Into<String>, text: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
        }
    }
}

/// All questions that can be asked of this node.
pub struct Catalog {
    store: Store,
    entries: BTreeMap<String, (Entry, Vec<Statement>)>,
}

impl std::fmt::Debug for Catalog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Catalog")
            .field(&self.entries.keys())
            .finish()
    }
}

impl Catalog {
    /// Loads the built-in entries and an implementation's additions, and prepares each on the
    /// database. Waits a while for a replica that has not got this version's schema yet; one that
    /// is away is waited for by those who ask.
    ///
    /// # Errors
    /// [`LoadError`], which names the file and what is wrong with it. An addition may not take
    /// the name or the path of another entry.
    pub async fn load(store: Store, additions: &[CatalogFile]) -> Result<Self, LoadError> {
        let mut catalog = Self {
            store,
            entries: BTreeMap::new(),
        };
        let away = |error: StoreError| LoadError::new("the database", error_chain(&error));
        // Directly on the primary: a pooler has no room for what is prepared, and a replica may be
        // away or behind.
        let mut connection = catalog.store.direct_connection().await.map_err(away)?;
        for entry in read_built_in()?.into_iter().chain(read(additions)?) {
            catalog.require_new(&entry)?;
            let statements = catalog.prepare(&entry, &mut connection).await?;
            catalog
                .entries
                .insert(entry.name.clone(), (entry, statements));
        }
        connection
            .close()
            .await
            .map_err(|error| away(error.into()))?;
        catalog
            .await_replica()
            .await
            .map_err(|error| LoadError::new("database.replica_url", error_chain(&error)))?;
        Ok(catalog)
    }

    fn require_new(&self, entry: &Entry) -> Result<(), LoadError> {
        let refuse = |what: &str, owner: &str| {
            let reason = format!("{what} is taken by {owner}. Hint: choose another one");
            Err(LoadError::new(&entry.file, reason))
        };
        let name = format!("the name {}", entry.name);
        if entry.name == CATALOG {
            return refuse(&name, "the list of all questions");
        }
        if let Some((other, _)) = self.entries.get(&entry.name) {
            return refuse(&name, &other.file);
        }
        let path = format!("the path {}", entry.path);
        if entry.path == format!("/{CATALOG}") {
            return refuse(&path, "the list of all questions");
        }
        let shape = path_shape(&entry.path);
        match self.entries().find(|e| path_shape(&e.path) == shape) {
            Some(other) => refuse(&path, &other.file),
            None => Ok(()),
        }
    }

    /// Lists the entries by name.
    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values().map(|(entry, _)| entry)
    }

    /// Returns the entry with this name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.entries.get(name).map(|(entry, _)| entry)
    }
}

/// Reads the entries that come with the program, without a database.
pub fn read_built_in() -> Result<Vec<Entry>, LoadError> {
    BUILT_IN
        .files()
        .map(|file| {
            let path = format!("built-in {}", file.path().display());
            let text = file
                .contents_utf8()
                .ok_or_else(|| LoadError::new(&path, "the file is not UTF-8".to_owned()))?;
            Entry::parse(&path, text)
        })
        .collect()
}

/// Reads the entries of files, sorted by their paths.
fn read(files: &[CatalogFile]) -> Result<Vec<Entry>, LoadError> {
    let mut files: Vec<&CatalogFile> = files.iter().collect();
    files.sort_by_key(|file| &file.path);
    files
        .iter()
        .map(|file| Entry::parse(&file.path, &file.text))
        .collect()
}

/// A path with its parameters' names left out: two that are alike answer the same requests.
fn path_shape(path: &str) -> Vec<&str> {
    path.split('/')
        .map(|part| if part.starts_with('{') { "{}" } else { part })
        .collect()
}
