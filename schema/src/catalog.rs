//! The catalogue: one list of public questions, asked over NIP-90, REST and the command line.
//!
//! A question is an SQL file with a header (see [`entry`] for its form). The node brings its own;
//! an implementation adds files to its `catalog` folder. All are checked and prepared at start as
//! `readonly_public`. [`Catalog::run`] answers with finished JSON text, the same for every face.

pub mod entry;
pub mod error;
mod param;
mod run;
mod statement;

use std::collections::BTreeMap;
use std::path::Path;

use include_dir::{Dir, include_dir};

pub use self::entry::{Entry, Shape};
pub use self::error::{CatalogError, LoadError};
pub use self::param::{Param, ParamType};
pub use self::run::Answer;
use self::statement::Statement;
use crate::store::Store;

static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/catalog");

/// The name of the one question that is not SQL: what can be asked.
pub const CATALOG: &str = "catalog";

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
    /// Loads the built-in entries and those of `folders`, and prepares each on the database.
    ///
    /// # Errors
    /// [`LoadError`], which names the file and what is wrong with it. A folder's entry may not
    /// take a built-in's name.
    pub async fn load(store: Store, folders: &[&Path]) -> Result<Self, LoadError> {
        let mut catalog = Self {
            store,
            entries: BTreeMap::new(),
        };
        for entry in read_built_in()?.into_iter().chain(read_folders(folders)?) {
            let statements = catalog.prepare(&entry).await?;
            let (name, file) = (entry.name.clone(), entry.file.clone());
            if name == CATALOG || catalog.entries.contains_key(&name) {
                return Err(LoadError::new(
                    &file,
                    format!("there is another entry named {name}"),
                ));
            }
            catalog.entries.insert(name, (entry, statements));
        }
        Ok(catalog)
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
            let path = file.path().display().to_string();
            let text = file
                .contents_utf8()
                .ok_or_else(|| LoadError::new(&path, "the file is not UTF-8".to_owned()))?;
            Entry::parse(&path, text)
        })
        .collect()
}

/// Reads the entries of folders, sorted by file name. A folder that does not exist has none.
pub fn read_folders(folders: &[&Path]) -> Result<Vec<Entry>, LoadError> {
    let mut entries = Vec::new();
    for folder in folders {
        let failed = |error: std::io::Error| {
            LoadError::new(
                &folder.display().to_string(),
                format!("cannot read: {error}"),
            )
        };
        let mut files = match std::fs::read_dir(folder) {
            Ok(files) => files
                .map(|file| file.map(|file| file.path()))
                .collect::<Result<Vec<_>, _>>()
                .map_err(failed)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(failed(error)),
        };
        files.retain(|file| file.extension().is_some_and(|extension| extension == "sql"));
        files.sort();
        for file in files {
            let text = std::fs::read_to_string(&file).map_err(failed)?;
            entries.push(Entry::parse(&file.display().to_string(), &text)?);
        }
    }
    Ok(entries)
}
