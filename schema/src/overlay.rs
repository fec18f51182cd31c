//! Overlays: an implementation's own SQL, run once each after the standard migrations.
//!
//! Files are named `NNNN_name.sql` and run in the order of their numbers, each in a transaction
//! together with the note that it has run. Like a migration, a file that was applied is never
//! edited: what changes comes in a new one with a higher number. Owns the files' form and their
//! errors; [`crate::store::Store::apply_overlays`] runs them.
//!
//! What an overlay makes belongs to the login of the services. The role `admin` may use it;
//! whatever the public faces shall read needs a `grant select … to readonly_public` in the file.

use sha2::{Digest, Sha256};

/// The overlays of one implementation, in their order.
#[derive(Debug, Clone, Default)]
pub struct Overlays {
    pub(crate) implementation: String,
    pub(crate) files: Vec<Overlay>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Overlay {
    pub(crate) version: i64,
    /// Where it was read, for messages.
    pub(crate) file: String,
    pub(crate) sql: String,
}

/// An overlay that has been run.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct AppliedOverlay {
    /// Its number.
    pub version: i64,
    /// Its file's name.
    pub file: String,
}

/// Why overlays cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OverlayError {
    /// A file's name has another form.
    #[error("{file}: expected a name such as 0001_my_tables.sql")]
    Name {
        /// The file.
        file: String,
    },
    /// Two files have one number.
    #[error("{file}: {other} has the same number")]
    Duplicate {
        /// The later file.
        file: String,
        /// The earlier file.
        other: String,
    },
    /// A file is not what it was when it was applied.
    #[error(
        "{file}: not the file {applied} that the implementation {implementation} has applied to \
         this database under the same number. Hint: restore that file, and put changes into a \
         new one with a higher number"
    )]
    Changed {
        /// The file.
        file: String,
        /// The applied file's name.
        applied: String,
        /// The implementation that applied it.
        implementation: String,
    },
    /// A file comes before one that was applied.
    #[error("{file}: comes too late, {applied} is applied already. Hint: give it a higher number")]
    Late {
        /// The file.
        file: String,
        /// The newest applied file.
        applied: String,
    },
    /// A file ends the transaction that it runs in.
    #[error("{file}: ends its transaction. Hint: leave out begin, commit and rollback")]
    Transaction {
        /// The file.
        file: String,
    },
    /// The database refuses a statement.
    #[error("{file}{place}: the database refuses it{detail}")]
    Refused {
        /// The file.
        file: String,
        /// `:line:column`, where the database says so.
        place: String,
        /// What else the database says.
        detail: String,
        /// The database's reason.
        #[source]
        source: sqlx::Error,
    },
}

impl Overlays {
    /// Takes the files of an implementation: path and text of each. Files that do not end in
    /// `.sql` are left alone.
    ///
    /// # Errors
    /// [`OverlayError::Name`] and [`OverlayError::Duplicate`].
    pub fn new(
        implementation: &str,
        files: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, OverlayError> {
        let mut overlays = Vec::new();
        for (file, text) in files {
            if !has_suffix(&file) {
                continue;
            }
            let version = number(&file).ok_or_else(|| OverlayError::Name { file: file.clone() })?;
            overlays.push(Overlay {
                version,
                file,
                // What a checkout does to the ends of lines is no change.
                sql: text.replace("\r\n", "\n"),
            });
        }
        overlays.sort_by_key(|overlay| overlay.version);
        for pair in overlays.windows(2) {
            if pair[0].version == pair[1].version {
                return Err(OverlayError::Duplicate {
                    file: pair[1].file.clone(),
                    other: pair[0].file.clone(),
                });
            }
        }
        Ok(Self {
            implementation: implementation.to_owned(),
            files: overlays,
        })
    }

    /// Says whether there are none.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }
}

impl Overlay {
    /// The file's name without its folder.
    pub(crate) fn name(&self) -> &str {
        file_name(&self.file)
    }

    pub(crate) fn checksum(&self) -> Vec<u8> {
        Sha256::digest(self.sql.as_bytes()).to_vec()
    }

    /// An error of the database, with its place in the file.
    pub(crate) fn refused(&self, source: sqlx::Error) -> OverlayError {
        let (mut place, mut detail) = (String::new(), String::new());
        if let sqlx::Error::Database(error) = &source
            && let Some(error) = error.try_downcast_ref::<sqlx::postgres::PgDatabaseError>()
        {
            if let Some(sqlx::postgres::PgErrorPosition::Original(position)) = error.position() {
                place = self::place(&self.sql, position);
            }
            for more in [error.detail(), error.hint(), error.r#where()]
                .into_iter()
                .flatten()
            {
                detail.push_str("; ");
                detail.push_str(more);
            }
        }
        OverlayError::Refused {
            file: self.file.clone(),
            place,
            detail,
            source,
        }
    }
}

/// `:line:column` of the character at a position, which counts from one.
fn place(sql: &str, position: usize) -> String {
    let before: String = sql.chars().take(position.saturating_sub(1)).collect();
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!(":{line}:{column}")
}

fn file_name(path: &str) -> &str {
    path.rsplit(['/', '\\']).next().unwrap_or(path)
}

fn has_suffix(file: &str) -> bool {
    std::path::Path::new(file)
        .extension()
        .is_some_and(|extension| extension == "sql")
}

/// The number at the start of a file's name.
fn number(file: &str) -> Option<i64> {
    let (digits, rest) = file_name(file).split_once('_')?;
    let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
    (plain && rest.len() > ".sql".len())
        .then(|| digits.parse().ok())
        .flatten()
        .filter(|version| *version > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overlays(names: &[&str]) -> Result<Overlays, OverlayError> {
        let files = names
            .iter()
            .map(|name| (format!("some/sql/{name}"), "select 1".to_owned()));
        Overlays::new("mine", files)
    }

    #[test]
    fn files_run_in_the_order_of_their_numbers() {
        let found = overlays(&["0010_c.sql", "2_b.sql", "0001_a.sql", "README.md"]).unwrap();
        let versions: Vec<i64> = found.files.iter().map(|overlay| overlay.version).collect();
        assert_eq!(versions, [1, 2, 10]);
        assert_eq!(found.files[0].name(), "0001_a.sql");
    }

    #[test]
    fn names_that_give_no_order_are_refused() {
        for name in [
            "a.sql",
            "_a.sql",
            "0000_a.sql",
            "1.sql",
            "1_.sql",
            "-1_a.sql",
            "+1_a.sql",
            "99999999999999999999_a.sql",
            "x1_a.sql",
        ] {
            let error = overlays(&[name]).unwrap_err().to_string();
            assert!(error.starts_with(&format!("some/sql/{name}: ")), "{error}");
        }
        let error = overlays(&["1_a.sql", "0001_b.sql"])
            .unwrap_err()
            .to_string();
        assert_eq!(
            error,
            "some/sql/0001_b.sql: some/sql/1_a.sql has the same number"
        );
    }

    #[test]
    fn ends_of_lines_are_no_change() {
        let one = Overlays::new("x", [("1_a.sql".to_owned(), "a\r\nb".to_owned())]).unwrap();
        let two = Overlays::new("x", [("1_a.sql".to_owned(), "a\nb".to_owned())]).unwrap();
        assert_eq!(one.files[0].checksum(), two.files[0].checksum());
    }

    #[test]
    fn places_count_characters_from_one() {
        assert_eq!(place("abc", 1), ":1:1");
        assert_eq!(place("ä\nöü x", 6), ":2:4");
        assert_eq!(place("", 99), ":1:1");
    }
}
