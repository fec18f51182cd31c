//! Implementations: folders with configuration, relay lists, SQL overlays and catalogue additions.
//!
//! | in the folder | what |
//! |---|---|
//! | `config/*.yaml` | one file a section |
//! | `seed_relays.txt`, `priority_relays.txt` | relays to begin with, and to follow closely |
//! | `sql/NNNN_name.sql` | run once each, in order, after the standard migrations |
//! | `catalog/*.sql` | questions beside the standard ones |
//!
//! A folder on disk wins; the ones that come with the program are built in, so that the binary
//! works wherever it is started.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use bigbrotr_core::config::ConfigSource;
use bigbrotr_schema::catalog::CatalogFile;
use bigbrotr_schema::overlay::Overlays;
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
            // `.` and `..` have names too.
            let full = path
                .canonicalize()
                .with_context(|| format!("cannot find the implementation {wanted}"))?;
            let name = full
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

    /// Reads the catalogue additions, `catalog/*.sql`.
    pub(crate) fn catalog(&self) -> anyhow::Result<Vec<CatalogFile>> {
        let files = self.sql_files("catalog")?.into_iter();
        Ok(files
            .map(|(path, text)| CatalogFile::new(path, text))
            .collect())
    }

    /// Reads the overlays, `sql/NNNN_name.sql`.
    pub(crate) fn overlays(&self) -> anyhow::Result<Overlays> {
        Ok(Overlays::new(&self.name, self.sql_files("sql")?)?)
    }

    /// Reads the SQL files of one of its folders, path and text of each, in no order. A folder
    /// that does not exist has none.
    fn sql_files(&self, folder: &str) -> anyhow::Result<Vec<(String, String)>> {
        let is_sql = |path: &Path| path.extension().is_some_and(|extension| extension == "sql");
        let mut files = Vec::new();
        match &self.folder {
            Folder::Disk(root) => {
                let folder = root.join(folder);
                let cannot_read = || format!("cannot read {}", folder.display());
                let found = match std::fs::read_dir(&folder) {
                    Err(error) if error.kind() == ErrorKind::NotFound => return Ok(files),
                    found => found.with_context(cannot_read)?,
                };
                for file in found {
                    let path = file.with_context(cannot_read)?.path();
                    if is_sql(&path) {
                        let text = std::fs::read_to_string(&path)
                            .with_context(|| format!("cannot read {}", path.display()))?;
                        files.push((path.display().to_string(), text));
                    }
                }
            }
            Folder::BuiltIn(root) => {
                let folder = root.get_dir(root.path().join(folder));
                for file in folder.into_iter().flat_map(Dir::files) {
                    if is_sql(file.path()) {
                        let path = Path::new("implementations").join(file.path());
                        let text = file
                            .contents_utf8()
                            .with_context(|| format!("{} is not UTF-8", path.display()))?;
                        files.push((path.display().to_string(), text.to_owned()));
                    }
                }
            }
        }
        Ok(files)
    }
}

fn read_plain(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    static SAMPLE: Dir<'static> = include_dir!("$CARGO_MANIFEST_DIR/tests/implementations");

    /// What it brings, without the folders in front of the files' names.
    fn contents(implementation: &Implementation) -> Vec<String> {
        let short = |path: String| path.rsplit('/').next().unwrap().to_owned();
        let mut names: Vec<String> = implementation
            .catalog()
            .unwrap()
            .into_iter()
            .map(|file| format!("{}: {}", short(file.path), file.text))
            .chain(
                implementation
                    .sql_files("sql")
                    .unwrap()
                    .into_iter()
                    .map(|(path, text)| format!("{}: {text}", short(path))),
            )
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_folder_brings_the_same_on_disk_and_built_in() {
        let on_disk = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/implementations/sample");
        let on_disk = Implementation::find(on_disk).unwrap();
        assert_eq!(on_disk.name, "sample");
        let built_in = Implementation {
            name: "sample".to_owned(),
            folder: Folder::BuiltIn(SAMPLE.get_dir("sample").unwrap()),
        };
        let found = contents(&built_in);
        assert_eq!(found.len(), 3, "{found:#?}");
        assert_eq!(found, contents(&on_disk));
        assert!(!built_in.overlays().unwrap().is_empty());
    }

    #[test]
    fn a_folder_without_sql_is_complete() {
        for name in ["bigbrotr", "lilbrotr", "template"] {
            let built_in = Implementation {
                name: name.to_owned(),
                folder: Folder::BuiltIn(BUILT_IN.get_dir(name).unwrap()),
            };
            built_in.catalog().unwrap();
            built_in.overlays().unwrap();
        }
    }
}
