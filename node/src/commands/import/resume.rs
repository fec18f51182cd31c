//! Where the import of a file begins: at its start, or where an earlier import ended.
//!
//! A file is known by its beginning, its size and its end. Whatever is between is trusted to be
//! what it was, as reading it all would be most of the import; `--restart` is for those who changed
//! a file in its middle. The text before an import's offset is a prefix that has not changed as
//! long as the file was only appended to, so a file that has grown is continued, packed or not.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::time::UNIX_EPOCH;

use bigbrotr_schema::store::{FileMark, ImportProgress, ImportRecord, RelayId, Store};
use sha2::{Digest, Sha256};

use crate::limits::IMPORT_MARK_BYTES;

/// What the operator wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    /// Read every file from its start.
    pub(super) restart: bool,
    /// Stop at the first line that is bad.
    pub(super) strict: bool,
}

/// Where the import of a file begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Begin {
    /// Behind what the record says is done.
    Behind(ImportRecord),
    /// Nowhere: it was imported to its end, and has not been touched since.
    Done(ImportRecord),
}

/// Finds out where the import of a file begins, and makes a record of it.
pub(super) async fn begin(
    store: &Store,
    file: &mut File,
    relay: Option<RelayId>,
    wish: Wish,
) -> anyhow::Result<Begin> {
    let mark = mark(file)?;
    let mut known = None;
    for record in store.list_imports(mark.head, relay).await? {
        let size = record.file.size_bytes;
        if size <= mark.size_bytes && tail(file, size)? == record.file.tail {
            known = Some(record);
            break;
        }
    }
    let Some(known) = known else {
        let id = store.insert_import(&mark, relay).await?;
        return Ok(Begin::Behind(anew(id, mark)));
    };
    Ok(decide(&known, mark, wish))
}

/// Decides for a file of which an earlier import is known, under this mark or a shorter one.
fn decide(known: &ImportRecord, mark: FileMark, wish: Wish) -> Begin {
    let grown = mark.size_bytes > known.file.size_bytes;
    let progress = &known.progress;
    let flawed = progress.bad_lines + progress.ingested.refused > 0;
    if wish.restart {
        Begin::Behind(anew(known.id, mark))
    } else if grown || !known.complete {
        Begin::Behind(ImportRecord {
            file: mark,
            complete: false,
            ..*known
        })
    } else if mark == known.file && !(wish.strict && flawed) {
        Begin::Done(*known)
    } else {
        Begin::Behind(anew(known.id, mark))
    }
}

fn anew(id: i64, file: FileMark) -> ImportRecord {
    ImportRecord {
        id,
        file,
        progress: ImportProgress::default(),
        complete: false,
    }
}

fn mark(file: &mut File) -> io::Result<FileMark> {
    let metadata = file.metadata()?;
    let modified = metadata.modified()?;
    let size_bytes = metadata.len();
    Ok(FileMark {
        head: hash(file, 0, IMPORT_MARK_BYTES.min(size_bytes))?,
        tail: tail(file, size_bytes)?,
        size_bytes,
        modified_ns: modified.duration_since(UNIX_EPOCH).map_or_else(
            |before| -(before.duration().as_nanos() as i64),
            |after| after.as_nanos() as i64,
        ),
    })
}

/// Hashes the end that the file has, or had when it was this long.
fn tail(file: &mut File, size: u64) -> io::Result<[u8; 32]> {
    hash(file, size.saturating_sub(IMPORT_MARK_BYTES), size)
}

fn hash(file: &mut File, from: u64, to: u64) -> io::Result<[u8; 32]> {
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(to - from).read_to_end(&mut bytes)?;
    Ok(Sha256::digest(&bytes).into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use bigbrotr_schema::ingest::Ingested;
    use bigbrotr_schema::testing::test_store;

    use super::*;

    const USUAL: Wish = Wish {
        restart: false,
        strict: false,
    };

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    async fn at(store: &Store, file: &mut File, wish: Wish) -> ImportRecord {
        match begin(store, file, None, wish).await.unwrap() {
            Begin::Behind(record) => record,
            Begin::Done(record) => panic!("{record:?}"),
        }
    }

    #[tokio::test]
    async fn a_file_is_known_again_by_its_beginning_its_size_and_its_end() {
        let (store, _database) = test_store().await;
        let bytes: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
        let mut first = at(&store, &mut file(&bytes), USUAL).await;
        assert_eq!(first.progress, ImportProgress::default());
        first.progress = ImportProgress {
            offset_bytes: 100_000,
            lines: 9,
            bad_lines: 1,
            ingested: Ingested {
                new: 5,
                known: 2,
                refused: 1,
                ..Ingested::default()
            },
        };
        store.update_import(&first).await.unwrap();

        // The same bytes in another file, and more of them.
        assert_eq!(
            at(&store, &mut file(&bytes), USUAL).await.progress,
            first.progress
        );
        let grown = [&bytes[..], b"more"].concat();
        let record = at(&store, &mut file(&grown), USUAL).await;
        assert_eq!(
            (record.id, record.progress, record.file.size_bytes),
            (first.id, first.progress, 300_004)
        );
        // Everything else is another file.
        let (mut head, mut tail) = (bytes.clone(), bytes.clone());
        head[5] ^= 1;
        tail[299_990] ^= 1;
        for other in [
            &head,
            &tail,
            &grown[4..].to_vec(),
            &bytes[..299_999].to_vec(),
        ] {
            let record = at(&store, &mut file(other), USUAL).await;
            assert_eq!(record.progress, ImportProgress::default());
            assert_ne!(record.id, first.id);
        }
        // Or it is read from its start, as was asked.
        let restart = Wish {
            restart: true,
            ..USUAL
        };
        let record = at(&store, &mut file(&bytes), restart).await;
        assert_eq!(
            (record.id, record.progress),
            (first.id, ImportProgress::default())
        );
    }

    #[test]
    fn what_is_complete_is_left_alone_unless_there_is_a_reason() {
        let file = FileMark {
            head: [1; 32],
            tail: [2; 32],
            size_bytes: 10,
            modified_ns: 5,
        };
        let clean = ImportRecord {
            id: 3,
            file,
            progress: ImportProgress {
                offset_bytes: 20,
                lines: 2,
                ..ImportProgress::default()
            },
            complete: true,
        };
        let mut flawed = clean;
        flawed.progress.bad_lines = 1;
        let touched = FileMark {
            modified_ns: 6,
            ..file
        };
        let grown = FileMark {
            size_bytes: 11,
            modified_ns: 6,
            ..file
        };
        let strict = Wish {
            strict: true,
            ..USUAL
        };
        let restart = Wish {
            restart: true,
            ..USUAL
        };
        assert_eq!(decide(&clean, file, USUAL), Begin::Done(clean));
        assert_eq!(decide(&clean, file, strict), Begin::Done(clean));
        assert_eq!(decide(&flawed, file, USUAL), Begin::Done(flawed));
        let again = |mark| Begin::Behind(anew(3, mark));
        assert_eq!(decide(&flawed, file, strict), again(file));
        assert_eq!(decide(&clean, touched, USUAL), again(touched));
        assert_eq!(decide(&clean, file, restart), again(file));
        let on = ImportRecord {
            file: grown,
            complete: false,
            ..clean
        };
        assert_eq!(decide(&clean, grown, USUAL), Begin::Behind(on));
    }
}
