//! Implementations: folders with configuration, relay lists and catalogue additions.
//!
//! A folder on disk wins; the ones that come with the program are built in, so that the binary
//! works wherever it is started.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bigbrotr_core::config::ConfigSource;
use include_dir::{Dir, include_dir};

static BUILT_IN: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/../implementations");

/// Where an implementation's files are.
#[derive(Debug, Clone)]
pub(crate) struct Implementation {
    /// Its name.
    pub(crate) name: String,
    folder: Folder,
}

#[derive(Debug, Clone)]
enum Folder {
    Disk(PathBuf),
    BuiltIn(&'static Dir<'static>),
}

impl Implementation {
    /// Finds an implementation by folder or by name.
    pub(crate) fn find(wanted: &str) -> anyhow::Result<Self> {
        let path = Path::new(wanted);
        if wanted.contains(std::path::MAIN_SEPARATOR) {
            if !path.is_dir() {
                bail!("cannot find the implementation: {wanted} is not a folder");
            }
            let name = path
                .file_name()
                .map_or_else(|| wanted.into(), |name| name.to_string_lossy());
            return Ok(Self {
                name: name.into_owned(),
                folder: Folder::Disk(path.to_owned()),
            });
        }
        let on_disk = Path::new("implementations").join(wanted);
        if on_disk.join("config").is_dir() {
            return Ok(Self {
                name: wanted.to_owned(),
                folder: Folder::Disk(on_disk),
            });
        }
        let Some(folder) = BUILT_IN.get_dir(wanted) else {
            let known: Vec<_> = BUILT_IN
                .dirs()
                .map(|dir| dir.path().display().to_string())
                .collect();
            bail!(
                "there is no implementation named {wanted:?}: expected one of {}, or a folder",
                known.join(", ")
            )
        };
        Ok(Self {
            name: wanted.to_owned(),
            folder: Folder::BuiltIn(folder),
        })
    }

    /// Reads the configuration files into a source.
    pub(crate) fn configure(&self, source: ConfigSource) -> anyhow::Result<ConfigSource> {
        match &self.folder {
            Folder::Disk(folder) => Ok(source.with_dir(&folder.join("config"))?),
            Folder::BuiltIn(folder) => {
                let mut source = source;
                let config = folder.path().join("config");
                for file in folder.get_dir(&config).into_iter().flat_map(Dir::files) {
                    let text = file.contents_utf8().unwrap_or_default();
                    source = source.with_file(Path::new("implementations").join(file.path()), text);
                }
                Ok(source)
            }
        }
    }

    /// Reads a file: a relative path is looked up in the implementation's folder first.
    pub(crate) fn read(&self, file: &Path) -> anyhow::Result<String> {
        match &self.folder {
            Folder::Disk(folder) if folder.join(file).is_file() => {
                let path = folder.join(file);
                std::fs::read_to_string(&path)
                    .with_context(|| format!("cannot read {}", path.display()))
            }
            Folder::BuiltIn(folder) => match folder.get_file(folder.path().join(file)) {
                Some(found) => Ok(found.contents_utf8().unwrap_or_default().to_owned()),
                None => read_plain(file),
            },
            Folder::Disk(_) => read_plain(file),
        }
    }

    /// The folder with catalogue additions, where there is one on disk.
    pub(crate) fn catalog_folder(&self) -> Option<PathBuf> {
        match &self.folder {
            Folder::Disk(folder) => Some(folder.join("catalog")).filter(|folder| folder.is_dir()),
            Folder::BuiltIn(_) => None,
        }
    }
}

fn read_plain(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}
